//! The running engine: its threads, and how they end.
//!
//! The committer ends last: it commits what is queued, stops the others, empties the write-ahead log, writes the
//! high-watermark file and gives the directory back.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{
    Config, OpenError,
    commit::{Committer, unavailable},
    flush::Flusher,
    open::{self, Opened},
    queue::Queue,
    read::Reads,
    state::{TailCache, Topics},
    store::{PAGE, Queries},
    upkeep::Upkeep,
};
use crate::port::LogError;

/// An open log and its threads.
pub(super) struct Engine {
    pub config: Config,
    pub topics: Arc<Topics>,
    pub queue: Arc<Queue>,
    pub reads: Arc<Reads>,
    closing: AtomicBool,
    closed: watch::Receiver<bool>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    pub fn start(config: Config) -> Result<Self, OpenError> {
        let Opened { lock, writer, flusher, upkeep, readers, watermark, topics } = open::open(&config)?;
        let topics = Arc::new(topics);
        let queue = Arc::new(Queue::new(config.in_flight_bytes));
        let reads = Arc::new(Reads::new(config.request_timeout));
        let cache = Arc::new(TailCache::new(config.tail_cache_bytes));
        let flush = Arc::new(Flusher::new(watermark));
        let keeper = Arc::new(Upkeep::new(&config, topics.clone(), queue.clone(), reads.clone()));

        let dir = config.dir.clone();
        let failed = move |source| OpenError::Directory { dir: dir.clone(), source };
        let mut others = Others { flush: flush.clone(), reads: reads.clone(), keeper: keeper.clone(), threads: vec![] };
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            Builder::new().name(name.to_owned()).spawn(body).map_err(&failed)
        };
        for conn in readers {
            let reads = reads.clone();
            let body = move || with_queries(&conn, |queries| reads.run(queries));
            others.threads.push(spawn("log-read", Box::new(body))?);
        }
        let flush_thread = flush.clone();
        others.threads.push(spawn("log-flush", Box::new(move || flush_thread.run(&flusher)))?);
        others.threads.push(spawn("log-upkeep", Box::new(move || with_queries(&upkeep, |q| keeper.run(q))))?);

        let committer = Committer {
            dir: config.dir.clone(),
            queue: queue.clone(),
            cache,
            flusher: flush.clone(),
            min_free_bytes: config.min_free_bytes,
            max_pages: config.max_bytes / PAGE,
            offset_step: u64::from(config.offset_gap) + 1,
        };
        committer.limit_pages(&writer, 0);
        let (tell, closed) = watch::channel(false);
        let to_close = queue.clone();
        let body = move || {
            match std::panic::catch_unwind(AssertUnwindSafe(|| committer.run(&writer))) {
                Ok(Ok(())) => {}
                Ok(Err(e)) => error!(error = %e, "committer ended"),
                Err(_) => error!("committer panicked"),
            }
            to_close.abandon(&LogError::Closed);
            drop(others);
            if let Err(e) = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
                warn!(error = %e, "emptying the write-ahead log failed");
            }
            drop(writer);
            if let Err(e) = flush.write_watermark() {
                warn!(error = %e, "writing the high-watermark file failed");
            }
            drop(lock);
            let _ = tell.send(true);
        };
        let committer = spawn("log-commit", Box::new(body))?;
        Ok(Self {
            config,
            topics,
            queue,
            reads,
            closing: AtomicBool::new(false),
            closed,
            committer: Mutex::new(Some(committer)),
        })
    }

    /// Fails once closing began.
    pub fn check_open(&self) -> Result<(), LogError> {
        if self.closing.load(Ordering::Acquire) || *self.closed.borrow() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Takes nothing more and wakes who waits.
    fn begin_close(&self) {
        if !self.closing.swap(true, Ordering::AcqRel) {
            info!(dir = %self.config.dir.display(), "embedded log closing");
        }
        self.queue.close();
        self.topics.all().iter().for_each(|topic| topic.wake_all());
    }

    pub async fn close(&self, deadline: Duration) -> Result<(), LogError> {
        self.begin_close();
        let mut closed = self.closed.clone();
        let ended = closed.wait_for(|closed| *closed);
        if tokio::time::timeout(deadline, ended).await.is_ok() {
            return Ok(());
        }
        self.queue.abandon(&unavailable("the log was closed before the batch could be written"));
        Err(LogError::Unknown { detail: format!("the log did not come to rest within {deadline:?}") })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.begin_close();
        if let Some(committer) = self.committer.lock().take() {
            let _ = committer.join();
        }
    }
}

/// The threads beside the committer; dropping stops them and waits.
struct Others {
    flush: Arc<Flusher>,
    reads: Arc<Reads>,
    keeper: Arc<Upkeep>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Others {
    fn drop(&mut self) {
        self.keeper.stop();
        self.reads.stop();
        self.flush.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the log panicked");
            }
        }
    }
}

fn with_queries(conn: &Connection, body: impl FnOnce(&mut Queries<'_>)) {
    match Queries::new(conn) {
        Ok(mut queries) => body(&mut queries),
        Err(e) => error!(error = %e, "a reader of the log cannot start"),
    }
}

//! The embedded engine: SQLite in a folder, for one machine with nothing else installed.
//!
//! - **Write.** Appenders encode their batches and queue them, bounded in bytes. One committer thread takes what
//!   gathered during the last commit, places it, and commits it with one fsync (group commit). A batch becomes one row
//!   of frames, small batches of a partition share one, so SQLite's cost per record nearly vanishes.
//! - **Read.** The latest entries are in memory; readers at the head never touch SQLite and are woken by the commit.
//!   Everything else is read by a few reader threads with short reads. Entries are slices of the row that was read.
//! - **Guard.** Every frame and row has a CRC-32C, verified on reading. The data directory is locked. A high-watermark
//!   file and a look at the write-ahead log tell a shortened or altered log at the start (`watermark`, `wal`).
//! - **Upkeep.** Retention and compaction work in small transactions between commits. Freed pages are overwritten and
//!   used again; the file does not shrink.
//!
//! What it does not do: no replication, and no defence against someone who rewrites entries together with their
//! checksums; that is the ledger's task.

mod commit;
mod compact;
mod config;
mod engine;
mod flush;
mod frame;
mod guard;
mod open;
mod queue;
mod read;
mod state;
mod store;
mod upkeep;
mod wal;
mod watermark;

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use ldop_types::TimestampMs;
use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use config::{Compaction, Config, OpenError};

use crate::port::{
    AppendFuture, Appended, Appender, EngineInfo, Fetched, LogError, LogFuture, MessageLog, NewEntry, Offset,
    Partition, TopicSpec, Watermarks,
};
use commit::unavailable;
use engine::Engine;
use frame::{Gathered, Room};
use queue::{AppenderState, Batch, JobError, Queue};
use read::MAX_FETCH;
use state::{PartitionState, Topic};

/// Partitions of one topic.
const PARTITIONS: std::ops::RangeInclusive<u32> = 1..=1_024;

/// A log in a data directory.
///
/// Dropping it without [`close`](MessageLog::close) commits what is queued and blocks until that is done.
pub struct EmbeddedLog {
    engine: Engine,
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog").field("dir", &self.engine.config.dir).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in a directory, or makes one. Blocks for as long as the disk takes, usually some milliseconds:
    /// nothing is scanned but what SQLite had not yet copied from its write-ahead log.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        Engine::start(config).map(|engine| Arc::new(Self { engine }))
    }

    /// A partition's state, loaded when it was not used before.
    async fn state(&self, partition: &Partition) -> Result<Arc<PartitionState>, LogError> {
        self.engine.check_open()?;
        let topic = self.engine.topics.topic_of(partition)?;
        if let Some(known) = topic.known(partition.index) {
            return Ok(known.clone());
        }
        let index = partition.index;
        self.engine.reads.run_on_thread(move |_, queries| read::load(queries, &topic, index)).await
    }

    /// Entries `from..end`, from memory or else the database.
    async fn read(
        &self,
        state: &Arc<PartitionState>,
        from: Offset,
        end: Offset,
        max_bytes: usize,
    ) -> Result<Fetched, LogError> {
        let max_bytes = max_bytes.min(MAX_FETCH);
        let in_memory = state.tail.lock().rows_from(from, max_bytes);
        if let Some(rows) = in_memory {
            let mut gathered = Gathered::new(max_bytes);
            let mut next = from;
            for row in rows {
                let room = gathered.take(&row, state.id, from, end).map_err(|d| read::altered(&state.name, d))?;
                next = row.next.min(end);
                if let Room::Spent(resume) = room {
                    next = resume;
                    break;
                }
            }
            return Ok(Fetched { entries: gathered.entries, next, end });
        }
        let state = state.clone();
        self.engine.reads.run_on_thread(move |reads, queries| reads.fetch(queries, &state, from, end, max_bytes)).await
    }

    async fn make_topics(&self, specs: Vec<TopicSpec>) -> Result<(), LogError> {
        self.engine.check_open()?;
        for spec in &specs {
            if !PARTITIONS.contains(&spec.partitions) {
                return Err(differs(spec, format!("a topic has 1 to 1,024 partitions, not {}", spec.partitions)));
            }
        }
        let mut missing = Vec::new();
        for spec in specs {
            match self.engine.topics.get(&spec.name) {
                Some(topic) => compare_topic(&spec, topic.partition_count(), open::cleanup_code(topic.cleanup))?,
                None => missing.push(spec),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let made = Arc::new(Mutex::new(Vec::new()));
        let result = {
            let made = made.clone();
            self.engine.queue.write(Box::new(move |conn| {
                *made.lock() = insert_topics(conn, &missing)?;
                Ok(())
            }))?
        };
        let timeout = self.engine.config.request_timeout;
        match tokio::time::timeout(timeout, result).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(LogError::Closed),
            Err(_) => return Err(unavailable(&format!("making topics took longer than {timeout:?}"))),
        }
        let made = std::mem::take(&mut *made.lock());
        self.engine.topics.add(made);
        Ok(())
    }
}

fn differs(spec: &TopicSpec, detail: String) -> LogError {
    LogError::TopicDiffers { topic: spec.name.clone(), detail }
}

fn compare_topic(spec: &TopicSpec, partitions: u32, cleanup: i64) -> Result<(), LogError> {
    if spec.partitions != partitions {
        return Err(differs(spec, format!("it has {partitions} partitions, not {}", spec.partitions)));
    }
    if open::cleanup_code(spec.cleanup) != cleanup {
        let found = open::cleanup_of(cleanup);
        return Err(differs(spec, format!("its cleanup is {found:?}, not {:?}", spec.cleanup)));
    }
    Ok(())
}

/// Adds the topics that are not there yet. Returns all of them, for the caller to remember.
fn insert_topics(conn: &rusqlite::Connection, specs: &[TopicSpec]) -> Result<Vec<Topic>, JobError> {
    let mut find = conn.prepare("SELECT first_partition, partitions, cleanup FROM topics WHERE name=?1")?;
    let mut insert = conn.prepare("INSERT INTO topics VALUES(?1,?2,?3,?4)")?;
    let after_last = "SELECT coalesce(max(first_partition + partitions), 0) FROM topics";
    let mut next: u32 = conn.query_row(after_last, [], |row| row.get(0))?;
    let mut topics = Vec::with_capacity(specs.len());
    for spec in specs {
        let mut found = find.query([spec.name.as_str()])?;
        if let Some(row) = found.next()? {
            compare_topic(spec, row.get(1)?, row.get(2)?).map_err(JobError::Log)?;
            topics.push(Topic::new(spec, row.get(0)?));
            continue;
        }
        if next + spec.partitions > store::MAX_PARTITIONS {
            return Err(JobError::Log(unavailable("the store has no room for more partitions")));
        }
        insert.execute((next, spec.name.as_str(), spec.partitions, open::cleanup_code(spec.cleanup)))?;
        topics.push(Topic::new(spec, next));
        next += spec.partitions;
    }
    Ok(topics)
}

impl MessageLog for EmbeddedLog {
    fn info(&self) -> EngineInfo {
        let durability = format!("fsync on one disk, no replication; SQLite {}, WAL", rusqlite::version());
        EngineInfo { name: "embedded", durability }
    }

    fn max_entry_bytes(&self) -> usize {
        self.engine.config.max_entry_bytes
    }

    fn ensure_topics(&self, specs: Vec<TopicSpec>) -> LogFuture<'_, ()> {
        Box::pin(self.make_topics(specs))
    }

    fn appender(&self, partition: Partition) -> LogFuture<'_, Arc<dyn Appender>> {
        Box::pin(async move {
            let partition = self.state(&partition).await?;
            let state = Arc::new(AppenderState { partition, failed: AtomicBool::new(false) });
            let queue = self.engine.queue.clone();
            Ok(Arc::new(QueueAppender { state, queue, limit: self.max_entry_bytes() }) as Arc<dyn Appender>)
        })
    }

    fn fetch(&self, partition: &Partition, offset: Offset, max_bytes: usize, wait: Duration) -> LogFuture<'_, Fetched> {
        let partition = partition.clone();
        Box::pin(async move {
            let started = Instant::now();
            let state = self.state(&partition).await?;
            loop {
                // Registered before the look at the end, so a commit in between is not missed.
                let mut grown = std::pin::pin!(state.grown.notified());
                grown.as_mut().enable();
                self.engine.check_open()?;
                let Watermarks { end, .. } = state.check_range(offset)?;
                if offset < end {
                    // Holes alone are news too: where to go on.
                    return self.read(&state, offset, end, max_bytes).await;
                }
                let left = wait.saturating_sub(started.elapsed());
                if tokio::time::timeout(left, grown).await.is_err() {
                    return Ok(Fetched { entries: Vec::new(), next: offset, end: offset });
                }
            }
        })
    }

    fn watermarks(&self, partition: &Partition) -> LogFuture<'_, Watermarks> {
        let partition = partition.clone();
        Box::pin(async move { Ok(self.state(&partition).await?.watermarks()) })
    }

    fn offset_at(&self, partition: &Partition, time: TimestampMs) -> LogFuture<'_, Offset> {
        let partition = partition.clone();
        Box::pin(async move {
            let state = self.state(&partition).await?;
            self.engine.reads.run_on_thread(move |_, queries| read::offset_at(queries, &state, time)).await
        })
    }

    fn close(&self, deadline: Duration) -> LogFuture<'_, ()> {
        Box::pin(self.engine.close(deadline))
    }
}

struct QueueAppender {
    state: Arc<AppenderState>,
    queue: Arc<Queue>,
    limit: usize,
}

impl Appender for QueueAppender {
    fn append(&self, batch: Vec<NewEntry>) -> Result<AppendFuture, LogError> {
        if self.state.failed.load(Ordering::Acquire) {
            return Err(LogError::AppenderFailed);
        }
        for entry in &batch {
            let size = entry.size();
            if size > self.limit {
                return Err(LogError::TooLarge { size, limit: self.limit });
            }
            if entry.key.is_none() && self.state.partition.cleanup.is_compact() {
                return Err(LogError::KeyRequired);
            }
        }
        if batch.is_empty() {
            return Ok(Box::pin(std::future::ready(Ok(Appended { offsets: Vec::new() }))));
        }
        let (reply, answer) = oneshot::channel();
        let frames = frame::encode(&batch);
        self.queue.push(Batch { appender: self.state.clone(), frames, count: batch.len(), reply })?;
        Ok(Box::pin(async move {
            let ended = |_| LogError::Unknown { detail: "the engine ended before it answered".to_owned() };
            answer.await.unwrap_or_else(|e| Err(ended(e)))
        }))
    }
}

//! What waits for the committer: batches, bounded in bytes, and jobs of our own.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::state::PartitionState;
use crate::port::{Appended, LogError};

/// What a batch counts at least, so that tiny ones are bounded too.
const BATCH_FLOOR: usize = 512;

/// Result of an append, on its way to the caller.
pub(super) type Reply = oneshot::Sender<Result<Appended, LogError>>;

/// The part of an appender the committer sees.
#[derive(Debug)]
pub(super) struct AppenderState {
    pub partition: Arc<PartitionState>,
    pub failed: AtomicBool,
}

/// A batch on its way.
pub(super) struct Batch {
    pub appender: Arc<AppenderState>,
    /// Encoded, not yet placed.
    pub frames: Vec<u8>,
    pub count: usize,
    pub reply: Reply,
}

impl Batch {
    pub fn cost(&self) -> usize {
        self.frames.len().max(BATCH_FLOOR)
    }
}

/// A write of our own, in a transaction of its own between two group commits.
pub(super) enum Job {
    /// Applied and committed.
    Write { apply: Apply, done: oneshot::Sender<Result<(), LogError>> },
    /// Copies everything from the write-ahead log into the database and empties it.
    Truncate,
}

/// What a job does within its transaction.
pub(super) type Apply = Box<dyn FnOnce(&Connection) -> Result<(), JobError> + Send>;

/// Why a job was rolled back.
pub(super) enum JobError {
    Sql(rusqlite::Error),
    Log(LogError),
}

impl From<rusqlite::Error> for JobError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

/// One helping for the committer.
#[derive(Default)]
pub(super) struct Helping {
    pub batches: Vec<Batch>,
    pub job: Option<Job>,
}

/// The queue. Its order is the order on the log.
pub(super) struct Queue {
    limit: usize,
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    jobs: VecDeque<Job>,
    /// Bytes waiting or being committed.
    bytes: usize,
    closing: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { limit, waiting: Mutex::default(), filled: Condvar::new() }
    }

    /// Takes a batch or refuses it. One batch larger than the bound passes when nothing else is on its way.
    pub fn push(&self, batch: Batch) -> Result<(), LogError> {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            return Err(LogError::Closed);
        }
        if batch.appender.failed.load(Ordering::Acquire) {
            return Err(LogError::AppenderFailed);
        }
        if waiting.bytes > 0 && waiting.bytes + batch.cost() > self.limit {
            return Err(LogError::Full);
        }
        waiting.bytes += batch.cost();
        waiting.batches.push_back(batch);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    pub fn push_job(&self, job: Job) -> Result<(), LogError> {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            return Err(LogError::Closed);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Hands in a write; the receiver tells how it went, or nothing when the engine ends before.
    pub fn write(&self, apply: Apply) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let (done, result) = oneshot::channel();
        self.push_job(Job::Write { apply, done })?;
        Ok(result)
    }

    /// Runs a write from a thread of our own and waits for it.
    pub fn write_blocking(&self, apply: Apply) -> Result<(), LogError> {
        self.write(apply)?.blocking_recv().unwrap_or(Err(LogError::Closed))
    }

    /// Waits for work. `None` once the queue is closing and empty.
    pub fn take(&self, max_batches: usize, max_bytes: usize) -> Option<Helping> {
        let mut waiting = self.waiting.lock();
        while waiting.batches.is_empty() && waiting.jobs.is_empty() {
            if waiting.closing {
                return None;
            }
            self.filled.wait(&mut waiting);
        }
        let mut helping = Helping { job: waiting.jobs.pop_front(), ..Helping::default() };
        let mut bytes = 0;
        while let Some(batch) = waiting.batches.front() {
            bytes += batch.frames.len();
            if helping.batches.len() == max_batches || (bytes > max_bytes && !helping.batches.is_empty()) {
                break;
            }
            helping.batches.extend(waiting.batches.pop_front());
        }
        Some(helping)
    }

    /// Gives room back once batches were answered.
    pub fn release(&self, bytes: usize) {
        self.waiting.lock().bytes -= bytes;
    }

    /// Takes nothing more; what waits is still committed.
    pub fn close(&self) {
        self.waiting.lock().closing = true;
        self.filled.notify_all();
    }

    /// Takes nothing more and refuses what waits: it was not written.
    pub fn abandon(&self, why: &LogError) {
        let mut waiting = self.waiting.lock();
        waiting.closing = true;
        let batches = std::mem::take(&mut waiting.batches);
        let jobs = std::mem::take(&mut waiting.jobs);
        for batch in &batches {
            waiting.bytes -= batch.cost();
            batch.appender.failed.store(true, Ordering::Release);
        }
        drop(waiting);
        self.filled.notify_all();
        for batch in batches {
            let _ = batch.reply.send(Err(why.clone()));
        }
        for job in jobs {
            if let Job::Write { done, .. } = job {
                let _ = done.send(Err(why.clone()));
            }
        }
    }
}

//! Retention and compaction, in rounds, on a thread of their own.
//!
//! This thread reads and plans; the committer writes, one small transaction between two group commits, so appends wait
//! for a few milliseconds at most. After a round that removed something the write-ahead log is emptied: what was erased
//! shall not linger there.

use std::{sync::Arc, time::Duration};

use ldop_types::TimestampMs;
use parking_lot::{Condvar, Mutex};
use tracing::{debug, error, warn};

use super::{
    Compaction, Config,
    compact::Compactor,
    queue::{Job, Queue},
    read::{self, Reads},
    state::{Topic, Topics},
    store::{Kept, Queries, id_range, row_id},
};
use crate::port::{Cleanup, LogError, Offset};

/// Rows removed in one transaction.
pub(super) const STEP_ROWS: usize = 1_024;
/// Bytes removed or rewritten in one transaction.
pub(super) const STEP_BYTES: u64 = 4 << 20;

/// The keeper of retention and compaction.
pub(super) struct Upkeep {
    pub compaction: Compaction,
    pub queue: Arc<Queue>,
    pub reads: Arc<Reads>,
    interval: Duration,
    topics: Arc<Topics>,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Upkeep {
    pub fn new(config: &Config, topics: Arc<Topics>, queue: Arc<Queue>, reads: Arc<Reads>) -> Self {
        Self {
            compaction: config.compaction,
            interval: config.upkeep_interval,
            topics,
            queue,
            reads,
            stop: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// Fails once the engine is closing.
    pub fn go_on(&self) -> Result<(), LogError> {
        if *self.stop.lock() { Err(LogError::Closed) } else { Ok(()) }
    }

    pub fn stop(&self) {
        *self.stop.lock() = true;
        self.wake.notify_all();
    }

    /// Runs until stopped.
    pub fn run(&self, queries: &mut Queries<'_>) {
        let mut compactor = Compactor::default();
        let mut due = std::time::Instant::now() + self.interval;
        loop {
            {
                let mut stop = self.stop.lock();
                while !*stop && !self.wake.wait_until(&mut stop, due).timed_out() {}
                if *stop {
                    return;
                }
            }
            if self.round(queries, &mut compactor) {
                let _ = self.queue.push_job(Job::Truncate);
            }
            due = std::time::Instant::now() + self.interval;
        }
    }

    /// One round over all partitions. True when something was removed.
    fn round(&self, queries: &mut Queries<'_>, compactor: &mut Compactor) -> bool {
        let mut removed = false;
        for topic in self.topics.all().into_iter().filter(|topic| topic.cleanup != Cleanup::Keep) {
            for index in 0..topic.partition_count() {
                let result = self.go_on().and_then(|()| match topic.cleanup {
                    Cleanup::Keep => Ok(false),
                    Cleanup::Delete { retention } => self.retain(queries, &topic, index, retention),
                    Cleanup::Compact | Cleanup::CompactSoon => compactor.compact(self, queries, &topic, index),
                });
                match result {
                    Ok(any) => removed |= any,
                    Err(LogError::Closed) => return removed,
                    Err(e @ LogError::Altered { .. }) => {
                        error!(topic = %topic.name, partition = index, error = %e, "cleanup stopped at damage");
                    }
                    Err(e) => warn!(topic = %topic.name, partition = index, error = %e, "cleanup failed"),
                }
            }
        }
        removed
    }

    /// Removes rows from the start of a partition for as long as all entries in them are older than the retention.
    fn retain(
        &self,
        queries: &mut Queries<'_>,
        topic: &Topic,
        index: u32,
        retention: Duration,
    ) -> Result<bool, LogError> {
        let now = TimestampMs::now().0;
        let keep_from = now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let id = topic.first_partition + index;
        let name = topic.partition(index);
        let mut removed = 0;
        loop {
            let (mut rows, mut bytes, mut last) = (0, 0, None::<(Offset, Offset)>);
            let expired = |row: super::store::RowMeta, size: u64| {
                // Our clock bounds what a caller with a clock ahead of time may keep for ever.
                let expired = row.latest.min(row.written) < keep_from;
                if expired {
                    (rows, bytes, last) = (rows + 1, bytes + size, Some((row.base, row.next)));
                }
                expired && rows < STEP_ROWS && bytes < STEP_BYTES
            };
            queries.metas(id, 0, expired).map_err(|e| read::read_error(e, &name, 0))?;
            let Some((last_base, start)) = last else { break };
            let kept = queries.kept(id).map_err(|e| read::read_error(e, &name, 0))?;
            let state = read::load(queries, topic, index)?;

            // Readers first: nobody shall look for rows about to go.
            let before = std::mem::replace(&mut state.tail.lock().start, start);
            let kept = Kept { start, next: kept.next.max(start), ..kept };
            let result = self.queue.write_blocking(Box::new(move |conn| {
                let range = [id_range(id).0, row_id(id, last_base)];
                conn.execute("DELETE FROM rows WHERE id BETWEEN ?1 AND ?2", range)?;
                Ok(kept.save(conn, id)?)
            }));
            match &result {
                Ok(()) => {
                    removed += rows;
                    state.forget_below(start);
                    self.reads.forget(id);
                }
                // In doubt nobody reads there; the next round settles it.
                Err(LogError::Unknown { .. }) => {}
                Err(_) => state.tail.lock().start = before,
            }
            result?;
        }
        if removed > 0 {
            debug!(partition = %name, rows = removed, "removed by retention");
        }
        Ok(removed > 0)
    }
}

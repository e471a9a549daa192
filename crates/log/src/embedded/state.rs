//! What is known in memory: topics, partitions, and the tail of the log.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{
    frame::Row,
    store::{Queries, ReadError},
};
use crate::port::{Cleanup, LogError, Offset, Partition, TopicName, TopicSpec, Watermarks};

/// What a row in memory costs beside its bytes.
const ROW_OVERHEAD: usize = 160;

/// A topic. Its partitions are looked up in the database when they are first used: opening stays quick.
#[derive(Debug)]
pub(super) struct Topic {
    pub name: TopicName,
    pub cleanup: Cleanup,
    pub first_partition: u32,
    partitions: Box<[OnceLock<Arc<PartitionState>>]>,
}

impl Topic {
    pub fn new(spec: &TopicSpec, first_partition: u32) -> Self {
        Self {
            name: spec.name.clone(),
            cleanup: spec.cleanup,
            first_partition,
            partitions: (0..spec.partitions).map(|_| OnceLock::new()).collect(),
        }
    }

    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// Name of a partition.
    pub fn partition(&self, index: u32) -> Partition {
        Partition { topic: self.name.clone(), index }
    }

    /// A partition used before in this process.
    pub fn known(&self, index: u32) -> Option<&Arc<PartitionState>> {
        self.partitions.get(index as usize)?.get()
    }

    /// A partition, read from the database unless it is known. When two load it at once the first one stays: nobody
    /// appended in between, for want of a state to append to.
    pub fn load(&self, index: u32, queries: &mut Queries<'_>) -> Result<Arc<PartitionState>, ReadError> {
        let slot = &self.partitions[index as usize];
        if let Some(known) = slot.get() {
            return Ok(known.clone());
        }
        let id = self.first_partition + index;
        let (kept, first, last) = (queries.kept(id)?, queries.first(id)?, queries.last(id)?);
        let end = kept.next.max(last.map_or(0, |row| row.next));
        let start = match self.cleanup {
            // As in Kafka: compaction leaves holes, it does not move the start from under a reader.
            Cleanup::Compact | Cleanup::CompactSoon => kept.start,
            Cleanup::Keep | Cleanup::Delete { .. } => kept.start.max(first.map_or(end, |row| row.base)),
        };
        let state = PartitionState {
            id,
            name: Partition { topic: self.name.clone(), index },
            cleanup: self.cleanup,
            tail: Mutex::new(Tail {
                start,
                end,
                peak: last.map_or(i64::MIN, |row| row.peak),
                written: last.map_or(i64::MIN, |row| row.written),
                rows: VecDeque::new(),
            }),
            grown: Notify::new(),
        };
        Ok(slot.get_or_init(|| Arc::new(state)).clone())
    }

    /// Wakes everyone who waits at an end, at close.
    pub fn wake_all(&self) {
        for state in self.partitions.iter().filter_map(OnceLock::get) {
            state.grown.notify_waiters();
        }
    }
}

/// A partition in use.
#[derive(Debug)]
pub(super) struct PartitionState {
    pub id: u32,
    pub name: Partition,
    pub cleanup: Cleanup,
    pub tail: Mutex<Tail>,
    /// Told after each commit that moved the end.
    pub grown: Notify,
}

/// Ends of a partition and its rows in memory.
#[derive(Debug)]
pub(super) struct Tail {
    pub start: Offset,
    pub end: Offset,
    /// Latest timestamp so far.
    pub peak: i64,
    /// Our clock at the last row; it never goes back.
    pub written: i64,
    /// The last rows, without a hole up to `end`.
    rows: VecDeque<Row>,
}

impl Tail {
    /// The rows in memory from the one that holds `offset` on, up to about `max_bytes`. `None` when it is not in memory.
    pub fn rows_from(&self, offset: Offset, max_bytes: usize) -> Option<Vec<Row>> {
        let index = self.rows.partition_point(|row| row.next <= offset);
        let first = self.rows.get(index).filter(|row| row.base <= offset)?;
        // The first row may lie before the offset for the most part; it does not count.
        let (mut left, mut rows) = (max_bytes, vec![first.clone()]);
        for row in self.rows.range(index + 1..) {
            rows.push(row.clone());
            let Some(rest) = left.checked_sub(row.frames.len()) else { break };
            left = rest;
        }
        Some(rows)
    }
}

impl PartitionState {
    pub fn watermarks(&self) -> Watermarks {
        let tail = self.tail.lock();
        Watermarks { start: tail.start, end: tail.end }
    }

    /// The start and end, if `offset` lies within.
    pub fn check_range(&self, offset: Offset) -> Result<Watermarks, LogError> {
        let Watermarks { start, end } = self.watermarks();
        if (start..=end).contains(&offset) {
            return Ok(Watermarks { start, end });
        }
        Err(LogError::OutOfRange { partition: self.name.clone(), offset, start, end })
    }

    /// Drops rows in memory below `offset`: the database no longer holds them as they were.
    pub fn forget_below(&self, offset: Offset) {
        let mut tail = self.tail.lock();
        while tail.rows.front().is_some_and(|row| row.base < offset) {
            tail.rows.pop_front();
        }
    }
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Topics(RwLock<HashMap<TopicName, Arc<Topic>>>);

impl Topics {
    pub fn get(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.0.read().get(name).cloned()
    }

    /// The topic of a partition, when it has such a partition.
    pub fn topic_of(&self, partition: &Partition) -> Result<Arc<Topic>, LogError> {
        self.get(&partition.topic)
            .filter(|topic| partition.index < topic.partition_count())
            .ok_or_else(|| LogError::UnknownPartition { partition: partition.clone() })
    }

    pub fn add(&self, topics: impl IntoIterator<Item = Topic>) {
        let mut all = self.0.write();
        for topic in topics {
            // Two callers may have made it at once; the one whose partitions are in use stays.
            all.entry(topic.name.clone()).or_insert_with(|| Arc::new(topic));
        }
    }

    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.0.read().values().cloned().collect()
    }
}

/// Keeps the rows committed last, of all partitions together, within a bound.
#[derive(Debug)]
pub(super) struct TailCache {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// Partition, base and cost of each row, oldest first. Within a partition this is the order of its rows.
    order: VecDeque<(Arc<PartitionState>, Offset, usize)>,
}

/// A partition's new end and the rows that led there.
pub(super) struct Published {
    pub partition: Arc<PartitionState>,
    pub rows: Vec<Row>,
    pub end: Offset,
    pub peak: i64,
    pub written: i64,
}

impl TailCache {
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    /// Makes one commit visible and wakes its readers.
    pub fn publish(&self, commit: Vec<Published>) {
        let mut held = self.held.lock();
        for Published { partition, rows, end, peak, written } in commit {
            for row in &rows {
                let cost = row.frames.len() + ROW_OVERHEAD;
                held.bytes += cost;
                held.order.push_back((partition.clone(), row.base, cost));
            }
            let mut tail = partition.tail.lock();
            tail.rows.extend(rows);
            (tail.end, tail.peak, tail.written) = (end, peak, written);
            drop(tail);
            partition.grown.notify_waiters();
        }
        while held.bytes > self.limit {
            let Some((partition, base, cost)) = held.order.pop_front() else { break };
            held.bytes -= cost;
            let mut tail = partition.tail.lock();
            if tail.rows.front().is_some_and(|row| row.base == base) {
                tail.rows.pop_front();
            }
        }
    }
}

//! Reading from the database: a few threads, each with a connection and its statements.
//!
//! Threads of our own rather than the runtime's blocking pool: prepared statements stay with their connection, and
//! a flood of reads has its own bound. Each read is short (at most [`MAX_FETCH`]), so readers take turns and none holds
//! the write-ahead log back.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use ldop_types::TimestampMs;
use parking_lot::{Condvar, Mutex};
use rusqlite::ErrorCode;
use tokio::sync::{Semaphore, oneshot};

use super::{
    commit::unavailable,
    frame::{Damage, Frames, Gathered, Room, Row},
    state::{PartitionState, Topic},
    store::{Queries, ReadError, RowMeta},
};
use crate::port::{Fetched, LogError, Offset, Partition, Watermarks};

/// Bytes one read brings at most, whatever was asked for (one entry always comes).
pub(super) const MAX_FETCH: usize = 8 << 20;
/// Reads waiting for a thread; more wait for their turn outside.
const MAX_QUEUED: usize = 256;
/// Rows kept because a fetch ended in the middle of them.
const MAX_HALF_READ: usize = 32;
/// Larger rows hold one large entry; nothing of them is left to read.
const MAX_HALF_READ_BYTES: usize = 512 << 10;
/// Rows looked at in one read of the search by time.
const METAS_AT_ONCE: usize = 4_096;

type Read = Box<dyn FnOnce(&mut Queries<'_>) + Send>;

/// The reads on their way to the reader threads.
pub(super) struct Reads {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    places: Arc<Semaphore>,
    timeout: Duration,
    half_read: Mutex<VecDeque<(u32, Row)>>,
}

#[derive(Default)]
struct Waiting {
    reads: VecDeque<Read>,
    stop: bool,
}

impl Reads {
    pub fn new(timeout: Duration) -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            places: Arc::new(Semaphore::new(MAX_QUEUED)),
            timeout,
            half_read: Mutex::default(),
        }
    }

    /// Runs a reader thread until stopped.
    pub fn run(&self, queries: &mut Queries<'_>) {
        loop {
            let mut waiting = self.waiting.lock();
            let read = loop {
                if waiting.stop {
                    return;
                }
                match waiting.reads.pop_front() {
                    Some(read) => break read,
                    None => self.filled.wait(&mut waiting),
                }
            };
            drop(waiting);
            read(queries);
        }
    }

    /// Ends the threads; reads not yet begun fail with `Closed`.
    pub fn stop(&self) {
        let mut waiting = self.waiting.lock();
        waiting.stop = true;
        let dropped = std::mem::take(&mut waiting.reads);
        drop(waiting);
        self.places.close();
        self.filled.notify_all();
        drop(dropped);
    }

    /// Runs a read on one of the threads, within the request timeout.
    pub async fn run_on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Self, &mut Queries<'_>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let answer = async {
            let place = self.places.clone().acquire_owned().await.map_err(|_| LogError::Closed)?;
            let (reply, answer) = oneshot::channel();
            let this = self.clone();
            let job: Read = Box::new(move |queries| {
                // Given back once the read is done, not once the caller went away: the queue stays bounded.
                let _place = place;
                // Nobody waits any more: the caller went away or ran out of time.
                if !reply.is_closed() {
                    let _ = reply.send(read(&this, queries));
                }
            });
            {
                let mut waiting = self.waiting.lock();
                if waiting.stop {
                    return Err(LogError::Closed);
                }
                waiting.reads.push_back(job);
            }
            self.filled.notify_one();
            answer.await.unwrap_or(Err(LogError::Closed))
        };
        let timed_out = |_| unavailable(&format!("the read took longer than {:?}", self.timeout));
        tokio::time::timeout(self.timeout, answer).await.map_err(timed_out)?
    }

    /// Reads entries `from..end`. On a reader thread.
    pub fn fetch(
        &self,
        queries: &mut Queries<'_>,
        state: &PartitionState,
        from: Offset,
        end: Offset,
        max_bytes: usize,
    ) -> Result<Fetched, LogError> {
        let mut gathered = Gathered::new(max_bytes.min(MAX_FETCH));
        // Everything below is read; the next row begins here unless something was cut out.
        let mut at = from;
        let mut room = Room::Left;
        if let Some(row) = self.take_half_read(state.id, from) {
            let next = row.next;
            room = self.take(state, &mut gathered, row, at, end)?;
            at = next;
        }
        if room == Room::Left && at < end {
            // Compaction cuts rows out of the middle, retention only from the start.
            let dense = !state.cleanup.is_compact();
            let mut missing = false;
            let read = queries.rows(state.id, at, end, |meta, row| {
                if meta.next <= at {
                    return Ok(true);
                }
                if dense && meta.base > at {
                    missing = true;
                    return Ok(false);
                }
                room = self.take(state, &mut gathered, row, at, end)?;
                at = meta.next;
                Ok(room == Room::Left)
            });
            missing |= dense && read.is_ok() && room == Room::Left && at < end;
            // What came before the trouble is good; the next fetch tells of it.
            if gathered.entries.is_empty() {
                read.map_err(|e: Failed| e.of(&state.name, from))?;
                if missing {
                    // Unless retention was faster.
                    state.check_range(from)?;
                    return Err(altered(&state.name, Damage { offset: at, detail: "rows are missing" }));
                }
            } else if room == Room::Left && (read.is_err() || missing) {
                room = Room::Spent(at);
            }
        }
        let next = match room {
            Room::Spent(next) => next,
            Room::Left => end,
        };
        Ok(Fetched { entries: gathered.entries, next, end })
    }

    fn take(
        &self,
        state: &PartitionState,
        gathered: &mut Gathered,
        row: Row,
        from: Offset,
        end: Offset,
    ) -> Result<Room, LogError> {
        let room = gathered.take(&row, state.id, from, end).map_err(|d| altered(&state.name, d))?;
        if room != Room::Left && row.frames.len() <= MAX_HALF_READ_BYTES {
            let mut kept = self.half_read.lock();
            if kept.len() == MAX_HALF_READ {
                kept.pop_front();
            }
            kept.push_back((state.id, row));
        }
        Ok(room)
    }

    /// A row whose beginning was read shortly before.
    fn take_half_read(&self, partition: u32, offset: Offset) -> Option<Row> {
        let mut kept = self.half_read.lock();
        let at = kept.iter().position(|(p, row)| *p == partition && row.base < offset && offset < row.next)?;
        kept.remove(at).map(|(_, row)| row)
    }

    /// Drops what was kept of a partition: its rows were rewritten.
    pub fn forget(&self, partition: u32) {
        self.half_read.lock().retain(|(p, _)| *p != partition);
    }
}

/// A partition's state, from memory or else the database.
pub(super) fn load(queries: &mut Queries<'_>, topic: &Topic, index: u32) -> Result<Arc<PartitionState>, LogError> {
    topic.load(index, queries).map_err(|e| {
        let partition = Partition { topic: topic.name.clone(), index };
        read_error(e, &partition, 0)
    })
}

/// Offset of the first entry at or after `time`.
pub(super) fn offset_at(
    queries: &mut Queries<'_>,
    state: &PartitionState,
    time: TimestampMs,
) -> Result<Offset, LogError> {
    queries.on_one_snapshot(|queries| offset_at_on(queries, state, time))
}

fn offset_at_on(queries: &mut Queries<'_>, state: &PartitionState, time: TimestampMs) -> Result<Offset, LogError> {
    let Watermarks { start, end } = state.watermarks();
    let failed = |e| read_error(e, &state.name, start);
    let first = first_row(queries, state.id, start, end, |row| row.peak >= time.0).map_err(failed)?;
    let Some(first) = first else { return Ok(end) };
    // The peak may be that of an entry cleaned up since, so look on from there.
    let mut from = first.base;
    loop {
        let (mut looked_at, mut hit, mut resume) = (0, None, None);
        let look = |row: RowMeta, _| {
            looked_at += 1;
            if row.latest >= time.0 && row.next > start {
                hit = Some(row);
            } else if looked_at == METAS_AT_ONCE {
                resume = Some(row.next);
            }
            hit.is_none() && resume.is_none()
        };
        queries.metas(state.id, from, look).map_err(failed)?;
        let Some(hit) = hit.filter(|row| row.base < end) else {
            match resume {
                Some(next) => from = next,
                None => return Ok(end),
            }
            continue;
        };
        let mut found = None;
        let read = queries.rows(state.id, hit.base, hit.base + 1, |_, row| {
            for frame in Frames::of(&row, state.id) {
                let wanted = |d: Damage| ReadError::Damaged { offset: d.offset, detail: d.detail };
                let frame = frame.map_err(wanted)?;
                frame.verify(&row.frames).map_err(wanted)?;
                if frame.offset >= start && frame.timestamp(&row.frames) >= time.0 {
                    found = Some(frame.offset);
                    break;
                }
            }
            Ok(false)
        });
        read.map_err(failed)?;
        match found {
            Some(offset) => return Ok(offset.min(end)),
            None => from = hit.next,
        }
    }
}

/// The first row of `low..high` for which `reached` holds, given that it holds for all rows after it too.
pub(super) fn first_row(
    queries: &mut Queries<'_>,
    partition: u32,
    mut low: Offset,
    mut high: Offset,
    reached: impl Fn(&RowMeta) -> bool,
) -> Result<Option<RowMeta>, ReadError> {
    let mut best = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match queries.at_or_before(partition, middle)? {
            Some(row) if reached(&row) => {
                high = row.base;
                best = Some(row);
            }
            Some(row) => low = row.next.max(middle + 1),
            None => low = middle + 1,
        }
    }
    Ok(best)
}

enum Failed {
    Read(ReadError),
    Log(LogError),
}

impl From<ReadError> for Failed {
    fn from(e: ReadError) -> Self {
        Self::Read(e)
    }
}

impl From<LogError> for Failed {
    fn from(e: LogError) -> Self {
        Self::Log(e)
    }
}

impl Failed {
    fn of(self, partition: &Partition, offset: Offset) -> LogError {
        match self {
            Self::Read(e) => read_error(e, partition, offset),
            Self::Log(e) => e,
        }
    }
}

/// Damage, told to the caller.
pub(super) fn altered(partition: &Partition, damage: Damage) -> LogError {
    LogError::Altered { partition: partition.clone(), offset: damage.offset, detail: damage.detail.to_owned() }
}

/// What a failed read means to the caller.
pub(super) fn read_error(e: ReadError, partition: &Partition, offset: Offset) -> LogError {
    match e {
        ReadError::Damaged { offset, detail } => altered(partition, Damage { offset, detail }),
        ReadError::Sql(e) => match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let detail = format!("the database is damaged: {e}");
                LogError::Altered { partition: partition.clone(), offset, detail }
            }
            _ => unavailable(&format!("read: {e}")),
        },
    }
}

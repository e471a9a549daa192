//! The flusher: one thread that keeps the write-ahead log short and the high-watermark file fresh, beside the committer.
//!
//! Copying the write-ahead log into the database while commits go on takes that work, and its fsyncs, off the committer:
//! about half again as many large commits per second. The committer finishes the job now and then, because only
//! a log copied to its last page starts afresh.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tracing::warn;

use super::watermark::{Slot, Writer};
use crate::port::Offset;

/// The high-watermark file is this old at most, while there are commits.
const WATERMARK_AGE: Duration = Duration::from_secs(1);
/// Bytes of the write-ahead log that are worth a round.
const CHECKPOINT_BYTES: u64 = 4 << 20;

/// What the flusher is told.
pub(super) struct Flusher {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    watermark: Writer,
    /// When the file must be written.
    due: Option<Instant>,
    /// Bytes in the write-ahead log since the last round.
    wal: u64,
    stop: bool,
}

enum Work {
    Watermark(Slot),
    Checkpoint,
    Stop,
}

impl Flusher {
    pub fn new(watermark: Writer) -> Self {
        let state = State { watermark, due: None, wal: 0, stop: false };
        Self { state: Mutex::new(state), wake: Condvar::new() }
    }

    /// Takes note of a commit.
    pub fn committed(&self, ends: impl Iterator<Item = (u32, Offset)>, bytes: u64) {
        let mut state = self.state.lock();
        let first = state.watermark.note(ends);
        if first {
            state.due = Some(Instant::now() + WATERMARK_AGE);
        }
        let before = state.wal;
        state.wal += bytes;
        let worth = before < CHECKPOINT_BYTES && state.wal >= CHECKPOINT_BYTES;
        drop(state);
        if first || worth {
            self.wake.notify_one();
        }
    }

    /// Writes the high-watermark file now.
    pub fn write_watermark(&self) -> std::io::Result<()> {
        let slot = self.state.lock().watermark.take();
        slot.map_or(Ok(()), |slot| slot.write())
    }

    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
    }

    /// Runs until stopped.
    pub fn run(&self, conn: &Connection) {
        loop {
            match self.next() {
                Work::Watermark(slot) => {
                    if let Err(e) = slot.write() {
                        warn!(error = %e, "writing the high-watermark file failed");
                        let mut state = self.state.lock();
                        state.watermark.failed();
                        state.due = Some(Instant::now() + WATERMARK_AGE);
                    }
                }
                Work::Checkpoint => {
                    if let Err(e) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
                        warn!(error = %e, "checkpoint failed");
                    }
                }
                Work::Stop => return,
            }
        }
    }

    fn next(&self) -> Work {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return Work::Stop;
            }
            if state.due.is_some_and(|due| due <= Instant::now()) {
                state.due = None;
                if let Some(slot) = state.watermark.take() {
                    return Work::Watermark(slot);
                }
            }
            if state.wal >= CHECKPOINT_BYTES {
                state.wal = 0;
                return Work::Checkpoint;
            }
            match state.due {
                Some(due) => {
                    self.wake.wait_until(&mut state, due);
                }
                None => self.wake.wait(&mut state),
            }
        }
    }
}

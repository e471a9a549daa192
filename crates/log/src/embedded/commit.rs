//! The committer: one thread that owns the write connection.
//!
//! It commits as soon as the previous commit ended; what gathered meanwhile goes into the next one. Batches of the same
//! partition share a row. Nothing becomes visible, in memory or to a reader, before its fsync.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;
use ldop_types::TimestampMs;
use rusqlite::{Connection, ErrorCode, Statement, ffi};
use tracing::{error, warn};

use super::{
    flush::Flusher,
    frame::{self, Place, Row},
    queue::{Batch, Helping, Job, JobError, Queue},
    state::{PartitionState, Published, TailCache},
    store::{self, INSERT_ROW, MAX_OFFSET, PAGE, RowMeta},
};
use crate::port::{Appended, LogError, Offset};

/// Batches in one commit.
const MAX_BATCHES: usize = 1_024;
/// Bytes in one commit: a few milliseconds of disk.
const MAX_COMMIT: usize = 8 << 20;
/// Bytes of a row. Large rows cost less per entry to write; a read of one entry reads its row.
pub(super) const ROW_TARGET: usize = 256 << 10;
/// Above this the committer copies the rest of the write-ahead log over itself, for the log to start afresh.
const WAL_LIMIT: u64 = 32 << 20;
/// What a job of our own is taken to add to the write-ahead log: its bound, see `upkeep`.
const JOB_BYTES: u64 = 4 << 20;
/// Pages beyond the quota our own writes may use: cleaning up must work when the log is full.
const CLEANUP_PAGES: u64 = 1_024;

/// What the committer needs.
pub(super) struct Committer {
    pub dir: PathBuf,
    pub queue: Arc<Queue>,
    pub cache: Arc<TailCache>,
    pub flusher: Arc<Flusher>,
    pub min_free_bytes: u64,
    /// Pages the database may have; 0 for no bound.
    pub max_pages: u64,
    pub offset_step: u64,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub fn run(&self, conn: &Connection) -> rusqlite::Result<()> {
        let mut statements = Statements {
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            insert: conn.prepare(INSERT_ROW)?,
            commit: conn.prepare("COMMIT")?,
        };
        let mut wal = 0;
        while let Some(Helping { batches, job }) = self.queue.take(MAX_BATCHES, MAX_COMMIT) {
            wal += self.group(conn, &mut statements, batches);
            if let Some(job) = job {
                self.job(conn, &mut statements, job);
                wal += JOB_BYTES;
            }
            if wal >= WAL_LIMIT {
                wal = finish_checkpoint(conn);
            }
        }
        Ok(())
    }

    /// Commits a group; returns about how many bytes that added to the write-ahead log.
    fn group(&self, conn: &Connection, statements: &mut Statements<'_>, batches: Vec<Batch>) -> u64 {
        let cost = batches.iter().map(Batch::cost).sum();
        let mut group = Group::new(self.offset_step);
        for batch in batches {
            if batch.appender.failed.load(Ordering::Acquire) {
                let _ = batch.reply.send(Err(LogError::AppenderFailed));
            } else if let Err(batch) = group.add(batch) {
                fail(vec![batch], &unavailable("the partition is full"));
            }
        }
        let (plans, answers) = group.finish();
        let mut written = 0;
        if !plans.is_empty() {
            let result = self.free_space().and_then(|()| insert_all(conn, statements, &plans));
            // Before the answers: who got one may append again at once.
            self.queue.release(cost);
            match result {
                Ok(()) => {
                    written = plans.iter().flat_map(|p| &p.rows).map(|(_, row)| wal_bytes(row)).sum();
                    self.flusher.committed(plans.iter().map(|p| (p.partition.id, p.end)), written);
                    self.cache.publish(plans.into_iter().map(Plan::publish).collect());
                    for (batch, offsets) in answers {
                        let _ = batch.reply.send(Ok(Appended { offsets }));
                    }
                }
                Err(e) => {
                    if matches!(e, LogError::Unknown { .. }) {
                        error!(error = %e, "commit failed in doubt");
                        // What is left of it in the write-ahead log must not come back at the next start.
                        let _ = finish_checkpoint(conn);
                    } else {
                        warn!(error = %e, "commit failed");
                    }
                    fail(answers.into_iter().map(|(batch, _)| batch), &e);
                }
            }
        } else {
            self.queue.release(cost);
        }
        written
    }

    fn job(&self, conn: &Connection, statements: &mut Statements<'_>, job: Job) {
        match job {
            Job::Write { apply, done } => {
                self.limit_pages(conn, CLEANUP_PAGES);
                let result = transaction(conn, statements, |_| apply(conn));
                self.limit_pages(conn, 0);
                let _ = done.send(result);
            }
            Job::Truncate => {
                // A reader in the middle of a read makes this fail; the next round tries again.
                if let Err(e) = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
                    warn!(error = %e, "emptying the write-ahead log failed");
                }
            }
        }
    }

    /// Sets the quota, plus something for our own writes.
    pub fn limit_pages(&self, conn: &Connection, extra: u64) {
        if self.max_pages > 0 {
            let limit = format!("PRAGMA max_page_count={}", self.max_pages + extra);
            if let Err(e) = conn.query_row(&limit, [], |_| Ok(())) {
                warn!(error = %e, "setting the quota failed");
            }
        }
    }

    fn free_space(&self) -> Result<(), LogError> {
        if self.min_free_bytes == 0 {
            return Ok(());
        }
        match fs4::available_space(&self.dir) {
            Ok(free) if free < self.min_free_bytes => {
                Err(unavailable(&format!("{free} bytes free on the disk, {} are kept back", self.min_free_bytes)))
            }
            Ok(_) => Ok(()),
            Err(e) => Err(unavailable(&format!("free space is unknown: {e}"))),
        }
    }
}

struct Statements<'c> {
    begin: Statement<'c>,
    insert: Statement<'c>,
    commit: Statement<'c>,
}

fn insert_all(conn: &Connection, statements: &mut Statements<'_>, plans: &[Plan]) -> Result<(), LogError> {
    transaction(conn, statements, |insert| {
        for (meta, row) in plans.iter().flat_map(|plan| &plan.rows) {
            store::insert_row(insert, meta, &row.frames)?;
        }
        Ok(())
    })
}

fn transaction(
    conn: &Connection,
    statements: &mut Statements<'_>,
    apply: impl FnOnce(&mut Statement<'_>) -> Result<(), JobError>,
) -> Result<(), LogError> {
    let begun = statements.begin.execute([]).map_err(JobError::Sql);
    let result = match begun.and_then(|_| apply(&mut statements.insert)) {
        Ok(()) => statements.commit.execute([]).map(drop).map_err(|e| commit_error(&e)),
        Err(JobError::Sql(e)) => Err(unavailable(&describe(&e))),
        Err(JobError::Log(e)) => Err(e),
    };
    if result.is_err()
        && !conn.is_autocommit()
        && let Err(e) = conn.execute_batch("ROLLBACK")
    {
        error!(error = %e, "rollback failed");
    }
    result
}

/// Whether a failed COMMIT may have left the transaction behind: not when the log could not be written to its commit
/// frame, which comes last; but a failed fsync says nothing.
fn commit_error(e: &rusqlite::Error) -> LogError {
    let code = e.sqlite_error();
    let definite = code.is_some_and(|e| {
        matches!(e.code, ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            || e.extended_code == ffi::SQLITE_IOERR_WRITE
    });
    if definite { unavailable(&describe(e)) } else { LogError::Unknown { detail: describe(e) } }
}

fn describe(e: &rusqlite::Error) -> String {
    match e.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full or the quota is reached".to_owned(),
        _ => e.to_string(),
    }
}

pub(super) fn unavailable(detail: &str) -> LogError {
    LogError::Unavailable { detail: detail.to_owned() }
}

fn fail(batches: impl IntoIterator<Item = Batch>, why: &LogError) {
    for batch in batches {
        batch.appender.failed.store(true, Ordering::Release);
        let _ = batch.reply.send(Err(why.clone()));
    }
}

/// Copies what is left of the write-ahead log, without waiting for readers. Returns the bytes that could not be copied.
fn finish_checkpoint(conn: &Connection) -> u64 {
    let left = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (busy, all, done): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // Busy: the flusher is at it. Come back soon.
        Ok(if busy == 0 { all - done } else { i64::MAX })
    });
    match left {
        Ok(pages) => u64::try_from(pages).unwrap_or(0).saturating_mul(PAGE).min(WAL_LIMIT - (1 << 20)),
        Err(e) => {
            warn!(error = %e, "checkpoint failed");
            WAL_LIMIT - (1 << 20)
        }
    }
}

fn wal_bytes(row: &Row) -> u64 {
    (row.frames.len() as u64).div_ceil(PAGE) * PAGE + PAGE / 2
}

/// The rows a commit adds to one partition.
struct Plan {
    partition: Arc<PartitionState>,
    rows: Vec<(RowMeta, Row)>,
    end: Offset,
    peak: i64,
    written: i64,
    /// Small batches that will share the next row.
    open: Option<OpenRow>,
}

struct OpenRow {
    base: Offset,
    latest: i64,
    frames: Vec<u8>,
}

impl Plan {
    fn new(partition: &Arc<PartitionState>, now: i64) -> Self {
        let tail = partition.tail.lock();
        let (end, peak, written) = (tail.end, tail.peak, now.max(tail.written));
        drop(tail);
        Self { partition: partition.clone(), rows: Vec::new(), end, peak, written, open: None }
    }

    /// Gives the entries of a batch their offsets.
    fn add(&mut self, frames: &mut Vec<u8>, count: usize, step: u64) -> Vec<Offset> {
        let mut offsets = Vec::with_capacity(count);
        let partition = self.partition.id;
        if self.open.as_ref().is_some_and(|open| open.frames.len() + frames.len() > ROW_TARGET) {
            self.close_row();
        }
        if frames.len() > ROW_TARGET {
            let mut all = std::mem::take(frames);
            let pieces = frame::pieces(&all, ROW_TARGET);
            let mut placed = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let base = self.end;
                let place = Place { partition, base, first: base, step };
                let before = offsets.len();
                let latest = frame::place(&mut all[piece.clone()], place, &mut offsets);
                self.end += (offsets.len() - before) as u64 * step;
                placed.push((base, self.end, latest, piece));
            }
            let all = Bytes::from(all);
            for (base, next, latest, piece) in placed {
                self.push_row(base, next, latest, all.slice(piece));
            }
            return offsets;
        }
        let (first, open) = (self.end, self.open.take());
        self.end += count as u64 * step;
        self.open = Some(match open {
            None => {
                let mut frames = std::mem::take(frames);
                let latest = frame::place(&mut frames, Place { partition, base: first, first, step }, &mut offsets);
                OpenRow { base: first, latest, frames }
            }
            Some(mut open) => {
                let at = open.frames.len();
                open.frames.append(frames);
                let place = Place { partition, base: open.base, first, step };
                let latest = frame::place(&mut open.frames[at..], place, &mut offsets);
                open.latest = open.latest.max(latest);
                open
            }
        });
        offsets
    }

    fn close_row(&mut self) {
        if let Some(OpenRow { base, latest, frames }) = self.open.take() {
            self.push_row(base, self.end, latest, Bytes::from(frames));
        }
    }

    fn push_row(&mut self, base: Offset, next: Offset, latest: i64, frames: Bytes) {
        self.peak = self.peak.max(latest);
        let (partition, peak, written) = (self.partition.id, self.peak, self.written);
        self.rows.push((RowMeta { partition, base, next, latest, peak, written }, Row { base, next, frames }));
    }

    fn publish(self) -> Published {
        let Self { partition, rows, end, peak, written, .. } = self;
        Published { partition, rows: rows.into_iter().map(|(_, row)| row).collect(), end, peak, written }
    }
}

/// Batches of one commit, by partition.
struct Group {
    step: u64,
    now: i64,
    plans: Vec<Plan>,
    by_partition: HashMap<u32, usize>,
    answers: Vec<(Batch, Vec<Offset>)>,
}

impl Group {
    fn new(step: u64) -> Self {
        let now = TimestampMs::now().0;
        Self { step, now, plans: Vec::new(), by_partition: HashMap::new(), answers: Vec::new() }
    }

    /// Adds a batch, or hands it back when the partition has no offsets left.
    fn add(&mut self, mut batch: Batch) -> Result<(), Batch> {
        let partition = &batch.appender.partition;
        let index = *self.by_partition.entry(partition.id).or_insert_with(|| {
            self.plans.push(Plan::new(partition, self.now));
            self.plans.len() - 1
        });
        let plan = &mut self.plans[index];
        if plan.end.saturating_add(batch.count as u64 * self.step) >= MAX_OFFSET {
            return Err(batch);
        }
        let offsets = plan.add(&mut batch.frames, batch.count, self.step);
        self.answers.push((batch, offsets));
        Ok(())
    }

    fn finish(mut self) -> (Vec<Plan>, Vec<(Batch, Vec<Offset>)>) {
        self.plans.iter_mut().for_each(Plan::close_row);
        self.plans.retain(|plan| !plan.rows.is_empty());
        (self.plans, self.answers)
    }
}

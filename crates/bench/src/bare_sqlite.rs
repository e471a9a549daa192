//! What a careful first version of an embedded log would be: one thread, WAL, synchronous=FULL, one row for each record,
//! one transaction for all that waits.

use std::{
    fs,
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rusqlite::Connection;

use crate::corpus::{Corpus, Record};

/// Records in a batch and on their way for each writer, as in the client's defaults.
const BATCH: usize = 256;
const IN_FLIGHT: usize = 8_192;
/// Longest a commit may take; beyond it the writer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

type Batch<'a> = (i64, &'a [Record], mpsc::SyncSender<()>);

/// Writes all records from one thread for each dataset, each of which waits for its batches to be durable before it goes
/// beyond what may be on its way. The file is new and removed afterwards.
///
/// # Errors
///
/// SQLite fails.
pub fn write(folder: &Path, corpus: &Corpus) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir_in(folder)?;
    let db = Connection::open(folder.path().join("bare.sqlite"))?;
    db.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE log(id INTEGER PRIMARY KEY, time INTEGER, key BLOB, value BLOB)",
    )?;
    let window = IN_FLIGHT / BATCH;
    let (queue, waiting) = mpsc::sync_channel::<Batch<'_>>(window * corpus.flows.len());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (number, flow) in corpus.flows.iter().enumerate() {
            let queue = queue.clone();
            scope.spawn(move || {
                let (done, durable) = mpsc::sync_channel(window);
                let mut open = 0;
                for batch in flow.records.chunks(BATCH) {
                    if open == window {
                        if durable.recv_timeout(PATIENCE).is_err() {
                            return;
                        }
                        open -= 1;
                    }
                    if queue.send((number as i64, batch, done.clone())).is_err() {
                        return; // the writer has failed and tells so
                    }
                    open += 1;
                }
                while open > 0 && durable.recv_timeout(PATIENCE).is_ok() {
                    open -= 1;
                }
            });
        }
        drop(queue);
        commit_groups(&db, waiting)
    })?;
    let took = started.elapsed();
    let rows: i64 = db.query_row("SELECT count(*) FROM log", [], |row| row.get(0))?;
    anyhow::ensure!(usize::try_from(rows)? == corpus.len(), "{rows} rows");
    drop(db);
    fs::remove_dir_all(folder.path()).context("remove the bare file")?;
    Ok(took)
}

fn commit_groups(db: &Connection, waiting: mpsc::Receiver<Batch<'_>>) -> rusqlite::Result<()> {
    let mut insert = db.prepare("INSERT INTO log VALUES(?1,?2,?3,?4)")?;
    let mut ends = [0_i64; 8];
    while let Ok(first) = waiting.recv() {
        let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter()).collect();
        db.execute_batch("BEGIN IMMEDIATE")?;
        for (writer, batch, _) in &group {
            let end = &mut ends[*writer as usize];
            for record in *batch {
                insert.execute(((writer << 44) | *end, record.event_time.0, &record.key[..], &record.payload[..]))?;
                *end += 1;
            }
        }
        db.execute_batch("COMMIT")?;
        for (_, _, done) in group {
            let _ = done.send(());
        }
    }
    Ok(())
}

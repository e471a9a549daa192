//! Making a file from the log.

use std::{fs, path::PathBuf, sync::Arc};

use rusqlite::{Connection, params};

use super::{Batch, Change, Fault, MAKING_CACHE, NO_NAME, PAGE_BYTES, Store, Tallies, connect, remove, set_cache};
use crate::copy::{
    file::{APPLICATION, Followed, IDENTITY, Identity, LAYOUT, PROGRESS, Progress, SCHEMA},
    runs::Runs,
    seal::{CopyKey, Salt, Sealer},
    tally::Tally,
};

/// A file that is being made: rows in the order of the log, then what leads to them in its own order.
pub(in crate::copy) struct Making {
    conn: Connection,
    path: PathBuf,
    many: usize,
    pub(in crate::copy) sealer: Arc<Sealer>,
    progress: Progress,
    /// Names and twice the row, or one more where the record was deleted.
    names: Runs,
    secondary: Runs,
    /// The last row.
    seq: u64,
}

impl Making {
    /// Begins a file at `path`, for so many secondary keys and partitions.
    pub(in crate::copy) fn begin(
        path: PathBuf,
        identity: &Identity,
        key: Option<&CopyKey>,
        many: usize,
        partitions: u32,
    ) -> Result<Self, Fault> {
        remove(&path)?;
        let conn = Connection::open(&path)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.pragma_update(None, "application_id", APPLICATION)?;
        conn.pragma_update(None, "user_version", LAYOUT)?;
        // A file that is not whole is thrown away, so nothing has to be undone nor be durable before its end.
        conn.pragma_update(None, "journal_mode", "OFF")?;
        conn.pragma_update(None, "synchronous", "OFF")?;
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        set_cache(&conn, MAKING_CACHE)?;
        let salt: Salt = rand::random();
        conn.execute_batch("BEGIN")?;
        conn.execute_batch(SCHEMA)?;
        conn.execute("INSERT INTO meta VALUES (?1, ?2)", params![IDENTITY, identity.encode(&salt)])?;
        let sealer = Arc::new(Sealer::new(key, &salt, &identity.topic));
        let progress = Progress { partitions: vec![Followed::default(); partitions as usize], ..Progress::default() };
        let (names, secondary) = (Runs::new(&path.with_extension("run")), Runs::new(&path.with_extension("run")));
        Ok(Self { conn, path, many, sealer, progress, names, secondary, seq: 0 })
    }

    /// Puts a batch in, of which all changes were kept.
    pub(in crate::copy) fn put(&mut self, batch: &Batch, partition: u32, followed: Followed) -> Result<(), Fault> {
        let mut insert =
            self.conn.prepare_cached("INSERT INTO rows(seq, name, place, body) VALUES (?1, ?2, ?3, ?4)")?;
        for (at, Change { name, place, body }) in batch.changes.iter().enumerate() {
            self.seq += 1;
            let Some(body) = body else {
                self.names.push((*name, self.seq << 1 | 1))?;
                continue;
            };
            insert.execute(params![self.seq as i64, name, place, &batch.bodies[body.clone()]])?;
            self.names.push((*name, self.seq << 1))?;
            for secondary in &batch.secondary[at * self.many..(at + 1) * self.many] {
                if *secondary != NO_NAME {
                    self.secondary.push((*secondary, self.seq))?;
                }
            }
        }
        self.progress.partitions[partition as usize] = followed;
        Ok(())
    }

    /// Makes the file whole and opens it under its name. It is not made durable: whoever opens it after a power cut reads all
    /// of it anyway.
    pub(in crate::copy) fn finish(self, name: PathBuf) -> Result<Store, Fault> {
        let Self { conn, path, many, sealer, progress, names, secondary, seq } = self;
        let mut tallies = Tallies { progress, rows: Tally::new(), secondary: Tally::new() };
        let gone = lead_to_rows(&conn, names, seq, &mut tallies)?;
        lead_to_secondary(&conn, secondary, &gone, &mut tallies)?;
        remove_rows(&conn, &gone)?;
        conn.execute("INSERT INTO meta VALUES (?1, ?2)", params![PROGRESS, tallies.progress.encode()])?;
        conn.execute_batch("COMMIT")?;
        conn.flush_prepared_statement_cache();
        conn.close().map_err(|(_, error)| error)?;
        fs::rename(&path, &name)?;
        let conn = connect(&name)?;
        Store::start(name, many, sealer, conn, tallies)
    }
}

/// Rows that another one has taken the place of, one bit for each.
struct Gone(Vec<u64>);

impl Gone {
    fn set(&mut self, seq: u64) {
        self.0[(seq / 64) as usize] |= 1 << (seq % 64);
    }

    fn has(&self, seq: u64) -> bool {
        self.0[(seq / 64) as usize] & 1 << (seq % 64) != 0
    }
}

/// Fills the names with the latest row of each; gives the other rows.
fn lead_to_rows(conn: &Connection, names: Runs, last: u64, tallies: &mut Tallies) -> Result<Gone, Fault> {
    let mut gone = Gone(vec![0; (last / 64 + 1) as usize]);
    let mut insert = conn.prepare("INSERT INTO names(name, seq) VALUES (?1, ?2)")?;
    let mut sorted = names.sorted()?;
    let mut next = sorted.next()?;
    while let Some((name, value)) = next {
        next = sorted.next()?;
        let (seq, is_deleted) = (value >> 1, value & 1 == 1);
        let is_latest = next.is_none_or(|(following, _)| following != name);
        if is_latest && !is_deleted {
            insert.execute(params![name, seq as i64])?;
            tallies.row(&name, seq as i64);
        } else if !is_deleted {
            gone.set(seq);
        }
    }
    Ok(gone)
}

fn lead_to_secondary(conn: &Connection, secondary: Runs, gone: &Gone, tallies: &mut Tallies) -> Result<(), Fault> {
    let mut insert = conn.prepare("INSERT INTO secondary(name, seq) VALUES (?1, ?2)")?;
    let mut sorted = secondary.sorted()?;
    while let Some((name, seq)) = sorted.next()? {
        if !gone.has(seq) {
            insert.execute(params![name, seq as i64])?;
            tallies.secondary(&name, seq as i64);
        }
    }
    Ok(())
}

fn remove_rows(conn: &Connection, gone: &Gone) -> Result<(), Fault> {
    let mut delete = conn.prepare("DELETE FROM rows WHERE seq = ?1")?;
    for (at, bits) in (0_u64..).zip(&gone.0).filter(|(_, bits)| **bits != 0) {
        for seq in (at * 64..(at + 1) * 64).filter(|seq| bits & 1 << (seq % 64) != 0) {
            delete.execute([seq as i64])?;
        }
    }
    Ok(())
}

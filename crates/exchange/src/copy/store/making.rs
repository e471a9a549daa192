//! Making a file from the log.

use std::{fs, path::PathBuf, sync::Arc};

use rusqlite::{Connection, params};

use super::{
    Batch, Change, Fault, MAKING_CACHE, NO_NAME, PAGE_BYTES, Shape, Store, Tallies, connect, history, remove, set_cache,
};
use crate::copy::{
    file::{APPLICATION, Followed, HISTORY_SCHEMA, IDENTITY, Identity, LAYOUT, PROGRESS, Progress, SCHEMA},
    runs::Runs,
    seal::{CopyKey, Name, Salt, Sealer},
};

/// A file that is being made: rows in the order of the log, then what leads to them in its own order.
pub(in crate::copy) struct Making {
    conn: Connection,
    path: PathBuf,
    shape: Shape,
    pub(in crate::copy) sealer: Arc<Sealer>,
    progress: Progress,
    /// Names and twice the row, or one more where the record was deleted.
    names: Runs<1>,
    secondary: Runs<1>,
    /// Of each version its event time, its place and its row; none where no history is kept.
    history: Option<Runs<3>>,
    /// Names that were erased, and up to where; as many as there were orders.
    erased: Vec<(Name, i64)>,
    /// The last row, and the last version.
    seq: u64,
}

impl Making {
    /// Begins a file at `path`, for so many secondary keys and partitions.
    pub(in crate::copy) fn begin(
        path: PathBuf,
        identity: &Identity,
        key: Option<&CopyKey>,
        shape: Shape,
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
        if shape.history {
            conn.execute_batch(HISTORY_SCHEMA)?;
        }
        conn.execute("INSERT INTO meta VALUES (?1, ?2)", params![IDENTITY, identity.encode(&salt)])?;
        let sealer = Arc::new(Sealer::new(key, &salt, &identity.topic));
        let progress = Progress { partitions: vec![Followed::default(); partitions as usize], ..Progress::default() };
        let aside = path.with_extension("run");
        let (names, secondary) = (Runs::new(&aside), Runs::new(&aside));
        let history = shape.history.then(|| Runs::new(&aside));
        Ok(Self { conn, path, shape, sealer, progress, names, secondary, history, erased: Vec::new(), seq: 0 })
    }

    /// Puts a batch in, of which all changes were kept.
    pub(in crate::copy) fn put(&mut self, batch: &Batch, partition: u32, followed: Followed) -> Result<(), Fault> {
        let mut insert =
            self.conn.prepare_cached("INSERT INTO rows(seq, name, place, body) VALUES (?1, ?2, ?3, ?4)")?;
        let many = self.shape.many;
        for (at, Change { name, place, time, version, erases, body }) in batch.changes.iter().enumerate() {
            self.seq += 1;
            if *erases {
                self.erased.push((*name, *place));
            }
            if let Some(history) = &mut self.history {
                let keep = "INSERT INTO versions(seq, name, place, body) VALUES (?1, ?2, ?3, ?4)";
                let mut keep = self.conn.prepare_cached(keep)?;
                keep.execute(params![self.seq as i64, name, place, &batch.bodies[version.clone()]])?;
                history.push((*name, [*time, *place, self.seq as i64]))?;
            }
            let Some(body) = body else {
                self.names.push((*name, [(self.seq << 1 | 1) as i64]))?;
                continue;
            };
            insert.execute(params![self.seq as i64, name, place, &batch.bodies[body.clone()]])?;
            self.names.push((*name, [(self.seq << 1) as i64]))?;
            for secondary in &batch.secondary[at * many..(at + 1) * many] {
                if *secondary != NO_NAME {
                    self.secondary.push((*secondary, [self.seq as i64]))?;
                }
            }
        }
        self.progress.partitions[partition as usize] = followed;
        Ok(())
    }

    /// Makes the file whole and opens it under its name. It is not made durable: whoever opens it after a power cut reads all
    /// of it anyway.
    pub(in crate::copy) fn finish(self, name: PathBuf) -> Result<Store, Fault> {
        let Self { conn, path, shape, sealer, progress, names, secondary, history, erased, seq } = self;
        let mut tallies = Tallies::new(progress, shape);
        // Of what was erased, or may be later, nothing stays behind in pages that are free: rows that others took the place of
        // are overwritten, not just unlinked.
        conn.pragma_update(None, "secure_delete", shape.history || !erased.is_empty())?;
        let gone = lead_to_rows(&conn, names, seq, &mut tallies)?;
        lead_to_secondary(&conn, secondary, &gone, &mut tallies)?;
        if let Some(history) = history {
            lead_to_versions(&conn, history, &mut tallies)?;
            for (name, place) in erased {
                history::forget(&conn, &name, place, |version| tallies.without_version(&name, version))?;
            }
        }
        remove_rows(&conn, &gone)?;
        conn.execute("INSERT INTO meta VALUES (?1, ?2)", params![PROGRESS, tallies.progress.encode()])?;
        conn.execute_batch("COMMIT")?;
        conn.flush_prepared_statement_cache();
        conn.close().map_err(|(_, error)| error)?;
        fs::rename(&path, &name)?;
        let conn = connect(&name)?;
        Store::start(name, shape, sealer, conn, tallies)
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
fn lead_to_rows(conn: &Connection, names: Runs<1>, last: u64, tallies: &mut Tallies) -> Result<Gone, Fault> {
    let mut gone = Gone(vec![0; (last / 64 + 1) as usize]);
    let mut insert = conn.prepare("INSERT INTO names(name, seq) VALUES (?1, ?2)")?;
    let mut sorted = names.sorted()?;
    let mut next = sorted.next()?;
    while let Some((name, [value])) = next {
        next = sorted.next()?;
        let (seq, is_deleted) = (value as u64 >> 1, value & 1 == 1);
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

fn lead_to_secondary(conn: &Connection, secondary: Runs<1>, gone: &Gone, tallies: &mut Tallies) -> Result<(), Fault> {
    let mut insert = conn.prepare("INSERT INTO secondary(name, seq) VALUES (?1, ?2)")?;
    let mut sorted = secondary.sorted()?;
    while let Some((name, [seq])) = sorted.next()? {
        if !gone.has(seq as u64) {
            insert.execute(params![name, seq])?;
            tallies.secondary(&name, seq);
        }
    }
    Ok(())
}

fn lead_to_versions(conn: &Connection, history: Runs<3>, tallies: &mut Tallies) -> Result<(), Fault> {
    let mut insert = conn.prepare("INSERT INTO history(name, time, place, seq) VALUES (?1, ?2, ?3, ?4)")?;
    let mut sorted = history.sorted()?;
    while let Some((name, version)) = sorted.next()? {
        insert.execute(params![name, version[0], version[1], version[2]])?;
        tallies.version(&name, version);
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

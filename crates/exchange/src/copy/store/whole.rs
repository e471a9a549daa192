//! Reading a whole file at one position: one read transaction on a connection of its own, for as long as that takes.
//!
//! Meanwhile the `-wal` file grows with what is written; so the reader bounds the time.

use std::sync::Arc;

use rusqlite::{Connection, types::ValueRef};

use super::{Fault, LOOK_EVERY, READING_CACHE, Store, connect, damaged, meta, set_cache};
use crate::copy::{
    Found,
    file::{PROGRESS, Progress, of_place},
    seal::Name,
    tally::{Total, weight},
};

/// Rows read at once, before whoever waits for them is asked whether he still does.
const PAGE_ROWS: usize = 512;
/// Bytes of payload read at once; one row may go beyond.
const PAGE_BYTES: usize = 512 << 10;

/// Which rows are wanted: by sequence, partition and offset.
pub(in crate::copy) type Wanted = dyn Fn(i64, u32, u64) -> bool + Send + Sync;

/// Consecutive rows.
pub(in crate::copy) struct Page {
    /// Each with its sequence.
    pub(in crate::copy) found: Vec<(i64, Found)>,
    /// Sequence of the last row looked at.
    pub(in crate::copy) through: i64,
    pub(in crate::copy) is_last: bool,
}

/// A file as it stood when the reading began.
pub(in crate::copy) struct Whole {
    store: Arc<Store>,
    conn: Connection,
    positions: Vec<u64>,
    /// What the rows should be in sum, and what those looked at are.
    rows: Total,
    seen: Total,
    through: i64,
}

impl Whole {
    /// Begins to read.
    pub(in crate::copy) fn begin(store: Arc<Store>) -> Result<Self, Fault> {
        store.check_files()?;
        let begun = store.noticing(Self::begin_in(&store));
        let (conn, progress) = begun?;
        // They may have been exchanged while the connection was opened.
        store.check_files()?;
        let positions = progress.partitions.iter().map(|followed| followed.next).collect();
        Ok(Self { store, conn, positions, rows: progress.rows, seen: Total::default(), through: 0 })
    }

    fn begin_in(store: &Store) -> Result<(Connection, Progress), Fault> {
        let conn = connect(&store.path)?;
        conn.pragma_update(None, "query_only", true)?;
        set_cache(&conn, READING_CACHE)?;
        // Ends with the connection.
        conn.execute_batch("BEGIN")?;
        let tallies = store.tallies.read();
        // The first statement decides which state the transaction sees.
        let bytes = meta(&conn, PROGRESS)?;
        let sequence = tallies.progress.sequence;
        drop(tallies);
        let progress = bytes.and_then(|bytes| Progress::decode(&bytes)).ok_or_else(|| damaged("progress"))?;
        if progress.sequence != sequence {
            return Err(damaged("an older state stands in its place"));
        }
        Ok((conn, progress))
    }

    /// Where it stands: the next entry of each partition that is not in it.
    pub(in crate::copy) fn positions(&self) -> &[u64] {
        &self.positions
    }

    /// Reads on. The last page comes only if no row was missing.
    pub(in crate::copy) fn next(&mut self, wanted: &Wanted) -> Result<Page, Fault> {
        self.store.check_files()?;
        let store = Arc::clone(&self.store);
        let page = store.noticing(self.next_in(wanted))?;
        store.check_files()?;
        Ok(page)
    }

    fn next_in(&mut self, wanted: &Wanted) -> Result<Page, Fault> {
        let mut statement =
            self.conn.prepare_cached("SELECT seq, name, place, body FROM rows WHERE seq > ?1 ORDER BY seq")?;
        let mut rows = statement.query([self.through])?;
        let (mut found, mut bytes, mut looked) = (Vec::new(), 0, 0_u64);
        while let Some(row) = rows.next()? {
            let (seq, name, place) = (row.get::<_, i64>(0)?, row.get::<_, Name>(1)?, row.get::<_, i64>(2)?);
            self.seen.add(weight(&name, seq));
            self.through = seq;
            looked += 1;
            let (partition, offset) = of_place(place);
            if wanted(seq, partition, offset) {
                let ValueRef::Blob(body) = row.get_ref(3)? else { return Err(damaged("a row has no body")) };
                let record = self.store.record(&name, place, body.to_vec(), None)?;
                bytes += record.payload.len();
                found.push((seq, record));
            }
            if found.len() >= PAGE_ROWS || bytes >= PAGE_BYTES || looked >= LOOK_EVERY {
                return Ok(Page { found, through: self.through, is_last: false });
            }
        }
        if self.seen != self.rows {
            return Err(damaged("the rows are not those that were written"));
        }
        Ok(Page { found, through: self.through, is_last: true })
    }
}

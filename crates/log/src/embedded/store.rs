//! The SQLite file: schema, connections and the statements readers use.
//!
//! A row of `rows` holds many entries (see [`frame`](super::frame)); its key is the partition and the offset of its
//! first entry, so a partition lies together and its end is one seek away. The blob comes last: the other columns are
//! read without touching its pages. Every row's columns carry a checksum of their own, because SQLite has none.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, Statement, ffi, params};

use super::{frame::Row, watermark::StoreId};
use crate::port::{LogError, Offset};

/// Bytes of a page. Large, because rows are: measured best between 8 and 32 KiB.
pub(super) const PAGE: u64 = 16 * 1_024;
/// The format this code reads and writes.
pub(super) const FORMAT: i64 = 1;
const OFFSET_BITS: u32 = 44;
/// Offsets end here: 17 million million entries.
pub(super) const MAX_OFFSET: Offset = 1 << OFFSET_BITS;
/// Partitions end here.
pub(super) const MAX_PARTITIONS: u32 = 1 << (63 - OFFSET_BITS);

const SCHEMA: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE topics(
        first_partition INTEGER PRIMARY KEY, -- its partitions are numbered from here
        name TEXT NOT NULL UNIQUE,
        partitions INTEGER NOT NULL,
        cleanup INTEGER NOT NULL             -- -1 keep, -2 compact, -3 compact soon, else retention in milliseconds
    );
    -- What the rows of a partition no longer tell, once some were cleaned up.
    CREATE TABLE partitions(
        id INTEGER PRIMARY KEY,
        start INTEGER NOT NULL,
        next INTEGER NOT NULL,               -- offsets below were given; they are never given again
        cleaned INTEGER NOT NULL,            -- compacted up to here
        survivors INTEGER NOT NULL,          -- entries below `cleaned`
        cleaned_at INTEGER NOT NULL,
        tombstone INTEGER,                   -- when the oldest tombstone below `cleaned` was written
        crc INTEGER NOT NULL
    );
    CREATE TABLE rows(
        id INTEGER PRIMARY KEY,              -- partition << 44 | base
        next INTEGER NOT NULL,               -- end of the row
        latest INTEGER NOT NULL,             -- latest timestamp in it
        peak INTEGER NOT NULL,               -- latest timestamp up to here, for the search by time
        written INTEGER NOT NULL,            -- our clock
        crc INTEGER NOT NULL,                -- of the columns before
        frames BLOB NOT NULL
    );
";

/// Key of a row.
pub(super) fn row_id(partition: u32, offset: Offset) -> i64 {
    i64::from(partition) << OFFSET_BITS | (offset as i64 & (MAX_OFFSET as i64 - 1))
}

/// First and last possible key of a partition.
pub(super) fn id_range(partition: u32) -> (i64, i64) {
    (row_id(partition, 0), row_id(partition, MAX_OFFSET - 1))
}

fn base_of(id: i64) -> Offset {
    (id & (MAX_OFFSET as i64 - 1)) as Offset
}

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Write,
    Read,
    Checkpoint,
}

/// Opens a connection.
pub(super) fn connect(path: &Path, purpose: Use, busy: Duration) -> rusqlite::Result<Connection> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(busy)?;
    conn.execute_batch(&format!("PRAGMA page_size={PAGE}"))?;
    let mode: String = conn.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let why = "the file system does not carry a write-ahead log".to_owned();
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(why)));
    }
    // FULL: each commit is fsynced. NORMAL in WAL mode is not durable at power loss.
    // secure_delete: what retention and compaction remove is overwritten, not just unlinked.
    conn.execute_batch(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;
         PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;",
    )?;
    conn.execute_batch(match purpose {
        Use::Write => "PRAGMA cache_size=-16384;",
        Use::Read => "PRAGMA cache_size=-4096; PRAGMA query_only=ON;",
        Use::Checkpoint => "PRAGMA cache_size=-1024;",
    })?;
    Ok(conn)
}

/// Makes the tables when there are none, and returns the store's identity and format.
pub(super) fn prepare(conn: &Connection, fresh: StoreId) -> rusqlite::Result<(StoreId, i64)> {
    let made = conn.query_row("SELECT 1 FROM sqlite_schema WHERE name='meta'", [], |_| Ok(())).optional()?.is_some();
    if !made {
        conn.execute_batch(SCHEMA)?;
        conn.execute("INSERT INTO meta VALUES('format', ?1), ('store', ?2)", params![FORMAT, fresh])?;
        conn.execute_batch("COMMIT")?;
    }
    let get = "SELECT value FROM meta WHERE key=?1";
    let format = conn.query_row(get, ["format"], |row| row.get(0))?;
    let store = conn.query_row(get, ["store"], |row| row.get(0))?;
    Ok((store, format))
}

/// The columns of a row beside its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowMeta {
    pub partition: u32,
    pub base: Offset,
    pub next: Offset,
    pub latest: i64,
    pub peak: i64,
    pub written: i64,
}

impl RowMeta {
    pub fn id(&self) -> i64 {
        row_id(self.partition, self.base)
    }

    pub fn crc(&self) -> u32 {
        [self.next as i64, self.latest, self.peak, self.written]
            .iter()
            .fold(crc32c::crc32c(&self.id().to_le_bytes()), |crc, n| crc32c::crc32c_append(crc, &n.to_le_bytes()))
    }

    fn of(row: &SqlRow<'_>, partition: u32) -> Result<Self, ReadError> {
        let meta = Self {
            partition,
            base: base_of(row.get(0)?),
            next: row.get::<_, i64>(1)? as Offset,
            latest: row.get(2)?,
            peak: row.get(3)?,
            written: row.get(4)?,
        };
        if row.get::<_, i64>(5)? != i64::from(meta.crc()) || meta.next <= meta.base {
            return Err(ReadError::Damaged { offset: meta.base, detail: "checksum of the row differs" });
        }
        Ok(meta)
    }
}

/// Why a read failed.
#[derive(Debug)]
pub(super) enum ReadError {
    /// SQLite says so.
    Sql(rusqlite::Error),
    /// What is there is not what was written.
    Damaged { offset: Offset, detail: &'static str },
}

impl From<rusqlite::Error> for ReadError {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sql(e)
    }
}

/// What is kept of a partition beside its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub start: Offset,
    pub next: Offset,
    pub cleaned: Offset,
    pub survivors: u64,
    pub cleaned_at: i64,
    pub tombstone: Option<i64>,
}

impl Kept {
    fn crc(&self, partition: u32) -> u32 {
        [
            self.start as i64,
            self.next as i64,
            self.cleaned as i64,
            self.survivors as i64,
            self.cleaned_at,
            self.tombstone.unwrap_or(i64::MIN),
        ]
        .iter()
        .fold(crc32c::crc32c(&partition.to_le_bytes()), |crc, n| crc32c::crc32c_append(crc, &n.to_le_bytes()))
    }

    /// Writes it, within the caller's transaction.
    pub fn save(&self, conn: &Connection, partition: u32) -> rusqlite::Result<()> {
        conn.execute(
            "INSERT OR REPLACE INTO partitions VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
            params![
                partition,
                self.start as i64,
                self.next as i64,
                self.cleaned as i64,
                self.survivors as i64,
                self.cleaned_at,
                self.tombstone,
                self.crc(partition)
            ],
        )?;
        Ok(())
    }
}

/// Statement that adds a row.
pub(super) const INSERT_ROW: &str = "INSERT INTO rows VALUES(?1,?2,?3,?4,?5,?6,?7)";

/// Adds a row with [`INSERT_ROW`].
pub(super) fn insert_row(insert: &mut Statement<'_>, meta: &RowMeta, frames: &[u8]) -> rusqlite::Result<()> {
    insert.execute(params![meta.id(), meta.next as i64, meta.latest, meta.peak, meta.written, meta.crc(), frames])?;
    Ok(())
}

/// The prepared reading statements of one connection. Each call resets its statement before it returns, so no read
/// transaction outlives it and none holds the write-ahead log back.
pub(super) struct Queries<'c> {
    kept: Statement<'c>,
    first: Statement<'c>,
    last: Statement<'c>,
    metas: Statement<'c>,
    rows: Statement<'c>,
    begin: Statement<'c>,
    end: Statement<'c>,
}

impl<'c> Queries<'c> {
    pub fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        // length() of a blob is known from the row's head.
        const META: &str =
            "SELECT id,next,latest,peak,written,crc,length(frames) FROM rows WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
        Ok(Self {
            kept: conn
                .prepare("SELECT start,next,cleaned,survivors,cleaned_at,tombstone,crc FROM partitions WHERE id=?1")?,
            first: conn.prepare(&format!("{META} LIMIT 1"))?,
            last: conn.prepare(&format!("{META} DESC LIMIT 1"))?,
            metas: conn.prepare(META)?,
            // One statement, one snapshot: compaction may join the row that holds ?2 to the one before it.
            rows: conn.prepare(
                "SELECT id,next,latest,peak,written,crc,frames FROM rows
                 WHERE id BETWEEN coalesce((SELECT max(id) FROM rows WHERE id BETWEEN ?1 AND ?2), ?2) AND ?3
                 ORDER BY id",
            )?,
            begin: conn.prepare("BEGIN")?,
            end: conn.prepare("COMMIT")?,
        })
    }

    /// What is kept of a partition beside its rows; all zero when nothing was cleaned up yet.
    pub fn kept(&mut self, partition: u32) -> Result<Kept, ReadError> {
        let mut rows = self.kept.query([partition])?;
        let Some(row) = rows.next()? else { return Ok(Kept::default()) };
        let kept = Kept {
            start: row.get::<_, i64>(0)? as Offset,
            next: row.get::<_, i64>(1)? as Offset,
            cleaned: row.get::<_, i64>(2)? as Offset,
            survivors: row.get::<_, i64>(3)? as u64,
            cleaned_at: row.get(4)?,
            tombstone: row.get(5)?,
        };
        if row.get::<_, i64>(6)? != i64::from(kept.crc(partition)) {
            return Err(ReadError::Damaged { offset: kept.start, detail: "checksum of the partition differs" });
        }
        Ok(kept)
    }

    /// The first row of a partition.
    pub fn first(&mut self, partition: u32) -> Result<Option<RowMeta>, ReadError> {
        let (low, high) = id_range(partition);
        one(&mut self.first, low, high, partition)
    }

    /// The last row of a partition.
    pub fn last(&mut self, partition: u32) -> Result<Option<RowMeta>, ReadError> {
        let (low, high) = id_range(partition);
        one(&mut self.last, low, high, partition)
    }

    /// The row that begins at or before `offset`.
    pub fn at_or_before(&mut self, partition: u32, offset: Offset) -> Result<Option<RowMeta>, ReadError> {
        one(&mut self.last, row_id(partition, 0), row_id(partition, offset), partition)
    }

    /// Runs several queries on one snapshot.
    pub fn on_one_snapshot<T>(&mut self, body: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        let failed = |e: rusqlite::Error| LogError::Unavailable { detail: format!("read: {e}") };
        self.begin.execute([]).map_err(failed)?;
        let result = body(self);
        self.end.execute([]).map_err(failed)?;
        result
    }

    /// Rows from `from` (a base) on, with the size of their frames, for as long as `each` says so.
    pub fn metas(
        &mut self,
        partition: u32,
        from: Offset,
        mut each: impl FnMut(RowMeta, u64) -> bool,
    ) -> Result<(), ReadError> {
        let mut rows = self.metas.query([row_id(partition, from), id_range(partition).1])?;
        while let Some(row) = rows.next()? {
            if !each(RowMeta::of(row, partition)?, row.get::<_, i64>(6)? as u64) {
                break;
            }
        }
        Ok(())
    }

    /// Rows from the one that holds `from` on, up to those that begin below `end`, for as long as `each` says so.
    pub fn rows<E: From<ReadError>>(
        &mut self,
        partition: u32,
        from: Offset,
        end: Offset,
        mut each: impl FnMut(RowMeta, Row) -> Result<bool, E>,
    ) -> Result<(), E> {
        let range = [id_range(partition).0, row_id(partition, from), row_id(partition, end.saturating_sub(1))];
        let mut rows = self.rows.query(range).map_err(ReadError::from)?;
        while let Some(row) = rows.next().map_err(ReadError::from)? {
            let meta = RowMeta::of(row, partition)?;
            let blob = row
                .get_ref(6)
                .map_err(ReadError::from)?
                .as_blob()
                .map_err(|_| ReadError::Damaged { offset: meta.base, detail: "the row holds no frames" })?;
            let frames = bytes::Bytes::copy_from_slice(blob);
            if !each(meta, Row { base: meta.base, next: meta.next, frames })? {
                break;
            }
        }
        Ok(())
    }
}

fn one(statement: &mut Statement<'_>, low: i64, high: i64, partition: u32) -> Result<Option<RowMeta>, ReadError> {
    let mut rows = statement.query([low, high])?;
    rows.next()?.map(|row| RowMeta::of(row, partition)).transpose()
}

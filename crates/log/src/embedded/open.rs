//! Opening: lock, look, recover, compare with the high-watermark file, start the threads.

use std::{
    fmt::Display,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    path::Path,
    time::Duration,
};

use ldop_types::TimestampMs;
use rusqlite::{Connection, ErrorCode};
use tracing::{info, warn};

use super::{
    Config, OpenError,
    guard::{self, DirLock},
    state::{Topic, Topics},
    store::{self, FORMAT, INSERT_ROW, Queries, ReadError, RowMeta, Use},
    wal,
    watermark::{self, StoreId, Watermark, Writer},
};
use crate::port::{Cleanup, TopicName, TopicSpec};

const DATABASE: &str = "log.sqlite";
const WATERMARK: &str = "watermark";

/// What opening found, ready for the threads.
pub(super) struct Opened {
    pub lock: DirLock,
    pub writer: Connection,
    pub flusher: Connection,
    pub upkeep: Connection,
    pub readers: Vec<Connection>,
    pub watermark: Writer,
    pub topics: Topics,
}

pub(super) fn open(config: &Config) -> Result<Opened, OpenError> {
    config.check()?;
    let dir = config.dir.as_path();
    let lock = guard::claim(dir)?;
    let file_error = |source| OpenError::Directory { dir: dir.to_owned(), source };
    let path = dir.join(DATABASE);
    let judge = Judge { dir, accept_loss: config.accept_loss };

    let watermark_path = dir.join(WATERMARK);
    let watermark = match watermark::read(&watermark_path) {
        Ok(watermark) => watermark,
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            judge.damage("the high-watermark file cannot be read")?;
            None
        }
        Err(e) => return Err(file_error(e)),
    };
    look_at_files(&judge, &path, watermark.is_some()).map_err(file_error)??;

    let busy = config.request_timeout.min(Duration::from_secs(5));
    let sql = |e: rusqlite::Error| judge.sql(&path, e);
    let connect = |purpose| store::connect(&path, purpose, busy).map_err(sql);
    let writer = connect(Use::Write)?;
    let (store, format) = store::prepare(&writer, random_id()).map_err(sql)?;
    if format != FORMAT {
        return Err(OpenError::Newer { path, found: format, known: FORMAT });
    }
    let specs = read_topics(&writer).map_err(sql)?;
    let (kept, holes) = {
        let mut queries = Queries::new(&writer).map_err(sql)?;
        compare(&judge, &path, &mut queries, &specs, store, watermark)?
    };
    fill_holes(&writer, &holes).map_err(sql)?;
    let mut watermark = Writer::open(&watermark_path, store, kept).map_err(file_error)?;
    // Written before the first append: from here on a store without this file is one that lost it.
    if let Some(slot) = watermark.take() {
        slot.write().map_err(file_error)?;
    }
    guard::sync_dir(dir).map_err(file_error)?;

    let topics = Topics::default();
    topics.add(specs.iter().map(|(first, spec)| Topic::new(spec, *first)));
    let readers = (0..config.readers).map(|_| connect(Use::Read)).collect::<Result<_, _>>()?;
    let (flusher, upkeep) = (connect(Use::Checkpoint)?, connect(Use::Read)?);
    info!(dir = %dir.display(), topics = specs.len(), "embedded log open");
    Ok(Opened { lock, writer, flusher, upkeep, readers, watermark, topics })
}

/// Decides what damage means: an error, or a warning when its owner accepted the loss.
struct Judge<'a> {
    dir: &'a Path,
    accept_loss: bool,
}

impl Judge<'_> {
    fn damage(&self, detail: impl Display) -> Result<(), OpenError> {
        if self.accept_loss {
            warn!(%detail, "opening in spite of damage, as configured");
            return Ok(());
        }
        Err(OpenError::Damaged { dir: self.dir.to_owned(), detail: detail.to_string() })
    }

    fn sql(&self, path: &Path, source: rusqlite::Error) -> OpenError {
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                OpenError::Damaged { dir: self.dir.to_owned(), detail: source.to_string() }
            }
            _ => OpenError::Database { path: path.to_owned(), source },
        }
    }
}

fn look_at_files(judge: &Judge<'_>, path: &Path, watermark: bool) -> io::Result<Result<(), OpenError>> {
    let wal_path = path.with_extension("sqlite-wal");
    let exists = path.try_exists()?;
    if !exists && (watermark || wal_path.try_exists()?) {
        return Ok(judge.damage(format_args!("{DATABASE} is missing")));
    }
    Ok(match wal::inspect(&wal_path)? {
        wal::Found::Altered { frame } => {
            judge.damage(format_args!("the write-ahead log is altered from frame {frame} on; what follows was durable"))
        }
        wal::Found::TornTail => {
            warn!("the last transaction in the write-ahead log is torn; it is dropped");
            Ok(())
        }
        wal::Found::Nothing | wal::Found::Whole => Ok(()),
    })
}

/// Compares the log with its high-watermark file. Returns what the file goes on from (nothing when it is begun anew) and
/// the holes whose loss was accepted.
fn compare(
    judge: &Judge<'_>,
    path: &Path,
    queries: &mut Queries<'_>,
    specs: &[(u32, TopicSpec)],
    store: StoreId,
    watermark: Option<Watermark>,
) -> Result<(Option<Watermark>, Vec<RowMeta>), OpenError> {
    let Some(watermark) = watermark else {
        if !specs.is_empty() {
            judge.damage("the high-watermark file is missing")?;
        }
        return Ok((None, Vec::new()));
    };
    if watermark.store != store {
        judge.damage("the database is not the one the high-watermark file belongs to")?;
        return Ok((None, Vec::new()));
    }
    let mut holes = Vec::new();
    for &(partition, expected) in &watermark.ends {
        let name = || name_of(specs, partition);
        match queries.kept(partition).and_then(|kept| Ok((kept, queries.last(partition)?))) {
            Ok((kept, last)) => {
                let end = kept.next.max(last.map_or(0, |row| row.next));
                if end < expected {
                    judge.damage(format_args!("{} ends at {end}, but reached {expected}", name()))?;
                    let (peak, written) = last.map_or((i64::MIN, i64::MIN), |row| (row.peak, row.written));
                    holes.push(RowMeta { partition, base: end, next: expected, latest: i64::MIN, peak, written });
                }
            }
            Err(ReadError::Damaged { offset, detail }) => {
                judge.damage(format_args!("{} at {offset}: {detail}", name()))?;
            }
            Err(ReadError::Sql(e)) => match judge.sql(path, e) {
                OpenError::Damaged { detail, .. } => judge.damage(detail)?,
                other => return Err(other),
            },
        }
    }
    Ok((Some(watermark), holes))
}

/// Puts an empty row where entries were lost: their offsets are not given again, and readers pass over.
fn fill_holes(conn: &Connection, holes: &[RowMeta]) -> rusqlite::Result<()> {
    let mut insert = conn.prepare(INSERT_ROW)?;
    holes.iter().try_for_each(|hole| store::insert_row(&mut insert, hole, &[]))
}

fn name_of(specs: &[(u32, TopicSpec)], partition: u32) -> String {
    let found = specs.iter().find(|(first, spec)| (*first..*first + spec.partitions).contains(&partition));
    found.map_or_else(
        || format!("partition number {partition}"),
        |(first, spec)| format!("{}/{}", spec.name, partition - first),
    )
}

/// Cleanup as a number: -1 keep, -2 compact, else retention in milliseconds.
pub(super) fn cleanup_code(cleanup: Cleanup) -> i64 {
    match cleanup {
        Cleanup::Keep => -1,
        Cleanup::Compact => -2,
        Cleanup::CompactSoon => -3,
        Cleanup::Delete { retention } => i64::try_from(retention.as_millis()).unwrap_or(i64::MAX),
    }
}

/// The cleanup a code stands for.
pub(super) fn cleanup_of(code: i64) -> Cleanup {
    match code {
        -2 => Cleanup::Compact,
        -3 => Cleanup::CompactSoon,
        ms => u64::try_from(ms).map_or(Cleanup::Keep, |ms| Cleanup::Delete { retention: Duration::from_millis(ms) }),
    }
}

fn read_topics(conn: &Connection) -> rusqlite::Result<Vec<(u32, TopicSpec)>> {
    let mut read = conn.prepare("SELECT first_partition, name, partitions, cleanup FROM topics")?;
    let rows = read.query_map([], |row| {
        let name: String = row.get(1)?;
        let name = TopicName::parse(&name)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(e)))?;
        Ok((row.get(0)?, TopicSpec { name, partitions: row.get(2)?, cleanup: cleanup_of(row.get(3)?) }))
    })?;
    rows.collect()
}

/// An identity nobody else has, from the randomness of the standard hasher and the clock.
fn random_id() -> StoreId {
    let mut id = [0; 16];
    for half in id.chunks_mut(8) {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_i64(TimestampMs::now().0);
        half.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    id
}

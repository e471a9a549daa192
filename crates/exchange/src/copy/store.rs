//! One file of a current copy: made, opened and checked, written in batches, read.
//!
//! Everything here blocks; callers are off the async threads. A file is made without a journal, under a name that is never
//! taken for a copy's, and renamed when it is whole. From then on it is written in WAL mode, `synchronous = NORMAL`: a power
//! cut may take the last batches, and the positions with them.
//!
//! A file's name holds a number that is never used twice by one process: SQLite removes a `-wal` file by name when the last
//! connection closes, which must not be that of the file's successor.

mod history;
mod making;
pub(super) mod whole;

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use ldop_types::{ExchangeId, TimestampMs};
use parking_lot::{Mutex, RwLock};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension as _, params, types::ValueRef};

use super::{
    Cause, Found, MOST_FOUND_BYTES, MOST_LOOKED_AT, Shown,
    file::{APPLICATION, Followed, IDENTITY, Identity, LAYOUT, PROGRESS, Progress, of_place},
    reading::Question,
    seal::{CopyKey, Name, Sealer},
    tally::{Tally, Total, bounds, weight, weight_of_version},
};

pub(super) use self::making::Making;

/// Bytes of a page.
const PAGE_BYTES: i64 = 8 << 10;
/// Page cache of the connection that makes a file; everything is written in order.
const MAKING_CACHE: usize = 16 << 20;
/// Page cache of the connection that follows.
const WRITING_CACHE: usize = 4 << 20;
/// Page cache of each connection that reads.
const READING_CACHE: usize = 2 << 20;
/// Most connections that read at the same time; further questions wait for one.
pub(super) const READERS: usize = 4;
/// Rows looked at between two looks at whether to go on.
const LOOK_EVERY: u64 = 4_096;

/// Bytes of a body before the names of its secondary keys: exchange id, two times, schema version.
const FIXED_BYTES: usize = 16 + 8 + 8 + 4;
/// A secondary key that a record does not have.
const NO_NAME: Name = [0; 16];

/// Why an operation on a file failed.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The file is not to be used any more.
    Spoilt(Cause, String),
    /// It may succeed another time: no room, too busy.
    Passing(String),
    /// Nobody waits for it any more.
    Stopped,
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted,
            ) => Self::Passing(text),
            Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::Spoilt(Cause::Unreadable, text)
            }
            _ => Self::Spoilt(Cause::Damaged, text),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Passing(error.to_string())
    }
}

fn damaged(what: &str) -> Fault {
    Fault::Spoilt(Cause::Damaged, what.to_owned())
}

/// What a file holds of each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Secondary keys.
    pub(super) many: usize,
    /// Whether every version is kept, not only the latest.
    pub(super) history: bool,
}

/// A record to put into the copy, or to take out of it.
struct Change {
    name: Name,
    place: i64,
    /// Event time.
    time: i64,
    /// Where stands in the batch what the history keeps of it: the body, or the sealed event time of a deletion.
    version: Range<usize>,
    /// Whether nothing told before is to be kept either: an erasure.
    erases: bool,
    /// Where its body stands in the batch; none for a record that was deleted.
    body: Option<Range<usize>>,
}

/// What a record is made of.
pub(super) struct Given<'r> {
    pub(super) exchange_id: ExchangeId,
    pub(super) event_time: TimestampMs,
    pub(super) accepted_time: TimestampMs,
    pub(super) schema_version: u32,
    pub(super) payload: &'r [u8],
}

/// That a record is no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    /// Event time of the deletion.
    pub(super) time: TimestampMs,
    /// Whether what was told of it before is to be forgotten too.
    pub(super) erases: bool,
}

/// Changes of one partition: the last one of each key, or all where a file is made. Bodies are sealed when they are put in.
pub(super) struct Batch {
    bodies: Vec<u8>,
    /// Names of secondary keys, as many for each change as there are.
    secondary: Vec<Name>,
    changes: Vec<Change>,
    /// The change of each key; none where all are kept.
    latest: Option<HashMap<Name, usize>>,
}

impl Batch {
    /// Room for records of this many bytes; of several of one key the last one is kept, or all.
    pub(super) fn with_room(records: usize, bytes: usize, is_all: bool) -> Self {
        Self {
            bodies: Vec::with_capacity(bytes),
            secondary: Vec::new(),
            changes: Vec::with_capacity(records),
            latest: (!is_all).then(|| HashMap::with_capacity(records)),
        }
    }

    /// Puts the next record of a key in, or its deletion. `secondary` are the record's secondary keys.
    pub(super) fn put(
        &mut self,
        sealer: &Sealer,
        name: Name,
        place: i64,
        record: Result<Given<'_>, Gone>,
        secondary: &[Option<Vec<u8>>],
    ) {
        let start = self.bodies.len();
        let names = self.secondary.len();
        for (index, key) in secondary.iter().enumerate() {
            let of = u8::try_from(index + 1).expect("there are at most 8 secondary keys");
            self.secondary.push(key.as_ref().map_or(NO_NAME, |key| sealer.name(of, key)));
        }
        let time = record.as_ref().map_or_else(|gone| gone.time.0, |record| record.event_time.0);
        let erases = record.as_ref().is_err_and(|gone| gone.erases);
        let body = record.ok().map(|record| {
            self.bodies.extend_from_slice(record.exchange_id.as_bytes());
            self.bodies.extend_from_slice(&record.event_time.0.to_le_bytes());
            self.bodies.extend_from_slice(&record.accepted_time.0.to_le_bytes());
            self.bodies.extend_from_slice(&record.schema_version.to_le_bytes());
            for name in &self.secondary[names..] {
                self.bodies.extend_from_slice(name);
            }
            self.bodies.extend_from_slice(record.payload);
            sealer.seal(&name, place, &mut self.bodies, start);
            start..self.bodies.len()
        });
        let version = body.clone().unwrap_or_else(|| {
            self.bodies.extend_from_slice(&time.to_le_bytes());
            sealer.seal(&name, place, &mut self.bodies, start);
            start..self.bodies.len()
        });
        let change = Change { name, place, time, version, erases, body };
        let Some(latest) = &mut self.latest else { return self.changes.push(change) };
        match latest.entry(name) {
            Slot::Vacant(slot) => {
                slot.insert(self.changes.len());
                self.changes.push(change);
            }
            Slot::Occupied(slot) => {
                // The same key again: the record before it need not be written.
                let at = *slot.get();
                self.changes[at] = change;
                let many = secondary.len();
                self.secondary.copy_within(names.., at * many);
                self.secondary.truncate(names);
            }
        }
    }
}

/// A body, taken apart.
struct Body<'b> {
    secondary: &'b [u8],
    record: Given<'b>,
}

impl Given<'_> {
    fn found(&self, place: i64) -> Found {
        let (partition, offset) = of_place(place);
        Found {
            partition,
            offset,
            exchange_id: self.exchange_id,
            event_time: self.event_time,
            accepted_time: self.accepted_time,
            schema_version: self.schema_version,
            payload: Bytes::copy_from_slice(self.payload),
        }
    }
}

fn take_apart(body: &[u8], many: usize) -> Option<Body<'_>> {
    let (fixed, rest) = body.split_at_checked(FIXED_BYTES)?;
    let (secondary, payload) = rest.split_at_checked(many * size_of::<Name>())?;
    let number = |at: usize| fixed[at..at + 8].try_into().map(i64::from_le_bytes).ok();
    let record = Given {
        exchange_id: ExchangeId::parse(&fixed[..16]).ok()?,
        event_time: TimestampMs(number(16)?),
        accepted_time: TimestampMs(number(24)?),
        schema_version: u32::from_le_bytes(fixed[32..].try_into().ok()?),
        payload,
    };
    Some(Body { secondary, record })
}

fn names(secondary: &[u8]) -> impl Iterator<Item = Name> {
    let names = secondary.chunks_exact(size_of::<Name>()).map(|name| name.try_into().expect("16 bytes"));
    names.filter(|name: &Name| *name != NO_NAME)
}

/// What memory knows of the tables.
struct Tallies {
    progress: Progress,
    rows: Tally,
    secondary: Tally,
    /// None where no history is kept.
    history: Option<Tally>,
}

impl Tallies {
    fn new(progress: Progress, shape: Shape) -> Self {
        let history = shape.history.then(Tally::new);
        Self { progress, rows: Tally::new(), secondary: Tally::new(), history }
    }

    /// For each name of a question the sum over its bucket.
    fn of(&self, question: &Question) -> Vec<u64> {
        match question {
            Question::Names(names) => names.iter().map(|name| self.rows.of(name)).collect(),
            Question::Secondary { name, .. } => vec![self.secondary.of(name)],
            Question::AsOf { names, .. } => {
                let sum = |name| self.history.as_ref().map_or(0, |history| history.of(name));
                names.iter().map(sum).collect()
            }
        }
    }

    fn row(&mut self, name: &Name, seq: i64) {
        let weight = weight(name, seq);
        self.progress.rows.add(weight);
        self.rows.add(name, weight);
    }

    fn without_row(&mut self, name: &Name, seq: i64) {
        let weight = weight(name, seq);
        self.progress.rows.remove(weight);
        self.rows.remove(name, weight);
    }

    fn secondary(&mut self, name: &Name, seq: i64) {
        let weight = weight(name, seq);
        self.progress.secondary.add(weight);
        self.secondary.add(name, weight);
    }

    fn version(&mut self, name: &Name, version: [i64; 3]) {
        let weight = weight_of_version(name, version);
        self.progress.history.add(weight);
        if let Some(history) = &mut self.history {
            history.add(name, weight);
        }
    }

    fn without_version(&mut self, name: &Name, version: [i64; 3]) {
        let weight = weight_of_version(name, version);
        self.progress.history.remove(weight);
        if let Some(history) = &mut self.history {
            history.remove(name, weight);
        }
    }

    fn without_secondary(&mut self, name: &Name, seq: i64) {
        let weight = weight(name, seq);
        self.progress.secondary.remove(weight);
        self.secondary.remove(name, weight);
    }
}

/// A change of a table, to be counted when its transaction is through.
enum Counted {
    Row(Name, i64),
    NoRow(Name, i64),
    Secondary(Name, i64),
    NoSecondary(Name, i64),
    /// Event time, place and row of a version.
    Version(Name, [i64; 3]),
    NoVersion(Name, [i64; 3]),
}

/// A file that is followed and read.
pub(super) struct Store {
    path: PathBuf,
    pub(super) shape: Shape,
    pub(super) sealer: Arc<Sealer>,
    writer: Mutex<(Connection, Vec<Counted>)>,
    readers: Mutex<Vec<Connection>>,
    tallies: RwLock<Tallies>,
    /// What the file and its `-wal` are, so that others in their place are noticed.
    files: [(PathBuf, Inode); 2],
    /// Something was found wrong with it: nothing is read nor written any more.
    is_spoilt: AtomicBool,
}

type Inode = (u64, u64);

/// What was read, and how far the copy had followed then.
pub(super) struct Answered {
    pub(super) found: Vec<Option<Found>>,
    pub(super) more: bool,
    pub(super) withheld: u64,
    pub(super) positions: Vec<u64>,
}

impl Store {
    /// Opens a file and reads all of it: every row and what the tables should hold in sum.
    pub(super) fn open(
        path: PathBuf,
        identity: Identity,
        key: Option<&CopyKey>,
        shape: Shape,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Self, Fault> {
        let conn = connect(&path)?;
        let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if (number("application_id")?, number("user_version")?) != (APPLICATION, LAYOUT) {
            return Err(Fault::Spoilt(Cause::OtherLayout, "not a file of this layout".into()));
        }
        let (found, salt) =
            meta(&conn, IDENTITY)?.and_then(|bytes| Identity::decode(&bytes)).ok_or_else(|| damaged("identity"))?;
        if found.hub_id != identity.hub_id || found.topic != identity.topic {
            return Err(Fault::Spoilt(Cause::OtherLog, format!("made from {}", found.topic)));
        }
        if found.purpose != identity.purpose {
            return Err(Fault::Spoilt(Cause::Definition, "made for another definition or with another key".into()));
        }
        let stored = progress(&conn)?;
        let sealer = Arc::new(Sealer::new(key, &salt, &identity.topic));
        let mut tallies = Tallies::new(Progress::default(), shape);
        let in_rows = look_at_rows(&conn, &sealer, shape.many, &mut tallies, go_on)?;
        look_at_secondary(&conn, &mut tallies, go_on)?;
        history::look_at(&conn, &sealer, shape, &mut tallies, go_on)?;
        let held = [tallies.progress.rows, tallies.progress.secondary, in_rows, tallies.progress.history];
        if held != [stored.rows, stored.secondary, stored.secondary, stored.history] {
            return Err(damaged("the tables do not hold what was written"));
        }
        tallies.progress = stored;
        Self::start(path, shape, sealer, conn, tallies)
    }

    fn start(
        path: PathBuf,
        shape: Shape,
        sealer: Arc<Sealer>,
        conn: Connection,
        mut tallies: Tallies,
    ) -> Result<Self, Fault> {
        set_cache(&conn, WRITING_CACHE)?;
        // A first write, so that the `-wal` is there.
        let progress = Progress { sequence: tallies.progress.sequence + 1, ..tallies.progress.clone() };
        put_progress(&conn, &progress)?;
        tallies.progress = progress;
        let mut wal = path.clone().into_os_string();
        wal.push("-wal");
        let files = [path.clone(), PathBuf::from(wal)];
        let [Some(main), Some(log)] = [inode(&files[0]), inode(&files[1])] else {
            return Err(Fault::Spoilt(Cause::Deleted, "gone while it was opened".into()));
        };
        let [first, second] = files;
        Ok(Self {
            path,
            shape,
            sealer,
            writer: Mutex::new((conn, Vec::new())),
            readers: Mutex::new(Vec::new()),
            tallies: RwLock::new(tallies),
            files: [(first, main), (second, log)],
            is_spoilt: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where each partition stands.
    pub(super) fn partitions(&self) -> Vec<Followed> {
        self.tallies.read().progress.partitions.clone()
    }

    /// Records it holds.
    pub(super) fn records(&self) -> u64 {
        self.tallies.read().progress.rows.entries
    }

    /// Puts a batch in, with its position, in one transaction.
    pub(super) fn put(&self, batch: &Batch, partition: u32, followed: Followed) -> Result<(), Fault> {
        self.check_files()?;
        self.noticing(self.put_in(batch, partition, followed))
    }

    fn put_in(&self, batch: &Batch, partition: u32, followed: Followed) -> Result<(), Fault> {
        let mut writer = self.writer.lock();
        let (conn, counted) = &mut *writer;
        counted.clear();
        let mut progress = self.tallies.read().progress.clone();
        progress.sequence += 1;
        progress.partitions[partition as usize] = followed;
        let transaction = conn.unchecked_transaction()?;
        // What the file says of itself has to be what memory knows: somebody may have put an older state in its place.
        if self::progress(&transaction)?.sequence + 1 != progress.sequence {
            return Err(Fault::Spoilt(Cause::Damaged, "an older state stands in its place".into()));
        }
        write(&transaction, &self.sealer, self.shape, batch, counted)?;
        for counted in counted.iter() {
            match counted {
                Counted::Row(name, seq) => progress.rows.add(weight(name, *seq)),
                Counted::NoRow(name, seq) => progress.rows.remove(weight(name, *seq)),
                Counted::Secondary(name, seq) => progress.secondary.add(weight(name, *seq)),
                Counted::NoSecondary(name, seq) => progress.secondary.remove(weight(name, *seq)),
                Counted::Version(name, version) => progress.history.add(weight_of_version(name, *version)),
                Counted::NoVersion(name, version) => progress.history.remove(weight_of_version(name, *version)),
            }
        }
        put_progress(&transaction, &progress)?;
        // Held over the commit: whoever reads takes what memory knows and the state of the file together.
        let mut tallies = self.tallies.write();
        transaction.commit()?;
        count(&mut tallies, counted);
        debug_assert_eq!((tallies.progress.rows, tallies.progress.secondary), (progress.rows, progress.secondary));
        tallies.progress = progress;
        Ok(())
    }

    /// Answers questions from one state of the file, in their order.
    pub(super) fn answer(&self, questions: &[Question]) -> Result<Vec<Answered>, Fault> {
        self.reading(|conn| {
            let (transaction, known, positions) =
                self.state(conn, |tallies| questions.iter().map(|question| tallies.of(question)).collect::<Vec<_>>())?;
            let answer = |(question, sums): (&Question, Vec<u64>)| {
                let positions = positions.clone();
                match question {
                    Question::Names(names) => {
                        let found = self.by_names(&transaction, names, &sums)?;
                        Ok(Answered { found, more: false, withheld: 0, positions })
                    }
                    Question::Secondary { name, most, shown } => {
                        self.by_secondary(&transaction, name, sums[0], *most, shown.as_deref(), positions)
                    }
                    Question::AsOf { names, time } => {
                        let found = self.as_of(&transaction, names, *time, &sums)?;
                        Ok(Answered { found, more: false, withheld: 0, positions })
                    }
                }
            };
            questions.iter().zip(known).map(answer).collect()
        })
    }

    /// The records of some keys, in the order of the names.
    fn by_names(&self, conn: &Connection, names: &[Name], known: &[u64]) -> Result<Vec<Option<Found>>, Fault> {
        let mut one = conn.prepare_cached(
            "SELECT rows.place, rows.body FROM names JOIN rows ON rows.seq = names.seq WHERE names.name = ?1",
        )?;
        let mut found = Vec::with_capacity(names.len());
        for (name, sum) in names.iter().zip(known) {
            let row = one.query_row([name], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?;
            found.push(match row {
                Some((place, body)) => Some(self.record(name, place, body, None)?),
                None => {
                    let mut all = conn.prepare_cached("SELECT name, seq FROM names WHERE name BETWEEN ?1 AND ?2")?;
                    if !check_bucket(&mut all, name, *sum)?.is_empty() {
                        return Err(damaged("a row that is known is not there"));
                    }
                    None
                }
            });
        }
        Ok(found)
    }

    /// At most `most` records with a secondary key of this name that may be shown, oldest in the copy first.
    fn by_secondary(
        &self,
        conn: &Connection,
        name: &Name,
        known: u64,
        most: usize,
        shown: Option<&Shown>,
        positions: Vec<u64>,
    ) -> Result<Answered, Fault> {
        let mut all = conn.prepare_cached("SELECT name, seq FROM secondary WHERE name BETWEEN ?1 AND ?2")?;
        let rows = check_bucket(&mut all, name, known)?;
        let mut one = conn.prepare_cached("SELECT name, place, body FROM rows WHERE seq = ?1")?;
        let mut answered = Answered { found: Vec::new(), more: false, withheld: 0, positions };
        let mut bytes = 0;
        for (looked, seq) in rows.into_iter().enumerate() {
            if looked == MOST_LOOKED_AT || bytes >= MOST_FOUND_BYTES {
                answered.more = true;
                break;
            }
            let row = one
                .query_row([seq], |row| Ok((row.get::<_, Name>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?)));
            let (row, place, body) = row.optional()?.ok_or_else(|| damaged("a row that is known is not there"))?;
            let record = self.record(&row, place, body, Some(name))?;
            if shown.is_some_and(|shown| !shown(&record.payload)) {
                answered.withheld += 1;
            } else if answered.found.len() == most {
                answered.more = true;
                break;
            } else {
                bytes += record.payload.len();
                answered.found.push(Some(record));
            }
        }
        Ok(answered)
    }

    /// The state of the file, and what memory knew of that very state.
    fn state<'c, T>(
        &self,
        conn: &'c Connection,
        known: impl FnOnce(&Tallies) -> T,
    ) -> Result<(rusqlite::Transaction<'c>, T, Vec<u64>), Fault> {
        let transaction = conn.unchecked_transaction()?;
        let tallies = self.tallies.read();
        let known = known(&tallies);
        // The first statement decides which state the transaction sees.
        let bytes = meta(&transaction, PROGRESS)?;
        let sequence = tallies.progress.sequence;
        drop(tallies);
        let progress = bytes.and_then(|bytes| Progress::decode(&bytes)).ok_or_else(|| damaged("progress"))?;
        if progress.sequence != sequence {
            return Err(Fault::Spoilt(Cause::Damaged, "an older state stands in its place".into()));
        }
        Ok((transaction, known, progress.partitions.iter().map(|followed| followed.next).collect()))
    }

    fn record(&self, name: &Name, place: i64, mut body: Vec<u8>, having: Option<&Name>) -> Result<Found, Fault> {
        let altered = || damaged("a row was altered");
        let body = self.sealer.open(name, place, &mut body).ok_or_else(altered)?;
        let Body { secondary, record } = take_apart(body, self.shape.many).ok_or_else(altered)?;
        if having.is_some_and(|having| names(secondary).all(|name| name != *having)) {
            return Err(damaged("a row has another secondary key"));
        }
        Ok(record.found(place))
    }

    fn reading<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.is_spoilt.load(Ordering::Acquire) {
            return Err(damaged("found before"));
        }
        self.noticing(self.read_with(read))
    }

    fn read_with<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let kept = self.readers.lock().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => {
                let conn = connect(&self.path)?;
                conn.pragma_update(None, "query_only", true)?;
                set_cache(&conn, READING_CACHE)?;
                conn
            }
        };
        let answer = read(&conn)?;
        // Behind the read: what was read is of the files that are known.
        self.check_files()?;
        let mut readers = self.readers.lock();
        if readers.len() < READERS {
            readers.push(conn);
        }
        Ok(answer)
    }

    /// Whether nothing was found wrong, and the files under their names are those that are open.
    pub(super) fn check_files(&self) -> Result<(), Fault> {
        if self.is_spoilt.load(Ordering::Acquire) {
            return Err(damaged("found before"));
        }
        let is_same = |(path, known): &(PathBuf, Inode)| inode(path) == Some(*known);
        let checked = if self.files.iter().all(is_same) {
            Ok(())
        } else {
            Err(Fault::Spoilt(Cause::Deleted, "its files are gone, or others stand in their place".into()))
        };
        self.noticing(checked)
    }

    fn noticing<T>(&self, done: Result<T, Fault>) -> Result<T, Fault> {
        if matches!(done, Err(Fault::Spoilt(..))) {
            self.is_spoilt.store(true, Ordering::Release);
        }
        done
    }
}

/// Removes a file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn inode(path: &Path) -> Option<Inode> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    // What a damaged file asks for is not done.
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Fault::Passing(format!("journal mode is {mode}")));
    }
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // What was deleted is overwritten, not just unlinked.
    conn.pragma_update(None, "secure_delete", "ON")?;
    Ok(conn)
}

fn set_cache(conn: &Connection, bytes: usize) -> Result<(), Fault> {
    Ok(conn.pragma_update(None, "cache_size", -i64::try_from(bytes >> 10).unwrap_or(i64::MAX))?)
}

fn meta(conn: &Connection, id: i64) -> Result<Option<Vec<u8>>, Fault> {
    let mut statement = conn.prepare_cached("SELECT value FROM meta WHERE id = ?1")?;
    Ok(statement.query_row([id], |row| row.get(0)).optional()?)
}

fn progress(conn: &Connection) -> Result<Progress, Fault> {
    meta(conn, PROGRESS)?.and_then(|bytes| Progress::decode(&bytes)).ok_or_else(|| damaged("progress"))
}

fn put_progress(conn: &Connection, progress: &Progress) -> Result<(), Fault> {
    let mut statement = conn.prepare_cached("UPDATE meta SET value = ?2 WHERE id = ?1")?;
    if statement.execute(params![PROGRESS, progress.encode()])? != 1 {
        return Err(damaged("progress"));
    }
    Ok(())
}

fn write(
    conn: &Connection,
    sealer: &Sealer,
    shape: Shape,
    batch: &Batch,
    counted: &mut Vec<Counted>,
) -> Result<(), Fault> {
    let mut find = conn.prepare_cached("SELECT seq FROM names WHERE name = ?1")?;
    let mut known = conn.prepare_cached("SELECT place, body FROM rows WHERE seq = ?1")?;
    let mut insert = conn.prepare_cached("INSERT INTO rows(name, place, body) VALUES (?1, ?2, ?3)")?;
    let mut lead = conn.prepare_cached("INSERT INTO names(name, seq) VALUES (?1, ?2)")?;
    let mut forget = conn.prepare_cached("DELETE FROM names WHERE name = ?1")?;
    let mut update = conn.prepare_cached("UPDATE rows SET place = ?2, body = ?3 WHERE seq = ?1")?;
    let mut delete = conn.prepare_cached("DELETE FROM rows WHERE seq = ?1")?;
    let mut connect = conn.prepare_cached("INSERT INTO secondary(name, seq) VALUES (?1, ?2)")?;
    let mut part = conn.prepare_cached("DELETE FROM secondary WHERE name = ?1 AND seq = ?2")?;
    let many = shape.many;
    for (at, change) in batch.changes.iter().enumerate() {
        let Change { name, place, time, version, erases, body } = change;
        if shape.history {
            if *erases {
                history::forget(conn, name, *place, |version| counted.push(Counted::NoVersion(*name, version)))?;
            }
            let version = history::keep(conn, name, *time, *place, &batch.bodies[version.clone()])?;
            counted.push(Counted::Version(*name, version));
        }
        let Some(seq) = find.query_row([name], |row| row.get::<_, i64>(0)).optional()? else {
            let Some(body) = body else { continue }; // deleted, and was not there
            insert.execute(params![name, place, &batch.bodies[body.clone()]])?;
            let seq = conn.last_insert_rowid();
            lead.execute(params![name, seq])?;
            counted.push(Counted::Row(*name, seq));
            for secondary in &batch.secondary[at * many..(at + 1) * many] {
                if *secondary != NO_NAME {
                    connect.execute(params![secondary, seq])?;
                    counted.push(Counted::Secondary(*secondary, seq));
                }
            }
            continue;
        };
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
        let Some((old_place, mut old)) = known.query_row([seq], row).optional()? else {
            return Err(damaged("a row that is known is not there"));
        };
        let old = sealer.open(name, old_place, &mut old).and_then(|body| take_apart(body, many));
        let Some(Body { secondary: before, .. }) = old else { return Err(damaged("a row was altered")) };
        let after: &[Name] = if body.is_some() { &batch.secondary[at * many..(at + 1) * many] } else { &[] };
        for gone in names(before).filter(|name| !after.contains(name)) {
            if part.execute(params![gone, seq])? != 1 {
                return Err(damaged("a secondary key that is known is not there"));
            }
            counted.push(Counted::NoSecondary(gone, seq));
        }
        for new in after.iter().filter(|name| **name != NO_NAME && names(before).all(|known| known != **name)) {
            connect.execute(params![new, seq])?;
            counted.push(Counted::Secondary(*new, seq));
        }
        let done = match body {
            Some(body) => update.execute(params![seq, place, &batch.bodies[body.clone()]])?,
            None => {
                counted.push(Counted::NoRow(*name, seq));
                forget.execute([name])?;
                delete.execute([seq])?
            }
        };
        if done != 1 {
            return Err(damaged("a row that is known is not there"));
        }
    }
    Ok(())
}

fn count(tallies: &mut Tallies, counted: &mut Vec<Counted>) {
    for counted in counted.drain(..) {
        match counted {
            Counted::Row(name, seq) => tallies.row(&name, seq),
            Counted::NoRow(name, seq) => tallies.without_row(&name, seq),
            Counted::Secondary(name, seq) => tallies.secondary(&name, seq),
            Counted::NoSecondary(name, seq) => tallies.without_secondary(&name, seq),
            Counted::Version(name, version) => tallies.version(&name, version),
            Counted::NoVersion(name, version) => tallies.without_version(&name, version),
        }
    }
}

/// Reads every row; gives what secondary keys they should have in sum.
fn look_at_rows(
    conn: &Connection,
    sealer: &Sealer,
    many: usize,
    tallies: &mut Tallies,
    go_on: &dyn Fn() -> bool,
) -> Result<Total, Fault> {
    let mut statement = conn.prepare("SELECT seq, name, place, body FROM rows")?;
    let mut rows = statement.query([])?;
    let (mut secondary, mut looked) = (Total::default(), 0_u64);
    let mut opened = Vec::new();
    while let Some(row) = rows.next()? {
        looked += 1;
        if looked.is_multiple_of(LOOK_EVERY) && !go_on() {
            return Err(Fault::Stopped);
        }
        let (seq, name, place) = (row.get::<_, i64>(0)?, row.get::<_, Name>(1)?, row.get::<_, i64>(2)?);
        let ValueRef::Blob(body) = row.get_ref(3)? else { return Err(damaged("a row has no body")) };
        opened.clear();
        opened.extend_from_slice(body);
        let body = sealer.open(&name, place, &mut opened).and_then(|body| take_apart(body, many));
        let body = body.ok_or_else(|| damaged("a row was altered"))?;
        tallies.row(&name, seq);
        for name in names(body.secondary) {
            secondary.add(weight(&name, seq));
        }
    }
    look_at_names(conn, tallies.progress.rows, go_on)?;
    Ok(secondary)
}

/// Reads the index of names, which must lead to the same rows.
fn look_at_names(conn: &Connection, rows: Total, go_on: &dyn Fn() -> bool) -> Result<(), Fault> {
    let mut statement = conn.prepare("SELECT name, seq FROM names")?;
    let mut found = statement.query([])?;
    let mut total = Total::default();
    while let Some(row) = found.next()? {
        total.add(weight(&row.get::<_, Name>(0)?, row.get(1)?));
        if total.entries.is_multiple_of(LOOK_EVERY) && !go_on() {
            return Err(Fault::Stopped);
        }
    }
    if total == rows { Ok(()) } else { Err(damaged("the index of names does not lead to the rows")) }
}

fn look_at_secondary(conn: &Connection, tallies: &mut Tallies, go_on: &dyn Fn() -> bool) -> Result<(), Fault> {
    let mut statement = conn.prepare("SELECT name, seq FROM secondary")?;
    let mut rows = statement.query([])?;
    let mut looked = 0_u64;
    while let Some(row) = rows.next()? {
        looked += 1;
        if looked.is_multiple_of(LOOK_EVERY) && !go_on() {
            return Err(Fault::Stopped);
        }
        tallies.secondary(&row.get::<_, Name>(0)?, row.get(1)?);
    }
    Ok(())
}

/// Reads the bucket of a name, compares it with the sum it should have, and gives the rows of the name itself.
fn check_bucket(all: &mut CachedStatement<'_>, name: &Name, sum: u64) -> Result<Vec<i64>, Fault> {
    let (first, last) = bounds(name);
    let mut rows = all.query([&first[..], &last[..]])?;
    let (mut found, mut of_name) = (0_u64, Vec::new());
    while let Some(row) = rows.next()? {
        let (entry, seq) = (row.get::<_, Name>(0)?, row.get::<_, i64>(1)?);
        found = found.wrapping_add(weight(&entry, seq));
        if entry == *name {
            of_name.push(seq);
        }
    }
    if found != sum {
        return Err(damaged("an index does not hold what was written"));
    }
    Ok(of_name)
}

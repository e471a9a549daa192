//! Current copies: the latest record of each key of a dataset that asks for one, in each stage, to answer look-ups from.
//!
//! **Derived from the log, rebuilt from the log, never the source.** A copy is one SQLite file. Records and the position up to
//! which the log was followed are written in one transaction, so a copy always stands at a position, which its answers name.
//! Whatever is wrong with a file - it is ahead of the log, of another log, layout or definition, damaged, deleted or exchanged
//! under the running hub - the copy is **never answered from** again: it is discarded, told once in the log, and made anew.
//!
//! - `seal`: how records are named and sealed in a file; encryption where the dataset holds personal data.
//! - `tally`: how a record that is *not* found is known not to be there.
//! - `runs`: sorting names while a file is made.
//! - `file`, `store`: what a file says of itself; making, opening, writing and reading one; `store/history`: every version of a record,
//!   where the definition asks for them.
//! - `reading`: questions, answered many at a time.
//! - `follow`: the task that follows the log for one copy.
//! - `whole`: all of a copy at one position, for exports.
//!
//! A file is read as a whole when it is opened, every seal and every sum; from then on what an answer rests on is checked with
//! each answer. Memory does not grow with records: 1 MiB for each copy, half as much more with history, up to 4 connections that read with 2 MiB each and one
//! that writes with 4 MiB, one chunk of 256 KiB for each partition; 2 MiB and two pages of 512 KiB for each export; and for the
//! one copy at a time that is being made, 16 MiB, 36 MiB for its names, as much for those of secondary keys and for its history, one
//! bit for each record, and six chunks of 1 MiB.

mod file;
mod follow;
mod reading;
mod runs;
mod seal;
mod store;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod whole;

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use ldop_control::{Control, ControlState};
use ldop_log::{LogError, Offset, Partition, TopicName};
use ldop_schema_registry::document::KEY_SEPARATOR;
use ldop_types::{DatasetName, ExchangeId, Stage, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

pub use self::seal::{CopyKey, KeyFileError};
use self::{
    file::Identity,
    follow::Follower,
    reading::{Question, Reading},
    seal::digest,
    store::{Answered, Fault, Shape, Store},
};
use crate::{header, writer::Shared};

/// Most record keys of one look-up.
pub const MOST_KEYS: usize = 1_000;
/// Most records found by a secondary key.
pub const MOST_FOUND: usize = 1_000;
/// Most bytes of records found by a secondary key; the last one may go beyond.
pub const MOST_FOUND_BYTES: usize = 4 << 20;
/// Most records with a secondary key that are looked at, whether they are to be shown or not.
pub const MOST_LOOKED_AT: usize = 10_000;

/// Whether a record may be shown; the others are passed over as if they were not there.
pub(crate) type Shown = dyn Fn(&[u8]) -> bool + Send + Sync;

/// A look-up in a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// By record keys, as [`key_bytes`] makes them; at most [`MOST_KEYS`]. The answer has one place for each.
    Keys(Vec<Bytes>),
    /// By record keys, as [`key_bytes`] makes them, at most [`MOST_KEYS`]: what held at a time. Of each the record with the latest
    /// event time not after it, of several the one accepted last; none where there was none yet, or it was deleted by then.
    AsOf {
        /// The keys. The answer has one place for each.
        keys: Vec<Bytes>,
        /// The time.
        time: TimestampMs,
    },
    /// By the values of a secondary key.
    Secondary {
        /// The fields, as the dataset's definition has them.
        fields: Vec<String>,
        /// Their values, as [`key_bytes`] makes them.
        key: Bytes,
        /// Most records to find, at most [`MOST_FOUND`].
        most: usize,
    },
}

/// The latest record of a key. `Debug` shows no payload: it may be personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// Partition it stands in.
    pub partition: u32,
    /// Its position there.
    pub offset: Offset,
    /// Its exchange id.
    pub exchange_id: ExchangeId,
    /// When the stated fact came about.
    pub event_time: TimestampMs,
    /// When the hub accepted it.
    pub accepted_time: TimestampMs,
    /// Schema version it was checked against.
    pub schema_version: u32,
    /// The record, as published, without a frame.
    pub payload: Bytes,
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Found({}/{}, {} bytes)", self.partition, self.offset, self.payload.len())
    }
}

/// What a copy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Asked by keys: one for each, in their order; none where there is no record. By secondary key: those found.
    pub records: Vec<Option<Found>>,
    /// By secondary key: there are more than were asked for, or may be: it was not looked at more than [`MOST_LOOKED_AT`], and
    /// not more than [`MOST_FOUND_BYTES`] are given.
    pub more: bool,
    /// By secondary key: those looked at that may not be shown.
    pub withheld: u64,
    /// Where the copy stands: the next entry of each partition that is not in it.
    pub positions: Vec<(u32, Offset)>,
    /// What was accepted up to then is in it.
    pub followed: TimestampMs,
}

/// Why a copy does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The dataset's definition asks for none, or there is no such dataset.
    NoCopy,
    /// It holds personal data, and no key file is configured to encrypt a copy with.
    NoKey,
    /// It is being made, or made anew.
    NotReady,
    /// It stands further back than was asked for.
    TooOld {
        /// What was accepted up to then is in it.
        followed: TimestampMs,
    },
    /// The definition has no such secondary key.
    NoSuchKey,
    /// The definition asks for no history.
    NoHistory,
    /// Too much is asked for at once.
    TooMuch {
        /// Most keys, or most records.
        most: usize,
    },
    /// It could not be read just now.
    Unavailable,
}

/// Why a copy is made, or made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There was none.
    First,
    /// It had followed the log further than the log goes.
    AheadOfLog,
    /// It was made from another log, or the log was replaced.
    OtherLog,
    /// Another layout, as of another release.
    OtherLayout,
    /// Other secondary keys, with history or without, another key file, or personal data where there was none.
    Definition,
    /// It does not hold what was written.
    Damaged,
    /// It is no such file, or cannot be opened.
    Unreadable,
    /// Its files were deleted or exchanged under the running hub.
    Deleted,
    /// It was so far behind that making it anew is faster.
    Behind,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 9] = [
        Self::First,
        Self::AheadOfLog,
        Self::OtherLog,
        Self::OtherLayout,
        Self::Definition,
        Self::Damaged,
        Self::Unreadable,
        Self::Deleted,
        Self::Behind,
    ];

    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::AheadOfLog => "ahead_of_log",
            Self::OtherLog => "other_log",
            Self::OtherLayout => "other_layout",
            Self::Definition => "definition",
            Self::Damaged => "damaged",
            Self::Unreadable => "unreadable",
            Self::Deleted => "deleted",
            Self::Behind => "behind",
        }
    }
}

/// The bytes of a key from the values of its fields, in order: texts as they are, integers in decimal. None where a value is
/// empty or holds the separator: no record has such a key.
#[must_use]
pub fn key_bytes<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Bytes> {
    let mut key = String::new();
    for (at, value) in values.into_iter().enumerate() {
        if value.is_empty() || value.contains(KEY_SEPARATOR) {
            return None;
        }
        if at > 0 {
            key.push(KEY_SEPARATOR);
        }
        key.push_str(value);
    }
    (!key.is_empty()).then(|| key.into())
}

/// What a copy is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    dataset: DatasetName,
    stage: Stage,
    topic: TopicName,
    partitions: u32,
    /// Fields of each secondary key.
    secondary: Vec<Vec<String>>,
    shape: Shape,
    is_encrypted: bool,
    /// Whether record keys stand hashed on the log.
    hashed_keys: bool,
    identity: Identity,
}

/// A copy and its state.
struct Kept {
    plan: Plan,
    /// What may be answered from.
    store: ArcSwapOption<Store>,
    /// What was accepted up to then is in it, by partition.
    followed: Vec<AtomicI64>,
    /// Entries of the log that are not in it.
    lag: Vec<AtomicU64>,
    /// Why it may not be answered from any more, and what was found.
    spoilt: Mutex<Option<(Cause, String)>>,
    changed: Notify,
    reading: Arc<Reading>,
}

impl Kept {
    fn new(plan: Plan) -> Self {
        let each = || 0..plan.partitions;
        Self {
            store: ArcSwapOption::empty(),
            followed: each().map(|_| AtomicI64::new(0)).collect(),
            lag: each().map(|_| AtomicU64::new(0)).collect(),
            spoilt: Mutex::new(None),
            changed: Notify::new(),
            reading: Arc::default(),
            plan,
        }
    }

    /// Answers nothing from this file any more. The follower discards it.
    fn spoil(&self, store: &Arc<Store>, cause: Cause, found: String) {
        let current = self.store.load_full();
        if current.is_some_and(|current| Arc::ptr_eq(&current, store)) {
            self.store.store(None);
            self.spoilt.lock().get_or_insert((cause, found));
            self.changed.notify_one();
        }
    }

    fn followed(&self) -> TimestampMs {
        TimestampMs(self.followed.iter().map(|time| time.load(Ordering::Acquire)).min().unwrap_or(0))
    }
}

/// What definitions ask for.
type Wanted = BTreeMap<(Stage, DatasetName), Plan>;

struct Held {
    copy: Arc<Kept>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// The current copies of a node.
pub struct Copies {
    shared: Arc<Shared>,
    control: Arc<Control>,
    dir: PathBuf,
    key: Option<CopyKey>,
    record_bytes: usize,
    held: Mutex<BTreeMap<(Stage, DatasetName), Held>>,
    /// Those that have none for want of a key.
    keyless: Mutex<HashSet<(Stage, DatasetName)>>,
    /// One is made at a time.
    making: Arc<Semaphore>,
}

impl Copies {
    pub(crate) fn new(
        shared: Arc<Shared>,
        control: Arc<Control>,
        dir: PathBuf,
        key: Option<CopyKey>,
        record_bytes: usize,
    ) -> Self {
        let (held, keyless) = (Mutex::default(), Mutex::default());
        Self { shared, control, dir, key, record_bytes, held, keyless, making: Arc::new(Semaphore::new(1)) }
    }

    /// Answers from the copy of a dataset and stage. With `no_older`, only if everything accepted up to that long ago is in it.
    ///
    /// What was accepted and answered just before the call may not be in it yet: [`Answer::positions`] says what is.
    /// Safe to drop.
    ///
    /// # Errors
    ///
    /// See [`NoAnswer`].
    pub async fn look_up(
        &self,
        dataset: &DatasetName,
        stage: Stage,
        ask: &Ask,
        no_older: Option<Duration>,
    ) -> Result<Answer, NoAnswer> {
        self.look_up_shown(dataset, stage, ask, no_older, None).await
    }

    /// The same; of records with a secondary key, only those that may be shown.
    ///
    /// # Errors
    ///
    /// See [`NoAnswer`].
    pub(crate) async fn look_up_shown(
        &self,
        dataset: &DatasetName,
        stage: Stage,
        ask: &Ask,
        no_older: Option<Duration>,
        shown: Option<&Arc<Shown>>,
    ) -> Result<Answer, NoAnswer> {
        let key = (stage, dataset.clone());
        let Some(copy) = self.held.lock().get(&key).map(|held| Arc::clone(&held.copy)) else {
            return Err(if self.keyless.lock().contains(&key) { NoAnswer::NoKey } else { NoAnswer::NoCopy });
        };
        let hashed;
        let ask = match ask {
            Ask::Keys(keys) if copy.plan.hashed_keys && keys.len() <= MOST_KEYS => {
                let cipher = self.shared.ciphers.of(&copy.plan.topic);
                hashed = Ask::Keys(keys.iter().map(|key| Bytes::copy_from_slice(&cipher.hash(key))).collect());
                &hashed
            }
            Ask::AsOf { keys, time } if copy.plan.hashed_keys && keys.len() <= MOST_KEYS => {
                let cipher = self.shared.ciphers.of(&copy.plan.topic);
                let keys = keys.iter().map(|key| Bytes::copy_from_slice(&cipher.hash(key))).collect();
                hashed = Ask::AsOf { keys, time: *time };
                &hashed
            }
            ask => ask,
        };
        loop {
            let store = copy.store.load_full().ok_or(NoAnswer::NotReady)?;
            let question = Question::new(&copy.plan, &store, ask, shown)?;
            let followed = self.fresh(&copy, &store, no_older).await?;
            match copy.reading.answer(Arc::clone(&store), question).await {
                Ok(Answered { found, more, withheld, positions }) => {
                    // Somebody else may have found meanwhile that it is spoilt.
                    if copy.store.load().as_ref().is_none_or(|current| !Arc::ptr_eq(current, &store)) {
                        continue;
                    }
                    let positions = (0..).zip(positions).collect();
                    return Ok(Answer { records: found, more, withheld, positions, followed });
                }
                Err(Fault::Spoilt(cause, found)) => {
                    copy.spoil(&store, cause, found);
                    return Err(NoAnswer::NotReady);
                }
                Err(Fault::Passing(error)) => {
                    warn!(%dataset, %stage, error, "current copy not read");
                    return Err(NoAnswer::Unavailable);
                }
                Err(Fault::Stopped) => return Err(NoAnswer::Unavailable),
            }
        }
    }

    /// Up to when the copy holds everything; no further back than asked for.
    async fn fresh(&self, copy: &Kept, store: &Store, no_older: Option<Duration>) -> Result<TimestampMs, NoAnswer> {
        let followed = copy.followed();
        let now = self.shared.clock.now();
        let Some(no_older) = no_older else { return Ok(followed) };
        let oldest = now.0.saturating_sub(i64::try_from(no_older.as_millis()).unwrap_or(i64::MAX));
        if followed.0 >= oldest {
            return Ok(followed);
        }
        // The follower hears of nothing while nothing comes. The log itself says whether there is more.
        for (index, stands) in (0..).zip(store.partitions()) {
            let partition = Partition { topic: copy.plan.topic.clone(), index };
            match self.shared.log.watermarks(&partition).await {
                Ok(ends) if ends.end <= stands.next => {}
                Err(LogError::UnknownPartition { .. }) if stands.next == 0 => {}
                _ => return Err(NoAnswer::TooOld { followed }),
            }
        }
        Ok(now)
    }

    /// Whether the dataset has a copy in the stage that answers.
    #[must_use]
    pub fn is_ready(&self, dataset: &DatasetName, stage: Stage) -> bool {
        self.ready(dataset, stage).is_ok()
    }

    /// The same, and why not.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::NoCopy`], [`NoAnswer::NoKey`], [`NoAnswer::NotReady`].
    pub(crate) fn ready(&self, dataset: &DatasetName, stage: Stage) -> Result<(), NoAnswer> {
        let key = (stage, dataset.clone());
        if let Some(held) = self.held.lock().get(&key) {
            return if held.copy.store.load().is_some() { Ok(()) } else { Err(NoAnswer::NotReady) };
        }
        Err(if self.keyless.lock().contains(&key) { NoAnswer::NoKey } else { NoAnswer::NoCopy })
    }

    /// Brings gauges up to date.
    pub(crate) fn refresh_metrics(&self) {
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for ((stage, dataset), held) in self.held.lock().iter() {
            let (metrics, labels) = (&self.shared.metrics, [dataset.as_str(), stage.as_str()]);
            let store = held.copy.store.load();
            metrics.copy_ready.with_label_values(&labels).set(i64::from(store.is_some()));
            let records = store.as_ref().map_or(0, |store| store.records());
            metrics.copy_records.with_label_values(&labels).set(gauge(records));
            let lag = held.copy.lag.iter().map(|lag| lag.load(Ordering::Relaxed)).sum();
            metrics.copy_lag.with_label_values(&labels).set(gauge(lag));
        }
    }

    /// Keeps the copies that definitions ask for, until told to stop.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let mut changes = self.control.changes();
        loop {
            changes.borrow_and_update();
            self.keep_wanted(&stop, &tasks).await;
            tokio::select! {
                () = stop.cancelled() => break,
                changed = changes.changed() => if changed.is_err() { break },
            }
        }
        tasks.close();
        tasks.wait().await;
        // The last connections close here: what is in the `-wal` goes into the file.
        let held = std::mem::take(&mut *self.held.lock());
        let close = move || held.into_values().for_each(|held| held.copy.store.store(None));
        let _ = tokio::task::spawn_blocking(close).await;
    }

    async fn keep_wanted(self: &Arc<Self>, stop: &CancellationToken, tasks: &TaskTracker) {
        let (wanted, keyless) = self.wanted(&self.control.state());
        let known = std::mem::replace(&mut *self.keyless.lock(), keyless.clone());
        for (stage, dataset) in keyless.difference(&known) {
            warn!(
                %dataset, %stage,
                "no current copy: the dataset holds personal data, and current_copy.key_file names no key to encrypt it with"
            );
        }
        let stale: Vec<_> = {
            let held = self.held.lock();
            held.iter()
                .filter(|(key, held)| wanted.get(key) != Some(&held.copy.plan))
                .map(|(key, _)| key.clone())
                .collect()
        };
        for key in stale {
            let held = self.held.lock().remove(&key);
            if let Some(Held { copy, stop, task }) = held {
                stop.cancel();
                let _ = task.await;
                copy.store.store(None);
                for metric in
                    [&self.shared.metrics.copy_ready, &self.shared.metrics.copy_records, &self.shared.metrics.copy_lag]
                {
                    let _ = metric.remove_label_values(&[key.1.as_str(), key.0.as_str()]);
                }
                if !wanted.contains_key(&key) {
                    info!(dataset = %key.1, stage = %key.0, "current copy removed: nothing asks for it");
                }
            }
        }
        // Also those of which memory knows nothing; what holds personal data unencrypted above all.
        self.remove_unwanted(&wanted);
        for (key, plan) in wanted {
            if stop.is_cancelled() {
                return;
            }
            let mut held = self.held.lock();
            if held.contains_key(&key) {
                continue;
            }
            let (copy, stop) = (Arc::new(Kept::new(plan)), stop.child_token());
            let follower = Follower::new(Arc::clone(self), Arc::clone(&copy), stop.clone());
            held.insert(key, Held { copy, stop, task: tasks.spawn(follower.run()) });
        }
    }

    /// What the definitions ask for, and what cannot be had for want of a key.
    fn wanted(&self, state: &ControlState) -> (Wanted, HashSet<(Stage, DatasetName)>) {
        let (mut wanted, mut keyless) = (BTreeMap::new(), HashSet::new());
        for (name, dataset) in &state.catalog.datasets {
            let definition = &dataset.value.definition;
            let Some(copy) = &definition.current_copy else { continue };
            let is_encrypted = state.is_personal(dataset.value.schema.as_str());
            for stage in [Stage::Testing, Stage::Live] {
                let key = (stage, name.clone());
                let secret = self.key.as_ref().filter(|_| is_encrypted);
                if is_encrypted && secret.is_none() {
                    keyless.insert(key);
                    continue;
                }
                let mut parts = vec![format!("{is_encrypted} {}", definition.partitions).into_bytes()];
                parts.extend(secret.map(|secret| secret.fingerprint().to_vec()));
                for fields in &copy.secondary_keys {
                    let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
                    parts.push(digest(&fields).to_vec());
                }
                if copy.history {
                    parts.push(b"history".to_vec());
                }
                let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let topic = header::dataset_topic(stage, name);
                let identity =
                    Identity { hub_id: state.hub_id, purpose: digest(&parts), topic: topic.as_str().to_owned() };
                let plan = Plan {
                    dataset: name.clone(),
                    stage,
                    topic,
                    partitions: definition.partitions,
                    secondary: copy.secondary_keys.clone(),
                    shape: Shape { many: copy.secondary_keys.len(), history: copy.history },
                    is_encrypted,
                    hashed_keys: definition.hashed_keys,
                    identity,
                };
                wanted.insert(key, plan);
            }
        }
        (wanted, keyless)
    }

    fn remove_unwanted(&self, wanted: &Wanted) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_wanted = name.to_str().is_some_and(|name| {
                let mut parts = name.splitn(3, '.');
                let (stage, dataset) = (parts.next().and_then(Stage::parse), parts.next().map(DatasetName::parse));
                let (Some(stage), Some(Ok(dataset))) = (stage, dataset) else { return false };
                wanted.contains_key(&(stage, dataset))
            });
            if !is_wanted && let Err(error) = fs::remove_file(entry.path()) {
                warn!(file = %entry.path().display(), %error, "file of a current copy not removed");
            }
        }
    }
}

/// Files of a copy in a folder that are whole, with their numbers.
fn files_of(dir: &Path, stage: Stage, dataset: &DatasetName) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let prefix = format!("{stage}.{dataset}.");
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".sqlite")?.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

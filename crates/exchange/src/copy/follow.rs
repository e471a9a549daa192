//! The task that keeps one copy: opens its file or makes one, follows the log, and starts over when the file is spoilt.

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use ldop_log::{Entry, Fetched, LogError, Offset, Partition, Watermarks};
use ldop_schema_registry::{Limits, Parser};
use ldop_types::TimestampMs;
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Cause, Copies, Kept, Plan,
    file::{Anchor, Followed, place},
    files_of,
    seal::{Sealer, digest},
    store::{Batch, Fault, Given, Gone, Making, Store, remove},
};
use crate::{
    cipher::{Cipher, Said},
    header::{self, LDOP_HEADER, Reign, Scope},
};

/// Entries behind which a copy is made anew, unless following is less work all the same.
pub const MOST_BEHIND: u64 = 100_000;
/// Putting a record into the place of another takes as long as making this many anew (measured: 22,000 and 190,000 a second).
const UPDATE_COST: u64 = 8;
/// Bytes read at once while following; what each partition may hold in memory.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes read at once while a file is made.
const MAKING_CHUNK_BYTES: usize = 1 << 20;
/// Chunks that wait to be sealed, and to be put in, while a file is made.
const CHUNKS_AHEAD: usize = 2;
/// How long a read waits at the end of a partition: how old a copy says it is while nothing comes.
const WAIT_AT_END: Duration = Duration::from_secs(1);
/// Pause before what failed is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// The longest such pause, when it fails again and again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A read of a partition under way, and when it was begun.
type Read = BoxFuture<'static, (u32, TimestampMs, Result<Fetched, LogError>)>;

/// Why a follower does not go on with a file.
enum End {
    Stop,
    /// There is another file to go on with.
    Exchanged,
    /// Something failed that may succeed later.
    Failed,
    /// The file is spoilt.
    Spoilt(Cause, String),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Spoilt(cause, found) => Self::Spoilt(cause, found),
            Fault::Passing(error) => {
                warn!(error, "current copy: file operation failed; tried again");
                Self::Failed
            }
            Fault::Stopped => Self::Stop,
        }
    }
}

/// Follows the log for one copy.
pub(super) struct Follower {
    copies: Arc<Copies>,
    copy: Arc<Kept>,
    stop: CancellationToken,
    /// Number of the last file made.
    number: u64,
    /// An error of the log that was told.
    told: bool,
    /// Before what failed is tried again.
    pause: Duration,
}

impl Follower {
    pub(super) fn new(copies: Arc<Copies>, copy: Arc<Kept>, stop: CancellationToken) -> Self {
        Self { copies, copy, stop, number: 0, told: false, pause: AGAIN }
    }

    /// Runs until told to stop.
    pub(super) async fn run(mut self) {
        let mut cause = None;
        loop {
            match self.go_on(&mut cause).await {
                End::Stop => return,
                End::Exchanged => {}
                End::Failed => {
                    // Making a file reads the whole log: not twice a second.
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(self.pause) => {}
                    }
                }
                End::Spoilt(found, what) => {
                    let Plan { dataset, stage, .. } = &self.copy.plan;
                    warn!(%dataset, %stage, cause = found.as_str(), what, "current copy discarded; it is made anew from the log");
                    self.copy.store.store(None);
                    *self.copy.spoilt.lock() = None;
                    cause = Some(found);
                }
            }
        }
    }

    /// Opens or makes the file and follows. `cause` is why the last one was given up.
    async fn go_on(&mut self, cause: &mut Option<Cause>) -> End {
        let store = match self.copy.store.load_full() {
            Some(store) => store,
            None => {
                let opened = match *cause {
                    None => self.open().await,
                    Some(cause) => Ok(Err(cause)),
                };
                let made = match opened {
                    Ok(Ok(store)) => Ok(store),
                    Ok(Err(why)) => {
                        *cause = Some(why);
                        self.make(why).await
                    }
                    Err(end) => Err(end),
                };
                match made {
                    Ok(store) => store,
                    Err(end) => return end,
                }
            }
        };
        *cause = None;
        self.copy.store.store(Some(Arc::clone(&store)));
        let end = self.follow(&store).await;
        if let End::Spoilt(cause, found) = &end {
            // As if a reader had found it: whoever reads right now hears of it.
            self.copy.spoil(&store, *cause, found.clone());
        }
        end
    }

    /// Opens the file there is; what stands in the way is a reason to make one.
    async fn open(&mut self) -> Result<Result<Arc<Store>, Cause>, End> {
        let Plan { dataset, stage, identity, shape, .. } = &self.copy.plan;
        let dir = &self.copies.dir;
        let listed = fs::create_dir_all(dir).and_then(|()| files_of(dir, *stage, dataset));
        let mut files = match listed {
            Ok(files) => files,
            Err(error) => {
                warn!(dir = %dir.display(), %error, "folder of current copies cannot be used");
                return Err(End::Failed);
            }
        };
        let Some((number, path)) = files.pop() else { return Ok(Err(Cause::First)) };
        self.number = number;
        let (identity, key, shape, stop) = (identity.clone(), self.key(), *shape, self.stop.clone());
        let opened = blocking(move || {
            for (_, older) in files {
                remove(&older)?;
            }
            Store::open(path, identity, key.as_ref(), shape, &|| !stop.is_cancelled())
        });
        let store = match opened.await {
            Ok(store) => Arc::new(store),
            Err(Fault::Spoilt(cause, what)) => return Err(End::Spoilt(cause, what)),
            Err(fault) => return Err(fault.into()),
        };
        self.fits_the_log(&store).await?;
        let Plan { dataset, stage, .. } = &self.copy.plan;
        info!(%dataset, %stage, records = store.records(), "current copy opened");
        Ok(Ok(store))
    }

    /// Whether the log is the one the file was made from, and goes as far.
    async fn fits_the_log(&mut self, store: &Store) -> Result<(), End> {
        for (index, stands) in (0..).zip(store.partitions()) {
            let partition = self.partition(index);
            let ends = self.ends(&partition).await?;
            if ends.end < stands.next {
                let what = format!("it stands at {}, the log ends at {}", stands.next, ends.end);
                return Err(End::Spoilt(Cause::AheadOfLog, what));
            }
            if stands.next < ends.start {
                return Err(End::Spoilt(Cause::OtherLog, "what it did not read yet is not on the log any more".into()));
            }
            let Some(anchor) = stands.anchor.filter(|anchor| anchor.offset >= ends.start) else { continue };
            let fetched = self.copies.shared.log.fetch(&partition, anchor.offset, 1, Duration::ZERO).await;
            let fetched = fetched.map_err(|error| self.log_failed(&partition, &error))?;
            if fetched.entries.first().map(anchor_of) != Some(anchor) {
                return Err(End::Spoilt(Cause::OtherLog, format!("entry {} is another one", anchor.offset)));
            }
        }
        Ok(())
    }

    /// Makes a file from the log.
    async fn make(&mut self, cause: Cause) -> Result<Arc<Store>, End> {
        let copies = Arc::clone(&self.copies);
        let _turn = tokio::select! {
            () = self.stop.cancelled() => return Err(End::Stop),
            turn = copies.making.acquire() => turn.map_err(|_| End::Stop)?,
        };
        let copy = Arc::clone(&self.copy);
        let plan = &copy.plan;
        self.number += 1;
        let name = copies.dir.join(format!("{}.{}.{}.sqlite", plan.stage, plan.dataset, self.number));
        let unfinished = copies.dir.join(format!("{}.{}.making", plan.stage, plan.dataset));
        let old =
            if cause == Cause::Behind { None } else { Some((copies.dir.clone(), plan.stage, plan.dataset.clone())) };
        let (identity, key, shape, partitions) = (plan.identity.clone(), self.key(), plan.shape, plan.partitions);
        let dir = copies.dir.clone();
        let begun = blocking(move || {
            fs::create_dir_all(&dir)?;
            // What was discarded goes first: it makes room, and cannot be taken up again after a crash.
            if let Some((dir, stage, dataset)) = old {
                for (_, file) in files_of(&dir, stage, &dataset)? {
                    remove(&file)?;
                }
            }
            remove(&name)?;
            Ok((Making::begin(unfinished, &identity, key.as_ref(), shape, partitions)?, name))
        });
        let (making, name) = begun.await?;
        let (store, times) = self.fill(making, name).await?;
        for (followed, time) in copy.followed.iter().zip(times) {
            followed.store(time.0, Ordering::Release);
        }
        let labels = [plan.dataset.as_str(), plan.stage.as_str(), cause.as_str()];
        copies.shared.metrics.copy_rebuilds.with_label_values(&labels).inc();
        info!(dataset = %plan.dataset, stage = %plan.stage, cause = cause.as_str(), records = store.records(), "current copy made");
        Ok(Arc::new(store))
    }

    /// Reads every partition to its end and puts in what counts; one thread reads the log, one seals, one writes the file.
    async fn fill(&mut self, mut making: Making, name: PathBuf) -> Result<(Store, Vec<TimestampMs>), End> {
        let (chunks, mut to_seal) = mpsc::channel::<(u32, Vec<Entry>, Offset)>(CHUNKS_AHEAD);
        let (copy, record_bytes) = (Arc::clone(&self.copy), self.copies.record_bytes);
        let sealer = Arc::clone(&making.sealer);
        let cipher = self.copies.shared.ciphers.of(&self.copy.plan.topic);
        let (batches, mut to_write) = mpsc::channel::<(u32, Batch, Followed)>(CHUNKS_AHEAD);
        let sealing: JoinHandle<Result<(), Fault>> = spawn_blocking(move || {
            let mut reader = Reader::new(&copy.plan, cipher, record_bytes, true);
            let mut stands = vec![Followed::default(); copy.plan.partitions as usize];
            while let Some((index, entries, next)) = to_seal.blocking_recv() {
                let followed = &mut stands[index as usize];
                let batch = reader.batch(&sealer, index, &entries, followed)?;
                followed.next = next;
                if batches.blocking_send((index, batch, *followed)).is_err() {
                    break; // the writing has failed and says why
                }
            }
            Ok(())
        });
        let putting: JoinHandle<Result<Making, Fault>> = spawn_blocking(move || {
            while let Some((index, batch, followed)) = to_write.blocking_recv() {
                making.put(&batch, index, followed)?;
            }
            Ok(making)
        });
        let read = self.read_all(chunks).await;
        if let Err(fault) = sealing.await.unwrap_or_else(|error| Err(Fault::Passing(error.to_string()))) {
            return Err(fault.into());
        }
        let put = match putting.await {
            Ok(put) => put?,
            Err(error) => return Err(Fault::Passing(error.to_string()).into()),
        };
        // The sender is gone by now, also when reading ended early; then what was put is not whole.
        let times = read?;
        let store = blocking(move || put.finish(name)).await?;
        Ok((store, times))
    }

    /// Sends every partition's entries; gives up to when each one was read.
    async fn read_all(&mut self, chunks: mpsc::Sender<(u32, Vec<Entry>, Offset)>) -> Result<Vec<TimestampMs>, End> {
        let mut times = Vec::new();
        for index in 0..self.copy.plan.partitions {
            let partition = self.partition(index);
            let mut time = self.copies.shared.clock.now();
            let ends = self.ends(&partition).await?;
            if ends.start > 0 {
                // Of whatever was there nobody can say that there is no record.
                warn!(%partition, start = ends.start, "no current copy: the log has lost the dataset's first records, to a retention it once had");
                return Err(End::Failed);
            }
            let (mut next, mut end) = (ends.start, ends.end);
            while next < end {
                time = self.copies.shared.clock.now();
                let read = self.copies.shared.log.fetch(&partition, next, MAKING_CHUNK_BYTES, Duration::ZERO);
                let fetched = tokio::select! {
                    () = self.stop.cancelled() => return Err(End::Stop),
                    fetched = read => fetched.map_err(|error| self.log_failed(&partition, &error))?,
                };
                if fetched.next == next {
                    return Err(End::Failed);
                }
                (next, end) = (fetched.next, fetched.end);
                self.copy.lag[index as usize].store(end.saturating_sub(next), Ordering::Relaxed);
                if chunks.send((index, fetched.entries, next)).await.is_err() {
                    // The other side has failed and says why.
                    return Err(End::Failed);
                }
            }
            times.push(time);
        }
        Ok(times)
    }

    /// Follows the log until the file is spoilt or should be another one.
    async fn follow(&mut self, store: &Arc<Store>) -> End {
        match self.is_far_behind(store).await {
            Ok(false) => {}
            Ok(true) => match self.make_beside(store).await {
                Ok(()) => return End::Exchanged,
                Err(end) => return end,
            },
            Err(end) => return end,
        }
        let mut stands = store.partitions();
        let mut reads: FuturesUnordered<Read> = FuturesUnordered::new();
        for (index, stands) in (0..).zip(&stands) {
            reads.push(self.read(index, stands.next, Duration::ZERO));
        }
        let cipher = self.copies.shared.ciphers.of(&self.copy.plan.topic);
        let is_all = self.copy.plan.shape.history;
        let mut reader = Reader::new(&self.copy.plan, cipher, self.copies.record_bytes, is_all);
        let copy = Arc::clone(&self.copy);
        loop {
            if let Some((cause, found)) = copy.spoilt.lock().take() {
                return End::Spoilt(cause, found);
            }
            tokio::select! {
                () = self.stop.cancelled() => return End::Stop,
                () = copy.changed.notified() => {}
                Some((index, asked, read)) = reads.next() => {
                    let at = index as usize;
                    let before = stands[at].next;
                    match read {
                        Ok(Fetched { entries, next, end }) => {
                            if next != before {
                                let mut followed = stands[at];
                                let file = Arc::clone(store);
                                let put = blocking(move || {
                                    let batch = reader.batch(&file.sealer, index, &entries, &mut followed)?;
                                    followed.next = next;
                                    file.put(&batch, index, followed)?;
                                    Ok((reader, followed))
                                });
                                match put.await {
                                    Ok((back, followed)) => (reader, stands[at]) = (back, followed),
                                    Err(fault) => return fault.into(),
                                }
                            } else if let Err(fault) = store.check_files() {
                                return fault.into();
                            }
                            copy.lag[at].store(end.saturating_sub(next), Ordering::Relaxed);
                            if next >= end {
                                copy.followed[at].store(asked.0, Ordering::Release);
                            }
                            let wait = if next >= end { WAIT_AT_END } else { Duration::ZERO };
                            (self.told, self.pause) = (false, AGAIN);
                            reads.push(self.read(index, next, wait));
                        }
                        // Nobody has published there yet.
                        Err(LogError::UnknownPartition { .. }) if before == 0 => {
                            if let Err(fault) = store.check_files() {
                                return fault.into();
                            }
                            copy.followed[at].store(asked.0, Ordering::Release);
                            reads.push(self.read_later(index, before));
                        }
                        Err(LogError::UnknownPartition { .. }) => {
                            return End::Spoilt(Cause::OtherLog, "its topic is gone".into());
                        }
                        Err(LogError::OutOfRange { start, offset, end, .. }) => {
                            let cause = if offset > end { Cause::AheadOfLog } else { Cause::OtherLog };
                            return End::Spoilt(cause, format!("it stands at {offset}, the log goes from {start} to {end}"));
                        }
                        Err(error) => {
                            let _ = self.log_failed(&self.partition(index), &error);
                            reads.push(self.read_later(index, before));
                        }
                    }
                }
            }
        }
    }

    /// Makes another file while this one answers, and exchanges them.
    async fn make_beside(&mut self, store: &Arc<Store>) -> Result<(), End> {
        let made = self.make(Cause::Behind).await?;
        let old = store.path().to_owned();
        self.copy.store.store(Some(made));
        *self.copy.spoilt.lock() = None;
        if let Err(fault) = blocking(move || Ok(remove(&old)?)).await {
            return Err(fault.into());
        }
        Ok(())
    }

    async fn is_far_behind(&mut self, store: &Store) -> Result<bool, End> {
        let (mut behind, mut all) = (0_u64, 0_u64);
        for (index, stands) in (0..).zip(store.partitions()) {
            let ends = self.ends(&self.partition(index)).await?;
            let lag = ends.end.saturating_sub(stands.next);
            self.copy.lag[index as usize].store(lag, Ordering::Relaxed);
            behind += lag;
            all += ends.end - ends.start;
        }
        Ok(behind > MOST_BEHIND && behind.saturating_mul(UPDATE_COST) > all)
    }

    fn read(&self, index: u32, next: Offset, wait: Duration) -> Read {
        let (shared, partition) = (Arc::clone(&self.copies.shared), self.partition(index));
        Box::pin(async move {
            let asked = shared.clock.now();
            let read = shared.log.fetch(&partition, next, CHUNK_BYTES, wait).await;
            (index, asked, read)
        })
    }

    fn read_later(&self, index: u32, next: Offset) -> Read {
        let read = self.read(index, next, Duration::ZERO);
        Box::pin(async move {
            tokio::time::sleep(AGAIN).await;
            read.await
        })
    }

    /// Where a partition begins and ends; one that does not exist is empty.
    async fn ends(&mut self, partition: &Partition) -> Result<Watermarks, End> {
        match self.copies.shared.log.watermarks(partition).await {
            Ok(ends) => Ok(ends),
            Err(LogError::UnknownPartition { .. }) => Ok(Watermarks { start: 0, end: 0 }),
            Err(error) => Err(self.log_failed(partition, &error)),
        }
    }

    /// Tells once that the log cannot be read.
    fn log_failed(&mut self, partition: &Partition, failure: &LogError) -> End {
        if !std::mem::replace(&mut self.told, true) {
            if matches!(failure, LogError::Altered { .. }) {
                error!(%partition, error = %failure, "current copy stands still: the log has an entry that was altered");
            } else {
                warn!(%partition, error = %failure, "current copy stands still: the log cannot be read");
            }
        }
        End::Failed
    }

    fn partition(&self, index: u32) -> Partition {
        Partition { topic: self.copy.plan.topic.clone(), index }
    }

    fn key(&self) -> Option<super::CopyKey> {
        self.copies.key.clone().filter(|_| self.copy.plan.is_encrypted)
    }
}

/// Makes batches of entries.
struct Reader {
    cipher: Arc<Cipher>,
    parser: Parser,
    secondary: Vec<Vec<String>>,
    keys: Vec<Option<Vec<u8>>>,
    /// Keeps every record of a key, not only the last of a batch.
    is_all: bool,
    /// Of what the hub itself writes.
    of_hub: Scope,
}

impl Reader {
    fn new(plan: &Plan, cipher: Arc<Cipher>, record_bytes: usize, is_all: bool) -> Self {
        let limits = Limits { bytes: record_bytes, ..Limits::DEFAULT };
        let keys = vec![None; plan.secondary.len()];
        Self {
            cipher,
            parser: Parser::new(limits),
            secondary: plan.secondary.clone(),
            keys,
            is_all,
            of_hub: Scope::of_hub(plan.stage, &plan.dataset),
        }
    }

    /// What counts of some entries; `followed` takes over what they say of who reigns.
    fn batch(
        &mut self,
        sealer: &Sealer,
        partition: u32,
        entries: &[Entry],
        followed: &mut Followed,
    ) -> Result<Batch, Fault> {
        let mut reign = Reign { epoch: followed.epoch };
        let bytes = entries.iter().map(|entry| entry.value.as_ref().map_or(0, |value| value.len()) + 96).sum();
        let mut batch = Batch::with_room(entries.len(), bytes, self.is_all);
        let mut room = Vec::new();
        for entry in entries {
            let stamp = match header::stamp(entry) {
                Ok(stamp) => stamp,
                Err(error) => {
                    warn!(partition, offset = entry.offset, %error, "foreign entry passed over");
                    continue;
                }
            };
            let (Some(meta), Some(key)) = (reign.admits(&stamp), &entry.key) else { continue };
            let name = sealer.name(0, key);
            let place = place(partition, entry.offset);
            if meta.is_deletion {
                // The hub itself deletes by an order to erase only.
                let gone = Gone { time: meta.event_time, erases: meta.scope == self.of_hub };
                batch.put(sealer, name, place, Err(gone), &self.no_keys());
                continue;
            }
            let cipher = Arc::clone(&self.cipher);
            let payload = match cipher.read(meta, entry, &mut room) {
                Said::Text(payload) => payload,
                Said::Erased => {
                    let gone = Gone { time: meta.event_time, erases: false };
                    batch.put(sealer, name, place, Err(gone), &self.no_keys());
                    continue;
                }
                Said::Altered => {
                    error!(partition, offset = entry.offset, "record was altered, or encrypted under another secret");
                    return Err(Fault::Passing("a record cannot be read".into()));
                }
                Said::Unknown => return Err(Fault::Passing("the key of a record is not known just now".into())),
            };
            self.secondary_keys(payload);
            let given = Given {
                exchange_id: meta.exchange_id,
                event_time: meta.event_time,
                accepted_time: meta.accepted_time,
                schema_version: meta.schema_version,
                payload,
            };
            batch.put(sealer, name, place, Ok(given), &self.keys);
        }
        followed.epoch = reign.epoch;
        followed.anchor = entries.last().map(anchor_of).or(followed.anchor);
        Ok(batch)
    }

    /// The secondary keys that a record has. Values need not be JSON for ever: what cannot be read has none.
    fn secondary_keys(&mut self, payload: &[u8]) {
        if self.secondary.is_empty() {
            return;
        }
        let document = self.parser.parse(payload).ok();
        for (key, fields) in self.keys.iter_mut().zip(&self.secondary) {
            let mut bytes = key.take().unwrap_or_default();
            let found = document.as_ref().is_some_and(|document| document.key(fields, &mut bytes).is_ok());
            *key = found.then_some(bytes);
        }
    }

    fn no_keys(&self) -> Vec<Option<Vec<u8>>> {
        vec![None; self.secondary.len()]
    }
}

/// What an entry is known again by: its header holds a random salt.
fn anchor_of(entry: &Entry) -> Anchor {
    let part = |bytes: Option<&bytes::Bytes>| bytes.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let whole = digest(&[&part(entry.header(LDOP_HEADER)), &part(entry.key.as_ref())]);
    Anchor { offset: entry.offset, digest: whole[..16].try_into().expect("16 of 32 bytes") }
}

/// Runs off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Fault::Passing(error.to_string())),
    }
}

//! Which exchange ids are taken, and where their records are: the memory behind "one effect for each exchange id".
//!
//! Derived from the log and disposable. Recent ids are in a hash map in memory; once it holds [`SEAL_AT`] settled ids
//! they move to a sorted file ([`sealed`]) with a Bloom filter and a range of times in memory. What the files cover is
//! recorded in them as positions, so a start reads the log from there on, not from the beginning.
//!
//! An id is reserved before its record is appended and settled when the outcome is known. A second caller with a
//! reserved id waits for the first one's outcome, and compares its record with what then is on the log.
//!
//! Nearly every id is new, so that is the cheap case: one probe of the map to reserve, one to settle, nothing allocated,
//! and older layers are asked only about ids that are not younger than all of theirs.

pub mod sealed;

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry as Slot;
use ldop_log::{Offset, Partition};
use ldop_types::{ExchangeId, Reason, TimestampMs};
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use self::sealed::Sealed;
use crate::header::Scope;

/// Settled ids kept in memory before they are sealed into a file: about 10 MiB.
pub const SEAL_AT: usize = 131_072;
const SHARDS: usize = 16;

/// An exchange id within its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The id.
    pub id: ExchangeId,
    /// Its scope.
    pub scope: Scope,
}

/// Where the record or the refusal of an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whether the record was accepted (partition of its dataset) or refused (partition of the events topic).
    pub accepted: bool,
    /// Partition index.
    pub partition: u32,
    /// Offset.
    pub offset: Offset,
}

/// How far the index has read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Everything below is indexed.
    pub next: Offset,
    /// Epoch that reigns there.
    pub epoch: Option<u64>,
}

/// What a reserved id is settled with.
pub type Settled = Result<Place, Reason>;

/// What came of reserving an id.
#[derive(Debug)]
pub enum Reserved {
    /// It is the caller's now: append, then settle or release.
    New,
    /// Someone else's record with this id is on its way; resolves with its outcome.
    Pending(oneshot::Receiver<Settled>),
    /// A record with this id was accepted.
    Taken(Place),
}

#[derive(Debug)]
enum State {
    /// Reserved, and nobody else asked.
    Pending,
    /// Reserved, and others wait for the outcome.
    Awaited(Box<Waiters>),
    Settled(Place),
}

/// A box of its own keeps the map small: hardly ever does anybody wait.
#[derive(Debug)]
struct Waiters(Vec<oneshot::Sender<Settled>>);

impl State {
    /// Has another caller wait for a reserved id.
    fn wait(&mut self) -> oneshot::Receiver<Settled> {
        let (sender, outcome) = oneshot::channel();
        match self {
            Self::Awaited(waiters) => waiters.0.push(sender),
            Self::Pending | Self::Settled(_) => *self = Self::Awaited(Box::new(Waiters(vec![sender]))),
        }
        outcome
    }
}

fn tell(state: State, outcome: Settled) {
    if let State::Awaited(waiters) = state {
        for waiter in waiters.0 {
            // A waiter that has gone needs no answer.
            let _ = waiter.send(outcome);
        }
    }
}

type Shard = HashMap<Key, State>;
type Frozen = Arc<Vec<(Key, Place)>>;

/// The index. All methods are quick and may be called from async tasks, but [`seal`](Self::seal), which writes a file.
#[derive(Debug)]
pub struct Index {
    dir: PathBuf,
    hub_id: [u8; 16],
    window: Duration,
    shards: Vec<Mutex<Shard>>,
    settled: AtomicUsize,
    /// Time of the youngest id that is or was on its way to a file, or `i64::MIN`: younger ones are in none.
    newest_sealed: AtomicI64,
    positions: Mutex<BTreeMap<Partition, Position>>,
    /// Sorted ids on their way to a file; found here until it stands.
    frozen: RwLock<Option<Frozen>>,
    sealed: RwLock<Vec<Arc<Sealed>>>,
    sealing: Mutex<()>,
}

impl Index {
    /// Opens the index in `dir`. Files of another hub, of another format, or damaged are removed: they are rebuilt.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(dir: PathBuf, hub_id: [u8; 16], window: Duration) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        let (sealed, positions) = sealed::open_all(&dir, hub_id)?;
        let newest = sealed.iter().map(|file| file.newest().0).max().unwrap_or(i64::MIN);
        Ok(Self {
            dir,
            hub_id,
            window,
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::new())).collect(),
            settled: AtomicUsize::new(0),
            newest_sealed: AtomicI64::new(newest),
            positions: Mutex::new(positions),
            frozen: RwLock::new(None),
            sealed: RwLock::new(sealed),
            sealing: Mutex::new(()),
        })
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[usize::from(key.id.as_bytes()[15]) % SHARDS]
    }

    /// Reserves an id for a record about to be appended.
    pub fn reserve(&self, key: Key) -> Reserved {
        {
            let mut shard = self.shard(&key).lock();
            match shard.entry(key) {
                Slot::Occupied(mut slot) => match slot.get_mut() {
                    pending @ (State::Pending | State::Awaited(_)) => return Reserved::Pending(pending.wait()),
                    // A refused record may be corrected and sent again under its id.
                    State::Settled(place) if place.accepted => return Reserved::Taken(*place),
                    state @ State::Settled(_) => {
                        *state = State::Pending;
                        self.settled.fetch_sub(1, Ordering::Relaxed);
                        // Older layers may know it as accepted: ask them below.
                    }
                },
                Slot::Vacant(slot) => {
                    slot.insert(State::Pending);
                }
            }
        }
        // The reservation stands before the older layers are asked, so nothing slips between.
        match self.older(&key).filter(|place| place.accepted) {
            Some(place) => {
                self.settle(key, place);
                Reserved::Taken(place)
            }
            None => Reserved::New,
        }
    }

    /// Where the record of an id is, if it is settled.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<Place> {
        match self.shard(key).lock().get(key) {
            Some(State::Settled(place)) => return Some(*place),
            Some(State::Pending | State::Awaited(_)) | None => {}
        }
        self.older(key)
    }

    /// Whether a record with this id is on its way.
    #[must_use]
    pub fn is_pending(&self, key: &Key) -> bool {
        matches!(self.shard(key).lock().get(key), Some(State::Pending | State::Awaited(_)))
    }

    fn older(&self, key: &Key) -> Option<Place> {
        if key.id.time().0 > self.newest_sealed.load(Ordering::Acquire) {
            return None;
        }
        if let Some(frozen) = self.frozen.read().as_ref()
            && let Ok(at) = frozen.binary_search_by(|(k, _)| k.cmp(key))
        {
            return Some(frozen[at].1);
        }
        self.sealed.read().iter().rev().find_map(|file| file.find(key))
    }

    /// Settles an id: reserved before, or read from the log.
    pub fn settle(&self, key: Key, place: Place) {
        let before = {
            let mut shard = self.shard(&key).lock();
            match shard.entry(key) {
                Slot::Occupied(mut slot) => match slot.get_mut() {
                    // An acceptance is never forgotten for a later refusal, and the first acceptance stands.
                    State::Settled(known) if known.accepted => return,
                    State::Settled(known) => {
                        *known = place;
                        return;
                    }
                    // The id is being tried again: that attempt decides.
                    State::Pending | State::Awaited(_) if !place.accepted => return,
                    state => std::mem::replace(state, State::Settled(place)),
                },
                Slot::Vacant(slot) => {
                    slot.insert(State::Settled(place));
                    State::Pending
                }
            }
        };
        self.settled.fetch_add(1, Ordering::Relaxed);
        tell(before, Ok(place));
    }

    /// Gives a reserved id up: its record was refused or not written.
    pub fn release(&self, key: &Key, why: Reason) {
        let removed = {
            let mut shard = self.shard(key).lock();
            let is_reserved = matches!(shard.get(key), Some(State::Pending | State::Awaited(_)));
            is_reserved.then(|| shard.remove(key)).flatten()
        };
        if let Some(state) = removed {
            tell(state, Err(why));
        }
    }

    /// How far a partition is indexed.
    #[must_use]
    pub fn position(&self, partition: &Partition) -> Option<Position> {
        self.positions.lock().get(partition).copied()
    }

    /// Records how far a partition is indexed; call it after settling everything below.
    pub fn advance(&self, partition: &Partition, position: Position) {
        let mut positions = self.positions.lock();
        match positions.get_mut(partition) {
            Some(known) => *known = position,
            None => {
                positions.insert(partition.clone(), position);
            }
        }
    }

    /// Whether enough is settled to seal.
    #[must_use]
    pub fn wants_sealing(&self) -> bool {
        self.settled.load(Ordering::Relaxed) >= SEAL_AT
    }

    /// Ids in memory.
    #[must_use]
    pub fn in_memory(&self) -> usize {
        self.settled.load(Ordering::Relaxed)
    }

    /// Moves settled ids to a file and drops files whose ids are older than the window. Blocking.
    ///
    /// # Errors
    ///
    /// The file cannot be written; the ids stay in memory.
    pub fn seal(&self, now: TimestampMs) -> io::Result<()> {
        let _one_at_a_time = self.sealing.lock();
        // Positions first: whatever lies below them is settled already, so it is in what is drained now or sealed before.
        let positions = self.positions.lock().clone();
        let mut drained = Vec::with_capacity(self.in_memory());
        {
            // Held while the maps are drained, so that a look-up finds an id in one of the two.
            let mut frozen = self.frozen.write();
            // Until it is known: who finds a shard empty already has to wait for the lock above.
            let newest = self.newest_sealed.swap(i64::MAX, Ordering::AcqRel);
            for shard in &self.shards {
                let mut shard = shard.lock();
                // A new map: in the old one every id that went would leave a mark, and looking anything up would get slow.
                let fresh = Shard::with_capacity(shard.len());
                for (key, state) in std::mem::replace(&mut *shard, fresh) {
                    match state {
                        State::Settled(place) => drained.push((key, place)),
                        State::Pending | State::Awaited(_) => {
                            shard.insert(key, state);
                        }
                    }
                }
            }
            drained.sort_unstable_by_key(|(key, _)| *key);
            self.settled.fetch_sub(drained.len(), Ordering::Relaxed);
            let youngest = drained.last().map_or(i64::MIN, |(key, _)| key.id.time().0);
            *frozen = Some(Arc::new(drained));
            self.newest_sealed.store(newest.max(youngest), Ordering::Release);
        }
        let frozen = self.frozen.read().clone().unwrap_or_default();
        match Sealed::write(&self.dir, self.hub_id, &frozen, &positions) {
            Ok(file) => {
                let horizon =
                    TimestampMs(now.0.saturating_sub(i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX)));
                let mut sealed = self.sealed.write();
                sealed.push(Arc::new(file));
                let last = sealed.len() - 1;
                let mut at = 0;
                // The newest file stays whatever its age: it holds the positions.
                sealed.retain(|file| {
                    let keep = at == last || file.newest() >= horizon;
                    at += 1;
                    if !keep {
                        file.remove();
                    }
                    keep
                });
                *self.frozen.write() = None;
                Ok(())
            }
            Err(error) => {
                *self.frozen.write() = None;
                for (key, place) in frozen.iter() {
                    self.settle(*key, *place);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;

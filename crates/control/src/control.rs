//! Replays, follows and extends the control log.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use ldop_contract::control::v1::{
    ApplyChangeSetRequest, ApplyChangeSetResponse, ChangeEffect, ChangeResult, ChangeSetApplied, ControlEvent,
    ControlHead, EpochTaken, Genesis, LevelRaised, control_event::Kind,
};
use ldop_log::{Appender, Cleanup, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec};
use ldop_types::{Person, Reason, Text, TimestampMs};
use parking_lot::Mutex;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::{
    agreements::Rules,
    authority::{Asked, Authority},
    chain::{self, Break, Hash, Head, LEVEL, Link},
    check::{self, Problem, Refused},
    file,
    snapshot::{self, Applied, AppliedSets, Snapshot},
    state::{ControlState, Level},
};

/// Largest change set as encoded.
pub const MAX_CHANGE_SET_BYTES: usize = 900 << 10;
/// Most resources in a change set.
pub const MAX_CHANGES: usize = 1_000;
/// Most resources that are judged together when nothing is to be changed.
pub const MAX_JUDGED: usize = 20_000;
const FETCH_BYTES: usize = 4 << 20;
/// How often a change made without `based_on` is checked anew after losing a race.
const RACES: usize = 8;
const FOLLOW_WAIT: Duration = Duration::from_secs(5);
/// Events after which there is another snapshot.
const SNAPSHOT_EVENTS: usize = 1_000;
/// Bytes of events after which there is another snapshot, at least.
const SNAPSHOT_BYTES: u64 = 4 << 20;

/// How to open.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder where the node remembers how far the log went.
    pub dir: PathBuf,
    /// This start of the node.
    pub node_id: [u8; 16],
    /// Longest wait for the log.
    pub deadline: Duration,
    /// What it asks of agreements.
    pub agreements: Rules,
}

/// Why the control log cannot be opened or extended.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The log.
    #[error("control log")]
    Log(#[from] LogError),
    /// The chain cannot be followed.
    #[error("control log: {0}")]
    Broken(#[from] Break),
    /// The log is not the one this node knew, or lost its tail.
    #[error(
        "control log does not hold event {sequence} as this node knew it (hub {hub_id}): it was truncated, replaced or \
         restored short; nothing was started. Restore the log, or remove {memory} to accept the loss"
    )]
    Forgotten {
        /// Event remembered.
        sequence: u64,
        /// Hub remembered.
        hub_id: String,
        /// File it is remembered in.
        memory: String,
    },
    /// The node's memory file.
    #[error("node memory {path}")]
    Memory {
        /// Path.
        path: String,
        /// Cause.
        source: io::Error,
    },
    /// What this node would write could not be read by others, nor what they wrote by it.
    #[error(
        "the node's secret (hub-secret) is not the one that the log was written with; nothing was started. Put the file of \
         the other nodes, or of the backup, in its place"
    )]
    OtherSecret,
    /// The log took longer than the deadline.
    #[error("control log did not answer within {0:?}")]
    TimedOut(Duration),
}

/// What the node remembers beside the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    hub_id: String,
    sequence: u64,
    head_hash: String,
}

/// The control log of a hub, and the state it replays to.
pub struct Control {
    log: Arc<dyn MessageLog>,
    partition: Partition,
    options: Options,
    state: ArcSwap<ControlState>,
    replay: tokio::sync::Mutex<Replay>,
    /// One change at a time on this node; races with other nodes are settled by the chain.
    writing: tokio::sync::Mutex<Option<Arc<dyn Appender>>>,
    changed: watch::Sender<Head>,
    /// Set when the chain cannot be followed any more.
    broken: watch::Sender<Option<Break>>,
    applied: Mutex<AppliedSets>,
    /// One snapshot is written at a time.
    snapshotting: tokio::sync::Mutex<()>,
}

struct Replay {
    next: Offset,
    history: Vec<Hash>,
    /// Where each event stands, but for the zero before the first.
    offsets: Vec<Offset>,
    /// Events and bytes since the last snapshot.
    since: (usize, u64),
    /// Bytes after which there is another one: they grow with the state, so that writing it stays a share of the work.
    due: u64,
}

impl Replay {
    fn wants_snapshot(&self) -> bool {
        self.since.0 >= SNAPSHOT_EVENTS || self.since.1 >= self.due
    }
}

fn topic() -> TopicName {
    TopicName::parse("_ldop.control").expect("a constant name fits")
}

impl Control {
    /// Replays the log, making it when there is none, and checks it against what the node remembers.
    ///
    /// # Errors
    ///
    /// See [`ControlError`]; nothing was changed then but, at most, an empty log made.
    pub async fn open(log: Arc<dyn MessageLog>, options: Options) -> Result<Arc<Self>, ControlError> {
        let partition = Partition { topic: topic(), index: 0 };
        log.ensure_topics(vec![TopicSpec { name: topic(), partitions: 1, cleanup: Cleanup::Keep }]).await?;
        let start = log.watermarks(&partition).await?.start;
        let control = Arc::new(Self {
            log,
            partition,
            options,
            state: ArcSwap::from_pointee(ControlState::default()),
            replay: tokio::sync::Mutex::new(Replay {
                next: start,
                history: vec![[0; 32]],
                offsets: Vec::new(),
                since: (0, 0),
                due: SNAPSHOT_BYTES,
            }),
            writing: tokio::sync::Mutex::new(None),
            changed: watch::Sender::new(Head::default()),
            broken: watch::Sender::new(None),
            applied: Mutex::default(),
            snapshotting: tokio::sync::Mutex::default(),
        });
        let begun = Instant::now();
        let kept = control.restore().await;
        control.catch_up(None).await?;
        let events = control.state().head.sequence;
        info!(events, from_snapshot = kept, milliseconds = begun.elapsed().as_millis(), "control log replayed");
        let remembered = control.recall()?;
        if control.state().head.sequence == 0 {
            if let Some(memory) = remembered {
                return Err(control.forgotten(memory));
            }
            let hub_id: [u8; 16] = rand::random();
            control.extend(Kind::Genesis(Genesis { hub_id: hub_id.to_vec() })).await?;
            control.extend(Kind::LevelRaised(LevelRaised { level: LEVEL, author: String::new() })).await?;
            info!(hub_id = hex(&control.state().hub_id), "control log made");
        } else if let Some(memory) = remembered {
            let replay = control.replay.lock().await;
            let known = usize::try_from(memory.sequence).ok().and_then(|n| replay.history.get(n)).map(|h| hex(h));
            if memory.hub_id != hex(&control.state().hub_id) || known.as_deref() != Some(&*memory.head_hash) {
                return Err(control.forgotten(memory));
            }
        }
        control.remember()?;
        Ok(control)
    }

    /// Takes up a snapshot, if there is one and the log holds its last event. Tells how many events it spared.
    async fn restore(&self) -> u64 {
        let path = self.snapshot_path();
        let read = tokio::task::spawn_blocking(move || snapshot::read(&path)).await;
        let kept = match read {
            Ok(Ok(Some(kept))) => kept,
            Ok(Ok(None)) | Err(_) => return 0,
            Ok(Err(error)) => {
                warn!(%error, "snapshot of the control log not used; replaying from the start");
                return 0;
            }
        };
        let head = kept.state.head;
        if !self.log_holds(&kept).await {
            warn!(
                sequence = head.sequence,
                "snapshot of another history than the control log's; replaying from the start"
            );
            return 0;
        }
        let mut replay = self.replay.lock().await;
        *replay = Replay {
            next: kept.next,
            history: kept.history,
            offsets: kept.offsets,
            since: (0, 0),
            due: self.snapshot_due(),
        };
        *self.applied.lock() = kept.applied;
        self.state.store(kept.state);
        self.changed.send_replace(head);
        head.sequence
    }

    /// Whether the last event of a snapshot stands in the log where the snapshot says.
    async fn log_holds(&self, kept: &Snapshot) -> bool {
        let (Some(at), [.., previous, last]) = (kept.offsets.last(), kept.history.as_slice()) else { return false };
        let Ok(fetched) = self.log.fetch(&self.partition, *at, 1, Duration::ZERO).await else { return false };
        let entry = fetched.entries.into_iter().next().filter(|entry| entry.offset == *at);
        entry.and_then(|entry| entry.value).is_some_and(|stored| chain::hash(previous, &stored) == *last)
    }

    fn snapshot_path(&self) -> PathBuf {
        self.options.dir.join("control.snapshot")
    }

    /// Bytes of events worth another snapshot.
    fn snapshot_due(&self) -> u64 {
        fs::metadata(self.snapshot_path()).map_or(0, |file| file.len() / 2).max(SNAPSHOT_BYTES)
    }

    /// Writes a snapshot, unless nothing has happened since the last. What fails here costs a longer start, no more.
    pub async fn write_snapshot(&self) {
        let _snapshotting = self.snapshotting.lock().await;
        let kept = {
            let mut replay = self.replay.lock().await;
            if std::mem::take(&mut replay.since) == (0, 0) {
                return;
            }
            Snapshot {
                state: self.state(),
                next: replay.next,
                history: replay.history.clone(),
                offsets: replay.offsets.clone(),
                applied: self.applied.lock().clone(),
            }
        };
        let (path, sequence) = (self.snapshot_path(), kept.state.head.sequence);
        match tokio::task::spawn_blocking(move || snapshot::write(&path, &kept)).await {
            Ok(Ok(bytes)) => info!(sequence, bytes, "snapshot of the control log written"),
            Ok(Err(error)) => warn!(%error, "snapshot of the control log not written"),
            Err(error) => error!(%error, "snapshot of the control log not written"),
        }
        self.replay.lock().await.due = self.snapshot_due();
    }

    /// The state as it stands.
    #[must_use]
    pub fn state(&self) -> Arc<ControlState> {
        self.state.load_full()
    }

    /// What the hub asks of agreements.
    #[must_use]
    pub fn agreement_rules(&self) -> &Rules {
        &self.options.agreements
    }

    /// Tells each new head.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Head> {
        self.changed.subscribe()
    }

    /// Why the chain cannot be followed any more, once that is so.
    #[must_use]
    pub fn broken(&self) -> Option<Break> {
        self.broken.borrow().clone()
    }

    /// Takes the writing over: the epoch of this start of the node. `secret_fingerprint` tells the node's secret from others.
    ///
    /// # Errors
    ///
    /// [`ControlError::OtherSecret`]: nothing was written. See [`ControlError`].
    pub async fn take_epoch(&self, secret_fingerprint: Hash) -> Result<u64, ControlError> {
        loop {
            let state = self.state();
            if state.secret_fingerprint.is_some_and(|told| told != secret_fingerprint) {
                return Err(ControlError::OtherSecret);
            }
            let epoch = state.epoch + 1;
            let taken = EpochTaken {
                epoch,
                node_id: self.options.node_id.to_vec(),
                level: LEVEL,
                secret_fingerprint: secret_fingerprint.to_vec(),
            };
            if self.extend(Kind::EpochTaken(taken)).await? {
                return Ok(epoch);
            }
        }
    }

    /// Lets this node write everything it knows, also what older releases do not understand. Only the node that writes
    /// may: it is the only one that serves, and an older one that is started later refuses the log.
    ///
    /// # Errors
    ///
    /// [`Reason::Fenced`]: another node writes. [`Reason::LogUnavailable`], [`Reason::OutcomeUnknown`].
    pub async fn raise_level(&self, author: &str) -> Result<Level, Refused> {
        loop {
            self.catch_up(None).await.map_err(|e| refuse_by_log(&e))?;
            let state = self.state();
            if state.writer != self.options.node_id {
                return Err(Refused::of(Reason::Fenced));
            }
            if state.level >= Level(LEVEL) {
                return Ok(state.level);
            }
            let raised = LevelRaised { level: LEVEL, author: author.to_owned() };
            self.extend_from(state.head, Kind::LevelRaised(raised)).await.map_err(|e| refuse_by_log(&e))?;
        }
    }

    /// Follows the log until the task is dropped: applies what other nodes append.
    pub async fn follow(self: Arc<Self>) {
        loop {
            let (next, wants_snapshot) = {
                let replay = self.replay.lock().await;
                (replay.next, replay.wants_snapshot())
            };
            if wants_snapshot {
                self.write_snapshot().await;
            }
            let more = self.log.fetch(&self.partition, next, 1, FOLLOW_WAIT).await;
            let followed = match more {
                Ok(fetched) if fetched.entries.is_empty() && fetched.next == next => Ok(()),
                Ok(_) => self.catch_up(None).await,
                Err(error) => Err(error.into()),
            };
            match followed {
                Ok(()) => {}
                Err(ControlError::Log(LogError::Closed)) | Err(ControlError::Broken(_)) => return,
                Err(error) => {
                    warn!(%error, "control log not followed; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Events behind the one with sequence `after`, oldest first; about as many as one fetch brings, none at the end.
    ///
    /// # Errors
    ///
    /// [`Reason::PositionOutOfRange`]: there is no event `after` yet. [`Reason::LogUnavailable`].
    pub async fn events(&self, after: u64) -> Result<Vec<(ControlEvent, Hash)>, Reason> {
        let at = usize::try_from(after).map_err(|_| Reason::PositionOutOfRange)?;
        let (from, hashes) = {
            let replay = self.replay.lock().await;
            if at >= replay.history.len() {
                return Err(Reason::PositionOutOfRange);
            }
            let Some(from) = replay.offsets.get(at).copied() else { return Ok(Vec::new()) };
            (from, replay.history[at + 1..].to_vec())
        };
        let fetched = self.log.fetch(&self.partition, from, FETCH_BYTES, Duration::ZERO).await.map_err(|error| {
            warn!(%error, "control events not read");
            Reason::LogUnavailable
        })?;
        let mut known = hashes.into_iter().zip(after + 1..).peekable();
        let mut events = Vec::new();
        for entry in fetched.entries {
            let event = ControlEvent::decode(entry.value.unwrap_or_default()).map_err(|_| Reason::Internal)?;
            // Events that lost a race stand between those that count.
            let counts = |(_, sequence): &(Hash, u64)| *sequence == event.sequence;
            let previous = known.peek().filter(|next| counts(next)).is_some();
            if previous && let Some((hash, _)) = known.next() {
                events.push((event, hash));
            }
        }
        Ok(events)
    }

    /// Checks a change set and applies it, or tells every reason why not. The author is a person, as
    /// [`Person`] is displayed, and may change what the table of [`ldop_catalog::roles`] lets them.
    ///
    /// # Errors
    ///
    /// [`Refused`] with all problems; nothing was changed then, but for [`Reason::OutcomeUnknown`].
    pub async fn apply(&self, author: &str, request: ApplyChangeSetRequest) -> Result<ApplyChangeSetResponse, Refused> {
        let change_id: [u8; 16] = request
            .change_id
            .as_slice()
            .try_into()
            .map_err(|_| Refused::field(Reason::RequestInvalid, "change_id", "a UUID in 16 bytes"))?;
        let most = if request.validate_only { MAX_JUDGED } else { MAX_CHANGES };
        if request.changes.is_empty() || request.changes.len() > most {
            return Err(Refused::field(Reason::RequestInvalid, "changes", &format!("1-{most} resources")));
        }
        let person = Person::parse(author);
        for _ in 0..RACES {
            self.catch_up(None).await.map_err(|e| refuse_by_log(&e))?;
            if let Some(applied) = self.applied.lock().get(&change_id).cloned() {
                return Ok(self.answer_again(&request, &applied));
            }
            let state = self.state();
            if !request.based_on.is_empty() {
                self.still_stands(&request.based_on).await?;
            }
            let checked = {
                let (state, changes, author) = (Arc::clone(&state), request.changes.clone(), author.to_owned());
                let (person, rules) = (person.clone(), self.options.agreements.clone());
                // Compiling schemas is long work; it stays off the async threads.
                let check = move || {
                    let (authority, now) = (Authority::Of(person), TimestampMs::now().0);
                    check::check(&state, &changes, &Asked { author: &author, authority, now, rules: &rules })
                };
                tokio::task::spawn_blocking(check).await.map_err(|_| Refused::of(Reason::Internal))??
            };
            let response = |head: Head| ApplyChangeSetResponse {
                head: Some(ControlHead { sequence: head.sequence, hash: head.hash.to_vec() }),
                results: checked.results.clone(),
            };
            if chain::level_of_resources(&checked.resources) > state.level.0 {
                return Err(Refused::of(Reason::LevelNotRaised));
            }
            if request.validate_only || checked.resources.is_empty() {
                return Ok(response(state.head));
            }
            let event = ChangeSetApplied {
                change_id: change_id.to_vec(),
                author: author.to_owned(),
                resources: checked.resources.clone(),
            };
            if event.encoded_len() > MAX_CHANGE_SET_BYTES {
                let expected = format!("at most {MAX_CHANGE_SET_BYTES} bytes as encoded; send it in parts");
                return Err(Refused::field(Reason::RequestInvalid, "changes", &expected));
            }
            match self.extend_from(state.head, Kind::ChangeSetApplied(event)).await {
                Ok(true) => return Ok(response(self.state().head)),
                Ok(false) => {}
                Err(error) => return Err(refuse_by_log(&error)),
            }
        }
        Err(Refused::of(Reason::StateMoved))
    }

    /// Whether nothing was registered or changed since a head; if so, tells what and by whom.
    async fn still_stands(&self, based_on: &[u8]) -> Result<(), Refused> {
        let since = self.replay.lock().await.history.iter().rposition(|hash| hash[..] == *based_on);
        let Some(since) = since else {
            return Err(Refused::field(Reason::StateMoved, "based_on", "the hash of a head of this hub"));
        };
        let mut after = since as u64;
        let mut changed: BTreeMap<(&'static str, String), (u32, String)> = BTreeMap::new();
        loop {
            let events = self.events(after).await.map_err(Refused::of)?;
            let Some((last, _)) = events.last() else { break };
            after = last.sequence;
            for (event, _) in events {
                let Some(Kind::ChangeSetApplied(applied)) = event.kind else { continue };
                let identities = applied.resources.iter().filter_map(check::identity);
                changed.extend(identities.map(|(id, version)| (id, (version, applied.author.clone()))));
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let told = changed.into_iter().map(|((kind, id), (version, author))| Problem {
            field: format!("{kind}({id})"),
            message: Text::new(
                format!("nay là phiên bản {version}, do {author} đổi"),
                format!("is version {version} now, changed by {author}"),
            ),
            reason: Reason::StateMoved,
        });
        Err(Refused { reason: Reason::StateMoved, problems: told.collect() })
    }

    fn answer_again(&self, request: &ApplyChangeSetRequest, applied: &[Applied]) -> ApplyChangeSetResponse {
        let state = self.state();
        let first: HashMap<_, _> = applied.iter().map(|a| ((&*a.kind, &*a.id), a.version)).collect();
        let results = request
            .changes
            .iter()
            .filter_map(check::change_identity)
            .map(|(kind, id)| {
                let version = first.get(&(kind, id.as_str())).copied();
                let effect = match version {
                    Some(1) => ChangeEffect::Created,
                    Some(_) => ChangeEffect::Changed,
                    None => ChangeEffect::Unchanged,
                };
                let version = version.unwrap_or_else(|| state.version_of(kind, &id));
                ChangeResult { kind: kind.to_owned(), id, version, effect: effect.into(), waits: false }
            })
            .collect();
        let head = ControlHead { sequence: state.head.sequence, hash: state.head.hash.to_vec() };
        ApplyChangeSetResponse { head: Some(head), results }
    }

    async fn extend(&self, kind: Kind) -> Result<bool, ControlError> {
        self.extend_from(self.state().head, kind).await
    }

    /// Appends an event based on `head`; tells whether it counts.
    async fn extend_from(&self, head: Head, kind: Kind) -> Result<bool, ControlError> {
        if let Some(broken) = self.broken() {
            return Err(broken.into());
        }
        let event = ControlEvent {
            sequence: head.sequence + 1,
            previous_hash: head.hash.to_vec(),
            minimum_level: chain::level_of(&kind),
            writer: self.options.node_id.to_vec(),
            time_ms: TimestampMs::now().0,
            kind: Some(kind),
            signature: Vec::new(),
        };
        let stored = Bytes::from(event.encode_to_vec());
        let ours = chain::hash(&head.hash, &stored);
        let mut writing = self.writing.lock().await;
        let appender = match writing.as_ref() {
            Some(appender) => Arc::clone(appender),
            None => Arc::clone(writing.insert(self.log.appender(self.partition.clone()).await?)),
        };
        let entry =
            NewEntry { key: None, value: Some(stored), headers: Vec::new(), timestamp: TimestampMs(event.time_ms) };
        let appended = match appender.append(vec![entry]) {
            Ok(appending) => tokio::time::timeout(self.options.deadline, appending).await,
            Err(error) => {
                *writing = None;
                return Err(error.into());
            }
        };
        match appended {
            Ok(Ok(appended)) => self.catch_up(appended.offsets.last().copied()).await?,
            // It may be on the log all the same: the chain tells, now or when it is read.
            Ok(Err(error)) => {
                *writing = None;
                self.catch_up(None).await?;
                if self.history_holds(event.sequence, &ours).await {
                    return Ok(true);
                }
                return Err(error.into());
            }
            Err(_) => {
                *writing = None;
                return Err(ControlError::TimedOut(self.options.deadline));
            }
        }
        Ok(self.history_holds(event.sequence, &ours).await)
    }

    async fn history_holds(&self, sequence: u64, hash: &Hash) -> bool {
        let replay = self.replay.lock().await;
        usize::try_from(sequence).ok().and_then(|n| replay.history.get(n)) == Some(hash)
    }

    /// Applies everything up to `through`, or up to the end of the log.
    async fn catch_up(&self, through: Option<Offset>) -> Result<(), ControlError> {
        let mut replay = self.replay.lock().await;
        if let Some(broken) = self.broken() {
            return Err(broken.into());
        }
        let deadline = Instant::now() + self.options.deadline;
        let mut moved = false;
        loop {
            if through.is_some_and(|through| replay.next > through) {
                break;
            }
            let fetched = self.log.fetch(&self.partition, replay.next, FETCH_BYTES, Duration::ZERO).await?;
            if fetched.entries.is_empty() && fetched.next == replay.next && fetched.next >= fetched.end {
                if through.is_none() {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(ControlError::TimedOut(self.options.deadline));
                }
            }
            let mut state = ControlState::clone(&self.state());
            for entry in &fetched.entries {
                let stored = entry.value.clone().unwrap_or_default();
                match chain::follow(&replay.history, &stored) {
                    Ok(Link::Next(event, head)) => {
                        if let Err(problem) = state.apply(&event, head) {
                            error!(sequence = event.sequence, %problem, "event cannot be applied");
                            return Err(self.stop(Break::Unreadable { after: event.sequence - 1 }));
                        }
                        replay.history.push(head.hash);
                        replay.offsets.push(entry.offset);
                        replay.since.0 += 1;
                        replay.since.1 += stored.len() as u64;
                        moved = true;
                        if let Some(Kind::ChangeSetApplied(applied)) = event.kind
                            && let Ok(change_id) = applied.change_id.as_slice().try_into()
                        {
                            let changed = applied.resources.iter().filter_map(check::identity);
                            let changed = changed.map(|((kind, id), version)| Applied {
                                kind: kind.into(),
                                id: id.into(),
                                version,
                            });
                            self.applied.lock().insert(change_id, changed.collect());
                        }
                    }
                    Ok(Link::Void) => info!(offset = entry.offset, "control event that lost a race passed over"),
                    Err(broken) => return Err(self.stop(broken)),
                }
            }
            replay.next = fetched.next;
            if moved {
                state.finish();
                let head = state.head;
                self.state.store(Arc::new(state));
                self.changed.send_replace(head);
            }
        }
        drop(replay);
        if moved && self.state().head.sequence > 0 && through.is_some() {
            self.remember()?;
        }
        Ok(())
    }

    fn stop(&self, broken: Break) -> ControlError {
        error!(%broken, "control log cannot be followed; changes are refused");
        self.broken.send_replace(Some(broken.clone()));
        broken.into()
    }

    fn memory_path(&self) -> PathBuf {
        self.options.dir.join("control.json")
    }

    fn forgotten(&self, memory: Memory) -> ControlError {
        ControlError::Forgotten {
            sequence: memory.sequence,
            hub_id: memory.hub_id,
            memory: self.memory_path().display().to_string(),
        }
    }

    fn recall(&self) -> Result<Option<Memory>, ControlError> {
        let path = self.memory_path();
        let error = |source| ControlError::Memory { path: path.display().to_string(), source };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| error(io::Error::new(io::ErrorKind::InvalidData, e))),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(other) => Err(error(other)),
        }
    }

    fn remember(&self) -> Result<(), ControlError> {
        let state = self.state();
        let memory =
            Memory { hub_id: hex(&state.hub_id), sequence: state.head.sequence, head_hash: hex(&state.head.hash) };
        let path = self.memory_path();
        let written = file::replace(&path, |file| Ok(serde_json::to_writer_pretty(file, &memory)?));
        written.map(|_| ()).map_err(|source| ControlError::Memory { path: path.display().to_string(), source })
    }
}

fn refuse_by_log(error: &ControlError) -> Refused {
    warn!(error = error as &dyn std::error::Error, "control change not made");
    match error {
        ControlError::Log(LogError::Unknown { .. }) | ControlError::TimedOut(_) => Refused::of(Reason::OutcomeUnknown),
        ControlError::Log(_) | ControlError::Memory { .. } => Refused::of(Reason::LogUnavailable),
        ControlError::Broken(_) | ControlError::Forgotten { .. } | ControlError::OtherSecret => {
            Refused::of(Reason::Internal)
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! The intent journal: who asked for what is on this node's disk before a byte of an answer leaves.
//!
//! One thread writes. It takes whatever has come while the disk was busy, writes it in one go and makes it durable with one
//! fdatasync, so that a thousand callers cost little more than one. An outcome waits for no disk: it goes with the next
//! asking, and an asking whose outcome is lost counts as disclosed.
//!
//! Everything written is shipped to the log `ldop.exchanges` in the order written, and a file goes once the log
//! has acknowledged all of it and the outcome of every asking in it. After a crash [`Journal::open`] reads what is left:
//! what may not have been shipped is shipped (an event may stand on the log twice, it is never missing), and an asking
//! without an outcome gets the outcome "unknown, counts as disclosed".
//!
//! Room is bounded. When the log takes nothing for so long that the room is used up, or the disk is full, askings are
//! refused and nothing else suffers.

mod segment;
mod writer;

use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread::JoinHandle,
    time::Instant,
};

use bytes::Bytes;
use ldop_contract::control::v1::{
    ExchangeEvent, LookUpAnswered, LookUpAsked, LookUpOutcome, exchange_event::Kind as EventKind,
};
use ldop_types::{ExchangeId, TimestampMs};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use self::{
    segment::Kind,
    writer::{Command, Recovered, Writer},
};
use crate::clock::Clock;

/// How long nobody tries to write after a failure, milliseconds.
const REST_MS: u64 = 1_000;

/// Settings of the journal.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes of one file.
    pub segment_bytes: usize,
    /// Bytes of all files; when they are used up, askings are refused.
    pub max_bytes: usize,
    /// What tells when something was answered.
    pub clock: Arc<Clock>,
}

impl Config {
    /// Files of 4 MiB, 64 MiB in all: some 100,000 askings while the log takes nothing.
    #[must_use]
    pub fn new(dir: PathBuf, clock: Arc<Clock>) -> Self {
        Self { dir, segment_bytes: 4 << 20, max_bytes: 64 << 20, clock }
    }
}

/// The asking could not be made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal of look-ups cannot be written")]
pub struct NotWritten;

/// An event on its way to the log.
#[derive(Debug, Clone)]
pub struct Unshipped {
    /// Its place in the journal.
    pub sequence: u64,
    /// Exchange id, which keys it on the log.
    pub id: Bytes,
    /// An encoded `ExchangeEvent`.
    pub event: Bytes,
}

/// What the writing thread shares with everybody else.
#[derive(Debug)]
struct Shared {
    unshipped: Mutex<VecDeque<Unshipped>>,
    news: Notify,
    started: Instant,
    /// Milliseconds since `started` until when nobody tries.
    resting_until: AtomicU64,
    bytes: AtomicU64,
}

impl Shared {
    fn rest(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.resting_until.store(now + REST_MS, Ordering::Relaxed);
    }
}

/// The journal of one node.
#[derive(Debug)]
pub struct Journal {
    commands: Sender<Command>,
    clock: Arc<Clock>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal and reads what an earlier process left in it.
    ///
    /// # Errors
    ///
    /// The folder or a file cannot be read.
    pub fn open(config: Config) -> io::Result<Self> {
        fs::create_dir_all(&config.dir)?;
        let recovered = recover(&config)?;
        let unshipped = Mutex::new(recovered.unshipped.iter().cloned().collect());
        let shared = Arc::new(Shared {
            unshipped,
            news: Notify::new(),
            started: Instant::now(),
            resting_until: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let (commands, received) = mpsc::channel();
        let clock = Arc::clone(&config.clock);
        let writer = Writer::new(config, Arc::clone(&shared), commands.clone(), recovered);
        let thread = std::thread::Builder::new().name("look-up-journal".into()).spawn(move || writer.run(&received))?;
        Ok(Self { commands, clock, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Whether it is worth trying: it has not failed or been full just now.
    #[must_use]
    pub fn takes(&self) -> bool {
        let now = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.resting_until.load(Ordering::Relaxed) <= now
    }

    /// Bytes its files take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Begins to write an asking. The outcome of what is returned follows, whatever happens.
    #[must_use]
    pub fn ask(&self, id: ExchangeId, now: TimestampMs, asked: LookUpAsked) -> Asking {
        let outcome = outcome_unknown(&asked);
        let event = ExchangeEvent { time_ms: now.0, kind: Some(EventKind::LookUpAsked(asked)) };
        let (done, durable) = oneshot::channel();
        let id = *id.as_bytes();
        let command = Command::Write { kind: Kind::Asked, id, event: event.encode_to_vec(), done: Some(done) };
        // Without a thread the sender of `done` goes with the command, and that is the answer.
        let _ = self.commands.send(command);
        let (commands, clock) = (self.commands.clone(), Arc::clone(&self.clock));
        Asking { id, outcome: Some(outcome), commands, clock, durable }
    }

    /// The oldest events that are to be shipped.
    #[must_use]
    pub fn unshipped(&self, most: usize) -> Vec<Unshipped> {
        self.shared.unshipped.lock().iter().take(most).cloned().collect()
    }

    /// Places of the oldest and the newest event that are to be shipped.
    #[must_use]
    pub fn unshipped_places(&self) -> Option<(u64, u64)> {
        let unshipped = self.shared.unshipped.lock();
        unshipped.front().zip(unshipped.back()).map(|(oldest, newest)| (oldest.sequence, newest.sequence))
    }

    /// Waits for more events to ship. Safe to drop.
    pub async fn news(&self) {
        self.shared.news.notified().await;
    }

    /// Everything up to a place is on the log.
    pub fn shipped(&self, sequence: u64) {
        let mut unshipped = self.shared.unshipped.lock();
        while unshipped.front().is_some_and(|event| event.sequence <= sequence) {
            unshipped.pop_front();
        }
        drop(unshipped);
        let _ = self.commands.send(Command::Shipped(sequence));
    }

    /// Writes what is left and ends; files that are not needed any more go. Blocks.
    pub fn close(&self) {
        let _ = self.commands.send(Command::Close);
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            warn!("the journal of look-ups ended with a panic");
        }
    }

    /// Waits until everything told so far is written and may be shipped. Blocks.
    pub fn settle(&self) {
        let (done, settled) = mpsc::channel();
        let _ = self.commands.send(Command::Settle(done));
        // Without a thread there is nothing to wait for.
        let _ = settled.recv();
    }
}

/// An asking on its way to the disk. Dropped without an outcome, as by a panic, it has the outcome "unknown".
#[derive(Debug)]
pub struct Asking {
    id: [u8; 16],
    /// `None` once told.
    outcome: Option<LookUpAnswered>,
    commands: Sender<Command>,
    clock: Arc<Clock>,
    durable: oneshot::Receiver<Result<(), NotWritten>>,
}

impl Asking {
    /// Waits until the asking is on the disk.
    ///
    /// # Errors
    ///
    /// [`NotWritten`]: nothing may be answered.
    pub async fn durable(&mut self) -> Result<(), NotWritten> {
        (&mut self.durable).await.map_err(|_| NotWritten)?
    }

    /// Tells the outcome: what stays as it is stands already.
    pub fn close(mut self, fill: impl FnOnce(&mut LookUpAnswered)) {
        if let Some(mut outcome) = self.outcome.take() {
            fill(&mut outcome);
            self.send(outcome);
        }
    }

    fn send(&self, outcome: LookUpAnswered) {
        let event = answered_event(outcome, self.clock.now());
        let command = Command::Write { kind: Kind::Answered, id: self.id, event, done: None };
        let _ = self.commands.send(command);
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.send(outcome);
        }
    }
}

fn answered_event(outcome: LookUpAnswered, now: TimestampMs) -> Vec<u8> {
    let kind = Some(EventKind::LookUpAnswered(outcome));
    ExchangeEvent { time_ms: now.0, kind }.encode_to_vec()
}

/// The outcome of an asking of which nothing more is known.
fn outcome_unknown(asked: &LookUpAsked) -> LookUpAnswered {
    let mut outcome = LookUpAnswered {
        exchange_id: asked.exchange_id.clone(),
        system: asked.system.clone(),
        agreement: asked.agreement.clone(),
        agreement_version: asked.agreement_version,
        dataset: asked.dataset.clone(),
        stage: asked.stage.clone(),
        source: asked.source.clone(),
        purpose_code: asked.purpose_code.clone(),
        ..Default::default()
    };
    outcome.set_outcome(LookUpOutcome::Unknown);
    outcome
}

/// Reads what an earlier process left.
fn recover(config: &Config) -> io::Result<Recovered> {
    let mut found = Recovered::default();
    let (mut records, mut damaged) = (Vec::new(), 0);
    for (number, path) in segment::list(&config.dir)? {
        let (read, bad) = segment::read(&fs::read(&path)?);
        records.extend(read);
        damaged += bad;
        found.next_number = number + 1;
        found.files.push(path);
    }
    records.sort_by_key(|record| record.sequence);
    let shipped = |record: &segment::Record| {
        (record.kind == Kind::Shipped).then(|| record.body.as_slice().try_into().map_or(0, u64::from_le_bytes))
    };
    let shipped = records.iter().filter_map(shipped).max().unwrap_or(0);
    let mut open: HashMap<Vec<u8>, LookUpAnswered> = HashMap::new();
    let mut order = Vec::new();
    for record in records {
        found.last_sequence = found.last_sequence.max(record.sequence);
        if record.kind == Kind::Shipped {
            continue;
        }
        let event = Bytes::from(record.body);
        let id = match ExchangeEvent::decode(event.clone()).ok().and_then(|event| event.kind) {
            Some(EventKind::LookUpAsked(asked)) => {
                order.push(asked.exchange_id.clone());
                open.insert(asked.exchange_id.clone(), outcome_unknown(&asked));
                asked.exchange_id
            }
            Some(EventKind::LookUpAnswered(answered)) => {
                open.remove(&answered.exchange_id);
                answered.exchange_id
            }
            _ => {
                damaged += 1;
                continue;
            }
        };
        if record.sequence > shipped {
            found.unshipped.push(Unshipped { sequence: record.sequence, id: id.into(), event });
        }
    }
    let unknown = open.len();
    for outcome in order.iter().filter_map(|id| open.remove(id)) {
        found.last_sequence += 1;
        let id = Bytes::from(outcome.exchange_id.clone());
        let event = Bytes::from(answered_event(outcome, config.clock.now()));
        found.unshipped.push(Unshipped { sequence: found.last_sequence, id, event });
    }
    if damaged > 0 {
        warn!(
            damaged,
            "the journal of look-ups has stretches that cannot be read; one at its end is what a crash leaves"
        );
    }
    if !found.files.is_empty() {
        info!(
            unshipped = found.unshipped.len(),
            unknown, "journal of look-ups read; what is unknown counts as disclosed"
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

//! The one writer of a topic's partitions: takes them over in band, appends in order, settles the index.
//!
//! A *lane* is one partition. Taking a lane over appends an epoch marker, then reads and indexes everything up to it;
//! only then does the lane serve. While it serves, acknowledged offsets are contiguous; a gap is read before anything
//! behind it is acknowledged, and a higher epoch found there means that another node has taken over.
//!
//! A failed append stops its lane. Nothing that was submitted behind it is written (see [`ldop_log::Appender`]), so
//! order within a key holds. The lane is taken over again, under a higher epoch of the same node, by the next caller;
//! what was in doubt is then either on the log and settled, or void for ever and released.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_log::{AppendFuture, Appended, Appender, LogError, MessageLog, Offset, Partition, TopicSpec};
use ldop_types::{Reason, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::{
    cipher::Ciphers,
    clock::Clock,
    header::{self, Attributes, Content, RecordMeta, Reign, Stamp},
    index::{Index, Key, Place, Position},
    metrics::Metrics,
};

/// Bytes read at once while a partition is indexed.
const CATCH_UP_BYTES: usize = 4 << 20;
/// Bits of an epoch that count take-overs of one lane by one start of a node; the rest is the node's epoch.
const INCARNATION_BITS: u32 = 16;

/// Who writes: a start of a node. Its epoch comes from the control log, so no two are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// New for each start.
    pub id: [u8; 16],
    /// Dense, from the control log.
    pub epoch: u64,
}

/// What all writers of a node share.
pub struct Shared {
    /// The log.
    pub log: Arc<dyn MessageLog>,
    /// The exchange index.
    pub index: Arc<Index>,
    /// Encrypts and hashes what is personal.
    pub ciphers: Ciphers,
    /// Who writes.
    pub node: Node,
    /// Longest wait for the log in a take-over.
    pub deadline: Duration,
    /// How far back an exchange id is remembered.
    pub window: Duration,
    /// Set once another node has taken over.
    pub fenced: watch::Sender<bool>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The hub's clock.
    pub clock: Arc<Clock>,
    /// Whether a seal is under way.
    pub sealing: AtomicBool,
}

/// Records to append, and the bytes of their keys.
#[derive(Default)]
pub struct Batch {
    /// Records, in order.
    pub records: Vec<Outgoing>,
    /// Keys of all batches made together.
    pub keys: Bytes,
}

/// A record to append: its reservation, what the hub knows of it, its key and value.
pub struct Outgoing {
    /// Reserved id.
    pub key: Key,
    /// Header; the epoch is filled in by the lane.
    pub meta: RecordMeta,
    /// Where its key on the log stands in the batch's keys.
    pub log_key: Range<usize>,
    /// What it says.
    pub content: Content,
}

/// Resolves with the offsets of a batch, in order.
pub type Submitted = oneshot::Receiver<Result<Vec<Offset>, Reason>>;

/// The writer of one dataset topic.
pub struct TopicWriter {
    shared: Arc<Shared>,
    spec: TopicSpec,
    lanes: Vec<Arc<Lane>>,
    ready: Arc<AtomicBool>,
    /// Held while lanes are taken over, so that callers do it once.
    opening: tokio::sync::Mutex<()>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Lane {
    partition: Partition,
    /// The topic's: cleared when this lane stops.
    ready: Arc<AtomicBool>,
    /// Ends when the last settler has decided everything it was given.
    settler: tokio::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
    incarnation: AtomicU64,
    serving: Mutex<Option<Serving>>,
    /// Keys of batches whose outcome is not known; decided by the next take-over.
    in_doubt: Mutex<Vec<Key>>,
}

struct Serving {
    appender: Arc<dyn Appender>,
    epoch: u64,
    settle: mpsc::UnboundedSender<InFlight>,
}

struct InFlight {
    keys: Vec<Key>,
    appended: AppendFuture,
    reply: oneshot::Sender<Result<Vec<Offset>, Reason>>,
    submitted: Instant,
}

impl TopicWriter {
    /// Makes the writer; nothing is touched until [`ready`](Self::ready).
    #[must_use]
    pub fn new(shared: Arc<Shared>, spec: TopicSpec) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let lanes = (0..spec.partitions)
            .map(|index| {
                Arc::new(Lane {
                    partition: Partition { topic: spec.name.clone(), index },
                    ready: Arc::clone(&ready),
                    settler: tokio::sync::Mutex::new(None),
                    incarnation: AtomicU64::new(0),
                    serving: Mutex::new(None),
                    in_doubt: Mutex::new(Vec::new()),
                })
            })
            .collect();
        Self { shared, spec, lanes, ready, opening: tokio::sync::Mutex::new(()), turn: Arc::default() }
    }

    /// Number of partitions.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.spec.partitions
    }

    /// Makes sure every lane serves, taking over those that do not. All lanes of a dataset are indexed before any
    /// serves, because an exchange id may come again with a key of another partition.
    ///
    /// # Errors
    ///
    /// [`Reason::Fenced`], or [`Reason::LogUnavailable`] while the log is away.
    pub async fn ready(&self) -> Result<(), Reason> {
        if *self.shared.fenced.borrow() {
            return Err(Reason::Fenced);
        }
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let _opening = self.opening.lock().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        self.shared.log.ensure_topics(vec![self.spec.clone()]).await.map_err(|e| unavailable("make topic", &e))?;
        let down: Vec<_> = self.lanes.iter().filter(|lane| lane.serving.lock().is_none()).collect();
        let taken = futures::future::join_all(down.iter().map(|lane| self.take_over(lane))).await;
        if let Some(reason) = taken.into_iter().filter_map(Result::err).next() {
            return Err(reason);
        }
        self.ready.store(true, Ordering::Release);
        // A lane that stopped before the line above cleared the flag too early; one that stops later clears it itself.
        if self.lanes.iter().any(|lane| lane.serving.lock().is_none()) {
            self.ready.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// The turn to reserve ids and submit what they belong to: one batch of the topic at a time, in the order of asking.
    pub async fn turn(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Submits records of one partition. The order of calls is the order on the log.
    ///
    /// # Errors
    ///
    /// With nothing taken, the records given back: [`Reason::Overloaded`] when too much is on its way,
    /// [`Reason::LogUnavailable`] when the lane has to be taken over first.
    pub fn submit(
        &self,
        partition: u32,
        attributes: &Attributes,
        mut batch: Batch,
    ) -> Result<Submitted, (Reason, Batch)> {
        let lane = &self.lanes[partition as usize];
        let serving = lane.serving.lock();
        let Some(serving) = serving.as_ref() else {
            self.ready.store(false, Ordering::Release);
            return Err((Reason::LogUnavailable, batch));
        };
        for record in &mut batch.records {
            record.meta.epoch = serving.epoch;
        }
        let keys = &batch.keys;
        let records = batch.records.iter();
        let entries = attributes.entries(records.map(|r| (&r.meta, keys.slice(r.log_key.clone()), r.content.clone())));
        // The lock is held over both calls, so that the settler sees batches in the order of the log.
        match serving.appender.append(entries) {
            Ok(appended) => {
                let (reply, submitted) = oneshot::channel();
                let keys = batch.records.into_iter().map(|record| record.key).collect();
                let in_flight = InFlight { keys, appended, reply, submitted: Instant::now() };
                if let Err(mpsc::error::SendError(in_flight)) = serving.settle.send(in_flight) {
                    // The lane has just failed. What was appended behind the failure is decided by the take-over.
                    lane.in_doubt.lock().extend(in_flight.keys);
                    let _ = in_flight.reply.send(Err(Reason::OutcomeUnknown));
                }
                Ok(submitted)
            }
            Err(LogError::Full) => Err((Reason::Overloaded, batch)),
            Err(error) => {
                warn!(partition = %lane.partition, %error, "append refused");
                self.ready.store(false, Ordering::Release);
                Err((Reason::LogUnavailable, batch))
            }
        }
    }

    async fn take_over(&self, lane: &Arc<Lane>) -> Result<(), Reason> {
        let shared = &self.shared;
        let partition = &lane.partition;
        let mut settler = lane.settler.lock().await;
        if let Some(last) = settler.as_mut() {
            // What it was given must be decided before the marker: a key put in doubt later would stay reserved.
            if tokio::time::timeout(shared.deadline, last).await.is_err() {
                return Err(Reason::LogUnavailable);
            }
            *settler = None;
        }
        let incarnation = lane.incarnation.fetch_add(1, Ordering::Relaxed);
        let epoch = (shared.node.epoch << INCARNATION_BITS) + incarnation;
        let appender = shared.log.appender(partition.clone()).await.map_err(|e| unavailable("open partition", &e))?;
        let marker = header::marker(epoch, shared.node.id, shared.clock.now());
        let appending = appender.append(vec![marker]).map_err(|e| unavailable("append epoch marker", &e))?;
        let Appended { offsets } = tokio::time::timeout(shared.deadline, appending)
            .await
            .map_err(|_| Reason::LogUnavailable)?
            .map_err(|e| unavailable("append epoch marker", &e))?;
        let marked = *offsets.last().ok_or(Reason::LogUnavailable)?;
        let reign = self.index_up_to(partition, marked).await?;
        if reign.epoch != Some(epoch) {
            warn!(%partition, epoch, reigning = reign.epoch, "partition is written by another node");
            shared.fenced.send_replace(true);
            return Err(Reason::Fenced);
        }
        // Whatever was in doubt and is not on the log below the marker is void for ever.
        for key in lane.in_doubt.lock().drain(..) {
            shared.index.release(&key, Reason::LogUnavailable);
        }
        let (settle, in_flight) = mpsc::unbounded_channel();
        *lane.serving.lock() = Some(Serving { appender, epoch, settle });
        let run = Settler { shared: Arc::clone(shared), lane: Arc::clone(lane), epoch, expected: marked + 1 };
        *settler = Some(tokio::spawn(run.run(in_flight)));
        info!(%partition, epoch, "partition taken over");
        Ok(())
    }

    async fn index_up_to(&self, partition: &Partition, last: Offset) -> Result<Reign, Reason> {
        let shared = &self.shared;
        let position = match shared.index.position(partition) {
            Some(position) if position.next <= last => position,
            known => {
                if let Some(position) = known {
                    error!(%partition, indexed = position.next, end = last, "log is shorter than its index; indexing anew");
                }
                let horizon = TimestampMs(shared.clock.now().0 - i64::try_from(shared.window.as_millis()).unwrap_or(0));
                let next = shared.log.offset_at(partition, horizon).await.map_err(|e| unavailable("find start", &e))?;
                Position { next: next.min(last), epoch: None }
            }
        };
        let mut reign = Reign { epoch: position.epoch };
        let mut next = position.next;
        while next <= last {
            let fetched = match shared.log.fetch(partition, next, CATCH_UP_BYTES, Duration::ZERO).await {
                Ok(fetched) => fetched,
                // Retention has passed the position.
                Err(LogError::OutOfRange { start, offset, .. }) if offset < start => {
                    next = start;
                    continue;
                }
                Err(error) => return Err(unavailable("index partition", &error)),
            };
            for entry in &fetched.entries {
                if entry.offset > last {
                    break;
                }
                match header::stamp(entry) {
                    Ok(stamp) => {
                        if let Some(meta) = reign.admits(&stamp) {
                            let key = Key { id: meta.exchange_id, scope: meta.scope };
                            let place = Place { accepted: true, partition: partition.index, offset: entry.offset };
                            shared.index.settle(key, place);
                            shared.clock.observe(meta.accepted_time);
                        }
                    }
                    Err(error) => warn!(%partition, offset = entry.offset, %error, "foreign entry passed over"),
                }
            }
            if fetched.next == next {
                return Err(unavailable("index partition", &LogError::Unavailable { detail: "no progress".into() }));
            }
            next = fetched.next;
            seal_when_due(shared);
            tokio::task::yield_now().await;
        }
        shared.index.advance(partition, Position { next: last + 1, epoch: reign.epoch });
        Ok(reign)
    }
}

fn unavailable(operation: &'static str, error: &LogError) -> Reason {
    warn!(operation, %error, "log operation failed");
    Reason::LogUnavailable
}

/// Seals the index off the async threads when enough is settled.
fn seal_when_due(shared: &Arc<Shared>) {
    if !shared.index.wants_sealing() || shared.sealing.swap(true, Ordering::AcqRel) {
        return;
    }
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = shared.index.seal(shared.clock.now()) {
            warn!(%error, "exchange index not sealed; it stays in memory");
        }
        shared.sealing.store(false, Ordering::Release);
    });
}

/// Awaits the batches of one lane in order and settles them.
struct Settler {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    epoch: u64,
    expected: Offset,
}

impl Settler {
    async fn run(mut self, mut in_flight: mpsc::UnboundedReceiver<InFlight>) {
        while let Some(batch) = in_flight.recv().await {
            let InFlight { keys, appended, reply, submitted } = batch;
            match appended.await {
                Ok(Appended { offsets }) => {
                    self.shared.metrics.append_seconds.observe(submitted.elapsed().as_secs_f64());
                    match self.close_gaps(&offsets).await {
                        Ok(()) => {
                            self.settle(&keys, &offsets);
                            let _ = reply.send(Ok(offsets));
                        }
                        Err(reason) => {
                            self.fail(&keys, true);
                            let _ = reply.send(Err(reason));
                            return self.stop(in_flight, reason).await;
                        }
                    }
                }
                Err(error) => {
                    warn!(partition = %self.lane.partition, %error, "append failed");
                    let reason = self.give_up(&keys, &error);
                    let _ = reply.send(Err(reason));
                    return self.stop(in_flight, reason).await;
                }
            }
        }
    }

    fn settle(&mut self, keys: &[Key], offsets: &[Offset]) {
        for (key, offset) in keys.iter().zip(offsets) {
            let place = Place { accepted: true, partition: self.lane.partition.index, offset: *offset };
            self.shared.index.settle(*key, place);
        }
        let next = offsets.last().map_or(self.expected, |last| last + 1);
        self.expected = next;
        self.shared.index.advance(&self.lane.partition, Position { next, epoch: Some(self.epoch) });
        seal_when_due(&self.shared);
    }

    /// Reads whatever lies between the expected and the given offsets. Offsets of a sole writer have no gaps but those
    /// the engine makes itself; entries of another writer show up here.
    async fn close_gaps(&self, offsets: &[Offset]) -> Result<(), Reason> {
        let mut expected = self.expected;
        for offset in offsets {
            while expected < *offset {
                expected = self.read_gap(expected, *offset).await?;
            }
            expected = offset + 1;
        }
        Ok(())
    }

    async fn read_gap(&self, from: Offset, to: Offset) -> Result<Offset, Reason> {
        let partition = &self.lane.partition;
        let fetched = self
            .shared
            .log
            .fetch(partition, from, CATCH_UP_BYTES, Duration::ZERO)
            .await
            .map_err(|e| unavailable("read gap", &e))?;
        for entry in fetched.entries.iter().take_while(|entry| entry.offset < to) {
            if let Ok(Stamp::Marker { epoch, .. }) = header::stamp(entry)
                && epoch > self.epoch
            {
                warn!(%partition, epoch, own = self.epoch, "another node has taken the partition over");
                self.shared.fenced.send_replace(true);
                return Err(Reason::Fenced);
            }
        }
        if fetched.next <= from {
            return Err(Reason::LogUnavailable);
        }
        Ok(fetched.next.min(to))
    }

    fn give_up(&self, keys: &[Key], error: &LogError) -> Reason {
        let in_doubt = match error {
            LogError::Unknown { .. } | LogError::Closed => true,
            LogError::Unavailable { .. }
            | LogError::Full
            | LogError::AppenderFailed
            | LogError::TooLarge { .. }
            | LogError::KeyRequired
            | LogError::UnknownPartition { .. }
            | LogError::TopicDiffers { .. }
            | LogError::OutOfRange { .. }
            | LogError::Altered { .. } => false,
        };
        self.fail(keys, in_doubt);
        if in_doubt { Reason::OutcomeUnknown } else { Reason::LogUnavailable }
    }

    fn fail(&self, keys: &[Key], in_doubt: bool) {
        if in_doubt {
            self.lane.in_doubt.lock().extend(keys);
        } else {
            for key in keys {
                self.shared.index.release(key, Reason::LogUnavailable);
            }
        }
    }

    /// Stops the lane and settles what was submitted behind the failure.
    async fn stop(self, mut in_flight: mpsc::UnboundedReceiver<InFlight>, why: Reason) {
        // Dropping the appender's handle ends submissions; the receiver then runs dry.
        *self.lane.serving.lock() = None;
        self.lane.ready.store(false, Ordering::Release);
        in_flight.close();
        while let Some(batch) = in_flight.recv().await {
            let reason = match batch.appended.await {
                // Written behind a batch that was not, or behind another writer: in doubt until the take-over reads it.
                Ok(_) => {
                    self.fail(&batch.keys, true);
                    if why == Reason::Fenced { Reason::Fenced } else { Reason::OutcomeUnknown }
                }
                Err(error) => self.give_up(&batch.keys, &error),
            };
            let _ = batch.reply.send(Err(reason));
        }
    }
}

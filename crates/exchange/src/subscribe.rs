//! Subscriptions: what an agreement grants, in order, at least once, at the pace of the subscriber.
//!
//! A subscription is a state machine that its stream drives: it costs a buffer for each partition and nothing else.
//! It reads ahead only while there is credit, so a subscriber that stops reading stops its reads.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use ldop_catalog::{Agreement, Mode, definition::Validity, state::Versioned};
use ldop_control::{ControlState, chain::Head, grant_of};
use ldop_log::{Entry, Fetched, LogError, Offset, Partition};
use ldop_schema_registry::{Limits, Parser, View};
use ldop_types::{AgreementId, ExchangeId, Reason, SubscriptionName, SystemId, TimestampMs};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Exchange,
    cursors::SubscriptionId,
    header::{self, Reign},
    index::Position,
};

/// Bytes read at once for one partition; the buffer a subscriber costs for each.
const CHUNK_BYTES: usize = 512 << 10;
/// How long a read waits at the end of a partition before it is made again.
const WAIT_AT_END: Duration = Duration::from_secs(30);
/// Records in one message to the subscriber.
const BATCH_RECORDS: usize = 512;
/// Payload bytes in one message to the subscriber.
const BATCH_BYTES: usize = 512 << 10;
/// Batches sent and not acknowledged, for each partition, before sending stops.
const UNACKNOWLEDGED_BATCHES: usize = 4_096;
/// Pause before a failed read is made again.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// Where to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the acknowledged position, or the earliest record.
    Resume,
    /// At the earliest record.
    Earliest,
    /// At the next record to be accepted.
    Latest,
    /// At the first record accepted at or after this time.
    Time(TimestampMs),
    /// At these offsets; other partitions resume.
    Positions(Vec<(u32, Offset)>),
}

/// What to open.
#[derive(Debug, Clone)]
pub struct OpenSubscription {
    /// Agreement.
    pub agreement: AgreementId,
    /// Name of the subscription.
    pub name: SubscriptionName,
    /// Where to start.
    pub start: Start,
}

/// One record as its consumer receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Position.
    pub offset: Offset,
    /// Exchange id.
    pub exchange_id: ExchangeId,
    /// Granted fields only.
    pub payload: Bytes,
    /// When the stated fact came about.
    pub event_time: TimestampMs,
    /// When the hub accepted it.
    pub accepted_time: TimestampMs,
    /// Schema version it was checked against.
    pub schema_version: u32,
}

/// What a subscription brings next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Records of one partition.
    Batch {
        /// Partition.
        partition: u32,
        /// Records in order.
        records: Vec<Delivered>,
        /// Acknowledge this to be done with them.
        next: Offset,
    },
    /// Everything there is was sent.
    CaughtUp(Vec<(u32, Offset)>),
}

struct Lane {
    partition: Partition,
    /// Where the next read begins.
    read: Offset,
    reign: Reign,
    buffer: VecDeque<Entry>,
    /// Where the subscriber stands once the buffer is sent.
    buffer_next: Offset,
    reading: bool,
    at_end: bool,
    sent: VecDeque<Sent>,
    acknowledged: Offset,
}

impl Lane {
    fn at(partition: Partition, position: Position) -> Self {
        Self {
            partition,
            read: position.next,
            reign: Reign { epoch: position.epoch },
            buffer: VecDeque::new(),
            buffer_next: position.next,
            reading: false,
            at_end: false,
            sent: VecDeque::new(),
            acknowledged: position.next,
        }
    }
}

struct Sent {
    position: Position,
    records: u64,
}

type Read = BoxFuture<'static, (usize, Result<Fetched, LogError>)>;

/// An open subscription.
pub struct Subscription {
    exchange: Arc<Exchange>,
    id: SubscriptionId,
    agreement: Arc<Versioned<Agreement>>,
    view: View,
    parser: Parser,
    lanes: Vec<Lane>,
    reads: FuturesUnordered<Read>,
    next_lane: usize,
    credit_records: u64,
    credit_bytes: i64,
    caught_up: bool,
    control: watch::Receiver<Head>,
    fenced: watch::Receiver<bool>,
    taken_over: CancellationToken,
}

impl Subscription {
    /// Opens a subscription for the calling system. One that is open under the same id ends.
    ///
    /// # Errors
    ///
    /// The reasons an agreement grants nothing for, [`Reason::PositionOutOfRange`], [`Reason::LogUnavailable`].
    pub async fn open(exchange: Arc<Exchange>, system: SystemId, open: OpenSubscription) -> Result<Self, Reason> {
        let control = exchange.control.changes();
        let agreement = grant(&exchange, &system, &open.agreement, Mode::Subscribe, None)?;
        let view = view(&exchange, &exchange.control.state(), &agreement.value)?;
        let dataset = agreement.value.dataset.clone();
        let writer = exchange.writer(agreement.value.stage, &dataset)?;
        match writer.ready().await {
            // A log that takes nothing more, because it is full, may well be read; one that is away is told below.
            Ok(()) | Err(Reason::LogUnavailable) => {}
            Err(reason) => return Err(reason),
        }
        let id = SubscriptionId { system, agreement: open.agreement, name: open.name };
        let topic = header::dataset_topic(agreement.value.stage, &dataset);
        let lanes = (0..writer.partitions()).map(|index| {
            let (exchange, id, start) = (&exchange, &id, &open.start);
            let partition = Partition { topic: topic.clone(), index };
            async move {
                let position = exchange.start(id, &partition, start).await?;
                Ok(Lane::at(partition, position))
            }
        });
        let lanes = futures::future::try_join_all(lanes).await?;
        let taken_over = exchange.claim(&id);
        exchange.metrics.subscriptions.inc();
        info!(system = %id.system, agreement = %id.agreement, subscription = %id.name, "subscription opened");
        Ok(Self {
            fenced: exchange.fenced(),
            parser: Parser::new(Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT }),
            exchange,
            id,
            agreement,
            view,
            lanes,
            reads: FuturesUnordered::new(),
            next_lane: 0,
            credit_records: 0,
            credit_bytes: 0,
            caught_up: false,
            control,
            taken_over,
        })
    }

    /// The agreement it was opened under.
    #[must_use]
    pub fn agreement(&self) -> &Versioned<Agreement> {
        &self.agreement
    }

    /// Where each partition stands: behind the last record sent.
    #[must_use]
    pub fn positions(&self) -> Vec<(u32, Offset)> {
        self.lanes
            .iter()
            .map(|lane| {
                (lane.partition.index, if lane.buffer.is_empty() { lane.buffer_next } else { lane.buffer[0].offset })
            })
            .collect()
    }

    /// Lets the hub send more.
    pub fn add_credit(&mut self, records: u32, bytes: u64) {
        const MOST: u64 = 1 << 40;
        self.credit_records = (self.credit_records + u64::from(records)).min(MOST);
        let bytes = i64::try_from(bytes.min(MOST)).unwrap_or(i64::MAX);
        self.credit_bytes = self.credit_bytes.saturating_add(bytes).min(1 << 40);
    }

    /// Acknowledges everything below an offset of a partition. Positions already acknowledged are passed over.
    ///
    /// # Errors
    ///
    /// [`Reason::PositionOutOfRange`]: the position lies beyond what was sent.
    pub fn acknowledge(&mut self, partition: u32, next: Offset) -> Result<(), Reason> {
        let lane = self.lanes.get_mut(partition as usize).ok_or(Reason::PositionOutOfRange)?;
        let sent_to = lane.sent.back().map_or(lane.acknowledged, |sent| sent.position.next);
        if next > sent_to.max(lane.acknowledged) {
            return Err(Reason::PositionOutOfRange);
        }
        let mut records = 0;
        let mut position = None;
        while lane.sent.front().is_some_and(|sent| sent.position.next <= next) {
            let sent = lane.sent.pop_front().expect("there is a front");
            records += sent.records;
            position = Some(sent.position);
        }
        // A position inside a batch: everything below is done, the rest of the batch stays.
        if let Some(front) = lane.sent.front()
            && next > position.map_or(lane.acknowledged, |p| p.next)
        {
            position = Some(Position { next, epoch: front.position.epoch });
        }
        if let Some(position) = position {
            lane.acknowledged = position.next;
            self.exchange.cursors.acknowledge(&self.id, partition, position, records, self.agreement.version);
        }
        Ok(())
    }

    /// The next delivery; waits for credit and records. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// The reason the hub ends the stream for.
    pub async fn next(&mut self) -> Result<Delivery, Reason> {
        loop {
            self.check_grant()?;
            if self.has_credit() {
                if let Some(delivery) = self.cut_batch()? {
                    return Ok(delivery);
                }
                if let Some(delivery) = self.notice_end() {
                    return Ok(delivery);
                }
                self.start_reads();
            }
            let until = self.agreement.value.definition.valid_until;
            let expiry =
                until.map(|until| Duration::from_millis(u64::try_from(until.0 - self.exchange.now().0).unwrap_or(0)));
            tokio::select! {
                Some((lane, read)) = self.reads.next(), if !self.reads.is_empty() => self.take_read(lane, read)?,
                // Both senders live as long as the exchange that this holds.
                _ = self.control.changed() => {}
                _ = self.fenced.changed() => {}
                () = self.taken_over.cancelled() => return Err(Reason::SubscriptionTakenOver),
                () = tokio::time::sleep(expiry.unwrap_or_default()), if expiry.is_some() => {}
            }
        }
    }

    fn check_grant(&mut self) -> Result<(), Reason> {
        if self.taken_over.is_cancelled() {
            return Err(Reason::SubscriptionTakenOver);
        }
        if *self.fenced.borrow_and_update() {
            return Err(Reason::Fenced);
        }
        let has_changed = self.control.has_changed().unwrap_or(false);
        self.control.borrow_and_update();
        grant(&self.exchange, &self.id.system, &self.id.agreement, Mode::Subscribe, Some(&self.agreement))?;
        if has_changed && self.view.has_condition() {
            // It is of a version of the schema.
            self.view = view(&self.exchange, &self.exchange.control.state(), &self.agreement.value)?;
        }
        Ok(())
    }

    fn has_credit(&self) -> bool {
        self.credit_records > 0 && self.credit_bytes > 0
    }

    fn start_reads(&mut self) {
        for (at, lane) in self.lanes.iter_mut().enumerate() {
            if lane.reading || !lane.buffer.is_empty() || lane.sent.len() >= UNACKNOWLEDGED_BATCHES {
                continue;
            }
            lane.reading = true;
            let log = Arc::clone(&self.exchange.log);
            let (partition, offset) = (lane.partition.clone(), lane.read);
            let wait = if lane.at_end { WAIT_AT_END } else { Duration::ZERO };
            self.reads.push(Box::pin(async move {
                let read = log.fetch(&partition, offset, CHUNK_BYTES, wait).await;
                if read.as_ref().is_err_and(LogError::is_retryable) {
                    tokio::time::sleep(READ_AGAIN).await;
                }
                (at, read)
            }));
        }
    }

    fn take_read(&mut self, at: usize, read: Result<Fetched, LogError>) -> Result<(), Reason> {
        let lane = &mut self.lanes[at];
        lane.reading = false;
        match read {
            Ok(fetched) => {
                lane.read = fetched.next;
                lane.buffer_next = fetched.next;
                lane.at_end = fetched.next >= fetched.end;
                lane.buffer.extend(fetched.entries);
                Ok(())
            }
            Err(LogError::OutOfRange { start, offset, .. }) if offset < start => {
                warn!(partition = %lane.partition, offset, start, "retention has passed a subscription");
                lane.read = start;
                lane.buffer_next = start;
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                warn!(partition = %lane.partition, %error, "subscription cannot read; trying again");
                if matches!(error, LogError::Closed) { Err(Reason::ShuttingDown) } else { Ok(()) }
            }
            Err(error) => {
                tracing::error!(partition = %lane.partition, %error, "subscription cannot read");
                Err(if matches!(error, LogError::Altered { .. }) { Reason::RecordAltered } else { Reason::Internal })
            }
        }
    }

    /// Cuts the next message from the buffers, each partition in turn.
    fn cut_batch(&mut self) -> Result<Option<Delivery>, Reason> {
        for step in 0..self.lanes.len() {
            let at = (self.next_lane + step) % self.lanes.len();
            if self.lanes[at].buffer.is_empty() {
                continue;
            }
            self.next_lane = at + 1;
            let lane = &mut self.lanes[at];
            let mut records = Vec::with_capacity(lane.buffer.len().min(BATCH_RECORDS));
            let (mut bytes, mut withheld) = (0, 0);
            // All payloads of a message share one allocation.
            let mut projected = Vec::with_capacity(BATCH_BYTES / 4);
            let mut cuts = Vec::with_capacity(records.capacity());
            let mut next = lane.buffer_next;
            while let Some(entry) = lane.buffer.front() {
                if records.len() >= BATCH_RECORDS
                    || bytes >= BATCH_BYTES
                    || records.len() as u64 >= self.credit_records
                    || i64::try_from(bytes).unwrap_or(i64::MAX) >= self.credit_bytes
                {
                    next = entry.offset;
                    break;
                }
                let entry = lane.buffer.pop_front().expect("there is a front");
                let Ok(stamp) = header::stamp(&entry) else {
                    warn!(partition = %lane.partition, offset = entry.offset, "foreign entry passed over");
                    continue;
                };
                let Some(meta) = lane.reign.admits(&stamp).copied() else { continue };
                let Some(value) = entry.value.as_ref() else { continue };
                let from = projected.len();
                let shown =
                    meta.payload(value).map(|payload| self.view.show(&mut self.parser, payload, &mut projected));
                match shown {
                    Some(Ok(true)) => {}
                    Some(Ok(false)) => {
                        withheld += 1;
                        continue;
                    }
                    Some(Err(_)) | None => {
                        tracing::error!(partition = %lane.partition, offset = entry.offset, "accepted record is no JSON object any more");
                        return Err(Reason::RecordAltered);
                    }
                }
                bytes += projected.len() - from;
                cuts.push(from..projected.len());
                records.push(Delivered {
                    offset: entry.offset,
                    exchange_id: meta.exchange_id,
                    payload: Bytes::new(),
                    event_time: meta.event_time,
                    accepted_time: meta.accepted_time,
                    schema_version: meta.schema_version,
                });
            }
            let projected = Bytes::from(projected);
            for (record, cut) in records.iter_mut().zip(cuts) {
                record.payload = projected.slice(cut);
            }
            let position = Position { next, epoch: lane.reign.epoch };
            let count = records.len() as u64;
            self.exchange.metrics.withheld.inc_by(withheld);
            lane.sent.push_back(Sent { position, records: count });
            if records.is_empty() {
                // Markers, void and withheld records only: done with them, nothing to send.
                if lane.sent.len() == 1 {
                    lane.sent.clear();
                    lane.acknowledged = next;
                    if withheld > 0 {
                        // There may be many of them, and nobody will acknowledge what he does not get.
                        let partition = lane.partition.index;
                        self.exchange.cursors.acknowledge(&self.id, partition, position, 0, self.agreement.version);
                    }
                }
                continue;
            }
            self.credit_records -= count;
            self.credit_bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
            self.caught_up = false;
            self.exchange.metrics.delivered.inc_by(count);
            self.exchange.metrics.delivered_bytes.inc_by(bytes as u64);
            return Ok(Some(Delivery::Batch { partition: lane.partition.index, records, next }));
        }
        Ok(None)
    }

    fn notice_end(&mut self) -> Option<Delivery> {
        if self.caught_up || !self.lanes.iter().all(|lane| lane.at_end && lane.buffer.is_empty()) {
            return None;
        }
        self.caught_up = true;
        Some(Delivery::CaughtUp(self.positions()))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.exchange.metrics.subscriptions.dec();
        self.exchange.unclaim(&self.id, &self.taken_over);
        info!(system = %self.id.system, agreement = %self.id.agreement, subscription = %self.id.name, "subscription closed");
        let exchange = Arc::clone(&self.exchange);
        if !exchange.draining.load(Ordering::Acquire) {
            tokio::spawn(async move {
                // The flusher tries again when this fails.
                let _ = exchange.cursors.flush().await;
            });
        }
    }
}

/// What the agreement shows of records of its dataset.
pub(crate) fn view(exchange: &Exchange, state: &ControlState, agreement: &Agreement) -> Result<View, Reason> {
    let dataset = &state.dataset(&agreement.dataset).ok_or(Reason::DatasetUnknown)?.value;
    let grant = grant_of(agreement, dataset);
    let condition = if agreement.definition.row_condition.is_empty() {
        None
    } else {
        let schema = state.schema(dataset.schema.as_str(), agreement.stage).ok_or(Reason::AgreementUnfit)?.get()?;
        grant.condition(&schema, &state.dictionary).map_err(|problems| {
            for problem in problems {
                warn!(agreement = %agreement.id, problem = %problem.en, "row condition does not fit the schema");
            }
            Reason::AgreementUnfit
        })?
    };
    Ok(grant.view(condition, &exchange.secret.key("mask", agreement.id.as_str())))
}

/// Whether the agreement grants the system this way out now; `held` is the version a stream or a call began under.
pub(crate) fn grant(
    exchange: &Exchange,
    system: &SystemId,
    agreement: &AgreementId,
    mode: Mode,
    held: Option<&Arc<Versioned<Agreement>>>,
) -> Result<Arc<Versioned<Agreement>>, Reason> {
    let state = exchange.control.state();
    exchange.known_system(&state, system)?;
    let found = state.catalog.agreements.get(agreement).ok_or(Reason::AgreementUnknown)?;
    if found.value.consumer != *system {
        return Err(Reason::NotTheConsumer);
    }
    match found.value.validity(exchange.now()) {
        Validity::Valid { .. } => {}
        Validity::NotYet => return Err(Reason::AgreementNotYetValid),
        Validity::Ended => return Err(Reason::AgreementEnded),
    }
    if !found.value.grants(mode) {
        return Err(Reason::ModeNotGranted);
    }
    if held.is_some_and(|held| held.version != found.version) {
        return Err(Reason::AgreementChanged);
    }
    Ok(Arc::clone(found))
}

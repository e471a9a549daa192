//! Subscriptions: what an agreement grants, in order, at least once, at the pace of the subscriber.
//!
//! A subscription is a state machine that its stream drives: it costs a buffer for each partition and nothing else.
//! It reads ahead only while there is credit, so a subscriber that stops reading stops its reads.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use ldop_catalog::{Agreement, Mode, state::Versioned};
use ldop_log::Offset;
use ldop_types::{AgreementId, Reason, SubscriptionName, SystemId, TimestampMs};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    Exchange,
    cursors::SubscriptionId,
    exit::{
        BATCH_BYTES, BATCH_RECORDS, Cut, Delivered, Ended, Exit, Room,
        lanes::{Lanes, Passed},
    },
    index::Position,
};

/// Batches sent and not acknowledged, for each partition, before sending stops.
const UNACKNOWLEDGED_BATCHES: usize = 4_096;

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

/// What is on its way to the subscriber, of one partition.
struct Outstanding {
    sent: VecDeque<Sent>,
    acknowledged: Offset,
}

struct Sent {
    position: Position,
    records: u64,
}

/// An open subscription.
pub struct Subscription {
    exit: Exit,
    id: SubscriptionId,
    lanes: Lanes,
    outstanding: Vec<Outstanding>,
    credit_records: u64,
    credit_bytes: i64,
    caught_up: bool,
    taken_over: CancellationToken,
}

impl Subscription {
    /// Opens a subscription for the calling system. One that is open under the same id ends.
    ///
    /// # Errors
    ///
    /// The reasons an agreement grants nothing for, [`Reason::PositionOutOfRange`], [`Reason::LogUnavailable`].
    pub async fn open(exchange: Arc<Exchange>, system: SystemId, open: OpenSubscription) -> Result<Self, Reason> {
        let exit = Exit::open(Arc::clone(&exchange), system.clone(), &open.agreement, Mode::Subscribe).await?;
        let id = SubscriptionId { system, agreement: open.agreement, name: open.name };
        let known = |partition| exchange.cursors.position(&id, partition);
        let lanes = Lanes::open(&exchange, &exit.agreement.value, &open.start, known, Passed::GoOn).await?;
        let outstanding = lanes.all.iter().map(|lane| Outstanding { sent: VecDeque::new(), acknowledged: lane.read });
        let outstanding = outstanding.collect();
        let taken_over = exchange.claim(&id);
        exchange.metrics.subscriptions.inc();
        info!(system = %id.system, agreement = %id.agreement, subscription = %id.name, "subscription opened");
        Ok(Self { exit, id, lanes, outstanding, credit_records: 0, credit_bytes: 0, caught_up: false, taken_over })
    }

    /// The agreement it was opened under.
    #[must_use]
    pub fn agreement(&self) -> &Versioned<Agreement> {
        &self.exit.agreement
    }

    /// Where each partition stands: behind the last record sent.
    #[must_use]
    pub fn positions(&self) -> Vec<(u32, Offset)> {
        self.lanes.positions()
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
        let lane = self.outstanding.get_mut(partition as usize).ok_or(Reason::PositionOutOfRange)?;
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
            self.exit.exchange.cursors.acknowledge(&self.id, partition, position, records, &self.exit.agreement);
        }
        Ok(())
    }

    /// The next delivery; waits for credit and records. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// The reason the hub ends the stream for.
    pub async fn next(&mut self) -> Result<Delivery, Reason> {
        match self.read_on().await {
            Ok(next) => Ok(next),
            Err(ended) => Err(self.exit.ended(ended).await),
        }
    }

    async fn read_on(&mut self) -> Result<Delivery, Ended> {
        loop {
            if self.taken_over.is_cancelled() {
                return Err(Reason::SubscriptionTakenOver.into());
            }
            self.exit.check()?;
            if self.has_credit() {
                let turn = if self.lanes.is_behind() { Some(self.exit.turn().await) } else { None };
                if turn.is_some() {
                    // It may have waited for long.
                    self.exit.check()?;
                }
                if let Some(delivery) = self.cut_batch()? {
                    return Ok(delivery);
                }
                drop(turn);
                if let Some(delivery) = self.notice_end() {
                    return Ok(delivery);
                }
                let outstanding = &self.outstanding;
                self.lanes.start_reads(|at| outstanding[at].sent.len() < UNACKNOWLEDGED_BATCHES);
            }
            tokio::select! {
                read = self.lanes.read(), if self.lanes.is_reading() => read?,
                () = self.exit.moved() => {}
                () = self.taken_over.cancelled() => return Err(Reason::SubscriptionTakenOver.into()),
            }
        }
    }

    fn has_credit(&self) -> bool {
        self.credit_records > 0 && self.credit_bytes > 0
    }

    /// Cuts the next message from the buffers, each partition in turn.
    fn cut_batch(&mut self) -> Result<Option<Delivery>, Ended> {
        let credit = |credit: u64, most: usize| usize::try_from(credit).map_or(most, |credit| credit.min(most));
        while let Some(at) = self.lanes.next_full() {
            let room = Room {
                records: credit(self.credit_records, BATCH_RECORDS),
                bytes: credit(u64::try_from(self.credit_bytes).unwrap_or(0), BATCH_BYTES),
            };
            let lane = &mut self.lanes.all[at];
            let Cut { records, bytes, withheld, position } = self.exit.cut(lane, room)?;
            let (partition, count) = (lane.partition.index, records.len() as u64);
            let outstanding = &mut self.outstanding[at];
            outstanding.sent.push_back(Sent { position, records: count });
            if records.is_empty() {
                // Markers, void and withheld records only: done with them, nothing to send.
                if outstanding.sent.len() == 1 {
                    outstanding.sent.clear();
                    outstanding.acknowledged = position.next;
                    if withheld > 0 {
                        // There may be many of them, and nobody will acknowledge what he does not get.
                        let agreement = &self.exit.agreement;
                        self.exit.exchange.cursors.acknowledge(&self.id, partition, position, 0, agreement);
                    }
                }
                continue;
            }
            self.credit_records -= count;
            self.credit_bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
            self.caught_up = false;
            self.exit.exchange.metrics.delivered.inc_by(count);
            self.exit.exchange.metrics.delivered_bytes.inc_by(bytes as u64);
            return Ok(Some(Delivery::Batch { partition, records, next: position.next }));
        }
        Ok(None)
    }

    fn notice_end(&mut self) -> Option<Delivery> {
        if self.caught_up || !self.lanes.are_at_end() {
            return None;
        }
        self.caught_up = true;
        Some(Delivery::CaughtUp(self.positions()))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let exchange = Arc::clone(&self.exit.exchange);
        exchange.metrics.subscriptions.dec();
        exchange.unclaim(&self.id, &self.taken_over);
        info!(system = %self.id.system, agreement = %self.id.agreement, subscription = %self.id.name, "subscription closed");
        if !exchange.draining.load(Ordering::Acquire) {
            tokio::spawn(async move {
                // The flusher tries again when this fails.
                let _ = exchange.cursors.flush().await;
            });
        }
    }
}

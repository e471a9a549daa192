//! Durable positions of subscriptions, in the compacted topic `_ldop.cursors`.
//!
//! An acknowledgement is kept in memory at once and written within [`FLUSH_EVERY`], many in one batch, together with
//! the event that says what was delivered. Losing an unwritten one to a crash means a redelivery, never a loss.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_catalog::{Agreement, state::Versioned};
use ldop_contract::control::v1::{Cursor, RecordsDelivered, exchange_event::Kind};
use ldop_log::{Appender, Cleanup, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec};
use ldop_types::{AgreementId, Reason, SubscriptionName, SystemId, TimestampMs};
use parking_lot::Mutex;
use prost::Message as _;
use tracing::warn;

use crate::{events::Events, index::Position};

/// How often acknowledgements are written.
pub const FLUSH_EVERY: Duration = Duration::from_millis(500);
const READ_BYTES: usize = 1 << 20;

/// Which subscription.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId {
    /// Consuming system.
    pub system: SystemId,
    /// Agreement.
    pub agreement: AgreementId,
    /// Name.
    pub name: SubscriptionName,
}

/// What is known of one subscription's partition.
#[derive(Debug, Clone, Default)]
struct Lane {
    position: Position,
    dirty: bool,
    /// Records acknowledged since the last write, and where they began.
    delivered: Option<Delivered>,
}

#[derive(Debug, Clone)]
struct Delivered {
    from: Offset,
    records: u64,
    /// The version that the last of them were sent under.
    agreement: Arc<Versioned<Agreement>>,
}

type Lanes = HashMap<SubscriptionId, HashMap<u32, Lane>>;

/// All cursors of the hub.
pub struct Cursors {
    log: Arc<dyn MessageLog>,
    events: Arc<Events>,
    deadline: Duration,
    lanes: Mutex<Lanes>,
    appender: tokio::sync::Mutex<Option<Arc<dyn Appender>>>,
}

fn partition() -> Partition {
    Partition { topic: TopicName::parse("_ldop.cursors").expect("a constant name fits"), index: 0 }
}

fn key(id: &SubscriptionId, lane: u32) -> Bytes {
    Bytes::from(format!("{} {} {} {lane}", id.system, id.agreement, id.name))
}

fn parse_key(key: &[u8]) -> Option<(SubscriptionId, u32)> {
    let mut words = std::str::from_utf8(key).ok()?.split(' ');
    let system = SystemId::parse(words.next()?).ok()?;
    let agreement = AgreementId::parse(words.next()?).ok()?;
    let name = SubscriptionName::parse(words.next()?).ok()?;
    let lane = words.next()?.parse().ok()?;
    Some((SubscriptionId { system, agreement, name }, lane))
}

impl Cursors {
    /// Reads every cursor.
    ///
    /// # Errors
    ///
    /// Those of the log.
    pub async fn open(log: Arc<dyn MessageLog>, events: Arc<Events>, deadline: Duration) -> Result<Self, LogError> {
        let partition = partition();
        log.ensure_topics(vec![TopicSpec { name: partition.topic.clone(), partitions: 1, cleanup: Cleanup::Compact }])
            .await?;
        let ends = log.watermarks(&partition).await?;
        let mut lanes = Lanes::new();
        let mut next = ends.start;
        while next < ends.end {
            let fetched = log.fetch(&partition, next, READ_BYTES, Duration::ZERO).await?;
            for entry in &fetched.entries {
                let id = entry.key.as_deref().and_then(parse_key);
                let cursor = entry.value.clone().and_then(|value| Cursor::decode(value).ok());
                if let (Some((id, lane)), Some(cursor)) = (id, cursor) {
                    let position = Position { next: cursor.next_offset, epoch: cursor.epoch };
                    lanes.entry(id).or_default().insert(lane, Lane { position, ..Lane::default() });
                }
            }
            if fetched.next <= next {
                break;
            }
            next = fetched.next;
        }
        Ok(Self { log, events, deadline, lanes: Mutex::new(lanes), appender: tokio::sync::Mutex::new(None) })
    }

    /// Acknowledged position of a subscription's partition.
    #[must_use]
    pub fn position(&self, id: &SubscriptionId, partition: u32) -> Option<Position> {
        self.lanes.lock().get(id)?.get(&partition).map(|lane| lane.position)
    }

    /// All subscriptions that have acknowledged anything, with their positions.
    #[must_use]
    pub fn all(&self) -> Vec<(SubscriptionId, Vec<(u32, Offset)>)> {
        let lanes = self.lanes.lock();
        let mut all: Vec<_> = lanes
            .iter()
            .map(|(id, lanes)| (id.clone(), lanes.iter().map(|(lane, l)| (*lane, l.position.next)).collect()))
            .collect();
        all.sort();
        all
    }

    /// Acknowledges everything below `position`, of which `records` were sent under the agreement.
    pub fn acknowledge(
        &self,
        id: &SubscriptionId,
        partition: u32,
        position: Position,
        records: u64,
        agreement: &Arc<Versioned<Agreement>>,
    ) {
        let mut lanes = self.lanes.lock();
        let lane = match lanes.get_mut(id) {
            Some(lanes) => lanes.entry(partition).or_default(),
            None => lanes.entry(id.clone()).or_default().entry(partition).or_default(),
        };
        let from = lane.position.next;
        lane.position = position;
        lane.dirty = true;
        let first = || Delivered { from, records: 0, agreement: Arc::clone(agreement) };
        let delivered = lane.delivered.get_or_insert_with(first);
        delivered.records += records;
        if delivered.agreement.version != agreement.version {
            delivered.agreement = Arc::clone(agreement);
        }
    }

    /// Writes what was acknowledged since the last time.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]; it is tried again with the next flush.
    pub async fn flush(&self) -> Result<(), Reason> {
        // Held throughout, so that an older position is never written behind a newer one.
        let mut appender = self.appender.lock().await;
        let now = TimestampMs::now();
        let mut taken = Vec::new();
        for (id, lanes) in self.lanes.lock().iter_mut() {
            for (partition, lane) in lanes.iter_mut().filter(|(_, lane)| lane.dirty) {
                lane.dirty = false;
                taken.push((id.clone(), *partition, lane.position, lane.delivered.take()));
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let entries = taken
            .iter()
            .map(|(id, lane, position, _)| {
                let cursor = Cursor { next_offset: position.next, time_ms: now.0, epoch: position.epoch };
                NewEntry {
                    key: Some(key(id, *lane)),
                    value: Some(Bytes::from(cursor.encode_to_vec())),
                    headers: Vec::new(),
                    timestamp: now,
                }
            })
            .collect();
        let events = taken
            .iter()
            .filter_map(|(id, lane, position, delivered)| {
                let delivered = delivered.as_ref().filter(|d| d.records > 0)?;
                let agreement = &delivered.agreement.value;
                let event = RecordsDelivered {
                    system: id.system.to_string(),
                    agreement: id.agreement.to_string(),
                    agreement_version: delivered.agreement.version,
                    subscription: id.name.to_string(),
                    partition: *lane,
                    from_offset: delivered.from,
                    to_offset: position.next,
                    records: delivered.records,
                    dataset: agreement.dataset.to_string(),
                    stage: agreement.stage.to_string(),
                    purpose_code: agreement.definition.purpose.clone(),
                };
                Some((key(id, *lane), Kind::RecordsDelivered(event)))
            })
            .collect();
        // The event first: between the two a crash makes it stand twice, never makes it missing.
        let written = match self.events.append(events).await {
            Ok(_) => self.write(&mut appender, entries).await,
            Err(reason) => Err(reason),
        };
        if let Err(reason) = written {
            *appender = None;
            let mut lanes = self.lanes.lock();
            for (id, partition, _, delivered) in taken {
                let lane = lanes.entry(id).or_default().entry(partition).or_default();
                lane.dirty = true;
                if let Some(before) = delivered {
                    let since = lane.delivered.as_ref().map_or(0, |d| d.records);
                    lane.delivered = Some(Delivered { records: before.records + since, ..before });
                }
            }
            return Err(reason);
        }
        Ok(())
    }

    async fn write(&self, appender: &mut Option<Arc<dyn Appender>>, entries: Vec<NewEntry>) -> Result<(), Reason> {
        let failed = |error: LogError| {
            warn!(%error, "cursors not written");
            Reason::LogUnavailable
        };
        let open = match appender {
            Some(open) => Arc::clone(open),
            None => Arc::clone(appender.insert(self.log.appender(partition()).await.map_err(failed)?)),
        };
        let appending = open.append(entries).map_err(failed)?;
        match tokio::time::timeout(self.deadline, appending).await {
            Ok(appended) => appended.map(|_| ()).map_err(failed),
            Err(_) => Err(Reason::LogUnavailable),
        }
    }
}

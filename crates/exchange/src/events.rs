//! What is accountable and is not an accepted record: events on `ldop.exchanges`, ordered and durable.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_contract::control::v1::{ExchangeEvent, exchange_event::Kind};
use ldop_log::{Appender, Cleanup, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec};
use ldop_types::{ExchangeId, Reason, TimestampMs};
use parking_lot::Mutex;
use prost::Message as _;
use tracing::warn;

use crate::{
    clock::Clock,
    header::{Scope, partition_of},
    index::{Index, Key, Place, Position},
};

/// Partitions of the events topic, by exchange id.
const PARTITIONS: u32 = 4;
/// How long events are kept. NĐ 47/2020 Đ45 asks for a log; the length is the hub's own choice (facts 1.5).
const RETENTION: Duration = Duration::from_secs(24 * 30 * 86_400);
const CATCH_UP_BYTES: usize = 1 << 20;

/// The partitions of the events topic.
pub(crate) fn partitions() -> impl Iterator<Item = Partition> {
    (0..PARTITIONS).map(|index| Partition { topic: topic(), index })
}

fn topic() -> TopicName {
    TopicName::parse("ldop.exchanges").expect("a constant name fits")
}

/// Appends events, and indexes refusals so that `GetExchange` finds them.
pub struct Events {
    log: Arc<dyn MessageLog>,
    index: Arc<Index>,
    clock: Arc<Clock>,
    deadline: Duration,
    appenders: Vec<Mutex<Option<Arc<dyn Appender>>>>,
    indexed: tokio::sync::Mutex<bool>,
}

impl Events {
    /// Makes sure the topic exists.
    ///
    /// # Errors
    ///
    /// Those of [`MessageLog::ensure_topics`].
    pub async fn open(
        log: Arc<dyn MessageLog>,
        index: Arc<Index>,
        clock: Arc<Clock>,
        deadline: Duration,
    ) -> Result<Self, LogError> {
        let cleanup = Cleanup::Delete { retention: RETENTION };
        log.ensure_topics(vec![TopicSpec { name: topic(), partitions: PARTITIONS, cleanup }]).await?;
        let appenders = (0..PARTITIONS).map(|_| Mutex::new(None)).collect();
        Ok(Self { log, index, clock, deadline, appenders, indexed: tokio::sync::Mutex::new(false) })
    }

    /// Appends events; resolves once they are durable, with the place of each.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]. Some may be on the log all the same: an event may stand twice, never be missing.
    pub async fn append(&self, events: Vec<(Bytes, Kind)>) -> Result<Vec<Place>, Reason> {
        let now = self.clock.now();
        let encode = |kind| ExchangeEvent { time_ms: now.0, kind: Some(kind) }.encode_to_vec().into();
        self.append_encoded(events.into_iter().map(|(key, kind)| (key, encode(kind))).collect()).await
    }

    /// Appends events that have been kept elsewhere, as they were written there. Those with one key keep their order.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub async fn append_encoded(&self, events: Vec<(Bytes, Bytes)>) -> Result<Vec<Place>, Reason> {
        let now = self.clock.now();
        let mut lanes: Vec<Vec<NewEntry>> = (0..PARTITIONS).map(|_| Vec::new()).collect();
        let mut order = Vec::with_capacity(events.len());
        for (key, value) in events {
            let lane = partition_of(&key, PARTITIONS);
            order.push((lane, lanes[lane as usize].len()));
            lanes[lane as usize].push(NewEntry {
                key: Some(key),
                value: Some(value),
                headers: Vec::new(),
                timestamp: now,
            });
        }
        let appended =
            futures::future::join_all(lanes.into_iter().enumerate().map(|(lane, batch)| self.append_lane(lane, batch)))
                .await;
        let offsets: Vec<Vec<Offset>> = appended.into_iter().collect::<Result<_, _>>()?;
        Ok(order
            .into_iter()
            .map(|(lane, at)| Place { accepted: false, partition: lane, offset: offsets[lane as usize][at] })
            .collect())
    }

    async fn append_lane(&self, lane: usize, batch: Vec<NewEntry>) -> Result<Vec<Offset>, Reason> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error: LogError| {
            warn!(%error, "accountable events not written");
            *self.appenders[lane].lock() = None;
            Reason::LogUnavailable
        };
        let open = self.appenders[lane].lock().clone();
        let appender = match open {
            Some(appender) => appender,
            None => {
                let opened = self.log.appender(self.partition(lane)).await.map_err(failed)?;
                *self.appenders[lane].lock() = Some(Arc::clone(&opened));
                opened
            }
        };
        let appending = appender.append(batch).map_err(failed)?;
        match tokio::time::timeout(self.deadline, appending).await {
            Ok(appended) => appended.map(|a| a.offsets).map_err(failed),
            Err(_) => Err(Reason::LogUnavailable),
        }
    }

    fn partition(&self, lane: usize) -> Partition {
        Partition { topic: topic(), index: u32::try_from(lane).unwrap_or(u32::MAX) }
    }

    /// Indexes the refusals that were appended before this start. Once; later ones are indexed as they are made.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`].
    pub async fn index_refusals(&self) -> Result<(), Reason> {
        let mut indexed = self.indexed.lock().await;
        if *indexed {
            return Ok(());
        }
        let failed = |error: LogError| {
            warn!(%error, "refusals not indexed");
            Reason::LogUnavailable
        };
        for lane in 0..PARTITIONS as usize {
            let partition = self.partition(lane);
            let ends = self.log.watermarks(&partition).await.map_err(failed)?;
            let known = self.index.position(&partition).map_or(ends.start, |position| position.next);
            let mut next = known.clamp(ends.start, ends.end);
            while next < ends.end {
                let fetched = self.log.fetch(&partition, next, CATCH_UP_BYTES, Duration::ZERO).await.map_err(failed)?;
                for entry in &fetched.entries {
                    let value = entry.value.clone().unwrap_or_default();
                    if let Ok(ExchangeEvent { kind: Some(Kind::RecordRefused(refused)), .. }) =
                        ExchangeEvent::decode(value)
                        && refused.reason != Reason::ExchangeIdReused.as_str()
                        && let Ok(id) = ExchangeId::parse(&refused.exchange_id)
                    {
                        let key = Key { id, scope: Scope(refused.scope) };
                        let place = Place { accepted: false, partition: partition.index, offset: entry.offset };
                        self.index.settle(key, place);
                    }
                }
                if fetched.next <= next {
                    break;
                }
                next = fetched.next;
            }
            self.index.advance(&partition, Position { next, epoch: None });
        }
        *indexed = true;
        Ok(())
    }

    /// Where each partition ends now.
    ///
    /// # Errors
    ///
    /// Those of the log.
    pub async fn ends(&self) -> Result<Vec<Offset>, LogError> {
        let partitions = (0..PARTITIONS as usize).map(|lane| self.partition(lane));
        let marks = partitions.map(|partition| async move { self.log.watermarks(&partition).await });
        Ok(futures::future::try_join_all(marks).await?.into_iter().map(|marks| marks.end).collect())
    }

    /// Hands on every event, encoded, that was appended since a time and stands before these ends.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]; some were handed on.
    pub async fn since(&self, time: TimestampMs, ends: &[Offset], mut take: impl FnMut(Bytes)) -> Result<(), Reason> {
        let failed = |error: LogError| {
            warn!(%error, "accountable events not read");
            Reason::LogUnavailable
        };
        for (lane, end) in ends.iter().enumerate() {
            let partition = self.partition(lane);
            let mut next = self.log.offset_at(&partition, time).await.map_err(failed)?;
            while next < *end {
                let fetched = self.log.fetch(&partition, next, CATCH_UP_BYTES, Duration::ZERO).await.map_err(failed)?;
                let values = fetched.entries.into_iter().filter(|entry| entry.offset < *end);
                values.filter_map(|entry| entry.value).for_each(&mut take);
                if fetched.next <= next {
                    break;
                }
                next = fetched.next;
            }
        }
        Ok(())
    }

    /// Reads the event at a place.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::ExchangeNotFound`] when retention took it.
    pub async fn read(&self, place: Place) -> Result<ExchangeEvent, Reason> {
        let partition = self.partition(place.partition as usize);
        match self.log.fetch(&partition, place.offset, 1, Duration::ZERO).await {
            Ok(fetched) => fetched
                .entries
                .first()
                .filter(|entry| entry.offset == place.offset)
                .and_then(|entry| ExchangeEvent::decode(entry.value.clone().unwrap_or_default()).ok())
                .ok_or(Reason::ExchangeNotFound),
            Err(LogError::OutOfRange { .. }) => Err(Reason::ExchangeNotFound),
            Err(error) => {
                warn!(%error, "event not read");
                Err(Reason::LogUnavailable)
            }
        }
    }
}

//! Appending: one librdkafka producer for all partitions, and one completion for each batch.
//!
//! librdkafka keeps order and retries by itself (idempotent producer), so nothing here sends twice. What is added: whole
//! batches are taken or refused, one bound counts what is on its way, and an appender stops at its first failure.

mod batch;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::{KafkaError, KafkaResult},
    message::{DeliveryResult, Header, Message as _, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext, PurgeConfig},
};
use tokio::sync::Notify;
use tracing::warn;

use self::batch::{Batch, Fate};
use super::context::Context;
use crate::port::{AppendFuture, Appended, Appender, LogError, NewEntry, Offset, Partition};

/// How long the polling thread sleeps when no report comes; also how fast it notices that it should end. Not shorter: the
/// binding spins through the last millisecond.
const POLL: Duration = Duration::from_millis(250);
/// Purging takes moments; this only keeps a defect from holding a thread for ever.
const DRAIN: Duration = Duration::from_secs(5);
/// Counted for each entry on top of its size: what librdkafka keeps about a message.
const ENTRY_OVERHEAD: usize = 256;

/// What all appenders of a partition share.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Held while a batch is handed over, so that batches do not mingle.
    order: Mutex<()>,
    end: AtomicU64,
}

impl Line {
    /// How far acknowledged appends of this engine reach; 0 before the first.
    pub(super) fn end(&self) -> Offset {
        self.end.load(Ordering::Acquire)
    }

    fn reach(&self, end: Offset) {
        self.end.fetch_max(end, Ordering::AcqRel);
    }
}

/// The producer of the engine, renewed when librdkafka declares one dead.
pub(super) struct Producers {
    config: ClientConfig,
    current: Mutex<Arc<Producer>>,
    in_flight: Arc<InFlight>,
    max_entry_bytes: usize,
    closed: AtomicBool,
}

impl Producers {
    pub(super) fn open(config: ClientConfig, in_flight_bytes: usize, max_entry_bytes: usize) -> KafkaResult<Self> {
        let current = Mutex::new(Producer::start(&config)?);
        let in_flight = Arc::new(InFlight { limit: in_flight_bytes, taken: AtomicUsize::new(0), empty: Notify::new() });
        Ok(Self { config, current, in_flight, max_entry_bytes, closed: AtomicBool::new(false) })
    }

    /// Opens an appender.
    pub(super) fn appender(
        self: &Arc<Self>,
        partition: Partition,
        compacted: bool,
        line: Arc<Line>,
    ) -> Result<Arc<dyn Appender>, LogError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(LogError::Closed);
        }
        let producer = self.producer().map_err(|e| LogError::Unavailable { detail: format!("new producer: {e}") })?;
        let index =
            i32::try_from(partition.index).map_err(|_| LogError::UnknownPartition { partition: partition.clone() })?;
        let course = Arc::new(Course { failed: AtomicBool::new(false), line });
        let producers = Arc::clone(self);
        Ok(Arc::new(KafkaAppender { producers, producer, partition, index, compacted, course }))
    }

    fn producer(&self) -> KafkaResult<Arc<Producer>> {
        let mut current = self.current.lock();
        // Asked of librdkafka itself: its word by callback may still be on the way.
        if current.is_dead() || current.client.client().fatal_error().is_some() {
            current.stop();
            *current = Producer::start(&self.config)?;
            warn!("kafka producer started again; appenders of the dead one have failed");
        }
        Ok(Arc::clone(&current))
    }

    /// Refuses further appends, waits for those on their way and ends the producer.
    pub(super) async fn close(&self, deadline: Duration) -> Result<(), LogError> {
        self.closed.store(true, Ordering::SeqCst);
        let finished = tokio::time::timeout(deadline, self.in_flight.empty()).await;
        let left = self.in_flight.taken.load(Ordering::SeqCst);
        self.current.lock().stop();
        match finished {
            Ok(()) => Ok(()),
            Err(_) => Err(LogError::Unknown { detail: format!("{left} bytes were still on their way at the end") }),
        }
    }
}

impl Drop for Producers {
    fn drop(&mut self) {
        self.current.lock().stop();
    }
}

/// One librdkafka producer and the thread that takes its delivery reports.
struct Producer {
    client: BaseProducer<Deliveries>,
    /// It will take nothing more: it is stopped, or librdkafka found that it cannot go on in order.
    dead: AtomicBool,
}

impl Producer {
    fn start(config: &ClientConfig) -> KafkaResult<Arc<Self>> {
        let client = BaseProducer::from_config_and_context(config, Deliveries(Context::new("producer")))?;
        let producer = Arc::new(Self { client, dead: AtomicBool::new(false) });
        let polled = Arc::clone(&producer);
        thread::Builder::new()
            .name("kafka-producer".into())
            .spawn(move || polled.run())
            .map_err(|e| KafkaError::ClientCreation(format!("start a thread: {e}")))?;
        Ok(producer)
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.dead.store(true, Ordering::Release);
    }

    fn run(&self) {
        while !self.is_dead() {
            self.client.poll(POLL);
            if self.client.context().0.is_fatal() {
                self.stop();
            }
        }
        self.drain();
    }

    /// Gives every batch its answer: what librdkafka still holds is reported as purged, which reads as "unknown".
    fn drain(&self) {
        self.client.purge(PurgeConfig::default().queue().inflight());
        let start = Instant::now();
        while self.client.in_flight_count() > 0 && start.elapsed() < DRAIN {
            self.client.poll(Duration::from_millis(1));
        }
    }
}

/// The callbacks of a producer.
struct Deliveries(Context);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        batch.report(match result {
            Ok(message) => Fate::acknowledged(message.offset()),
            Err((error, _)) => Fate::failed(error),
        });
    }
}

/// Bytes appended and not yet answered for, over all partitions.
#[derive(Debug)]
struct InFlight {
    limit: usize,
    taken: AtomicUsize,
    empty: Notify,
}

impl InFlight {
    /// Takes room, or nothing when there is not enough. Given back on drop.
    fn take(self: &Arc<Self>, bytes: usize) -> Result<Room, LogError> {
        let fits = |taken: usize| (taken == 0 || taken + bytes <= self.limit).then_some(taken + bytes);
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) {
            Ok(_) => Ok(Room { of: Arc::clone(self), bytes }),
            Err(_) => Err(LogError::Full),
        }
    }

    async fn empty(&self) {
        loop {
            let mut given_back = std::pin::pin!(self.empty.notified());
            given_back.as_mut().enable();
            if self.taken.load(Ordering::SeqCst) == 0 {
                return;
            }
            given_back.await;
        }
    }
}

/// Room taken.
#[derive(Debug)]
struct Room {
    of: Arc<InFlight>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.of.taken.fetch_sub(self.bytes, Ordering::AcqRel) == self.bytes {
            self.of.empty.notify_waiters();
        }
    }
}

/// How an appender is doing, shared with its batches.
#[derive(Debug)]
struct Course {
    failed: AtomicBool,
    line: Arc<Line>,
}

struct KafkaAppender {
    producers: Arc<Producers>,
    producer: Arc<Producer>,
    partition: Partition,
    index: i32,
    compacted: bool,
    course: Arc<Course>,
}

impl KafkaAppender {
    fn check(&self, batch: &[NewEntry]) -> Result<usize, LogError> {
        let limit = self.producers.max_entry_bytes;
        let mut bytes = 0;
        for entry in batch {
            let size = entry.size();
            if size > limit {
                return Err(LogError::TooLarge { size, limit });
            }
            if self.compacted && entry.key.is_none() {
                return Err(LogError::KeyRequired);
            }
            bytes += size + ENTRY_OVERHEAD;
        }
        Ok(bytes)
    }

    fn send(&self, entry: &NewEntry, batch: &Arc<Batch>) -> Result<(), KafkaError> {
        let headers = (!entry.headers.is_empty()).then(|| {
            let list = OwnedHeaders::new_with_capacity(entry.headers.len());
            entry.headers.iter().fold(list, |list, (key, value)| list.insert(Header { key, value: Some(&value[..]) }))
        });
        let record = BaseRecord {
            topic: self.partition.topic.as_str(),
            partition: Some(self.index),
            payload: entry.value.as_deref(),
            key: entry.key.as_deref(),
            // librdkafka reads 0 as "now", and Kafka has no time before 1970.
            timestamp: Some(entry.timestamp.0.max(1)),
            headers,
            delivery_opaque: Arc::clone(batch),
        };
        self.producer.client.send(record).map_err(|(error, _)| error)
    }
}

impl Appender for KafkaAppender {
    fn append(&self, entries: Vec<NewEntry>) -> Result<AppendFuture, LogError> {
        if self.producers.closed.load(Ordering::Relaxed) {
            return Err(LogError::Closed);
        }
        let bytes = self.check(&entries)?;
        let room = self.producers.in_flight.take(bytes)?;
        let order = self.course.line.order.lock();
        if self.course.failed.load(Ordering::Acquire) || self.producer.is_dead() {
            return Err(LogError::AppenderFailed);
        }
        if entries.is_empty() {
            return Ok(Box::pin(std::future::ready(Ok(Appended { offsets: Vec::new() }))));
        }
        let (batch, done) = Batch::new(entries.len(), Arc::clone(&self.course), room);
        for (sent, entry) in entries.iter().enumerate() {
            if let Err(error) = self.send(entry, &batch) {
                batch.cut_short(entries.len() - sent, &error);
                break;
            }
        }
        drop(order);
        if self.producer.is_dead() {
            // It died meanwhile, and its thread may be past its last look.
            self.producer.drain();
        }
        Ok(Box::pin(async move {
            let gone = || LogError::Unknown { detail: "the producer is gone".into() };
            done.await.unwrap_or_else(|_| Err(gone()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::{
        mocking::MockCluster,
        types::{RDKafkaApiKey, RDKafkaRespErr},
    };

    use super::*;
    use crate::{kafka::Config, port::TopicName};

    /// librdkafka's own imitation of a broker: it can be told to answer what no real one can be brought to.
    #[tokio::test]
    async fn a_dead_producer_is_replaced_and_what_it_held_is_unknown() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let config = Config {
            properties: BTreeMap::from([("reconnect.backoff.ms".into(), "10".into())]),
            ..Config::new(vec![cluster.bootstrap_servers()])
        };
        let client = config.client().unwrap();
        let producers = Arc::new(Producers::open(config.producer(&client), 1 << 20, 1 << 10).unwrap());
        let partition = Partition { topic: TopicName::parse("t").unwrap(), index: 0 };
        let line = Arc::new(Line::default());
        let open = || producers.appender(partition.clone(), false, Arc::clone(&line)).unwrap();
        let entry = || {
            let value = Some(bytes::Bytes::from_static(b"v"));
            vec![NewEntry { key: None, value, headers: Vec::new(), timestamp: ldop_types::TimestampMs(1) }]
        };

        let first = open();
        assert_eq!(first.append(entry()).unwrap().await.unwrap().offsets, [0]);

        // "Out of order" at the head of the line: producer and broker no longer agree, and librdkafka gives up.
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
        cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        // As soon as the failure is seen the appender takes no more.
        let on_their_way: Vec<_> = std::iter::from_fn(|| first.append(entry()).ok()).take(3).collect();
        assert!(!on_their_way.is_empty());
        for (nth, append) in on_their_way.into_iter().enumerate() {
            let answer = append.await;
            // The producer may die before it is given the later ones: those are certainly not on the log.
            let is_unknown = matches!(answer, Err(LogError::Unknown { .. }));
            let was_not_sent = nth > 0 && matches!(answer, Err(LogError::Unavailable { .. }));
            assert!(is_unknown || was_not_sent, "{answer:?}");
        }
        assert!(matches!(first.append(entry()), Err(LogError::AppenderFailed)));

        cluster.clear_request_errors(RDKafkaApiKey::Produce);
        let second = open();
        assert!(second.append(entry()).unwrap().await.unwrap().offsets[0] >= 1);
        assert!(matches!(first.append(entry()), Err(LogError::AppenderFailed)), "the old one stays failed");

        producers.close(Duration::from_secs(5)).await.unwrap();
        assert!(matches!(second.append(entry()), Err(LogError::Closed)));
    }
}

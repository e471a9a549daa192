//! librdkafka by itself: the producer and consumer a department would write without a hub.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ldop_log::{
    Cleanup, MessageLog as _, TopicName, TopicSpec,
    kafka::{Config, KafkaLog},
};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    message::{DeliveryResult, Headers as _},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use crate::corpus::{Corpus, Flow};

/// As the sample datasets have them.
const PARTITIONS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts what the broker has acknowledged.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl ClientContext for Count {}

impl ProducerContext for Count {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn topic(flow: &Flow) -> String {
    format!("bench.bare.{}", flow.dataset.id())
}

/// Makes a topic for each dataset, with the settings the hub gives its own.
///
/// # Errors
///
/// The broker does not answer.
pub async fn make_topics(broker: &str, corpus: &Corpus) -> anyhow::Result<()> {
    let mut config = Config::new(vec![broker.to_owned()]);
    (config.replication_factor, config.min_insync_replicas) = (1, 1);
    let log = tokio::task::spawn_blocking(move || KafkaLog::open(config)).await??;
    let spec =
        |flow| Ok(TopicSpec { name: TopicName::parse(&topic(flow))?, partitions: PARTITIONS, cleanup: Cleanup::Keep });
    log.ensure_topics(corpus.flows.iter().map(spec).collect::<anyhow::Result<_>>()?).await?;
    log.close(Duration::from_secs(5)).await?;
    Ok(())
}

/// A producer for all rounds: idempotent, acks=all, LZ4 as at the hub, the rest as librdkafka has it (linger 5 ms).
pub struct Producer {
    inner: ThreadedProducer<Count>,
    count: Count,
}

impl Producer {
    /// Connects.
    ///
    /// # Errors
    ///
    /// librdkafka refuses a setting.
    pub fn open(broker: &str) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker).set("enable.idempotence", "true").set("acks", "all");
        config.set("compression.codec", "lz4");
        let count = Count::default();
        Ok(Self { inner: ThreadedProducer::from_config_and_context(&config, count.clone())?, count })
    }

    /// Sends all records with their keys and waits until the broker has acknowledged every one.
    ///
    /// # Errors
    ///
    /// The broker does not take them.
    pub fn send(&self, corpus: &Corpus) -> anyhow::Result<Duration> {
        let topics: Vec<_> = corpus.flows.iter().map(topic).collect();
        let before = self.count.0.load(Ordering::Relaxed);
        let started = Instant::now();
        for (flow, record) in corpus.interleaved() {
            let mut message = BaseRecord::to(&topics[flow]).payload(&record.payload[..]).key(&record.key[..]);
            while let Err((error, again)) = self.inner.send(message) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) || started.elapsed() > PATIENCE {
                    return Err(error).context("produce");
                }
                std::thread::park_timeout(Duration::from_millis(1));
                message = again;
            }
        }
        self.inner.flush(PATIENCE)?;
        let took = started.elapsed();
        let sent = self.count.0.load(Ordering::Relaxed) - before;
        if sent != corpus.len() {
            bail!("{sent} of {} records acknowledged", corpus.len());
        }
        Ok(took)
    }
}

/// Reads `count` records of a topic from its beginning: payload, key and headers of each.
///
/// # Errors
///
/// The broker falls silent.
pub fn read(broker: &str, topic: &str, count: usize) -> anyhow::Result<Duration> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker).set("group.id", "bench-bare").set("enable.auto.commit", "false");
    // With the default of a second a full queue stands still; anybody in a hurry sets this.
    config.set("check.crcs", "true").set("fetch.queue.backoff.ms", "10");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, i32::try_from(partition)?, Offset::Offset(0))?;
    }
    let started = Instant::now();
    let consumer: BaseConsumer = config.create()?;
    consumer.assign(&list)?;
    let (mut records, mut bytes) = (0, 0);
    while records < count {
        let Some(message) = consumer.poll(Duration::from_secs(10)) else {
            bail!("{topic}: {records} records, then none")
        };
        let message = message?;
        bytes += message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
        bytes += message.headers().map_or(0, |all| all.iter().filter_map(|h| h.value).map(<[u8]>::len).sum());
        // Epoch markers of the hub have no key.
        records += usize::from(message.key().is_some());
    }
    let took = started.elapsed();
    if bytes < records * 100 {
        bail!("{bytes} bytes in {records} records");
    }
    Ok(took)
}

//! Measures the Kafka engine against bare librdkafka on one broker:
//! `cargo run --release -p ldop-log --features kafka-tests --example kafka_rates [records]`.
//!
//! Prints records a second and this process's CPU time a record (the broker's is not in it), which says more on a busy
//! machine. Both sides use 1 KB values of varied JSON, LZ4, an idempotent producer and CRC checks, on the same warm broker.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_log::{
    Cleanup, MessageLog, NewEntry, Partition, TopicName, TopicSpec,
    kafka::{Config, KafkaLog},
};
use ldop_testkit::kafka::Broker;
use ldop_types::TimestampMs;
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::RDKafkaErrorCode,
    message::{DeliveryResult, Header, Headers as _, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

/// Records a second, and CPU microseconds a record.
struct Rate(f64, f64);

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:8.0}/s {:5.2} us", self.0, self.1)
    }
}

/// A running measurement.
struct Watch(Instant, Duration);

impl Watch {
    fn start() -> Result<Self> {
        Ok(Self(Instant::now(), cpu()?))
    }

    fn stop(self, count: usize) -> Result<Rate> {
        let (wall, cpu) = (self.0.elapsed(), cpu()?.saturating_sub(self.1));
        Ok(Rate(count as f64 / wall.as_secs_f64(), cpu.as_secs_f64() * 1e6 / count as f64))
    }
}

/// CPU time of this process so far; Linux counts it in hundredths of a second.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BATCH: usize = 64;

#[derive(Clone)]
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

/// About 1 KB of JSON, different for each `n`.
fn value(n: usize) -> Bytes {
    let mut text = format!("{{\"id\":\"{n:012}\",\"note\":\"");
    let mut seed = n as u64 + 1;
    while text.len() < 1020 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(["an ", "binh ", "phu ", "thien ", "kon ", "pleiku ", "chu se "][(seed >> 33) as usize % 7]);
        text.push(char::from(b'a' + (seed >> 40) as u8 % 26));
    }
    text.push_str("\"}");
    Bytes::from(text)
}

fn entry(value: Bytes, n: usize) -> NewEntry {
    let header = Bytes::from_static(&[7; 48]);
    NewEntry {
        key: Some(Bytes::from(format!("key-{:06}", n % 100_000))),
        value: Some(value),
        headers: vec![("ldop", header)],
        timestamp: TimestampMs::now(),
    }
}

fn raw_append(address: &str, topic: &str, values: &[Bytes], linger: &str) -> Result<Rate> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("enable.idempotence", "true").set("compression.codec", "lz4");
    config.set("queue.buffering.max.messages", "48000").set("linger.ms", linger);
    let done = Count(Arc::default());
    let producer = ThreadedProducer::from_config_and_context(&config, done.clone())?;
    let watch = Watch::start()?;
    for (n, value) in values.iter().enumerate() {
        let key = format!("key-{:06}", n % 100_000);
        let headers = OwnedHeaders::new_with_capacity(1).insert(Header { key: "ldop", value: Some(&[7u8; 48][..]) });
        let mut record = BaseRecord::to(topic).partition(0).payload(&value[..]).key(&key).headers(headers);
        while let Err((error, again)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            std::thread::park_timeout(Duration::from_millis(1));
            record = again;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    assert_eq!(done.0.load(Ordering::Relaxed), values.len());
    watch.stop(values.len())
}

async fn engine_append(log: &KafkaLog, partition: Partition, values: &[Bytes]) -> Result<Rate> {
    let appender = log.appender(partition).await?;
    let watch = Watch::start()?;
    let mut open = std::collections::VecDeque::new();
    for (b, some) in values.chunks(BATCH).enumerate() {
        if open.len() * BATCH > 48_000 {
            let oldest: ldop_log::AppendFuture = open.pop_front().ok_or("none open")?;
            oldest.await?;
        }
        let batch = some.iter().enumerate().map(|(i, v)| entry(v.clone(), b * BATCH + i)).collect();
        open.push_back(appender.append(batch)?);
    }
    for done in open {
        done.await?;
    }
    watch.stop(values.len())
}

async fn latency(log: &KafkaLog, partition: Partition, batch: usize) -> Result<(Duration, Duration)> {
    let appender = log.appender(partition).await?;
    let mut times = Vec::new();
    for n in 0..2_000 {
        let entries = (0..batch).map(|i| entry(value(n * batch + i), n)).collect();
        let start = Instant::now();
        appender.append(entries)?.await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}

fn raw_read(address: &str, topic: &str, count: usize) -> Result<Rate> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", "raw").set("check.crcs", "true");
    config.set("enable.auto.commit", "false").set("fetch.queue.backoff.ms", "10");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(0))?;
    let watch = Watch::start()?;
    consumer.assign(&list)?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < count {
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            // What any reader needs; librdkafka parses headers only when asked for.
            bytes += message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len);
            bytes += message.headers().map_or(0, |h| h.iter().filter_map(|h| h.value).map(<[u8]>::len).sum());
            seen += 1;
        }
    }
    assert!(bytes > count * 1000);
    watch.stop(count)
}

async fn engine_read(log: &KafkaLog, partition: &Partition, count: usize) -> Result<Rate> {
    let watch = Watch::start()?;
    let (mut at, mut seen, mut bytes) = (0, 0, 0);
    while seen < count {
        let fetched = log.fetch(partition, at, 1 << 20, Duration::from_secs(5)).await?;
        bytes += fetched.entries.iter().filter_map(|e| e.value.as_ref()).map(Bytes::len).sum::<usize>();
        seen += fetched.entries.len();
        at = fetched.next;
    }
    assert!(bytes > count * 1000);
    watch.stop(count)
}

/// Time from handing an entry over until a waiting reader has it.
async fn through(log: &Arc<KafkaLog>, partition: Partition) -> Result<(Duration, Duration)> {
    let appender = log.appender(partition.clone()).await?;
    let mut at = log.watermarks(&partition).await?.end;
    let mut times = Vec::new();
    for n in 0..1_000 {
        let start = Instant::now();
        drop(appender.append(vec![entry(value(n), n)])?);
        let fetched = log.fetch(&partition, at, 1 << 20, Duration::from_secs(10)).await?;
        times.push(start.elapsed());
        at = fetched.next;
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
}

/// CPU share of this process while readers wait at the ends of many quiet partitions.
async fn idle(log: &Arc<KafkaLog>, partitions: u32) -> Result<f64> {
    let name = TopicName::parse("quiet")?;
    log.ensure_topics(vec![TopicSpec { name: name.clone(), partitions, cleanup: Cleanup::Keep }]).await?;
    let mut readers = tokio::task::JoinSet::new();
    for index in 0..partitions {
        let (log, partition) = (Arc::clone(log), Partition { topic: name.clone(), index });
        readers.spawn(async move { log.fetch(&partition, 0, 1 << 20, Duration::from_secs(600)).await });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (start, before) = (Instant::now(), cpu()?);
    tokio::time::sleep(Duration::from_secs(10)).await;
    Ok((cpu()? - before).as_secs_f64() / start.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() -> Result<()> {
    let count = std::env::args().nth(1).map_or(Ok(300_000), |n| n.parse())?;
    let broker = Broker::start().await?;
    let address = broker.address();
    let mut config = Config::new(vec![address.clone()]);
    (config.replication_factor, config.min_insync_replicas) = (1, 1);
    if let Some(linger) = std::env::args().nth(2) {
        config.linger = Duration::from_micros(linger.parse()?);
    }
    let linger = (config.linger.as_micros() as f64 / 1000.0).to_string();
    let log = tokio::task::spawn_blocking(move || KafkaLog::open(config)).await??;
    let topic = |name: &str| -> Result<TopicSpec> {
        Ok(TopicSpec { name: TopicName::parse(name)?, partitions: 1, cleanup: Cleanup::Keep })
    };
    let names = ["warm", "raw", "engine", "alone"];
    log.ensure_topics(names.iter().map(|name| topic(name)).collect::<Result<_>>()?).await?;
    let partition = |name: &str| -> Result<Partition> { Ok(Partition { topic: TopicName::parse(name)?, index: 0 }) };

    let values: Vec<_> = (0..count).map(value).collect();
    engine_append(&log, partition("warm")?, &values).await?;
    raw_append(&address, "warm", &values, &linger)?;
    println!("append  raw with librdkafka's own linger of 5 ms: {}", raw_append(&address, "raw", &values, "5")?);
    for round in 1..=4 {
        let raw = raw_append(&address, "raw", &values, &linger)?;
        let engine = engine_append(&log, partition("engine")?, &values).await?;
        println!("append  round {round}: raw {raw}  engine {engine}  ratio {:.2}", engine.0 / raw.0);
    }
    for round in 1..=6 {
        let raw = raw_read(&address, "engine", count)?;
        let engine = engine_read(&log, &partition("engine")?, count).await?;
        println!("read    round {round}: raw {raw}  engine {engine}  ratio {:.2}", engine.0 / raw.0);
    }
    for batch in [1, 64] {
        let (p50, p99) = latency(&log, partition("alone")?, batch).await?;
        println!("alone   batch of {batch:2}: p50 {p50:?}  p99 {p99:?}");
    }
    let (p50, p99) = through(&log, partition("alone")?).await?;
    println!("through append to waiting reader: p50 {p50:?}  p99 {p99:?}");
    println!("idle    200 readers at the end: {:.1} % of a core", idle(&log, 200).await? * 100.0);
    log.close(Duration::from_secs(5)).await?;
    Ok(())
}

//! Many readers, many partitions, and offsets without entries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use ldop_log::{Cleanup, MessageLog, NewEntry, Partition, TopicSpec};
use ldop_testkit::wait_until;
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Kafka, config, open};
use crate::contract::{Harness, append, appender, entry, partition, read_all, value};

/// Writes a transaction as another program would; it ends with a marker that takes an offset.
fn transaction(address: &str, p: &Partition, id: &str, values: &[&str], commit: bool) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("transactional.id", id)
        .create()
        .expect("transactional producer");
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).expect("init");
    producer.begin_transaction().expect("begin");
    for value in values {
        let record = BaseRecord::to(p.topic.as_str()).partition(p.index as i32).key("k").payload(*value);
        producer.send(record).map_err(|(e, _)| e).expect("send");
    }
    producer.flush(wait).expect("flush");
    if commit { producer.commit_transaction(wait) } else { producer.abort_transaction(wait) }.expect("end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transaction_markers_are_gaps_and_aborted_entries_are_not_read() {
    let h = Kafka::new().await;
    let log = h.open().await;
    let p = partition(&h, &log, "markers", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "0")]).await;
    let address = h.broker.address();
    let ends = {
        let (p, id) = (p.clone(), h.topic("id").to_string());
        move || {
            transaction(&address, &p, &id, &["1", "2"], true);
            transaction(&address, &p, &id, &["never"], false);
        }
    };
    tokio::task::spawn_blocking(ends).await.expect("transactions");
    // 0, 1, 2, marker, aborted, marker: the end lies behind two offsets without entries.
    // Brokers write the last marker a moment after the transaction has ended.
    let marks = wait_until(h.patience(), async || match log.watermarks(&p).await {
        Ok(marks) if marks.end == 6 => Ok(marks),
        other => Err(other),
    });
    assert_eq!(marks.await.expect("all markers").start, 0);
    let values = async || read_all(&log, &p).await.iter().map(value).collect::<Vec<_>>();
    assert_eq!(values().await, ["0", "1", "2"]);
    // A reader that stands before the gap gets behind it, again and again, also without waiting.
    for at in [3, 4, 5] {
        let fetched = log.fetch(&p, at, 1 << 20, Duration::ZERO).await.expect("fetch in the gap");
        assert_eq!((fetched.entries.len(), fetched.next, fetched.end), (0, 6, 6), "from {at}");
    }
    let offsets = append(&log, &p, vec![entry("k", "3")]).await;
    assert_eq!(offsets, [6]);
    let fetched = log.fetch(&p, 3, 1 << 20, Duration::from_secs(5)).await.expect("fetch over the gap");
    assert_eq!(fetched.entries.iter().map(value).collect::<Vec<_>>(), ["3"]);
    assert_eq!(values().await, ["0", "1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_quiet_partitions_wake_only_their_own_reader() {
    const PARTITIONS: u32 = 200;
    let h = Kafka::new().await;
    let log = h.open().await;
    let topics: Vec<_> = (0..2)
        .map(|i| TopicSpec { name: h.topic(&format!("quiet-{i}")), partitions: PARTITIONS / 2, cleanup: Cleanup::Keep })
        .collect();
    log.ensure_topics(topics.clone()).await.expect("make the topics");
    let partitions: Vec<_> = topics
        .iter()
        .flat_map(|spec| (0..spec.partitions).map(|index| Partition { topic: spec.name.clone(), index }))
        .collect();
    let readers: Vec<_> = partitions
        .iter()
        .map(|p| {
            let (log, p) = (Arc::clone(&log), p.clone());
            tokio::spawn(async move { log.fetch(&p, 0, 1 << 20, Duration::from_secs(120)).await })
        })
        .collect();
    let slowest = join_all(partitions.iter().zip(readers).map(|(p, reader)| {
        let log = &log;
        async move {
            append(log, p, vec![entry("k", p.to_string())]).await;
            let acknowledged = Instant::now();
            let fetched = reader.await.expect("reader").expect("fetch");
            assert_eq!(fetched.entries.iter().map(value).collect::<Vec<_>>(), [p.to_string()]);
            acknowledged.elapsed()
        }
    }))
    .await
    .into_iter()
    .max();
    assert!(slowest < Some(Duration::from_secs(5)), "the slowest took {slowest:?}");
}

/// More than all buffers hold, read from many places at once: each reader sees everything, in order, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_far_apart_share_three_consumers() {
    const ENTRIES: usize = 20_000;
    const READERS: usize = 8;
    let h = Kafka::new().await;
    let mut small = config(h.broker.address());
    small.read_buffer_bytes = 4 << 20;
    small.compression = ldop_log::kafka::Compression::None;
    small.topic_overrides.clear();
    let log: Arc<dyn MessageLog> = open(small).await;
    let p = partition(&h, &log, "far-apart", Cleanup::Keep).await;
    let writer = appender(&log, &p).await;
    let filling = "x".repeat(1_000);
    let mut on_their_way = Vec::new();
    for batch in 0..ENTRIES / 100 {
        let entries = (0..100).map(|i| entry((batch * 100 + i).to_string(), filling.as_str())).collect();
        on_their_way.push(writer.append(entries).expect("taken"));
    }
    let mut offsets = Vec::new();
    for append in on_their_way {
        offsets.extend(append.await.expect("acknowledged").offsets);
    }
    let readers = (0..READERS).map(|reader| {
        let (log, p) = (Arc::clone(&log), p.clone());
        let from = ENTRIES / READERS * reader;
        let at = offsets[from];
        tokio::spawn(async move {
            let (mut at, mut next) = (at, from);
            while next < ENTRIES {
                let max_bytes = if reader % 2 == 0 { 20_000 } else { 1 << 20 };
                let fetched = log.fetch(&p, at, max_bytes, Duration::from_secs(5)).await.expect("fetch");
                for entry in &fetched.entries {
                    assert_eq!(entry.key.as_deref(), Some(next.to_string().as_bytes()), "reader {reader}");
                    next += 1;
                }
                at = fetched.next;
            }
        })
    });
    for reader in join_all(readers).await {
        reader.expect("reader");
    }
}

/// A reader that takes its time does not hold up another on the same consumer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_reader_costs_the_others_nothing() {
    let h = Kafka::new().await;
    let mut small = config(h.broker.address());
    small.read_buffer_bytes = 2 << 20;
    small.topic_overrides.clear();
    let log: Arc<dyn MessageLog> = open(small).await;
    let topic = |name: &str| TopicSpec { name: h.topic(name), partitions: 4, cleanup: Cleanup::Keep };
    let specs = vec![topic("frozen"), topic("lively")];
    log.ensure_topics(specs.clone()).await.expect("make the topics");
    let of = |spec: &TopicSpec| (0..4).map(|index| Partition { topic: spec.name.clone(), index }).collect::<Vec<_>>();
    let (frozen, lively) = (of(&specs[0]), of(&specs[1]));
    let value = Bytes::from(vec![b'x'; 10_000]);
    for p in frozen.iter().chain(&lively) {
        let writer = appender(&log, p).await;
        for _ in 0..10 {
            let batch = (0..50).map(|_| NewEntry { value: Some(value.clone()), ..entry("k", "") }).collect();
            writer.append(batch).expect("taken").await.expect("acknowledged");
        }
    }
    // Each takes one entry and never comes back; what was read ahead for them fills all that may be held.
    for p in &frozen {
        assert_eq!(log.fetch(p, 0, 1, Duration::from_secs(5)).await.expect("fetch").entries.len(), 1);
    }
    let started = Instant::now();
    for p in &lively {
        assert_eq!(read_all(&log, p).await.len(), 500);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    // And when one comes back, it goes on where it stood.
    let mut at = 1;
    while at < 500 {
        let fetched = log.fetch(&frozen[0], at, 1 << 20, Duration::from_secs(5)).await.expect("fetch");
        assert!(fetched.entries.first().is_some_and(|e| e.offset == at));
        at = fetched.next;
    }
}

/// Settings another program left behind are compared, not silently changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_less_room_than_entries_need_differs() {
    let h = Kafka::new().await;
    let spec = TopicSpec { name: h.topic("narrow"), partitions: 1, cleanup: Cleanup::Keep };
    let mut narrow = config(h.broker.address());
    narrow.compression = ldop_log::kafka::Compression::None;
    narrow.topic_overrides.insert("max.message.bytes".into(), "2000".into());
    let log: Arc<dyn MessageLog> = open(narrow).await;
    log.ensure_topics(vec![spec.clone()]).await.expect("make the topic");
    let p = Partition { topic: spec.name.clone(), index: 0 };
    // The broker refuses what the client let through; the batch is not on the log, and the appender stops.
    let writer = appender(&log, &p).await;
    let refused = writer.append(vec![entry("k", "x".repeat(4_000))]).expect("taken").await;
    assert!(matches!(refused, Err(ldop_log::LogError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(writer.append(vec![entry("k", "v")]), Err(ldop_log::LogError::AppenderFailed)));
    append(&log, &p, vec![entry("k", "fits")]).await;
    assert_eq!(read_all(&log, &p).await.iter().map(value).collect::<Vec<_>>(), ["fits"]);

    let log = h.open().await;
    match log.ensure_topics(vec![spec]).await {
        Err(ldop_log::LogError::TopicDiffers { detail, .. }) => {
            assert!(detail.contains("max.message.bytes is 2000"), "{detail}");
        }
        other => panic!("{other:?}"),
    }
}

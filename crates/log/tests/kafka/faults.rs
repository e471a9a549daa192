//! Brokers that are killed, paused and missing: nothing acknowledged is lost, order holds, nothing comes twice.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use ldop_log::{AppendFuture, Cleanup, Entry, LogError, MessageLog, Offset, Partition, TopicName, TopicSpec};
use ldop_testkit::{
    kafka::{Broker, Cluster, Options},
    wait_until,
};
use tokio::{sync::watch, task::JoinHandle};

use super::{config, open, partition_of};
use crate::contract::{append, appender, entry, eventually, read_all, value};

/// How long recovery may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a call is watched to see that it does not return.
const PENDING: Duration = Duration::from_secs(2);

/// A writer that appends numbered entries, a few batches on their way at a time, until it is stopped. Nothing is sent
/// twice: when the outcome of a batch is unknown, it goes on with the next numbers on a new appender.
struct Writer {
    stop: watch::Sender<bool>,
    acknowledged: watch::Receiver<usize>,
    task: JoinHandle<Written>,
}

/// What became of the entries of a writer.
#[derive(Default)]
struct Written {
    acknowledged: Vec<(Offset, String)>,
    /// May or may not be on the log.
    unknown: BTreeSet<String>,
}

impl Writer {
    async fn start(log: &Arc<dyn MessageLog>, p: &Partition) -> Self {
        const BATCH: usize = 10;
        const OPEN: usize = 20;
        let (stop, stopped) = watch::channel(false);
        let (count, acknowledged) = watch::channel(0);
        let (log, p) = (Arc::clone(log), p.clone());
        let mut appender = appender(&log, &p).await;
        let task = tokio::spawn(async move {
            let mut open: VecDeque<(Vec<String>, AppendFuture)> = VecDeque::new();
            let mut written = Written::default();
            for batch in 0.. {
                if open.len() == OPEN || *stopped.borrow() {
                    let Some((values, append)) = open.pop_front() else { break };
                    match append.await {
                        Ok(appended) => written.acknowledged.extend(appended.offsets.into_iter().zip(values)),
                        Err(LogError::Unknown { .. }) => written.unknown.extend(values),
                        Err(error) => panic!("a broker that comes back answers: {error:?}"),
                    }
                    count.send_replace(written.acknowledged.len());
                }
                if !*stopped.borrow() {
                    let values: Vec<_> = (0..BATCH).map(|i| format!("{:08}", batch * BATCH + i)).collect();
                    let entries = || values.iter().map(|v| entry("k", v.as_str())).collect();
                    let append = match appender.append(entries()) {
                        Err(LogError::AppenderFailed) => {
                            appender = log.appender(p.clone()).await.expect("a new appender");
                            appender.append(entries())
                        }
                        other => other,
                    };
                    open.push_back((values, append.expect("taken")));
                }
            }
            written
        });
        Self { stop, acknowledged, task }
    }

    /// Waits until `more` entries more are acknowledged.
    async fn goes_on(&mut self, more: usize) {
        let wanted = *self.acknowledged.borrow() + more;
        let goes_on = self.acknowledged.wait_for(|count| *count >= wanted);
        tokio::time::timeout(PATIENCE, goes_on).await.expect("appends go on").expect("the writer lives");
    }

    /// Sees that nothing more is acknowledged for a while.
    async fn stands_still(&mut self) {
        // What was on its way when the broker went may still be answered for.
        eventually(PATIENCE, || {
            let mut acknowledged = self.acknowledged.clone();
            async move {
                acknowledged.mark_unchanged();
                let moved = tokio::time::timeout(PENDING, acknowledged.changed()).await;
                if moved.is_err() { Ok(()) } else { Err("still acknowledged".to_owned()) }
            }
        })
        .await;
    }

    async fn finish(self) -> Written {
        self.stop.send_replace(true);
        tokio::time::timeout(PATIENCE, self.task).await.expect("all settled").expect("writer")
    }
}

/// Everything acknowledged stands where it was said, everything found was sent, in order, once.
fn check(written: &Written, found: &[Entry]) {
    let found: Vec<_> = found.iter().map(|e| (e.offset, value(e))).collect();
    assert!(written.acknowledged.is_sorted(), "acknowledged in order");
    assert!(found.is_sorted_by(|(_, a), (_, b)| a < b), "in the order sent, nothing twice");
    let (unknown, known): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, v)| written.unknown.contains(v));
    assert_eq!(known, written.acknowledged, "nothing lost, nothing else");
    eprintln!("{} acknowledged; of {} unknown {} written", known.len(), written.unknown.len(), unknown.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_under_load_loses_and_repeats_nothing() {
    let broker = Broker::start().await.expect("start a broker");
    let log: Arc<dyn MessageLog> = open(config(broker.address())).await;
    let p = partition_of(&log, "killed", Cleanup::Keep).await;
    let mut writer = Writer::start(&log, &p).await;
    for _ in 0..3 {
        writer.goes_on(500).await;
        broker.kill();
        broker.restart().await.expect("restart");
        writer.goes_on(500).await;
    }
    let written = writer.finish().await;
    check(&written, &read_all(&log, &p).await);
    let fresh: Arc<dyn MessageLog> = open(config(broker.address())).await;
    check(&written, &read_all(&fresh, &p).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_broker_delays_appends_and_fails_reads() {
    let broker = Broker::start().await.expect("start a broker");
    let log: Arc<dyn MessageLog> = open(config(broker.address())).await;
    let p = partition_of(&log, "paused", Cleanup::Keep).await;
    let mut writer = Writer::start(&log, &p).await;
    writer.goes_on(200).await;
    broker.pause();
    writer.stands_still().await;
    let unavailable = |what: &str, error: LogError| {
        assert!(matches!(error, LogError::Unavailable { .. }), "{what}: {error:?}");
    };
    // The engine's request timeout is 5 s here.
    let bound = Duration::from_secs(12);
    let marks = tokio::time::timeout(bound, log.watermarks(&p)).await.expect("bounded");
    unavailable("watermarks", marks.expect_err("the broker stands still"));
    let fetch = tokio::time::timeout(bound, log.fetch(&p, 0, 1, Duration::ZERO)).await.expect("bounded");
    unavailable("fetch", fetch.expect_err("the broker stands still"));
    let other =
        TopicSpec { name: TopicName::parse("other").expect("good name"), partitions: 1, cleanup: Cleanup::Keep };
    let ensure = tokio::time::timeout(bound, log.ensure_topics(vec![other])).await.expect("bounded");
    unavailable("ensure_topics", ensure.expect_err("the broker stands still"));
    broker.resume();
    writer.goes_on(200).await;
    check(&writer.finish().await, &read_all(&log, &p).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_the_end_outlives_its_broker() {
    let broker = Broker::start().await.expect("start a broker");
    let log: Arc<dyn MessageLog> = open(config(broker.address())).await;
    let p = partition_of(&log, "outlived", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "before")]).await;
    let reader = {
        let (log, p) = (Arc::clone(&log), p.clone());
        tokio::spawn(async move {
            let (mut at, mut seen, mut failures) = (0, Vec::new(), 0);
            while seen.len() < 2 {
                match log.fetch(&p, at, 1 << 20, Duration::from_secs(20)).await {
                    Ok(fetched) => {
                        seen.extend(fetched.entries.iter().map(value));
                        at = fetched.next;
                    }
                    Err(LogError::Unavailable { .. }) => failures += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
            (seen, failures)
        })
    };
    broker.kill();
    // Long enough away for the reader to be told: it asks as often as the request timeout passes.
    let told = wait_until(PATIENCE, async || match log.watermarks(&p).await {
        Err(LogError::Unavailable { .. }) => Ok(()),
        other => Err(other),
    });
    told.await.expect("the broker is away");
    broker.restart().await.expect("restart");
    let (log, p) = (&log, &p);
    eventually(PATIENCE, || async move {
        let append = appender(log, p).await.append(vec![entry("k", "after")]).map_err(|e| e.to_string())?;
        append.await.map_err(|e| e.to_string())
    })
    .await;
    let (seen, _) = tokio::time::timeout(PATIENCE, reader).await.expect("woken").expect("reader");
    assert_eq!(seen, ["before", "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_brokers_bear_the_loss_of_one_and_wait_out_the_loss_of_two() {
    let options = Options { nodes: 3, heap_mb: 256, ..Options::default() };
    let cluster = Cluster::start(options).await.expect("start three brokers");
    let mut config = config(cluster.bootstrap());
    (config.replication_factor, config.min_insync_replicas) = (3, 2);
    let log: Arc<dyn MessageLog> = open(config.clone()).await;
    let spec =
        TopicSpec { name: TopicName::parse("copies").expect("good name"), partitions: 3, cleanup: Cleanup::Keep };
    log.ensure_topics(vec![spec.clone()]).await.expect("make the topic");
    // One writer for each partition, so that whichever brokers go, some lose their leader.
    let partitions: Vec<_> = (0..3).map(|index| Partition { topic: spec.name.clone(), index }).collect();
    let mut writers = Vec::new();
    for p in &partitions {
        writers.push(Writer::start(&log, p).await);
    }
    for writer in &mut writers {
        writer.goes_on(300).await;
    }
    cluster.nodes()[2].kill();
    for writer in &mut writers {
        writer.goes_on(300).await;
    }
    cluster.nodes()[1].kill();
    for writer in &mut writers {
        writer.stands_still().await;
    }
    cluster.nodes()[2].restart().await.expect("restart");
    for writer in &mut writers {
        writer.goes_on(300).await;
    }
    cluster.nodes()[1].restart().await.expect("restart");
    for (writer, p) in writers.into_iter().zip(&partitions) {
        let written = writer.finish().await;
        check(&written, &read_all(&log, p).await);
    }
    // Fewer copies in sync than wanted is a difference to tell.
    config.replication_factor = 1;
    config.min_insync_replicas = 1;
    let modest: Arc<dyn MessageLog> = open(config.clone()).await;
    modest.ensure_topics(vec![spec.clone()]).await.expect("more than asked for is fine");
    let small = TopicSpec { name: TopicName::parse("one-copy").expect("good name"), ..spec };
    modest.ensure_topics(vec![small.clone()]).await.expect("make the topic");
    match log.ensure_topics(vec![small]).await {
        Err(LogError::TopicDiffers { detail, .. }) => assert!(detail.contains("1 copies, wanted 3"), "{detail}"),
        other => panic!("{other:?}"),
    }
}

/// Flips a bit of a stored value: what a failing disk does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_flipped_on_disk_is_told_and_never_returned() {
    let broker = Broker::start().await.expect("start a broker");
    let mut config = config(broker.address());
    config.compression = ldop_log::kafka::Compression::None;
    let log: Arc<dyn MessageLog> = open(config.clone()).await;
    let p = partition_of(&log, "flipped", Cleanup::Keep).await;
    let good = partition_of(&log, "good", Cleanup::Keep).await;
    let mut offsets = Vec::new();
    for name in ["first", "second", "third"] {
        // One batch each on disk, since the one before is acknowledged.
        offsets.extend(append(&log, &p, vec![entry("k", name)]).await);
        append(&log, &good, vec![entry("k", name)]).await;
    }
    // Stopped in order, or the broker would check and cut its log while starting.
    broker.stop().await.expect("stop");
    let mut flipped = 0;
    for file in std::fs::read_dir(broker.data().join("flipped-0")).expect("the partition's folder") {
        let path = file.expect("file").path();
        let mut bytes = std::fs::read(&path).expect("read");
        if path.extension().is_some_and(|e| e == "log")
            && let Some(at) = bytes.windows(6).position(|w| w == b"second")
        {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).expect("write");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 1);
    broker.restart().await.expect("restart");

    let log: Arc<dyn MessageLog> = open(config).await;
    let wait = Duration::from_secs(5);
    // A reader of another partition on the same consumer is not disturbed.
    assert_eq!(read_all(&log, &good).await.len(), 3);
    let fetched = log.fetch(&p, offsets[0], 1 << 20, wait).await.expect("what stands before is sound");
    assert_eq!(fetched.entries.iter().map(value).collect::<Vec<_>>(), ["first"]);
    for _ in 0..2 {
        match log.fetch(&p, fetched.next, 1 << 20, wait).await {
            Err(LogError::Altered { partition, offset, .. }) => {
                assert_eq!((partition, offset), (p.clone(), offsets[1]))
            }
            other => panic!("{other:?}"),
        }
    }
    let fetched = log.fetch(&p, offsets[2], 1 << 20, wait).await.expect("what stands behind is sound");
    assert_eq!(fetched.entries.iter().map(value).collect::<Vec<_>>(), ["third"]);
    assert_eq!(read_all(&log, &good).await.len(), 3);
}

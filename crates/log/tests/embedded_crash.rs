//! The embedded engine when its process is killed, and when two processes want the same directory.

#![cfg(feature = "embedded")]

mod child;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, stream::FuturesOrdered};
use ldop_log::{
    Cleanup, Entry, LogError, MessageLog, NewEntry, Partition, TopicName, TopicSpec,
    embedded::{Compaction, Config, EmbeddedLog, OpenError},
};
use ldop_types::TimestampMs;

const PARTITIONS: u32 = 4;
const WRITERS: u32 = 8;
const WINDOW: usize = 8;

/// Cleanup all the time, so that it is killed in the middle too.
fn config(dir: &Path) -> Config {
    let at_once = Compaction { min_age: Duration::ZERO, tombstone_age: Duration::ZERO, max_delay: Duration::ZERO };
    Config { upkeep_interval: Duration::from_millis(5), compaction: at_once, ..Config::new(dir) }
}

fn kept(index: u32) -> Partition {
    Partition { topic: TopicName::parse("kept").expect("good name"), index }
}

fn latest() -> Partition {
    Partition { topic: TopicName::parse("latest").expect("good name"), index: 0 }
}

async fn open(dir: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(config(dir)).expect("open");
    let specs = vec![
        TopicSpec { name: kept(0).topic, partitions: PARTITIONS, cleanup: Cleanup::Keep },
        TopicSpec { name: latest().topic, partitions: 1, cleanup: Cleanup::Compact },
    ];
    log.ensure_topics(specs).await.expect("topics");
    log
}

/// An entry whose value names it, filled up to very different sizes.
fn entry(key: String, name: &str, serial: u64) -> NewEntry {
    let filling = [0, 40, 900, 5_000, 60_000][(serial % 97 % 5) as usize];
    let value = format!("{name}/{serial:08} {}", "x".repeat(filling));
    NewEntry { key: Some(key.into()), value: Some(value.into()), headers: Vec::new(), timestamp: TimestampMs::now() }
}

fn name_of(entry: &Entry) -> String {
    let value = entry.value.as_ref().map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default();
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// The child: appends until it is killed, and tells of every acknowledgement.
#[test]
#[ignore = "started by the tests of this file"]
fn child_writer() {
    let Some(orders) = child::orders() else { return };
    let (dir, round) = (orders[0].clone(), orders[1].clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    runtime.block_on(async move {
        let log = open(Path::new(&dir)).await;
        child::say("open");
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let name = format!("r{round}w{writer}");
            let compacted = writer == 0;
            let partition = if compacted { latest() } else { kept(writer % PARTITIONS) };
            let appender = log.appender(partition.clone()).await.expect("appender");
            writers.spawn(async move {
                let mut serial = 0;
                let mut on_their_way = FuturesOrdered::new();
                loop {
                    while on_their_way.len() < WINDOW {
                        let count = 1 + serial % 7;
                        let entries: Vec<_> = (serial..serial + count)
                            .map(|s| entry(format!("k{}", if compacted { s % 10 } else { 0 }), &name, s))
                            .collect();
                        let first = serial;
                        serial += count;
                        let append = appender.append(entries).expect("taken");
                        on_their_way.push_back(async move { (first, append.await) });
                    }
                    let Some((first, appended)) = on_their_way.next().await else { return };
                    let offsets = appended.expect("acknowledged").offsets;
                    let told: Vec<_> = offsets.iter().map(u64::to_string).collect();
                    child::say(&format!("ack {} {name} {first} {}", partition, told.join(",")));
                }
            });
        }
        writers.join_next().await;
    });
}

#[derive(Default)]
struct Acknowledged {
    /// Partition and offset to the entry's name.
    kept: BTreeMap<(String, u64), String>,
    /// Key to its latest offset acknowledged.
    latest: HashMap<u64, (u64, String)>,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let parts: Vec<_> = line.split(' ').collect();
        let [_, partition, name, first, offsets] = parts[..] else { panic!("{line}") };
        let first: u64 = first.parse().expect("number");
        for (i, offset) in offsets.split(',').enumerate() {
            let (serial, offset) = (first + i as u64, offset.parse().expect("number"));
            let name = format!("{name}/{serial:08}");
            if partition == latest().to_string() {
                self.latest.insert(serial % 10, (offset, name));
            } else {
                assert!(self.kept.insert((partition.to_owned(), offset), name).is_none(), "an offset was given twice");
            }
        }
    }
}

async fn read_all(log: &Arc<EmbeddedLog>, partition: &Partition) -> Vec<Entry> {
    let marks = log.watermarks(partition).await.expect("watermarks");
    let (mut at, mut all) = (marks.start, Vec::new());
    while at < marks.end {
        let fetched = log.fetch(partition, at, 1 << 20, Duration::ZERO).await.expect("fetch");
        at = fetched.next;
        all.extend(fetched.entries);
    }
    all
}

async fn check(dir: &Path, acknowledged: &Acknowledged) {
    let log = open(dir).await;
    let mut found = BTreeMap::new();
    for index in 0..PARTITIONS {
        let mut serials: HashMap<String, u64> = HashMap::new();
        for e in read_all(&log, &kept(index)).await {
            let name = name_of(&e);
            // Nothing is missing within what a writer wrote, acknowledged or not, and nothing is out of order.
            let (writer, serial) = name.split_once('/').expect("writer/serial");
            let serial: u64 = serial.parse().expect("number");
            assert_eq!(serials.insert(writer.to_owned(), serial).map_or(0, |last| last + 1), serial, "{name}");
            found.insert((kept(index).to_string(), e.offset), name);
        }
    }
    for (place, name) in &acknowledged.kept {
        assert_eq!(found.get(place), Some(name), "{place:?} was acknowledged");
    }
    let found = read_all(&log, &latest()).await;
    for (key, (offset, name)) in &acknowledged.latest {
        let key = format!("k{key}");
        let last = found.iter().rfind(|e| e.key.as_deref() == Some(key.as_bytes())).expect("each key is there");
        assert!(last.offset > *offset || (last.offset == *offset && name_of(last) == *name), "{key} {offset} {name}");
    }
    log.close(Duration::from_secs(30)).await.expect("close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut acknowledged = Acknowledged::default();
    // Kills right after opening, after few and after many acknowledgements, of commits, checkpoints and cleanup.
    for (round, acks) in [0, 1, 3, 0, 20, 100, 7, 400, 50, 900, 0, 200, 13, 600, 30, 1_500].into_iter().enumerate() {
        let mut child = child::Process::start("child_writer", None, &format!("{} {round}", dir.path().display()));
        child.wait_for("open");
        for _ in 0..acks {
            acknowledged.take(&child.next().expect("the child goes on"));
        }
        child.kill();
        while let Some(line) = child.next() {
            acknowledged.take(&line);
        }
        check(dir.path(), &acknowledged).await;
    }
    assert!(acknowledged.kept.len() > 1_000);
}

#[test]
fn a_second_process_is_refused_until_the_first_is_dead() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut child = child::Process::start("child_writer", None, &format!("{} 0", dir.path().display()));
    child.wait_for("open");
    let refused = EmbeddedLog::open(Config::new(dir.path())).expect_err("refused");
    assert!(refused.to_string().contains(&child.id().to_string()), "{refused}");
    assert!(matches!(refused, OpenError::InUse { holder, .. } if holder == Some(child.id())));
    child.kill();
    EmbeddedLog::open(Config::new(dir.path())).expect("open after its death");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_keeps_to_its_deadline() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    let appender = log.appender(kept(0)).await.expect("appender");
    appender.append(vec![entry("k".into(), "before", 0)]).expect("taken").await.expect("acknowledged");
    let blocker = rusqlite::Connection::open(dir.path().join("log.sqlite")).expect("open");
    blocker.busy_timeout(Duration::from_secs(10)).expect("timeout");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("take the write lock");
    let on_their_way: Vec<_> =
        (0..100).map(|i| appender.append(vec![entry("k".into(), "late", i)]).expect("taken")).collect();
    let started = std::time::Instant::now();
    let closed = log.close(Duration::from_millis(100)).await;
    assert!(matches!(closed, Err(LogError::Unknown { .. })), "{closed:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    drop(blocker);
    // Each one is told its fate: written, or not and never.
    let mut written = 1;
    for append in on_their_way {
        match append.await {
            Ok(_) => written += 1,
            Err(error) => {
                assert!(matches!(error, LogError::Unavailable { .. } | LogError::AppenderFailed), "{error:?}")
            }
        }
    }
    log.close(Duration::from_secs(30)).await.expect("closed in the end");
    drop(log);
    assert_eq!(read_all(&open(dir.path()).await, &kept(0)).await.len(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_without_closing_keeps_what_was_taken() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    let appender = log.appender(kept(0)).await.expect("appender");
    let on_their_way: Vec<_> =
        (0..200).map(|i| appender.append(vec![entry("k".into(), "dropped", i)]).expect("taken")).collect();
    tokio::task::spawn_blocking(move || drop(log)).await.expect("drop");
    for append in on_their_way {
        append.await.expect("acknowledged");
    }
    assert!(appender.append(vec![entry("k".into(), "late", 0)]).is_err());
    let log = open(dir.path()).await;
    assert_eq!(read_all(&log, &kept(0)).await.len(), 200);
    assert_eq!(read_all(&log, &kept(0)).await[199].key, Some(Bytes::from_static(b"k")));
}

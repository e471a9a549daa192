//! Retention and compaction of the embedded engine: what the contract leaves open.

#![cfg(feature = "embedded")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use ldop_log::{
    Cleanup, Entry, LogError, MessageLog, NewEntry, Partition, TopicName, TopicSpec,
    embedded::{Compaction, Config, EmbeddedLog},
};
use ldop_types::TimestampMs;

const PATIENCE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(365 * 24 * 3_600);

fn compaction(min_age: Duration, tombstone_age: Duration) -> Compaction {
    Compaction { min_age, tombstone_age, max_delay: Duration::ZERO }
}

fn open(dir: &Path, compaction: Compaction) -> Arc<EmbeddedLog> {
    let upkeep_interval = Duration::from_millis(20);
    EmbeddedLog::open(Config { upkeep_interval, compaction, tail_cache_bytes: 0, ..Config::new(dir) }).expect("open")
}

async fn topic(log: &Arc<EmbeddedLog>, name: &str, cleanup: Cleanup) -> Partition {
    let name = TopicName::parse(name).expect("good name");
    log.ensure_topics(vec![TopicSpec { name: name.clone(), partitions: 1, cleanup }]).await.expect("topic");
    Partition { topic: name, index: 0 }
}

fn entry(key: &str, value: Option<&str>) -> NewEntry {
    let value = value.map(|v| v.to_owned().into());
    NewEntry { key: Some(key.to_owned().into()), value, headers: Vec::new(), timestamp: TimestampMs::now() }
}

async fn append(log: &Arc<EmbeddedLog>, partition: &Partition, entries: Vec<NewEntry>) {
    let appender = log.appender(partition.clone()).await.expect("appender");
    appender.append(entries).expect("taken").await.expect("acknowledged");
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

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !reached().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether these bytes stand in any file of the directory.
fn residue(dir: &Path, text: &str) -> bool {
    let files = fs::read_dir(dir).expect("list").map(|f| f.expect("file").path());
    let holds = |path| fs::read(path).expect("read").windows(text.len()).any(|w| w == text.as_bytes());
    files.into_iter().any(holds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_compaction_erased_is_in_no_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), compaction(Duration::ZERO, Duration::ZERO));
    let p = topic(&log, "t", Cleanup::Compact).await;
    // Small ones that share a page, and one that has pages of its own.
    let large = format!("CANARY-OUTDATED-{}", "CANARY-LARGE-".repeat(20_000));
    append(&log, &p, vec![entry("other", Some("stays")), entry("canary", Some(&large))]).await;
    for i in 0..50 {
        append(&log, &p, vec![entry("canary", Some(&format!("CANARY-OUTDATED-{i}"))), entry("other", Some("stays"))])
            .await;
    }
    assert!(residue(dir.path(), "CANARY-OUTDATED"));
    append(&log, &p, vec![entry("canary", Some("CANARY-LATEST"))]).await;
    until("outdated values are gone", async || {
        !residue(dir.path(), "CANARY-OUTDATED") && !residue(dir.path(), "CANARY-LARGE")
    })
    .await;
    assert!(residue(dir.path(), "CANARY-LATEST"));
    append(&log, &p, vec![entry("canary", None)]).await;
    until("nothing is left", async || !residue(dir.path(), "CANARY")).await;
    until("only the other key is left", async || read_all(&log, &p).await.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_erased_is_in_no_file() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), Compaction::default());
    let p = topic(&log, "t", Cleanup::Delete { retention: Duration::from_millis(200) }).await;
    // A clock far ahead of ours keeps nothing for longer.
    let ahead = NewEntry { timestamp: TimestampMs(i64::MAX), ..entry("k", Some("CANARY-AHEAD")) };
    append(&log, &p, vec![ahead]).await;
    for _ in 0..100 {
        append(&log, &p, vec![entry("k", Some(&"CANARY".repeat(1_000)))]).await;
    }
    until("nothing is left", async || !residue(dir.path(), "CANARY")).await;
    let marks = log.watermarks(&p).await.expect("watermarks");
    assert_eq!((marks.start, marks.end), (101, 101));
    log.close(PATIENCE).await.expect("close");
    drop(log);
    let log = open(dir.path(), Compaction::default());
    assert_eq!(log.watermarks(&p).await.expect("watermarks"), marks, "no offset is given twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_stays_for_its_time_and_the_young_are_left_alone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), compaction(LONG, Duration::ZERO));
    let p = topic(&log, "t", Cleanup::Compact).await;
    append(&log, &p, vec![entry("a", Some("1")), entry("b", Some("2")), entry("a", None)]).await;
    let marker = topic(&log, "marker", Cleanup::Delete { retention: Duration::ZERO }).await;
    let rounds = async |log: &Arc<EmbeddedLog>| {
        // Retention of the marker shows that two whole rounds went by.
        for _ in 0..2 {
            append(log, &marker, vec![entry("m", None)]).await;
            until("a round", async || read_all(log, &marker).await.is_empty()).await;
        }
    };
    rounds(&log).await;
    assert_eq!(read_all(&log, &p).await.len(), 3, "younger than min_age");
    log.close(PATIENCE).await.expect("close");
    drop(log);

    let log = open(dir.path(), compaction(Duration::ZERO, LONG));
    until("outdated", async || read_all(&log, &p).await.len() == 2).await;
    rounds(&log).await;
    let found = read_all(&log, &p).await;
    assert_eq!(found.iter().map(|e| e.value.is_some()).collect::<Vec<_>>(), [true, false], "b, and a's tombstone");
    log.close(PATIENCE).await.expect("close");
    drop(log);

    // Nothing new was written; the tombstone's time alone starts a pass.
    let patient = Compaction { max_delay: LONG, ..compaction(Duration::ZERO, Duration::ZERO) };
    let log = open(dir.path(), patient);
    until("the tombstone goes", async || read_all(&log, &p).await.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_rows_are_joined_and_readers_in_the_middle_go_on() {
    const KEYS: usize = 300;
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), compaction(LONG, LONG));
    let p = topic(&log, "t", Cleanup::Compact).await;
    let appender = log.appender(p.clone()).await.expect("appender");
    for i in 0..1_500 {
        let text = format!("{i:05}{}", "x".repeat(500));
        appender
            .append(vec![entry(&format!("k{}", i % KEYS), Some(&text))])
            .expect("taken")
            .await
            .expect("acknowledged");
    }
    log.close(PATIENCE).await.expect("close");
    drop((log, appender));

    let count = || {
        let conn = rusqlite::Connection::open(dir.path().join("log.sqlite")).expect("open");
        conn.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i64>(0)).expect("count")
    };
    assert_eq!(count(), 1_500);
    // Readers read through again and again while rows are joined under them.
    let log = open(dir.path(), compaction(Duration::ZERO, Duration::ZERO));
    let readers: Vec<_> = (0..4)
        .map(|reader| {
            let (log, p) = (log.clone(), p.clone());
            tokio::spawn(async move {
                loop {
                    let mut latest = std::collections::HashMap::new();
                    let (mut at, mut count) = (0, 0);
                    while at < 1_500 {
                        let fetched = log.fetch(&p, at, 1 + reader * 10_000, Duration::ZERO).await.expect("fetch");
                        at = fetched.next;
                        count += fetched.entries.len();
                        latest.extend(fetched.entries.into_iter().map(|e| (e.key, e.offset)));
                    }
                    assert_eq!(latest.len(), KEYS, "every key is met, whenever one looks");
                    assert!(latest.values().all(|offset| *offset >= 1_200), "and its latest entry");
                    if count == KEYS {
                        return;
                    }
                }
            })
        })
        .collect();
    for reader in readers {
        reader.await.expect("reader");
    }
    for time in [0, i64::MAX] {
        let offset = log.offset_at(&p, TimestampMs(time)).await.expect("seek");
        assert_eq!(offset, if time == 0 { 1_200 } else { 1_500 });
    }
    until("joined", async || count() < 10).await;
    let found = read_all(&log, &p).await;
    let values: Vec<_> = found.iter().map(|e| e.value.as_ref().map_or(0, |v| v.len())).collect();
    assert_eq!(values, vec![505; KEYS]);
    assert!(found.iter().zip(1_200..).all(|(e, offset)| e.offset == offset));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_leaves_damage_as_it_is() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), compaction(LONG, LONG));
    let p = topic(&log, "t", Cleanup::Compact).await;
    let other = topic(&log, "other", Cleanup::Compact).await;
    for i in 0..10 {
        append(&log, &p, vec![entry("k", Some(&format!("MARK-{i}")))]).await;
        append(&log, &other, vec![entry("k", Some("other"))]).await;
    }
    log.close(PATIENCE).await.expect("close");
    drop(log);
    let path = dir.path().join("log.sqlite");
    let mut bytes = fs::read(&path).expect("read");
    let at = bytes.windows(6).position(|w| w == b"MARK-4").expect("there");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("write");

    let log = open(dir.path(), compaction(Duration::ZERO, Duration::ZERO));
    until("the other is compacted", async || read_all(&log, &other).await.len() == 1).await;
    assert_eq!(log.fetch(&p, 3, 1, Duration::ZERO).await.expect("before the damage").entries[0].offset, 3);
    let told = log.fetch(&p, 4, 1, Duration::ZERO).await;
    assert!(matches!(told, Err(LogError::Altered { offset: 4, .. })), "{told:?}");
    assert_eq!(log.fetch(&p, 5, 1, Duration::ZERO).await.expect("behind the damage").entries[0].offset, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_topics_are_made_and_opened_quickly() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path(), Compaction::default());
    let specs: Vec<_> = (0..1_000)
        .map(|i| TopicSpec {
            name: TopicName::parse(&format!("topic-{i}")).expect("good name"),
            partitions: 4,
            cleanup: if i % 2 == 0 { Cleanup::Compact } else { Cleanup::Delete { retention: LONG } },
        })
        .collect();
    let started = Instant::now();
    log.ensure_topics(specs.clone()).await.expect("topics");
    // Some milliseconds; the bound is for a machine that does ten other things.
    assert!(started.elapsed() < Duration::from_secs(2), "made in {:?}", started.elapsed());
    for index in 0..4 {
        append(&log, &Partition { topic: specs[7].name.clone(), index }, vec![entry("k", Some("v"))]).await;
    }
    log.close(PATIENCE).await.expect("close");
    drop(log);
    let started = Instant::now();
    let log = open(dir.path(), Compaction::default());
    assert!(started.elapsed() < Duration::from_secs(2), "opened in {:?}", started.elapsed());
    log.ensure_topics(specs.clone()).await.expect("all there");
    assert_eq!(read_all(&log, &Partition { topic: specs[7].name.clone(), index: 3 }).await.len(), 1);
}

//! The embedded engine when there is no room: by quota, by a reserve, by a full disk, by a file size limit, in memory.

#![cfg(feature = "embedded")]

mod child;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_log::{
    Cleanup, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec,
    embedded::{Config, EmbeddedLog},
};
use ldop_types::TimestampMs;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const PATIENCE: Duration = Duration::from_secs(60);

async fn topic(log: &Arc<EmbeddedLog>, name: &str, cleanup: Cleanup) -> Partition {
    let name = TopicName::parse(name).expect("good name");
    log.ensure_topics(vec![TopicSpec { name: name.clone(), partitions: 1, cleanup }]).await.expect("topic");
    Partition { topic: name, index: 0 }
}

fn entry(serial: usize, timestamp: TimestampMs) -> NewEntry {
    let value = format!("{serial:08}{}", "x".repeat(2_000 + serial % 3 * 9_000));
    NewEntry { key: None, value: Some(value.into()), headers: Vec::new(), timestamp }
}

/// Appends until it is refused; returns the offsets acknowledged and the refusal.
async fn fill(log: &Arc<EmbeddedLog>, partition: &Partition, time: TimestampMs) -> (Vec<Offset>, LogError) {
    let appender = log.appender(partition.clone()).await.expect("appender");
    let mut acknowledged = Vec::new();
    for serial in 0.. {
        let batch = (0..4).map(|i| entry(serial * 4 + i, time)).collect();
        match appender.append(batch).expect("taken").await {
            Ok(appended) => acknowledged.extend(appended.offsets),
            Err(error) => {
                assert!(matches!(appender.append(vec![entry(0, time)]), Err(LogError::AppenderFailed)), "fail-stop");
                return (acknowledged, error);
            }
        }
    }
    unreachable!("there is an end to everything")
}

/// Reads all and compares: every acknowledged entry, whole, and no other.
async fn check(log: &Arc<EmbeddedLog>, partition: &Partition, acknowledged: &[Offset]) {
    let end = log.watermarks(partition).await.expect("watermarks").end;
    let (mut at, mut found) = (0, Vec::new());
    while at < end {
        let fetched = log.fetch(partition, at, 1 << 20, Duration::ZERO).await.expect("fetch");
        at = fetched.next;
        for e in fetched.entries {
            assert_eq!(e.value, entry(found.len(), e.timestamp).value);
            found.push(e.offset);
        }
    }
    assert_eq!(found, acknowledged);
}

/// Appends one entry, again and again until there is room.
async fn append_when_there_is_room(log: &Arc<EmbeddedLog>, partition: &Partition, serial: usize) -> Offset {
    let started = Instant::now();
    loop {
        let appender = log.appender(partition.clone()).await.expect("appender");
        match appender.append(vec![entry(serial, TimestampMs::now())]).expect("taken").await {
            Ok(appended) => return appended.offsets[0],
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_unavailable(error: &LogError) -> bool {
    matches!(error, LogError::Unavailable { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_refuses_until_retention_made_room() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let config = Config { max_bytes: 8 << 20, ..Config::new(dir.path()) };
    let log = EmbeddedLog::open(config.clone()).expect("open");
    let cleanup = Cleanup::Delete { retention: Duration::from_secs(3_600) };
    let (kept, passing) = (topic(&log, "kept", Cleanup::Keep).await, topic(&log, "passing", cleanup).await);
    let first = append_when_there_is_room(&log, &kept, 0).await;
    // So old that retention removes them, once it runs: not within the test's first minutes.
    let (acknowledged, error) = fill(&log, &passing, TimestampMs(TimestampMs::now().0 - 7_200_000)).await;
    assert!(is_unavailable(&error), "{error:?}");
    assert!(acknowledged.len() > 500, "{} entries in 8 MiB", acknowledged.len());
    let size = fs::metadata(dir.path().join("log.sqlite")).expect("database").len();
    assert!(size <= 8 << 20, "{size} bytes");
    check(&log, &passing, &acknowledged).await;
    // The quota is for the whole log.
    let appender = log.appender(kept.clone()).await.expect("appender");
    let refused = (0..200).map(|i| entry(i, TimestampMs::now())).collect();
    assert!(is_unavailable(&appender.append(refused).expect("taken").await.expect_err("no room")));
    log.close(PATIENCE).await.expect("close");
    drop((log, appender));

    let log = EmbeddedLog::open(Config { upkeep_interval: Duration::from_millis(20), ..config }).expect("open");
    let second = append_when_there_is_room(&log, &kept, 1).await;
    check(&log, &kept, &[first, second]).await;
    let started = Instant::now();
    while log.watermarks(&passing).await.expect("watermarks").start <= acknowledged[acknowledged.len() - 1] {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The room it made is used again, and offsets go on.
    let (again, _) = fill(&log, &passing, TimestampMs::now()).await;
    assert!(again.len() > acknowledged.len() * 9 / 10, "{} of {}", again.len(), acknowledged.len());
    assert!(again[0] > acknowledged[acknowledged.len() - 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reserve_on_the_disk_is_not_touched() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = EmbeddedLog::open(Config::new(dir.path())).expect("open");
    let partition = topic(&log, "t", Cleanup::Keep).await;
    let first = append_when_there_is_room(&log, &partition, 0).await;
    log.close(PATIENCE).await.expect("close");
    drop(log);
    let log = EmbeddedLog::open(Config { min_free_bytes: u64::MAX, ..Config::new(dir.path()) }).expect("open");
    let (none, error) = fill(&log, &partition, TimestampMs::now()).await;
    assert!(none.is_empty() && is_unavailable(&error), "{error:?}");
    check(&log, &partition, &[first]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_in_flight_than_allowed_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = EmbeddedLog::open(Config { in_flight_bytes: 100_000, ..Config::new(dir.path()) }).expect("open");
    let partition = topic(&log, "t", Cleanup::Keep).await;
    let appender = log.appender(partition.clone()).await.expect("appender");
    let blocker = rusqlite::Connection::open(dir.path().join("log.sqlite")).expect("open");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("take the write lock");
    let started = Instant::now();
    let mut on_their_way = Vec::new();
    let refused = loop {
        match appender.append(vec![entry(on_their_way.len(), TimestampMs::now())]) {
            Ok(append) => on_their_way.push(append),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::Full), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(4), "refused at once");
    let bytes: usize = (0..on_their_way.len()).map(|i| entry(i, TimestampMs(0)).size()).sum();
    assert!((50_000..=100_000).contains(&bytes), "{bytes} bytes taken");
    drop(blocker);
    let mut offsets = Vec::new();
    for append in on_their_way {
        offsets.extend(append.await.expect("acknowledged").offsets);
    }
    // Full is no failure: the appender goes on. A batch beyond the bound passes alone.
    let large = NewEntry { value: Some(Bytes::from(vec![0; 300_000])), ..entry(0, TimestampMs::now()) };
    appender.append(vec![large]).expect("taken").await.expect("acknowledged");
    assert_eq!(log.watermarks(&partition).await.expect("watermarks").end, offsets.len() as u64 + 1);
}

/// The child: fills up what it is given, says so, and goes on once it is told that there is room.
#[test]
#[ignore = "started by the tests of this file"]
fn child_filler() {
    let Some(orders) = child::orders() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    runtime.block_on(async move {
        let log = EmbeddedLog::open(no_reserve(Path::new(&orders[0]))).expect("open");
        let partition = topic(&log, "t", Cleanup::Keep).await;
        child::say("open");
        child::heard().expect("a start");
        let (mut acknowledged, error) = fill(&log, &partition, TimestampMs::now()).await;
        assert!(is_unavailable(&error), "{error:?}");
        // Everything can be read while nothing can be written.
        check(&log, &partition, &acknowledged).await;
        child::say(&format!("full {}", acknowledged.len()));
        child::heard().expect("room");
        let serial = acknowledged.len();
        acknowledged.push(append_when_there_is_room(&log, &partition, serial).await);
        check(&log, &partition, &acknowledged).await;
        let told: Vec<_> = acknowledged.iter().map(u64::to_string).collect();
        child::say(&format!("done {}", told.join(",")));
        // It is killed here or ends here.
        child::heard();
    });
}

fn no_reserve(dir: &Path) -> Config {
    Config { min_free_bytes: 0, ..Config::new(dir) }
}

/// What the child said it had acknowledged, read again in this process after the child was killed.
async fn check_after_kill(mut child: child::Process, dir: &Path) {
    let done = child.wait_for("done ");
    child.kill();
    let acknowledged: Vec<Offset> = done["done ".len()..].split(',').map(|o| o.parse().expect("number")).collect();
    let log = EmbeddedLog::open(no_reserve(dir)).expect("open");
    let partition = topic(&log, "t", Cleanup::Keep).await;
    check(&log, &partition, &acknowledged).await;
    log.close(PATIENCE).await.expect("close");
}

/// A file system of 24 MiB in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "ldop-test"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Sets the soft limit on the size of files a process writes.
fn limit_file_size(process: &child::Process, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(process.id()).expect("small")).expect("not 0");
    let old = prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("set the limit");
    assert_ne!(old.current, bytes);
}

/// Starts the filler with SIGXFSZ ignored, so that a write beyond the limit fails instead of killing it.
fn filler(dir: &Path) -> child::Process {
    let ignoring = "trap '' XFSZ; exec \"$@\"";
    let mut child = child::Process::start("child_filler", Some(ignoring), &dir.display().to_string());
    child.wait_for("open");
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_until_there_is_room_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        // Not permitted here: a file that cannot grow fails in the same places.
        return files_that_cannot_grow(dir.path()).await;
    };
    let ballast = dir.path().join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).expect("ballast");
    let log_dir = dir.path().join("log");
    let mut child = filler(&log_dir);
    child.tell("go");
    let full = child.wait_for("full ");
    assert!(full["full ".len()..].parse::<usize>().expect("number") > 200, "{full}");
    fs::remove_file(ballast).expect("make room");
    child.tell("room");
    check_after_kill(child, &log_dir).await;
    drop(disk);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_cannot_grow_refuses_until_it_can_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("temporary directory");
    files_that_cannot_grow(dir.path()).await;
}

async fn files_that_cannot_grow(dir: &Path) {
    let mut child = filler(dir);
    limit_file_size(&child, Some(6 << 20));
    child.tell("go");
    let full = child.wait_for("full ");
    assert!(full["full ".len()..].parse::<usize>().expect("number") > 200, "{full}");
    limit_file_size(&child, None);
    child.tell("room");
    check_after_kill(child, dir).await;
}

//! The embedded engine when its files were altered, cut, swapped or taken away: it says so, and never returns what was
//! not written.

#![cfg(feature = "embedded")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ldop_log::{
    Cleanup, Entry, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec,
    embedded::{Config, EmbeddedLog, OpenError},
};
use ldop_types::TimestampMs;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(dir: &Path) -> Config {
    // Nothing in memory: every read is a read of the file.
    Config { tail_cache_bytes: 0, ..Config::new(dir) }
}

fn partition() -> Partition {
    Partition { topic: TopicName::parse("t").expect("good name"), index: 0 }
}

async fn open(dir: &Path) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(config(dir)).expect("open");
    let spec = TopicSpec { name: partition().topic, partitions: 1, cleanup: Cleanup::Keep };
    log.ensure_topics(vec![spec]).await.expect("topic");
    log
}

fn value(serial: u64) -> String {
    format!("value-{serial:06}-{}", "0123456789".repeat((serial % 7 * 40) as usize))
}

fn entry(serial: u64) -> NewEntry {
    let headers = vec![("h", format!("header-{serial}").into())];
    let key = Some(format!("key-{serial}").into());
    NewEntry { key, value: Some(value(serial).into()), headers, timestamp: TimestampMs(1_000 + serial as i64) }
}

/// Appends `count` entries from `first` on, in batches of `batch`. On a log without gaps the offset is the serial.
async fn append(log: &Arc<EmbeddedLog>, first: u64, count: u64, batch: u64) {
    let appender = log.appender(partition()).await.expect("appender");
    for from in (first..first + count).step_by(batch as usize) {
        let entries = (from..from + batch).map(entry).collect();
        let appended = appender.append(entries).expect("taken").await.expect("acknowledged");
        assert_eq!(appended.offsets[0], from);
    }
}

/// Reads on until the end or an error; checks that what comes is what was written.
async fn read(log: &Arc<EmbeddedLog>, from: Offset) -> (Vec<Entry>, Option<LogError>) {
    let (mut at, mut all) = (from, Vec::new());
    loop {
        match log.fetch(&partition(), at, 10_000, Duration::ZERO).await {
            Err(error) => return (all, Some(error)),
            Ok(fetched) if fetched.next == at => return (all, None),
            Ok(fetched) => {
                for e in &fetched.entries {
                    let written = entry(e.offset);
                    assert_eq!((&e.key, &e.value, e.timestamp), (&written.key, &written.value, written.timestamp));
                    assert_eq!(e.header("h"), Some(&written.headers[0].1));
                }
                at = fetched.next;
                all.extend(fetched.entries);
            }
        }
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("log.sqlite")
}

fn wal(dir: &Path) -> PathBuf {
    dir.join("log.sqlite-wal")
}

/// A closed log with `count` entries in batches of `batch`.
async fn closed_log(count: u64, batch: u64) -> TempDir {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    append(&log, 0, count, batch).await;
    log.close(PATIENCE).await.expect("close");
    dir
}

/// The files as a crash at this moment would leave them.
fn crash_copy(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("temporary directory");
    for name in ["log.sqlite", "log.sqlite-wal", "watermark"] {
        fs::copy(dir.join(name), copy.path().join(name)).expect("copy");
    }
    copy
}

/// Waits until the high-watermark file was written after now.
async fn watermark_written(dir: &Path, before: &[u8]) {
    let started = Instant::now();
    while fs::read(dir.join("watermark")).expect("read") == before {
        assert!(started.elapsed() < PATIENCE, "the high-watermark file stays old");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn damaged(dir: &Path) -> String {
    match EmbeddedLog::open(config(dir)) {
        Err(e @ OpenError::Damaged { .. }) => {
            assert!(!e.is_retryable());
            e.to_string()
        }
        other => panic!("opened: {other:?}"),
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 0x04;
    fs::write(path, bytes).expect("write");
}

fn find(path: &Path, text: &str) -> usize {
    let bytes = fs::read(path).expect("read");
    bytes.windows(text.len()).position(|w| w == text.as_bytes()).expect("it is in the file")
}

#[tokio::test]
async fn a_flipped_byte_in_a_value_is_told_and_the_rest_can_be_read() {
    let dir = closed_log(300, 30).await;
    let at = find(&database(dir.path()), "value-000100");
    flip(&database(dir.path()), at + 3);
    let log = open(dir.path()).await;
    let (before, error) = read(&log, 0).await;
    assert_eq!(before.len(), 100);
    match error {
        Some(LogError::Altered { partition: p, offset, detail }) => {
            assert_eq!((p, offset), (partition(), 100));
            assert!(!detail.contains("value"), "no record in an error: {detail}");
        }
        other => panic!("{other:?}"),
    }
    let (behind, error) = read(&log, 101).await;
    assert_eq!((behind.len(), error.is_none()), (199, true));
}

/// Whatever byte of the database is changed: an error at opening, an error at reading, or the very entries written.
#[tokio::test]
async fn no_changed_byte_of_the_database_goes_unnoticed() {
    let dir = closed_log(600, 20).await;
    let original = fs::read(database(dir.path())).expect("read");
    let watermark = fs::read(dir.path().join("watermark")).expect("read");
    let (mut told_at_open, mut told_at_read) = (0, 0);
    let step = original.len() / 300;
    for at in (0..original.len()).step_by(step).chain(0..100) {
        let mut bytes = original.clone();
        bytes[at] ^= 0x55;
        let copy = tempfile::tempdir().expect("temporary directory");
        fs::write(database(copy.path()), bytes).expect("write");
        fs::write(copy.path().join("watermark"), &watermark).expect("write");
        let log = match EmbeddedLog::open(config(copy.path())) {
            Ok(log) => log,
            Err(_) => {
                told_at_open += 1;
                continue;
            }
        };
        match read(&log, 0).await {
            (_, Some(_)) => told_at_read += 1,
            (all, None) => assert_eq!(all.len(), 600, "byte {at}: entries are gone and nobody said so"),
        }
    }
    assert!(told_at_open > 5 && told_at_read > 100, "{told_at_open} {told_at_read}");
}

#[tokio::test]
async fn a_lost_write_ahead_log_is_told() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    let before = fs::read(dir.path().join("watermark")).expect("read");
    append(&log, 0, 100, 10).await;
    watermark_written(dir.path(), &before).await;
    let copy = crash_copy(dir.path());
    assert_eq!(read(&open(copy.path()).await, 0).await.0.len(), 100, "a crash alone loses nothing");

    let copy = crash_copy(dir.path());
    fs::remove_file(wal(copy.path())).expect("remove");
    let text = damaged(copy.path());
    assert!(text.contains("reached 100") || text.contains("not the one"), "{text}");
}

#[tokio::test]
async fn an_altered_write_ahead_log_is_told_at_every_place() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    append(&log, 0, 30, 10).await;
    let before = fs::read(dir.path().join("watermark")).expect("read");
    append(&log, 30, 30, 10).await;
    watermark_written(dir.path(), &before).await;
    let original = crash_copy(dir.path());
    let length = fs::read(wal(original.path())).expect("read").len();
    for at in (0..length).step_by(length / 60) {
        let copy = crash_copy(original.path());
        flip(&wal(copy.path()), at);
        // The tail of the file may hold frames that a later commit wrote again; then nothing is lost.
        match EmbeddedLog::open(config(copy.path())) {
            Err(OpenError::Damaged { .. }) => {}
            Ok(log) => assert_eq!(read(&log, 0).await.0.len(), 60, "byte {at}"),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_torn_tail_is_dropped_when_nothing_says_it_was_acknowledged() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let log = open(dir.path()).await;
    append(&log, 0, 50, 50).await;
    append(&log, 50, 50, 50).await;
    // Copied before the high-watermark file knows of either.
    let copy = crash_copy(dir.path());
    let length = fs::metadata(wal(copy.path())).expect("length").len();
    fs::OpenOptions::new().write(true).open(wal(copy.path())).expect("open").set_len(length - 10).expect("cut");
    let (found, error) = read(&open(copy.path()).await, 0).await;
    assert_eq!((found.len(), error.is_none()), (50, true));
}

#[tokio::test]
async fn a_cut_database_is_told() {
    let dir = closed_log(500, 50).await;
    let length = fs::metadata(database(dir.path())).expect("length").len();
    for part in [0, 1, length / 3, length / 2, length - 16_384] {
        let copy = tempfile::tempdir().expect("temporary directory");
        fs::copy(database(dir.path()), database(copy.path())).expect("copy");
        fs::copy(dir.path().join("watermark"), copy.path().join("watermark")).expect("copy");
        let file = fs::OpenOptions::new().write(true).open(database(copy.path())).expect("open");
        file.set_len(part).expect("cut");
        damaged(copy.path());
    }
}

#[tokio::test]
async fn a_replaced_or_missing_database_is_told() {
    let dir = closed_log(100, 10).await;
    let older = fs::read(database(dir.path())).expect("read");
    {
        let log = open(dir.path()).await;
        append(&log, 100, 100, 10).await;
        log.close(PATIENCE).await.expect("close");
    }
    let newer = fs::read(database(dir.path())).expect("read");
    fs::write(database(dir.path()), older).expect("write");
    let text = damaged(dir.path());
    assert!(text.contains("t/0 ends at 100, but reached 200"), "{text}");

    let other = closed_log(200, 10).await;
    fs::copy(database(other.path()), database(dir.path())).expect("copy");
    assert!(damaged(dir.path()).contains("not the one"));

    fs::remove_file(database(dir.path())).expect("remove");
    assert!(damaged(dir.path()).contains("missing"));

    fs::write(database(dir.path()), newer).expect("write");
    assert_eq!(read(&open(dir.path()).await, 0).await.0.len(), 200, "put back, all is well");
}

#[tokio::test]
async fn a_missing_or_broken_watermark_file_is_told() {
    let dir = closed_log(10, 10).await;
    let path = dir.path().join("watermark");
    fs::write(&path, "nonsense").expect("write");
    assert!(damaged(dir.path()).contains("cannot be read"));
    fs::remove_file(&path).expect("remove");
    assert!(damaged(dir.path()).contains("missing"));
    let log = EmbeddedLog::open(Config { accept_loss: true, ..config(dir.path()) }).expect("accepted");
    drop(log);
    assert_eq!(read(&open(dir.path()).await, 0).await.0.len(), 10);
}

#[tokio::test]
async fn an_accepted_loss_gives_no_offset_twice_and_stops_no_reader() {
    let dir = closed_log(100, 10).await;
    let older = fs::read(database(dir.path())).expect("read");
    {
        let log = open(dir.path()).await;
        append(&log, 100, 100, 10).await;
        log.close(PATIENCE).await.expect("close");
    }
    fs::write(database(dir.path()), older).expect("write");
    damaged(dir.path());
    drop(EmbeddedLog::open(Config { accept_loss: true, ..config(dir.path()) }).expect("accepted"));

    let log = open(dir.path()).await;
    append(&log, 200, 10, 10).await;
    let (found, error) = read(&log, 0).await;
    let offsets: Vec<_> = found.iter().map(|e| e.offset).collect();
    assert_eq!(offsets, (0..100).chain(200..210).collect::<Vec<_>>());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(read(&log, 150).await.0.len(), 10, "from within the hole");
    assert_eq!(log.offset_at(&partition(), TimestampMs(1_150)).await.expect("seek"), 200);
}

#[tokio::test]
async fn rows_taken_out_are_told() {
    let dir = closed_log(200, 10).await;
    {
        let conn = rusqlite::Connection::open(database(dir.path())).expect("open");
        assert_eq!(conn.execute("DELETE FROM rows WHERE id BETWEEN 95 AND 125", []).expect("delete"), 3);
    }
    let log = open(dir.path()).await;
    let (found, error) = read(&log, 0).await;
    assert_eq!(found.len(), 100);
    assert!(matches!(error, Some(LogError::Altered { offset: 100, .. })), "{error:?}");
    assert_eq!(read(&log, 130).await.0.len(), 70);

    // From the end they are missed at opening.
    log.close(PATIENCE).await.expect("close");
    let conn = rusqlite::Connection::open(database(dir.path())).expect("open");
    conn.execute("DELETE FROM rows WHERE id > 170", []).expect("delete");
    drop(conn);
    assert!(damaged(dir.path()).contains("ends at 180, but reached 200"));
}

//! Measures the embedded engine against a bare SQLite writer of the same bytes.
//!
//! `cargo run --release -p ldop-log --example append_bench -- [seconds per figure] [directory] [batch size]`
//!
//! The bare writer is what a careful first version would be: one thread, WAL, synchronous=FULL, one row per record,
//! one transaction for all that waits. Both get the same records of 1 KiB, from the same writers, in the same way. Every
//! append counted was durable when it was counted.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use ldop_log::{
    AppendFuture, Appended, Cleanup, LogError, MessageLog, NewEntry, Partition, TopicName, TopicSpec,
    embedded::{Config, EmbeddedLog},
};
use ldop_types::TimestampMs;
use tokio::sync::oneshot;

/// The allocator of the hub's binary: fetched rows are large, and the system's gives each back to the kernel.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTITIONS: u32 = 8;
const RECORD: usize = 1_024;
/// Writers, batches each keeps on its way, records in a batch.
const LOADS: [(u32, usize, usize); 5] = [(1, 1, 1), (64, 1, 1), (256, 4, 1), (16, 4, 64), (8, 4, 512)];

fn main() {
    let mut args = std::env::args().skip(1);
    let seconds = args.next().map_or(3.0, |s| s.parse().expect("seconds"));
    let dir = args.next().map(PathBuf::from);
    let only = args.next().map(|s| s.parse().expect("batch size"));
    let scratch = match &dir {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    };
    let scratch = scratch.expect("scratch directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("runtime");
    runtime.block_on(measure(scratch.path(), Duration::from_secs_f64(seconds), only));
}

async fn measure(dir: &Path, time: Duration, only: Option<usize>) {
    println!("1 KiB records, durable; processor time with the writers' own\n");
    println!(
        "{:<32} {:>12} {:>8} {:>14} {:>8} {:>7}",
        "load", "bare rec/s", "us/rec", "embedded rec/s", "us/rec", "ratio"
    );
    for (writers, window, batch) in LOADS.into_iter().filter(|load| only.is_none_or(|only| load.2 == only)) {
        let writer = Arc::new(Bare::open(&dir.join(format!("bare-{writers}-{batch}.sqlite"))));
        let submit = {
            let writer = writer.clone();
            move |partition, batch| writer.append(partition, batch)
        };
        let bare = load(writers, window, batch, time, submit).await;
        drop(writer);

        let log = EmbeddedLog::open(Config::new(dir.join(format!("log-{writers}-{batch}")))).expect("open");
        let partitions = topic(&log).await;
        let mut appenders = Vec::new();
        for partition in &partitions {
            appenders.push(log.appender(partition.clone()).await.expect("appender"));
        }
        let submit = move |partition: u32, batch| appenders[partition as usize].append(batch).expect("taken");
        let measured = load(writers, window, batch, time, submit).await;
        println!(
            "{:<32} {:>12.0} {:>8.2} {:>14.0} {:>8.2} {:>6.2}x   embedded p50 {:?} p99 {:?}",
            format!("{writers} writers x {window} x batch {batch}"),
            bare.rate,
            bare.cost,
            measured.rate,
            measured.cost,
            measured.rate / bare.rate,
            measured.latencies[measured.latencies.len() / 2],
            measured.latencies[measured.latencies.len() * 99 / 100],
        );
        log.close(Duration::from_secs(30)).await.expect("close");
    }
    if only.is_none() {
        reading(dir).await;
        opening(dir).await;
    }
}

async fn topic(log: &Arc<EmbeddedLog>) -> Vec<Partition> {
    let name = TopicName::parse("bench").expect("good name");
    let spec = TopicSpec { name: name.clone(), partitions: PARTITIONS, cleanup: Cleanup::Keep };
    log.ensure_topics(vec![spec]).await.expect("topic");
    (0..PARTITIONS).map(|index| Partition { topic: name.clone(), index }).collect()
}

struct Measured {
    /// Records per second.
    rate: f64,
    /// Microseconds of processor time per record, of the whole process.
    cost: f64,
    /// Of each batch, sorted.
    latencies: Vec<Duration>,
}

/// Processor time of this process so far, in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<_> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("number");
    // utime and stime, in hundredths of a second.
    (ticks(11) + ticks(12)) / 100.0
}

/// Lets writers append for a while.
async fn load(
    writers: u32,
    window: usize,
    batch: usize,
    time: Duration,
    submit: impl Fn(u32, Vec<NewEntry>) -> AppendFuture + Send + Sync + 'static,
) -> Measured {
    let submit = Arc::new(submit);
    let count = Arc::new(AtomicU64::new(0));
    let (started, processor) = (Instant::now(), processor_time());
    let writers = (0..writers).map(|writer| {
        let (submit, count) = (submit.clone(), count.clone());
        tokio::spawn(async move {
            let pool = noise(u64::from(writer) + 1);
            let (mut latencies, mut serial) = (Vec::new(), 0);
            let mut on_their_way = FuturesUnordered::new();
            loop {
                while on_their_way.len() < window && started.elapsed() < time {
                    let records = (0..batch).map(|_| record(&pool, &mut serial)).collect();
                    let (append, at) = (submit(writer % PARTITIONS, records), Instant::now());
                    on_their_way.push(async move {
                        append.await.expect("acknowledged");
                        at.elapsed()
                    });
                }
                let Some(latency) = on_their_way.next().await else { return latencies };
                latencies.push(latency);
                count.fetch_add(batch as u64, Ordering::Relaxed);
            }
        })
    });
    let mut latencies: Vec<_> = join_all(writers).await.into_iter().flat_map(|w| w.expect("writer")).collect();
    let count = count.load(Ordering::Relaxed) as f64;
    let rate = count / started.elapsed().as_secs_f64();
    let cost = (processor_time() - processor) * 1e6 / count;
    latencies.sort_unstable();
    Measured { rate, cost, latencies }
}

/// Bytes that do not compress.
fn noise(seed: u64) -> Bytes {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x as u8
    };
    Bytes::from_iter((0..1 << 20).map(next))
}

fn record(pool: &Bytes, serial: &mut usize) -> NewEntry {
    *serial += 1;
    let at = *serial * 7_919 % (pool.len() - 2 * RECORD);
    NewEntry {
        key: Some(pool.slice(at..at + 16)),
        value: Some(pool.slice(at + 16..at + RECORD)),
        headers: Vec::new(),
        timestamp: TimestampMs::now(),
    }
}

async fn reading(dir: &Path) {
    const BATCHES: usize = 500;
    let config = |cache| Config { tail_cache_bytes: cache, ..Config::new(dir.join("read")) };
    let log = EmbeddedLog::open(config(0)).expect("open");
    let partition = topic(&log).await.remove(0);
    let appender = log.appender(partition.clone()).await.expect("appender");
    let (pool, mut serial) = (noise(1), 0);
    for _ in 0..BATCHES {
        let records = (0..512).map(|_| record(&pool, &mut serial)).collect();
        appender.append(records).expect("taken").await.expect("acknowledged");
    }
    log.close(Duration::from_secs(30)).await.expect("close");
    drop((appender, log));
    for (what, cache) in [("first time", 0), ("again, from SQLite", 0), ("again, from SQLite", 0)] {
        let log = EmbeddedLog::open(config(cache)).expect("open");
        for max_bytes in [64 << 10, 1 << 20, 4 << 20] {
            let rate = read_through(&log, &partition, 0, max_bytes).await;
            println!("fetch {what:<20} {:>5} KiB a time {rate:>8.0} MB/s", max_bytes >> 10);
        }
        log.close(Duration::from_secs(30)).await.expect("close");
    }
    let log = EmbeddedLog::open(config(512 << 20)).expect("open");
    let from = log.watermarks(&partition).await.expect("watermarks").end;
    let appender = log.appender(partition.clone()).await.expect("appender");
    for _ in 0..BATCHES {
        let records = (0..512).map(|_| record(&pool, &mut serial)).collect();
        appender.append(records).expect("taken").await.expect("acknowledged");
    }
    for max_bytes in [64 << 10, 1 << 20] {
        let rate = read_through(&log, &partition, from, max_bytes).await;
        println!("fetch {:<20} {:>5} KiB a time {rate:>8.0} MB/s", "from memory", max_bytes >> 10);
    }
    log.close(Duration::from_secs(30)).await.expect("close");
}

async fn read_through(log: &Arc<EmbeddedLog>, partition: &Partition, from: u64, max_bytes: usize) -> f64 {
    let end = log.watermarks(partition).await.expect("watermarks").end;
    let (started, mut at, mut bytes) = (Instant::now(), from, 0);
    while at < end {
        let fetched = log.fetch(partition, at, max_bytes, Duration::ZERO).await.expect("fetch");
        bytes += fetched.entries.iter().filter_map(|e| e.value.as_ref()).map(Bytes::len).sum::<usize>();
        at = fetched.next;
    }
    bytes as f64 / started.elapsed().as_secs_f64() / 1e6
}

/// A store of many partitions and a million records.
async fn opening(dir: &Path) {
    const TOPICS: usize = 1_000;
    const RECORDS: usize = 1_000_000;
    let config = Config::new(dir.join("open"));
    let log = EmbeddedLog::open(config.clone()).expect("open");
    let names: Vec<_> = (0..TOPICS).map(|i| TopicName::parse(&format!("topic-{i}")).expect("good name")).collect();
    let spec = |name: &TopicName| TopicSpec { name: name.clone(), partitions: 4, cleanup: Cleanup::Compact };
    let started = Instant::now();
    log.ensure_topics(names.iter().map(spec).collect()).await.expect("topics");
    println!("\n{TOPICS} topics of 4 partitions made in {:?}", started.elapsed());
    let started = Instant::now();
    let mut appenders = Vec::new();
    for name in &names {
        for index in 0..4 {
            appenders.push(log.appender(Partition { topic: name.clone(), index }).await.expect("appender"));
        }
    }
    println!("{} appenders opened in {:?}", appenders.len(), started.elapsed());
    let (pool, mut serial, per_partition) = (noise(1), 0, RECORDS / TOPICS / 4);
    let mut on_their_way = FuturesUnordered::new();
    for _ in 0..10 {
        for appender in &appenders {
            let mut records: Vec<_> = (0..per_partition / 10).map(|_| record(&pool, &mut serial)).collect();
            records.iter_mut().for_each(|r| r.value = r.value.as_ref().map(|v| v.slice(..100)));
            on_their_way.push(appender.append(records).expect("taken"));
            if on_their_way.len() == 1_000 {
                on_their_way.next().await.expect("one").expect("acknowledged");
            }
        }
    }
    while let Some(appended) = on_their_way.next().await {
        appended.expect("acknowledged");
    }
    // As a crash would leave it, with a write-ahead log to recover, and as closing leaves it.
    let crashed = dir.join("crashed");
    std::fs::create_dir(&crashed).expect("directory");
    for name in ["log.sqlite", "log.sqlite-wal", "watermark"] {
        std::fs::copy(config.dir.join(name), crashed.join(name)).expect("copy");
    }
    log.close(Duration::from_secs(30)).await.expect("close");
    drop((log, appenders));
    for (what, dir) in [("after closing", &config.dir), ("after a crash", &crashed)] {
        let started = Instant::now();
        let log = EmbeddedLog::open(Config::new(dir)).expect("open");
        println!("{RECORDS} records in {} partitions opened {what} in {:?}", TOPICS * 4, started.elapsed());
        log.close(Duration::from_secs(30)).await.expect("close");
    }
}

/// Partition, records, and where to tell that they are durable.
type BareBatch = (u32, Vec<NewEntry>, oneshot::Sender<()>);

/// The bare writer.
struct Bare {
    queue: Option<mpsc::SyncSender<BareBatch>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Bare {
    fn open(path: &Path) -> Self {
        let conn = rusqlite::Connection::open(path).expect("open");
        conn.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
             CREATE TABLE log(id INTEGER PRIMARY KEY, time INTEGER, key BLOB, value BLOB)",
        )
        .expect("schema");
        let (queue, waiting) = mpsc::sync_channel::<BareBatch>(1_024);
        let thread = std::thread::spawn(move || {
            let mut insert = conn.prepare("INSERT INTO log VALUES(?1,?2,?3,?4)").expect("prepare");
            let mut ends = [0_i64; PARTITIONS as usize];
            while let Ok(first) = waiting.recv() {
                let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(1_023)).collect();
                conn.execute_batch("BEGIN IMMEDIATE").expect("begin");
                for (partition, batch, _) in &group {
                    let end = &mut ends[*partition as usize];
                    for e in batch {
                        let id = i64::from(*partition) << 44 | *end;
                        insert.execute((id, e.timestamp.0, e.key.as_deref(), e.value.as_deref())).expect("insert");
                        *end += 1;
                    }
                }
                conn.execute_batch("COMMIT").expect("commit");
                for (_, _, done) in group {
                    let _ = done.send(());
                }
            }
        });
        Self { queue: Some(queue), thread: Some(thread) }
    }

    fn append(&self, partition: u32, batch: Vec<NewEntry>) -> AppendFuture {
        let (done, answer) = oneshot::channel();
        self.queue.as_ref().expect("open").send((partition, batch, done)).expect("taken");
        Box::pin(async move {
            answer.await.map_err(|_| LogError::Closed)?;
            Ok(Appended { offsets: Vec::new() })
        })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! The contract suite: what every engine of the `MessageLog` port is held to.
//!
//! An engine's test file implements [`Harness`] and calls [`contract_suite!`], which makes one test of each case.
//! The cases know the port and nothing else: offsets may have gaps, cleanup comes when it comes.

#![allow(dead_code, reason = "each engine's test file uses its part")]

pub mod cleanup;
pub mod read;
pub mod topics;
pub mod trouble;
pub mod write;

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_log::{
    Appended, Appender, Cleanup, Entry, LogError, MessageLog, NewEntry, Offset, Partition, TopicName, TopicSpec,
};
use ldop_types::TimestampMs;

/// An engine under test, with nothing in it but what the case puts there.
#[allow(async_fn_in_trait, reason = "never used as a trait object")]
pub trait Harness: Sized + Send + Sync + 'static {
    /// A fresh one.
    async fn new() -> Self;

    /// A topic name no other case uses.
    fn topic(&self, name: &str) -> TopicName;

    /// Opens the log, with cleanup (retention, compaction) as quick as the engine can.
    async fn open(&self) -> Arc<dyn MessageLog>;

    /// Ends the log, gently or not, and opens it again.
    async fn reopen(&self, log: Arc<dyn MessageLog>) -> Arc<dyn MessageLog>;

    /// Makes the log unable to take appends.
    async fn take_away(&self);

    /// Lets it take appends again.
    async fn bring_back(&self);

    /// The bound within which every call answers, also while the log is away.
    fn call_bound(&self) -> Duration;

    /// How long a case waits for something that must come, cleanup above all.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// Makes one test of each case.
macro_rules! contract_suite {
    ($harness:ty) => {
        contract_suite!(@cases $harness;
            write: acknowledged_is_durable, order_holds_between_concurrent_appenders, pipelined_batches_keep_their_order,
                a_batch_with_one_too_large_entry_is_refused_whole, a_batch_without_a_key_on_a_compacted_topic_is_refused_whole,
                an_empty_batch_is_acknowledged, a_dropped_append_is_not_lost, a_large_batch_is_one_batch;
            read: values_keys_headers_and_times_come_back_as_given, resume_by_offset, seek_by_time, a_fetch_keeps_to_its_size,
                a_fetch_waits_at_the_end_and_wakes, out_of_range_is_told, readers_are_independent,
                a_vanished_reader_costs_nothing;
            topics: unknown_partitions_are_told, ensuring_topics_is_idempotent, a_topic_that_differs_is_told,
                an_empty_partition, topics_and_positions_survive;
            cleanup: retention_moves_the_start, compaction_keeps_the_latest_of_each_key;
            trouble: away_and_back, closing;
        );
    };
    (@cases $harness:ty; $($module:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                contract::run(contract::$module::$case::<$harness>).await;
            }
        )+)+
    };
}

/// Runs a case on a fresh harness, under a deadline.
pub async fn run<H: Harness, F: AsyncFnOnce(&H)>(case: F) {
    let limit = Duration::from_secs(300);
    let harness = H::new().await;
    assert!(tokio::time::timeout(limit, case(&harness)).await.is_ok(), "the case did not end within {limit:?}");
}

/// An entry of now.
pub fn entry(key: impl Into<String>, value: impl Into<String>) -> NewEntry {
    NewEntry {
        key: Some(Bytes::from(key.into())),
        value: Some(Bytes::from(value.into())),
        headers: Vec::new(),
        timestamp: TimestampMs::now(),
    }
}

/// Makes a topic and returns its first partition.
pub async fn partition(h: &impl Harness, log: &Arc<dyn MessageLog>, name: &str, cleanup: Cleanup) -> Partition {
    let spec = TopicSpec { name: h.topic(name), partitions: 1, cleanup };
    log.ensure_topics(vec![spec.clone()]).await.expect("make the topic");
    Partition { topic: spec.name, index: 0 }
}

/// Opens an appender.
pub async fn appender(log: &Arc<dyn MessageLog>, partition: &Partition) -> Arc<dyn Appender> {
    log.appender(partition.clone()).await.expect("open an appender")
}

/// Appends one batch and waits for it.
pub async fn append(log: &Arc<dyn MessageLog>, partition: &Partition, batch: Vec<NewEntry>) -> Vec<Offset> {
    let count = batch.len();
    let Appended { offsets } =
        appender(log, partition).await.append(batch).expect("taken").await.expect("acknowledged");
    assert_eq!(offsets.len(), count, "one offset for each entry");
    assert!(offsets.is_sorted_by(|a, b| a < b), "offsets grow: {offsets:?}");
    offsets
}

/// Everything from `from` to the end as of now, in fetches of `max_bytes`.
pub async fn read_from(log: &Arc<dyn MessageLog>, partition: &Partition, from: Offset, max_bytes: usize) -> Vec<Entry> {
    let end = log.watermarks(partition).await.expect("watermarks").end;
    let (mut at, mut all) = (from, Vec::<Entry>::new());
    while at < end {
        let fetched = log.fetch(partition, at, max_bytes, Duration::from_secs(5)).await.expect("fetch");
        assert!(fetched.next > at, "a fetch below the end moves on: {} from {at}", fetched.next);
        assert!(fetched.next <= fetched.end);
        for entry in &fetched.entries {
            assert!(entry.offset >= at && entry.offset < fetched.next, "{} of {at}..{}", entry.offset, fetched.next);
            assert!(all.last().is_none_or(|last| last.offset < entry.offset), "offsets grow");
            all.push(entry.clone());
        }
        at = fetched.next;
    }
    all
}

/// Everything a partition holds.
pub async fn read_all(log: &Arc<dyn MessageLog>, partition: &Partition) -> Vec<Entry> {
    let start = log.watermarks(partition).await.expect("watermarks").start;
    read_from(log, partition, start, 1 << 20).await
}

/// The value as text; "-" for a tombstone.
pub fn value(entry: &Entry) -> String {
    text(entry.value.as_ref())
}

/// The key as text; "-" for none.
pub fn key(entry: &Entry) -> String {
    text(entry.key.as_ref())
}

fn text(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
}

/// Polls until `check` brings something; fails after `patience` with the last state it told.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(
    patience: Duration,
    mut check: impl FnMut() -> F,
) -> T {
    let started = std::time::Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        match check().await {
            Ok(found) => return found,
            Err(state) => assert!(started.elapsed() < patience, "not within {patience:?}: {state}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Whether an error says that the log cannot be had, or the outcome not known.
pub fn is_trouble(error: &LogError) -> bool {
    matches!(error, LogError::Unavailable { .. } | LogError::Unknown { .. })
}

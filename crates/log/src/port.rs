//! The port: what the hub asks of a log, and what a log promises.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_types::TimestampMs;

/// Position of an entry in a partition. Offsets grow, and may have gaps: never compute `next = last + n`.
pub type Offset = u64;

/// Name of a topic: 1-249 chars of [a-zA-Z0-9._-], as Kafka has it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// Anything but 1-249 chars of [a-zA-Z0-9._-], and "." and "..".
    pub fn parse(name: &str) -> Result<Self, ldop_types::IdError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || name.len() > 249 || name == "." || name == ".." || !name.bytes().all(fits) {
            return Err(ldop_types::IdError { kind: "topic name", expected: "1-249 chars of [a-zA-Z0-9._-]" });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: TopicName,
    /// Index from 0.
    pub index: u32,
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What becomes of old entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Kept for ever.
    Keep,
    /// Deleted once older than this; by whole segments, so entries may stay longer.
    Delete {
        /// Age.
        retention: Duration,
    },
    /// The latest entry of each key is kept; older ones may go. Entries without a key are refused.
    Compact,
    /// As [`Compact`](Self::Compact), and what is outdated goes within minutes of the next append: nobody may read it any more.
    CompactSoon,
}

impl Cleanup {
    /// Whether the latest entry of each key is what stays.
    #[must_use]
    pub fn is_compact(self) -> bool {
        matches!(self, Self::Compact | Self::CompactSoon)
    }
}

/// A topic to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// Number of partitions, 1-1,024. Fixed.
    pub partitions: u32,
    /// What becomes of old entries.
    pub cleanup: Cleanup,
}

/// An entry to append. `Debug` shows no key and no value: they may be personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Key; entries of compacted topics need one.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone, not an empty value.
    pub value: Option<Bytes>,
    /// Headers in order; a name may stand twice.
    pub headers: Vec<(&'static str, Bytes)>,
    /// Time of the entry, milliseconds since 1970. Engines keep it as given (Kafka: CreateTime).
    pub timestamp: TimestampMs,
}

impl NewEntry {
    /// Bytes counted against the size limit: key, value, header names and values.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// An entry of the log. `Debug` shows no key and no value: they may be personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its position.
    pub offset: Offset,
    /// Key.
    pub key: Option<Bytes>,
    /// Value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order.
    pub headers: Vec<(Arc<str>, Bytes)>,
    /// Time of the entry.
    pub timestamp: TimestampMs,
}

impl Entry {
    /// The last header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().rev().find(|(n, _)| &**n == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for NewEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (headers, bytes) = (self.headers.len(), self.size());
        write!(f, "NewEntry({headers} headers, {bytes} bytes, at {})", self.timestamp.0)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |part: &Option<Bytes>| part.as_ref().map(Bytes::len);
        f.debug_struct("Entry")
            .field("offset", &self.offset)
            .field("key_bytes", &bytes(&self.key))
            .field("value_bytes", &bytes(&self.value))
            .field("headers", &self.headers.len())
            .field("timestamp", &self.timestamp.0)
            .finish()
    }
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// Lowest offset that may be read; `end` when nothing is held. Compaction leaves it where it is.
    pub start: Offset,
    /// Offset the next entry will have at least. Everything below is durable.
    pub end: Offset,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Entries in order of offset, all at or above the offset asked for.
    pub entries: Vec<Entry>,
    /// Where to go on. At least the offset asked for; may lie beyond the last entry (gaps).
    pub next: Offset,
    /// End of the partition as of this fetch.
    pub end: Offset,
}

/// Acknowledgement of an appended batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// One offset for each entry, in order, growing.
    pub offsets: Vec<Offset>,
}

/// Resolves once the batch is durable, or has failed. Dropping it detaches the waiter; the entries stay on their way.
pub type AppendFuture = Pin<Box<dyn Future<Output = Result<Appended, LogError>> + Send + 'static>>;

/// A future borrowed from the log.
pub type LogFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// Why a log operation failed. `Display` speaks for the operation; hosts and paths are in the text, for our log only.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Nothing of the batch was or will be written. A retry helps when room or the log is back.
    #[error("the log is not available: {detail}")]
    Unavailable {
        /// Cause, for our log.
        detail: String,
    },
    /// The batch may or may not have been written. Read back to know.
    #[error("append outcome unknown: {detail}")]
    Unknown {
        /// Cause, for our log.
        detail: String,
    },
    /// More is on its way than the engine may hold. Nothing of the batch was taken. Retry soon.
    #[error("too much in flight")]
    Full,
    /// An earlier append of this appender failed; nothing of this batch was taken. Open a new appender.
    #[error("the appender has failed")]
    AppenderFailed,
    /// An entry is over the limit. Nothing of the batch was taken.
    #[error("entry of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A compacted topic was given an entry without a key. Nothing of the batch was taken.
    #[error("entry without a key on a compacted topic")]
    KeyRequired,
    /// There is no such topic or partition.
    #[error("unknown partition {partition}")]
    UnknownPartition {
        /// Which.
        partition: Partition,
    },
    /// The topic exists with another number of partitions or another cleanup.
    #[error("topic {topic} exists otherwise: {detail}")]
    TopicDiffers {
        /// Which.
        topic: TopicName,
        /// How.
        detail: String,
    },
    /// The offset lies below the start or above the end.
    #[error("offset {offset} of {partition} lies outside {start}..={end}")]
    OutOfRange {
        /// Which partition.
        partition: Partition,
        /// The offset asked for.
        offset: Offset,
        /// Start.
        start: Offset,
        /// End.
        end: Offset,
    },
    /// What was read is not what was written.
    #[error("entry {offset} of {partition} was altered: {detail}")]
    Altered {
        /// Which partition.
        partition: Partition,
        /// Which entry.
        offset: Offset,
        /// How.
        detail: String,
    },
    /// The engine is closed or was handed to another process.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Unknown { .. } | Self::Full | Self::AppenderFailed | Self::Closed => true,
            Self::TooLarge { .. }
            | Self::KeyRequired
            | Self::UnknownPartition { .. }
            | Self::TopicDiffers { .. }
            | Self::OutOfRange { .. }
            | Self::Altered { .. } => false,
        }
    }
}

/// What engine this is and what its acknowledgement means; shown at start and in status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `embedded` or `kafka`.
    pub name: &'static str,
    /// In words, such as "fsync on one disk, no replication".
    pub durability: String,
}

/// Writes one partition in order, and stops at the first failure.
///
/// Within one appender, batches become durable in the order of the calls. Once a batch has failed, every batch
/// submitted later through the same appender fails with [`LogError::AppenderFailed`] and is not written, so no entry
/// ever overtakes one that failed. (Kafka: a batch already handed to the client when the failure is seen may have been
/// written; it resolves to [`LogError::Unknown`].) Open a new appender to go on.
pub trait Appender: Send + Sync {
    /// Takes a batch, all of it or nothing, without waiting; the order of calls is the order on the log.
    ///
    /// # Errors
    ///
    /// At once, with nothing taken: [`Full`](LogError::Full), [`AppenderFailed`](LogError::AppenderFailed),
    /// [`TooLarge`](LogError::TooLarge), [`KeyRequired`](LogError::KeyRequired), [`Closed`](LogError::Closed).
    /// Through the future: [`Unavailable`](LogError::Unavailable) (nothing was or will be written),
    /// [`Unknown`](LogError::Unknown). While a Kafka cluster is away the future stays pending and the entries on their
    /// way; the caller sets its own deadline and drops the future.
    fn append(&self, batch: Vec<NewEntry>) -> Result<AppendFuture, LogError>;
}

/// A durable, ordered, partitioned log.
///
/// Promises, alike for both engines:
/// - An append is acknowledged only when it is durable (embedded: fsync; Kafka: acks=all).
/// - Entries of one partition are read in the order they were acknowledged, with growing offsets.
/// - What was acknowledged is never lost or changed but by the topic's cleanup; a changed entry is told
///   ([`LogError::Altered`]), never returned.
/// - No call waits without bound: reads fail with `Unavailable` after the engine's request timeout.
/// - Readers are independent: a slow one costs the others nothing.
pub trait MessageLog: Send + Sync + 'static {
    /// What engine this is.
    fn info(&self) -> EngineInfo;

    /// Largest entry accepted, by [`NewEntry::size`].
    fn max_entry_bytes(&self) -> usize;

    /// Makes sure topics exist as given; many at once are cheap. Existing ones stay as they are.
    ///
    /// # Errors
    ///
    /// [`TopicDiffers`](LogError::TopicDiffers), [`Unavailable`](LogError::Unavailable).
    fn ensure_topics(&self, specs: Vec<TopicSpec>) -> LogFuture<'_, ()>;

    /// Opens an appender. Several may be open on one partition; order between them is the engine's.
    ///
    /// # Errors
    ///
    /// [`UnknownPartition`](LogError::UnknownPartition), [`Unavailable`](LogError::Unavailable).
    fn appender(&self, partition: Partition) -> LogFuture<'_, Arc<dyn Appender>>;

    /// Reads entries from `offset` on: at least one when there is one, then as many as fit in `max_bytes`. At the end
    /// of the partition it waits up to `wait` for more and then returns none.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`](LogError::OutOfRange), [`Altered`](LogError::Altered),
    /// [`UnknownPartition`](LogError::UnknownPartition), [`Unavailable`](LogError::Unavailable).
    fn fetch(&self, partition: &Partition, offset: Offset, max_bytes: usize, wait: Duration) -> LogFuture<'_, Fetched>;

    /// Where the partition begins and ends.
    ///
    /// # Errors
    ///
    /// [`UnknownPartition`](LogError::UnknownPartition), [`Unavailable`](LogError::Unavailable).
    fn watermarks(&self, partition: &Partition) -> LogFuture<'_, Watermarks>;

    /// Offset of the first entry whose timestamp is at or after `time`; the end when there is none.
    ///
    /// # Errors
    ///
    /// As [`watermarks`](Self::watermarks).
    fn offset_at(&self, partition: &Partition, time: TimestampMs) -> LogFuture<'_, Offset>;

    /// Finishes what is on its way, up to `deadline`, and closes. Later calls fail with [`LogError::Closed`].
    ///
    /// # Errors
    ///
    /// [`Unknown`](LogError::Unknown) when something was still on its way.
    fn close(&self, deadline: Duration) -> LogFuture<'_, ()>;
}

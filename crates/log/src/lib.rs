//! The durable, ordered log everything stands on: one port, [`MessageLog`], and two engines behind it.
//!
//! Nothing above this crate can tell which engine it runs on. Both are held to the same contract suite
//! (`tests/contract`).
//!
//! - [`port`]: topics, entries, positions, errors and the trait with its promises.
//! - [`embedded`]: SQLite in a folder, group commit; needs nothing installed.
//! - [`kafka`]: an Apache Kafka cluster through librdkafka.
//!
//! What it deliberately does not do: it knows no dataset, epoch or agreement. Who may write a partition is decided in
//! band by the entries themselves (`exchange`), not by the engine.

#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod port;

pub use port::{
    AppendFuture, Appended, Appender, Cleanup, EngineInfo, Entry, Fetched, LogError, MessageLog, NewEntry, Offset,
    Partition, TopicName, TopicSpec, Watermarks,
};

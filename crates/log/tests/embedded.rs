//! The embedded engine is held to the contract: as it is, with gaps between offsets, and with nothing kept in memory.

#![cfg(feature = "embedded")]

#[macro_use]
mod contract;

use std::{path::PathBuf, sync::Arc, time::Duration};

use ldop_log::{
    MessageLog, TopicName,
    embedded::{Compaction, Config, EmbeddedLog},
};
use parking_lot::Mutex;
use tempfile::TempDir;

/// An embedded log in a directory of its own. `GAP` offsets are left out after each entry; `CACHE` bytes are kept in
/// memory.
struct Embedded<const GAP: u32, const CACHE: usize> {
    dir: TempDir,
    /// Another writer, which keeps the engine from writing.
    blocker: Mutex<Option<rusqlite::Connection>>,
}

impl<const GAP: u32, const CACHE: usize> Embedded<GAP, CACHE> {
    fn path(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl<const GAP: u32, const CACHE: usize> contract::Harness for Embedded<GAP, CACHE> {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("temporary directory"), blocker: Mutex::new(None) }
    }

    fn topic(&self, name: &str) -> TopicName {
        TopicName::parse(name).expect("good name")
    }

    async fn open(&self) -> Arc<dyn MessageLog> {
        let at_once = Compaction { min_age: Duration::ZERO, tombstone_age: Duration::ZERO, max_delay: Duration::ZERO };
        EmbeddedLog::open(Config {
            request_timeout: Duration::from_secs(2),
            upkeep_interval: Duration::from_millis(50),
            compaction: at_once,
            offset_gap: GAP,
            tail_cache_bytes: CACHE,
            ..Config::new(self.path())
        })
        .expect("open")
    }

    async fn reopen(&self, log: Arc<dyn MessageLog>) -> Arc<dyn MessageLog> {
        log.close(Duration::from_secs(30)).await.expect("close");
        drop(log);
        self.open().await
    }

    async fn take_away(&self) {
        let blocker = rusqlite::Connection::open(self.path().join("log.sqlite")).expect("open");
        blocker.busy_timeout(Duration::from_secs(10)).expect("timeout");
        blocker.execute_batch("BEGIN IMMEDIATE").expect("take the write lock");
        *self.blocker.lock() = Some(blocker);
    }

    async fn bring_back(&self) {
        *self.blocker.lock() = None;
    }

    fn call_bound(&self) -> Duration {
        Duration::from_secs(10)
    }
}

mod plain {
    use super::*;
    contract_suite!(Embedded<0, { 64 << 20 }>);
}

mod gaps {
    use super::*;
    contract_suite!(Embedded<2, { 64 << 20 }>);
}

mod from_disk {
    use super::*;
    contract_suite!(Embedded<1, 0>);
}

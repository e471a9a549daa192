//! Configuration of the embedded engine, and why it may refuse to open.

use std::{io, path::PathBuf, time::Duration};

/// How an embedded log is kept. [`Config::new`] gives the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory. Made when missing; one process at a time; not on a network file system.
    pub dir: PathBuf,
    /// Bytes the database may take; 0 for no bound. Appends beyond fail with `Unavailable` until cleanup made room. The
    /// write-ahead log beside it takes up to about 64 MiB more. Default 0.
    pub max_bytes: u64,
    /// Bytes of the disk that are kept free: below, appends fail with `Unavailable`, so that cleanup still has room to
    /// work in. 0 to use the disk up. Default 64 MiB.
    pub min_free_bytes: u64,
    /// Largest entry, by [`NewEntry::size`](crate::NewEntry::size); at most 64 MiB. Default 1 MiB + 64 KiB: a value of
    /// 1 MiB with its key and headers.
    pub max_entry_bytes: usize,
    /// Bytes of batches on their way to the disk; beyond, appends fail with `Full`. Default 64 MiB.
    pub in_flight_bytes: usize,
    /// Bytes of the latest entries kept in memory, of all partitions together. Default 64 MiB.
    pub tail_cache_bytes: usize,
    /// Threads (and connections) that read what is not in memory, 1-64. Default 4.
    pub readers: usize,
    /// Longest time a read waits for its turn and the disk. Default 10 s.
    pub request_timeout: Duration,
    /// Time between two rounds of retention and compaction. Default 30 s.
    pub upkeep_interval: Duration,
    /// How compacted topics are cleaned up.
    pub compaction: Compaction,
    /// Opens although the log ends below its high-watermark file or shows damage: for an operator who looked at what is
    /// lost and decided to go on without. Default false.
    pub accept_loss: bool,
    /// Offsets left out after each entry, at most 1,000. For tests: nobody may count on dense offsets. Default 0.
    pub offset_gap: u32,
}

/// How compacted topics are cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    /// Entries younger than this are left alone. Default 7 days: within it a caller may ask again what became of an
    /// exchange.
    pub min_age: Duration,
    /// A tombstone stays at least this long after it was written, so that readers who lag behind learn of it. Default
    /// 14 days.
    pub tombstone_age: Duration,
    /// An outdated entry stays at most about this long beyond `min_age`, however few there are. Default 24 h.
    pub max_delay: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Compaction {
    fn default() -> Self {
        Self { min_age: DAY * 7, tombstone_age: DAY * 14, max_delay: DAY }
    }
}

impl Config {
    /// The defaults, in a directory.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            max_bytes: 0,
            min_free_bytes: 64 << 20,
            max_entry_bytes: (1 << 20) + (64 << 10),
            in_flight_bytes: 64 << 20,
            tail_cache_bytes: 64 << 20,
            readers: 4,
            request_timeout: Duration::from_secs(10),
            upkeep_interval: Duration::from_secs(30),
            compaction: Compaction::default(),
            accept_loss: false,
            offset_gap: 0,
        }
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let bad = |key, expected| Err(OpenError::Config { key, expected });
        if !(1..=64 << 20).contains(&self.max_entry_bytes) {
            return bad("max_entry_bytes", "1 byte to 64 MiB");
        }
        if self.in_flight_bytes == 0 {
            return bad("in_flight_bytes", "at least 1 byte");
        }
        if !(1..=64).contains(&self.readers) {
            return bad("readers", "1 to 64");
        }
        if self.request_timeout.is_zero() {
            return bad("request_timeout", "more than 0");
        }
        if self.upkeep_interval.is_zero() {
            return bad("upkeep_interval", "more than 0");
        }
        if self.offset_gap > 1_000 {
            return bad("offset_gap", "0 to 1,000");
        }
        if (1..1 << 20).contains(&self.max_bytes) {
            return bad("max_bytes", "0, or at least 1 MiB");
        }
        Ok(())
    }
}

/// Why an embedded log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A configuration value is out of range.
    #[error("configuration of the embedded log: {key} must be {expected}")]
    Config {
        /// Field of [`Config`].
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The data directory cannot be used.
    #[error("use data directory {}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the data directory.
    #[error("data directory {} is in use{}", dir.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The other process, if it left its id.
        holder: Option<u32>,
    },
    /// The data directory lies on a network file system, where locks and fsync may not hold.
    #[error("data directory {} lies on a network file system ({kind})", dir.display())]
    NetworkFileSystem {
        /// The directory.
        dir: PathBuf,
        /// Such as `nfs4`.
        kind: String,
    },
    /// SQLite could not open the database.
    #[error("open {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The store was written by a newer release.
    #[error("{} has format {found}; this release knows {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The format of this release.
        known: i64,
    },
    /// Something acknowledged is no longer there, or not as it was written. Put the files back from a copy, or, having
    /// decided to do without, open once with [`Config::accept_loss`].
    #[error("the log in {} was altered or cut: {detail}", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What was found.
        detail: String,
    },
}

impl OpenError {
    /// Whether opening can succeed later without anyone changing something.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InUse { .. } | Self::Directory { .. } | Self::Database { .. } => true,
            Self::Config { .. } | Self::NetworkFileSystem { .. } | Self::Newer { .. } | Self::Damaged { .. } => false,
        }
    }
}

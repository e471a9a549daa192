//! The keys of all records, on the log: branches of the tree of `cipher::tree`, each sealed with the hub's secret, in the topic
//! `_ldop.keys`, which is compacted within minutes. To forget the key of a record writes the branches along its path anew; what stood
//! there before is then gone from the log too.
//!
//! There is one writer, the node that writes everything. Should the outcome of a write not be known, nothing is encrypted until it is.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ldop_log::{Cleanup, Entry, LogError, MessageLog, NewEntry, Partition, TopicName, TopicSpec};
use ldop_types::{Reason, TimestampMs};
use parking_lot::{Mutex, RwLock};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tracing::{error, warn};

use super::tree::{Branch, Leaf, Path, Prefix, Seed, Tree};
use crate::secret::Secret;

const READ_BYTES: usize = 1 << 20;
/// Leaves that are kept: what was published is read soon, and by many.
const KEPT: usize = 16_384;
/// Key of entries that hold nothing: they end what stands before them.
const NOTHING: &str = "nothing";
/// First byte of the branches that a hub begins with, and of those written later.
const FIRST: u8 = 1;
const LATER: u8 = 2;

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The log.
    #[error("log")]
    Log(#[from] LogError),
    /// An entry was altered, or sealed with another secret.
    #[error("entry {offset} of _ldop.keys was altered, or sealed with another secret than the node's")]
    Unreadable {
        /// Its offset.
        offset: u64,
    },
    /// The log took longer than the deadline.
    #[error("_ldop.keys did not answer within {0:?}")]
    TimedOut(Duration),
}

/// A leaf that was made, each in the one place that its path has.
type Kept = Box<[Mutex<Option<(Path, Leaf)>>]>;

/// The keys of all records.
pub struct Keys {
    log: Arc<dyn MessageLog>,
    seal: LessSafeKey,
    deadline: Duration,
    tree: RwLock<Tree>,
    /// Written to while the tree is read, and emptied while it is changed: what was forgotten is not kept here.
    kept: Kept,
    /// Set while it is not known what the log holds.
    in_doubt: AtomicBool,
    changing: tokio::sync::Mutex<()>,
}

fn partition() -> Partition {
    Partition { topic: TopicName::parse("_ldop.keys").expect("a constant name fits"), index: 0 }
}

impl Keys {
    /// Reads the keys; makes them where there are none.
    ///
    /// # Errors
    ///
    /// See [`KeysError`].
    pub async fn open(log: Arc<dyn MessageLog>, secret: &Secret, deadline: Duration) -> Result<Self, KeysError> {
        let topic = TopicSpec { name: partition().topic, partitions: 1, cleanup: Cleanup::CompactSoon };
        log.ensure_topics(vec![topic]).await?;
        let key = UnboundKey::new(&AES_256_GCM, &secret.key("keys", "")).expect("a key of this length");
        let (seal, tree) = (LessSafeKey::new(key), RwLock::default());
        let (in_doubt, changing) = (AtomicBool::new(false), tokio::sync::Mutex::default());
        let kept = (0..KEPT).map(|_| Mutex::default()).collect();
        let keys = Self { log, seal, deadline, tree, kept, in_doubt, changing };
        let mut tree = keys.read().await?;
        if tree.is_empty() {
            keys.write(vec![keys.entry(FIRST, Prefix::ROOT, &Branch::random())]).await?;
            // Another node may have been first.
            tree = keys.read().await?;
        }
        keys.know(tree);
        Ok(keys)
    }

    /// The key of a record key.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`] while it is not known; [`Reason::Internal`] where a branch is missing.
    pub(super) fn leaf(&self, path: &Path) -> Result<Leaf, Reason> {
        if self.in_doubt.load(Ordering::Acquire) {
            return Err(Reason::LogUnavailable);
        }
        let tree = self.tree.read();
        let mut kept = self.kept[place(path)].lock();
        if let Some((known, leaf)) = &*kept
            && known == path
        {
            return Ok(*leaf);
        }
        let leaf = tree.leaf(path).ok_or(Reason::Internal)?;
        *kept = Some((*path, leaf));
        Ok(leaf)
    }

    /// From now on this is the tree.
    fn know(&self, known: Tree) {
        let mut tree = self.tree.write();
        *tree = known;
        self.kept.iter().for_each(|kept| *kept.lock() = None);
    }

    /// Forgets the key of a record key, durably. What was encrypted with it cannot be read any more, and what comes later is
    /// encrypted with another.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::OutcomeUnknown`]: to be done again. [`Reason::Internal`].
    pub(super) async fn forget(&self, path: &Path) -> Result<(), Reason> {
        let _changing = self.changing.lock().await;
        if self.in_doubt.load(Ordering::Acquire) {
            self.settle().await?;
        }
        let fresh: Seed = rand::random();
        let changed = self.tree.read().forget(path, fresh).ok_or(Reason::Internal)?;
        let entries = changed.iter().map(|(prefix, branch)| self.entry(LATER, *prefix, branch)).collect();
        self.in_doubt.store(true, Ordering::Release);
        if let Err(error) = self.write(entries).await {
            warn!(%error, "key of a record not forgotten; nothing is encrypted until it is known what the log holds");
            self.settle().await?;
            return Err(Reason::LogUnavailable);
        }
        let mut tree = self.tree.write();
        changed.into_iter().for_each(|(prefix, branch)| tree.put(prefix, branch));
        *self.kept[place(path)].lock() = None;
        drop(tree);
        self.in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    /// Appends what holds nothing: segments of the log end with an append, and only those that have ended are compacted.
    pub(crate) async fn nudge(&self) {
        let _changing = self.changing.lock().await;
        if let Err(error) = self.write(vec![nothing()]).await {
            warn!(%error, "forgotten keys may stay on the log until the next is forgotten");
        }
    }

    /// Finds out what the log holds, behind an entry of its own.
    async fn settle(&self) -> Result<(), Reason> {
        let settled = match self.write(vec![nothing()]).await {
            Ok(()) => self.read().await,
            Err(error) => Err(error),
        };
        let tree = settled.map_err(|error| {
            warn!(%error, "keys not read");
            Reason::OutcomeUnknown
        })?;
        self.know(tree);
        self.in_doubt.store(false, Ordering::Release);
        Ok(())
    }

    async fn write(&self, entries: Vec<NewEntry>) -> Result<(), KeysError> {
        let appender = self.log.appender(partition()).await?;
        let appended = tokio::time::timeout(self.deadline, appender.append(entries)?).await;
        appended.map_err(|_| KeysError::TimedOut(self.deadline))??;
        Ok(())
    }

    async fn read(&self) -> Result<Tree, KeysError> {
        let partition = partition();
        let mut tree = Tree::default();
        let ends = self.log.watermarks(&partition).await?;
        let mut next = ends.start;
        while next < ends.end {
            let fetched = self.log.fetch(&partition, next, READ_BYTES, Duration::ZERO).await?;
            for entry in fetched.entries.iter().filter(|entry| entry.key.as_deref() != Some(NOTHING.as_bytes())) {
                let Some((kind, prefix, branch)) = self.open_entry(entry) else {
                    error!(offset = entry.offset, "key on the log cannot be read");
                    return Err(KeysError::Unreadable { offset: entry.offset });
                };
                // Of two nodes that began at once the first counts.
                if kind != FIRST || tree.is_empty() {
                    tree.put(prefix, branch);
                }
            }
            if fetched.next <= next {
                return Err(LogError::Unavailable { detail: "no progress".into() }.into());
            }
            next = fetched.next;
        }
        Ok(tree)
    }

    fn entry(&self, kind: u8, prefix: Prefix, branch: &Branch) -> NewEntry {
        let key = prefix.to_text();
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = nonce.to_vec();
        let mut text = vec![kind];
        text.extend(branch.to_bytes());
        let aad = Aad::from(key.as_bytes());
        let done = self.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text);
        done.expect("a branch is shorter than AES-GCM allows");
        sealed.extend(text);
        NewEntry {
            key: Some(Bytes::from(key)),
            value: Some(Bytes::from(sealed)),
            headers: Vec::new(),
            timestamp: TimestampMs::now(),
        }
    }

    fn open_entry(&self, entry: &Entry) -> Option<(u8, Prefix, Branch)> {
        let (key, value) = (entry.key.as_deref()?, entry.value.as_deref()?);
        let (nonce, sealed) = value.split_first_chunk::<NONCE_LEN>()?;
        let mut text = sealed.to_vec();
        let opened = self.seal.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(key), &mut text).ok()?;
        let (kind, branch) = opened.split_first()?;
        Some((*kind, Prefix::parse(std::str::from_utf8(key).ok()?)?, Branch::parse(branch)?))
    }
}

fn place(path: &Path) -> usize {
    usize::from(u16::from_be_bytes([path[4], path[5]])) % KEPT
}

fn nothing() -> NewEntry {
    NewEntry {
        key: Some(Bytes::from_static(NOTHING.as_bytes())),
        value: Some(Bytes::from_static(b"{}")),
        headers: Vec::new(),
        timestamp: TimestampMs::now(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;

    use ldop_log::embedded::{self, EmbeddedLog};

    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    fn log(dir: &FilePath) -> Arc<dyn MessageLog> {
        let mut config = embedded::Config::new(dir.join("log"));
        (config.offset_gap, config.upkeep_interval) = (2, Duration::from_millis(20));
        EmbeddedLog::open(config).expect("open log")
    }

    fn secret(dir: &FilePath) -> Secret {
        Secret::open(&dir.join("hub-secret")).expect("made")
    }

    /// Entries of the topic, one for each key once it is compacted.
    async fn entries(log: &Arc<dyn MessageLog>) -> Vec<Entry> {
        let fetched = log.fetch(&partition(), 0, 64 << 20, Duration::ZERO).await.expect("read");
        fetched.entries
    }

    #[tokio::test]
    async fn what_is_forgotten_stays_so_over_restarts_and_goes_from_the_log() {
        let dir = tempfile::tempdir().expect("folder");
        let (first, other) = ([1; 6], [1, 1, 1, 1, 1, 2]);
        let log = log(dir.path());
        let keys = Keys::open(Arc::clone(&log), &secret(dir.path()), SOON).await.expect("opens");
        let (before, kept) = (keys.leaf(&first).expect("a leaf"), keys.leaf(&other).expect("a leaf"));
        let old = entries(&log).await.remove(0).value.expect("a branch");
        for generation in 1..=2 {
            keys.forget(&first).await.expect("forgotten");
            let leaf = keys.leaf(&first).expect("a leaf");
            assert!(leaf.generation == generation && leaf.seed != before.seed);
            assert!(keys.leaf(&other) == Ok(kept));
        }
        let after = keys.leaf(&first);
        drop(keys);
        let keys = Keys::open(Arc::clone(&log), &secret(dir.path()), SOON).await.expect("opens");
        assert!(keys.leaf(&first) == after && keys.leaf(&other) == Ok(kept));

        keys.nudge().await;
        for _ in 0..1_000 {
            let left = entries(&log).await;
            if left.iter().all(|entry| entry.value.as_ref() != Some(&old)) {
                let distinct: std::collections::HashSet<_> = left.iter().map(|entry| entry.key.clone()).collect();
                assert_eq!(distinct.len(), 13, "a branch for each level, and nothing");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the seeds of before are still there");
    }

    #[tokio::test]
    async fn another_secret_opens_nothing_and_the_first_seeds_count() {
        let dir = tempfile::tempdir().expect("folder");
        let log = log(dir.path());
        let keys = Keys::open(Arc::clone(&log), &secret(dir.path()), SOON).await.expect("opens");
        // As of a node that found nothing there at the same time.
        keys.write(vec![keys.entry(FIRST, Prefix::ROOT, &Branch::random())]).await.expect("written");
        let again = Keys::open(Arc::clone(&log), &secret(dir.path()), SOON).await.expect("opens");
        assert!(again.leaf(&[3; 6]) == keys.leaf(&[3; 6]));
        let elsewhere = tempfile::tempdir().expect("folder");
        let other = Keys::open(log, &secret(elsewhere.path()), SOON).await;
        assert!(matches!(other, Err(KeysError::Unreadable { .. })));
    }
}

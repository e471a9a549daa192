//! How records of datasets with personal data stand on the log, so that reading a topic with another tool yields nothing.
//!
//! - The payload is encrypted with AES-256-GCM; the nonce is the first 12 bytes of the record's salt, which is random for each
//!   record. There is a key for each record key ([`keys`]), so that what is known of one person can be made unreadable for good,
//!   wherever copies of the log may be, by forgetting that key.
//! - A deletion tells its record key, encrypted with a key of the topic that is never forgotten: consumers must hear of it.
//! - The record key on the log is the first 16 bytes of its HMAC-SHA-256 under a key of the topic. It never changes, so that
//!   records of one key stay in one partition, one behind the other.
//!
//! What is derived is derived from the hub's [secret](crate::secret), what is random is sealed with it: whoever loses it loses the
//! records. What stands beside a record - its id, times, versions and the key on the log - is authenticated with it: a payload that was
//! moved to another place does not open.

pub mod keys;
mod tree;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use ldop_log::{Entry, TopicName};
use ldop_types::Reason;
use parking_lot::Mutex;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

use self::keys::Keys;
use crate::{
    header::{self, RecordMeta},
    secret::Secret,
};

/// What stands for a record key on the log.
pub type HashedKey = [u8; 16];
/// Bytes that are authenticated beside what is encrypted, before the key on the log.
const BESIDE: usize = 16 + 3 * 8 + 3 * 4 + 1;

/// The ciphers of all topics.
pub struct Ciphers {
    secret: Secret,
    keys: Arc<Keys>,
    topics: Mutex<HashMap<TopicName, Arc<Cipher>>>,
}

impl Ciphers {
    /// Ciphers with keys of the secret, and those of records.
    #[must_use]
    pub fn new(secret: Secret, keys: Arc<Keys>) -> Self {
        Self { secret, keys, topics: Mutex::default() }
    }

    /// The cipher of a topic.
    #[must_use]
    pub fn of(&self, topic: &TopicName) -> Arc<Cipher> {
        let mut topics = self.topics.lock();
        if let Some(known) = topics.get(topic) {
            return Arc::clone(known);
        }
        let key = |label| self.secret.key(label, topic.as_str());
        let made = Arc::new(Cipher {
            names: hmac::Key::new(hmac::HMAC_SHA256, &key("record key")),
            paths: hmac::Key::new(hmac::HMAC_SHA256, &key("record key path")),
            deletions: aead(&key("deletion")),
            keys: Arc::clone(&self.keys),
        });
        topics.insert(topic.clone(), Arc::clone(&made));
        made
    }

    /// Ends segments of the log that hold keys which were forgotten.
    pub(crate) async fn nudge(&self) {
        self.keys.nudge().await;
    }
}

/// Encrypts the records of one topic.
pub struct Cipher {
    names: hmac::Key,
    paths: hmac::Key,
    deletions: LessSafeKey,
    keys: Arc<Keys>,
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'t> {
    /// Its payload, without a frame, or of a deletion its key.
    Text(&'t [u8]),
    /// The key it was encrypted with was forgotten.
    Erased,
    /// It was altered, or encrypted under another secret.
    Altered,
    /// The key is not known just now.
    Unknown,
}

impl<'t> Said<'t> {
    /// The text, where it can be had.
    #[must_use]
    pub fn text(self) -> Option<&'t [u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Erased | Self::Altered | Self::Unknown => None,
        }
    }
}

impl Cipher {
    /// What stands for a record key on the log.
    #[must_use]
    pub fn hash(&self, record_key: &[u8]) -> HashedKey {
        first(hmac::sign(&self.names, record_key))
    }

    /// Encrypts the payload of a record, or of a deletion its key, for its place behind `key`. Tells in `meta` under which
    /// generation of its key.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`] while keys are not known.
    pub fn seal(&self, meta: &mut RecordMeta, key: &[u8], text: &[u8]) -> Result<Bytes, Reason> {
        let made;
        let cipher = if meta.is_deletion {
            &self.deletions
        } else {
            let leaf = self.keys.leaf(&self.path(key))?;
            meta.key_generation = leaf.generation;
            made = aead(&leaf.seed);
            &made
        };
        let mut sealed = Vec::with_capacity(text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(text);
        let aad = Aad::from(beside(meta, key));
        let tag = cipher.seal_in_place_separate_tag(nonce(meta), aad, &mut sealed);
        sealed.extend_from_slice(tag.expect("a record is shorter than AES-GCM allows").as_ref());
        Ok(Bytes::from(sealed))
    }

    /// What a record says. `room` is written to where something has to be decrypted.
    pub fn read<'t>(&self, meta: &RecordMeta, entry: &'t Entry, room: &'t mut Vec<u8>) -> Said<'t> {
        room.clear();
        if meta.is_deletion {
            let Some(key) = header::deleted_key(entry) else { return Said::Altered };
            room.extend_from_slice(&key);
            return if meta.is_sealed { open(&self.deletions, meta, entry, room) } else { Said::Text(room) };
        }
        let Some(value) = entry.value.as_ref().and_then(|value| meta.payload(value)) else { return Said::Altered };
        if !meta.is_sealed {
            return Said::Text(value);
        }
        match self.keys.leaf(&self.path(entry.key.as_deref().unwrap_or_default())) {
            Ok(leaf) if leaf.generation > meta.key_generation => Said::Erased,
            Ok(leaf) => {
                room.extend_from_slice(value);
                open(&aead(&leaf.seed), meta, entry, room)
            }
            Err(_) => Said::Unknown,
        }
    }

    /// Forgets the key of what stands behind a key on the log, for good.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::OutcomeUnknown`]: to be done again. [`Reason::Internal`].
    pub async fn forget(&self, key: &[u8]) -> Result<(), Reason> {
        self.keys.forget(&self.path(key)).await
    }

    fn path(&self, key: &[u8]) -> tree::Path {
        first(hmac::sign(&self.paths, key))
    }
}

fn first<const N: usize>(tag: hmac::Tag) -> [u8; N] {
    tag.as_ref()[..N].try_into().expect("at most 32 bytes")
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of this length"))
}

fn open<'t>(cipher: &LessSafeKey, meta: &RecordMeta, entry: &Entry, sealed: &'t mut [u8]) -> Said<'t> {
    let aad = Aad::from(beside(meta, entry.key.as_deref().unwrap_or_default()));
    match cipher.open_in_place(nonce(meta), aad, sealed) {
        Ok(text) => Said::Text(text),
        Err(_) => Said::Altered,
    }
}

fn nonce(meta: &RecordMeta) -> Nonce {
    let nonce: [u8; NONCE_LEN] = meta.salt[..NONCE_LEN].try_into().expect("12 of 16 bytes");
    Nonce::assume_unique_for_key(nonce)
}

/// What is authenticated beside a payload. The epoch is not: it is given when the record is handed over.
fn beside(meta: &RecordMeta, key: &[u8]) -> Vec<u8> {
    let mut beside = Vec::with_capacity(BESIDE + key.len());
    beside.extend_from_slice(meta.exchange_id.as_bytes());
    beside.extend_from_slice(&meta.scope.0.to_be_bytes());
    beside.extend_from_slice(&meta.event_time.0.to_be_bytes());
    beside.extend_from_slice(&meta.accepted_time.0.to_be_bytes());
    beside.extend_from_slice(&meta.schema_version.to_be_bytes());
    beside.extend_from_slice(&meta.dataset_version.to_be_bytes());
    beside.extend_from_slice(&meta.key_generation.to_be_bytes());
    beside.push(u8::from(meta.is_deletion));
    beside.extend_from_slice(key);
    beside
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ldop_log::embedded::{self, EmbeddedLog};
    use ldop_types::{DatasetName, ExchangeId, Stage, SystemId, TimestampMs};

    use super::*;
    use crate::header::{Attributes, Content, Scope};

    async fn ciphers() -> (tempfile::TempDir, Ciphers) {
        let dir = tempfile::tempdir().expect("folder");
        let secret = Secret::open(&dir.path().join("hub-secret")).expect("made");
        let log = EmbeddedLog::open(embedded::Config::new(dir.path().join("log"))).expect("open log");
        let keys = Keys::open(log, &secret, Duration::from_secs(30)).await.expect("made");
        (dir, Ciphers::new(secret, Arc::new(keys)))
    }

    fn topic(stage: Stage) -> TopicName {
        header::dataset_topic(stage, &DatasetName::parse("births").expect("name"))
    }

    fn meta(is_deletion: bool) -> RecordMeta {
        RecordMeta {
            epoch: 0,
            exchange_id: ExchangeId::new(),
            scope: Scope(7),
            salt: rand::random(),
            event_time: TimestampMs(1),
            accepted_time: TimestampMs::now(),
            schema_version: 1,
            dataset_version: 1,
            framed: false,
            is_deletion,
            is_sealed: true,
            key_generation: 0,
        }
    }

    fn entry(meta: &RecordMeta, key: &[u8], content: Content) -> Entry {
        let system = SystemId::parse("a/b").expect("id");
        let attributes = Attributes::new(&system, Stage::Live, &DatasetName::parse("births").expect("name"));
        let new = attributes.entry(meta, Bytes::copy_from_slice(key), content);
        let headers = new.headers.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
        Entry { offset: 3, key: new.key, value: new.value, headers, timestamp: new.timestamp }
    }

    #[tokio::test]
    async fn what_is_sealed_opens_in_its_place_and_in_no_other() {
        let (_dir, all) = ciphers().await;
        let (_other, others) = ciphers().await;
        let cipher = all.of(&topic(Stage::Live));
        let mut room = Vec::new();
        for is_deletion in [false, true] {
            let mut meta = meta(is_deletion);
            let text = b"{\"full_name\":\"canary\"}";
            let sealed = cipher.seal(&mut meta, b"key", text).expect("known");
            assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
            let content = |sealed: Bytes| if is_deletion { Content::Deletion(sealed) } else { Content::Value(sealed) };
            let good = entry(&meta, b"key", content(sealed.clone()));
            assert_eq!(cipher.read(&meta, &good, &mut room), Said::Text(text));
            // Another topic, another secret, another key, another time, another id, another generation, a flipped bit, cut short.
            assert_eq!(all.of(&topic(Stage::Testing)).read(&meta, &good, &mut room), Said::Altered);
            assert_eq!(others.of(&topic(Stage::Live)).read(&meta, &good, &mut room), Said::Altered);
            let moved = entry(&meta, b"other", content(sealed.clone()));
            assert_eq!(cipher.read(&meta, &moved, &mut room), Said::Altered);
            let later = RecordMeta { accepted_time: TimestampMs(meta.accepted_time.0 + 1), ..meta };
            assert_eq!(cipher.read(&later, &good, &mut room), Said::Altered);
            let id = RecordMeta { exchange_id: ExchangeId::new(), ..meta };
            assert_eq!(cipher.read(&id, &good, &mut room), Said::Altered);
            let generation = RecordMeta { key_generation: 1, ..meta };
            assert_eq!(cipher.read(&generation, &good, &mut room), Said::Altered);
            let mut flipped = sealed.to_vec();
            flipped[0] ^= 1;
            let flipped = entry(&meta, b"key", content(flipped.into()));
            assert_eq!(cipher.read(&meta, &flipped, &mut room), Said::Altered);
            let cut = entry(&meta, b"key", content(sealed.slice(..4)));
            assert_eq!(cipher.read(&meta, &cut, &mut room), Said::Altered);
        }
    }

    #[tokio::test]
    async fn what_is_forgotten_is_erased_and_what_comes_after_is_read() {
        let (_dir, all) = ciphers().await;
        let cipher = all.of(&topic(Stage::Live));
        let mut room = Vec::new();
        let sealed = |key: &[u8], mut meta: RecordMeta| {
            let content = cipher.seal(&mut meta, key, b"{}").expect("known");
            let content = if meta.is_deletion { Content::Deletion(content) } else { Content::Value(content) };
            (meta, entry(&meta, key, content))
        };
        let (gone, other, deletion) = (sealed(b"a", meta(false)), sealed(b"b", meta(false)), sealed(b"a", meta(true)));
        cipher.forget(b"a").await.expect("forgotten");
        let after = sealed(b"a", meta(false));
        assert_eq!(after.0.key_generation, 1);
        assert_eq!(cipher.read(&gone.0, &gone.1, &mut room), Said::Erased);
        for (meta, entry) in [&other, &deletion, &after] {
            assert_eq!(cipher.read(meta, entry, &mut room), Said::Text(b"{}"));
        }
        // Nobody who claims another generation reads it.
        let claimed = RecordMeta { key_generation: 1, ..gone.0 };
        assert_eq!(cipher.read(&claimed, &gone.1, &mut room), Said::Altered);
        cipher.forget(b"a").await.expect("forgotten");
        assert_eq!(cipher.read(&after.0, &after.1, &mut room), Said::Erased);
    }

    #[tokio::test]
    async fn what_is_not_sealed_is_read_as_it_stands() {
        let (_dir, all) = ciphers().await;
        let cipher = all.of(&topic(Stage::Live));
        let mut room = Vec::new();
        let plain = RecordMeta { is_sealed: false, ..meta(false) };
        let read = entry(&plain, b"key", Content::Value(Bytes::from_static(b"{}")));
        assert_eq!(cipher.read(&plain, &read, &mut room), Said::Text(b"{}"));
        let deletion = RecordMeta { is_sealed: false, ..meta(true) };
        let read = entry(&deletion, b"key", Content::Deletion(Bytes::from_static(b"{\"id\":1}")));
        assert_eq!(cipher.read(&deletion, &read, &mut room), Said::Text(b"{\"id\":1}"));
        let without = Entry { value: None, ..entry(&plain, b"key", Content::Value(Bytes::from_static(b"{}"))) };
        assert_eq!(cipher.read(&plain, &without, &mut room), Said::Altered);
    }

    #[tokio::test]
    async fn keys_are_the_same_for_a_topic_and_no_other() {
        let (_dir, all) = ciphers().await;
        let live = all.of(&topic(Stage::Live));
        assert_eq!(live.hash(b"a"), all.of(&topic(Stage::Live)).hash(b"a"));
        assert_ne!(live.hash(b"a"), live.hash(b"b"));
        assert_ne!(live.hash(b"a"), all.of(&topic(Stage::Testing)).hash(b"a"));
        assert!(live.path(b"a") != all.of(&topic(Stage::Testing)).path(b"a"));
    }
}

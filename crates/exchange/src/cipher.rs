//! How records of datasets with personal data stand on the log, so that reading a topic with another tool yields nothing.
//!
//! - The payload, or of a deletion its key, is encrypted with AES-256-GCM. There is a key for each topic and month of
//!   acceptance, in Việt Nam's time; the nonce is the first 12 bytes of the record's salt, which is random for each record.
//! - The record key on the log is the first 16 bytes of its HMAC-SHA-256 under a key of the topic. It never changes, so that
//!   records of one key stay in one partition, one behind the other.
//!
//! All keys are derived from the hub's [secret](crate::secret): whoever loses that loses the records. What stands beside a
//! record - its id, times, versions and the key on the log - is authenticated with it: a payload that was moved to another
//! place does not open.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use ldop_log::{Entry, TopicName};
use ldop_types::{Date, TimestampMs};
use parking_lot::{Mutex, RwLock};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};

use crate::{
    header::{self, RecordMeta},
    secret::Secret,
};

/// What stands for a record key on the log.
pub type HashedKey = [u8; 16];
/// Bytes that are authenticated beside what is encrypted, before the key on the log.
const BESIDE: usize = 16 + 3 * 8 + 2 * 4 + 1;

/// The ciphers of all topics.
pub struct Ciphers {
    secret: Secret,
    topics: Mutex<HashMap<TopicName, Arc<Cipher>>>,
}

impl Ciphers {
    /// Ciphers with keys of the secret.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { secret, topics: Mutex::default() }
    }

    /// The cipher of a topic.
    #[must_use]
    pub fn of(&self, topic: &TopicName) -> Arc<Cipher> {
        let mut topics = self.topics.lock();
        if let Some(known) = topics.get(topic) {
            return Arc::clone(known);
        }
        let names = hmac::Key::new(hmac::HMAC_SHA256, &self.secret.key("record key", topic.as_str()));
        let (secret, months) = (self.secret.clone(), RwLock::default());
        let made = Arc::new(Cipher { topic: topic.clone(), secret, names, months });
        topics.insert(topic.clone(), Arc::clone(&made));
        made
    }
}

/// Encrypts the records of one topic.
pub struct Cipher {
    topic: TopicName,
    secret: Secret,
    names: hmac::Key,
    /// The keys that were used, the last one at the end.
    months: RwLock<Vec<Month>>,
}

#[derive(Clone)]
struct Month {
    /// Its first moment, and the first that is not in it.
    from: TimestampMs,
    until: TimestampMs,
    key: Arc<LessSafeKey>,
}

impl Cipher {
    /// What stands for a record key on the log.
    #[must_use]
    pub fn hash(&self, record_key: &[u8]) -> HashedKey {
        let tag = hmac::sign(&self.names, record_key);
        tag.as_ref()[..size_of::<HashedKey>()].try_into().expect("16 of 32 bytes")
    }

    /// Encrypts the payload of a record, or of a deletion its key, for its place behind `key`.
    #[must_use]
    pub fn seal(&self, meta: &RecordMeta, key: &[u8], text: &[u8]) -> Bytes {
        let mut sealed = Vec::with_capacity(text.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(text);
        let aad = Aad::from(beside(meta, key));
        let tag = self.key_of(meta.accepted_time).seal_in_place_separate_tag(nonce(meta), aad, &mut sealed);
        let tag = tag.expect("a record is shorter than AES-GCM allows");
        sealed.extend_from_slice(tag.as_ref());
        Bytes::from(sealed)
    }

    /// What a record says: its payload, without a frame, or of a deletion its key. None where it was altered, or encrypted
    /// under another secret. `room` is written to where something has to be decrypted.
    #[must_use]
    pub fn text<'a>(&self, meta: &RecordMeta, entry: &'a Entry, room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        if !meta.is_sealed && !meta.is_deletion {
            return meta.payload(entry.value.as_ref()?);
        }
        room.clear();
        match &entry.value {
            _ if meta.is_deletion => room.extend_from_slice(&header::deleted_key(entry)?),
            Some(value) => room.extend_from_slice(meta.payload(value)?),
            None => return None,
        }
        if !meta.is_sealed {
            return Some(room);
        }
        let aad = Aad::from(beside(meta, entry.key.as_deref().unwrap_or_default()));
        let opened = self.key_of(meta.accepted_time).open_in_place(nonce(meta), aad, room);
        opened.ok().map(|text| &*text)
    }

    fn key_of(&self, time: TimestampMs) -> Arc<LessSafeKey> {
        let of = |months: &[Month]| {
            let found = months.iter().rev().find(|month| month.from <= time && time < month.until);
            found.map(|month| Arc::clone(&month.key))
        };
        if let Some(known) = of(&self.months.read()) {
            return known;
        }
        let mut months = self.months.write();
        // Somebody else may have been faster.
        if let Some(known) = of(&months) {
            return known;
        }
        let month = self.month(time);
        months.push(month.clone());
        months.sort_by_key(|month| month.from);
        month.key
    }

    fn month(&self, time: TimestampMs) -> Month {
        let today = time.date_in_vietnam();
        let (year, month, day) = today.ymd();
        let first = Date(today.0 - (day - 1));
        // At most 31 days on, always in the month after.
        let (_, _, over) = Date(first.0 + 31).ymd();
        let name = format!("{} {year:04}-{month:02}", self.topic);
        let key = UnboundKey::new(&AES_256_GCM, &self.secret.key("record", &name)).expect("a key of this length");
        let until = Date(first.0 + 31 - (over - 1));
        let key = Arc::new(LessSafeKey::new(key));
        Month { from: first.start_in_vietnam(), until: until.start_in_vietnam(), key }
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
    beside.push(u8::from(meta.is_deletion));
    beside.extend_from_slice(key);
    beside
}

#[cfg(test)]
mod tests {
    use ldop_types::{DatasetName, ExchangeId, Stage, SystemId};

    use super::*;
    use crate::header::{Attributes, Content, Scope};

    fn ciphers() -> Ciphers {
        let dir = tempfile::tempdir().expect("folder");
        Ciphers::new(Secret::open(&dir.path().join("hub-secret")).expect("made"))
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
        }
    }

    fn entry(meta: &RecordMeta, key: &[u8], content: Content) -> Entry {
        let system = SystemId::parse("a/b").expect("id");
        let attributes = Attributes::new(&system, Stage::Live, &DatasetName::parse("births").expect("name"));
        let new = attributes.entry(meta, Bytes::copy_from_slice(key), content);
        let headers = new.headers.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
        Entry { offset: 3, key: new.key, value: new.value, headers, timestamp: new.timestamp }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_in_no_other() {
        let all = ciphers();
        let cipher = all.of(&topic(Stage::Live));
        let mut room = Vec::new();
        for is_deletion in [false, true] {
            let meta = meta(is_deletion);
            let text = b"{\"full_name\":\"canary\"}";
            let sealed = cipher.seal(&meta, b"key", text);
            assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
            let content = |sealed: Bytes| if is_deletion { Content::Deletion(sealed) } else { Content::Value(sealed) };
            let good = entry(&meta, b"key", content(sealed.clone()));
            assert_eq!(cipher.text(&meta, &good, &mut room), Some(&text[..]));
            // Another key, another topic, another secret, another time, another kind, a flipped bit, cut short.
            assert_eq!(cipher.text(&meta, &entry(&meta, b"other", content(sealed.clone())), &mut room), None);
            assert_eq!(all.of(&topic(Stage::Testing)).text(&meta, &good, &mut room), None);
            assert_eq!(ciphers().of(&topic(Stage::Live)).text(&meta, &good, &mut room), None);
            let later = RecordMeta { accepted_time: TimestampMs(meta.accepted_time.0 + 1), ..meta };
            assert_eq!(cipher.text(&later, &good, &mut room), None);
            let id = RecordMeta { exchange_id: ExchangeId::new(), ..meta };
            assert_eq!(cipher.text(&id, &good, &mut room), None);
            let mut flipped = sealed.to_vec();
            flipped[0] ^= 1;
            assert_eq!(cipher.text(&meta, &entry(&meta, b"key", content(flipped.into())), &mut room), None);
            assert_eq!(cipher.text(&meta, &entry(&meta, b"key", content(sealed.slice(..4))), &mut room), None);
        }
    }

    #[test]
    fn what_is_not_sealed_is_read_as_it_stands() {
        let cipher = ciphers().of(&topic(Stage::Live));
        let mut room = Vec::new();
        let plain = RecordMeta { is_sealed: false, ..meta(false) };
        let read = entry(&plain, b"key", Content::Value(Bytes::from_static(b"{}")));
        assert_eq!(cipher.text(&plain, &read, &mut room), Some(&b"{}"[..]));
        let deletion = RecordMeta { is_sealed: false, ..meta(true) };
        let read = entry(&deletion, b"key", Content::Deletion(Bytes::from_static(b"{\"id\":1}")));
        assert_eq!(cipher.text(&deletion, &read, &mut room), Some(&b"{\"id\":1}"[..]));
        let without = Entry { value: None, ..entry(&plain, b"key", Content::Value(Bytes::from_static(b"{}"))) };
        assert_eq!(cipher.text(&plain, &without, &mut room), None);
    }

    #[test]
    fn keys_are_the_same_for_a_topic_and_no_other() {
        let ciphers = ciphers();
        let live = ciphers.of(&topic(Stage::Live));
        assert_eq!(live.hash(b"a"), ciphers.of(&topic(Stage::Live)).hash(b"a"));
        assert_ne!(live.hash(b"a"), live.hash(b"b"));
        assert_ne!(live.hash(b"a"), ciphers.of(&topic(Stage::Testing)).hash(b"a"));
    }

    #[test]
    fn a_month_has_one_key_from_its_first_moment_to_before_the_next() {
        let cipher = ciphers().of(&topic(Stage::Live));
        for (year, month, next) in
            [(2026, 1, (2026, 2)), (2026, 2, (2026, 3)), (2028, 2, (2028, 3)), (2026, 12, (2027, 1))]
        {
            let first = Date::from_ymd(year, month, 1).expect("a day").start_in_vietnam();
            let after = Date::from_ymd(next.0, next.1, 1).expect("a day").start_in_vietnam();
            for inside in [first, TimestampMs(after.0 - 1)] {
                let found = cipher.month(inside);
                assert_eq!((found.from, found.until), (first, after));
                assert!(Arc::ptr_eq(&cipher.key_of(first), &cipher.key_of(inside)));
            }
            assert!(!Arc::ptr_eq(&cipher.key_of(first), &cipher.key_of(after)));
            assert!(!Arc::ptr_eq(&cipher.key_of(first), &cipher.key_of(TimestampMs(first.0 - 1))));
        }
        assert_eq!(cipher.months.read().len(), 10, "each once, with those beside");
    }
}

//! What travels beside a record on a dataset topic: the packed `ldop` header and the CloudEvents attributes.

use bytes::Bytes;
use ldop_contract::record::v1::{RecordHeader, RecordKind};
use ldop_log::{Entry, NewEntry};
use ldop_types::{DatasetName, ExchangeId, Stage, SystemId, TimestampMs};
use prost::Message as _;
use sha2::{Digest, Sha256};

use crate::frame;

/// Flag of deletions.
const DELETION: u32 = 2;
/// Flag of records that are encrypted.
const SEALED: u32 = 4;
/// Flag of records that stand behind a frame.
const FRAMED: u32 = 8;
/// Name of the packed header.
pub const LDOP_HEADER: &str = "ldop";
/// CloudEvents 1.0.2, Kafka protocol binding 3.2: attributes of the binary content mode.
const CE_SPECVERSION: &str = "ce_specversion";
/// Name of the header that holds the exchange id, as text.
pub const CE_ID: &str = "ce_id";
const CE_SOURCE: &str = "ce_source";
/// What stands before the system in it.
const SOURCE_BEFORE: &str = "/agency/";
const CE_TYPE: &str = "ce_type";

/// 16 random bytes that live and die with a record.
pub type Salt = [u8; 16];
/// SHA-256(salt || payload).
pub type Commitment = [u8; 32];

/// The commitment to a payload.
#[must_use]
pub fn commit(salt: &Salt, payload: &[u8]) -> Commitment {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(payload);
    hash.finalize().into()
}

/// Within which an exchange id is unique: one system's records of one dataset in one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub u64);

impl Scope {
    /// First 8 bytes of SHA-256(system NUL stage NUL dataset), big endian.
    #[must_use]
    pub fn of(system: &SystemId, stage: Stage, dataset: &DatasetName) -> Self {
        let mut hash = Sha256::new();
        hash.update(system.as_str());
        hash.update([0]);
        hash.update(stage.as_str());
        hash.update([0]);
        hash.update(dataset.as_str());
        let digest: [u8; 32] = hash.finalize().into();
        Self(u64::from_be_bytes(digest[..8].try_into().expect("8 of 32 bytes")))
    }

    /// Of what the hub itself writes: as of a system without a name.
    #[must_use]
    pub fn of_hub(stage: Stage, dataset: &DatasetName) -> Self {
        let digest = Sha256::digest(format!("\0{stage}\0{dataset}"));
        Self(u64::from_be_bytes(digest[..8].try_into().expect("8 of 32 bytes")))
    }
}

/// What the hub knows of an accepted record beside its key and payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMeta {
    /// Writer's epoch.
    pub epoch: u64,
    /// Exchange id.
    pub exchange_id: ExchangeId,
    /// Scope of the exchange id.
    pub scope: Scope,
    /// Salt.
    pub salt: Salt,
    /// When the stated fact came about.
    pub event_time: TimestampMs,
    /// When the hub accepted it.
    pub accepted_time: TimestampMs,
    /// Schema version it was checked against.
    pub schema_version: u32,
    /// Version of the dataset definition in force.
    pub dataset_version: u32,
    /// Whether a [frame] stands before the payload.
    pub framed: bool,
    /// Whether it says that what has its key is no more; its entry has no value.
    pub is_deletion: bool,
    /// Whether the payload, or of a deletion the key, is [encrypted](crate::cipher).
    pub is_sealed: bool,
    /// Generation of the key it is encrypted with; records of earlier ones than the present are erased.
    pub key_generation: u32,
}

impl RecordMeta {
    /// The payload within the value of the record's entry, encrypted if it is; none where the frame that should stand before
    /// it does not.
    #[must_use]
    pub fn payload<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        if self.framed { frame::behind(value) } else { Some(value) }
    }
}

/// An entry of a dataset topic, told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// A record.
    Record(RecordMeta),
    /// A writer takes over.
    Marker {
        /// Its epoch.
        epoch: u64,
        /// Its node id.
        writer: [u8; 16],
    },
}

/// The entry does not carry a header the hub can read: not written by a hub, or by a newer one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry carries no readable ldop header: {0}")]
pub struct StampError(&'static str);

/// What a record says, as it stands on the log.
#[derive(Clone)]
pub enum Content {
    /// The value of its entry: the payload, behind its frame if it has one, or encrypted.
    Value(Bytes),
    /// The key of a deletion, a JSON object, or that encrypted. It stands in the header.
    Deletion(Bytes),
}

/// Static headers of one provider's records, made once for a publish session.
#[derive(Debug, Clone)]
pub struct Attributes {
    source: Bytes,
    kind: Bytes,
}

impl Attributes {
    /// CloudEvents source and type of a system's records of a dataset.
    #[must_use]
    pub fn new(system: &SystemId, stage: Stage, dataset: &DatasetName) -> Self {
        Self {
            source: Bytes::from(format!("{SOURCE_BEFORE}{system}")),
            kind: Bytes::from(format!("ldop.{stage}.{dataset}.record")),
        }
    }

    /// CloudEvents source and type of what the hub itself writes.
    #[must_use]
    pub fn of_hub(stage: Stage, dataset: &DatasetName) -> Self {
        let kind = Bytes::from(format!("ldop.{stage}.{dataset}.record"));
        Self { source: Bytes::from_static(b"/ldop"), kind }
    }

    /// The entries to append for some records, each with its key and what it says. One allocation holds the headers that are
    /// the records' own.
    pub fn entries<'a>(
        &self,
        records: impl ExactSizeIterator<Item = (&'a RecordMeta, Bytes, Content)>,
    ) -> Vec<NewEntry> {
        let mut own = Vec::with_capacity(records.len() * (UUID_TEXT + RECORD_HEADER_ROOM));
        let mut ends = Vec::with_capacity(records.len());
        let mut entries = Vec::with_capacity(records.len());
        for (meta, key, content) in records {
            let start = own.len();
            own.resize(start + UUID_TEXT, 0);
            meta.exchange_id.write_text((&mut own[start..]).try_into().expect("a UUID's text has this length"));
            let (value, deleted) = match content {
                Content::Value(value) => (Some(value), Bytes::new()),
                Content::Deletion(key) => (None, key),
            };
            encode_record_header(meta, &deleted, &mut own);
            ends.push(own.len());
            entries.push(NewEntry {
                key: Some(key),
                value,
                headers: Vec::with_capacity(5),
                timestamp: meta.accepted_time,
            });
        }
        let own = Bytes::from(own);
        let mut start = 0;
        for (entry, end) in entries.iter_mut().zip(ends) {
            entry.headers.extend([
                (CE_SPECVERSION, Bytes::from_static(b"1.0")),
                (CE_ID, own.slice(start..start + UUID_TEXT)),
                (CE_SOURCE, self.source.clone()),
                (CE_TYPE, self.kind.clone()),
                (LDOP_HEADER, own.slice(start + UUID_TEXT..end)),
            ]);
            start = end;
        }
        entries
    }

    /// The entry to append for one record.
    #[must_use]
    pub fn entry(&self, meta: &RecordMeta, key: Bytes, content: Content) -> NewEntry {
        let mut entries = self.entries(std::iter::once((meta, key, content)));
        entries.pop().expect("an entry for each record")
    }
}

/// Length of a UUID's hyphenated text.
const UUID_TEXT: usize = 36;
/// Room for an encoded record header: the salt, and at most 8 varints or fixed numbers.
const RECORD_HEADER_ROOM: usize = 108;

/// Writes what `RecordHeader { kind: RECORD, .. }.encode` would, without making its byte field first; a test holds the
/// two together.
fn encode_record_header(meta: &RecordMeta, deleted_key: &[u8], out: &mut Vec<u8>) {
    use prost::encoding::{WireType, encode_key, encode_varint};
    let number = |tag: u32, value: u64, out: &mut Vec<u8>| {
        if value != 0 {
            encode_key(tag, WireType::Varint, out);
            encode_varint(value, out);
        }
    };
    number(1, RecordKind::Record as u64, out);
    number(2, meta.epoch, out);
    encode_key(3, WireType::LengthDelimited, out);
    encode_varint(meta.salt.len() as u64, out);
    out.extend_from_slice(&meta.salt);
    number(4, meta.event_time.0 as u64, out);
    number(5, meta.accepted_time.0 as u64, out);
    number(6, u64::from(meta.schema_version), out);
    number(7, u64::from(meta.dataset_version), out);
    if meta.scope.0 != 0 {
        encode_key(8, WireType::SixtyFourBit, out);
        out.extend_from_slice(&meta.scope.0.to_le_bytes());
    }
    let flag = |is_set: bool, flag: u32| if is_set { u64::from(flag) } else { 0 };
    let flags = flag(meta.is_deletion, DELETION) | flag(meta.is_sealed, SEALED) | flag(meta.framed, FRAMED);
    number(9, flags, out);
    if !deleted_key.is_empty() {
        encode_key(11, WireType::LengthDelimited, out);
        encode_varint(deleted_key.len() as u64, out);
        out.extend_from_slice(deleted_key);
    }
    number(12, meta.key_generation.into(), out);
}

/// The entry with which a writer takes a partition over. It has no value: deserializers of other programs pass an entry
/// without one over, and fail at an empty one.
#[must_use]
pub fn marker(epoch: u64, writer: [u8; 16], now: TimestampMs) -> NewEntry {
    let header = RecordHeader {
        kind: RecordKind::EpochMarker.into(),
        epoch,
        accepted_time_ms: now.0,
        writer: Bytes::copy_from_slice(&writer),
        ..Default::default()
    };
    NewEntry {
        key: Some(Bytes::from_static(b"\0ldop-epoch")),
        value: None,
        headers: vec![(LDOP_HEADER, Bytes::from(header.encode_to_vec()))],
        timestamp: now,
    }
}

/// Reads what an entry is.
///
/// # Errors
///
/// No `ldop` header, or one that cannot be read; a record without an exchange id.
pub fn stamp(entry: &Entry) -> Result<Stamp, StampError> {
    let header = entry.header(LDOP_HEADER).ok_or(StampError("missing"))?;
    let header = RecordHeader::decode(header.clone()).map_err(|_| StampError("not a RecordHeader"))?;
    match header.kind() {
        RecordKind::Record => Ok(Stamp::Record(RecordMeta {
            epoch: header.epoch,
            exchange_id: exchange_id(entry).ok_or(StampError("exchange id"))?,
            scope: Scope(header.scope),
            salt: header.salt.as_ref().try_into().map_err(|_| StampError("salt"))?,
            event_time: TimestampMs(header.event_time_ms),
            accepted_time: TimestampMs(header.accepted_time_ms),
            schema_version: header.schema_version,
            dataset_version: header.dataset_version,
            framed: header.flags & FRAMED != 0,
            is_deletion: header.flags & DELETION != 0,
            is_sealed: header.flags & SEALED != 0,
            key_generation: header.key_generation,
        })),
        RecordKind::EpochMarker => Ok(Stamp::Marker {
            epoch: header.epoch,
            writer: header.writer.as_ref().try_into().map_err(|_| StampError("writer"))?,
        }),
        RecordKind::Unspecified => Err(StampError("kind of a newer release")),
    }
}

/// The key that a deletion names, encrypted if it is; none where the entry names none.
#[must_use]
pub fn deleted_key(entry: &Entry) -> Option<Bytes> {
    let header = RecordHeader::decode(entry.header(LDOP_HEADER)?.clone()).ok()?;
    (!header.deleted_key.is_empty()).then_some(header.deleted_key)
}

/// The system that sent a record, as its header names it.
#[must_use]
pub fn source(entry: &Entry) -> Option<&str> {
    std::str::from_utf8(entry.header(CE_SOURCE)?).ok()?.strip_prefix(SOURCE_BEFORE)
}

fn exchange_id(entry: &Entry) -> Option<ExchangeId> {
    let text = std::str::from_utf8(entry.header(CE_ID)?).ok()?;
    ExchangeId::parse_text(text).ok()
}

/// Which entries of a partition count. Fed in order of offset.
///
/// Records carry their writer's epoch; the highest epoch marked so far reigns, and a record of any other is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reign {
    /// The reigning epoch; `None` before anything was seen, when the first entry decides.
    pub epoch: Option<u64>,
}

impl Reign {
    /// Takes the next entry's stamp; tells whether it is a record that counts.
    pub fn admits<'a>(&mut self, stamp: &'a Stamp) -> Option<&'a RecordMeta> {
        match stamp {
            Stamp::Marker { epoch, .. } => {
                if self.epoch.is_none_or(|reigning| *epoch > reigning) {
                    self.epoch = Some(*epoch);
                }
                None
            }
            Stamp::Record(meta) => {
                let reigning = *self.epoch.get_or_insert(meta.epoch);
                (meta.epoch == reigning).then_some(meta)
            }
        }
    }
}

/// Partition of a key: murmur2 as Kafka's default partitioner has it, so that other tools agree.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions.max(1)
}

/// Murmur2 with the seed of org.apache.kafka.common.utils.Utils (public domain hash by Austin Appleby).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |k: u32| {
        let k = k.wrapping_mul(M);
        (k ^ (k >> 24)).wrapping_mul(M)
    };
    let mut h = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        h = h.wrapping_mul(M) ^ mix(u32::from_le_bytes(word.try_into().expect("4 bytes")));
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (at, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * at);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

/// Name of a dataset's topic.
#[must_use]
pub fn dataset_topic(stage: Stage, dataset: &DatasetName) -> ldop_log::TopicName {
    ldop_log::TopicName::parse(&format!("ldop.{stage}.{dataset}")).expect("a dataset name fits a topic name")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Vectors of Kafka's own UtilsTest (facts), as unsigned.
    #[test]
    fn keys_fall_where_kafka_puts_them() {
        for (key, hash) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash as u32, "{key}");
        }
    }

    #[test]
    fn a_header_is_written_as_prost_writes_it() {
        let flagged = [(0, 0, &b""[..]), (-5, 8, b""), (1_700_000_000_000, 4, b""), (1, 2, b"{}"), (1, 6, b"sealed")];
        for (event_time, flags, deleted_key) in flagged {
            let meta = RecordMeta {
                epoch: 65_537,
                exchange_id: ExchangeId::new(),
                scope: Scope(0x0102_0304_0506_0708),
                salt: [1; 16],
                event_time: TimestampMs(event_time),
                accepted_time: TimestampMs::now(),
                schema_version: 3,
                dataset_version: 4,
                framed: flags & 8 != 0,
                is_deletion: flags & 2 != 0,
                is_sealed: flags & 4 != 0,
                key_generation: flags & 4,
            };
            let header = RecordHeader {
                kind: RecordKind::Record.into(),
                epoch: meta.epoch,
                salt: Bytes::copy_from_slice(&meta.salt),
                event_time_ms: meta.event_time.0,
                accepted_time_ms: meta.accepted_time.0,
                schema_version: meta.schema_version,
                dataset_version: meta.dataset_version,
                scope: meta.scope.0,
                flags,
                writer: Bytes::new(),
                deleted_key: Bytes::from_static(deleted_key),
                key_generation: meta.key_generation,
            };
            let mut written = Vec::new();
            encode_record_header(&meta, deleted_key, &mut written);
            assert_eq!(written, header.encode_to_vec());
            assert!(written.len() <= RECORD_HEADER_ROOM);

            let system = SystemId::parse("a/b").expect("id");
            let attributes = Attributes::new(&system, Stage::Live, &DatasetName::parse("d").expect("name"));
            let content = match deleted_key {
                b"" => Content::Value(Bytes::from_static(b"{}")),
                key => Content::Deletion(Bytes::from_static(key)),
            };
            let entry = attributes.entry(&meta, Bytes::from_static(b"k"), content);
            let headers = entry.headers.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
            let read = Entry { offset: 0, key: entry.key, value: entry.value, headers, timestamp: entry.timestamp };
            assert_eq!(stamp(&read), Ok(Stamp::Record(meta)));
            assert_eq!(deleted_key, super::deleted_key(&read).unwrap_or_default());
            assert_eq!(read.value.is_none(), meta.is_deletion);
            assert_eq!(read.header("ce_id").map(|id| id.to_vec()), Some(meta.exchange_id.to_string().into_bytes()));
        }
    }

    #[test]
    fn a_void_record_does_not_count() {
        let record = |epoch| {
            Stamp::Record(RecordMeta {
                epoch,
                exchange_id: ExchangeId::new(),
                scope: Scope(1),
                salt: [0; 16],
                event_time: TimestampMs(0),
                accepted_time: TimestampMs(0),
                schema_version: 1,
                dataset_version: 1,
                framed: false,
                is_deletion: false,
                is_sealed: false,
                key_generation: 0,
            })
        };
        let marker = |epoch| Stamp::Marker { epoch, writer: [0; 16] };
        let mut reign = Reign::default();
        let log = [marker(1), record(1), marker(2), record(1), record(2), marker(1), record(2), record(1), record(3)];
        let counted: Vec<bool> = log.iter().map(|stamp| reign.admits(stamp).is_some()).collect();
        assert_eq!(counted, [false, true, false, false, true, false, true, false, false]);
    }
}

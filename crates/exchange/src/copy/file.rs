//! What a copy's file says of itself: which log it was made from, for what, and how far.

use super::{seal::Salt, tally::Total};

/// The layout this code reads and writes; `user_version` of the file.
pub(super) const LAYOUT: i64 = 2;
/// `application_id` of the file: "LDcp".
pub(super) const APPLICATION: i64 = 0x4c44_6370;

pub(super) const SCHEMA: &str = "
    CREATE TABLE meta(id INTEGER PRIMARY KEY, value BLOB NOT NULL);   -- 0 identity, 1 progress
    CREATE TABLE rows(
        seq INTEGER PRIMARY KEY,
        name BLOB NOT NULL,       -- of the record key
        place INTEGER NOT NULL,   -- offset << 6 | partition
        body BLOB NOT NULL        -- sealed
    );
    CREATE TABLE names(name BLOB PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE secondary(name BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(name, seq)) WITHOUT ROWID;
";
/// Of a copy with history besides: every record and deletion.
pub(super) const HISTORY_SCHEMA: &str = "
    CREATE TABLE versions(
        seq INTEGER PRIMARY KEY,
        name BLOB NOT NULL,
        place INTEGER NOT NULL,
        body BLOB NOT NULL        -- of a deletion: its event time alone
    );
    CREATE TABLE history(
        name BLOB NOT NULL,
        time INTEGER NOT NULL,    -- event time
        place INTEGER NOT NULL,
        seq INTEGER NOT NULL,     -- of the version
        PRIMARY KEY(name, time, place)
    ) WITHOUT ROWID;
";
pub(super) const IDENTITY: i64 = 0;
pub(super) const PROGRESS: i64 = 1;

const PARTITION_BITS: u32 = 6;

/// Partition and offset as one number.
pub(super) fn place(partition: u32, offset: u64) -> i64 {
    ((offset << PARTITION_BITS) | u64::from(partition)) as i64
}

/// The other way round.
pub(super) fn of_place(place: i64) -> (u32, u64) {
    ((place & ((1 << PARTITION_BITS) - 1)) as u32, place as u64 >> PARTITION_BITS)
}

/// Which log a file was made from, and what for. A file of any other identity is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The hub whose log it is.
    pub(super) hub_id: [u8; 16],
    /// SHA-256 of what the copy is to hold and how it is sealed.
    pub(super) purpose: [u8; 32],
    /// Topic of the dataset and stage.
    pub(super) topic: String,
}

impl Identity {
    pub(super) fn encode(&self, salt: &Salt) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96 + self.topic.len());
        bytes.extend_from_slice(&self.hub_id);
        bytes.extend_from_slice(&self.purpose);
        bytes.extend_from_slice(salt);
        bytes.extend_from_slice(self.topic.as_bytes());
        checked(bytes)
    }

    /// None where the bytes were altered.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, Salt)> {
        let mut reader = Reader(unchecked(bytes)?);
        let (hub_id, purpose, salt) = (reader.take()?, reader.take()?, reader.take()?);
        let topic = std::str::from_utf8(reader.0).ok()?.to_owned();
        Some((Self { hub_id, purpose, topic }, salt))
    }
}

/// The entry read last, to know the log again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) offset: u64,
    /// The beginning of SHA-256 over its header and key.
    pub(super) digest: [u8; 16],
}

/// How far a partition was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Followed {
    /// The next entry to read.
    pub(super) next: u64,
    /// Epoch that reigns there.
    pub(super) epoch: Option<u64>,
    pub(super) anchor: Option<Anchor>,
}

/// How far the log was followed, and what the tables hold; written with every change, in its transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Transactions so far.
    pub(super) sequence: u64,
    pub(super) rows: Total,
    pub(super) secondary: Total,
    pub(super) history: Total,
    /// By partition.
    pub(super) partitions: Vec<Followed>,
}

impl Progress {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + self.partitions.len() * 48);
        let totals = [self.rows, self.secondary, self.history].into_iter().flat_map(|total| [total.entries, total.sum]);
        for number in [self.sequence].into_iter().chain(totals) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for followed in &self.partitions {
            bytes.extend_from_slice(&followed.next.to_le_bytes());
            bytes.push(u8::from(followed.epoch.is_some()) | u8::from(followed.anchor.is_some()) << 1);
            bytes.extend_from_slice(&followed.epoch.unwrap_or_default().to_le_bytes());
            let anchor = followed.anchor.unwrap_or(Anchor { offset: 0, digest: [0; 16] });
            bytes.extend_from_slice(&anchor.offset.to_le_bytes());
            bytes.extend_from_slice(&anchor.digest);
        }
        checked(bytes)
    }

    /// None where the bytes were altered.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(unchecked(bytes)?);
        let sequence = reader.number()?;
        let rows = Total { entries: reader.number()?, sum: reader.number()? };
        let secondary = Total { entries: reader.number()?, sum: reader.number()? };
        let history = Total { entries: reader.number()?, sum: reader.number()? };
        let mut partitions = Vec::new();
        while !reader.0.is_empty() {
            let next = reader.number()?;
            let [flags] = reader.take()?;
            let epoch = reader.number()?;
            let anchor = Anchor { offset: reader.number()?, digest: reader.take()? };
            let (epoch, anchor) = ((flags & 1 != 0).then_some(epoch), (flags & 2 != 0).then_some(anchor));
            partitions.push(Followed { next, epoch, anchor });
        }
        Some(Self { sequence, rows, secondary, history, partitions })
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes).to_le_bytes();
    bytes.extend_from_slice(&crc);
    bytes
}

fn unchecked(bytes: &[u8]) -> Option<&[u8]> {
    let (bytes, crc) = bytes.split_last_chunk()?;
    (crc32c::crc32c(bytes) == u32::from_le_bytes(*crc)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn decoding_undoes_encoding_and_altered_bytes_are_told(
            sequence in any::<u64>(),
            followed in proptest::collection::vec((any::<u64>(), any::<Option<u64>>(), any::<Option<(u64, [u8; 16])>>()), 0..5),
            at in any::<prop::sample::Index>(),
        ) {
            let partitions = followed.into_iter().map(|(next, epoch, anchor)| {
                Followed { next, epoch, anchor: anchor.map(|(offset, digest)| Anchor { offset, digest }) }
            });
            let (rows, secondary) = (Total { entries: 3, sum: sequence }, Total { entries: sequence, sum: 1 });
            let history = Total { entries: 9, sum: !sequence };
            let progress = Progress { sequence, rows, secondary, history, partitions: partitions.collect() };
            let mut bytes = progress.encode();
            prop_assert_eq!(Progress::decode(&bytes), Some(progress));
            let at = at.index(bytes.len());
            bytes[at] ^= 0x10;
            prop_assert_eq!(Progress::decode(&bytes), None);
            prop_assert_eq!(Progress::decode(&bytes[..at]), None);
        }

        #[test]
        fn a_place_is_told_apart_again(partition in 0_u32..64, offset in 0_u64..1 << 57) {
            prop_assert_eq!(of_place(place(partition, offset)), (partition, offset));
        }
    }

    #[test]
    fn a_file_says_which_log_it_was_made_from() {
        let identity = Identity { hub_id: [1; 16], purpose: [2; 32], topic: "ldop.live.d".into() };
        let bytes = identity.encode(&[3; 32]);
        assert_eq!(Identity::decode(&bytes), Some((identity, [3; 32])));
        assert_eq!(Identity::decode(&bytes[1..]), None);
    }
}

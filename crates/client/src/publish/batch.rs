//! Records as the bytes they travel in.
//!
//! A batch is kept encoded: `RecordBatch.records`, field after field. That costs one copy of each payload, lets the
//! caller keep its buffer, and makes sending again a matter of the same bytes. The one field that differs from stream to
//! stream, `first_sequence`, is written in front when the batch is sent.

use bytes::{BufMut, Bytes, BytesMut};
use ldop_types::{ExchangeId, TimestampMs};
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::time::Instant;

use super::NewRecord;

// Protobuf tags: field number << 3 | wire type (0 varint, 2 length-delimited).
const RECORDS: u8 = 2 << 3 | 2; // RecordBatch.records
const EXCHANGE_ID: u8 = 1 << 3 | 2; // Record.exchange_id
const PAYLOAD: u8 = 2 << 3 | 2; // Record.payload
const EVENT_TIME: u8 = 3 << 3 | 2; // Record.event_time
const DELETION: u8 = 4 << 3; // Record.deletion
const SECONDS: u8 = 1 << 3; // Timestamp.seconds
const NANOS: u8 = 2 << 3; // Timestamp.nanos

/// The batch that records are being put into.
pub(super) struct OpenBatch {
    max_records: usize,
    max_bytes: usize,
    next_ordinal: u64,
    body: BytesMut,
    slots: Vec<Slot>,
    begun: Instant,
}

/// One record of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    /// Where its bytes end.
    end: u32,
    /// Its ordinal, counted from the batch's first.
    ordinal: u32,
    /// Whether its result has come.
    done: bool,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Batch {
    first_ordinal: u64,
    body: Bytes,
    slots: Vec<Slot>,
    due: usize,
    begun: Instant,
}

impl OpenBatch {
    pub(super) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self {
            max_records,
            max_bytes,
            next_ordinal: 0,
            body: BytesMut::new(),
            slots: Vec::new(),
            begun: Instant::now(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// When its first record was put in.
    pub(super) fn begun(&self) -> Option<Instant> {
        (!self.slots.is_empty()).then_some(self.begun)
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max_records || self.body.len() >= self.max_bytes
    }

    /// Whether the record may go in; an empty batch takes any.
    pub(super) fn accepts(&self, record: &NewRecord<'_>) -> bool {
        self.slots.is_empty()
            || (self.slots.len() < self.max_records && self.body.len() + record.payload.len() <= self.max_bytes)
    }

    /// Puts a record in and returns its ordinal, unless it has to go into the next batch.
    pub(super) fn push(&mut self, record: &NewRecord<'_>) -> Option<u64> {
        if !self.accepts(record) {
            return None;
        }
        if self.slots.is_empty() {
            self.begun = Instant::now();
        }
        encode_record(record, &mut self.body);
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        self.slots.push(Slot {
            // A batch holds one record or less than `max_bytes`; either is far below 4 GiB.
            end: u32::try_from(self.body.len()).unwrap_or(u32::MAX),
            ordinal: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
            done: false,
        });
        Some(ordinal)
    }

    /// Takes what was put in; the next record begins another batch.
    pub(super) fn take(&mut self) -> Batch {
        let due = self.slots.len();
        let used = self.body.len();
        let batch = Batch {
            first_ordinal: self.next_ordinal - due as u64,
            body: self.body.split().freeze(),
            slots: std::mem::replace(&mut self.slots, Vec::with_capacity(due)),
            due,
            begun: self.begun,
        };
        // Batches tend to be alike: one allocation for the next instead of growing step by step.
        self.body.reserve(used.min(self.max_bytes) + 1_024);
        batch
    }
}

impl Batch {
    /// Records of the batch, with and without a result.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Records without a result.
    pub(super) fn due(&self) -> usize {
        self.due
    }

    /// Bytes of the records, as encoded.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// The records, encoded.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// When it was begun.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Notes that a record has its result; returns its ordinal and exchange id. `None` when it had one before, or there
    /// is no such record.
    pub(super) fn settle(&mut self, index: usize) -> Option<(u64, ExchangeId)> {
        let start = index.checked_sub(1).map_or(0, |before| self.slots.get(before).map_or(0, |slot| slot.end as usize));
        let slot = self.slots.get_mut(index)?;
        if std::mem::replace(&mut slot.done, true) {
            return None;
        }
        self.due -= 1;
        Some((self.first_ordinal + u64::from(slot.ordinal), exchange_id(&self.body[start..slot.end as usize])?))
    }

    /// Leaves out the records that have their result, so that the rest can be sent again.
    pub(super) fn keep_due(&mut self) {
        if self.due == self.slots.len() {
            return;
        }
        let mut body = BytesMut::with_capacity(self.body.len());
        let mut slots = Vec::with_capacity(self.due);
        let mut start = 0;
        for slot in &self.slots {
            if !slot.done {
                body.put_slice(&self.body[start..slot.end as usize]);
                slots.push(Slot { end: u32::try_from(body.len()).unwrap_or(u32::MAX), ..*slot });
            }
            start = slot.end as usize;
        }
        self.body = body.freeze();
        self.slots = slots;
    }
}

/// Length of the tag of a field below 16.
const TAG: usize = 1;
const ID: usize = 16;

fn encode_record(record: &NewRecord<'_>, into: &mut BytesMut) {
    let event_time = record.event_time.map(timestamp);
    let payload = record.payload.len();
    let length = TAG
        + 1
        + ID
        + TAG
        + encoded_len_varint(payload as u64)
        + payload
        + event_time.map_or(0, |(seconds, nanos)| TAG + 1 + timestamp_len(seconds, nanos))
        + if record.is_deletion { TAG + 1 } else { 0 };
    into.reserve(TAG + encoded_len_varint(length as u64) + length);
    into.put_u8(RECORDS);
    encode_varint(length as u64, into);
    into.put_u8(EXCHANGE_ID);
    into.put_u8(ID as u8);
    into.put_slice(record.exchange_id.as_bytes());
    into.put_u8(PAYLOAD);
    encode_varint(payload as u64, into);
    into.put_slice(record.payload);
    if let Some((seconds, nanos)) = event_time {
        into.put_u8(EVENT_TIME);
        // Two varints of at most 10 and 5 bytes: the length fits one byte.
        into.put_u8(timestamp_len(seconds, nanos) as u8);
        into.put_u8(SECONDS);
        encode_varint(seconds, into);
        into.put_u8(NANOS);
        encode_varint(nanos, into);
    }
    if record.is_deletion {
        into.put_u8(DELETION);
        into.put_u8(1);
    }
}

/// Seconds and nanoseconds as protobuf has them: a negative number as the varint of its two's complement.
fn timestamp(time: TimestampMs) -> (u64, u64) {
    let seconds = time.0.div_euclid(1_000).cast_unsigned();
    let nanos = (time.0.rem_euclid(1_000) * 1_000_000).cast_unsigned();
    (seconds, nanos)
}

fn timestamp_len(seconds: u64, nanos: u64) -> usize {
    TAG + encoded_len_varint(seconds) + TAG + encoded_len_varint(nanos)
}

/// The exchange id of a record encoded by [`encode_record`].
fn exchange_id(record: &[u8]) -> Option<ExchangeId> {
    let after_tag = record.get(TAG..)?;
    let length = after_tag.iter().position(|b| b & 0x80 == 0)? + 1;
    ExchangeId::parse(after_tag.get(length + TAG + 1..)?.get(..ID)?).ok()
}

#[cfg(test)]
mod tests {
    use ldop_contract::exchange::v1::RecordBatch;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn batch_of(records: &[(Vec<u8>, Option<i64>, bool)]) -> (Batch, Vec<ExchangeId>) {
        let mut open = OpenBatch::new(1_000, 1 << 20);
        let ids = records
            .iter()
            .enumerate()
            .map(|(n, (payload, time, is_deletion))| {
                let exchange_id = ExchangeId::new();
                let is_deletion = *is_deletion;
                let record = NewRecord { exchange_id, payload, event_time: time.map(TimestampMs), is_deletion };
                assert_eq!(open.push(&record), Some(n as u64));
                exchange_id
            })
            .collect();
        (open.take(), ids)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_what_prost_decodes(
            records in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..400), any::<Option<i64>>(), any::<bool>()),
                1..20
            )
        ) {
            let (batch, ids) = batch_of(&records);
            let decoded = RecordBatch::decode(batch.body().clone()).expect("well-formed");
            prop_assert_eq!(decoded.records.len(), records.len());
            for ((record, (payload, time, is_deletion)), id) in decoded.records.iter().zip(&records).zip(&ids) {
                prop_assert_eq!(record.deletion, *is_deletion);
                prop_assert_eq!(&record.payload, payload);
                prop_assert_eq!(&record.exchange_id[..], &id.as_bytes()[..]);
                let expected = time.map(|t| prost_types::Timestamp {
                    seconds: t.div_euclid(1_000),
                    nanos: i32::try_from(t.rem_euclid(1_000) * 1_000_000).expect("below a second"),
                });
                prop_assert_eq!(&record.event_time, &expected);
            }
        }

        #[test]
        fn what_is_due_stays_in_order_with_its_ordinals(
            done in prop::collection::vec(any::<bool>(), 1..40)
        ) {
            let records: Vec<_> = (0..done.len()).map(|n| (n.to_string().into_bytes(), None, n % 3 == 0)).collect();
            let (mut batch, ids) = batch_of(&records);
            for (index, _) in done.iter().enumerate().filter(|(_, done)| **done) {
                prop_assert_eq!(batch.settle(index), Some((index as u64, ids[index])));
                prop_assert_eq!(batch.settle(index), None, "a result counts once");
            }
            batch.keep_due();
            let left: Vec<usize> = (0..done.len()).filter(|index| !done[*index]).collect();
            prop_assert_eq!(batch.due(), left.len());
            let decoded = RecordBatch::decode(batch.body().clone()).expect("well-formed");
            let payloads: Vec<_> = decoded.records.iter().map(|r| r.payload.to_vec()).collect();
            prop_assert_eq!(payloads, left.iter().map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
            for (index, ordinal) in left.iter().enumerate() {
                prop_assert_eq!(batch.settle(index), Some((*ordinal as u64, ids[*ordinal])));
            }
        }
    }

    #[test]
    fn a_batch_is_full_by_records_or_bytes_and_takes_one_large_record_alone() {
        let mut open = OpenBatch::new(3, 1_000);
        let small = [b'x'; 100];
        let large = [b'x'; 5_000];
        for ordinal in 0..3 {
            assert!(!open.is_full());
            assert_eq!(open.push(&NewRecord::new(&small)), Some(ordinal));
        }
        assert!(open.is_full());
        assert_eq!(open.push(&NewRecord::new(&small)), None);
        assert_eq!(open.take().len(), 3);
        assert_eq!(open.push(&NewRecord::new(&large)), Some(3));
        assert!(open.is_full());
        assert_eq!(open.push(&NewRecord::new(&small)), None);
        assert_eq!(open.take().len(), 1);
        assert_eq!(open.push(&NewRecord::new(&small)), Some(4));
        assert_eq!(open.push(&NewRecord::new(&large)), None);
    }
}

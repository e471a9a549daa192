//! Headers of entries on dataset topics, which other programs may have written to.

use std::sync::Arc;

use bytes::Bytes;
use ldop_exchange::header::{self, Attributes, CE_ID, Content, LDOP_HEADER, RecordMeta, Reign, Scope, Stamp};
use ldop_log::{Entry, NewEntry};
use ldop_types::{DatasetName, ExchangeId, Stage, SystemId, TimestampMs};

/// Length of a UUID's text.
const ID_TEXT: usize = 36;

/// An entry whose id is told by the first bytes and whose packed header is the rest.
fn entry(data: &[u8]) -> Entry {
    let (id, header) = data.split_at(data.len().min(ID_TEXT));
    let headers = [(CE_ID, id), (LDOP_HEADER, header)];
    let headers = headers.into_iter().map(|(name, value)| (Arc::from(name), Bytes::copy_from_slice(value))).collect();
    Entry { offset: 0, key: None, value: None, headers, timestamp: TimestampMs(0) }
}

fn read_back(new: NewEntry) -> Entry {
    let headers = new.headers.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
    Entry { offset: 0, key: new.key, value: new.value, headers, timestamp: new.timestamp }
}

fn attributes() -> Attributes {
    let system = SystemId::parse("so-tu-phap/ho-tich").expect("an id");
    Attributes::new(&system, Stage::Live, &DatasetName::parse("civil-status").expect("a name"))
}

pub(crate) fn run(data: &[u8]) {
    let Ok(stamp) = header::stamp(&entry(data)) else { return };
    let again = match &stamp {
        Stamp::Record(meta) => attributes().entry(meta, Bytes::new(), Content::Value(Bytes::new())),
        Stamp::Marker { epoch, writer } => header::marker(*epoch, *writer, TimestampMs(0)),
    };
    assert_eq!(header::stamp(&read_back(again)).as_ref(), Ok(&stamp), "what is read can be written and read again");
    let mut reign = Reign::default();
    let counts = reign.admits(&stamp).is_some();
    assert_eq!(counts, matches!(stamp, Stamp::Record(_)), "the first entry decides who reigns");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let meta = RecordMeta {
        epoch: 65_536,
        exchange_id: ExchangeId::from_parts(TimestampMs(1_780_000_000_000), [7; 10]),
        scope: Scope(0x0102_0304_0506_0708),
        salt: [1; 16],
        event_time: TimestampMs(-1),
        accepted_time: TimestampMs(1_780_000_000_001),
        schema_version: 3,
        dataset_version: 4,
        framed: true,
        is_deletion: false,
        is_sealed: false,
        key_generation: 0,
    };
    let record = attributes().entry(&meta, Bytes::from_static(b"k"), Content::Value(Bytes::from_static(b"{}")));
    let meta = RecordMeta { framed: false, is_deletion: true, is_sealed: true, key_generation: 3, ..meta };
    let deletion =
        attributes().entry(&meta, Bytes::from_static(b"k"), Content::Deletion(Bytes::from_static(b"sealed")));
    let marker = header::marker(65_537, [9; 16], TimestampMs(1));
    let seed = |new| {
        let entry = read_back(new);
        let part = |name| entry.header(name).map_or(&[][..], |value| &value[..]);
        // A marker has no id.
        let id = Some(part(CE_ID)).filter(|id| id.len() == ID_TEXT).unwrap_or(&[0; ID_TEXT]);
        [id, part(LDOP_HEADER)].concat()
    };
    vec![seed(record), seed(deletion), seed(marker)]
}

//! Messages of callers, and stored messages that are read back from the log.

use bytes::Bytes;
use ldop_contract::{
    control::v1::{Cursor, ExchangeEvent, GetStatusResponse},
    convert::{stage_from_wire, timestamp_from_wire, timestamp_to_wire},
    exchange::v1::{self as wire, publish_stream_request, subscribe_request},
    record::v1::RecordHeader,
};
use ldop_schema_registry::Parser;
use ldop_types::{AgreementId, ExchangeId, TimestampMs};
use prost::Message;

/// The first byte chooses the message.
pub(crate) fn run(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    match which % 10 {
        0 => round::<wire::PublishRequest>(data, |request| request.record.iter().for_each(record)),
        1 => round::<wire::PublishStreamRequest>(data, |request| match &request.message {
            Some(publish_stream_request::Message::Batch(batch)) => batch.records.iter().for_each(record),
            Some(publish_stream_request::Message::Open(open)) => {
                let _ = stage_from_wire(open.stage);
            }
            None => {}
        }),
        2 => round::<wire::SubscribeRequest>(data, |request| {
            if let Some(subscribe_request::Message::Open(open)) = &request.message
                && let Some(wire::subscribe_open::Start::Time(time)) = &open.start
            {
                moment(time);
            }
        }),
        3 => round::<wire::GetExchangeRequest>(data, |request| {
            let _ = ExchangeId::parse(&request.exchange_id);
        }),
        4 => round::<ExchangeEvent>(data, |_| {}),
        5 => round::<Cursor>(data, |_| {}),
        6 => round::<RecordHeader>(data, |_| {}),
        7 => round::<GetStatusResponse>(data, |_| {}),
        8 => round::<wire::LookUpRequest>(data, |request| {
            request.as_of.iter().for_each(moment);
            for key in &request.keys {
                let _ = Parser::default().parse(key);
            }
        }),
        _ => round::<wire::FindRequest>(data, |request| {
            let _ = AgreementId::parse(&request.agreement);
            let _ = Parser::default().parse(&request.key);
        }),
    }
}

fn round<M: Message + Default + PartialEq>(data: &[u8], look: impl Fn(&M)) {
    let Ok(message) = M::decode(Bytes::copy_from_slice(data)) else { return };
    look(&message);
    let again = M::decode(Bytes::from(message.encode_to_vec())).expect("what is written can be read");
    assert!(again == message, "and is the same");
}

fn record(record: &wire::Record) {
    let _ = ExchangeId::parse(&record.exchange_id);
    record.event_time.iter().for_each(moment);
}

fn moment(time: &prost_types::Timestamp) {
    if let Some(read) = timestamp_from_wire(time) {
        assert_eq!(timestamp_from_wire(&timestamp_to_wire(read)), Some(read), "a moment survives the wire");
        let _ = read.date_in_vietnam().to_string();
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = Bytes::copy_from_slice(ExchangeId::from_parts(TimestampMs(1_780_000_000_000), [7; 10]).as_bytes());
    let record = wire::Record {
        exchange_id: id.clone(),
        payload: Bytes::from_static(b"{\"code\":\"21583\"}"),
        event_time: Some(timestamp_to_wire(TimestampMs(1_780_000_000_123))),
        deletion: true,
    };
    let publish =
        wire::PublishRequest { dataset: "communes".into(), stage: 2, record: Some(record.clone()) }.encode_to_vec();
    let batch = wire::RecordBatch { first_sequence: 5, records: vec![record.clone(), record] };
    let batch = wire::PublishStreamRequest { message: Some(publish_stream_request::Message::Batch(batch)) };
    let open = wire::SubscribeOpen {
        agreement: "communes-to-tax".into(),
        subscription: "default".into(),
        start: Some(wire::subscribe_open::Start::Time(timestamp_to_wire(TimestampMs(-1)))),
        credit: Some(wire::Credit { records: 1_000, bytes: 4 << 20 }),
    };
    let open = wire::SubscribeRequest { message: Some(subscribe_request::Message::Open(open)) };
    let get = wire::GetExchangeRequest { exchange_id: id, dataset: "communes".into(), stage: 2 };
    let cursor = Cursor { next_offset: 7, time_ms: 1_780_000_000_000, epoch: Some(65_536) };
    let find = wire::FindRequest {
        agreement: "commune-changes-to-tax".into(),
        key: Bytes::from_static(b"{\"new_code\":\"21553\"}"),
        most_records: 20,
        officer_id: "dvh".into(),
        case_number: "2026/118".into(),
    };
    let look_up = wire::LookUpRequest {
        agreement: "communes-to-tax".into(),
        keys: vec![Bytes::from_static(b"{\"code\":\"21583\"}")],
        as_of: Some(timestamp_to_wire(TimestampMs(1_780_000_000_000))),
        ..Default::default()
    };
    let messages =
        [publish, batch.encode_to_vec(), open.encode_to_vec(), get.encode_to_vec(), Vec::new(), cursor.encode_to_vec()];
    let numbered = messages.into_iter().zip(0u8..).chain([(look_up.encode_to_vec(), 8), (find.encode_to_vec(), 9)]);
    numbered.map(|(message, which)| [vec![which], message].concat()).collect()
}

use ldop_log::Offset;

use super::*;
use crate::report::Bucket;

const FROM: i64 = 1_772_323_200_000;
const UNTIL: i64 = FROM + 86_400_000;
const ALL: [Dimension; 5] =
    [Dimension::Mode, Dimension::Outcome, Dimension::Reason, Dimension::Purpose, Dimension::Dataset];

fn entry(time_ms: i64, key: &[u8], kind: Option<Kind>) -> Entry {
    let value = ExchangeEvent { time_ms, kind }.encode_to_vec();
    raw(time_ms, key, value)
}

fn raw(time_ms: i64, key: &[u8], value: Vec<u8>) -> Entry {
    Entry {
        offset: 0,
        key: Some(Bytes::copy_from_slice(key)),
        value: Some(value.into()),
        headers: Vec::new(),
        timestamp: TimestampMs(time_ms),
    }
}

fn asked(id: u8) -> Kind {
    Kind::LookUpAsked(LookUpAsked {
        exchange_id: vec![id; 16],
        system: "cong-an/x".into(),
        agreement: "a".into(),
        dataset: "d".into(),
        stage: "live".into(),
        purpose_code: "reconciliation".into(),
        source: "so-a/y".into(),
        ..Default::default()
    })
}

fn answered(id: u8, outcome: LookUpOutcome, found: u32) -> Kind {
    Kind::LookUpAnswered(LookUpAnswered {
        exchange_id: vec![id; 16],
        system: "cong-an/x".into(),
        agreement: "a".into(),
        dataset: "d".into(),
        stage: "live".into(),
        outcome: outcome.into(),
        found,
        purpose_code: "reconciliation".into(),
        ..Default::default()
    })
}

fn begun(id: u8) -> Kind {
    Kind::TransferBegun(TransferBegun {
        exchange_id: vec![id; 16],
        system: "cong-an/x".into(),
        agreement: "a".into(),
        dataset: "d".into(),
        mode: "export".into(),
        ..Default::default()
    })
}

fn ended(id: u8, mode: &str, records: u64) -> Kind {
    Kind::TransferEnded(TransferEnded {
        exchange_id: vec![id; 16],
        system: "cong-an/x".into(),
        agreement: "a".into(),
        dataset: "d".into(),
        outcome: TransferOutcome::Finished.into(),
        records,
        mode: mode.into(),
        ..Default::default()
    })
}

fn delivered(from_offset: Offset, to_offset: Offset, records: u64) -> Kind {
    let (system, agreement) = ("cong-an/x".into(), "a".into());
    Kind::RecordsDelivered(RecordsDelivered {
        system,
        agreement,
        from_offset,
        to_offset,
        records,
        ..Default::default()
    })
}

fn refused(id: Vec<u8>, reason: Reason) -> Kind {
    let reason = reason.as_str().to_owned();
    let (system, dataset) = ("so-a/y".into(), "d".into());
    Kind::RecordRefused(RecordRefused { exchange_id: id, system, dataset, reason, ..Default::default() })
}

/// What becomes of the entries of one partition: rows in words, and what is in no figure.
fn counted(entries: &[Entry]) -> (Vec<String>, PassedOver) {
    let mut tally = Tally::new(TimestampMs(FROM), TimestampMs(UNTIL), &ALL, Some(Bucket::Day));
    let mut events = Events::new(&Catalog::default());
    for entry in entries {
        events.take(entry, &mut tally).expect("room");
    }
    events.end_partition(&mut tally).expect("room");
    let row = |row: super::super::Row<'_>| {
        let Figures { calls, records, refusals } = row.figures;
        let values: Vec<_> = row.values.into_iter().filter(|value| !value.is_empty()).collect();
        format!("{} {calls} {records} {refusals}", values.join(" "))
    };
    (tally.rows().into_iter().map(row).collect(), events.passed_over())
}

fn at(time: i64, kinds: Vec<Kind>) -> Vec<Entry> {
    kinds.into_iter().map(|kind| entry(time, b"k", Some(kind))).collect()
}

#[test]
fn an_event_that_stands_twice_counts_once() {
    let once = vec![
        asked(1),
        answered(1, LookUpOutcome::Answered, 3),
        begun(2),
        ended(2, "export", 7),
        delivered(0, 5, 5),
        refused(vec![3; 16], Reason::RecordInvalid),
    ];
    let (rows, passed_over) = counted(&at(FROM, once.clone()));
    assert_eq!(
        rows,
        [
            "export finished d 1 7 0",
            "look_up answered reconciliation d 1 3 0",
            "publish refused RECORD_INVALID d 1 0 1",
            "subscribe delivered 0 5 0",
        ]
    );
    assert_eq!(passed_over, PassedOver::default());
    // A journal shipped again, an append tried again: askings too, which are no calls of their own.
    let twice: Vec<Kind> = once.iter().cloned().chain(once.clone()).collect();
    let (again, passed_over) = counted(&at(FROM, twice));
    assert_eq!(again, rows);
    assert_eq!(passed_over, PassedOver { repeated: 4, ..PassedOver::default() });
}

#[test]
fn what_was_told_before_the_period_is_known_in_it_and_not_counted() {
    let before = at(FROM - 1, vec![answered(1, LookUpOutcome::Answered, 1), ended(2, "export", 7), delivered(0, 5, 5)]);
    let (rows, _) = counted(&before);
    assert!(rows.is_empty());
    // The end was appended again, and stamped again, behind midnight.
    let again = at(FROM, vec![ended(2, "export", 7), delivered(0, 5, 5), answered(3, LookUpOutcome::Answered, 2)]);
    let (rows, passed_over) = counted(&[before, again].concat());
    assert_eq!(rows, ["look_up answered reconciliation d 1 2 0"]);
    assert_eq!(passed_over.repeated, 2);
    let (rows, _) = counted(&at(UNTIL, vec![answered(4, LookUpOutcome::Answered, 2)]));
    assert!(rows.is_empty(), "the first moment behind the period is not in it");
}

#[test]
fn calls_that_never_ended_are_told() {
    let (rows, _) = counted(&at(FROM, vec![asked(1), begun(2), asked(3), answered(3, LookUpOutcome::Unknown, 0)]));
    assert_eq!(
        rows,
        [
            "export not_ended d 1 0 0",
            "look_up not_ended reconciliation d 1 0 0",
            "look_up unknown reconciliation d 1 0 0"
        ]
    );
    // One that ends behind the period is of the period it ends in.
    let entries = [at(UNTIL - 1, vec![begun(2)]), at(UNTIL, vec![ended(2, "export", 1)])].concat();
    assert!(counted(&entries).0.is_empty());
}

#[test]
fn the_mode_of_an_older_release_is_that_of_the_beginning() {
    let entries = [at(FROM - 5, vec![begun(2)]), at(FROM, vec![ended(2, "", 4)])].concat();
    assert_eq!(counted(&entries).0, ["export finished d 1 4 0"]);
}

#[test]
fn refusals_are_of_one_exchange_each() {
    let kinds = vec![
        refused(Vec::new(), Reason::ExchangeIdInvalid),
        refused(Vec::new(), Reason::ExchangeIdInvalid),
        refused(vec![1; 16], Reason::RecordInvalid),
        refused(vec![1; 16], Reason::RecordTooLarge),
        refused(vec![1; 16], Reason::ExchangeIdReused),
        refused(vec![1; 16], Reason::ExchangeIdReused),
    ];
    let (rows, passed_over) = counted(&at(FROM, kinds));
    assert_eq!(
        rows,
        [
            "publish refused EXCHANGE_ID_INVALID d 2 0 2",
            "publish refused EXCHANGE_ID_REUSED d 2 0 2",
            "publish refused RECORD_INVALID d 1 0 1",
            "publish refused RECORD_TOO_LARGE d 1 0 1",
        ]
    );
    assert_eq!(passed_over.repeated, 0);
}

#[test]
fn what_this_release_does_not_know_is_told() {
    let access = AccessRefused {
        system: "cong-an/x".into(),
        agreement: "made-up-by-the-caller".into(),
        mode: "export".into(),
        reason: "AGREEMENT_UNKNOWN".into(),
        more: 4,
    };
    let erased =
        RecordErased { dataset: "d".into(), stage: "live".into(), order: "QĐ 1".into(), ..RecordErased::default() };
    let mut odd = answered(1, LookUpOutcome::Answered, 1);
    if let Kind::LookUpAnswered(odd) = &mut odd {
        odd.outcome = 99;
    }
    // Field 99, of a newer release; the same before the period; bytes that are no event.
    let newer = [ExchangeEvent { time_ms: FROM, kind: None }.encode_to_vec(), vec![0x9a, 0x06, 0x00]].concat();
    let entries = [
        raw(FROM, b"k", newer),
        entry(FROM - 1, b"k", None),
        raw(FROM, b"k", vec![0xff; 3]),
        entry(FROM, b"k", Some(odd)),
        entry(FROM, b"k", Some(Kind::AccessRefused(access))),
        entry(FROM, b"k", Some(Kind::RecordErased(erased))),
    ];
    let (rows, passed_over) = counted(&entries);
    let known =
        ["erase erased d 1 0 0", "export refused AGREEMENT_UNKNOWN 5 0 5", "look_up newer reconciliation d 1 0 0"];
    assert_eq!(rows, known);
    assert_eq!(passed_over, PassedOver { repeated: 0, newer_kind: 1, unreadable: 1 });
}

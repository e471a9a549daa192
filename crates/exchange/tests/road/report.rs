//! Reports: what was exchanged in a period, counted from the log.

use ldop_contract::control::v1::{
    ExchangeEvent, LookUpAnswered, LookUpOutcome, TransferEnded, TransferOutcome, exchange_event::Kind,
};
use ldop_exchange::{
    header::{Attributes, Content, RecordMeta, Scope, partition_of},
    report::{Bucket, Dimension, Figures, PassedOver, Question, ReportError, Reporting},
};
use ldop_log::{Cleanup, TopicSpec};
use ldop_types::Date;
use prost::Message as _;

use super::*;

const DAY_MS: i64 = 86_400_000;

/// Midnight in Việt Nam.
fn midnight(day: &str) -> TimestampMs {
    TimestampMs(i64::from(Date::parse(day).expect("a day").0) * DAY_MS - 7 * 3_600_000)
}

async fn made(exchange: &Arc<Exchange>, question: Question) -> Reporting {
    let mut reporting = Reporting::new(Arc::clone(exchange), question);
    while !reporting.next().await.expect("the log answers") {}
    let (passed, total) = reporting.entries();
    assert_eq!(passed, total, "everything there was to read");
    reporting
}

/// Rows in words: bucket, values, calls, records, refusals.
fn told(reporting: &Reporting) -> Vec<String> {
    let row = |row: ldop_exchange::report::Row<'_>| {
        let Figures { calls, records, refusals } = row.figures;
        let bucket = row.bucket.map(|day| format!("{day} ")).unwrap_or_default();
        let values: Vec<&str> = row.values.into_iter().filter(|value| !value.is_empty()).collect();
        format!("{bucket}{} {calls} {records} {refusals}", values.join(" "))
    };
    reporting.rows().into_iter().map(row).collect()
}

fn question(from: TimestampMs, until: Option<TimestampMs>, dimensions: &[Dimension]) -> Question {
    Question { from, until, dimensions: dimensions.to_vec(), bucket: None }
}

#[tokio::test]
async fn what_was_just_exchanged_is_in_the_report() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let from = TimestampMs(TimestampMs::now().0 - DAY_MS);
    let samples: Vec<Sample> = ldop_sample_data::records(Dataset::CivilStatus, 5, 300, 0.3).collect();
    let records: Vec<_> = samples.iter().map(|sample| incoming(ExchangeId::new(), sample)).collect();
    let mut publisher = publisher(&exchange);
    let verdicts = send(&mut publisher, records.clone()).await;
    let accepted = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Accepted(_))).count() as u64;
    let refused = verdicts.len() as u64 - accepted;
    assert!(accepted > 50 && refused > 50, "{accepted} accepted, {refused} refused");
    // The same once more: the same exchanges, some of them refused again.
    send(&mut publisher, records).await;
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    assert_eq!(drain(&mut subscription).await.len() as u64, accepted);

    let dimensions = [
        Dimension::Mode,
        Dimension::Outcome,
        Dimension::Stage,
        Dimension::ProviderAgency,
        Dimension::ConsumerSystem,
        Dimension::Agreement,
        Dimension::Purpose,
    ];
    let report = made(&exchange, question(from, None, &dimensions)).await;
    let expected = [
        format!("publish accepted live so-tu-phap {accepted} {accepted} 0"),
        format!("publish refused live so-tu-phap {refused} 0 {refused}"),
        format!(
            "subscribe delivered live so-tu-phap bhxh-tinh/tiep-nhan civil-status-to-social-insurance social-security 0 {accepted} 0"
        ),
    ];
    assert_eq!(told(&report), expected);
    let passed_over = PassedOver { repeated: refused, ..PassedOver::default() };
    assert_eq!((report.passed_over(), report.gaps().len()), (passed_over, 0));
    // Of a period that is over before, nothing.
    let before = TimestampMs(from.0 - DAY_MS);
    assert!(told(&made(&exchange, question(before, Some(from), &dimensions)).await).is_empty());
    // One waits for the other; one that is dropped lets the next one begin.
    let mut dropped = Reporting::new(Arc::clone(&exchange), question(from, None, &[]));
    let _ = futures::poll!(pin!(dropped.next()));
    drop(dropped);
    assert_eq!(told(&made(&exchange, question(from, None, &[])).await), [format!(" 300 {} {refused}", 2 * accepted)]);
}

/// Records of a partition as a hub of an epoch wrote them, each at its time.
fn records(epoch: u64, times: impl Iterator<Item = TimestampMs>) -> Vec<NewEntry> {
    let attributes = Attributes::new(&system("so-tu-phap/ho-tich"), Stage::Live, &births());
    let record = |time| {
        let meta = RecordMeta {
            epoch,
            exchange_id: ExchangeId::new(),
            scope: Scope(1),
            salt: [0; 16],
            event_time: time,
            accepted_time: time,
            schema_version: 1,
            dataset_version: 1,
            framed: false,
            is_deletion: false,
            is_sealed: false,
            key_generation: 0,
        };
        attributes.entry(&meta, Bytes::from_static(b"k"), Content::Value(Bytes::from_static(b"{}")))
    };
    times.map(record).collect()
}

#[tokio::test]
async fn a_period_in_the_middle_of_the_log_has_its_own_records_only() {
    let dir = tempfile::tempdir().expect("folder");
    let log = log(dir.path());
    let exchange = with_samples(node(Arc::clone(&log), dir.path()).await).await;
    let partitions = exchange.control.state().dataset(&births()).expect("there").value.definition.partitions;
    let topic = dataset_topic(Stage::Live, &births());
    log.ensure_topics(vec![TopicSpec { name: topic.clone(), partitions, cleanup: Cleanup::Keep }]).await.expect("made");
    let appender = log.appender(Partition { topic, index: 0 }).await.expect("open");
    let (from, until) = (midnight("2026-03-01"), midnight("2026-03-03"));
    let at = |time: i64| TimestampMs(from.0 + time);
    // More than is read ahead; then another hub takes over, and the one before, which does not know, writes on.
    let before = records(7, (0..3_000).map(|n| at(n - 3_000)));
    let marker = header::marker(8, [8; 16], at(-1));
    let late = records(7, [at(0), at(1)].into_iter());
    let within = records(8, [at(0), at(DAY_MS - 1), at(DAY_MS), at(2 * DAY_MS - 1)].into_iter());
    let after = records(8, [until, TimestampMs(until.0 + 1)].into_iter());
    let entries = [before, vec![marker], late, within, after].concat();
    appender.append(entries).expect("taken").await.expect("durable");

    let asked = |from, until, bucket| Question {
        from,
        until: Some(until),
        dimensions: vec![Dimension::ProviderSystem, Dimension::Outcome],
        bucket,
    };
    let report = made(&exchange, asked(from, until, Some(Bucket::Day))).await;
    let row = |day: &str, records: u64| format!("{day} so-tu-phap/ho-tich accepted {records} {records} 0");
    assert_eq!(told(&report), [row("2026-03-01", 2), row("2026-03-02", 2)]);
    // The whole is what its parts are, and months are those of Việt Nam.
    let long_ago = midnight("2025-01-01");
    let whole = made(&exchange, asked(long_ago, TimestampMs(until.0 + 2), Some(Bucket::Month))).await;
    assert_eq!(told(&whole), [row("2026-02-01", 3_000), row("2026-03-01", 6)]);
    let parts = [(long_ago, at(-1_500)), (at(-1_500), at(1)), (at(1), until), (until, TimestampMs(until.0 + 2))];
    let mut together = 0;
    for (from, until) in parts {
        together += made(&exchange, asked(from, until, None)).await.totals().records;
    }
    assert_eq!(together, whole.totals().records);
}

#[tokio::test]
async fn events_that_stand_twice_count_once_also_where_they_came_late() {
    let dir = tempfile::tempdir().expect("folder");
    let log = log(dir.path());
    let exchange = with_samples(node(Arc::clone(&log), dir.path()).await).await;
    let topic = TopicName::parse("ldop.exchanges").expect("a name");
    let (from, until) = (midnight("2026-03-01"), midnight("2026-04-01"));
    let look_up = |id: u8| {
        Kind::LookUpAnswered(LookUpAnswered {
            exchange_id: vec![id; 16],
            system: "cong-an-tinh/doi-soat".into(),
            agreement: "civil-status-to-police".into(),
            dataset: "civil-status".into(),
            stage: "live".into(),
            outcome: LookUpOutcome::Answered.into(),
            found: 1,
            purpose_code: "reconciliation".into(),
            ..Default::default()
        })
    };
    let export = |id: u8| {
        Kind::TransferEnded(TransferEnded {
            exchange_id: vec![id; 16],
            system: "thue-tinh/quan-ly-thue".into(),
            agreement: "communes-to-tax".into(),
            dataset: "communes".into(),
            stage: "live".into(),
            outcome: TransferOutcome::Finished.into(),
            records: 5,
            mode: "export".into(),
            ..Default::default()
        })
    };
    // When it happened, when the log took it, and what it was.
    let events = [
        (from, from, Some(look_up(1))),
        // The hub died before the log had it, and was down for days: the journal brought it, all of it, behind the period.
        (TimestampMs(until.0 - 1), TimestampMs(until.0 + 5 * DAY_MS), Some(look_up(2))),
        (TimestampMs(until.0 - 1), TimestampMs(until.0 + 5 * DAY_MS), Some(look_up(2))),
        // The end of an export that was not acknowledged, and written again a second later, in the next period.
        (TimestampMs(from.0 - 500), TimestampMs(from.0 - 500), Some(export(3))),
        (TimestampMs(from.0 + 500), TimestampMs(from.0 + 500), Some(export(3))),
        (TimestampMs(from.0 + 600), TimestampMs(from.0 + 600), Some(export(4))),
        (until, until, Some(look_up(5))),
        // Of a newer release.
        (from, from, None),
    ];
    for (time, written, kind) in events {
        let key = match &kind {
            Some(Kind::LookUpAnswered(answered)) => answered.exchange_id.clone(),
            Some(Kind::TransferEnded(ended)) => ended.exchange_id.clone(),
            _ => vec![9; 16],
        };
        let index = partition_of(&key, 4);
        let value = ExchangeEvent { time_ms: time.0, kind }.encode_to_vec();
        let entry =
            NewEntry { key: Some(key.into()), value: Some(value.into()), headers: Vec::new(), timestamp: written };
        let appender = log.appender(Partition { topic: topic.clone(), index }).await.expect("open");
        appender.append(vec![entry]).expect("taken").await.expect("durable");
    }
    let dimensions = [Dimension::Mode, Dimension::Outcome, Dimension::Purpose, Dimension::ConsumerAgency];
    let report = made(&exchange, question(from, Some(until), &dimensions)).await;
    let expected = ["export finished thue-tinh 1 5 0", "look_up answered reconciliation cong-an-tinh 2 2 0"];
    assert_eq!(told(&report), expected);
    assert_eq!(report.passed_over(), PassedOver { repeated: 2, newer_kind: 1, unreadable: 0 });
}

#[tokio::test]
async fn a_report_ends_with_the_log() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut reporting = Reporting::new(Arc::clone(&exchange), question(TimestampMs(0), None, &[]));
    exchange.log().close(SOON).await.expect("closed");
    let refused = reporting.next().await.expect_err("the log is closed");
    assert!(matches!(refused, ReportError::Log(Reason::ShuttingDown | Reason::LogUnavailable)), "{refused}");
}

//! How often codes stand in records: counted from the log, without a word of what the records hold.

use std::collections::{BTreeMap, HashSet};

use ldop_contract::catalog::v1::WireFormat;
use ldop_exchange::{
    codes::{CodeQuestion, Counting},
    header,
};
use ldop_types::CodeListId;
use serde_json::Value;

use super::*;

type Counts = BTreeMap<(String, Stage, String, String), u64>;

fn question(list: &str, codes: &[&str]) -> CodeQuestion {
    let codes: HashSet<String> = codes.iter().map(|code| (*code).to_owned()).collect();
    CodeQuestion { code_list: CodeListId::parse(list).expect("an id"), codes, days: 30 }
}

async fn count(exchange: &Arc<Exchange>, list: &str, codes: &[&str]) -> (Counts, Counting) {
    let mut counting = Counting::new(Arc::clone(exchange), &question(list, codes)).expect("schemas compile");
    while !counting.next().await.expect("the log answers") {}
    let counts = counting
        .counts()
        .map(|count| {
            let place = (count.dataset.to_string(), count.stage, count.pointer.to_owned(), count.code.to_owned());
            (place, count.records)
        })
        .collect();
    (counts, counting)
}

/// The counts as the samples themselves tell them.
fn expected(samples: &[Sample], stage: Stage, pointers: &[&str], codes: &[&str]) -> Counts {
    let mut counts = Counts::new();
    for sample in samples {
        let record: Value = serde_json::from_slice(&sample.payload).expect("JSON");
        for pointer in pointers {
            if let Some(code) = record.pointer(pointer).and_then(Value::as_str)
                && codes.contains(&code)
            {
                *counts.entry(("civil-status".into(), stage, (*pointer).into(), code.into())).or_default() += 1;
            }
        }
    }
    counts
}

async fn publish_all(exchange: &Arc<Exchange>, stage: Stage, samples: &[Sample]) {
    let provider = system(Dataset::CivilStatus.provider());
    let mut publisher = Publisher::open(Arc::clone(exchange), provider, births(), stage).expect("may provide");
    for verdict in
        send(&mut publisher, samples.iter().map(|sample| incoming(ExchangeId::new(), sample)).collect()).await
    {
        receipt(&verdict);
    }
}

#[tokio::test]
async fn codes_are_counted_by_place_and_stage_in_plain_and_framed_records() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let samples: Vec<Sample> = ldop_sample_data::records(Dataset::CivilStatus, 3, 900, 0.0).collect();
    let (live, testing) = samples.split_at(700);
    let (plain, framed) = live.split_at(400);
    publish_all(&exchange, Stage::Live, plain).await;
    wire_format::set_format(&exchange, WireFormat::Confluent).await;
    publish_all(&exchange, Stage::Live, framed).await;
    publish_all(&exchange, Stage::Testing, testing).await;

    let (pointers, codes) = (["/sex", "/spouse/sex"], ["1", "2"]);
    let mut all = expected(live, Stage::Live, &pointers, &codes);
    all.extend(expected(testing, Stage::Testing, &pointers, &codes));
    assert!(all.len() >= 4 && all.values().sum::<u64>() > 100, "the samples hold the codes: {all:?}");
    let (found, counting) = count(&exchange, "sex-qcvn109", &codes).await;
    assert_eq!(found, all);
    let looked: BTreeMap<_, _> =
        counting.datasets().map(|(dataset, stage, records)| ((dataset.to_string(), stage), records)).collect();
    assert_eq!(looked[&("civil-status".to_owned(), Stage::Live)], 700);
    assert_eq!(looked[&("civil-status".to_owned(), Stage::Testing)], 200);
    assert_eq!(looked[&("businesses".to_owned(), Stage::Live)], 0, "bound to the list, and nobody has published");
    assert!(!looked.contains_key(&("communes".to_owned(), Stage::Live)), "not bound to it");
    assert_eq!(counting.records(), 900);
    let (passed, total) = counting.entries();
    assert!(passed == total && total >= 900);
    assert!(counting.counts().all(|count| count.last_accepted.0 > TimestampMs::now().0 - 60_000));

    // A count that another one waits for goes on; one that is dropped lets the next one begin.
    let first = Counting::new(Arc::clone(&exchange), &question("sex-qcvn109", &["2"])).expect("schemas compile");
    let mut second = Counting::new(Arc::clone(&exchange), &question("sex-qcvn109", &["2"])).expect("schemas compile");
    drop(first);
    while !second.next().await.expect("the log answers") {}
    assert_eq!(second.records(), 900);
}

#[tokio::test]
async fn void_records_and_records_of_earlier_days_are_not_counted() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let samples = good(40);
    publish_all(&exchange, Stage::Live, &samples).await;
    let codes = ["birth", "marriage", "death"];
    let pointers = ["/kind"];
    let all = expected(&samples, Stage::Live, &pointers, &codes);
    assert_eq!(count(&exchange, "register-entry-kinds", &codes).await.0, all);

    // What a writer of the past leaves on the log has no effect, and an entry nobody knows is passed over.
    let log = exchange.log();
    let topic = dataset_topic(Stage::Live, &births());
    let partition = Partition { topic, index: 0 };
    let read = log.fetch(&partition, 0, 1 << 20, Duration::ZERO).await.expect("read");
    let record = read.entries.iter().find(|entry| entry.value.is_some()).expect("a record").clone();
    let headers = record.headers.iter().map(|(name, value)| {
        let name = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ldop"].into_iter().find(|n| **n == **name);
        (name.expect("a header of ours"), value.clone())
    });
    let again = NewEntry {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: headers.collect(),
        timestamp: TimestampMs::now(),
    };
    let marker = header::marker(u64::MAX, [9; 16], TimestampMs::now());
    let foreign = NewEntry {
        key: None,
        value: Some(Bytes::from_static(b"x")),
        headers: Vec::new(),
        timestamp: TimestampMs::now(),
    };
    let appender = log.appender(partition).await.expect("an appender");
    appender.append(vec![marker, again, foreign]).expect("taken").await.expect("durable");
    assert_eq!(count(&exchange, "register-entry-kinds", &codes).await.0, all);

    let far = CodeQuestion { days: 0, ..question("register-entry-kinds", &codes) };
    let mut counting = Counting::new(Arc::clone(&exchange), &far).expect("schemas compile");
    while !counting.next().await.expect("the log answers") {}
    assert_eq!((counting.records(), counting.counts().count()), (0, 0), "nothing since now");
}

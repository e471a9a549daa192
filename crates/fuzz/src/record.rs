//! Records: the strict parser against `serde_json`, schema and dictionary on what comes through.

use bytes::Bytes;
use ldop_exchange::frame::{self, Frame, Framing};
use ldop_sample_data::{CANARY_MARKERS, Dataset, canary_record, records};
use ldop_schema_registry::{Document, Outcome, Parser, registry::SchemaId};
use ldop_types::{Date, Finding};

use crate::world::world;

pub(crate) fn run(data: &[u8]) {
    framed(data);
    let mut parser = Parser::default();
    match parser.parse(data) {
        Ok(document) => {
            let theirs: serde_json::Value = serde_json::from_slice(data).expect("what we accept serde_json accepts");
            assert!(same(&document.root().to_tree(), &theirs), "both read the same");
            check(&document);
        }
        Err(finding) => tells_no_value(&finding),
    }
}

/// As a provider sends it to a dataset in the Confluent wire format.
fn framed(data: &[u8]) {
    let (frame, payload) = frame::split(Bytes::copy_from_slice(data));
    assert!(data.ends_with(&payload), "nothing of the payload is lost");
    let framing = Framing::new(SchemaId(7), vec![(SchemaId(7), [7; 16])]);
    framing.finding(&frame).iter().for_each(tells_no_value);
    let value = framing.value(&payload);
    assert_eq!(frame::behind(&value), Some(&payload[..]), "what the hub frames it reads");
    assert_eq!(frame::split(value), (Frame::Id(SchemaId(7)), payload), "and so do clients");
}

fn check(document: &Document<'_>) {
    let day = Date::parse("2026-07-01").expect("a day");
    let mut outcome = Outcome::default();
    let mut key = Vec::new();
    for (name, schema) in &world().schemas {
        outcome.clear();
        let accepted = schema.check(document, day, &mut outcome);
        assert_eq!(accepted, outcome.is_accepted(), "{name}: answer and findings agree");
        outcome.findings.iter().chain(&outcome.warnings).for_each(tells_no_value);
        if accepted {
            assert!(document.root().as_object().is_some(), "{name}: a record is an object");
        }
        // Whatever the fields hold: findings or a key, and both without a panic.
        let fields: Vec<&str> = schema.top_level_fields().iter().take(8).map(|field| field.name.as_str()).collect();
        if let Err(findings) = document.key(&fields, &mut key) {
            findings.iter().for_each(tells_no_value);
        }
    }
}

/// A finding names places and rules; texts of a record must not come through it.
pub(crate) fn tells_no_value(finding: &Finding) {
    let told = format!("{finding:?} {} {}", finding.message.vi, finding.message.en);
    for marker in CANARY_MARKERS {
        assert!(!told.contains(marker), "a finding holds a value of the record");
    }
}

/// Equal, but for the last digits of fractions: `serde_json` does not round to the nearest.
pub(crate) fn same(ours: &serde_json::Value, theirs: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (ours, theirs) {
        (Array(ours), Array(theirs)) => ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b)),
        (Object(ours), Object(theirs)) => {
            ours.len() == theirs.len() && ours.iter().all(|(name, a)| theirs.get(name).is_some_and(|b| same(a, b)))
        }
        (Number(ours), Number(theirs)) => {
            ours == theirs || ours.as_f64().zip(theirs.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= a.abs() * 1e-14)
        }
        _ => ours == theirs,
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = vec![
        b"{}".to_vec(),
        br#"{"a":[1,-0,1.5e300,1e-7,9007199254740993,18446744073709551616],"b":{"c":null,"d":[true,false]}}"#.to_vec(),
        br#"{"\u0061\n\ud83d\ude00":"\\\"\/\b\f\t","":{"":[[],{}]}}"#.to_vec(),
        format!("{}{}", "[".repeat(63), "]".repeat(63)).into_bytes(),
        b"\0\0\0\0\x07{}".to_vec(),
        [&[1], &[7; 16][..], b"{}"].concat(),
    ];
    for dataset in Dataset::ALL {
        seeds.extend(records(dataset, 7, 12, 0.5).map(|sample| sample.payload.to_vec()));
        seeds.extend((0..6).map(|n| canary_record(dataset, n).payload.to_vec()));
    }
    seeds.extend(ldop_sample_data::communes().iter().take(2).map(|sample| sample.payload.to_vec()));
    seeds
}

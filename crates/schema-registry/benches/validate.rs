//! How fast records of about 1 KB are parsed and checked, against the `jsonschema` crate alone on the same records.
//!
//! `cargo bench -p ldop-schema-registry` prints nanoseconds for each record: the best of several rounds, in which the
//! contestants take turns, so that a change of the machine's speed meets all of them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::Date;
use serde_json::Value;

#[path = "../tests/registry/births.rs"]
mod births;

/// Two rules across fields, as a birth register asks them.
const RULES: &str = r#"[
    {"id": "registered-after-birth", "rule": "this.ngay_dang_ky >= earliest(this.ngay_sinh)", "at": "/ngay_dang_ky",
     "message": {"vi": "Đăng ký trước ngày sinh", "en": "Registered before the birth"}},
    {"id": "mother-is-older", "when": "has(this.me_ngay_sinh)", "at": "/me_ngay_sinh",
     "rule": "years_between(earliest(this.me_ngay_sinh), latest(this.ngay_sinh)) >= 10",
     "message": {"vi": "Mẹ quá trẻ", "en": "The mother is too young"}}
]"#;

const RECORDS: usize = 2_000;
const ROUNDS: usize = 25;

struct Contestant<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> usize + 'a>,
    best: Duration,
}

fn main() {
    let records = births::records(RECORDS);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let trees: Vec<Value> = records.iter().map(|record| serde_json::from_slice(record).expect("well-formed")).collect();
    let on = Date::parse("2026-07-01").expect("a day");

    let ours = CompiledSchema::compile(births::SCHEMA, &births::dictionary()).expect("a good schema");
    let mut with_rules: Value = serde_json::from_str(births::SCHEMA).expect("well-formed");
    with_rules["x-ldop-rules"] = serde_json::from_str(RULES).expect("well-formed");
    let with_rules = CompiledSchema::compile(&with_rules.to_string(), &births::dictionary()).expect("a good schema");
    let tree: Value = serde_json::from_str(births::SCHEMA).expect("well-formed");
    let options = jsonschema::options().should_validate_formats(true);
    let theirs = options.with_pattern_options(jsonschema::PatternOptions::regex()).build(&tree).expect("a good schema");

    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let (mut lone_parser, mut third_parser, mut third_outcome) =
        (Parser::default(), Parser::default(), Outcome::default());
    let mut contestants = [
        contestant("parse (ours)", || {
            records.iter().filter(|record| lone_parser.parse(record).is_ok_and(|d| d.value_count() > 0)).count()
        }),
        contestant("parse, schema, dictionary (ours)", || {
            let accepts =
                |record: &&Vec<u8>| parser.parse(record).is_ok_and(|document| ours.check(&document, on, &mut outcome));
            records.iter().filter(accepts).count()
        }),
        contestant("serde_json to Value", || {
            records.iter().filter(|record| serde_json::from_slice::<Value>(record).is_ok()).count()
        }),
        contestant("serde_json to Value, jsonschema", || {
            let accepts =
                |record: &&Vec<u8>| serde_json::from_slice::<Value>(record).is_ok_and(|tree| theirs.is_valid(&tree));
            records.iter().filter(accepts).count()
        }),
        contestant("jsonschema on parsed Values", || trees.iter().filter(|tree| theirs.is_valid(tree)).count()),
        contestant("and two rules across fields (ours)", || {
            let accepts = |record: &&Vec<u8>| {
                third_parser.parse(record).is_ok_and(|document| with_rules.check(&document, on, &mut third_outcome))
            };
            records.iter().filter(accepts).count()
        }),
    ];
    for _ in 0..ROUNDS {
        for contestant in &mut contestants {
            let start = Instant::now();
            let accepted = black_box((contestant.run)());
            contestant.best = contestant.best.min(start.elapsed());
            assert_eq!(accepted, RECORDS, "{}: every record is right", contestant.name);
        }
    }

    let start = Instant::now();
    let dictionary = births::dictionary();
    let made = start.elapsed();
    let compiled = (0..50).map(|_| {
        let start = Instant::now();
        black_box(CompiledSchema::compile(births::SCHEMA, &dictionary)).expect("a good schema");
        start.elapsed()
    });
    println!("dictionary made in {made:.0?}, schema compiled in {:.0?}", compiled.min().unwrap_or_default());
    println!("{RECORDS} records, {} bytes and {} properties each", bytes / RECORDS, ours.property_count());
    let nanos = |index: usize| contestants[index].best.as_nanos() as f64 / RECORDS as f64;
    for (index, contestant) in contestants.iter().enumerate() {
        println!("{:>36} {:7.0} ns", contestant.name, nanos(index));
    }
    println!("rate of ours / rate of serde_json and jsonschema: {:.2}", nanos(3) / nanos(1));
    println!("rate of ours / rate of jsonschema on parsed Values: {:.2}", nanos(4) / nanos(1));
    println!("check alone / jsonschema on parsed Values: {:.2} of the time", (nanos(1) - nanos(0)) / nanos(4));
    println!("the same with two rules: {:.2} of the time", (nanos(5) - nanos(0)) / nanos(4));
}

fn contestant<'a>(name: &'static str, run: impl FnMut() -> usize + 'a) -> Contestant<'a> {
    Contestant { name, run: Box::new(run), best: Duration::MAX }
}

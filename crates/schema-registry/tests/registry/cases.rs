//! Records as data: each file of `tests/cases` has a schema, records, and exactly what is found in each.
//!
//! Elements are those of `tests/registry/births.rs`. A record is given as JSON or, where the bytes matter, as `raw` text.

use std::{collections::BTreeSet, fs, path::Path};

use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::{Date, Finding};
use serde_json::Value;

use crate::births;

#[test]
fn each_record_is_found_to_break_exactly_the_rules_expected() {
    let dictionary = births::dictionary();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut failures = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let case: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("well-formed");
        let schema = if case["schema"].is_string() { births::SCHEMA.to_owned() } else { case["schema"].to_string() };
        let schema = CompiledSchema::compile(&schema, &dictionary).unwrap_or_else(|f| panic!("{file}: {f:?}"));
        for record in case["records"].as_array().expect("records") {
            count += 1;
            let name = format!("{file}: {}", record["name"].as_str().expect("a name"));
            failures.extend(check(&schema, record).map(|failure| format!("{name}: {failure}")));
        }
    }
    assert!(count > 50, "{count} records only");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn check(schema: &CompiledSchema, record: &Value) -> Option<String> {
    let bytes = match record["raw"].as_str() {
        Some(raw) => raw.to_owned(),
        None => record["record"].to_string(),
    };
    let on = Date::parse(record["on"].as_str().unwrap_or("2026-07-01")).expect("a day");
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    match parser.parse(bytes.as_bytes()) {
        Ok(document) => {
            let accepted = schema.check(&document, on, &mut outcome);
            assert_eq!(accepted, outcome.findings.is_empty());
        }
        Err(finding) => outcome.findings.push(finding),
    }
    for finding in outcome.findings.iter().chain(&outcome.warnings) {
        for secret in record["secret"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(!format!("{finding:?}").contains(secret), "{finding:?} tells {secret}");
        }
        assert!(!finding.message.vi.is_empty() && !finding.message.en.is_empty());
    }
    let expected = (rules(&record["expect"]), rules(&record["warn"]));
    let found = (found(&outcome.findings), found(&outcome.warnings));
    (expected != found).then(|| format!("expected {expected:?}, found {found:?}"))
}

fn rules(list: &Value) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    list.as_array().into_iter().flatten().map(|entry| (text(&entry[0]), text(&entry[1]))).collect()
}

fn found(findings: &[Finding]) -> BTreeSet<(String, String)> {
    findings.iter().map(|finding| (finding.pointer.clone(), finding.rule.as_str().to_owned())).collect()
}

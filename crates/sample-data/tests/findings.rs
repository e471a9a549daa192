//! Holds the sample records and the sample schemas together: what is valid passes, what is planted is found.

mod support;

use std::{collections::BTreeMap, fs};

use ldop_sample_data::{Dataset, Sample, canary_record, commune_changes, communes, databases, records};
use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::{Rule, TimestampMs};
use serde_json::Value;

use support::{check, compile_schemas, files, schemas_folder};

const RECORDS: u64 = 20_000;
/// 2026-10-31T12:00:00Z: a day the codes of today are in force, for records without a time.
const TODAY: TimestampMs = TimestampMs(1_793_448_000_000);

/// Checks samples; each must give exactly what was planted.
fn hold(schema: &CompiledSchema, samples: impl IntoIterator<Item = Sample>) -> BTreeMap<Rule, u32> {
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let mut planted = BTreeMap::new();
    for sample in samples {
        let found = check(schema, &mut parser, &mut outcome, &sample.payload, sample.event_time);
        let expected: Vec<_> = sample.planted.iter().map(|p| (p.pointer.to_owned(), p.rule)).collect();
        assert_eq!(found, expected, "{} {}", sample.dataset, String::from_utf8_lossy(&sample.payload));
        if let Some(error) = sample.planted {
            *planted.entry(error.rule).or_default() += 1;
        }
    }
    planted
}

#[test]
fn valid_records_pass_without_findings_or_warnings() {
    let schemas = compile_schemas();
    for dataset in Dataset::ALL {
        assert!(hold(&schemas[dataset.schema()], records(dataset, 2026, RECORDS, 0.0)).is_empty());
    }
}

#[test]
fn each_planted_error_is_the_one_finding() {
    let schemas = compile_schemas();
    for dataset in Dataset::ALL {
        let planted = hold(&schemas[dataset.schema()], records(dataset, 2027, RECORDS, 1.0));
        assert_eq!(u64::from(planted.values().sum::<u32>()), RECORDS);
        assert!(planted.len() >= 11, "{planted:?}");
    }
}

#[test]
fn reference_data_and_canaries_keep_to_their_schemas() {
    let schemas = compile_schemas();
    hold(&schemas["commune"], communes());
    hold(&schemas["commune-change"], commune_changes());
    hold(&schemas["database-entry"], databases());
    for dataset in Dataset::ALL {
        hold(&schemas[dataset.schema()], (0..100).map(|n| canary_record(dataset, n)));
    }
}

#[test]
fn examples_say_what_is_found() {
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    for (name, schema) in compile_schemas() {
        let folder = schemas_folder().join("records");
        let accepted = files(&folder.join(format!("{name}.accepted")), ".json");
        let rejected = files(&folder.join(format!("{name}.rejected")), ".json");
        assert!(accepted.len() >= 2 && rejected.len() >= 3, "{name} has too few examples");
        for path in accepted {
            let record = fs::read(&path).expect("readable");
            assert_eq!(check(&schema, &mut parser, &mut outcome, &record, TODAY), [], "{}", path.display());
        }
        for path in rejected {
            let example: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
            let record = serde_json::to_vec(&example["record"]).expect("JSON");
            let mut expected: Vec<_> = example["expect"]
                .as_array()
                .expect("an array")
                .iter()
                .map(|finding| {
                    let word = finding["rule"].as_str().expect("a rule");
                    let rule = Rule::ALL.into_iter().find(|rule| rule.as_str() == word).expect("a known rule");
                    (finding["pointer"].as_str().expect("a pointer").to_owned(), rule)
                })
                .collect();
            expected.sort();
            // Every example tells of a day the codes of today are in force.
            assert_eq!(check(&schema, &mut parser, &mut outcome, &record, TODAY), expected, "{}", path.display());
        }
    }
}

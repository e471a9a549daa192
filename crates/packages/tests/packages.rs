//! Packages: what goes in comes out, in every format; a cut export goes on; a check finds what was done to one.

use std::{collections::BTreeMap, fs, path::Path};

use ldop_packages::{
    Error,
    check::check,
    file::{Format, Read, Writer, read},
    layout::Layout,
    manifest::{self, Call, Manifest, Of, Position},
    package::{Begun, Package, STATE},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const FORMATS: [Format; 3] = [Format::Jsonl, Format::Csv, Format::Parquet];

fn fields() -> Vec<String> {
    ["code", "count", "area", "open", "address"].map(str::to_owned).to_vec()
}

fn schema() -> Value {
    json!({ "properties": {
        "code": { "type": "string" }, "count": { "type": ["integer", "null"] }, "area": { "type": "number" },
        "open": { "type": "boolean" }, "address": { "type": "object" },
    }})
}

fn begun(exchange: &str, resumed: bool) -> Begun {
    Begun {
        of: Of {
            agreement: "a-to-b".into(),
            agreement_version: 2,
            dataset: "a".into(),
            stage: "live".into(),
            granted_fields: fields(),
            source: "log".into(),
        },
        call: Call {
            exchange_id: exchange.into(),
            resumed,
            started: "2026-01-01T00:00:00+07:00".into(),
            positions: vec![Position { partition: 0, offset: 9 }],
            records: 0,
            salt: "00".into(),
            stream_hash: None,
        },
    }
}

fn hash(payloads: &[String]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for payload in payloads {
        hash.update((payload.len() as u64).to_be_bytes());
        hash.update(payload);
    }
    hash.finalize().to_vec()
}

/// A record for each number, with everything a table has to tell apart.
fn record(n: usize) -> String {
    let record = match n % 6 {
        0 => json!({ "code": format!("{n:05}"), "count": n, "area": 1.5, "open": true, "address": { "x": [1, null] } }),
        1 => json!({ "code": "", "count": null, "area": -2, "open": null }),
        2 => json!({ "code": null, "count": "*****", "address": null }),
        3 => json!({}),
        4 => json!({ "code": "a,\"b\"\nc", "count": 1.5, "area": 123_456_789.123_456_79_f64, "open": "true" }),
        _ => json!({ "code": " ắ ", "count": i64::MAX, "area": 0.1, "open": false, "address": "text" }),
    };
    record.to_string()
}

/// Numbers by their value: 5 and 5.0 are one.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.as_i64().is_none()) {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

fn read_all(path: &Path, format: Format, layout: &Layout) -> Vec<Value> {
    let mut records = Vec::new();
    read(path, format, layout, &mut |read| {
        records.push(plain(&match read {
            Read::Line(line) => serde_json::from_slice(line).expect("JSON"),
            Read::Record(record) => Value::Object(record),
        }));
        Ok(())
    })
    .expect("can be read");
    records
}

fn round_trip(payloads: &[String], format: Format, layout: &Layout) {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("file");
    let mut writer = Writer::create(path.clone(), format, layout).expect("made");
    for payload in payloads {
        writer.put(payload.as_bytes()).expect("written");
    }
    let written = writer.finish().expect("finished");
    assert_eq!(written.records, payloads.len() as u64);
    assert_eq!(written.bytes, fs::metadata(&path).expect("there").len());
    let meant: Vec<Value> =
        payloads.iter().map(|payload| plain(&serde_json::from_str(payload).expect("JSON"))).collect();
    assert_eq!(read_all(&path, format, layout), meant, "{format:?}");
}

#[test]
fn null_absent_empty_and_values_that_do_not_fit_come_back_as_they_were() {
    let payloads: Vec<String> = (0..9_000).map(record).collect();
    for format in FORMATS {
        round_trip(&payloads, format, &Layout::of(&fields(), Some(&schema())));
        round_trip(&payloads[..60], format, &Layout::of(&fields(), None));
    }
}

#[test]
fn line_breaks_between_tokens_are_told_and_change_no_record() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("file");
    let layout = Layout::of(&fields(), None);
    let mut writer = Writer::create(path.clone(), Format::Jsonl, &layout).expect("made");
    writer.put(b"{\n  \"code\": \"x\\n\"\r\n}").expect("written");
    writer.put(br#"{"code":"y"}"#).expect("written");
    assert_eq!(writer.finish().expect("finished").rewritten, 1);
    assert_eq!(read_all(&path, Format::Jsonl, &layout), [json!({ "code": "x\n" }), json!({ "code": "y" })]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9_f64..1e9).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 0..3)
                .prop_map(|members: BTreeMap<String, Value>| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn any_record_comes_back_from_a_table(
        records in proptest::collection::vec(proptest::collection::btree_map(0_usize..5, value(), 0..5), 1..20),
        has_schema in any::<bool>(),
    ) {
        let fields = fields();
        let payloads: Vec<String> = records
            .into_iter()
            .map(|record| {
                let members: Map<String, Value> = record.into_iter().map(|(at, v)| (fields[at].clone(), v)).collect();
                Value::Object(members).to_string()
            })
            .collect();
        let layout = Layout::of(&fields, has_schema.then(schema).as_ref());
        for format in FORMATS {
            round_trip(&payloads, format, &layout);
        }
    }
}

/// Exports so many records to a folder, in one go.
fn whole(dir: &Path, format: Format, count: usize) -> Manifest {
    let payloads: Vec<String> = (0..count).map(record).collect();
    let mut package = Package::open(dir, "a-to-b", format, 10).expect("opened");
    package.begin(begun("1", false), Some(&schema())).expect("begun");
    for (at, payload) in payloads.iter().enumerate() {
        package.put(payload.as_bytes(), 1 + (at / 20) as u32, false).expect("written");
        if at % 5 == 4 {
            package.reached(&[at as u8]).expect("written");
        }
    }
    package.finish(count as u64, &hash(&payloads), "2026-01-01T00:01:00+07:00".into()).expect("finished")
}

#[test]
fn a_package_that_is_whole_is_right_and_says_what_is_in_it() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("folder");
        let manifest = whole(dir.path(), format, 47);
        assert_eq!((manifest.records, manifest.files.len(), manifest.calls.len()), (47, 5, 1));
        assert_eq!(manifest.schema_versions, [1, 2, 3]);
        assert_eq!(manifest.stream_hash, manifest.calls[0].stream_hash);
        let checked = check(dir.path());
        assert_eq!((checked.problems, checked.manifest), (vec![], Some(manifest)));
        assert!(!dir.path().join(STATE).exists());
        let again = Package::open(dir.path(), "a-to-b", format, 10).map(|_| ());
        assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    }
}

#[test]
fn deletions_stand_among_the_records_and_are_told_apart() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("folder");
        let payloads = [record(1), r#"{"code":"c-1"}"#.to_owned(), "{}".to_owned(), record(2)];
        let mut package = Package::open(dir.path(), "a-to-b", format, 10).expect("opened");
        package.begin(begun("1", false), Some(&schema())).expect("begun");
        for (at, payload) in payloads.iter().enumerate() {
            package.put(payload.as_bytes(), 1, at == 1 || at == 2).expect("written");
        }
        let told = hash(&payloads);
        let manifest = package.finish(4, &told, "2026-01-01T00:01:00+07:00".into()).expect("finished");
        assert_eq!(check(dir.path()).problems, [], "{format:?}");
        let field = manifest.deletion_field.expect("the log has deletions");
        let layout = manifest.table.unwrap_or_else(|| Layout::of(&[], None));
        let mut found = Vec::new();
        let path = dir.path().join(&manifest.files[0].name);
        read(&path, format, &layout, &mut |read| {
            let record = match read {
                Read::Line(line) => serde_json::from_slice(line).expect("JSON"),
                Read::Record(record) => record,
            };
            found.push((record.get("code").cloned(), record.get(&field) == Some(&true.into())));
            Ok(())
        })
        .expect("read");
        let is_deletion: Vec<bool> = found.iter().map(|(_, is_deletion)| *is_deletion).collect();
        assert_eq!(is_deletion, [false, true, true, false]);
        assert_eq!(found[1].0, Some("c-1".into()));
    }
}

#[test]
fn an_export_without_records_is_a_package_too() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("folder");
        assert_eq!(whole(dir.path(), format, 0).files, []);
        assert_eq!(check(dir.path()).problems, []);
    }
}

#[test]
fn an_export_that_was_cut_goes_on_behind_the_last_whole_file() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("folder");
        let payloads: Vec<String> = (0..40).map(record).collect();
        let mut package = Package::open(dir.path(), "a-to-b", format, 10).expect("opened");
        package.begin(begun("1", false), Some(&schema())).expect("begun");
        for (at, payload) in payloads[..27].iter().enumerate() {
            package.put(payload.as_bytes(), 1, false).expect("written");
            package.reached(&[at as u8, 0xab]).expect("written");
        }
        // The program ends here.
        drop(package);
        assert!(!check(dir.path()).problems.is_empty());
        let other = Package::open(dir.path(), "c-to-b", format, 10).map(|_| ());
        assert!(matches!(other, Err(Error::Other { .. })), "{other:?}");
        let mut package = Package::open(dir.path(), "a-to-b", format, 10).expect("opened");
        assert_eq!((package.resume_token(), package.records()), (Some(vec![19, 0xab]), 20));
        // Under another version of the agreement other things come.
        let mut changed = begun("2", true);
        changed.of.agreement_version = 3;
        assert!(matches!(package.begin(changed, None), Err(Error::Other { .. })));
        package.begin(begun("2", true), None).expect("begun");
        for payload in &payloads[20..] {
            package.put(payload.as_bytes(), 1, false).expect("written");
        }
        let manifest = package.finish(20, &hash(&payloads[20..]), String::new()).expect("finished");
        assert_eq!((manifest.records, manifest.stream_hash.as_ref()), (40, None));
        assert_eq!(manifest.calls.iter().map(|call| call.records).collect::<Vec<_>>(), [20, 20]);
        assert_eq!(check(dir.path()).problems, []);
        let layout = manifest.table.clone().unwrap_or_else(|| Layout::of(&[], None));
        let files = manifest.files.iter().flat_map(|file| read_all(&dir.path().join(&file.name), format, &layout));
        let meant: Vec<Value> = payloads.iter().map(|text| plain(&serde_json::from_str(text).expect("JSON"))).collect();
        assert_eq!(files.collect::<Vec<_>>(), meant);
    }
}

#[test]
fn an_export_that_was_cut_before_its_first_file_begins_anew() {
    let dir = tempfile::tempdir().expect("folder");
    let mut package = Package::open(dir.path(), "a-to-b", Format::Csv, 10).expect("opened");
    package.begin(begun("1", false), None).expect("begun");
    package.put(record(0).as_bytes(), 1, false).expect("written");
    drop(package);
    let mut package = Package::open(dir.path(), "a-to-b", Format::Csv, 10).expect("opened");
    assert_eq!((package.resume_token(), package.records()), (None, 0));
    // What was changed meanwhile stands in nobody's way.
    let mut changed = begun("2", false);
    changed.of.agreement_version = 3;
    package.begin(changed, Some(&schema())).expect("begun");
    package.put(record(1).as_bytes(), 1, false).expect("written");
    let manifest = package.finish(1, &hash(&[record(1)]), String::new()).expect("finished");
    assert_eq!((manifest.calls.len(), manifest.records, manifest.of.agreement_version), (1, 1, 3));
    assert_eq!(check(dir.path()).problems, []);
}

#[test]
fn what_the_hub_did_not_give_is_no_package() {
    let dir = tempfile::tempdir().expect("folder");
    for (count, hashed) in [(1, record(0)), (2, record(1))] {
        let mut package = Package::open(dir.path(), "a-to-b", Format::Csv, 10).expect("opened");
        package.begin(begun("1", false), None).expect("begun");
        package.put(record(1).as_bytes(), 1, false).expect("written");
        let refused = package.finish(count, &hash(&[hashed]), String::new());
        assert!(matches!(refused, Err(Error::Differs { .. })), "{refused:?}");
        assert!(!dir.path().join(manifest::FILE).exists());
    }
    let strange = tempfile::tempdir().expect("folder");
    fs::write(strange.path().join("thesis.txt"), "x").expect("written");
    let refused = Package::open(strange.path(), "a-to-b", Format::Csv, 10).map(|_| ());
    assert!(matches!(refused, Err(Error::Exists(_))), "nothing of somebody else is touched: {refused:?}");
}

#[test]
fn a_check_finds_everything_that_was_done_at_once() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("folder");
        let manifest = whole(dir.path(), format, 60);
        let path = |at: usize| dir.path().join(&manifest.files[at].name);
        // One byte altered, a file gone, one cut short, one that is none of the package.
        let mut bytes = fs::read(path(0)).expect("there");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path(0), bytes).expect("written");
        fs::remove_file(path(1)).expect("removed");
        let bytes = fs::read(path(2)).expect("there");
        fs::write(path(2), &bytes[..bytes.len() - 7]).expect("written");
        fs::write(dir.path().join("note.txt"), "x").expect("written");
        let problems = check(dir.path()).problems;
        for name in [&manifest.files[0].name, &manifest.files[1].name, &manifest.files[2].name, "note.txt"] {
            assert!(
                problems.iter().any(|problem| problem.file == dir.path().join(name)),
                "{format:?} {name}: {problems:?}"
            );
        }
        assert!(problems.iter().all(|problem| !problem.file.ends_with(&manifest.files[3].name)));
    }
}

#[test]
fn a_check_finds_records_exchanged_together_with_their_file_hash() {
    let dir = tempfile::tempdir().expect("folder");
    let manifest = whole(dir.path(), Format::Jsonl, 10);
    let file = dir.path().join(&manifest.files[0].name);
    let text = fs::read_to_string(&file).expect("there").replacen("00000", "00001", 1);
    fs::write(&file, &text).expect("written");
    let told = fs::read_to_string(dir.path().join(manifest::FILE)).expect("there");
    let sha: String = Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(dir.path().join(manifest::FILE), told.replace(&manifest.files[0].sha256, &sha)).expect("written");
    let problems = check(dir.path()).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.en.contains("not those the hub gave"), "{problems:?}");
    fs::write(dir.path().join(manifest::FILE), "{").expect("written");
    assert_eq!(check(dir.path()).problems.len(), 1);
}

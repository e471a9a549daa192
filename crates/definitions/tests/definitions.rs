//! Folders of definitions through the public door. A case is a folder under `cases/` with what must be said of it, line
//! by line, in `expected.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ldop_contract::{catalog::v1::WireFormat, control::v1::change::Resource, registry::v1::Schema};
use ldop_definitions::{
    References, bundled,
    diff::{CompatibilityMode, CompatibilityPolicy, diff},
    load,
};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// The problems of a folder, with paths from the folder on.
fn problems(folder: &Path, references: References) -> Vec<String> {
    let prefix = format!("{}/", folder.display());
    let problems = load(&[folder.to_owned()], references).err().unwrap_or_default();
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn everything_wrong_with_a_folder_is_said_at_once() {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(cases()).expect("cases are there").map(|entry| entry.expect("readable").path()).collect();
    folders.sort();
    assert!(folders.len() >= 8, "cases went missing");
    let mut differing = String::new();
    for folder in folders {
        let expected = fs::read_to_string(folder.join("expected.txt")).expect("each case says what it expects");
        let found = problems(&folder, References::Within).join("\n");
        if found.trim() != expected.trim() {
            differing.push_str(&format!("--- {}\n{found}\n", folder.display()));
        }
    }
    assert!(differing.is_empty(), "found otherwise than expected:\n{differing}");
}

#[test]
fn the_published_folder_is_right_and_always_gives_the_same_changes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let once = load(std::slice::from_ref(&folder), References::Within)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()));
    let twice = load(&[folder], References::Within).expect("right the first time");
    assert_eq!(once, twice);
    assert!(once.examples > 20, "examples were run: {}", once.examples);
    // Every resource comes after what it refers to.
    let rank = |resource: &Resource| match resource {
        Resource::CodeList(_) => 0,
        Resource::Element(_) => 1,
        Resource::Schema(_) => 2,
        Resource::Agency(_) => 3,
        Resource::System(_) => 4,
        Resource::Dataset(_) => 5,
        Resource::Agreement(_) => 6,
        Resource::SubjectSettings(_) | Resource::SchemaTransition(_) | Resource::AgreementTransition(_) => 7,
    };
    let ranks: Vec<_> = once.changes.iter().map(|(_, c)| rank(c.resource.as_ref().expect("set"))).collect();
    assert!(ranks.is_sorted());
    assert_eq!(ranks.last(), Some(&6));
}

#[test]
fn a_dataset_says_how_its_records_stand_on_their_topics() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(cases().join("ok/parcel.schema.json"), folder.path().join("parcel.schema.json")).expect("copied");
    let text = fs::read_to_string(cases().join("ok/a.toml")).expect("readable");
    for (line, expected) in [
        ("wire_format = \"confluent\"", WireFormat::Confluent),
        ("wire_format = \"json\"", WireFormat::Unspecified),
        ("", WireFormat::Unspecified),
    ] {
        let text = text.replace("wire_format = \"confluent\"", line);
        fs::write(folder.path().join("a.toml"), text).expect("writable");
        let loaded = load(&[folder.path().to_owned()], References::Within).expect("right");
        let format = loaded.changes.iter().find_map(|(_, change)| match &change.resource {
            Some(Resource::Dataset(dataset)) => Some(dataset.wire_format()),
            _ => None,
        });
        assert_eq!(format, Some(expected), "{line}");
    }
}

#[test]
fn a_dataset_says_what_its_current_copy_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(cases().join("ok/parcel.schema.json"), folder.path().join("parcel.schema.json")).expect("copied");
    let text = fs::read_to_string(cases().join("ok/a.toml")).expect("readable");
    let line = "current_copy = { secondary_keys = [{ fields = [\"area\"] }] }";
    for (given, expected) in [(line, Some(vec!["area"])), ("current_copy = {}", Some(vec![])), ("", None)] {
        fs::write(folder.path().join("a.toml"), text.replace(line, given)).expect("writable");
        let loaded = load(&[folder.path().to_owned()], References::Within).expect("right");
        let dataset = loaded.changes.iter().find_map(|(_, change)| match &change.resource {
            Some(Resource::Dataset(dataset)) => Some(dataset.clone()),
            _ => None,
        });
        let copy = dataset.expect("a dataset").current_copy;
        let fields = copy.map(|copy| copy.secondary_keys.into_iter().flat_map(|key| key.fields).collect::<Vec<_>>());
        assert_eq!(fields, expected.map(|fields| fields.into_iter().map(str::to_owned).collect()), "{given}");
    }
    for (given, expected) in [("{ history = true }", true), ("{ history = false }", false), ("{}", false)] {
        let text = text.replace(line, &format!("current_copy = {given}"));
        fs::write(folder.path().join("a.toml"), text).expect("writable");
        let loaded = load(&[folder.path().to_owned()], References::Within).expect("right");
        let has_history = loaded.changes.iter().any(|(_, change)| match &change.resource {
            Some(Resource::Dataset(dataset)) => dataset.current_copy.as_ref().is_some_and(|copy| copy.history),
            _ => false,
        });
        assert_eq!(has_history, expected, "{given}");
    }
    fs::write(folder.path().join("a.toml"), text.replace("[\"area\"] }] }", "[\"aera\"] }] }")).expect("writable");
    let Err(problems) = load(&[folder.path().to_owned()], References::Within) else { panic!("no such field") };
    assert!(format!("{problems:?}").contains("did you mean \\\"area\\\"?"), "{problems:?}");
}

#[test]
fn a_part_may_refer_to_what_stands_elsewhere() {
    let part = cases().join("references");
    assert!(!problems(&part, References::Within).is_empty());
    assert_eq!(problems(&part, References::Elsewhere), Vec::<String>::new());
}

#[test]
fn schemas_come_behind_the_files_they_refer_to() {
    let loaded = load(&[cases().join("files")], References::Within).expect("right");
    assert_eq!(loaded.examples, 2, "records are judged with what the schema refers to");
    let changes: Vec<_> = loaded.changes.into_iter().map(|(_, change)| change).collect();
    let schemas: Vec<&Schema> = changes
        .iter()
        .filter_map(|change| match &change.resource {
            Some(Resource::Schema(schema)) => Some(schema),
            _ => None,
        })
        .collect();
    let names: Vec<&str> = schemas.iter().map(|schema| schema.name.as_str()).collect();
    assert_eq!(names, ["name", "address", "dwelling"]);
    let references = |at: usize| -> Vec<(&str, &str, u32)> {
        schemas[at].references.iter().map(|r| (r.name.as_str(), r.subject.as_str(), r.version)).collect()
    };
    assert_eq!(references(0), []);
    assert_eq!(references(1), [("./shared/name.schema.json", "name", 0), ("shared/name.schema.json", "name", 0)]);
    assert_eq!(references(2), [("address.schema.json", "address", 0), ("shared/name.schema.json", "name", 0)]);
    // Put together, as it would be at the hub.
    let (text, left) = bundled(schemas[2], &changes);
    assert!(left.is_empty() && text.contains("#/$defs/name@0/$defs/long"), "{text}");
    let (text, left) = bundled(schemas[2], &[]);
    assert_eq!((&text, &left), (&schemas[2].text, &schemas[2].references));
}

#[test]
fn a_schema_file_that_is_not_in_the_folder_may_stand_at_the_hub() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(cases().join("files/address.schema.json"), folder.path().join("address.schema.json")).expect("copied");
    assert_eq!(problems(folder.path(), References::Within).len(), 2);
    let loaded = load(&[folder.path().to_owned()], References::Elsewhere).expect("the hub has the rest");
    let Some(Resource::Schema(schema)) = &loaded.changes[0].1.resource else { panic!("a schema") };
    assert_eq!(schema.references.iter().map(|r| &*r.subject).collect::<Vec<_>>(), ["name", "name"]);
}

#[test]
fn files_are_compared_with_the_files_they_refer_to() {
    let (old, new) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    for folder in [old.path(), new.path()] {
        fs::create_dir(folder.join("shared")).expect("writable");
        for file in ["address.schema.json", "dwelling.schema.json", "shared/name.schema.json"] {
            fs::copy(cases().join("files").join(file), folder.join(file)).expect("copied");
        }
    }
    let verdict = || {
        let of = |folder: &Path| folder.join("dwelling.schema.json");
        diff(&of(old.path()), &of(new.path()), CompatibilityMode::Backward, CompatibilityPolicy::Strict)
    };
    assert_eq!(verdict().map(|verdict| verdict.differences.len()), Ok(0));
    let shared = new.path().join("shared/name.schema.json");
    let narrower = fs::read_to_string(&shared).expect("copied").replace("10", "9");
    fs::write(&shared, narrower).expect("writable");
    let found = verdict().expect("both can be read");
    let told: Vec<&str> = found.differences.iter().map(|difference| difference.kind.as_str()).collect();
    assert_eq!((found.is_compatible, told), (false, vec!["MAX_LENGTH_DECREASED"]));
    fs::remove_file(&shared).expect("there");
    let problems = verdict().expect_err("a file is missing");
    let place = problems[0].to_string();
    assert!(
        place.contains("dwelling.schema.json:3:20: /properties/name/$ref") && place.contains("cannot be read"),
        "{place}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let problems = problems(Path::new("/nowhere/at/all"), References::Within);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("/nowhere/at/all: cannot be read"), "{problems:?}");
}

//! Folders of definitions through the public door. A case is a folder under `cases/` with what must be said of it, line
//! by line, in `expected.txt`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ldop_contract::{catalog::v1::WireFormat, control::v1::change::Resource};
use ldop_definitions::{References, load};

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
        Resource::SubjectSettings(_) | Resource::SchemaTransition(_) => 7,
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
fn a_part_may_refer_to_what_stands_elsewhere() {
    let part = cases().join("references");
    assert!(!problems(&part, References::Within).is_empty());
    assert_eq!(problems(&part, References::Elsewhere), Vec::<String>::new());
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let problems = problems(Path::new("/nowhere/at/all"), References::Within);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("/nowhere/at/all: cannot be read"), "{problems:?}");
}

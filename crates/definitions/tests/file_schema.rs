//! schemas/definitions.toml-schema.json, by which editors check definition files, says of them what the reader says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use ldop_definitions::{References, load};
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn file_schema() -> Value {
    let text = fs::read_to_string(schemas().join("definitions.toml-schema.json")).expect("the schema is there");
    serde_json::from_str(&text).expect("JSON")
}

fn toml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            toml_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

/// As editors see TOML: dates are texts.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(number) => number.to_string().parse::<i64>().expect("a small number").into(),
        DeValue::Float(number) => number.to_string().parse::<f64>().expect("a number").into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => object(table),
    }
}

fn object(table: &DeTable<'_>) -> Value {
    let members = table.iter().map(|(name, value)| (name.get_ref().to_string(), json(value.get_ref())));
    Value::Object(members.collect::<Map<_, _>>())
}

#[test]
fn every_sample_file_keeps_the_schema_and_names_it() {
    let validator = jsonschema::validator_for(&file_schema()).expect("a good schema");
    let mut files = Vec::new();
    toml_files(&schemas(), &mut files);
    assert!(files.len() > 15, "files went missing");
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        let document = DeTable::parse(&text).expect("TOML");
        let errors: Vec<String> = validator
            .iter_errors(&object(document.get_ref()))
            .map(|error| format!("{}: {}: {error}", file.display(), error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}", errors.join("\n"));
        assert!(text.starts_with("#:schema ../definitions.toml-schema.json\n"), "{}", file.display());
    }
}

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let validator = jsonschema::validator_for(&file_schema()).expect("a good schema");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for case in ["unknown-keys", "dictionary", "values"] {
        let text = fs::read_to_string(cases.join(case).join("a.toml")).expect("readable");
        let document = DeTable::parse(&text).expect("TOML");
        assert!(!validator.is_valid(&object(document.get_ref())), "{case}");
    }
}

/// The keys the reader says it knows, when it meets one it does not.
fn known_keys(text: &str, key: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.toml"), text).expect("writable");
    let problems = load(&[folder.path().to_owned()], References::Elsewhere).expect_err("an unknown key");
    let problem = problems.iter().find(|problem| problem.key == key).expect("it is told");
    let known = problem.expected.strip_prefix("one of ").expect("all keys are named");
    known.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_schema_documents_every_key_the_reader_knows_and_no_other() {
    let schema = file_schema();
    for (text, key, pointer) in [
        ("[[element]]\n0 = 1\n", "element.0", "/definitions/element"),
        (
            "[[element]]\nrelations = [{ 0 = 1 }]\n",
            "element.relations.0",
            "/definitions/element/properties/relations/items",
        ),
        ("[[code_list]]\n0 = 1\n", "code_list.0", "/definitions/code_list"),
        ("[[code_list]]\ncodes = [{ 0 = 1 }]\n", "code_list.codes.0", "/definitions/code_list/properties/codes/items"),
        (
            "[[code_list]]\nvalue_maps = [{ 0 = 1 }]\n",
            "code_list.value_maps.0",
            "/definitions/code_list/properties/value_maps/items",
        ),
        ("[[agreement]]\n0 = 1\n", "agreement.0", "/definitions/agreement"),
        ("[[agreement]]\nmasks = [{ 0 = 1 }]\n", "agreement.masks.0", "/definitions/agreement/properties/masks/items"),
    ] {
        let properties = schema.pointer(pointer).and_then(|at| at["properties"].as_object()).expect("properties");
        let documented: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(documented, known_keys(text, key), "{pointer}");
        for (name, property) in properties {
            let described = property["description"].as_str().is_some_and(|text| text.contains(". "));
            assert!(described, "{pointer} {name} is described in both languages");
        }
    }
}

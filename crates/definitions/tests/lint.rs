//! Advice on schemas, and the examples of each, through the public door.

use std::{fs, path::Path};

use ldop_definitions::{
    References,
    lint::{AdviceRule, Level, describe, lint},
    testing::test,
};

const DICTIONARY: &str = "
[[element]]
id = \"a.name\"
name_vi = \"Tên\"
type = \"string\"
max_length = 50
sensitivity = \"none\"
";

/// Rules and pointers of a schema named `s`, beside a dictionary and what else a case needs.
fn findings(schema: &str, more: &str) -> Vec<(&'static str, String, u32)> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writable");
    write("dictionary.toml", DICTIONARY);
    write("more.toml", more);
    write("s.schema.json", schema);
    fs::create_dir(folder.path().join("s.accepted")).expect("writable");
    write("s.accepted/one.json", "{\"name\": \"x\"}");
    let linted = lint(&[folder.path().to_owned()], References::Elsewhere);
    assert_eq!(linted.schemas, 1);
    linted.findings.into_iter().map(|f| (f.rule, f.key, f.place.line)).collect()
}

#[test]
fn nothing_is_said_of_a_schema_that_is_well_made() {
    let schema = r##"{"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
        "name": {"$ref": "#/$defs/name"}, "more": {"type": "array", "items": {"$ref": "#/$defs/part"}}},
        "$defs": {"name": {"type": "string", "x-ldop-element": "a.name", "maxLength": 50},
            "part": {"type": "object", "additionalProperties": false, "properties": {"name": {"$ref": "#/$defs/name"}}}}}"##;
    assert_eq!(findings(schema, ""), []);
}

#[test]
fn advice_names_rule_place_and_line() {
    let schema = r##"{"type": "object",
        "properties": {
            "name": {"type": "string", "x-ldop-element": "a.name",
                "maxLength": 20},
            "parts": {"type": "array", "items":
                {"type": "object", "properties": {"name": {"type": "string", "x-ldop-element": "a.name"}}}}},
        "$defs": {
            "gone": {"$ref": "#/$defs/gone"}},
        "additionalProperties": false, "required": []}"##;
    let dataset = "[[dataset]]\nid = \"d\"\nname_vi = \"D\"\nowning_agency = \"o\"\nschema = \"s\"\nkey_fields = [\"name\"]\n\
                   partitions = 1\nproviders = [{ system = \"o/x\", stage = \"live\" }]\n";
    let found = findings(schema, dataset);
    let expected = [
        ("ADVICE_NOTHING_REQUIRED", "(root)", 1),
        ("ADVICE_NARROW_LENGTH", "/properties/name/maxLength", 4),
        ("ADVICE_OPEN_CONTENT", "/properties/parts/items", 6),
        ("ADVICE_UNUSED_DEFINITION", "/$defs/gone", 8),
        ("SCHEMA_KEY", "/required", 9),
    ];
    assert_eq!(found, expected.map(|(rule, key, line)| (rule, key.to_owned(), line)));
}

#[test]
fn branches_are_not_asked_to_be_closed() {
    let schema = r#"{"type": "object", "unevaluatedProperties": false, "required": ["name"],
        "properties": {"name": {"type": "string", "x-ldop-element": "a.name"}},
        "allOf": [{"properties": {"other": {"type": "string", "x-ldop-element": "a.name"}}}]}"#;
    assert_eq!(findings(schema, ""), []);
}

#[test]
fn every_rule_says_what_it_is_about() {
    for rule in AdviceRule::ALL {
        assert_eq!(describe(rule.as_str()), rule.describe());
    }
    assert_ne!(describe("SCHEMA_UNBOUND"), describe("DEFINITION"));
}

#[test]
fn the_published_folder_has_no_errors_and_its_examples_behave() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let linted = lint(std::slice::from_ref(&folder), References::Within);
    let errors: Vec<_> = linted.findings.iter().filter(|finding| finding.level == Level::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let tested = test(&[folder], References::Within);
    assert_eq!(tested.problems, []);
    assert_eq!(tested.schemas.len(), linted.schemas);
    assert!(tested.schemas.values().all(|test| test.is_compiled && test.accepted.run > 0 && test.rejected.run > 0));
}

#[test]
fn a_definition_that_another_file_refers_to_is_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/files");
    let linted = lint(&[folder], References::Within);
    let unused = AdviceRule::UnusedDefinition.as_str();
    assert_eq!(linted.findings.iter().filter(|finding| finding.rule == unused).count(), 0, "{:?}", linted.findings);
    assert!(linted.findings.iter().all(|finding| finding.level == Level::Warning), "{:?}", linted.findings);
}

use std::sync::Arc;

use ldop_types::SubjectName;

use super::*;
use crate::{
    compatibility::{CompatibilityMode, CompatibilityPolicy},
    document::Parser,
    schema::SCHEMA_LIMITS,
};

fn hash(text: &str) -> ContentHash {
    let mut parser = Parser::new(SCHEMA_LIMITS);
    ContentHash::of(&parser.parse(text.as_bytes()).expect("well-formed"), &[], &Metadata::default())
}

fn name(text: &str) -> SubjectName {
    SubjectName::parse(text).expect("good name")
}

fn register(registry: &mut Registry, subject: &str, text: &str) -> (u32, u32) {
    let hash = hash(text);
    match registry.plan(subject, &hash) {
        Planned::Stands(version) => (version, registry.id_of(&hash).expect("known content").0),
        Planned::New { version, id } => {
            registry.put_version(Version {
                subject: name(subject),
                number: version,
                id,
                hash,
                text: text.into(),
                references: Arc::new([]),
                metadata: Arc::default(),
                state: State::Draft,
                deleted: false,
                author: "an".into(),
                registered_ms: 0,
                decided: None,
            });
            (version, id.0)
        }
    }
}

fn step(registry: &mut Registry, subject: &str, number: u32, action: Action, actor: &str) -> Result<(), StepError> {
    let numbers = registry.plan_step(subject, number, action, actor)?;
    registry.put_step(subject, &numbers, action, actor, 1);
    Ok(())
}

#[test]
fn one_content_has_one_id_for_ever_and_versions_only_grow() {
    let mut registry = Registry::default();
    assert_eq!(register(&mut registry, "a", r#"{"x": 1, "y": 2}"#), (1, 1));
    assert_eq!(register(&mut registry, "a", r#"{"y":2,"x":1}"#), (1, 1), "the order of names says nothing");
    assert_eq!(register(&mut registry, "a", r#"{"x": 2}"#), (2, 2));
    assert_eq!(register(&mut registry, "b", r#"{"x": 1, "y": 2}"#), (1, 1), "the same content in another subject");
    assert_eq!(register(&mut registry, "a", r#"{"x": 1, "y": 2}"#), (3, 1), "back to an earlier content");
    for action in [Action::Delete, Action::DeletePermanently] {
        step(&mut registry, "a", 0, action, "an").expect("fits");
        step(&mut registry, "b", 0, action, "an").expect("fits");
    }
    assert_eq!(registry.subject("a").map(|s| s.versions().count()), Some(0));
    assert_eq!(registry.places(SchemaId(1)).count(), 0);
    assert_eq!(register(&mut registry, "a", r#"{"x": 1, "y": 2}"#), (4, 1));
    assert_eq!(register(&mut registry, "a", r#"{"x": 3}"#), (5, 3));
}

#[test]
fn a_clone_does_not_see_later_changes() {
    let mut registry = Registry::default();
    register(&mut registry, "a", "{}");
    let before = registry.clone();
    register(&mut registry, "a", r#"{"x": 1}"#);
    step(&mut registry, "a", 1, Action::Delete, "an").expect("fits");
    assert_eq!(before.subject("a").map(|s| s.versions().filter(|v| !v.deleted).count()), Some(1));
    assert_eq!(before.last_id(), SchemaId(1));
}

#[test]
fn an_author_does_not_approve_and_each_state_has_its_uses() {
    let mut registry = Registry::default();
    register(&mut registry, "a", "{}");
    let uses = |registry: &Registry| {
        [Use::Registering, Use::Testing, Use::Live]
            .map(|purpose| registry.subject("a").and_then(|s| s.newest(purpose)).is_some())
    };
    assert_eq!(uses(&registry), [true, true, false], "a draft");
    let by_author = step(&mut registry, "a", 1, Action::Approve, "an");
    assert_eq!(by_author, Err(StepError::ByItsAuthor { version: 1 }));
    assert_eq!(
        step(&mut registry, "a", 1, Action::Deprecate, "binh"),
        Err(StepError::Unfit { version: 1, state: State::Draft, deleted: false })
    );
    step(&mut registry, "a", 1, Action::Approve, "binh").expect("by someone else");
    assert_eq!(uses(&registry), [true, true, true], "approved");
    step(&mut registry, "a", 1, Action::Deprecate, "an").expect("fits");
    assert_eq!(uses(&registry), [true, true, true], "deprecated");
    step(&mut registry, "a", 1, Action::Retire, "an").expect("fits");
    assert_eq!(uses(&registry), [false, false, false], "retired");
    assert_eq!(step(&mut registry, "a", 2, Action::Retire, "an"), Err(StepError::NotFound));
    let version = registry.schema(SchemaId(1)).expect("read back by id");
    assert_eq!(&*version.text, "{}");
}

#[test]
fn settings_are_inherited_field_by_field() {
    let mut registry = Registry::default();
    let all = Settings { compatibility: Some(CompatibilityMode::Full), version: 1, ..Settings::default() };
    let own = Settings { mode: Some(RegistryMode::ReadOnly), version: 1, ..Settings::default() };
    registry.put_settings(None, all);
    registry.put_settings(Some(name("a")), own);
    let a = registry.settings_in_force("a");
    assert_eq!((a.compatibility, a.mode), (CompatibilityMode::Full, RegistryMode::ReadOnly));
    let other = registry.settings_in_force("other");
    assert_eq!((other.compatibility, other.mode), (CompatibilityMode::Full, RegistryMode::ReadWrite));
    assert_eq!(other.policy, CompatibilityPolicy::Strict);
}

#[test]
fn a_version_others_refer_to_is_not_deleted() {
    let mut registry = Registry::default();
    register(&mut registry, "address", "{}");
    let reference = Reference { name: "address.json".into(), subject: name("address"), version: 1 };
    let text = r##"{"$ref": "address.json#/$defs/commune"}"##;
    let mut parser = Parser::new(SCHEMA_LIMITS);
    let document = parser.parse(text.as_bytes()).expect("well-formed");
    let hash = ContentHash::of(&document, std::slice::from_ref(&reference), &Metadata::default());
    let mut person = Version::clone(registry.schema(SchemaId(1)).expect("registered"));
    person = Version { subject: name("person"), id: SchemaId(2), hash, references: Arc::new([reference]), ..person };
    registry.put_version(person);
    assert_eq!(step(&mut registry, "address", 1, Action::Delete, "an"), Err(StepError::Referenced { version: 1 }));
    step(&mut registry, "person", 1, Action::Delete, "an").expect("nobody refers to it");
    step(&mut registry, "address", 1, Action::Delete, "an").expect("nobody does any more");
}

#[test]
fn referred_schemas_are_set_into_the_text() {
    let mut registry = Registry::default();
    let address = r##"{"type": "object", "$id": "address.json", "properties": {"commune": {"$ref": "#/$defs/code"}},
        "$defs": {"code": {"type": "string", "const": {"$ref": "#/not/a/reference"}}}}"##;
    register(&mut registry, "địa chỉ", address);
    let reference = Reference { name: "address.json".into(), subject: name("địa chỉ"), version: 1 };
    let load =
        |reference: &Reference| registry.subject(reference.subject.as_str())?.version(reference.version).cloned();
    let text =
        r#"{"properties": {"home": {"$ref": "address.json#/properties/commune"}, "work": {"$ref": "address.json"}}}"#;
    let bundled = references::bundle(text, std::slice::from_ref(&reference), load).expect("everything is there");
    let bundled: serde_json::Value = serde_json::from_str(&bundled).expect("JSON");
    let validator = jsonschema::draft202012::new(&bundled);
    assert!(validator.is_ok(), "{bundled}");
    let at = |pointer: &str| bundled.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/properties/work/$ref"), "#/$defs/%C4%91%E1%BB%8Ba%20ch%E1%BB%89@1");
    assert_eq!(at("/$defs/địa chỉ@1/$id"), serde_json::Value::Null);
    assert_eq!(at("/$defs/địa chỉ@1/$defs/code/const/$ref"), "#/not/a/reference", "a value, not a reference");

    let stray = r#"{"properties": {"a": {"$ref": "other.json"}, "b": {"$ref": "address.json#anchor"}}}"#;
    let findings = references::bundle(stray, &[reference], load).expect_err("two stray references");
    let places: Vec<_> = findings.iter().map(|finding| finding.pointer.as_str()).collect();
    assert_eq!(places, ["/properties/a/$ref", "/properties/b/$ref"]);
}

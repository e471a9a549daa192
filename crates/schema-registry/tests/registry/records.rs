//! Keys, top-level fields, other snapshots of the dictionary, and the bounds of an outcome.

use ldop_dictionary::{CodeDefinition, CodeList, CodeListDefinition, Dictionary};
use ldop_schema_registry::{CompiledSchema, Outcome, Parser, document::KEY_SEPARATOR, outcome::MAX_FINDINGS};
use ldop_types::{Date, Rule, Sensitivity};

use crate::births;

fn key(text: &str, fields: &[&str]) -> Result<String, Vec<(String, Rule)>> {
    let mut parser = Parser::default();
    let mut key = b"left from before".to_vec();
    let result = parser.parse(text.as_bytes()).expect("well-formed").key(fields, &mut key);
    match result {
        Ok(()) => Ok(String::from_utf8(key).expect("UTF-8")),
        Err(findings) => {
            assert!(key.is_empty());
            Err(findings.into_iter().map(|finding| (finding.pointer, finding.rule)).collect())
        }
    }
}

#[test]
fn a_key_is_the_text_of_its_fields() {
    let text = r#"{"a":"Đ\u0031","b":12,"c":-3.0,"d":"","e":null,"f":1.5,"g":["x"],"h":"x\u001fy","i/j":"z"}"#;
    assert_eq!(key(text, &["a"]), Ok("Đ1".into()));
    assert_eq!(key(text, &["b"]), Ok("12".into()));
    assert_eq!(key(text, &["c"]), Ok("-3".into()));
    assert_eq!(key(text, &["a", "b", "i/j"]), Ok(format!("Đ1{KEY_SEPARATOR}12{KEY_SEPARATOR}z")));
    let bad = |pointer: &str| (pointer.to_owned(), Rule::Key);
    for field in ["d", "e", "f", "g", "h", "missing"] {
        assert_eq!(key(text, &["a", field]), Err(vec![bad(&format!("/{field}"))]), "{field}");
    }
    assert_eq!(key(text, &["e", "a", "no/such"]), Err(vec![bad("/e"), bad("/no~1such")]));
    assert_eq!(key("[1]", &["a"]), Err(vec![bad("/a")]));
    assert_eq!(key(text, &[]), Err(vec![bad("")]));
}

#[test]
fn different_fields_make_different_keys() {
    assert_ne!(key(r#"{"a":"x","b":"yz"}"#, &["a", "b"]), key(r#"{"a":"xy","b":"z"}"#, &["a", "b"]));
}

#[test]
fn top_level_fields_carry_the_most_personal_of_what_they_contain() {
    let text = r##"{"type": "object", "properties": {
        "so": {"type": "string", "x-ldop-element": "register.number"},
        "me": {"type": "object", "properties": {
            "ten": {"type": "string", "x-ldop-element": "person.full-name"},
            "con": {"type": "array", "items": {"$ref": "#/properties/me"}},
            "dan_toc": {"type": "string", "x-ldop-element": "person.ethnic-group"}}},
        "cha": {"type": "array", "items": {"type": "string", "x-ldop-element": "person.full-name"}}}}"##;
    let schema = CompiledSchema::compile(text, &births::dictionary()).expect("a good schema");
    let fields: Vec<_> = schema
        .top_level_fields()
        .iter()
        .map(|field| (field.name.as_str(), field.element.as_ref().map(|id| id.as_str()), field.sensitivity))
        .collect();
    assert_eq!(
        fields,
        [
            ("cha", None, Sensitivity::BasicPersonal),
            ("me", None, Sensitivity::SensitivePersonal),
            ("so", Some("register.number"), Sensitivity::None)
        ]
    );
    assert_eq!(schema.text(), text);
    assert_eq!(schema.property_count(), 6);
}

#[test]
fn a_schema_follows_the_dictionary() {
    let dictionary = births::dictionary();
    let schema = CompiledSchema::compile(births::SCHEMA, &dictionary).expect("a good schema");
    let record = &births::records(1)[0];
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let document = parser.parse(record).expect("well-formed");
    let on = Date::parse("2026-07-01").expect("a day");
    assert!(schema.check(&document, on, &mut outcome));

    let code = |code: &str| CodeDefinition {
        code: code.into(),
        label_vi: "Nhãn".into(),
        valid_to: "2025-06-30".into(),
        ..CodeDefinition::default()
    };
    let ended = CodeList::new(CodeListDefinition {
        id: "sex".into(),
        name_vi: "Giới tính".into(),
        codes: ["1", "2"].map(code).into(),
        ..CodeListDefinition::default()
    });
    let changed = dictionary.with_changes([], [ended.expect("a good list")]).expect("holds together");
    let schema = schema.with_dictionary(&changed).expect("still bound");
    assert!(!schema.check(&document, on, &mut outcome));
    let found: Vec<_> = outcome.findings.iter().map(|f| (f.pointer.as_str(), f.rule)).collect();
    assert_eq!(found, [("/gioi_tinh", Rule::CodeNotInForce)]);
    assert!(schema.check(&document, Date::parse("2025-06-30").expect("a day"), &mut outcome));

    let findings = schema.with_dictionary(&Dictionary::default()).expect_err("no element is there");
    assert_eq!(findings.len(), schema.property_count() + 1, "every binding, and the checks");
}

#[test]
fn an_outcome_has_bounds_and_counts_the_rest() {
    let text = r#"{"type": "object", "properties": {
        "ds": {"type": "array", "items": {"type": "string", "x-ldop-element": "person.sex"}}}}"#;
    let schema = CompiledSchema::compile(text, &births::dictionary()).expect("a good schema");
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    for (value, count) in [("\"9\"", 99), ("\"9\"", 100), ("\"9\"", 1_000), ("9", 1_000)] {
        let record = format!("{{\"ds\":[{}{value}]}}", format!("{value},").repeat(count - 1));
        let document = parser.parse(record.as_bytes()).expect("well-formed");
        assert!(!schema.check(&document, Date(20_000), &mut outcome));
        assert_eq!(outcome.findings.len(), count.min(MAX_FINDINGS));
        assert_eq!(outcome.omitted, count - outcome.findings.len(), "{count} of {value}");
    }
    let document = parser.parse(br#"{"ds":["1"]}"#).expect("well-formed");
    assert!(schema.check(&document, Date(20_000), &mut outcome), "an outcome starts anew");
    assert_eq!((outcome.findings.len(), outcome.omitted), (0, 0));
}

#[test]
fn a_record_that_is_wrong_everywhere_costs_no_more_than_its_size() {
    let text = r#"{"type": "object", "properties": {
        "ds": {"type": "array", "uniqueItems": true, "items":
            {"type": "string", "enum": ["1"], "pattern": "^1$", "x-ldop-element": "person.sex"}}}}"#;
    let schema = CompiledSchema::compile(text, &births::dictionary()).expect("a good schema");
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let start = std::time::Instant::now();
    for value in ["9", "\"99\"", "{}", "[[]]"] {
        let record = format!("{{\"ds\":[{}{value}]}}", format!("{value},").repeat(20_000));
        let document = parser.parse(record.as_bytes()).expect("well-formed");
        assert!(!schema.check(&document, Date(20_000), &mut outcome));
        assert_eq!(outcome.findings.len(), MAX_FINDINGS);
        assert!(outcome.omitted >= 20_000 - MAX_FINDINGS);
    }
    assert!(start.elapsed().as_secs() < 20, "a walk for each error would take minutes");
}

#[test]
fn an_element_stands_with_each_finding_it_makes() {
    let schema = CompiledSchema::compile(births::SCHEMA, &births::dictionary()).expect("a good schema");
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let document = parser.parse(br#"{"gioi_tinh":"7","la":1}"#).expect("well-formed");
    assert!(!schema.check(&document, Date(20_000), &mut outcome));
    for finding in &outcome.findings {
        let id = finding.element.as_ref().map(|id| id.as_str());
        match finding.pointer.as_str() {
            "" => assert_eq!(id, None),
            "/gioi_tinh" => assert_eq!(id, Some("person.sex")),
            "/ho_ten" | "/me_ho_ten" => assert_eq!(id, Some("person.full-name")),
            _ => assert!(id.is_some(), "{finding:?}"),
        }
        // Basic personal data: the permitted values are not listed.
        assert!(!finding.message.en.contains("0, 1, 2"), "{finding:?}");
    }
}

//! Versions of elements over time, the life cycle, and normal forms, as records and schemas meet them.

use ldop_dictionary::{Dictionary, Element, ElementDefinition};
use ldop_schema_registry::{CompiledSchema, Outcome, Parser, SchemaRule};
use ldop_types::{Date, Rule};

const SCHEMA: &str = r#"{"type": "object", "properties": {"ten": {"type": "string", "x-ldop-element": "name"},
    "khac": {"type": "string", "x-ldop-element": "other"}}}"#;

fn element(id: &str, change: impl FnOnce(&mut ElementDefinition)) -> Element {
    let mut definition = ElementDefinition {
        id: id.into(),
        name_vi: "Tên".into(),
        value_type: "string".into(),
        sensitivity: "none".into(),
        ..ElementDefinition::default()
    };
    change(&mut definition);
    Element::new(definition).expect("good element")
}

/// Rules broken and warnings given on a day.
fn judged(schema: &CompiledSchema, record: &str, on: &str) -> (Vec<Rule>, Vec<Rule>) {
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let document = parser.parse(record.as_bytes()).expect("well-formed");
    let accepted = schema.check(&document, Date::parse(on).expect("a day"), &mut outcome);
    let rules = |all: &[ldop_types::Finding]| all.iter().map(|finding| finding.rule).collect::<Vec<_>>();
    assert_eq!(accepted, outcome.findings.is_empty());
    (rules(&outcome.findings), rules(&outcome.warnings))
}

#[test]
fn a_record_is_judged_by_the_version_in_force_on_its_day() {
    let version = |max: u32, from: &str| {
        element("name", |d| {
            d.max_length = Some(max);
            d.effective_from = from.into();
        })
    };
    let other = element("other", |_| {});
    let first = Dictionary::default().with_changes([version(5, ""), other], []).expect("holds together");
    let schema = CompiledSchema::compile(SCHEMA, &first).expect("binds");
    let record = r#"{"ten": "1234567"}"#;
    assert_eq!(judged(&schema, record, "2027-01-01").0, [Rule::MaxLength]);

    let second = first.with_changes([version(9, "2027-01-01")], []).expect("holds together");
    let third = second.with_changes([version(6, "2028-01-01")], []).expect("holds together");
    for schema in [schema.with_dictionary(&third), CompiledSchema::compile(SCHEMA, &third)] {
        let schema = schema.expect("binds to every version");
        for (on, broken) in [
            ("2020-01-01", vec![Rule::MaxLength]),
            ("2026-12-31", vec![Rule::MaxLength]),
            ("2027-01-01", vec![]),
            ("2027-12-31", vec![]),
            ("2028-01-01", vec![Rule::MaxLength]),
        ] {
            assert_eq!(judged(&schema, record, on).0, broken, "{on}");
        }
    }
}

#[test]
fn a_schema_must_bind_to_every_version_that_judges_some_day() {
    let first = [element("name", |d| d.value_type = "integer".into()), element("other", |_| {})];
    let first = Dictionary::default().with_changes(first, []).expect("holds together");
    let later = element("name", |d| d.effective_from = "2027-01-01".into());
    let second = first.with_changes([later], []).expect("holds together");
    let findings = CompiledSchema::compile(SCHEMA, &second).expect_err("an integer until 2027");
    let found: Vec<_> = findings.iter().map(|finding| (finding.pointer.as_str(), finding.rule)).collect();
    assert_eq!(found, [("/properties/ten", SchemaRule::ElementType)]);
    assert!(findings[0].message.en.contains("before 2027-01-01"), "{}", findings[0].message.en);
}

#[test]
fn what_a_new_version_may_bind_follows_the_life_cycle() {
    let compile = |status: &str| {
        let name = element("name", |d| {
            d.status = status.into();
            d.relations = vec![("replaced_by".into(), "other".into())];
        });
        let dictionary = Dictionary::default().with_changes([name, element("other", |_| {})], []).expect("holds");
        CompiledSchema::compile(SCHEMA, &dictionary).expect("what is registered goes on whatever the status")
    };
    for (status, refused, discouraged) in [
        ("proposed", 1, 0),
        ("in_review", 1, 0),
        ("consulted", 1, 0),
        ("registered", 0, 0),
        ("", 0, 0),
        ("deprecated", 0, 1),
        ("retired", 1, 0),
    ] {
        let schema = compile(status);
        let (against, doubts) = (schema.refused_bindings(), schema.discouraged_bindings());
        assert_eq!((against.len(), doubts.len()), (refused, discouraged), "{status}");
        for finding in against.iter().chain(&doubts) {
            assert_eq!(finding.pointer, "/properties/ten/x-ldop-element");
            assert_eq!((finding.rule, &*finding.remedy.en), (SchemaRule::ElementStatus, "use the element other"));
        }
    }
}

#[test]
fn a_text_out_of_normal_form_is_refused_or_warned_of_and_never_changed() {
    let form = |check: &str| {
        let name = element("name", |d| {
            d.normalisation = ["nfc", "trim", "collapse_spaces"].map(String::from).into();
            d.normalisation_check = check.into();
        });
        let dictionary = Dictionary::default().with_changes([name, element("other", |_| {})], []).expect("holds");
        CompiledSchema::compile(SCHEMA, &dictionary).expect("binds")
    };
    let good = r#"{"ten": "Nguyễn Thị Hoà"}"#;
    let bad = ["{\"ten\": \"Nguye\u{302}\u{303}n\"}", r#"{"ten": " Nguyễn"}"#, r#"{"ten": "Nguyễn  Thị"}"#];
    for check in ["", "refuse"] {
        assert_eq!(judged(&form(check), good, "2026-07-01"), (vec![], vec![]));
        for bad in bad {
            assert_eq!(judged(&form(check), bad, "2026-07-01"), (vec![Rule::Normalisation], vec![]), "{bad}");
        }
    }
    assert_eq!(judged(&form("warn"), good, "2026-07-01"), (vec![], vec![]));
    for bad in bad {
        assert_eq!(judged(&form("warn"), bad, "2026-07-01"), (vec![], vec![Rule::Normalisation]), "{bad}");
    }
}

#[test]
fn the_fields_that_hold_an_element_are_known_at_whatever_depth() {
    let text = r##"{"type": "object", "$defs": {"p": {"type": "object", "properties": {
        "ten": {"type": "string", "x-ldop-element": "name"}, "con": {"type": "array", "items": {"$ref": "#/$defs/p"}}}}},
        "properties": {"cha": {"$ref": "#/$defs/p"}, "so": {"type": "string", "x-ldop-element": "other"}}}"##;
    let elements = [element("name", |_| {}), element("other", |_| {})];
    let dictionary = Dictionary::default().with_changes(elements, []).expect("holds together");
    let schema = CompiledSchema::compile(text, &dictionary).expect("binds");
    assert_eq!(schema.fields_with(|element| element.id().as_str() == "name"), ["cha"]);
    assert_eq!(schema.fields_with(|_| true), ["cha", "so"]);
    let bindings: Vec<_> = schema.bindings().map(|(at, element)| (at, element.id().as_str())).collect();
    assert!(bindings.contains(&("/$defs/p/properties/ten/x-ldop-element", "name")), "{bindings:?}");
}

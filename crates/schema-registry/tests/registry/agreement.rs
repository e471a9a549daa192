//! What is accepted is what the `jsonschema` crate accepts on a tree of `serde_json`, for schemas and records made up
//! at random, with elements that ask for nothing but the type.

use ldop_dictionary::{Dictionary, Element, ElementDefinition};
use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::{Date, Rule};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::births;

const NAMES: &[&str] = &["a", "b", "ten", "so_dinh_danh", "a rather long name of a field", "đ", "ngay/sinh~"];
const PATTERNS: &[&str] = &["^[0-9]{3}$", "a", "^\\d+$", "^(x|yy|zzz)$", "^ab", "^\\S*$", "\\p{L}", "^.{2,4}$"];
const TEXTS: &[&str] = &[
    "",
    "a",
    "ab",
    "123",
    "yy",
    "Đặng",
    "2026-02-28",
    "2026-02-30",
    "2026-07-01T08:00:00+07:00",
    "\u{1F600}x",
    "a b",
    "999999",
];

fn dictionary() -> Dictionary {
    let element = |value_type: &str| {
        let definition = ElementDefinition {
            id: format!("any.{value_type}"),
            name_vi: "Bất kỳ".into(),
            value_type: value_type.into(),
            sensitivity: "none".into(),
            ..ElementDefinition::default()
        };
        Element::new(definition).expect("a good element")
    };
    Dictionary::default()
        .with_changes(["string", "integer", "number", "boolean"].map(element), [])
        .expect("holds together")
}

/// Puts the keywords that were chosen into an object.
fn object(pairs: Vec<(&str, Option<Value>)>) -> Value {
    let pairs = pairs.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn of_type(name: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![4 => Just(json!(name)), 1 => Just(json!([name, "null"]))]
}

fn rarely<S: Strategy<Value = Value>>(strategy: S) -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.25, strategy)
}

fn text() -> impl Strategy<Value = Value> {
    (
        of_type("string"),
        rarely((0u64..4).prop_map(Value::from)),
        rarely((0u64..8).prop_map(Value::from)),
        rarely(select(PATTERNS).prop_map(Value::from)),
        rarely(select(&["date", "date-time"][..]).prop_map(Value::from)),
        rarely(collection::vec(select(TEXTS).prop_map(Value::from), 1..4).prop_map(|mut list| {
            list.dedup();
            list.sort_by_key(Value::to_string);
            list.dedup();
            Value::from(list)
        })),
        rarely(select(TEXTS).prop_map(Value::from)),
    )
        .prop_map(|(kind, min, max, pattern, format, values, constant)| {
            let constant = constant.filter(|_| values.is_none());
            object(vec![
                ("type", Some(kind)),
                ("minLength", min),
                ("maxLength", max),
                ("pattern", pattern),
                ("format", format),
                ("enum", values),
                ("const", constant),
                ("x-ldop-element", Some("any.string".into())),
            ])
        })
}

fn number() -> impl Strategy<Value = Value> {
    let limit = || select(&[-1.5, 0.0, 1.0, 2.5, 9_007_199_254_740_993.0][..]).prop_map(Value::from);
    (
        prop_oneof![Just("integer"), Just("number")],
        rarely(limit()),
        rarely(limit()),
        rarely(limit()),
        rarely(limit()),
        rarely(select(&[0.5, 2.0][..]).prop_map(Value::from)),
        any::<bool>(),
    )
        .prop_map(|(kind, min, max, above, below, step, nullable)| {
            object(vec![
                ("type", Some(if nullable { json!([kind, "null"]) } else { json!(kind) })),
                ("minimum", min),
                ("maximum", max),
                ("exclusiveMinimum", above),
                ("exclusiveMaximum", below),
                ("multipleOf", step),
                ("x-ldop-element", Some(format!("any.{kind}").into())),
            ])
        })
}

fn field() -> impl Strategy<Value = Value> {
    let boolean = rarely(any::<bool>().prop_map(Value::from)).prop_map(|constant| {
        object(vec![
            ("type", Some("boolean".into())),
            ("const", constant),
            ("x-ldop-element", Some("any.boolean".into())),
        ])
    });
    let leaf = prop_oneof![
        4 => text(),
        3 => number(),
        1 => boolean,
        1 => Just(json!(false)),
        1 => Just(json!({"$ref": "#/$defs/text"})),
        1 => Just(json!({"$ref": "#/$defs/group"})),
    ];
    leaf.prop_recursive(2, 24, 5, |inner| prop_oneof![group(inner.clone()), list(inner)])
}

fn list(items: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (
        items,
        rarely((0u64..3).prop_map(Value::from)),
        rarely((0u64..4).prop_map(Value::from)),
        rarely(any::<bool>().prop_map(Value::from)),
    )
        .prop_map(|(items, min, max, unique)| {
            object(vec![
                ("type", Some("array".into())),
                ("items", Some(items)),
                ("minItems", min),
                ("maxItems", max),
                ("uniqueItems", unique),
            ])
        })
}

fn names() -> impl Strategy<Value = Value> {
    collection::btree_set(select(NAMES), 0..3).prop_map(|names| names.into_iter().collect::<Vec<_>>().into())
}

/// An object, with whatever may stand beside `properties`.
fn group(fields: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let condition = || names().prop_map(|names| json!({"required": names}));
    (
        collection::btree_map(select(NAMES), fields, 1..6),
        rarely(names()),
        option::weighted(0.5, any::<bool>().prop_map(Value::from)),
        rarely(collection::vec(condition(), 1..3).prop_map(Value::from)),
        rarely(collection::vec(condition(), 1..3).prop_map(Value::from)),
        rarely(condition()),
        rarely(condition()),
        rarely(condition()),
        rarely((0u64..3).prop_map(Value::from)),
    )
        .prop_map(|(fields, required, additional, any_of, one_of, not, when, then, least)| {
            let fields: Map<String, Value> = fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect();
            object(vec![
                ("type", Some("object".into())),
                ("properties", Some(Value::Object(fields))),
                ("required", required),
                ("additionalProperties", additional),
                ("anyOf", any_of),
                ("oneOf", one_of),
                ("not", not),
                ("if", when),
                ("then", then),
                ("minProperties", least),
            ])
        })
}

fn schema() -> impl Strategy<Value = Value> {
    group(field()).prop_map(|mut schema| {
        schema["$defs"] = json!({
            "text": {"type": "string", "maxLength": 3, "x-ldop-element": "any.string"},
            "group": {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/text"}, "b": {"$ref": "#/$defs/group"}},
                "additionalProperties": false,
            },
        });
        schema
    })
}

fn record() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => select(TEXTS).prop_map(Value::from),
        4 => select(&[-2i64, 0, 1, 2, 3, 9_007_199_254_740_993][..]).prop_map(Value::from),
        2 => select(&[-1.5, 0.5, 1.0, 2.5, 1e300][..]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let fields = leaf.prop_recursive(3, 40, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map(select(NAMES), inner, 0..5).prop_map(tree),
        ]
    });
    prop_oneof![12 => collection::btree_map(select(NAMES), fields.clone(), 0..7).prop_map(tree), 1 => fields]
}

fn tree(map: std::collections::BTreeMap<&'static str, Value>) -> Value {
    Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn we_accept_what_jsonschema_accepts(schema in schema(), records in collection::vec(record(), 12)) {
        let options = jsonschema::options().should_validate_formats(true);
        let theirs = options.with_pattern_options(jsonschema::PatternOptions::regex()).build(&schema).expect("a good schema");
        let ours = match CompiledSchema::compile(&schema.to_string(), &dictionary()) {
            Ok(schema) => schema,
            // An enum or const beside another type, such as null alone.
            Err(findings) => return Err(TestCaseError::reject(format!("{findings:?}"))),
        };
        let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
        for record in &records {
            let text = record.to_string();
            let document = parser.parse(text.as_bytes()).expect("well-formed");
            let accepted = ours.check(&document, Date(20_000), &mut outcome);
            // An element asks for whole numbers of 64 bits, the schema for whole numbers of any size.
            if accepted == theirs.is_valid(record) || text.contains("1e300") || text.contains("1e+300") {
                continue;
            }
            prop_assert!(false, "{} {} {:?}", schema, text, outcome);
        }
    }
}

#[test]
fn right_records_are_accepted_and_spoilt_ones_refused_by_both() {
    let ours = CompiledSchema::compile(births::SCHEMA, &births::dictionary()).expect("a good schema");
    let tree: Value = serde_json::from_str(births::SCHEMA).expect("well-formed");
    let theirs = jsonschema::options().should_validate_formats(true).build(&tree).expect("a good schema");
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let on = Date::parse("2026-07-01").expect("a day");
    let spoils: [(&str, Value); 6] = [
        ("ho_ten", Value::Null),
        ("so_dinh_danh", "06432600012x".into()),
        ("ngay_dang_ky", "2026-02-30".into()),
        ("lan_sinh", "1".into()),
        ("cap_nhat_luc", "2026-03-01".into()),
        ("la", 1.into()),
    ];
    for record in births::records(300) {
        let document = parser.parse(&record).expect("well-formed");
        assert!(ours.check(&document, on, &mut outcome), "{outcome:?}");
        assert!(outcome.warnings.is_empty(), "{outcome:?}");
        let tree: Value = serde_json::from_slice(&record).expect("well-formed");
        assert!(theirs.is_valid(&tree));
        for (name, value) in &spoils {
            let mut spoilt = tree.clone();
            spoilt[*name] = value.clone();
            let text = spoilt.to_string();
            let document = parser.parse(text.as_bytes()).expect("well-formed");
            assert!(!ours.check(&document, on, &mut outcome), "{name}");
            assert!(!theirs.is_valid(&spoilt), "{name}");
            let pointer = if *name == "la" { String::new() } else { format!("/{name}") };
            assert!(outcome.findings.iter().all(|f| f.pointer == pointer), "{outcome:?}");
            assert_eq!(outcome.findings.iter().any(|f| f.rule == Rule::NotPermitted), *name == "la");
        }
    }
}

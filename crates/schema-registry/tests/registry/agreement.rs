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
        1 => Just(json!({"$ref": "#/$defs/never"})),
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
    let condition = || {
        let constant =
            (select(NAMES), select(TEXTS)).prop_map(|(name, text)| json!({"properties": {name: {"const": text}}}));
        let refused = select(NAMES).prop_map(|name| json!({"properties": {name: false}}));
        let both = (select(NAMES), select(TEXTS))
            .prop_map(|(name, text)| json!({"properties": {name: {"const": text}}, "required": [name]}));
        prop_oneof![3 => names().prop_map(|names| json!({"required": names})), 1 => constant, 1 => refused, 2 => both]
    };
    (
        collection::btree_map(select(NAMES), fields, 1..6),
        rarely(names()),
        option::weighted(0.5, any::<bool>().prop_map(Value::from)),
        rarely(collection::vec(condition(), 1..3).prop_map(Value::from)),
        rarely(collection::vec(condition(), 1..3).prop_map(Value::from)),
        rarely(condition()),
        rarely(condition()),
        rarely(condition()),
        rarely(condition()),
        rarely((0u64..3).prop_map(Value::from)),
    )
        .prop_map(|(fields, required, additional, any_of, one_of, not, when, then, otherwise, least)| {
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
                ("else", otherwise),
                ("minProperties", least),
            ])
        })
}

fn schema() -> impl Strategy<Value = Value> {
    group(field()).prop_map(|mut schema| {
        schema["$defs"] = json!({
            "never": false,
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
    #![proptest_config(ProptestConfig { cases: 1_500, max_global_rejects: 15_000, ..ProptestConfig::default() })]
    #[test]
    fn we_accept_what_jsonschema_accepts(schema in schema(), records in collection::vec(record(), 12)) {
        let options = jsonschema::options().should_validate_formats(true);
        let theirs = options.with_pattern_options(jsonschema::PatternOptions::regex()).build(&schema).expect("a good schema");
        let ours = match CompiledSchema::compile(&schema.to_string(), &dictionary()) {
            Ok(schema) => schema,
            Err(_) => return Err(TestCaseError::reject("a name is bound in no branch, or its branches disagree")),
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

/// Checks one schema on many records, both ways. Returns how many records are accepted.
fn compare(schema: &Value, records: &[Value]) -> usize {
    let options = jsonschema::options().should_validate_formats(true);
    let theirs =
        options.with_pattern_options(jsonschema::PatternOptions::regex()).build(schema).expect("a good schema");
    let ours = CompiledSchema::compile(&schema.to_string(), &dictionary()).unwrap_or_else(|f| panic!("{schema} {f:?}"));
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    let mut accepted = 0;
    for record in records {
        let text = record.to_string();
        let document = parser.parse(text.as_bytes()).expect("well-formed");
        let accepts = ours.check(&document, Date(20_000), &mut outcome);
        accepted += usize::from(accepts);
        assert_eq!(accepts, theirs.is_valid(record), "{schema} {text} {outcome:?}");
    }
    accepted
}

#[test]
fn every_keyword_agrees_on_every_value() {
    let limits = [
        json!(-1.5),
        json!(0),
        json!(1.0),
        json!(2.5),
        json!((1u64 << 53) - 1),
        json!(1u64 << 53),
        json!((1u64 << 53) + 1),
    ];
    let mut strings = vec![json!({})];
    strings.extend((0..4).flat_map(|n| [json!({"minLength": n}), json!({"maxLength": n})]));
    strings.extend(PATTERNS.iter().map(|pattern| json!({"pattern": pattern})));
    strings.extend(["date", "date-time", "email", "time"].map(|format| json!({"format": format})));
    strings.extend([json!({"enum": ["", "a", "Đặng"]}), json!({"const": "123"}), json!({"not": {"const": "a"}})]);
    strings.push(json!({"if": {"minLength": 2}, "then": {"pattern": "^a"}, "else": {"maxLength": 0}}));
    strings.push(json!({"oneOf": [{"maxLength": 2}, {"pattern": "a"}, {"const": "123"}]}));
    let mut numbers = vec![json!({})];
    for limit in &limits {
        for keyword in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
            numbers.push(json!({keyword: limit}));
        }
    }
    numbers.extend([
        json!({"enum": [1, 2.5, 9_007_199_254_740_993u64]}),
        json!({"const": 1.0}),
        json!({"multipleOf": 0.5}),
    ]);
    numbers.extend([json!({"not": {"minimum": 1}}), json!({"anyOf": [{"maximum": 0}, {"exclusiveMinimum": 2}]})]);
    let mut fields = Vec::new();
    for (kind, keywords) in [("string", &strings), ("integer", &numbers), ("number", &numbers)] {
        for keyword in keywords {
            for types in [json!(kind), json!([kind, "null"])] {
                let mut field = keyword.clone();
                field["type"] = types;
                field["x-ldop-element"] = format!("any.{kind}").into();
                fields.push(field);
            }
        }
    }
    for kind in ["string", "number"] {
        let items = json!({"type": [kind, "null"], "x-ldop-element": format!("any.{kind}")});
        for keywords in [
            json!({}),
            json!({"uniqueItems": true}),
            json!({"minItems": 1}),
            json!({"maxItems": 1}),
            json!({"uniqueItems": false}),
        ] {
            let mut field = keywords;
            field["type"] = "array".into();
            field["items"] = items.clone();
            fields.push(field);
        }
    }
    fields.push(json!(false));
    fields.push(json!({"type": "boolean", "const": true, "x-ldop-element": "any.boolean"}));

    let mut values: Vec<Value> = TEXTS.iter().map(|text| json!(text)).collect();
    values.extend(
        ["2026-02-28T23:59:60Z", "2026-02-28t00:00:00z", "2026-12-31T23:59:60Z", "0000-01-01", "2026-2-8", "a@b.vn"]
            .map(Value::from),
    );
    values.extend(limits);
    values.extend([
        json!(-1),
        json!(2),
        json!(3),
        json!(-0.0),
        json!(0.1),
        json!(u64::MAX),
        json!(i64::MIN),
        json!((1u64 << 53) + 2),
    ]);
    values.extend([
        json!(null),
        json!(true),
        json!(false),
        json!({}),
        json!({"a": 1}),
        json!([]),
        json!(["a"]),
        json!(["a", "b"]),
    ]);
    values.extend([json!(["a", "a"]), json!([1, 1.0]), json!([1, 2]), json!([null, null]), json!(["a", null, "a"])]);
    values.push((0..40).map(|n| (n % 39).to_string()).collect());
    values.push((0..40).map(|n| n.to_string()).collect());
    let mut records: Vec<Value> = values.into_iter().map(|value| json!({"x": value})).collect();
    records.push(json!({}));

    let accepted: usize = fields
        .iter()
        .map(|field| compare(&json!({"type": "object", "properties": {"x": field, "y": {"$ref": "#"}}}), &records))
        .sum();
    let all = fields.len() * records.len();
    assert!(accepted > all / 8 && accepted < all / 2, "{accepted} of {all} accepted tests little");
}

#[test]
fn what_an_element_asks_already_is_still_asked() {
    let on = Date(20_000);
    let element = |id: &str, change: &dyn Fn(&mut ElementDefinition)| {
        let mut definition = ElementDefinition {
            id: id.into(),
            name_vi: "Quy tắc".into(),
            value_type: "string".into(),
            sensitivity: "none".into(),
            ..ElementDefinition::default()
        };
        change(&mut definition);
        Element::new(definition).expect("a good element")
    };
    let number = |id: &str, kind: &'static str, min: &'static str, max: &'static str| {
        element(id, &|d| (d.value_type, d.minimum, d.maximum) = (kind.into(), min.into(), max.into()))
    };
    let elements = [
        element("rule.length", &|d| (d.min_length, d.max_length) = (Some(2), Some(4))),
        element("rule.longer", &|d| d.min_length = Some(2)),
        element("rule.digits", &|d| d.pattern = "[0-9]{3}".into()),
        element("rule.choice", &|d| d.pattern = "a|b.*|123".into()),
        element("rule.date", &|d| d.format = "date".into()),
        element("rule.time", &|d| d.format = "date_time".into()),
        element("rule.partial", &|d| d.format = "partial_date".into()),
        number("rule.integer", "integer", "0", "3"),
        number("rule.above", "integer", "1", ""),
        number("rule.huge", "integer", "-9007199254740993", "9007199254740993"),
        number("rule.number", "number", "0.1", "2.5"),
        number("rule.below", "number", "", "9007199254740993"),
    ];
    let rules = dictionary().with_changes(elements.clone(), []).expect("holds together");

    let mut texts: Vec<Value> = TEXTS.iter().map(|text| json!(text)).collect();
    texts.extend(
        ["b1", "1234", "abcde", "2026-02-28T23:59:60Z", "2016-12-31T23:59:60Z", "2026-02-28t00:00:00z", "2026-02"]
            .map(Value::from),
    );
    texts.push("2026-02-28T00:00:00z".into());
    let mut values = texts.clone();
    values.extend([json!(null), json!(true), json!([]), json!({}), json!(["a"])]);
    for whole in
        [-(1i64 << 53) - 2, -(1 << 53) - 1, -(1 << 53), -1, 0, 1, 2, 3, 4, (1 << 53) - 1, 1 << 53, (1 << 53) + 1]
    {
        values.push(whole.into());
    }
    values.extend([json!(0.1), json!(0.09), json!(1.0), json!(2.5), json!(2.6), json!(-0.5), json!(u64::MAX)]);

    let mut keywords = vec![json!({})];
    keywords.extend((0..6).flat_map(|n| [json!({"minLength": n}), json!({"maxLength": n})]));
    let patterns = ["[0-9]{3}", "^[0-9]{3}$", "^[0-9]{3}", "[0-9]{2}$", "^a|b.*|123$", "a|b.*|123", "^(a|b.*|123)$"];
    keywords.extend(patterns.map(|pattern| json!({"pattern": pattern})));
    keywords.extend(["date", "date-time"].map(|format| json!({"format": format})));
    for limit in [json!(-1), json!(0), json!(0.1), json!(1), json!(2.5), json!(3), json!((1u64 << 53) - 1)] {
        for keyword in ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"] {
            keywords.push(json!({keyword: limit}));
        }
    }
    let (mut accepted, mut all, mut looser) = (0, 0, 0);
    let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
    for element in &elements {
        let kind = element.value_type().as_str();
        for keyword in &keywords {
            for types in [json!(kind), json!([kind, "null"])] {
                let schema = |field: &Value, types: &Value, id: &str| {
                    let mut field = field.clone();
                    (field["type"], field["x-ldop-element"]) = (types.clone(), id.into());
                    json!({"type": "object", "properties": {"x": field}})
                };
                let compile =
                    |schema: Value| CompiledSchema::compile(&schema.to_string(), &rules).expect("a good schema");
                let both = compile(schema(keyword, &types, element.id().as_str()));
                looser += both.refused_bindings().len();
                // The same in two halves that know nothing of each other.
                let alone = schema(keyword, &types, &format!("any.{kind}"));
                let options = jsonschema::options().should_validate_formats(true);
                let options = options.with_pattern_options(jsonschema::PatternOptions::regex());
                let theirs = options.build(&alone).expect("a good schema");
                let own = compile(schema(&json!({}), &json!([kind, "null"]), element.id().as_str()));
                for value in &values {
                    let record = json!({"x": value});
                    let text = record.to_string();
                    let document = parser.parse(text.as_bytes()).expect("well-formed");
                    let expected = theirs.is_valid(&record) && own.check(&document, on, &mut outcome);
                    let accepts = both.check(&document, on, &mut outcome);
                    assert_eq!(accepts, expected, "{element:?} {keyword} {types} {value}: {outcome:?}");
                    (accepted, all) = (accepted + usize::from(accepts), all + 1);
                }
            }
        }
    }
    assert!(accepted > all / 20 && looser > 20, "{accepted} of {all} accepted, {looser} looser test little");
}

#[test]
fn conditions_may_ask_for_more_names_than_are_noted() {
    let field = json!({"type": "string", "x-ldop-element": "any.string"});
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let fields: Map<String, Value> = names.iter().map(|name| (name.clone(), field.clone())).collect();
    let next = names.iter().cycle().skip(1);
    let conditions: Vec<Value> = names
        .iter()
        .zip(next)
        .map(|(name, next)| json!({"if": {"properties": {name: {"const": "x"}}}, "then": {"required": [name, next]}}))
        .collect();
    let schema = json!({"type": "object", "properties": fields, "allOf": conditions});
    let mut records = vec![json!({})];
    let full: Map<String, Value> = names.iter().map(|name| (name.clone(), "x".into())).collect();
    records.push(full.clone().into());
    for name in &names {
        let mut one = full.clone();
        one.remove(name);
        records.push(one.clone().into());
        one.insert(name.clone(), "y".into());
        records.push(one.into());
    }
    // A condition on a member that is not there applies.
    assert_eq!(compare(&schema, &records), 1 + names.len());
}

#[test]
fn every_combination_agrees_on_every_set_of_fields() {
    let names = ["a", "b", "đ"];
    let mut records = Vec::new();
    for number in 0..27 {
        let members = names.iter().zip([1, 3, 9]).filter_map(|(name, place)| match number / place % 3 {
            0 => None,
            choice => Some(((*name).to_owned(), Value::from(["", "x", "y"][choice]))),
        });
        records.push(Value::Object(members.collect()));
    }
    records.push(json!({"a": "x", "z": 1}));
    let conditions = [
        json!(true),
        json!(false),
        json!({"required": ["a"]}),
        json!({"required": ["a", "b"]}),
        json!({"properties": {"a": {"const": "x"}}}),
        json!({"properties": {"b": {"const": "y"}}, "required": ["b"]}),
        json!({"properties": {"đ": false}}),
        json!({"not": {"required": ["đ"]}}),
        json!({"$ref": "#/$defs/no_b"}),
        json!({"allOf": [{"required": ["đ"]}, {"properties": {"đ": {"enum": ["x"]}}}]}),
    ];
    let mut schemas = vec![json!({}), json!({"additionalProperties": false}), json!({"required": ["a", "z"]})];
    schemas.push(json!({"allOf": [{"properties": {"a": true}, "additionalProperties": false}]}));
    schemas.push(json!({"dependentRequired": {"a": ["b"]}}));
    schemas.push(json!({"unevaluatedProperties": false}));
    for one in &conditions {
        schemas.push(json!({"not": one}));
        schemas.push(json!({"allOf": [one]}));
        for two in &conditions {
            schemas.push(json!({"anyOf": [one, two]}));
            schemas.push(json!({"oneOf": [one, two]}));
            schemas.push(json!({"oneOf": [one, two, {"required": ["đ"]}]}));
            schemas.push(json!({"if": one, "then": two}));
            schemas.push(json!({"if": one, "then": two, "else": {"required": ["a"]}}));
            schemas.push(json!({"if": one, "else": two, "additionalProperties": false}));
        }
    }
    let field = json!({"type": "string", "x-ldop-element": "any.string"});
    let mut accepted = 0;
    for schema in &mut schemas {
        schema["type"] = "object".into();
        schema["properties"] =
            names.iter().map(|name| ((*name).to_owned(), field.clone())).collect::<Map<_, _>>().into();
        schema["$defs"] = json!({"no_b": {"properties": {"b": false}}});
        accepted += compare(schema, &records);
    }
    let all = schemas.len() * records.len();
    assert!(accepted > all / 4 && accepted < all * 3 / 4, "{accepted} of {all} accepted tests little");
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

//! Rules from inside: the quick answers against the library's, and the bounds.

use std::{collections::BTreeSet, fmt::Write as _};

use ldop_dictionary::{Dictionary, Element, ElementDefinition};
use ldop_types::Date;
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::{Value as Tree, json};

use super::*;
use crate::{CompiledSchema, Outcome, Parser, schema::SchemaRule};

/// Fields by name: the element, and whether the schema permits null.
const FIELDS: [(&str, &str, bool); 10] = [
    ("day", "t.day", false),
    ("other_day", "t.day", true),
    ("part", "t.part", false),
    ("moment", "t.moment", false),
    ("id", "t.id", false),
    ("text", "t.text", true),
    ("code", "t.text", false),
    ("count", "t.count", true),
    ("total", "t.count", false),
    ("share", "t.share", false),
];

fn dictionary() -> Dictionary {
    let element = |id: &str, value_type: &str, format: &str, identifier: &str| {
        let definition = ElementDefinition {
            id: id.into(),
            name_vi: "Phần tử".into(),
            value_type: value_type.into(),
            format: format.into(),
            identifier: identifier.into(),
            sensitivity: "none".into(),
            ..ElementDefinition::default()
        };
        Element::new(definition).expect("a good element")
    };
    let elements = [
        element("t.day", "string", "date", ""),
        element("t.part", "string", "partial_date", ""),
        element("t.moment", "string", "date_time", ""),
        element("t.id", "string", "", "personal_id"),
        element("t.text", "string", "", ""),
        element("t.count", "integer", "", ""),
        element("t.share", "number", "", ""),
    ];
    Dictionary::default().with_changes(elements, []).expect("holds together")
}

/// A schema of objects of all fields, one within the other and in a list, with these rules.
fn schema(rules: &Tree) -> Result<CompiledSchema, Vec<crate::SchemaFinding>> {
    let kinds = dictionary();
    let field = |(name, element, may_be_null): (&str, &str, bool)| {
        let kind = kinds.element(element).expect("known").value_type().as_str();
        let types = if may_be_null { json!([kind, "null"]) } else { json!(kind) };
        (name.to_owned(), json!({"type": types, "x-ldop-element": element}))
    };
    let fields: serde_json::Map<String, Tree> = FIELDS.into_iter().map(field).collect();
    let mut properties = fields.clone();
    properties.insert("within".into(), json!({"type": "object", "properties": fields}));
    properties.insert("list".into(), json!({"type": "array", "items": {"type": "object", "properties": fields}}));
    let tree = json!({"type": "object", "required": ["code"], "properties": properties, "x-ldop-rules": rules});
    CompiledSchema::compile(&tree.to_string(), &kinds)
}

fn rule(when: Option<&str>, rule: &str) -> Tree {
    let mut tree = json!([{"id": "r", "rule": rule, "message": {"vi": "sai", "en": "wrong"}}]);
    if let Some(when) = when {
        tree[0]["when"] = json!(when);
    }
    tree
}

/// What is said of a record by the rule, and by the library alone.
fn rulings(schema: &CompiledSchema, record: &str) -> (Ruling, Ruling) {
    let mut parser = Parser::default();
    let document = parser.parse(record.as_bytes()).expect("well-formed");
    let members = document.root().as_object().expect("an object");
    let plan = &schema.0.plan;
    let rule = &plan.place(0).rules[0];
    let (mut left, mut right) = (MAX_RECORD_STEPS, MAX_RECORD_STEPS);
    (rule.judge(plan, members, None, &mut left), rule.evaluate(plan, members, &mut right))
}

fn ruling(when: Option<&str>, source: &str, record: &str) -> Ruling {
    let schema = schema(&rule(when, source)).unwrap_or_else(|findings| panic!("{source}: {findings:?}"));
    let (ours, theirs) = rulings(&schema, record);
    assert_eq!(ours, theirs, "{source} of {record}");
    ours
}

fn refusal(source: &str) -> String {
    let findings = schema(&rule(None, source)).err().unwrap_or_else(|| panic!("{source} is accepted"));
    assert!(findings.iter().all(|finding| finding.rule == SchemaRule::Rules), "{findings:?}");
    assert!(findings.iter().all(|finding| finding.pointer == "/x-ldop-rules/0/rule"), "{findings:?}");
    findings.iter().fold(String::new(), |mut all, finding| {
        let _ = write!(all, "{}", finding.message.en);
        all
    })
}

#[test]
fn rules_say_what_they_say() {
    let holds = [
        ("this.code == 'a'", r#"{"code":"a"}"#),
        ("!has(this.day) || this.day >= '2020-01-01'", r#"{"code":"a"}"#),
        ("has(this.list) && this.list.all(p, !has(p.total) || p.total > 0)", r#"{"code":"a","list":[{"total":1},{}]}"#),
        (
            "has(this.list) && this.list.exists(p, has(p.total) && p.total == 3)",
            r#"{"code":"a","list":[{},{"total":3}]}"#,
        ),
        (
            "has(this.list) && this.list.exists_one(p, has(p.code) && p.code == this.code)",
            r#"{"code":"a","list":[{"code":"a"},{"code":"b"}]}"#,
        ),
        (
            "has(this.list) && size(this.list.filter(p, has(p.code) && p.code == 'a')) == 2",
            r#"{"code":"a","list":[{"code":"a"},{"code":"b"},{"code":"a"}]}"#,
        ),
        (
            "has(this.within) && has(this.within.total) && this.within.total + 1 == 3",
            r#"{"code":"a","within":{"total":2}}"#,
        ),
        ("this.code.startsWith('ab') && this.code.contains('c') && size(this.code) == 3", r#"{"code":"abc"}"#),
        ("has(this.share) && this.share * 2.0 <= 100", r#"{"code":"a","share":50}"#),
        ("has(this.count) && (this.count == null || this.count > 0)", r#"{"code":"a","count":null}"#),
        (
            "has(this.id) && personal_id_year(this.id) == 2056 && personal_id_sex(this.id) == '1'",
            r#"{"code":"a","id":"064256000001"}"#,
        ),
        (
            "has(this.part) && has(this.day) && latest(this.part) >= this.day",
            r#"{"code":"a","part":"2020","day":"2020-05-01"}"#,
        ),
        ("has(this.day) ? years_between(this.day, '2020-01-01') >= 18 : true", r#"{"code":"a","day":"2001-01-01"}"#),
        ("has(this.moment) && instant(this.moment) > 0", r#"{"code":"a","moment":"2020-01-01T00:00:00+07:00"}"#),
        ("this.code in ['a', 'b'] && !(this.code in ['c'])", r#"{"code":"b"}"#),
    ];
    for (source, record) in holds {
        assert_eq!(ruling(None, source, record), Ruling::Holds, "{source}");
        assert_eq!(ruling(None, &format!("!({source})"), record), Ruling::Broken, "{source}");
    }
}

#[test]
fn a_rule_applies_when_it_says_so() {
    let source = ("has(this.day) && has(this.other_day) && this.other_day != null", "this.day <= this.other_day");
    for (record, expected) in [
        (r#"{"code":"a"}"#, Ruling::Holds),
        (r#"{"code":"a","day":"2020-01-02","other_day":null}"#, Ruling::Holds),
        (r#"{"code":"a","day":"2020-01-02","other_day":"2020-01-02"}"#, Ruling::Holds),
        (r#"{"code":"a","day":"2020-01-02","other_day":"2020-01-01"}"#, Ruling::Broken),
    ] {
        assert_eq!(ruling(Some(source.0), source.1, record), expected, "{record}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_undecided() {
    // The record breaks what the check of the rule relied on.
    assert_eq!(ruling(None, "this.code > 'a'", "{}"), Ruling::Undecided);
    assert_eq!(ruling(None, "this.code > 'a'", r#"{"code":null}"#), Ruling::Undecided);
    assert_eq!(ruling(None, "this.code > 'a'", r#"{"code":7}"#), Ruling::Undecided);
    assert_eq!(
        ruling(None, "has(this.id) && personal_id_year(this.id) > 0", r#"{"code":"a","id":"1"}"#),
        Ruling::Undecided
    );
    assert_eq!(ruling(None, "has(this.total) && 1 / this.total > 0", r#"{"code":"a","total":0}"#), Ruling::Undecided);
    let most = format!(r#"{{"code":"a","total":{}}}"#, i64::MAX);
    assert_eq!(ruling(None, "has(this.total) && this.total + 1 > 0", &most), Ruling::Undecided);
    // An error on one side is no matter where the other settles it.
    assert_eq!(ruling(None, "this.code > 'a' || true", "{}"), Ruling::Holds);
    assert_eq!(ruling(Some("this.code > 'a'"), "true", "{}"), Ruling::Undecided);
}

#[test]
fn a_bad_rule_is_refused_where_it_is_written() {
    for (source, words) in [
        ("this.code ==", "at line 1, column"),
        ("", "not well-formed"),
        ("this.code == 'a' 'b'", "column 18"),
        ("code == 'a'", "`this.code`"),
        ("this.kode == 'a'", "no field `kode`"),
        ("this.day > '2020-01-01'", "has(this.day)"),
        ("has(this.other_day) && this.other_day > '2020-01-01'", "this.other_day != null"),
        ("has(this.within) || has(this.within.day)", "has(this.within)"),
        ("this.code", "must be boolean, not string"),
        ("this.code && true", "must be boolean"),
        ("this.code > 7", "string and integer"),
        ("this.code == 7", "string and integer"),
        ("this.code in [1, 2]", "string and integer"),
        ("has(this.part) && this.part > '2020-01-01'", "earliest"),
        ("has(this.moment) && this.moment > '2020-01-01'", "instant"),
        ("personal_id_year(this.code) > 1900", "personal id"),
        ("year(this.code) > 1900", "date"),
        ("this.code.matches('a+')", "matches"),
        ("timestamp(this.code) > timestamp('2020-01-01T00:00:00Z')", "timestamp"),
        ("now() > 1", "now"),
        ("[1, 2].map(x, x + 1) == [2, 3]", "map"),
        ("this.code + this.code == 'aa'", "string and string"),
        ("{'a': 1}.a == 1", "rules have no"),
        ("[[1], [2]][0] == [1]", "rules have no"),
        ("size(this) > 1", "this.<name>"),
        ("this == this", "this.<name>"),
        ("has(this.list) && this.list.all(this, true)", "taken"),
        ("has(this.list) && this.list.all(p, p.kode == 'a')", "no field `kode`"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "loops within"),
        ("this.code == b'a'", "rules have no"),
        ("1u == 1u", "rules have no"),
    ] {
        let said = refusal(source);
        assert!(said.contains(words), "{source}: {said}");
    }
}

#[test]
fn rules_are_bounded_before_they_are_read() {
    let long = format!("this.code == '{}'", "x".repeat(1_000));
    assert!(refusal(&long).contains("longer than 1000 bytes"));
    for brackets in ["(", "[", "{", "!", "-", "this.", "[[{("] {
        for count in [30, 100, 900] {
            let source: String = brackets.chars().cycle().take(count).collect();
            assert!(schema(&rule(None, &source)).is_err(), "{source}");
        }
    }
    let deep = format!("{}true{}", "!(".repeat(40), ")".repeat(40));
    assert!(refusal(&deep).contains("limit") || refusal(&deep).contains("nested"), "{}", refusal(&deep));
    let wide = format!("1{} > 0", " + 1".repeat(200));
    assert!(refusal(&wide).contains("nested more than"), "{}", refusal(&wide));
    let many = format!("1 in [{}]", vec!["1"; 300].join(","));
    assert!(refusal(&many).contains("nested more than"), "{}", refusal(&many));
}

#[test]
fn a_costly_rule_on_a_large_record_is_refused_and_not_run() {
    let source =
        "has(this.list) && this.list.all(a, this.list.exists(b, has(a.code) && has(b.code) && a.code == b.code))";
    let record = |items: usize| {
        let items: Vec<String> = (0..items).map(|number| format!(r#"{{"code":"{number}"}}"#)).collect();
        format!(r#"{{"code":"a","list":[{}]}}"#, items.join(","))
    };
    assert_eq!(ruling(None, source, &record(20)), Ruling::Holds);
    assert_eq!(ruling(None, source, &record(2_000)), Ruling::TooCostly);
    let texts = format!(r#"{{"code":"{}"}}"#, "x".repeat(900_000));
    assert_eq!(ruling(None, "[1, 2, 3].all(x, size(this.code) > 0)", &texts), Ruling::TooCostly);
}

#[test]
fn the_rules_of_a_record_share_its_steps() {
    let rules = rule(None, "size(this.code) == 1");
    let kinds = dictionary();
    let tree = json!({"type": "object", "properties": {"list": {"type": "array", "items": {
        "type": "object", "required": ["code"], "x-ldop-rules": rules,
        "properties": {"code": {"type": "string", "x-ldop-element": "t.text"}}}}}});
    let schema = CompiledSchema::compile(&tree.to_string(), &kinds).expect("a good schema");
    let on = Date::parse("2026-07-01").expect("a day");
    let mut outcome = Outcome::default();
    for (items, accepted) in [(10_000, true), (200_000, false)] {
        let record = format!(r#"{{"list":[{}]}}"#, vec![r#"{"code":"a"}"#; items].join(","));
        let mut parser = Parser::new(crate::Limits { bytes: 1 << 24, depth: 64, values: 1_000_000 });
        let document = parser.parse(record.as_bytes()).expect("well-formed");
        assert_eq!(schema.check(&document, on, &mut outcome), accepted, "{items}");
        assert!(outcome.findings.iter().all(|finding| finding.rule.as_str() == "RULE_UNDECIDED"));
    }
    assert!(outcome.findings[0].pointer.starts_with("/list/") && outcome.omitted > 0);
}

#[test]
fn the_usual_shapes_are_answered_at_once() {
    for source in [
        "this.code == 'a'",
        "has(this.day) && has(this.other_day) && this.other_day != null && this.day <= this.other_day",
        "!has(this.part) || latest(this.part) >= '2020-01-01'",
        "!has(this.id) || !has(this.part) || personal_id_year(this.id) == year(this.part)",
        "!has(this.total) || this.total in [1, 2, 3]",
        "!has(this.share) || this.share <= 100.0",
        "!has(this.within) || !has(this.within.day) || years_between(this.within.day, '2020-02-29') >= 18",
    ] {
        let schema = schema(&rule(None, source)).expect("a good rule");
        assert!(schema.0.plan.place(0).rules[0].rule.quick.is_some(), "{source}");
    }
}

// Expressions and records made up at random.

fn operand() -> impl Strategy<Value = String> {
    let field = select(&FIELDS[..]).prop_map(|(name, ..)| format!("this.{name}"));
    let within = select(&FIELDS[..]).prop_map(|(name, ..)| format!("this.within.{name}"));
    let literal = select(
        &[
            "'a'",
            "'2020-02-29'",
            "'2020'",
            "''",
            "0",
            "7",
            "-3",
            "2.5",
            "null",
            "true",
            "'064256000001'",
            "9223372036854775807",
        ][..],
    )
    .prop_map(str::to_owned);
    let call = select(
        &[
            "year(this.day)",
            "year(this.part)",
            "earliest(this.part)",
            "latest(this.part)",
            "latest(this.other_day)",
            "days_between(this.day, this.other_day)",
            "years_between(this.day, '2020-02-29')",
            "years_between(earliest(this.part), this.day)",
            "days_between(latest(this.part), latest(earliest(this.part)))",
            "year(latest(this.part))",
            "instant(this.moment)",
            "personal_id_year(this.id)",
            "personal_id_sex(this.id)",
            "size(this.text)",
            "this.count + 1",
        ][..],
    )
    .prop_map(str::to_owned);
    prop_oneof![5 => field, 1 => within, 3 => literal, 3 => call]
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => (operand(), select(&["==", "!=", "<", "<=", ">", ">="][..]), operand())
            .prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        1 => (operand(), collection::vec(operand(), 0..3)).prop_map(|(a, list)| format!("{a} in [{}]", list.join(", "))),
        1 => select(&FIELDS[..]).prop_map(|(name, ..)| format!("has(this.{name})")),
        1 => select(&FIELDS[..]).prop_map(|(name, ..)| format!("has(this.within.{name})")),
        1 => select(&["true", "false"][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            1 => inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn value(name: &'static str) -> BoxedStrategy<Tree> {
    let texts: &'static [&'static str] = match name {
        "day" | "other_day" => &["2020-02-29", "2020-03-01", "1999-12-31"],
        "part" => &["2020", "2020-02", "2020-02-29", "1999"],
        "moment" => &["2020-02-29T00:00:00Z", "2020-02-29T07:00:00+07:00", "1999-12-31T23:59:60Z"],
        "id" => &["064256000001", "064156000001"],
        _ => &["a", "b", "", "2020-02-29", "2020"],
    };
    let number = prop_oneof![
        Just(json!(0)),
        Just(json!(7)),
        Just(json!(-3)),
        Just(json!(i64::MAX)),
        Just(json!(u64::MAX)),
        Just(json!(7.0))
    ];
    let usual: BoxedStrategy<Tree> = match name {
        "count" | "total" => number.boxed(),
        "share" => prop_oneof![Just(json!(7)), Just(json!(2.5)), Just(json!(0))].boxed(),
        _ => select(texts).prop_map(|text| json!(text)).boxed(),
    };
    // Also what the elements forbid: rules are asked all the same.
    let odd = select(vec![json!(null), json!(true), json!(7), json!("x"), json!({}), json!([1])]);
    prop_oneof![9 => usual, 1 => odd].boxed()
}

fn object() -> impl Strategy<Value = serde_json::Map<String, Tree>> {
    let member =
        |(name, ..): (&'static str, &str, bool)| option::weighted(0.8, value(name)).prop_map(move |v| (name, v));
    FIELDS.map(member).to_vec().prop_map(|members| {
        members.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
    })
}

fn record() -> impl Strategy<Value = String> {
    (object(), option::of(object())).prop_map(|(mut record, within)| {
        record.extend(within.map(|within| ("within".to_owned(), Tree::Object(within))));
        Tree::Object(record).to_string()
    })
}

/// All fields asked for, so that the condition after it may read them.
fn guarded(condition: &str) -> String {
    let guards = FIELDS.map(|(name, ..)| format!("has(this.{name})")).join(" && ");
    let nulls = "this.other_day != null && this.text != null && this.count != null";
    let within = if condition.contains("within") { " && has(this.within)" } else { "" };
    format!("{guards} && {nulls}{within} && ({condition})")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_answered_at_once_is_what_the_library_answers(
        source in condition(),
        is_guarded in any::<bool>(),
        records in collection::vec(record(), 12),
    ) {
        let source = if is_guarded { guarded(&source) } else { source };
        // Read as it is, without the check: whatever the kinds are, the two must agree.
        let Ok(expression) = language::parse(&source) else { return Ok(()) };
        let schema = schema(&rule(None, "true")).expect("a good schema");
        let plan = &schema.0.plan;
        let permitted = vec![0; plan.places.len()];
        let required = vec![BTreeSet::new(); plan.places.len()];
        let shape = Shape { places: &plan.places, permitted: &permitted, required: &required };
        let Some(quick) = Quick::of(&shape, 0, &expression) else { return Ok(()) };
        let reads = plan.place(0).fields.iter().map(|(name, place)| Read { name: FieldName::new(name), place }).collect();
        let head = Head {
            id: "r".into(), severity: Severity::Refuse, at: String::new(), place: 0, message: Text::new("sai", "wrong"),
        };
        let rule = FieldRule { head, when: None, rule: Condition { expression, quick: None }, reads, cost: Cost::default() };
        for record in records {
            let mut parser = Parser::default();
            let document = parser.parse(record.as_bytes()).expect("well-formed");
            let members = document.root().as_object().expect("an object");
            let mut steps = MAX_RECORD_STEPS;
            let theirs = rule.evaluate(plan, members, &mut steps);
            match quick.holds(members, None) {
                Some(true) => prop_assert_eq!(theirs, Ruling::Holds, "{} of {}", source, record),
                Some(false) => prop_assert_eq!(theirs, Ruling::Broken, "{} of {}", source, record),
                None => {}
            }
        }
    }

    #[test]
    fn no_text_stops_the_reader(source in "[a-z.()\\[\\]{}!?:'\"`,0-9&|<>=+*/% \\\\\n#é-]{0,60}") {
        let _ = schema(&rule(None, &source));
    }
}

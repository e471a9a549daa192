//! Schemas made to take long: each ends within its steps, which are counted and not timed.

use ldop_schema_registry::compatibility::{
    CompatibilityMode, CompatibilityPolicy, DifferenceKind, MAX_STEPS, SchemaTree, Verdict, check,
};
use serde_json::{Map, Value, json};

fn compare(old: &Value, new: &Value) -> Verdict {
    let tree = |schema: &Value| SchemaTree::parse(&schema.to_string(), &[]).expect("a good schema");
    let (old, new) = (tree(old), tree(new));
    let mut last = None;
    for policy in CompatibilityPolicy::ALL {
        for mode in [CompatibilityMode::Backward, CompatibilityMode::Forward] {
            let verdict = check(&new, &[(1, &old)], mode, policy);
            assert!(verdict.steps <= 2 * MAX_STEPS + 2, "{} steps", verdict.steps);
            if mode == CompatibilityMode::Backward && policy == CompatibilityPolicy::Strict {
                last = Some(verdict);
            }
        }
    }
    last.expect("was asked")
}

fn exceeds(verdict: &Verdict) -> bool {
    !verdict.is_compatible && verdict.differences.iter().any(|d| d.kind == DifferenceKind::BudgetExceeded)
}

/// `levels` definitions, each of which joins two of the next.
fn doubling(keyword: &str, levels: usize, last: Value) -> Value {
    let name = |level: usize| format!("#/$defs/d{level}");
    let mut definitions = Map::new();
    for level in 0..levels {
        let next = json!({"$ref": name(level + 1)});
        let other = json!({"properties": {"a": next.clone()}, "minProperties": level});
        definitions.insert(format!("d{level}"), json!({ keyword: [next, other] }));
    }
    definitions.insert(format!("d{levels}"), last);
    json!({"$ref": name(0), "$defs": definitions})
}

#[test]
fn branches_that_double_end() {
    let mut exceeded = 0;
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let verdict = compare(
            &doubling(keyword, 40, json!({"maxLength": 5, "type": ["string", "object"]})),
            &doubling(keyword, 40, json!({"maxLength": 4, "type": ["string", "object"]})),
        );
        assert!(keyword != "allOf" || !verdict.is_compatible);
        exceeded += u32::from(exceeds(&verdict));
    }
    assert!(exceeded > 0, "none of them is too complex");
}

#[test]
fn nested_branches_end() {
    fn nested(keyword: &str, depth: usize, leaf: &Value) -> Value {
        if depth == 0 {
            return leaf.clone();
        }
        let below = nested(keyword, depth - 1, leaf);
        json!({ keyword: [below.clone(), {"properties": {"a": below}}, {"minLength": depth % 3}] })
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let old = nested(keyword, 9, &json!({"type": "string", "maxLength": 5}));
        let new = nested(keyword, 9, &json!({"type": "string", "maxLength": 4}));
        let verdict = compare(&old, &new);
        assert!(keyword != "allOf" || !verdict.is_compatible);
    }
}

#[test]
fn circles_end() {
    let schemas = [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"not": {"$ref": "#"}}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "minLength": 1}),
        json!({"oneOf": [{"$ref": "#"}, {"type": "string"}]}),
        json!({"if": {"$ref": "#"}, "then": {"$ref": "#"}, "else": {"$ref": "#"}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
        json!({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}),
        json!({"items": {"$ref": "#"}, "contains": {"$ref": "#"}, "unevaluatedItems": {"$ref": "#"}}),
        json!({"allOf": [{"$ref": "#"}], "unevaluatedProperties": {"$ref": "#"}}),
        json!({"dependentSchemas": {"a": {"$ref": "#"}}, "propertyNames": {"$ref": "#"}}),
    ];
    for old in &schemas {
        for new in schemas.iter().chain([&json!({"type": "string"}), &json!(false)]) {
            compare(old, new);
        }
    }
}

#[test]
fn a_circle_at_one_place_proves_nothing() {
    // No value has an answer under the second; none may be promised.
    let verdict = compare(&json!({"type": "string"}), &json!({"allOf": [{"$ref": "#"}]}));
    assert!(!verdict.is_compatible);
}

#[test]
fn deep_schemas_end_without_overflow() {
    let chain = |limit: u64| {
        let mut definitions: Map<String, Value> = (0..5_000)
            .map(|n| (format!("d{n}"), json!({"properties": {"a": {"$ref": format!("#/$defs/d{}", n + 1)}}})))
            .collect();
        definitions.insert("d5000".into(), json!({"maxLength": limit}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    };
    assert!(exceeds(&compare(&chain(5), &chain(4))));
    let links = |limit: u64| {
        let mut definitions: Map<String, Value> =
            (0..5_000).map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}))).collect();
        definitions.insert("d5000".into(), json!({"maxLength": limit}));
        json!({"$ref": "#/$defs/d0", "$defs": definitions})
    };
    assert!(!compare(&links(5), &links(4)).is_compatible);
    let nested = |limit: u64| {
        (0..60).fold(json!({"maxLength": limit}), |below, n| {
            if n % 2 == 0 { json!({"items": below}) } else { json!({"not": below}) }
        })
    };
    compare(&nested(4), &nested(5));
}

#[test]
fn wide_schemas_are_compared_to_the_end() {
    let wide = |count: usize, limit: u64| {
        let properties: Map<String, Value> =
            (0..count).map(|n| (format!("p{n}"), json!({"type": "string", "maxLength": limit + n as u64}))).collect();
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    };
    let verdict = compare(&wide(5_000, 5), &wide(5_001, 6));
    assert!(verdict.is_compatible, "{} steps", verdict.steps);
    assert_eq!(verdict.differences.len(), 5_001);
    let codes = |from: usize| json!({"enum": (from..from + 20_000).map(|n| n.to_string()).collect::<Vec<_>>()});
    assert!(!compare(&codes(0), &codes(1)).is_compatible);
    let numbers = |count: usize| json!({"enum": (0..count).collect::<Vec<_>>()});
    assert!(compare(&numbers(20_000), &numbers(20_001)).is_compatible);
    let lists = |count: usize| json!({"enum": (0..count).map(|n| [n]).collect::<Vec<_>>()});
    assert!(exceeds(&compare(&lists(2_000), &lists(2_001))), "each is compared with each");
    let patterns: Map<String, Value> = (0..400).map(|n| (format!("^x{n}"), json!({"maxLength": 5}))).collect();
    let mut both = wide(1_000, 5);
    both["patternProperties"] = patterns.into();
    let mut narrower = both.clone();
    narrower["properties"]["p7"]["maxLength"] = 1.into();
    assert!(!compare(&both, &narrower).is_compatible);
}

#[test]
fn many_kinds_of_record_are_told_apart() {
    let kinds = |count: usize| {
        let kind =
            |n: usize| json!({"properties": {"kind": {"const": n}, "value": {"type": "string"}}, "required": ["kind"]});
        json!({"oneOf": (0..count).map(kind).collect::<Vec<_>>()})
    };
    assert!(compare(&kinds(20), &kinds(21)).is_compatible);
    compare(&kinds(500), &kinds(501));
}

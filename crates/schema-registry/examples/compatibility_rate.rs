//! Compatibility checks per second on one core, of schemas as departments write them: 30 properties, codes in `$defs`, a
//! nested object, a list, a condition. Parsing is not counted: a schema is parsed once and compared often.
//!
//! `cargo run --release -p ldop-schema-registry --example compatibility_rate`

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use ldop_schema_registry::compatibility::{CompatibilityMode, CompatibilityPolicy, SchemaTree, check};
use serde_json::{Map, Value, json};

/// How long each pair is checked.
const TIME: Duration = Duration::from_millis(700);

/// A schema of 30 properties. `change` alters it as a new version would.
fn schema(change: impl FnOnce(&mut Value)) -> SchemaTree {
    let mut properties = Map::new();
    for n in 0..14 {
        let text = json!({"type": "string", "minLength": 1, "maxLength": 100 + n, "x-ldop-element": format!("sample.text-{n}")});
        properties.insert(format!("text_{n}"), text);
    }
    for n in 0..5 {
        let code = json!({"$ref": format!("#/$defs/codes_{}", n % 3), "x-ldop-element": format!("sample.code-{n}")});
        properties.insert(format!("code_{n}"), code);
    }
    for n in 0..4 {
        let date = json!({"type": "string", "format": "date", "x-ldop-element": format!("sample.date-{n}")});
        properties.insert(format!("date_{n}"), date);
    }
    for n in 0..4 {
        let number = json!({"type": "number", "minimum": 0, "maximum": 1_000_000, "x-ldop-element": format!("sample.number-{n}")});
        properties.insert(format!("number_{n}"), number);
    }
    let id = json!({"type": "string", "pattern": "^[0-9]{12}$", "x-ldop-element": "person.id"});
    properties.insert("id".into(), id);
    properties.insert("address".into(), json!({"$ref": "#/$defs/address"}));
    properties
        .insert("children".into(), json!({"type": "array", "maxItems": 20, "items": {"$ref": "#/$defs/address"}}));
    let codes =
        |count: usize| json!({"type": "string", "enum": (0..count).map(|n| format!("{n:03}")).collect::<Vec<_>>()});
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A sample of a record",
        "type": "object",
        "required": ["id", "text_0", "date_0", "code_0"],
        "properties": properties,
        "additionalProperties": false,
        "if": {"properties": {"code_0": {"const": "001"}}},
        "then": {"required": ["date_1"]},
        "$defs": {
            "codes_0": codes(3),
            "codes_1": codes(60),
            "codes_2": codes(150),
            "address": {
                "type": "object",
                "required": ["commune"],
                "properties": {
                    "commune": {"type": "string", "pattern": "^[0-9]{5}$", "x-ldop-element": "address.commune-code"},
                    "street": {"type": "string", "maxLength": 200, "x-ldop-element": "address.street"}
                },
                "additionalProperties": false
            }
        }
    });
    change(&mut schema);
    SchemaTree::parse(&schema.to_string(), &[]).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn main() {
    let old = schema(|_| {});
    let changes: [(&str, SchemaTree); 5] = [
        ("a limit relaxed", schema(|schema| schema["properties"]["text_3"]["maxLength"] = 500.into())),
        (
            "an optional field more",
            schema(|schema| schema["properties"]["more"] = json!({"type": "string", "maxLength": 20})),
        ),
        (
            "codes more",
            schema(|schema| schema["$defs"]["codes_2"]["enum"].as_array_mut().expect("codes").push("999".into())),
        ),
        ("a limit tightened", schema(|schema| schema["properties"]["text_3"]["maxLength"] = 50.into())),
        (
            "several of these",
            schema(|schema| {
                schema["properties"]["text_3"]["maxLength"] = 500.into();
                schema["properties"]["number_1"]["maximum"] = 5.into();
                schema["$defs"]["address"]["properties"]["street"]["maxLength"] = 300.into();
                schema["$defs"]["codes_1"]["enum"].as_array_mut().expect("codes").push("999".into());
                schema["required"].as_array_mut().expect("names").push("text_1".into());
            }),
        ),
    ];
    let (mut slowest, mut all) = (f64::INFINITY, Vec::new());
    for (name, new) in &changes {
        let (start, mut count, mut steps) = (Instant::now(), 0u32, 0);
        while start.elapsed() < TIME {
            for _ in 0..50 {
                let verdict = check(new, &[(1, &old)], CompatibilityMode::Backward, CompatibilityPolicy::Strict);
                steps = black_box(verdict).steps;
                count += 1;
            }
        }
        let rate = f64::from(count) / start.elapsed().as_secs_f64();
        println!("{rate:>10.0} checks/s  {name} ({steps} steps)");
        slowest = slowest.min(rate);
        all.push(rate);
    }
    let mean = all.len() as f64 / all.iter().map(|rate| 1.0 / rate).sum::<f64>();
    println!("{mean:>10.0} checks/s  all of them in turn; slowest {slowest:.0}, target 20,000");
}

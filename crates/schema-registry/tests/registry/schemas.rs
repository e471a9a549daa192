//! Schemas as data: each file of `tests/schemas` has schemas and exactly what is found in each.

use std::{collections::BTreeSet, fs, path::Path};

use ldop_schema_registry::CompiledSchema;
use serde_json::Value;

use crate::births;

#[test]
fn each_schema_is_found_to_break_exactly_the_rules_expected() {
    let dictionary = births::dictionary();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemas");
    let mut failures = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of schemas") {
        let path = entry.expect("an entry").path();
        let cases: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("well-formed");
        for case in cases.as_array().expect("cases") {
            let text = case["raw"].as_str().map_or_else(|| case["schema"].to_string(), str::to_owned);
            let found = match CompiledSchema::compile(&text, &dictionary) {
                Ok(compiled) => {
                    let keys = case["keys"].as_array().into_iter().flatten();
                    let keys: Vec<_> = keys.map(|key| key.as_str().expect("a name").to_owned()).collect();
                    let mut found = compiled.refused_bindings();
                    found.extend(compiled.unfit_keys(&keys));
                    found
                }
                Err(findings) => findings,
            };
            let found: BTreeSet<(String, String)> =
                found.into_iter().map(|f| (f.pointer, f.rule.as_str().to_owned())).collect();
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let expected: BTreeSet<(String, String)> = case["expect"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|pair| (text(&pair[0]), text(&pair[1])))
                .collect();
            if found != expected {
                failures.push(format!("{}: expected {expected:?}, found {found:?}", case["name"]));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

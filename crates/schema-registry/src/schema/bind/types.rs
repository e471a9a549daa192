//! Which JSON types a subschema permits, as far as its words say so at once.

use std::collections::HashMap;

use ldop_dictionary::ValueType;
use serde_json::Value;

use super::sites::{Sites, address};

pub(in crate::schema) const NULL: u8 = 1;
pub(in crate::schema) const BOOLEAN: u8 = 2;
pub(in crate::schema) const INTEGER: u8 = 4;
/// Numbers that are not whole.
pub(in crate::schema) const FRACTION: u8 = 8;
pub(in crate::schema) const STRING: u8 = 16;
pub(in crate::schema) const ARRAY: u8 = 32;
pub(in crate::schema) const OBJECT: u8 = 64;
/// Everything.
pub(super) const ANY: u8 = 127;
/// What must be bound to an element.
pub(in crate::schema) const SCALARS: u8 = BOOLEAN | INTEGER | FRACTION | STRING;

/// Deeper chains of references are taken to permit everything.
const MAX_DEPTH: usize = 128;

/// Remembers what each subschema permits.
#[derive(Default)]
pub(in crate::schema) struct Types(HashMap<usize, u8>);

impl Types {
    /// The types `schema` permits. Conditions and negations are taken to permit everything.
    pub(super) fn permitted(&mut self, sites: &Sites<'_>, schema: &Value) -> u8 {
        self.at_depth(sites, schema, 0)
    }

    /// The types the keyword `type` permits.
    pub(in crate::schema) fn of_keyword(value: &Value) -> u8 {
        match value {
            Value::Array(words) => union(words.iter().map(Self::of_keyword)),
            Value::String(word) => match word.as_str() {
                "null" => NULL,
                "boolean" => BOOLEAN,
                "integer" => INTEGER,
                "number" => INTEGER | FRACTION,
                "string" => STRING,
                "array" => ARRAY,
                "object" => OBJECT,
                // The meta-schema has a finding of its own for it.
                _ => ANY,
            },
            _ => ANY,
        }
    }

    fn at_depth(&mut self, sites: &Sites<'_>, schema: &Value, depth: usize) -> u8 {
        let map = match schema {
            Value::Bool(false) => return 0,
            Value::Object(map) if depth < MAX_DEPTH => map,
            _ => return ANY,
        };
        // A subschema that refers to itself adds nothing to what else it says.
        if let Some(known) = self.0.insert(address(schema), ANY) {
            self.0.insert(address(schema), known);
            return known;
        }
        let mut permitted = ANY;
        if let Some(target) = map.get("$ref").and_then(|uri| sites.target(uri)) {
            permitted &= self.at_depth(sites, target, depth + 1);
        }
        if !sites.refers_only(schema) {
            permitted &= map.get("type").map_or(ANY, Self::of_keyword);
            permitted &= map.get("const").map_or(ANY, of_value);
            permitted &=
                map.get("enum").and_then(Value::as_array).map_or(ANY, |values| union(values.iter().map(of_value)));
            for branch in branches(map.get("allOf")) {
                permitted &= self.at_depth(sites, branch, depth + 1);
            }
            for keyword in ["anyOf", "oneOf"] {
                if map.contains_key(keyword) {
                    let each = branches(map.get(keyword)).iter().map(|branch| self.at_depth(sites, branch, depth + 1));
                    permitted &= union(each);
                }
            }
        }
        self.0.insert(address(schema), permitted);
        permitted
    }
}

fn branches(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn union(types: impl Iterator<Item = u8>) -> u8 {
    types.fold(0, |all, one| all | one)
}

fn of_value(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        Value::Number(number) if number.is_i64() || number.is_u64() => INTEGER,
        Value::Number(number) if number.as_f64().is_some_and(|float| float.fract() == 0.0) => INTEGER,
        Value::Number(_) => FRACTION,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// The types of an element's values.
pub(super) fn of_element(value_type: ValueType) -> u8 {
    match value_type {
        ValueType::String => STRING,
        ValueType::Integer => INTEGER,
        ValueType::Number => INTEGER | FRACTION,
        ValueType::Boolean => BOOLEAN,
        ValueType::Object => OBJECT,
        ValueType::Array => ARRAY,
    }
}

/// The words of a set of types, for messages.
pub(super) fn words(types: u8) -> String {
    let all = [
        (BOOLEAN, "boolean"),
        (INTEGER, "integer"),
        (FRACTION, "number"),
        (STRING, "string"),
        (ARRAY, "array"),
        (OBJECT, "object"),
        (NULL, "null"),
    ];
    let words: Vec<&str> = all.iter().filter(|(bit, _)| types & bit != 0).map(|(_, word)| *word).collect();
    words.join(", ")
}

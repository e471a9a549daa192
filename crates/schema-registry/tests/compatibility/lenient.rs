//! What the lenient policy says of values, written down a second time from its documentation.

use serde_json::{Map, Value};

const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "$ref", "dependentSchemas", "dependencies", "dependentRequired"];
const NOT_PLAIN: [&str; 7] =
    ["enum", "const", "contains", "uniqueItems", "propertyNames", "minProperties", "maxProperties"];
const SILENT: [&str; 5] = ["$schema", "$defs", "title", "description", "default"];
/// Say something only beside another keyword, which says that something is asked.
const BESIDE: [&str; 5] = ["then", "else", "minContains", "maxContains", "additionalItems"];

/// A schema with its root, to follow references.
#[derive(Clone, Copy)]
pub struct Schema<'s> {
    pub root: &'s Value,
    pub draft: usize,
}

/// A plain subschema that is not a boolean.
struct Plain<'s> {
    map: &'s Map<String, Value>,
    draft: usize,
}

impl<'s> Schema<'s> {
    /// Where a subschema that says nothing but where to look leads in the end.
    fn follow(self, mut schema: &'s Value) -> &'s Value {
        for _ in 0..64 {
            let Some(map) = schema.as_object() else { return schema };
            let Some(target) = map.get("$ref").and_then(Value::as_str) else { return schema };
            let has_others = map.iter().any(|(key, value)| key != "$ref" && asks(key, value));
            match self.root.pointer(&target[1..]) {
                Some(target) if self.draft == 0 || !has_others => schema = target,
                _ => return schema,
            }
        }
        schema
    }

    /// The plain subschema at a place, if it is plain.
    fn plain(self, schema: &'s Value) -> Option<Plain<'s>> {
        let map = self.follow(schema).as_object()?;
        let has_other =
            IN_PLACE.iter().chain(&NOT_PLAIN).any(|key| map.get(*key).is_some_and(|value| asks(key, value)));
        (!has_other).then_some(Plain { map, draft: self.draft })
    }

    /// Whether a value holds declared members only.
    pub fn is_declared(self, value: &Value, schema: &'s Value) -> bool {
        let Some(plain) = self.plain(schema) else { return true };
        match value {
            Value::Object(members) => members.iter().all(|(name, member)| {
                let is_matched = plain.is_matched(name);
                match (plain.property(name), is_matched) {
                    (Some(schema), false) => self.is_declared(member, schema),
                    (_, true) => true,
                    (None, false) => match plain.rest() {
                        Some(rest) if says_something(rest) => self.is_declared(member, rest),
                        _ => !plain.declares(),
                    },
                }
            }),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .all(|(index, item)| plain.item(index).is_none_or(|schema| self.is_declared(item, schema))),
            _ => true,
        }
    }

    /// The value as a lenient reader has it. `accepts` judges a default by a subschema.
    pub fn read(self, value: &Value, schema: &'s Value, accepts: &dyn Fn(&Value, &Value) -> bool) -> Value {
        let Some(plain) = self.plain(schema) else { return value.clone() };
        match value {
            Value::Object(members) => {
                let is_closed = plain.rest() == Some(&Value::Bool(false));
                let mut read = Map::new();
                for (name, member) in members {
                    let is_matched = plain.is_matched(name);
                    let value = match (plain.property(name), is_matched) {
                        (Some(schema), false) => self.read(member, schema, accepts),
                        (_, true) => member.clone(),
                        (None, false) if is_closed => continue,
                        (None, false) => match plain.rest() {
                            Some(rest) => self.read(member, rest, accepts),
                            None => member.clone(),
                        },
                    };
                    read.insert(name.clone(), value);
                }
                for name in plain.map.get("required").and_then(Value::as_array).into_iter().flatten() {
                    let name = name.as_str().expect("a name");
                    if !read.contains_key(name)
                        && !plain.is_matched(name)
                        && let Some(schema) = plain.property(name)
                        && let Some(default) = schema.get("default")
                        && (self.draft > 0 || schema.get("$ref").is_none())
                        && accepts(default, schema)
                    {
                        read.insert(name.to_owned(), default.clone());
                    }
                }
                read.into()
            }
            Value::Array(items) => {
                let read = items.iter().enumerate().map(|(index, item)| {
                    plain.item(index).map_or_else(|| item.clone(), |schema| self.read(item, schema, accepts))
                });
                read.collect::<Vec<_>>().into()
            }
            other => other.clone(),
        }
    }
}

impl<'s> Plain<'s> {
    fn property(&self, name: &str) -> Option<&'s Value> {
        self.map.get("properties")?.get(name)
    }

    fn declares(&self) -> bool {
        let has = |key: &str| self.map.get(key).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        has("properties") || has("patternProperties")
    }

    fn is_matched(&self, name: &str) -> bool {
        let patterns = self.map.get("patternProperties").and_then(Value::as_object);
        patterns.into_iter().flatten().any(|(pattern, _)| match pattern.as_str() {
            "^a" => name.starts_with('a'),
            "b$" => name.ends_with('b'),
            "^[ab]$" => name == "a" || name == "b",
            "^k" => name.starts_with('k'),
            other => panic!("the pattern {other} is not generated"),
        })
    }

    /// What additional members are asked; where nothing else looks at the object, unevaluated ones are those.
    fn rest(&self) -> Option<&'s Value> {
        let unevaluated = self.map.get("unevaluatedProperties").filter(|_| self.draft > 0);
        self.map.get("additionalProperties").or(unevaluated)
    }

    fn item(&self, index: usize) -> Option<&'s Value> {
        let items = self.map.get("items");
        let unevaluated = self.map.get("unevaluatedItems").filter(|_| self.draft > 0);
        if self.draft == 2 {
            let prefix = self.map.get("prefixItems").and_then(|items| items.get(index));
            return prefix.or(items).or(unevaluated);
        }
        match items {
            Some(Value::Array(prefix)) => prefix.get(index).or(self.map.get("additionalItems")).or(unevaluated),
            Some(items) => Some(items),
            None => unevaluated,
        }
    }
}

/// Whether a subschema asks anything.
fn says_something(schema: &Value) -> bool {
    match schema {
        Value::Bool(accepts) => !accepts,
        Value::Object(map) => map.iter().any(|(key, value)| asks(key, value)),
        _ => true,
    }
}

/// Whether a keyword asks anything.
fn asks(key: &str, value: &Value) -> bool {
    let is_nothing = match value {
        Value::Object(map) => {
            map.is_empty()
                && matches!(
                    key,
                    "properties" | "patternProperties" | "dependentSchemas" | "dependentRequired" | "dependencies"
                )
        }
        Value::Array(list) => list.is_empty() && key == "required",
        Value::Number(number) => {
            number.as_u64() == Some(0) && matches!(key, "minLength" | "minItems" | "minProperties")
        }
        _ => false,
    };
    !is_nothing && !SILENT.contains(&key) && !BESIDE.contains(&key)
}

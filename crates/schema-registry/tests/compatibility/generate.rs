//! Schemas, changed schemas and values, from a seed.

use serde_json::{Map, Value, json};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Generator(u64);

pub const DRAFTS: [&str; 3] = [
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
];

const NAMES: [&str; 5] = ["a", "b", "ab", "kind", "z"];
const PATTERNS: [&str; 4] = ["^a", "b$", "^[ab]$", "^k"];
const TEXTS: [&str; 8] = ["", "a", "b", "ab", "aab", "kind", "abcdef", "đ"];
const FORMATS: [&str; 2] = ["date", "ipv4"];
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn number(&mut self) -> Value {
        match self.below(12) {
            0 => json!(0.5),
            1 => json!(1.5),
            2 => json!(1.0),
            3 => json!(-1.5),
            n => json!(n as i64 - 6),
        }
    }

    fn scalar(&mut self) -> Value {
        match self.below(9) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(false),
            3..5 => self.number(),
            _ => self.pick(&TEXTS).into(),
        }
    }

    fn constant(&mut self) -> Value {
        match self.below(12) {
            0 => json!([]),
            1 => json!([self.scalar()]),
            2 => json!({}),
            3 => json!({self.pick(&NAMES): self.scalar()}),
            _ => self.scalar(),
        }
    }

    /// A whole schema of a draft.
    pub fn schema(&mut self, draft: usize) -> Value {
        let mut root = match self.subschema(draft, 3) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if draft == 0 && root.contains_key("$ref") {
            root = Map::from_iter([("allOf".to_owned(), json!([root]))]);
        }
        root.insert("$schema".into(), DRAFTS[draft].into());
        let definitions: Map<String, Value> =
            ["n", "m"].into_iter().map(|name| (name.to_owned(), self.subschema(draft, 2))).collect();
        root.insert("$defs".into(), definitions.into());
        Value::Object(root)
    }

    pub fn subschema(&mut self, draft: usize, depth: usize) -> Value {
        if depth == 0 || self.chance(6) {
            return match self.below(8) {
                0 => json!(true),
                1 => json!(false),
                2 => json!({}),
                3 => json!({"$ref": self.reference()}),
                _ => self.leaf(),
            };
        }
        let mut map = Map::new();
        match self.below(12) {
            0..2 => return self.leaf(),
            2..7 => {
                for _ in 0..1 + self.below(4) {
                    self.object_keyword(draft, depth, &mut map);
                }
                if self.chance(75) {
                    map.insert("type".into(), "object".into());
                }
            }
            7..9 => {
                for _ in 0..1 + self.below(3) {
                    self.array_keyword(draft, depth, &mut map);
                }
                if self.chance(75) {
                    map.insert("type".into(), "array".into());
                }
            }
            9 => return json!({"$ref": self.reference()}),
            _ => {
                if self.chance(40) {
                    self.object_keyword(draft, depth, &mut map);
                }
            }
        }
        if map.is_empty() || self.chance(15) {
            self.branch_keyword(draft, depth, &mut map);
        }
        Value::Object(map)
    }

    fn reference(&mut self) -> &'static str {
        self.pick(&["#/$defs/n", "#/$defs/m"])
    }

    fn leaf(&mut self) -> Value {
        let mut map = Map::new();
        match self.below(8) {
            0 => {
                let values: Vec<Value> = (0..1 + self.below(3)).map(|_| self.constant()).collect();
                map.insert("enum".into(), values.into());
            }
            1 => drop(map.insert("const".into(), self.constant())),
            2..5 => {
                map.insert("type".into(), "string".into());
                for _ in 0..self.below(3) {
                    self.text_keyword(&mut map);
                }
            }
            5..7 => {
                map.insert("type".into(), self.pick(&["integer", "number"]).into());
                for _ in 0..self.below(3) {
                    self.number_keyword(&mut map);
                }
            }
            _ => {
                let types = [self.pick(&TYPES), self.pick(&TYPES)];
                let types = if types[0] == types[1] { json!(types[0]) } else { json!(types) };
                map.insert("type".into(), types);
            }
        }
        if self.chance(8) {
            map.insert("default".into(), self.scalar());
        }
        Value::Object(map)
    }

    fn text_keyword(&mut self, map: &mut Map<String, Value>) {
        match self.below(6) {
            0..2 => map.insert("minLength".into(), self.below(3).into()),
            2..4 => map.insert("maxLength".into(), self.below(5).into()),
            4 => map.insert("pattern".into(), self.pick(&PATTERNS).into()),
            _ => map.insert("format".into(), self.pick(&FORMATS).into()),
        };
    }

    fn number_keyword(&mut self, map: &mut Map<String, Value>) {
        match self.below(6) {
            0 => map.insert("minimum".into(), self.number()),
            1 => map.insert("maximum".into(), self.number()),
            2 => map.insert("exclusiveMinimum".into(), self.number()),
            3 => map.insert("exclusiveMaximum".into(), self.number()),
            _ => map.insert("multipleOf".into(), self.pick(&[1.0, 2.0, 0.5, 1.5, 3.0, 6.0]).into()),
        };
    }

    fn names(&mut self) -> Value {
        let mut names: Vec<&str> = (0..1 + self.below(2)).map(|_| self.pick(&NAMES)).collect();
        names.dedup();
        names.into()
    }

    fn object_keyword(&mut self, draft: usize, depth: usize, map: &mut Map<String, Value>) {
        match self.below(14) {
            0..5 => {
                let properties: Map<String, Value> = (0..1 + self.below(3))
                    .map(|_| (self.pick(&NAMES).to_owned(), self.subschema(draft, depth - 1)))
                    .collect();
                map.insert("properties".into(), properties.into());
            }
            5..7 => drop(map.insert("required".into(), self.names())),
            7..9 => {
                let rest = if self.chance(60) { json!(false) } else { self.subschema(draft, depth - 1) };
                map.insert("additionalProperties".into(), rest);
            }
            9 => {
                let patterns: Map<String, Value> = (0..1 + self.below(2))
                    .map(|_| (self.pick(&PATTERNS).to_owned(), self.subschema(draft, depth - 1)))
                    .collect();
                map.insert("patternProperties".into(), patterns.into());
            }
            10 => drop(map.insert("minProperties".into(), (1 + self.below(2)).into())),
            11 => drop(map.insert("maxProperties".into(), self.below(4).into())),
            12 => {
                let rest = if self.chance(50) { json!({"pattern": self.pick(&PATTERNS)}) } else { self.leaf() };
                map.insert("propertyNames".into(), rest);
            }
            _ => {
                let name = self.pick(&NAMES);
                let (is_schema, key) = match (self.chance(50), draft) {
                    (is_schema, 0) => (is_schema, "dependencies"),
                    (true, _) => (true, "dependentSchemas"),
                    (false, _) => (false, "dependentRequired"),
                };
                let value = if is_schema { self.subschema(draft, depth - 1) } else { self.names() };
                map.insert(key.into(), json!({ name: value }));
            }
        }
        if draft > 0 && self.chance(6) {
            let rest = if self.chance(70) { json!(false) } else { self.subschema(draft, depth - 1) };
            map.insert("unevaluatedProperties".into(), rest);
        }
    }

    fn array_keyword(&mut self, draft: usize, depth: usize, map: &mut Map<String, Value>) {
        match self.below(9) {
            0..3 => drop(map.insert("items".into(), self.subschema(draft, depth - 1))),
            3 => {
                let items: Vec<Value> = (0..1 + self.below(2)).map(|_| self.subschema(draft, depth - 1)).collect();
                map.insert(if draft == 2 { "prefixItems" } else { "items" }.into(), items.into());
                if self.chance(50) {
                    let rest = if self.chance(50) { json!(false) } else { self.subschema(draft, depth - 1) };
                    map.insert(if draft == 2 { "items" } else { "additionalItems" }.into(), rest);
                }
            }
            4 => drop(map.insert("minItems".into(), (1 + self.below(2)).into())),
            5 => drop(map.insert("maxItems".into(), self.below(4).into())),
            6 => drop(map.insert("uniqueItems".into(), true.into())),
            _ => {
                map.insert("contains".into(), self.subschema(draft, depth - 1));
                if draft > 0 && self.chance(40) {
                    map.insert("minContains".into(), self.below(3).into());
                }
                if draft > 0 && self.chance(40) {
                    map.insert("maxContains".into(), (1 + self.below(2)).into());
                }
            }
        }
        if draft > 0 && self.chance(6) {
            let rest = if self.chance(70) { json!(false) } else { self.subschema(draft, depth - 1) };
            map.insert("unevaluatedItems".into(), rest);
        }
    }

    fn branch_keyword(&mut self, draft: usize, depth: usize, map: &mut Map<String, Value>) {
        let branches = |own: &mut Self, count: usize| -> Value {
            (0..count).map(|_| own.subschema(draft, depth - 1)).collect::<Vec<_>>().into()
        };
        match self.below(7) {
            0 => {
                let count = 1 + self.below(2);
                map.insert("allOf".into(), branches(self, count));
            }
            1..3 => {
                let count = 1 + self.below(3);
                map.insert("anyOf".into(), branches(self, count));
            }
            3..5 => {
                let count = 1 + self.below(3);
                map.insert("oneOf".into(), branches(self, count));
            }
            5 => drop(map.insert("not".into(), self.subschema(draft, depth - 1))),
            _ => {
                map.insert("if".into(), self.subschema(draft, depth - 1));
                if self.chance(70) {
                    map.insert("then".into(), self.subschema(draft, depth - 1));
                }
                if self.chance(70) {
                    map.insert("else".into(), self.subschema(draft, depth - 1));
                }
            }
        }
        if draft > 0 && self.chance(15) {
            map.insert("unevaluatedProperties".into(), json!(false));
        }
        if draft > 0 && self.chance(5) {
            map.insert("unevaluatedItems".into(), json!(false));
        }
    }

    /// A schema that is the same but for some changes, more of them relaxing than not.
    pub fn changed(&mut self, schema: &Value, draft: usize) -> Value {
        let mut changed = schema.clone();
        for _ in 0..1 + self.below(2) {
            let mut pointers = Vec::new();
            subschemas(&changed, &mut String::new(), &mut pointers);
            let pointer = pointers[self.below(pointers.len())].clone();
            if let Some(place) = changed.pointer_mut(&pointer) {
                let is_root = pointer.is_empty();
                self.change(place, draft, is_root);
            }
        }
        changed
    }

    fn change(&mut self, place: &mut Value, draft: usize, is_root: bool) {
        let Value::Object(map) = place else {
            *place = if self.chance(50) { json!(true) } else { self.subschema(draft, 1) };
            return;
        };
        let keep = |key: &String| !key.starts_with('$');
        let keys: Vec<String> = map.keys().filter(|key| keep(key)).cloned().collect();
        match self.below(16) {
            0..3 if !keys.is_empty() => drop(map.remove(&keys[self.below(keys.len())])),
            3..6 if !keys.is_empty() => {
                let key = &keys[self.below(keys.len())];
                let value = map[key].clone();
                map.insert(key.clone(), self.changed_value(key, value, draft));
            }
            6 => self.object_keyword(draft, 2, map),
            7 => self.array_keyword(draft, 2, map),
            8 => self.text_keyword(map),
            9 => self.number_keyword(map),
            10 => self.branch_keyword(draft, 2, map),
            11 if !is_root => {
                let own = place.take();
                let other = self.subschema(draft, 2);
                *place = match self.below(5) {
                    0 => json!({"allOf": [own]}),
                    1 => json!({"anyOf": [own, other]}),
                    2 => json!({"oneOf": [own]}),
                    3 => json!({"oneOf": [own, other]}),
                    _ => json!({"not": {"not": own}}),
                };
            }
            12 => match map.get_mut("properties").and_then(Value::as_object_mut) {
                Some(properties) => {
                    let name = self.pick(&NAMES);
                    let schema = self.subschema(draft, 1);
                    properties.insert(name.into(), schema);
                }
                None => drop(map.insert("type".into(), self.pick(&TYPES).into())),
            },
            13 => match map.get_mut("properties").and_then(Value::as_object_mut) {
                Some(properties) => drop(properties.remove(self.pick(&NAMES))),
                None => drop(map.insert("minLength".into(), 1.into())),
            },
            14 => {
                if let Some(name) = map.get("required").and_then(|names| names.get(0)).and_then(Value::as_str) {
                    let name = name.to_owned();
                    let schema = json!({"default": self.scalar()});
                    map.entry("properties").or_insert(json!({}))[&name] = schema;
                } else {
                    let name = self.pick(&NAMES);
                    map.insert("required".into(), json!([name]));
                    if self.chance(50) {
                        let text = self.pick(&TEXTS);
                        map.entry("properties").or_insert(json!({}))[name] = json!({"type": "string", "default": text});
                    }
                }
            }
            _ if !is_root => *place = self.subschema(draft, 2),
            _ => drop(map.insert("additionalProperties".into(), json!(false))),
        }
    }

    fn changed_value(&mut self, key: &str, value: Value, draft: usize) -> Value {
        match (key, value) {
            ("minLength" | "minItems" | "minProperties" | "minContains", Value::Number(size)) => {
                let size = size.as_u64().unwrap_or(0);
                if self.chance(65) { size.saturating_sub(1) } else { size + 1 }.into()
            }
            ("maxLength" | "maxItems" | "maxProperties" | "maxContains", Value::Number(size)) => {
                let size = size.as_u64().unwrap_or(0);
                if self.chance(65) { size + 1 } else { size.saturating_sub(1) }.into()
            }
            ("minimum" | "exclusiveMinimum", Value::Number(number)) => {
                (number.as_f64().unwrap_or(0.0) - if self.chance(65) { 1.0 } else { -0.5 }).into()
            }
            ("maximum" | "exclusiveMaximum", Value::Number(number)) => {
                (number.as_f64().unwrap_or(0.0) + if self.chance(65) { 1.0 } else { -0.5 }).into()
            }
            ("multipleOf", _) => self.pick(&[1.0, 0.5, 2.0, 3.0]).into(),
            ("enum", Value::Array(mut values)) => {
                if self.chance(70) {
                    values.push(self.constant());
                } else if values.len() > 1 {
                    values.remove(self.below(values.len()));
                }
                values.into()
            }
            ("type", Value::String(word)) => match &*word {
                "integer" if self.chance(70) => "number".into(),
                word => {
                    let other = self.pick(&TYPES);
                    if other == word { json!(word) } else { json!([word, other]) }
                }
            },
            ("required", Value::Array(mut names)) if names.len() > 1 => {
                names.remove(self.below(names.len()));
                names.into()
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(mut branches)) => {
                match self.below(4) {
                    0 => branches.push(self.subschema(draft, 1)),
                    1 if branches.len() > 1 => drop(branches.remove(self.below(branches.len()))),
                    2 => branches.reverse(),
                    _ => {
                        let at = self.below(branches.len());
                        self.change(&mut branches[at], draft, false);
                    }
                }
                branches.into()
            }
            (_, Value::Bool(_)) => self.subschema(draft, 1),
            (_, value) => value,
        }
    }

    /// A value for a schema, often a valid one.
    pub fn value(&mut self, root: &Value, schema: &Value, depth: usize) -> Value {
        if self.chance(4) {
            return self.constant();
        }
        let Value::Object(map) = schema else { return self.any(depth) };
        if let Some(target) = map.get("$ref").and_then(Value::as_str) {
            return match root.pointer(&target[1..]) {
                Some(target) if depth > 0 => self.value(root, target, depth - 1),
                _ => self.constant(),
            };
        }
        if let Some(constant) = map.get("const") {
            return constant.clone();
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
            return values[self.below(values.len())].clone();
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            if let Some(branches) = map.get(keyword).and_then(Value::as_array).filter(|list| !list.is_empty())
                && depth > 0
                && self.chance(70)
            {
                let chosen = self.below(branches.len());
                let value = self.value(root, &branches[chosen], depth - 1);
                return if value.is_object() && map.contains_key("properties") {
                    let mut own = self.object(root, map, depth);
                    own.as_object_mut().expect("an object").extend(value.as_object().expect("an object").clone());
                    own
                } else {
                    value
                };
            }
        }
        for keyword in ["then", "else", "if"] {
            if let Some(branch) = map.get(keyword)
                && depth > 0
                && self.chance(30)
            {
                return self.value(root, branch, depth - 1);
            }
        }
        let word = match map.get("type") {
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Array(words)) => words[self.below(words.len())].as_str().unwrap_or("null"),
            _ if map.contains_key("items") || map.contains_key("contains") || map.contains_key("prefixItems") => {
                "array"
            }
            _ if map.contains_key("properties") || map.contains_key("required") => "object",
            _ => self.pick(&TYPES),
        };
        match word {
            "null" => Value::Null,
            "boolean" => self.chance(50).into(),
            "integer" | "number" => {
                let limits = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
                let near: Vec<f64> = limits.iter().filter_map(|key| map.get(*key)).filter_map(Value::as_f64).collect();
                if near.is_empty() || self.chance(25) {
                    return self.number();
                }
                let value = near[self.below(near.len())] + self.pick(&[0.0, 0.5, -0.5, 1.0, -1.0, 2.0]);
                if word == "integer" { json!(value.round() as i64) } else { json!(value) }
            }
            "string" if map.contains_key("format") => self.pick(&["2026-07-01", "127.0.0.1", "x"]).into(),
            "string" => self.pick(&TEXTS).into(),
            "array" => self.array(root, map, depth),
            _ => self.object(root, map, depth),
        }
    }

    fn array(&mut self, root: &Value, map: &Map<String, Value>, depth: usize) -> Value {
        if depth == 0 {
            return json!([]);
        }
        let prefix = map.get("prefixItems").or(map.get("items")).and_then(Value::as_array);
        let rest = map.get("items").filter(|items| !items.is_array()).or(map.get("additionalItems"));
        let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
        let count = least + self.below(3);
        let items = (0..count).map(|index| {
            let schema = prefix.and_then(|prefix| prefix.get(index)).or(rest);
            match (schema, map.get("contains")) {
                (_, Some(contains)) if self.chance(40) => self.value(root, contains, depth - 1),
                (Some(schema), _) => self.value(root, schema, depth - 1),
                (None, _) => self.constant(),
            }
        });
        items.collect::<Vec<_>>().into()
    }

    fn object(&mut self, root: &Value, map: &Map<String, Value>, depth: usize) -> Value {
        if depth == 0 {
            return json!({});
        }
        let empty = Map::new();
        let properties = map.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required = map.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|own| own == name));
        let mut object = Map::new();
        for name in NAMES {
            let schema = properties.get(name).or_else(|| {
                let patterns = map.get("patternProperties").and_then(Value::as_object)?;
                let of = |text: &str| match text {
                    "^a" => name.starts_with('a'),
                    "b$" => name.ends_with('b'),
                    "^[ab]$" => name == "a" || name == "b",
                    _ => name.starts_with('k'),
                };
                patterns.iter().find(|(text, _)| of(text)).map(|(_, schema)| schema)
            });
            let wanted = if schema.is_some() { 55 } else { 12 };
            if is_required(name) || self.chance(wanted) {
                let value = match schema.or(map.get("additionalProperties")) {
                    Some(schema) => self.value(root, schema, depth - 1),
                    None => self.constant(),
                };
                object.insert(name.into(), value);
            }
        }
        object.into()
    }

    fn any(&mut self, depth: usize) -> Value {
        match self.below(4) {
            0 if depth > 0 => self.object(&Value::Null, &Map::new(), depth),
            1 if depth > 0 => self.array(&Value::Null, &Map::new(), depth),
            _ => self.constant(),
        }
    }

    /// The same value but for one part.
    pub fn changed_instance(&mut self, value: &Value) -> Value {
        let mut changed = value.clone();
        match &mut changed {
            Value::Object(map) => {
                let name = self.pick(&NAMES);
                match self.below(3) {
                    0 => drop(map.remove(name)),
                    1 => drop(map.insert(name.into(), self.constant())),
                    _ => match map.get_mut(name) {
                        Some(member) => *member = self.changed_instance(&member.clone()),
                        None => drop(map.insert(name.into(), self.constant())),
                    },
                }
            }
            Value::Array(items) => {
                let at = self.below(items.len() + 1);
                match (self.below(3), items.get(at).cloned()) {
                    (0, Some(_)) => drop(items.remove(at)),
                    (1, Some(item)) => items[at] = self.changed_instance(&item),
                    _ => items.insert(at, self.constant()),
                }
            }
            _ => changed = self.constant(),
        }
        changed
    }
}

/// Pointers of all subschemas.
fn subschemas(schema: &Value, pointer: &mut String, out: &mut Vec<String>) {
    out.push(pointer.clone());
    let Value::Object(map) = schema else { return };
    for (key, value) in map {
        let length = pointer.len();
        match (key.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "dependentSchemas" | "dependencies",
                Value::Object(map),
            ) => {
                for (name, value) in map.iter().filter(|(_, value)| !value.is_array()) {
                    *pointer += &format!("/{key}/{name}");
                    subschemas(value, pointer, out);
                    pointer.truncate(length);
                }
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(list)) => {
                for (index, value) in list.iter().enumerate() {
                    *pointer += &format!("/{key}/{index}");
                    subschemas(value, pointer, out);
                    pointer.truncate(length);
                }
            }
            (
                "not"
                | "if"
                | "then"
                | "else"
                | "items"
                | "additionalItems"
                | "contains"
                | "additionalProperties"
                | "propertyNames"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                value,
            ) => {
                *pointer += &format!("/{key}");
                subschemas(value, pointer, out);
                pointer.truncate(length);
            }
            _ => {}
        }
    }
}

//! A text together with the registered schemas it refers to.
//!
//! Referred schemas are set into `$defs` of the text and every `$ref` is led there, so that what compiles, binds and
//! compares schemas knows one document only, and nothing is ever fetched.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use ldop_types::{SubjectName, Text};
use serde_json::{Map, Value};

use super::Version;
use crate::{
    document::Parser,
    pointer::{push_index, push_name},
    schema::{SCHEMA_LIMITS, SchemaFinding, SchemaRule},
};

/// Most versions a schema may refer to, those referred to by them included.
pub const MAX_REFERENCES: usize = 100;

/// A reference to a registered version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// What `$ref` calls it.
    pub name: String,
    /// Its subject.
    pub subject: SubjectName,
    /// Its version.
    pub version: u32,
}

/// What a reference leads to.
#[derive(Debug, Clone)]
pub struct Referred {
    /// The text of the schema.
    pub text: Arc<str>,
    /// What the text refers to in turn.
    pub references: Arc<[Reference]>,
}

impl From<Arc<Version>> for Referred {
    fn from(version: Arc<Version>) -> Self {
        Self { text: Arc::clone(&version.text), references: Arc::clone(&version.references) }
    }
}

/// Keywords that hold one schema or an array of schemas.
const SCHEMAS: [&str; 16] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that hold schemas by name.
const MAPS: [&str; 6] = ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];

/// The text with everything it refers to; the text as it is when it refers to nothing.
///
/// # Errors
///
/// Every reference that leads nowhere, all at once.
pub fn bundle<R: Into<Referred>>(
    text: &str,
    references: &[Reference],
    load: impl Fn(&Reference) -> Option<R>,
) -> Result<String, Vec<SchemaFinding>> {
    if references.is_empty() {
        return Ok(text.to_owned());
    }
    let mut root = parse(text)?;
    let mut bundler = Bundler { keys: BTreeMap::new(), waiting: VecDeque::new(), findings: Vec::new() };
    let draft = root.get("$schema").cloned();
    let taken: Vec<String> =
        root.get("$defs").and_then(Value::as_object).into_iter().flat_map(|defs| defs.keys().cloned()).collect();
    bundler.rewrite(&mut root, &mut String::new(), None, references);
    // Those the text makes no use of count too: deleting one must not be a surprise later.
    for reference in references {
        if load(reference).is_none() {
            bundler.missing(reference);
        }
    }
    let mut parts = Map::new();
    while let Some((key, reference)) = bundler.waiting.pop_front() {
        let place = format!("/references/{}", reference.name);
        let Some(version) = load(&reference).map(R::into) else {
            if !references.contains(&reference) {
                bundler.missing(&reference);
            }
            continue;
        };
        let mut part = parse(&version.text)?;
        if part.get("$schema").is_some_and(|own| draft.as_ref() != Some(own)) {
            bundler.refuse(
                place.clone(),
                Text::new(
                    "lược đồ được tham chiếu dùng phiên bản JSON Schema khác",
                    "the schema referred to is of another draft",
                ),
            );
        }
        bundler.rewrite(&mut part, &mut place.clone(), Some(&key), &version.references);
        if let Some(map) = part.as_object_mut() {
            map.remove("$schema");
            map.remove("$id");
        }
        if taken.contains(&key) {
            bundler.refuse(place, Text::new("tên trong $defs đã dùng", "the name stands in $defs already"));
        }
        parts.insert(key, part);
        if parts.len() > MAX_REFERENCES {
            bundler.refuse(
                "/references".to_owned(),
                Text::new(
                    format!("quá nhiều tham chiếu, tối đa {MAX_REFERENCES}"),
                    format!("too many references, at most {MAX_REFERENCES}"),
                ),
            );
            break;
        }
    }
    if let (Some(map), false) = (root.as_object_mut(), parts.is_empty()) {
        let defs = map.entry("$defs").or_insert_with(|| Value::Object(Map::new()));
        if let Some(defs) = defs.as_object_mut() {
            defs.extend(parts);
        }
    }
    if bundler.findings.is_empty() { Ok(root.to_string()) } else { Err(bundler.findings) }
}

/// The documents besides itself that the `$ref`s of a text name, each with a pointer to one `$ref` that does.
///
/// # Errors
///
/// A text that is no JSON.
pub fn documents(text: &str) -> Result<BTreeMap<String, String>, Vec<SchemaFinding>> {
    let mut documents = BTreeMap::new();
    each_schema(&mut parse(text)?, &mut String::new(), &mut |schema, pointer| {
        let target = schema.get("$ref").and_then(Value::as_str).unwrap_or_default();
        let document = target.split_once('#').map_or(target, |(document, _)| document);
        if !document.is_empty() {
            documents.entry(document.to_owned()).or_insert_with(|| format!("{pointer}/$ref"));
        }
    });
    Ok(documents)
}

/// Looks at a schema and at every schema in it. Recurses at most as deep as the parser's limit allows.
fn each_schema(schema: &mut Value, pointer: &mut String, look: &mut impl FnMut(&mut Map<String, Value>, &mut String)) {
    let Some(map) = schema.as_object_mut() else { return };
    look(map, pointer);
    let length = pointer.len();
    for (keyword, value) in map.iter_mut() {
        push_name(pointer, keyword);
        match value {
            Value::Object(children) if MAPS.contains(&keyword.as_str()) => {
                for (name, child) in children.iter_mut() {
                    let length = pointer.len();
                    push_name(pointer, name);
                    each_schema(child, pointer, look);
                    pointer.truncate(length);
                }
            }
            Value::Object(_) if SCHEMAS.contains(&keyword.as_str()) => each_schema(value, pointer, look),
            Value::Array(children) if SCHEMAS.contains(&keyword.as_str()) => {
                for (index, child) in children.iter_mut().enumerate() {
                    let length = pointer.len();
                    push_index(pointer, index);
                    each_schema(child, pointer, look);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
        pointer.truncate(length);
    }
}

fn parse(text: &str) -> Result<Value, Vec<SchemaFinding>> {
    let mut parser = Parser::new(SCHEMA_LIMITS);
    match parser.parse(text.as_bytes()) {
        Ok(document) => Ok(document.root().to_tree()),
        Err(flaw) => Err(vec![SchemaFinding {
            pointer: String::new(),
            element: None,
            rule: SchemaRule::Document,
            message: flaw.message,
            remedy: Text::new("sửa cho đúng JSON", "mend the JSON"),
        }]),
    }
}

struct Bundler {
    /// Key in `$defs` of each version met.
    keys: BTreeMap<(SubjectName, u32), String>,
    waiting: VecDeque<(String, Reference)>,
    findings: Vec<SchemaFinding>,
}

impl Bundler {
    fn refuse(&mut self, pointer: String, message: Text) {
        self.findings.push(SchemaFinding {
            pointer,
            element: None,
            rule: SchemaRule::Reference,
            message,
            remedy: Text::new(
                "đăng ký lược đồ được tham chiếu trước và nêu tên, chủ đề, phiên bản trong references",
                "register the schema referred to first, and give its name, subject and version in references",
            ),
        });
    }

    fn missing(&mut self, reference: &Reference) {
        let Reference { name, subject, version } = reference;
        let message = Text::new(
            format!("chưa đăng ký phiên bản {version} của {subject}"),
            format!("version {version} of {subject} is not registered"),
        );
        self.refuse(format!("/references/{name}"), message);
    }

    /// Leads every `$ref` of a schema into the bundle.
    fn rewrite(&mut self, schema: &mut Value, pointer: &mut String, own: Option<&str>, references: &[Reference]) {
        each_schema(schema, pointer, &mut |map, pointer| {
            let length = pointer.len();
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                push_name(pointer, "$ref");
                if let Some(led) = self.lead(target, pointer, own, references) {
                    *target = led;
                }
                pointer.truncate(length);
            }
            if own.is_some() && ["$anchor", "$dynamicAnchor", "$recursiveAnchor"].iter().any(|k| map.contains_key(*k)) {
                let message = Text::new(
                    "lược đồ được tham chiếu không được dùng $anchor",
                    "a schema referred to may not use anchors",
                );
                self.refuse(pointer.clone(), message);
            }
        });
    }

    /// Where a `$ref` leads within the bundle; none where it may stay as it is, or is refused.
    fn lead(&mut self, target: &str, pointer: &str, own: Option<&str>, references: &[Reference]) -> Option<String> {
        let (document, fragment) = target.split_once('#').unwrap_or((target, ""));
        let key = if document.is_empty() {
            own?.to_owned()
        } else {
            let Some(found) = references.iter().find(|reference| reference.name == document) else {
                let message = Text::new(
                    format!("không có tham chiếu tên {document:?}"),
                    format!("there is no reference named {document:?}"),
                );
                self.refuse(pointer.to_owned(), message);
                return None;
            };
            let waiting = &mut self.waiting;
            let place = (found.subject.clone(), found.version);
            let key = self.keys.entry(place).or_insert_with_key(|(subject, version)| {
                let key = format!("{subject}@{version}");
                waiting.push_back((key.clone(), found.clone()));
                key
            });
            key.clone()
        };
        if !fragment.is_empty() && !fragment.starts_with('/') {
            let message = Text::new(
                "tham chiếu sang lược đồ khác phải dùng con trỏ JSON",
                "a reference into another schema must be a JSON pointer",
            );
            self.refuse(pointer.to_owned(), message);
            return None;
        }
        let mut led = "#/$defs".to_owned();
        push_name(&mut led, &key);
        // The key stands in a URI: what a fragment may not hold is written %XX.
        Some(percent_encoded(&led) + fragment)
    }
}

fn percent_encoded(fragment: &str) -> String {
    let mut out = String::with_capacity(fragment.len());
    for byte in fragment.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'#' | b'/' | b'$' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

//! Subschemas that look at the same place of a record.

use std::collections::{HashMap, HashSet, VecDeque};

use jsonschema::Draft;
use ldop_types::Text;
use serde_json::Value;

use crate::{
    pointer::{push_index, push_name},
    schema::{SchemaFinding, SchemaRule},
};

/// How much a subschema says of the place it looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Strength {
    /// It holds for every record.
    Always,
    /// It holds for some records: a branch of `anyOf`, `oneOf`, `then`, `else` or `dependentSchemas`.
    Sometimes,
    /// It only asks: `if`, `not`, `contains`.
    Condition,
}

/// Identifies a site: the subschema's address within the tree, which lives as long as the binding, and its strength.
pub(super) type SiteKey = (usize, Strength);

/// A subschema that looks at a place.
#[derive(Clone)]
pub(super) struct Site<'s> {
    pub(super) schema: &'s Value,
    pub(super) pointer: String,
    pub(super) strength: Strength,
}

pub(super) fn address(schema: &Value) -> usize {
    std::ptr::from_ref(schema) as usize
}

impl<'s> Site<'s> {
    pub(super) fn root(schema: &'s Value) -> Self {
        Self { schema, pointer: String::new(), strength: Strength::Always }
    }

    pub(super) fn key(&self) -> SiteKey {
        (address(self.schema), self.strength)
    }

    pub(super) fn keyword(&self, keyword: &str) -> Option<&'s Value> {
        self.schema.get(keyword)
    }

    pub(super) fn pointer_to(&self, names: &[&str]) -> String {
        let mut pointer = self.pointer.clone();
        for name in names {
            push_name(&mut pointer, name);
        }
        pointer
    }

    fn within(&self, schema: &'s Value, pointer: String, least: Strength) -> Self {
        Site { schema, pointer, strength: self.strength.max(least) }
    }

    /// The subschema under a keyword, if it is one.
    pub(super) fn child(&self, keyword: &str) -> Option<Self> {
        let schema = self.keyword(keyword).filter(|schema| schema.is_object() || schema.is_boolean())?;
        Some(self.within(schema, self.pointer_to(&[keyword]), Strength::Always))
    }

    /// The subschemas of an object under a keyword, by name.
    pub(super) fn children(&self, keyword: &'static str) -> impl Iterator<Item = (&'s str, Self)> {
        let map = self.keyword(keyword).and_then(Value::as_object);
        map.into_iter().flatten().map(move |(name, schema)| {
            (name.as_str(), self.within(schema, self.pointer_to(&[keyword, name]), Strength::Always))
        })
    }

    /// The subschemas of an array under a keyword.
    fn list(&self, keyword: &'static str) -> impl Iterator<Item = Self> {
        let list = self.keyword(keyword).and_then(Value::as_array);
        list.into_iter().flatten().enumerate().map(move |(index, schema)| {
            let mut pointer = self.pointer_to(&[keyword]);
            push_index(&mut pointer, index);
            self.within(schema, pointer, Strength::Always)
        })
    }

    /// The same, holding for no more records than `least` says.
    pub(super) fn weakened(mut self, least: Strength) -> Self {
        self.strength = self.strength.max(least);
        self
    }
}

/// Finds the subschemas a schema applies in place, and where references lead.
pub(super) struct Sites<'s> {
    root: &'s Value,
    draft: Draft,
    anchors: HashMap<&'s str, &'s Value>,
    pub(super) findings: Vec<SchemaFinding>,
}

impl<'s> Sites<'s> {
    pub(super) fn new(root: &'s Value, draft: Draft) -> Self {
        let mut anchors = HashMap::new();
        if draft != Draft::Draft7 {
            let mut left = vec![root];
            while let Some(value) = left.pop() {
                if let Some(anchor) = value.get("$anchor").and_then(Value::as_str) {
                    anchors.insert(anchor, value);
                }
                match value {
                    Value::Object(map) => left.extend(map.values()),
                    Value::Array(list) => left.extend(list),
                    _ => {}
                }
            }
        }
        Self { root, draft, anchors, findings: Vec::new() }
    }

    /// Whether only the `$ref` of a subschema counts: draft-07 ignores what stands beside it.
    pub(super) fn refers_only(&self, schema: &Value) -> bool {
        self.draft == Draft::Draft7 && schema.get("$ref").is_some()
    }

    /// Whether `items` may be a list, as before 2020-12.
    fn has_item_lists(&self) -> bool {
        matches!(self.draft, Draft::Draft7 | Draft::Draft201909)
    }

    /// Where a `$ref` leads, if it stays within the schema.
    pub(super) fn target(&self, uri: &Value) -> Option<&'s Value> {
        let fragment = percent_decoded(uri.as_str()?.strip_prefix('#')?)?;
        match fragment.strip_prefix('/') {
            Some(_) => self.root.pointer(&fragment),
            None if fragment.is_empty() => Some(self.root),
            None => self.anchors.get(fragment.as_str()).copied(),
        }
    }

    /// The seeds and everything they apply to the same place, each once.
    pub(super) fn expand(&mut self, seeds: Vec<Site<'s>>) -> Vec<Site<'s>> {
        let mut seen: HashSet<SiteKey> = HashSet::new();
        let mut queue = VecDeque::from(seeds);
        let mut sites = Vec::new();
        while let Some(site) = queue.pop_front() {
            if !seen.insert(site.key()) || !site.schema.is_object() {
                continue;
            }
            self.follow(&site, &mut queue);
            if !self.refers_only(site.schema) {
                queue.extend(site.list("allOf"));
                for keyword in ["anyOf", "oneOf"] {
                    queue.extend(site.list(keyword).map(|branch| branch.weakened(Strength::Sometimes)));
                }
                for keyword in ["then", "else"] {
                    queue.extend(site.child(keyword).map(|branch| branch.weakened(Strength::Sometimes)));
                }
                for keyword in ["if", "not"] {
                    queue.extend(site.child(keyword).map(|branch| branch.weakened(Strength::Condition)));
                }
                for keyword in ["dependentSchemas", "dependencies"] {
                    queue.extend(site.children(keyword).map(|(_, branch)| branch.weakened(Strength::Sometimes)));
                }
            }
            // What only refers says nothing itself; without it one place is not taken for two.
            let only_refers = site.schema.as_object().is_some_and(|map| map.len() == 1);
            let target = site.keyword("$ref").and_then(|uri| self.target(uri));
            if !(only_refers && target.is_some_and(Value::is_object)) {
                sites.push(site);
            }
        }
        sites
    }

    fn follow(&mut self, site: &Site<'s>, queue: &mut VecDeque<Site<'s>>) {
        if let Some(uri) = site.keyword("$ref") {
            match self.target(uri) {
                Some(target) => {
                    let pointer = uri.as_str().and_then(|uri| uri.strip_prefix('#')).unwrap_or_default().to_owned();
                    queue.push_back(site.within(target, pointer, Strength::Always));
                }
                None => self.refuse_reference(site.pointer_to(&["$ref"])),
            }
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if site.keyword(keyword).is_some() {
                self.refuse_reference(site.pointer_to(&[keyword]));
            }
        }
        if !site.pointer.is_empty() && site.schema != self.root && site.keyword("$id").is_some() {
            self.refuse_reference(site.pointer_to(&["$id"]));
        }
    }

    fn refuse_reference(&mut self, pointer: String) {
        self.findings.push(SchemaFinding {
            pointer,
            element: None,
            rule: SchemaRule::Reference,
            message: Text::new(
                "chỉ được tham chiếu bên trong chính lược đồ, tới chỗ có thật",
                "references must stay within the schema and lead to a place that exists",
            ),
            remedy: Text::new(
                "dùng \"$ref\": \"#/$defs/<tên>\"; không dùng $id ở dưới gốc, $dynamicRef, địa chỉ ngoài",
                "use \"$ref\": \"#/$defs/<name>\"; no $id below the root, no $dynamicRef, no outside address",
            ),
        });
    }

    /// The subschemas of the first items, one for each.
    pub(super) fn prefix_items(&self, site: &Site<'s>) -> Vec<Site<'s>> {
        if self.refers_only(site.schema) {
            return Vec::new();
        }
        site.list(if self.has_item_lists() { "items" } else { "prefixItems" }).collect()
    }

    /// The subschemas of the items after the first ones.
    pub(super) fn other_items(&self, site: &Site<'s>) -> Vec<Site<'s>> {
        if self.refers_only(site.schema) {
            return Vec::new();
        }
        let has_list = site.keyword("items").is_some_and(Value::is_array);
        let others =
            if self.has_item_lists() && has_list { site.child("additionalItems") } else { site.child("items") };
        let unevaluated = if self.draft == Draft::Draft7 { None } else { site.child("unevaluatedItems") };
        let unevaluated = unevaluated.map(|items| items.weakened(Strength::Sometimes));
        let contains = site.child("contains").map(|contains| contains.weakened(Strength::Condition));
        [others, unevaluated, contains].into_iter().flatten().collect()
    }
}

/// A fragment with its `%XX` decoded.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = after else { return None };
        let digit = |b: u8| char::from(b).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

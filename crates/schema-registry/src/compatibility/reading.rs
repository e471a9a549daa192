//! Reads a schema into a [`SchemaTree`], so that the drafts look alike.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use ldop_types::Text;

use super::{
    references::{Library, Place, address},
    tree::{AcrossFields, Choice, Draft, Id, Local, Node, Pattern, SchemaTree, Sizes},
    types,
    value::Value,
};
use crate::{
    document::Parser,
    schema::MAX_RULES,
    schema::{SCHEMA_LIMITS, SchemaFinding, SchemaRule},
};

/// Most patterns of a schema that texts are matched with; one takes a millisecond to compile. Of more of them nothing is
/// known but their text.
const MAX_PATTERNS: usize = 256;
/// Says nothing about values, in any draft, and is told when it changes.
const ANNOTATIONS: [&str; 12] = [
    "$comment",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
    "x-ldop-sensitivity",
];
/// Says nothing about values and is not told: names and places, and what is read together with another keyword.
const STRUCTURE: [&str; 10] = [
    "$anchor",
    "$defs",
    "$dynamicAnchor",
    "$id",
    "$recursiveAnchor",
    "$schema",
    "$vocabulary",
    "definitions",
    "else",
    "then",
];

pub(super) fn read(text: &str, references: &[(&str, &str)]) -> Result<SchemaTree, Vec<SchemaFinding>> {
    let mut findings = Vec::new();
    let mut documents: Vec<(Box<str>, Value)> = Vec::new();
    for (name, text) in std::iter::once(&("", text)).chain(references) {
        match Parser::new(SCHEMA_LIMITS).parse(text.as_bytes()) {
            Ok(document) => documents.push(((*name).into(), Value::of(document.root()))),
            Err(flaw) => {
                let remedy = Text::new("sửa cho đúng JSON", "mend the JSON");
                findings.push(finding(prefixed(name, ""), SchemaRule::Document, flaw.message, remedy));
            }
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let mut library = Library::default();
    let (mut own, mut inherited) = (0, Draft::Draft202012);
    for (index, (name, value)) in documents.iter().enumerate() {
        let draft = match (value.get("$schema"), index) {
            (None, 0) => Draft::Draft202012,
            (None, _) => inherited,
            (Some(uri), _) => uri.as_text().and_then(draft).unwrap_or_else(|| {
                findings.push(unsupported(prefixed(name, "/$schema")));
                Draft::Draft202012
            }),
        };
        let resource = library.add((index > 0).then_some(&**name), value, draft);
        if index == 0 {
            (own, inherited) = (resource, draft);
        }
    }
    let mut reader =
        Reader { library, nodes: Vec::new(), queue: Vec::new(), ids: HashMap::new(), findings, patterns: 0 };
    reader.findings.extend(reader.library.refused.drain(..).map(misplaced));
    let root = reader.schema(Place { value: &documents[0].1, resource: own });
    while let Some((id, place)) = reader.queue.pop() {
        reader.nodes[id as usize] = Some(reader.node(place));
    }
    if !reader.findings.is_empty() {
        let mut findings = reader.findings;
        findings.sort_by(|a, b| (&a.pointer, a.rule).cmp(&(&b.pointer, b.rule)));
        return Err(findings);
    }
    let mut nodes: Vec<Node> = reader.nodes.into_iter().flatten().collect();
    super::settle::settle(&mut nodes);
    let is_dynamic = nodes.iter().any(|node| node.is_dynamic);
    Ok(SchemaTree { draft: inherited, nodes, root, is_dynamic, documents })
}

fn draft(uri: &str) -> Option<Draft> {
    match uri.trim_end_matches('#') {
        "http://json-schema.org/draft-07/schema" => Some(Draft::Draft07),
        "https://json-schema.org/draft/2019-09/schema" => Some(Draft::Draft201909),
        "https://json-schema.org/draft/2020-12/schema" => Some(Draft::Draft202012),
        _ => None,
    }
}

struct Reader<'v> {
    library: Library<'v>,
    nodes: Vec<Option<Node>>,
    queue: Vec<(Id, Place<'v>)>,
    ids: HashMap<usize, Id>,
    findings: Vec<SchemaFinding>,
    patterns: usize,
}

impl<'v> Reader<'v> {
    /// The node of a subschema; read later.
    fn schema(&mut self, place: Place<'v>) -> Id {
        let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        *self.ids.entry(address(place.value)).or_insert_with(|| {
            self.nodes.push(None);
            self.queue.push((next, place));
            next
        })
    }

    fn node(&mut self, place: Place<'v>) -> Node {
        let draft = self.library.resources[place.resource].draft;
        let mut node = Node::new(draft, self.library.pointer(place.value));
        match place.value {
            Value::Boolean(accepts) => node.local.refuses_all = !accepts,
            Value::Object(members) => {
                let refers_only = draft == Draft::Draft07 && place.value.get("$ref").is_some();
                let mut at = At { reader: self, place, draft, value: place.value };
                for (name, value) in members {
                    if !refers_only || &**name == "$ref" {
                        at.value = value;
                        at.keyword(name, &mut node);
                    }
                }
                node.default = place.value.get("default").filter(|_| !refers_only).cloned();
            }
            other => node.local.unknown.push(("".into(), other.clone())),
        }
        node
    }
}

/// A keyword while it is read.
struct At<'r, 'v> {
    reader: &'r mut Reader<'v>,
    place: Place<'v>,
    draft: Draft,
    value: &'v Value,
}

impl<'v> At<'_, 'v> {
    fn keyword(&mut self, name: &str, node: &mut Node) {
        if self.known(name, node).is_none() {
            node.local.unknown.push((name.into(), self.value.clone()));
        }
    }

    /// Reads a keyword; none if this draft does not know it or its value breaks the meta-schema.
    fn known(&mut self, name: &str, node: &mut Node) -> Option<()> {
        let local = &mut node.local;
        match name {
            "type" => local.types = types::of_keyword(self.value)?,
            "enum" => local.enumeration = Some(Choice::new(self.value.as_array()?.to_vec())),
            "const" => local.constant = Some(Choice::new(vec![self.value.clone()])),
            "minimum" => local.numbers.minimum = Some(self.number()?),
            "maximum" => local.numbers.maximum = Some(self.number()?),
            "exclusiveMinimum" => local.numbers.exclusive_minimum = Some(self.number()?),
            "exclusiveMaximum" => local.numbers.exclusive_maximum = Some(self.number()?),
            "multipleOf" => local.numbers.multiple_of = Some(self.number()?),
            "minLength" => local.length.least = self.size(0)?,
            "maxLength" => local.length.most = self.size(u64::MAX)?,
            "pattern" => local.pattern = Some(self.pattern(self.value.as_text()?)),
            "format" => local.format = Some(self.value.as_text()?.into()),
            "contentEncoding" | "contentMediaType" if self.draft == Draft::Draft07 => {
                let text = self.value.as_text()?;
                local.content[usize::from(name == "contentMediaType")] = Some(text.into());
            }
            "required" => local.required = self.names(self.value)?,
            "minProperties" => local.properties.least = self.size(0)?,
            "maxProperties" => local.properties.most = self.size(u64::MAX)?,
            "minItems" => local.items.least = self.size(0)?,
            "maxItems" => local.items.most = self.size(u64::MAX)?,
            "uniqueItems" => match self.value {
                Value::Boolean(unique) => local.unique_items = *unique,
                _ => return None,
            },
            "x-ldop-element" => local.element = Some(self.value.as_text()?.into()),
            "x-ldop-checks" => local.checks = Some(self.value.clone()),
            "x-ldop-rules" => {
                local.rules = rules(self.value)?;
                node.annotations.push((name.into(), self.value.clone()));
            }
            _ => return self.applicator(name, node),
        }
        Some(())
    }

    fn applicator(&mut self, name: &str, node: &mut Node) -> Option<()> {
        let has_tuples = self.draft != Draft::Draft202012;
        match name {
            "$ref" => node.reference = Some(self.reference()?),
            "$dynamicRef" if self.draft == Draft::Draft202012 => node.is_dynamic = true,
            "$recursiveRef" if self.draft == Draft::Draft201909 => node.is_dynamic = true,
            "properties" => node.properties = self.map()?,
            "patternProperties" => {
                node.pattern_properties = self.map()?.into_iter().map(|(text, id)| (self.pattern(&text), id)).collect();
            }
            "additionalProperties" => node.additional_properties = Some(self.schema()?),
            "propertyNames" => node.property_names = Some(self.schema()?),
            "dependentRequired" if self.draft != Draft::Draft07 => self.dependencies(node, false)?,
            "dependentSchemas" if self.draft != Draft::Draft07 => self.dependencies(node, true)?,
            // The validator knows it in every draft.
            "dependencies" => self.dependencies(node, true)?,
            "prefixItems" if !has_tuples => node.prefix_items = self.list()?,
            "items" if has_tuples && self.value.as_array().is_some() => node.prefix_items = self.list()?,
            "items" => node.items = Some(self.schema()?),
            "additionalItems" if has_tuples => {
                let schema = self.schema()?;
                if self.place.value.get("items").is_some_and(|items| items.as_array().is_some()) {
                    node.items = Some(schema);
                }
            }
            "contains" => {
                node.contains = Some(self.schema()?);
                if self.draft != Draft::Draft07 {
                    self.counts(node)?;
                }
            }
            "minContains" | "maxContains" if self.draft != Draft::Draft07 => {}
            "allOf" => node.all_of = self.list()?,
            "anyOf" => node.any_of = Some(self.list()?),
            "oneOf" => node.one_of = Some(self.list()?),
            "not" => node.not = Some(self.schema()?),
            "if" => {
                let branch = |at: &mut Self, name: &str| at.sibling(name).map_or(Some(None), |id| id.map(Some));
                node.consequence = branch(self, "then")?;
                node.alternative = branch(self, "else")?;
                node.condition = Some(self.schema()?);
            }
            "unevaluatedProperties" if self.draft != Draft::Draft07 => {
                node.unevaluated_properties = Some(self.schema()?);
            }
            "unevaluatedItems" if self.draft != Draft::Draft07 => node.unevaluated_items = Some(self.schema()?),
            _ if ANNOTATIONS.contains(&name) || name.starts_with("x-") => {
                node.annotations.push((name.into(), self.value.clone()));
            }
            _ if STRUCTURE.contains(&name) => {}
            _ => return None,
        }
        Some(())
    }

    fn pattern(&mut self, text: &str) -> Pattern {
        self.reader.patterns += 1;
        Pattern::new(text, self.reader.patterns <= MAX_PATTERNS)
    }

    fn number(&self) -> Option<super::value::Number> {
        match self.value {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        }
    }

    /// A size; nothing where it is the one that asks for nothing.
    fn size(&self, nothing: u64) -> Option<Option<u64>> {
        self.number()?.as_size().map(|size| Some(size).filter(|size| *size != nothing))
    }

    fn names(&self, value: &Value) -> Option<Vec<Box<str>>> {
        let names: Option<Vec<Box<str>>> = value.as_array()?.iter().map(|name| Some(name.as_text()?.into())).collect();
        let mut names = names?;
        names.sort();
        names.dedup();
        Some(names)
    }

    fn is_schema(value: &Value) -> bool {
        matches!(value, Value::Object(_) | Value::Boolean(_))
    }

    fn id(&mut self, value: &'v Value) -> Option<Id> {
        if !Self::is_schema(value) {
            return None;
        }
        let resources = &self.reader.library.resources;
        let below = resources[self.place.resource].below.get(&address(value)).copied();
        Some(self.reader.schema(Place { value, resource: below.unwrap_or(self.place.resource) }))
    }

    fn schema(&mut self) -> Option<Id> {
        self.id(self.value)
    }

    /// The schema of another keyword of the same subschema, if it is there.
    fn sibling(&mut self, name: &str) -> Option<Option<Id>> {
        let value: &'v Value = self.place.value;
        value.get(name).map(|value| self.id(value))
    }

    fn list(&mut self) -> Option<Vec<Id>> {
        let items = self.value.as_array()?;
        items.iter().map(|item| self.id(item)).collect()
    }

    fn map(&mut self) -> Option<Vec<(Box<str>, Id)>> {
        let members = self.value.as_object()?;
        members.iter().map(|(name, value)| Some((name.clone(), self.id(value)?))).collect()
    }

    fn dependencies(&mut self, node: &mut Node, may_be_schemas: bool) -> Option<()> {
        for (name, value) in self.value.as_object()? {
            if value.as_array().is_some() {
                let names = self.names(value)?;
                merge_names(&mut node.local.dependent_required, name, names);
            } else {
                let id = self.id(value).filter(|_| may_be_schemas)?;
                let at = node.dependent_schemas.partition_point(|(key, _)| key <= name);
                node.dependent_schemas.insert(at, (name.clone(), id));
            }
        }
        Some(())
    }

    fn counts(&mut self, node: &mut Node) -> Option<()> {
        let size = |name: &str| match self.place.value.get(name) {
            None => Some(None),
            Some(Value::Number(number)) => number.as_size().map(Some),
            Some(_) => None,
        };
        node.local.min_contains = size("minContains")?.unwrap_or(1);
        node.local.max_contains = size("maxContains")?;
        Some(())
    }

    fn reference(&mut self) -> Option<Id> {
        let uri = self.value.as_text()?;
        match self.reader.library.target(self.place.resource, uri) {
            Some(place) => Some(self.reader.schema(place)),
            None => {
                let pointer = format!("{}/$ref", self.reader.library.pointer(self.place.value));
                self.reader.findings.push(lost(pointer));
                None
            }
        }
    }
}

/// The rules that refuse; none if one is not a rule.
fn rules(value: &Value) -> Option<Vec<AcrossFields>> {
    let mut rules = Vec::new();
    for rule in value.as_array().filter(|list| list.len() <= MAX_RULES)? {
        let text = |key: &str| rule.get(key).map_or(Some(None), |text| text.as_text().map(Some));
        let asks = (text("when")?.map(Box::from), text("rule")??.into());
        let id = text("id")??.into();
        match text("severity")? {
            None | Some("refuse") => rules.push(AcrossFields { id, asks }),
            Some("warn") => {}
            Some(_) => return None,
        }
    }
    // Their order does not matter.
    rules.sort();
    Some(rules)
}

fn merge_names(list: &mut Vec<(Box<str>, Vec<Box<str>>)>, name: &str, names: Vec<Box<str>>) {
    match list.binary_search_by(|(key, _)| (**key).cmp(name)) {
        Ok(index) => {
            list[index].1.extend(names);
            list[index].1.sort();
            list[index].1.dedup();
        }
        Err(index) => list.insert(index, (name.into(), names)),
    }
}

impl Node {
    fn new(draft: Draft, pointer: String) -> Self {
        Self {
            draft,
            pointer,
            local: Local::default(),
            properties: Vec::new(),
            pattern_properties: Vec::new(),
            additional_properties: None,
            property_names: None,
            dependent_schemas: Vec::new(),
            prefix_items: Vec::new(),
            items: None,
            contains: None,
            all_of: Vec::new(),
            any_of: None,
            one_of: None,
            not: None,
            condition: None,
            consequence: None,
            alternative: None,
            reference: None,
            unevaluated_properties: None,
            unevaluated_items: None,
            is_dynamic: false,
            accepts_all: false,
            only_refers: false,
            is_plain: false,
            default: None,
            annotations: Vec::new(),
            mark: 0,
            is_leaf: false,
            only_chooses: false,
        }
    }

    /// A number for everything that [`same`](super::same) compares, apart from the subschemas.
    pub(super) fn shallow_mark(&self) -> u64 {
        let local = &self.local;
        let mut hasher = DefaultHasher::new();
        (local.refuses_all, local.types, &local.required, &local.dependent_required, &local.format).hash(&mut hasher);
        for choice in [&local.enumeration, &local.constant] {
            choice.as_ref().map(|choice| &choice.values).hash(&mut hasher);
        }
        let numbers = &local.numbers;
        (&numbers.minimum, &numbers.maximum, &numbers.exclusive_minimum, &numbers.exclusive_maximum).hash(&mut hasher);
        (&numbers.multiple_of, &local.content, &local.element, &local.checks, &local.rules, &local.unknown)
            .hash(&mut hasher);
        local.pattern.as_ref().map(|pattern| &pattern.text).hash(&mut hasher);
        for Sizes { least, most } in [local.length, local.properties, local.items] {
            (least, most).hash(&mut hasher);
        }
        (local.unique_items, local.min_contains, local.max_contains, self.is_dynamic).hash(&mut hasher);
        self.properties.iter().for_each(|(name, _)| name.hash(&mut hasher));
        self.pattern_properties.iter().for_each(|(pattern, _)| pattern.text.hash(&mut hasher));
        hasher.finish()
    }
}

fn prefixed(name: &str, pointer: &str) -> String {
    if name.is_empty() { pointer.to_owned() } else { format!("{name}#{pointer}") }
}

fn finding(pointer: String, rule: SchemaRule, message: Text, remedy: Text) -> SchemaFinding {
    SchemaFinding { pointer, element: None, rule, message, remedy }
}

fn unsupported(pointer: String) -> SchemaFinding {
    let message = Text::new("phiên bản JSON Schema không được hỗ trợ", "this draft of JSON Schema is not supported");
    let remedy = Text::new(
        "bỏ $schema, hoặc ghi draft-07, 2019-09 hay 2020-12 theo địa chỉ chính thức",
        "leave $schema out, or write draft-07, 2019-09 or 2020-12 by its official address",
    );
    finding(pointer, SchemaRule::Draft, message, remedy)
}

fn lost(pointer: String) -> SchemaFinding {
    let message = Text::new(
        "tham chiếu phải dẫn tới chỗ có thật trong lược đồ này hoặc lược đồ đã khai báo; không tải gì từ ngoài",
        "a reference must lead to a place that exists in this schema or in one given by name; nothing is fetched",
    );
    let remedy = Text::new(
        "dùng \"#/$defs/<tên>\", hoặc khai báo lược đồ kia với đúng tên ghi ở đây",
        "use \"#/$defs/<name>\", or give the other schema under the name written here",
    );
    finding(pointer, SchemaRule::Reference, message, remedy)
}

fn misplaced(pointer: String) -> SchemaFinding {
    let message = Text::new(
        "$id tương đối ở dưới gốc, hoặc mốc (anchor) đặt hai lần: không rõ tham chiếu dẫn tới đâu",
        "a relative $id below the root, or an anchor set twice: it is not clear where references lead",
    );
    let remedy = Text::new("bỏ đi, hoặc ghi $id tuyệt đối", "leave it out, or write an absolute $id");
    finding(pointer, SchemaRule::Reference, message, remedy)
}

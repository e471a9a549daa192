//! Where a `$ref` leads. Nothing is fetched.

use std::collections::HashMap;

use super::{tree::Draft, value::Value};
use crate::pointer::{push_index, push_name, unescape};

/// A subschema in the text it was written in.
#[derive(Clone, Copy)]
pub(super) struct Place<'v> {
    pub(super) value: &'v Value,
    /// Index into [`Library::resources`]: the base of references.
    pub(super) resource: usize,
}

/// A schema with an identity of its own: a document, or a subschema with an absolute `$id`.
pub(super) struct Resource<'v> {
    pub(super) root: &'v Value,
    pub(super) draft: Draft,
    base: Option<&'v str>,
    /// Resources below by the address of their roots.
    pub(super) below: HashMap<usize, usize>,
    anchors: HashMap<&'v str, Place<'v>>,
}

/// Every schema that may be referred to.
#[derive(Default)]
pub(super) struct Library<'v> {
    pub(super) resources: Vec<Resource<'v>>,
    by_name: HashMap<&'v str, usize>,
    /// Pointers of every value, by address.
    pointers: HashMap<usize, String>,
    /// Pointers of `$id`s that cannot be honoured.
    pub(super) refused: Vec<String>,
}

pub(super) fn address(value: &Value) -> usize {
    std::ptr::from_ref(value) as usize
}

impl<'v> Library<'v> {
    /// Adds a document under the name others refer to it by; the schema itself has none.
    pub(super) fn add(&mut self, name: Option<&'v str>, root: &'v Value, draft: Draft) -> usize {
        let base = root.get("$id").and_then(Value::as_text).map(without_empty_fragment);
        let resource = self.open(root, draft, base.filter(|id| is_absolute(id)));
        if let Some(name) = name {
            self.by_name.insert(name, resource);
        }
        let pointer = name.map_or_else(String::new, |name| format!("{name}#"));
        self.walk(Place { value: root, resource }, pointer);
        resource
    }

    fn open(&mut self, root: &'v Value, draft: Draft, base: Option<&'v str>) -> usize {
        let index = self.resources.len();
        self.resources.push(Resource { root, draft, base, below: HashMap::new(), anchors: HashMap::new() });
        if let Some(base) = base {
            self.by_name.entry(base).or_insert(index);
        }
        index
    }

    /// Recurses at most as deep as the parser's limit allows.
    fn walk(&mut self, place: Place<'v>, pointer: String) {
        let Place { value, mut resource } = place;
        let draft = self.resources[resource].draft;
        let id = value.get("$id").and_then(Value::as_text);
        // draft-07 ignores what stands beside `$ref`, and writes anchors as identities.
        let id = id.filter(|_| draft != Draft::Draft07 || value.get("$ref").is_none());
        let is_root = std::ptr::eq(value, self.resources[resource].root);
        match id.map(without_empty_fragment) {
            Some(id) if draft == Draft::Draft07 && id.starts_with('#') => {
                self.anchor(&id[1..], place, || format!("{pointer}/$id"));
            }
            Some(id) if !is_root && is_absolute(id) => {
                let below = self.open(value, draft, Some(id));
                self.resources[resource].below.insert(address(value), below);
                resource = below;
            }
            // Which base a relative one gives depends on more than is worth getting right.
            Some(_) if !is_root => self.refused.push(format!("{pointer}/$id")),
            _ => {}
        }
        if draft != Draft::Draft07 {
            for keyword in ["$anchor", "$dynamicAnchor"] {
                if let Some(anchor) = value.get(keyword).and_then(Value::as_text) {
                    self.anchor(anchor, Place { value, resource }, || format!("{pointer}/{keyword}"));
                }
            }
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    // What stands there is data, whatever it looks like.
                    if matches!(&**name, "enum" | "const" | "default" | "examples") && !is_map_of_schemas(&pointer) {
                        continue;
                    }
                    let mut below = pointer.clone();
                    push_name(&mut below, name);
                    self.walk(Place { value: member, resource }, below);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let mut below = pointer.clone();
                    push_index(&mut below, index);
                    self.walk(Place { value: item, resource }, below);
                }
            }
            _ => {}
        }
        self.pointers.insert(address(value), pointer);
    }

    /// Notes an anchor. One that stands twice could mean either place.
    fn anchor(&mut self, name: &'v str, place: Place<'v>, pointer: impl Fn() -> String) {
        let known = self.resources[place.resource].anchors.insert(name, place);
        if known.is_some_and(|known| !std::ptr::eq(known.value, place.value)) {
            self.refused.push(pointer());
        }
    }

    /// The pointer of a value.
    pub(super) fn pointer(&self, value: &Value) -> String {
        self.pointers.get(&address(value)).cloned().unwrap_or_default()
    }

    /// Where a `$ref` written in `resource` leads.
    pub(super) fn target(&self, resource: usize, reference: &str) -> Option<Place<'v>> {
        let (document, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resource = if document.is_empty() { resource } else { self.resource(resource, document)? };
        let fragment = percent_decoded(fragment)?;
        let root = self.resources[resource].root;
        if fragment.is_empty() {
            return Some(Place { value: root, resource });
        }
        let Some(path) = fragment.strip_prefix('/') else {
            return self.resources[resource].anchors.get(fragment.as_str()).copied();
        };
        let mut place = Place { value: root, resource };
        for segment in path.split('/') {
            let segment = unescape(segment);
            place.value = match place.value {
                Value::Array(items) => items.get(segment.parse::<usize>().ok()?)?,
                value => value.get(&segment)?,
            };
            place.resource =
                *self.resources[place.resource].below.get(&address(place.value)).unwrap_or(&place.resource);
        }
        Some(place)
    }

    fn resource(&self, from: usize, document: &str) -> Option<usize> {
        if let Some(found) = self.by_name.get(document) {
            return Some(*found);
        }
        // A plain file name beside an absolute base; anything more is not guessed at.
        let is_plain = !is_absolute(document) && !document.contains(['/', '?', '\\']) && !document.starts_with('.');
        let base = self.resources[from].base?;
        let folder = &base[..=base.rfind('/')?];
        if !is_plain || folder.ends_with("//") {
            return None;
        }
        self.by_name.get(format!("{folder}{document}").as_str()).copied()
    }
}

/// Whether members of the object at `pointer` are names of properties or definitions rather than keywords.
fn is_map_of_schemas(pointer: &str) -> bool {
    let last = pointer.rsplit('/').next().unwrap_or_default();
    matches!(last, "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies")
}

fn without_empty_fragment(id: &str) -> &str {
    id.strip_suffix('#').unwrap_or(id)
}

fn is_absolute(id: &str) -> bool {
    let scheme = id.split(':').next().unwrap_or_default();
    scheme.len() < id.len()
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
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

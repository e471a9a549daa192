//! A schema as the prover reads it: one table of subschemas, references resolved, the drafts' differences gone.

use std::{fmt, sync::OnceLock};

use hashbrown::HashSet;
use ldop_dictionary::pattern;

use super::{
    types::{self, Types},
    value::{Decimal, Number, Value},
};
use crate::schema::SchemaFinding;

/// Where a subschema stands in its tree.
pub(super) type Id = u32;

/// A draft of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Draft {
    /// draft-07
    Draft07,
    /// 2019-09
    Draft201909,
    /// 2020-12
    Draft202012,
}

/// A schema, parsed once and compared often. Cheap to compare, dear to make.
///
/// ```
/// use ldop_schema_registry::compatibility::SchemaTree;
///
/// let tree = SchemaTree::parse(r##"{"$ref": "codes#/$defs/sex"}"##, &[("codes", r#"{"$defs": {"sex": {"enum": ["0", "1"]}}}"#)]);
/// assert!(tree.is_ok());
/// assert!(SchemaTree::parse(r#"{"$ref": "https://example.org/elsewhere"}"#, &[]).is_err());
/// ```
pub struct SchemaTree {
    pub(super) draft: Draft,
    pub(super) nodes: Vec<Node>,
    pub(super) root: Id,
    /// It has `$dynamicRef` or `$recursiveRef` somewhere: what those mean depends on the way that led to them, so nothing
    /// is proven unless no word has changed.
    pub(super) is_dynamic: bool,
    /// The documents as they are, the schema first and the references by name, to see at once that nothing changed.
    pub(super) documents: Vec<(Box<str>, Value)>,
}

impl SchemaTree {
    /// Parses a schema and the schemas it refers to by name. Fetches nothing: a `$ref` leads into the schema itself or
    /// into one of `references`, whose names are compared as they are written. A reference without `$schema` has the
    /// draft of the schema.
    ///
    /// Whether the schema is a good one is for [`CompiledSchema`](crate::CompiledSchema) to say; a keyword whose value
    /// breaks its meta-schema is treated here as one that is not known.
    ///
    /// # Errors
    ///
    /// Not well-formed JSON, another draft, or references that lead nowhere: everything found at once.
    pub fn parse(text: &str, references: &[(&str, &str)]) -> Result<Self, Vec<SchemaFinding>> {
        super::reading::read(text, references)
    }

    /// The draft of the schema.
    #[must_use]
    pub fn draft(&self) -> Draft {
        self.draft
    }

    /// Number of subschemas, those of references included.
    #[must_use]
    pub fn subschema_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }
}

impl fmt::Debug for SchemaTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaTree({:?}, {} subschemas)", self.draft, self.nodes.len())
    }
}

/// A pattern; compiled when it is first asked.
pub(super) struct Pattern {
    pub(super) text: Box<str>,
    /// Whether it may be compiled: a schema can hold more patterns than there is time for.
    may_match: bool,
    engine: OnceLock<Option<pattern::Pattern>>,
}

impl Pattern {
    pub(super) fn new(text: &str, may_match: bool) -> Self {
        Self { text: text.into(), may_match, engine: OnceLock::new() }
    }

    /// Whether a text matches; none where the pattern is not one the validator would take, or one too many.
    pub(super) fn is_match(&self, text: &str) -> Option<bool> {
        let compile = || if self.may_match { pattern::Pattern::anywhere(&self.text).ok() } else { None };
        self.engine.get_or_init(compile).as_ref().map(|engine| engine.is_match(text))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Values a place may have. A `const` is an `enum` of one.
pub(super) struct Choice {
    pub(super) values: Vec<Value>,
    pub(super) types: Types,
    /// Texts and numbers among them, to find one at once.
    texts: HashSet<Box<str>>,
    numbers: HashSet<Number>,
    /// What any of the numbers may be taken for.
    readings: HashSet<Decimal>,
    /// Number of arrays and objects among them, which are compared one by one.
    pub(super) compounds: u64,
}

impl Choice {
    pub(super) fn new(values: Vec<Value>) -> Self {
        let types = values.iter().fold(0, |types, value| types | types::of_value(value));
        let texts = values.iter().filter_map(Value::as_text).map(Into::into).collect();
        let numbers: HashSet<Number> = values.iter().filter_map(Value::as_number).cloned().collect();
        let readings = numbers.iter().flat_map(Number::readings).cloned().collect();
        let compounds = values.iter().filter(|value| value.is_compound()).count() as u64;
        Self { values, types, texts, numbers, readings, compounds }
    }

    /// Whether a value is one of them; none where it depends on how numbers are read.
    pub(super) fn contains(&self, value: &Value) -> Option<bool> {
        match value {
            Value::Text(text) => Some(self.texts.contains(text)),
            Value::Number(number) if self.numbers.contains(number) => Some(true),
            Value::Number(number) => {
                let is_unclear = number.readings().into_iter().any(|reading| self.readings.contains(reading));
                (!is_unclear).then_some(false)
            }
            Value::Null | Value::Boolean(_) => {
                Some(types::of_value(value) & self.types != 0 && self.values.contains(value))
            }
            Value::Array(_) | Value::Object(_) => {
                let mut is_told = true;
                for own in self.values.iter().filter(|own| own.is_compound()) {
                    match own.equals(value) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => is_told = false,
                    }
                }
                is_told.then_some(false)
            }
        }
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Self) -> bool {
        // The rest is made of them.
        self.values == other.values
    }
}

/// Limits of numbers.
#[derive(Default, PartialEq)]
pub(super) struct Numbers {
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) exclusive_minimum: Option<Number>,
    pub(super) exclusive_maximum: Option<Number>,
    pub(super) multiple_of: Option<Number>,
}

/// Limits of sizes, least and greatest.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Sizes {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

/// What a subschema says of the value itself, apart from all other subschemas.
#[derive(PartialEq)]
pub(super) struct Local {
    /// `false`, the schema that refuses everything.
    pub(super) refuses_all: bool,
    pub(super) types: Types,
    pub(super) enumeration: Option<Choice>,
    pub(super) constant: Option<Choice>,
    pub(super) numbers: Numbers,
    pub(super) length: Sizes,
    pub(super) pattern: Option<Pattern>,
    pub(super) format: Option<Box<str>>,
    /// `contentEncoding` and `contentMediaType`, which draft-07 asserts.
    pub(super) content: [Option<Box<str>>; 2],
    pub(super) required: Vec<Box<str>>,
    pub(super) properties: Sizes,
    pub(super) dependent_required: Vec<(Box<str>, Vec<Box<str>>)>,
    pub(super) items: Sizes,
    pub(super) unique_items: bool,
    pub(super) min_contains: u64,
    pub(super) max_contains: Option<u64>,
    pub(super) element: Option<Box<str>>,
    pub(super) checks: Option<Value>,
    /// Rules across fields that refuse; those that only warn are annotations.
    pub(super) rules: Vec<AcrossFields>,
    /// Keywords that are not known, or not in this draft.
    pub(super) unknown: Vec<(Box<str>, Value)>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            refuses_all: false,
            types: types::ANY,
            enumeration: None,
            constant: None,
            numbers: Numbers::default(),
            length: Sizes::default(),
            pattern: None,
            format: None,
            content: [None, None],
            required: Vec::new(),
            properties: Sizes::default(),
            dependent_required: Vec::new(),
            items: Sizes::default(),
            unique_items: false,
            min_contains: 1,
            max_contains: None,
            element: None,
            checks: None,
            rules: Vec::new(),
            unknown: Vec::new(),
        }
    }
}

/// A rule of `x-ldop-rules` that refuses objects.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AcrossFields {
    pub(super) id: Box<str>,
    /// `when` and `rule`, as they are written. Two that are written alike ask the same of the same members.
    pub(super) asks: (Option<Box<str>>, Box<str>),
}

/// A subschema. Names are in order.
pub(super) struct Node {
    pub(super) draft: Draft,
    /// RFC 6901 pointer from the document's root; within a reference, its name and `#` before it.
    pub(super) pointer: String,
    pub(super) local: Local,
    pub(super) properties: Vec<(Box<str>, Id)>,
    pub(super) pattern_properties: Vec<(Pattern, Id)>,
    pub(super) additional_properties: Option<Id>,
    pub(super) property_names: Option<Id>,
    pub(super) dependent_schemas: Vec<(Box<str>, Id)>,
    pub(super) prefix_items: Vec<Id>,
    /// The items after the first ones.
    pub(super) items: Option<Id>,
    pub(super) contains: Option<Id>,
    pub(super) all_of: Vec<Id>,
    pub(super) any_of: Option<Vec<Id>>,
    pub(super) one_of: Option<Vec<Id>>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<Id>,
    pub(super) consequence: Option<Id>,
    pub(super) alternative: Option<Id>,
    pub(super) reference: Option<Id>,
    /// Where they say more than `additionalProperties` and `items` would.
    pub(super) unevaluated_properties: Option<Id>,
    pub(super) unevaluated_items: Option<Id>,
    /// It holds `$dynamicRef` or `$recursiveRef`, whose meaning depends on the way that led here.
    pub(super) is_dynamic: bool,
    /// It accepts every value and binds nothing.
    pub(super) accepts_all: bool,
    /// It says nothing but its `$ref` (and an element).
    pub(super) only_refers: bool,
    /// It says nothing but what [`CompatibilityPolicy::Lenient`](super::CompatibilityPolicy) knows how to read.
    pub(super) is_plain: bool,
    pub(super) default: Option<Value>,
    pub(super) annotations: Vec<(Box<str>, Value)>,
    /// Differs where two subschemas differ, references not followed.
    pub(super) mark: u64,
    /// It has no subschemas and refers to none.
    pub(super) is_leaf: bool,
    /// It says nothing but which values there are, and of which types.
    pub(super) only_chooses: bool,
}

impl Node {
    pub(super) fn property(&self, name: &str) -> Option<Id> {
        find(&self.properties, name).copied()
    }

    /// Every subschema that looks at the same value, apart from a reference's.
    pub(super) fn in_place(&self) -> impl Iterator<Item = Id> {
        let lists = [Some(&self.all_of), self.any_of.as_ref(), self.one_of.as_ref()];
        let single = [self.not, self.condition, self.consequence, self.alternative];
        lists
            .into_iter()
            .flatten()
            .flatten()
            .copied()
            .chain(single.into_iter().flatten())
            .chain(self.dependent_schemas.iter().map(|(_, id)| *id))
    }

    /// Every subschema that looks at a part of the value.
    pub(super) fn parts(&self) -> impl Iterator<Item = Id> {
        let single = [
            self.additional_properties,
            self.property_names,
            self.items,
            self.contains,
            self.unevaluated_properties,
            self.unevaluated_items,
        ];
        let named = self.properties.iter().map(|(_, id)| *id);
        let patterns = self.pattern_properties.iter().map(|(_, id)| *id);
        named.chain(patterns).chain(self.prefix_items.iter().copied()).chain(single.into_iter().flatten())
    }
}

/// The entry of a name in a list ordered by names.
pub(super) fn find<'l, T>(list: &'l [(Box<str>, T)], name: &str) -> Option<&'l T> {
    list.binary_search_by(|(key, _)| (**key).cmp(name)).ok().map(|index| &list[index].1)
}

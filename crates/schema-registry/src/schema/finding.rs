//! What is wrong with a schema an operator sent.

use std::fmt;

use ldop_types::Text;

/// The rule a schema breaks. Listed in docs/rules.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRule {
    /// Not well-formed JSON as records must be, or over the limits.
    Document,
    /// `$schema` names a draft that is not supported.
    Draft,
    /// Breaks the meta-schema, or cannot be compiled.
    MetaSchema,
    /// The record would not be an object with named properties.
    Root,
    /// A `$ref` that leaves the schema or leads nowhere, or an `$id` below the root.
    Reference,
    /// A property that may hold a scalar is bound to no element.
    Unbound,
    /// Bound to an element the dictionary does not have.
    ElementUnknown,
    /// One place is bound to two elements.
    ElementConflict,
    /// The schema permits types the element does not have.
    ElementType,
    /// The schema states a length, range, pattern, format or value that is looser than the element's.
    ElementLooser,
    /// Bound to an element that new schema versions may not bind, by its place in the life cycle.
    ElementStatus,
    /// `x-ldop-checks` is not well-formed or names unfit properties.
    Checks,
    /// A key field of a dataset may be left out, be null, or hold more than a scalar.
    Key,
    /// `x-ldop-rules` is not well-formed, or holds a rule that cannot be evaluated on records of the schema.
    Rules,
}

impl SchemaRule {
    /// Every rule.
    pub const ALL: [Self; 14] = [
        Self::Document,
        Self::Draft,
        Self::MetaSchema,
        Self::Root,
        Self::Reference,
        Self::Unbound,
        Self::ElementUnknown,
        Self::ElementConflict,
        Self::ElementType,
        Self::ElementLooser,
        Self::ElementStatus,
        Self::Checks,
        Self::Key,
        Self::Rules,
    ];

    /// The word in reports, UPPER_SNAKE_CASE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Document => "SCHEMA_DOCUMENT",
            Self::Draft => "SCHEMA_DRAFT",
            Self::MetaSchema => "SCHEMA_META",
            Self::Root => "SCHEMA_ROOT",
            Self::Reference => "SCHEMA_REFERENCE",
            Self::Unbound => "SCHEMA_UNBOUND",
            Self::ElementUnknown => "SCHEMA_ELEMENT_UNKNOWN",
            Self::ElementConflict => "SCHEMA_ELEMENT_CONFLICT",
            Self::ElementType => "SCHEMA_ELEMENT_TYPE",
            Self::ElementLooser => "SCHEMA_ELEMENT_LOOSER",
            Self::ElementStatus => "SCHEMA_ELEMENT_STATUS",
            Self::Checks => "SCHEMA_CHECKS",
            Self::Key => "SCHEMA_KEY",
            Self::Rules => "SCHEMA_RULES",
        }
    }
}

/// One thing wrong with a schema. Schemas are public, so the message may repeat what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFinding {
    /// RFC 6901 pointer into the schema; "" for the whole.
    pub pointer: String,
    /// The element id the place names, as written.
    pub element: Option<String>,
    /// The rule.
    pub rule: SchemaRule,
    /// What is wrong.
    pub message: Text,
    /// How to mend it.
    pub remedy: Text,
}

impl fmt::Display for SchemaFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(root)" } else { &self.pointer };
        write!(f, "{place}: {}: {}; {}", self.rule.as_str(), self.message.en, self.remedy.en)
    }
}

impl std::error::Error for SchemaFinding {}

//! Data elements: definitions as operators write them, and elements that can be checked.

mod definition;
mod inherit;
mod parse;

use std::{fmt, sync::Arc};

use ldop_types::{CodeListId, Date, ElementId, Sensitivity};

use crate::{
    definition::DefinitionError,
    normal_form::NormalForm,
    pattern::Pattern,
    words::{ElementStatus, IdentifierRule, ValueFormat, ValueType},
};

pub use definition::ElementDefinition;
pub(crate) use inherit::widenings;
pub use parse::{MAX_ITEMS, MAX_LENGTH};

/// An element whose definition holds together. Cheap to clone.
///
/// One that derives from another is whole only within a [`Dictionary`](crate::Dictionary), which adds what it inherits:
/// until then it has the rules it states itself.
#[derive(Clone)]
pub struct Element(Arc<Inner>);

struct Inner {
    written: Arc<ElementDefinition>,
    /// As written, with what is inherited.
    definition: Arc<ElementDefinition>,
    id: ElementId,
    derives_from: Option<ElementId>,
    /// The element it took what it does not state from, as that was then.
    parent: Option<Element>,
    status: ElementStatus,
    effective_from: Option<Date>,
    sensitivity: Sensitivity,
    code_list: Option<CodeListId>,
    rules: Rules,
}

/// The rules of an element in the form they are checked in.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) value_type: ValueType,
    pub(crate) min_length: u32,
    pub(crate) max_length: u32,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<ValueFormat>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) identifier: Option<IdentifierRule>,
    pub(crate) normal_form: Option<NormalForm>,
}

/// A limit of a number, exact where it is whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) whole: Option<i128>,
    pub(crate) float: f64,
}

impl Element {
    /// Parses a definition.
    ///
    /// # Errors
    ///
    /// Every bad field at once: words that are not of the closed lists, rules that do not go with the type, limits that
    /// contradict each other, patterns that cannot be matched in linear time.
    pub fn new(definition: ElementDefinition) -> Result<Self, Vec<DefinitionError>> {
        let written = Arc::new(definition);
        Self::parse(Arc::clone(&written), written, None)
    }

    /// The element with what it inherits. Whether it widens its parent is another question: [`widenings`].
    pub(crate) fn under(&self, parent: &Self) -> Result<Self, Vec<DefinitionError>> {
        let written = Arc::clone(&self.0.written);
        let definition = Arc::new(inherit::merged(&written, parent.definition()));
        Self::parse(written, definition, Some(parent.clone()))
    }

    /// Whether this is what [`under`](Self::under) makes of the two, so that it need not be made again.
    pub(crate) fn is_made_of(&self, own: &Self, parent: &Self) -> bool {
        Arc::ptr_eq(&self.0.written, &own.0.written)
            && self.0.parent.as_ref().is_some_and(|known| Arc::ptr_eq(&known.0, &parent.0))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ElementId {
        &self.0.id
    }

    /// What holds: as written, with what it inherits.
    #[must_use]
    pub fn definition(&self) -> &ElementDefinition {
        &self.0.definition
    }

    /// What the operator wrote.
    #[must_use]
    pub fn written(&self) -> &ElementDefinition {
        &self.0.written
    }

    /// JSON type of its values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.0.rules.value_type
    }

    /// Format, of string elements.
    #[must_use]
    pub fn format(&self) -> Option<ValueFormat> {
        self.0.rules.format
    }

    /// Identifier rule, of string elements.
    #[must_use]
    pub fn identifier(&self) -> Option<IdentifierRule> {
        self.0.rules.identifier
    }

    /// The code list its values are of.
    #[must_use]
    pub fn code_list(&self) -> Option<&CodeListId> {
        self.0.code_list.as_ref()
    }

    /// How personal its values are.
    #[must_use]
    pub fn sensitivity(&self) -> Sensitivity {
        self.0.sensitivity
    }

    /// Where it stands in its life cycle.
    #[must_use]
    pub fn status(&self) -> ElementStatus {
        self.0.status
    }

    /// First day of records it judges; none: all days.
    #[must_use]
    pub fn effective_from(&self) -> Option<Date> {
        self.0.effective_from
    }

    /// The element it derives from.
    #[must_use]
    pub fn derives_from(&self) -> Option<&ElementId> {
        self.0.derives_from.as_ref()
    }

    /// Whether texts that keep the element's own pattern are known to match `other` somewhere.
    #[must_use]
    pub fn keeps_pattern(&self, other: &Pattern) -> bool {
        self.0.rules.pattern.as_ref().is_some_and(|own| own.implies(other))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", self.0.id)
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.written == other.0.written && self.0.definition == other.0.definition)
    }
}

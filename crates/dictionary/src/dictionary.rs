//! An immutable snapshot of all elements and code lists.

mod periods;

use std::{collections::BTreeMap, fmt, sync::Arc};

use ldop_types::{CodeListId, Date, ElementId};

use crate::{
    code_list::{CodeList, MappedCode},
    definition::DefinitionError,
    element::Element,
};
use periods::{Period, Versions};

/// The code list the domains of elements are codes of.
pub const DOMAINS: &str = "dictionary-domains";

/// A snapshot of the dictionary. Cheap to clone; never changes, a change makes another one.
///
/// A version of an element may say the first day of records it judges, so a snapshot holds every version that judges
/// some day. What it says without a day is of the last period: that is what new schemas are bound to.
#[derive(Clone, Default)]
pub struct Dictionary(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    /// As written, each with the versions that still judge some day.
    versions: BTreeMap<ElementId, Versions>,
    code_lists: BTreeMap<CodeListId, CodeList>,
    /// Whole elements in the periods between effective dates, in order; the first begins before all days.
    periods: Vec<Period>,
    /// The last period's. Empty as long as there is none.
    elements: Arc<BTreeMap<ElementId, Element>>,
}

impl Dictionary {
    /// A snapshot with these elements and code lists added, or put in the place of those with the same ids.
    ///
    /// An element with an effective date takes the place of its earlier versions from that day on only; one without
    /// takes it for all days.
    ///
    /// # Errors
    ///
    /// Each element that names a code list, parent, domain or related element the new snapshot does not have, that
    /// derives from itself, or that is wider than its parent in some period; the field is `<element id>.<field>`. Each
    /// value map that leads nowhere; the field is `<code list id>.value_maps[0].to` and the like.
    pub fn with_changes(
        &self,
        elements: impl IntoIterator<Item = Element>,
        code_lists: impl IntoIterator<Item = CodeList>,
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut inner = (*self.0).clone();
        inner.code_lists.extend(code_lists.into_iter().map(|list| (list.id().clone(), list)));
        for element in elements {
            inner.versions.entry(element.id().clone()).or_default().add(element);
        }
        periods::resolve(&mut inner)?;
        Ok(Self(Arc::new(inner)))
    }

    /// The snapshot as it judges records of a day: one version of each element.
    #[must_use]
    pub fn as_of(&self, day: Date) -> Self {
        let at = self.0.periods.partition_point(|period| period.first <= day).saturating_sub(1);
        match self.0.periods.get(at) {
            Some(period) if self.0.periods.len() > 1 => {
                let versions =
                    period.elements.iter().map(|(id, element)| (id.clone(), Versions::of(element.clone()))).collect();
                let elements = Arc::clone(&period.elements);
                let only = Period { first: Date(i32::MIN), elements: Arc::clone(&elements) };
                let code_lists = self.0.code_lists.clone();
                Self(Arc::new(Inner { versions, code_lists, periods: vec![only], elements }))
            }
            _ => self.clone(),
        }
    }

    /// First days of the periods in which one of these elements, or what it derives from, differs from the period
    /// before. Empty where the same versions judge all days.
    #[must_use]
    pub fn effective_days<'e>(&self, ids: impl IntoIterator<Item = &'e ElementId> + Clone) -> Vec<Date> {
        let differ =
            |pair: &&[Period]| ids.clone().into_iter().any(|id| pair[0].elements.get(id) != pair[1].elements.get(id));
        self.0.periods.windows(2).filter(differ).map(|pair| pair[1].first).collect()
    }

    /// The element of an id.
    #[must_use]
    pub fn element(&self, id: &str) -> Option<&Element> {
        self.0.elements.get(id)
    }

    /// The code list of an id.
    #[must_use]
    pub fn code_list(&self, id: &str) -> Option<&CodeList> {
        self.0.code_lists.get(id)
    }

    /// The code list an element names.
    #[must_use]
    pub fn codes_of(&self, element: &Element) -> Option<&CodeList> {
        element.code_list().and_then(|id| self.0.code_lists.get(id))
    }

    /// Every element, by id.
    pub fn elements(&self) -> impl ExactSizeIterator<Item = &Element> {
        self.0.elements.values()
    }

    /// Every code list, by id.
    pub fn code_lists(&self) -> impl ExactSizeIterator<Item = &CodeList> {
        self.0.code_lists.values()
    }

    /// What a code of one list is in another, by the value map that one of the two has.
    #[must_use]
    pub fn map_code(&self, from: &str, to: &str, code: &str) -> MappedCode<'_> {
        match (self.code_list(from), self.code_list(to)) {
            (Some(from), Some(to)) => from.mapped(code, to),
            _ => MappedCode::NoMap,
        }
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({} elements, {} code lists)", self.0.elements.len(), self.0.code_lists.len())
    }
}

#[cfg(test)]
mod tests;

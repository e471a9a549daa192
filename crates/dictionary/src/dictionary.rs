//! An immutable snapshot of all elements and code lists.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ldop_types::{CodeListId, ElementId};

use crate::{code_list::CodeList, definition::DefinitionError, definition::Errors, element::Element};

/// A snapshot of the dictionary. Cheap to clone; never changes, a change makes another one.
#[derive(Clone, Default)]
pub struct Dictionary(Arc<Inner>);

#[derive(Clone, Default)]
struct Inner {
    elements: BTreeMap<ElementId, Element>,
    code_lists: BTreeMap<CodeListId, CodeList>,
}

impl Dictionary {
    /// A snapshot with these elements and code lists added, or put in the place of those with the same ids.
    ///
    /// # Errors
    ///
    /// Each element that names a code list the new snapshot does not have; the field is `<element id>.code_list`.
    pub fn with_changes(
        &self,
        elements: impl IntoIterator<Item = Element>,
        code_lists: impl IntoIterator<Item = CodeList>,
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut inner = (*self.0).clone();
        inner.code_lists.extend(code_lists.into_iter().map(|list| (list.id().clone(), list)));
        inner.elements.extend(elements.into_iter().map(|element| (element.id().clone(), element)));
        let mut errors = Errors::default();
        for element in inner.elements.values() {
            if let Some(list) = element.code_list().filter(|list| !inner.code_lists.contains_key(*list)) {
                errors.add(
                    format!("{}.code_list", element.id()),
                    format!("chưa có danh mục {list}"),
                    format!("there is no code list {list}"),
                    "the id of a registered code list",
                );
            }
        }
        if errors.0.is_empty() { Ok(Self(Arc::new(inner))) } else { Err(errors.0) }
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
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dictionary({} elements, {} code lists)", self.0.elements.len(), self.0.code_lists.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeDefinition, CodeListDefinition, ElementDefinition};

    #[test]
    fn a_change_makes_another_snapshot_and_must_hold_together() {
        let element = Element::new(ElementDefinition {
            id: "person.sex".into(),
            name_vi: "Giới tính".into(),
            value_type: "string".into(),
            code_list: "sex".into(),
            sensitivity: "basic_personal".into(),
            ..ElementDefinition::default()
        })
        .expect("good element");
        let list = CodeList::new(CodeListDefinition {
            id: "sex".into(),
            name_vi: "Giới tính".into(),
            codes: vec![CodeDefinition { code: "1".into(), label_vi: "Nam".into(), ..CodeDefinition::default() }],
            ..CodeListDefinition::default()
        })
        .expect("good list");

        let empty = Dictionary::default();
        let errors = empty.with_changes([element.clone()], []).expect_err("the list is missing");
        assert_eq!(errors[0].field, "person.sex.code_list");
        let full = empty.with_changes([element.clone()], [list]).expect("holds together");
        assert!(empty.element("person.sex").is_none());
        assert_eq!(full.element("person.sex"), Some(&element));
        assert_eq!(full.codes_of(&element).map(CodeList::len), Some(1));
        assert_eq!((full.elements().len(), full.code_lists().len()), (1, 1));
    }
}

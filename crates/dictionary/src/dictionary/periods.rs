//! Which version of an element judges which days, and what each inherits there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use ldop_types::{Date, ElementId};

use super::{DOMAINS, Inner};
use crate::{
    code_list::CodeList,
    definition::{DefinitionError, Errors},
    element::{Element, widenings},
};

/// Most periods of a dictionary, which each hold every element: a new one each month for thirty years.
const MAX_PERIODS: usize = 366;

/// Versions of one element, as written, in the order they were given. Their effective dates rise: a version takes the
/// place of all before it whose dates are not earlier.
#[derive(Debug, Clone, Default)]
pub(super) struct Versions(Vec<Element>);

impl Versions {
    pub(super) fn of(element: Element) -> Self {
        Self(vec![element])
    }

    pub(super) fn add(&mut self, element: Element) {
        self.0.retain(|known| known.effective_from() < element.effective_from());
        self.0.push(element);
    }

    /// The version that judges a day. The first judges all days before it too: with no rule at all, records would
    /// pass that nobody looked at.
    fn on(&self, day: Date) -> Option<&Element> {
        let is_in_force = |version: &&Element| version.effective_from().is_none_or(|from| from <= day);
        self.0.iter().rev().find(is_in_force).or(self.0.first())
    }
}

/// The elements of a stretch of days, whole.
#[derive(Debug, Clone)]
pub(super) struct Period {
    pub(super) first: Date,
    pub(super) elements: Arc<BTreeMap<ElementId, Element>>,
}

/// Makes the periods anew, and finds everything that does not hold together in any of them.
pub(super) fn resolve(inner: &mut Inner) -> Result<(), Vec<DefinitionError>> {
    let mut days: BTreeSet<Date> = BTreeSet::from([Date(i32::MIN)]);
    for versions in inner.versions.values() {
        days.extend(versions.0.iter().skip(1).filter_map(Element::effective_from));
    }
    if days.len() > MAX_PERIODS {
        let mut errors = Errors::default();
        errors.add(
            "effective_from",
            "quá nhiều ngày áp dụng khác nhau",
            "too many different effective dates",
            format!("at most {MAX_PERIODS} different days in the dictionary"),
        );
        return Err(errors.0);
    }
    let mut errors: Vec<DefinitionError> = check_maps(&inner.code_lists);
    let mut periods: Vec<Period> = Vec::with_capacity(days.len());
    for first in days {
        let before = periods.last().map_or(&inner.elements, |period| &period.elements);
        let resolver = Resolver {
            inner,
            first,
            known: before,
            done: BTreeMap::new(),
            broken: BTreeSet::new(),
            errors: Errors::default(),
        };
        let (elements, found) = resolver.run();
        periods.push(Period { first, elements: Arc::new(elements) });
        // What is wrong in several periods is said once.
        errors.extend(found.into_iter().filter(|error| !errors.contains(error)).collect::<Vec<_>>());
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    inner.elements = periods.last().map(|period| Arc::clone(&period.elements)).unwrap_or_default();
    inner.periods = periods;
    Ok(())
}

struct Resolver<'i> {
    inner: &'i Inner,
    first: Date,
    /// Elements made before: most need not be made again.
    known: &'i BTreeMap<ElementId, Element>,
    done: BTreeMap<ElementId, Element>,
    /// Elements that are not whole, because what they derive from is not: said once, at the root of it.
    broken: BTreeSet<ElementId>,
    errors: Errors,
}

impl Resolver<'_> {
    fn run(mut self) -> (BTreeMap<ElementId, Element>, Vec<DefinitionError>) {
        let inner = self.inner;
        let written: HashMap<&ElementId, &Element> =
            inner.versions.iter().filter_map(|(id, versions)| Some((id, versions.on(self.first)?))).collect();
        for id in inner.versions.keys() {
            self.resolve(id, &written);
        }
        let domains = inner.code_lists.get(DOMAINS);
        for element in written.values() {
            self.check_references(element, domains, &written);
        }
        self.errors.0.sort_by(|a, b| a.field.cmp(&b.field));
        (self.done, self.errors.0)
    }

    /// Resolves an element and all it derives from, the furthest first. No recursion: chains may be long.
    fn resolve(&mut self, id: &ElementId, written: &HashMap<&ElementId, &Element>) {
        let mut chain: Vec<&Element> = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next.filter(|id| !self.done.contains_key(*id)) {
            let Some(element) = written.get(id) else {
                // Only a parent can be missing.
                let Some(child) = chain.last() else { return };
                self.errors.add(
                    format!("{}.derives_from", child.id()),
                    format!("chưa có phần tử {id}"),
                    format!("there is no element {id}"),
                    "the id of an element",
                );
                break;
            };
            if let Some(from) = chain.iter().position(|known| known.id() == id) {
                let around: Vec<_> = chain[from..].iter().map(|element| element.id().as_str()).collect();
                let around = around.join(" -> ");
                let field = format!("{}.derives_from", element.id());
                // Said at one element of the circle, the first by id that leads into it.
                self.errors.add(
                    field,
                    format!("kế thừa tạo thành vòng: {around}"),
                    format!("derives from itself: {around}"),
                    "an element that does not derive from this one",
                );
                break;
            }
            chain.push(element);
            next = element.derives_from();
        }
        for element in chain.into_iter().rev() {
            let whole = match element.derives_from().and_then(|parent| self.done.get(parent)).cloned() {
                Some(parent) => self.derived(element, &parent),
                None => {
                    if element.derives_from().is_some() {
                        self.broken.insert(element.id().clone());
                    }
                    element.clone()
                }
            };
            self.done.insert(element.id().clone(), whole);
        }
    }

    fn derived(&mut self, element: &Element, parent: &Element) -> Element {
        let id = element.id();
        if self.broken.contains(parent.id()) {
            self.broken.insert(id.clone());
            return element.clone();
        }
        let whole = match self.known.get(id) {
            Some(known) if known.is_made_of(element, parent) => Ok(known.clone()),
            _ => element.under(parent),
        };
        let (whole, errors) = match whole {
            Ok(whole) => {
                let codes = |element: &Element| element.code_list().and_then(|id| self.inner.code_lists.get(id));
                let errors = widenings(&whole, parent, codes(&whole), codes(parent));
                (whole, errors)
            }
            Err(errors) => {
                self.broken.insert(id.clone());
                (element.clone(), errors)
            }
        };
        let at = |error: DefinitionError| DefinitionError { field: format!("{id}.{}", error.field), ..error };
        self.errors.0.extend(errors.into_iter().map(at));
        whole
    }

    fn check_references(&mut self, element: &Element, domains: Option<&CodeList>, all: &HashMap<&ElementId, &Element>) {
        let (id, written) = (element.id(), element.written());
        if let Some(list) = element.code_list().filter(|list| !self.inner.code_lists.contains_key(*list)) {
            self.errors.add(
                format!("{id}.code_list"),
                format!("chưa có danh mục {list}"),
                format!("there is no code list {list}"),
                "the id of a registered code list",
            );
        }
        let domain = &written.domain;
        if !domain.is_empty() && !domains.is_some_and(|list| list.contains(domain)) {
            self.errors.add(
                format!("{id}.domain"),
                format!("danh mục {DOMAINS} không có mã {domain}"),
                format!("the code list {DOMAINS} does not have {domain}"),
                format!("a code of the code list {DOMAINS}"),
            );
        }
        for (at, (_, other)) in written.relations.iter().enumerate() {
            if !ElementId::parse(other).is_ok_and(|other| all.contains_key(&other)) {
                self.errors.add(
                    format!("{id}.relations[{at}].element"),
                    format!("chưa có phần tử {other}"),
                    format!("there is no element {other}"),
                    "the id of an element",
                );
            }
        }
    }
}

/// Value maps must lead to codes of lists that are there.
fn check_maps(lists: &BTreeMap<ldop_types::CodeListId, CodeList>) -> Vec<DefinitionError> {
    let mut errors = Errors::default();
    for (id, list) in lists {
        for (index, map) in list.definition().value_maps.iter().enumerate() {
            let Some(other) = lists.get(map.to.as_str()) else {
                errors.add(
                    format!("{id}.value_maps[{index}].to"),
                    format!("chưa có danh mục {}", map.to),
                    format!("there is no code list {}", map.to),
                    "the id of a registered code list",
                );
                continue;
            };
            for (at, pair) in map.pairs.iter().enumerate().filter(|(_, pair)| !other.contains(&pair.to)) {
                errors.add(
                    format!("{id}.value_maps[{index}].pairs[{at}].to"),
                    format!("danh mục {} không có mã {}", map.to, pair.to),
                    format!("the code list {} does not have {}", map.to, pair.to),
                    format!("a code of {}", map.to),
                );
            }
        }
    }
    errors.0
}

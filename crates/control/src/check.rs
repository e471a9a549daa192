//! Whether a change set may be applied to a state. Everything that is wrong is found at once.

use std::{collections::BTreeSet, sync::Arc};

use ldop_catalog::{Agency, Agreement, Dataset, System};
use ldop_contract::control::v1::{
    Change, ChangeEffect, ChangeResult, ResourceVersion, change::Resource as Given, resource_version::Resource,
};
use ldop_dictionary::{CodeList, Dictionary, Element};
use ldop_schema_registry::CompiledSchema;
use ldop_types::{Reason, SchemaName, Text};

use crate::{convert, state::ControlState};

/// One thing wrong with a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `changes[3].dataset(births).partitions`.
    pub field: String,
    /// What is wrong and what is expected.
    pub message: Text,
}

/// A change set that was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Reason.
    pub reason: Reason,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
}

impl Refused {
    /// A refusal without particulars.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        Self { reason, problems: Vec::new() }
    }

    /// A refusal of one field of the request.
    #[must_use]
    pub fn field(reason: Reason, field: &str, expected: &str) -> Self {
        let message = Text::new(format!("cần: {expected}"), format!("expected {expected}"));
        Self { reason, problems: vec![Problem { field: field.to_owned(), message }] }
    }
}

/// A change set that may be applied.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What the event holds: changed resources with their versions.
    pub resources: Vec<ResourceVersion>,
    /// One for each change, in order.
    pub results: Vec<ChangeResult>,
}

/// Kind and id of a change.
pub(crate) fn change_identity(change: &Change) -> Option<(&'static str, String)> {
    Some(match change.resource.as_ref()? {
        Given::Element(r) => ("element", r.id.clone()),
        Given::CodeList(r) => ("code_list", r.id.clone()),
        Given::Schema(r) => ("schema", r.name.clone()),
        Given::Agency(r) => ("agency", r.id.clone()),
        Given::System(r) => ("system", r.id.clone()),
        Given::Dataset(r) => ("dataset", r.id.clone()),
        Given::Agreement(r) => ("agreement", r.id.clone()),
    })
}

/// Kind, id and version of a resource of an event.
pub(crate) fn identity(resource: &ResourceVersion) -> Option<((&'static str, String), u32)> {
    Some(match resource.resource.as_ref()? {
        Resource::Element(r) => (("element", r.id.clone()), r.version),
        Resource::CodeList(r) => (("code_list", r.id.clone()), r.version),
        Resource::Schema(r) => (("schema", r.name.clone()), r.version),
        Resource::Agency(r) => (("agency", r.id.clone()), r.version),
        Resource::System(r) => (("system", r.id.clone()), r.version),
        Resource::Dataset(r) => (("dataset", r.id.clone()), r.version),
        Resource::Agreement(r) => (("agreement", r.id.clone()), r.version),
    })
}

/// Kind, id and version, without the rest.
pub(crate) fn without_content(resource: &ResourceVersion) -> ResourceVersion {
    let mut slim = resource.clone();
    match slim.resource.as_mut() {
        Some(Resource::CodeList(list)) => list.codes.clear(),
        Some(Resource::Schema(schema)) => schema.text.clear(),
        _ => {}
    }
    slim
}

struct Checker<'a> {
    state: &'a ControlState,
    problems: Vec<Problem>,
    results: Vec<ChangeResult>,
    resources: Vec<ResourceVersion>,
}

/// Compares, numbers and takes one kind of resource.
macro_rules! take {
    ($checker:ident, $given:ident, $kind:literal, $id:expr, $known:expr, $variant:ident) => {{
        let known = $known;
        let mut next = $given.clone();
        next.version = known.map_or(0, |known| known.version);
        let same = known.is_some_and(|known| **known == next);
        let effect = match (same, known.is_some()) {
            (true, _) => ChangeEffect::Unchanged,
            (false, true) => ChangeEffect::Changed,
            (false, false) => ChangeEffect::Created,
        };
        if !same {
            next.version += 1;
        }
        let id = $id.clone();
        $checker.results.push(ChangeResult { kind: $kind.into(), id, version: next.version, effect: effect.into() });
        if !same {
            $checker.resources.push(ResourceVersion { resource: Some(Resource::$variant(next)) });
        }
    }};
}

/// Checks a change set against a state.
pub(crate) fn check(state: &ControlState, changes: &[Change]) -> Result<Checked, Refused> {
    let mut checker = Checker { state, problems: Vec::new(), results: Vec::new(), resources: Vec::new() };
    let mut next = state.clone();
    let mut elements: Vec<(String, Element)> = Vec::new();
    let mut code_lists: Vec<CodeList> = Vec::new();
    let mut schemas: Vec<(String, SchemaName, String)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut datasets = Vec::new();
    let mut agreements = Vec::new();

    for (at, change) in changes.iter().enumerate() {
        let Some((kind, id)) = change_identity(change) else {
            checker.problem(format!("changes[{at}]"), "cần một tài nguyên", "expected a resource");
            continue;
        };
        let place = format!("changes[{at}].{kind}({})", shorten(&id));
        if !seen.insert((kind, id)) {
            checker.problem(place, "tài nguyên xuất hiện hai lần", "the resource stands twice in the change set");
            continue;
        }
        match change.resource.as_ref().expect("identity was found above") {
            Given::Element(given) => match Element::new(convert::element(given)) {
                Ok(element) => {
                    elements.push((place, element));
                    take!(checker, given, "element", given.id, state.stored.elements.get(&given.id), Element);
                }
                Err(errors) => checker.dictionary_errors(&place, errors),
            },
            Given::CodeList(given) => match CodeList::new(convert::code_list(given)) {
                Ok(list) => {
                    code_lists.push(list);
                    take!(checker, given, "code_list", given.id, state.stored.code_lists.get(&given.id), CodeList);
                }
                Err(errors) => checker.dictionary_errors(&place, errors),
            },
            Given::Schema(given) => match SchemaName::parse(&given.name) {
                Ok(name) => {
                    let known = state.stored.schemas.get(&given.name).and_then(|all| all.last());
                    take!(checker, given, "schema", given.name, known, Schema);
                    schemas.push((place, name, given.text.clone()));
                }
                Err(error) => checker.expected(format!("{place}.name"), error.expected),
            },
            Given::Agency(given) => match Agency::new(convert::agency(given)) {
                Ok(agency) => {
                    take!(checker, given, "agency", given.id, state.stored.agencies.get(&given.id), Agency);
                    let versioned = ldop_catalog::state::Versioned { version: 0, value: agency };
                    next.catalog.agencies.insert(versioned.value.id.clone(), Arc::new(versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::System(given) => match System::new(convert::system(given)) {
                Ok(system) => {
                    take!(checker, given, "system", given.id, state.stored.systems.get(&given.id), System);
                    let versioned = ldop_catalog::state::Versioned { version: 0, value: system };
                    next.catalog.systems.insert(versioned.value.id.clone(), Arc::new(versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::Dataset(given) => match Dataset::new(convert::dataset(given)) {
                Ok(dataset) => {
                    take!(checker, given, "dataset", given.id, state.stored.datasets.get(&given.id), Dataset);
                    let versioned = Arc::new(ldop_catalog::state::Versioned { version: 0, value: dataset });
                    next.catalog.datasets.insert(versioned.value.name.clone(), Arc::clone(&versioned));
                    datasets.push((place, versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::Agreement(given) => match Agreement::new(convert::agreement(given)) {
                Ok(agreement) => {
                    take!(checker, given, "agreement", given.id, state.stored.agreements.get(&given.id), Agreement);
                    let versioned = Arc::new(ldop_catalog::state::Versioned { version: 0, value: agreement });
                    next.catalog.agreements.insert(versioned.value.id.clone(), Arc::clone(&versioned));
                    agreements.push((place, versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
        }
    }

    let dictionary_changed = checker
        .resources
        .iter()
        .any(|changed| matches!(changed.resource, Some(Resource::Element(_) | Resource::CodeList(_))));
    let dictionary = checker.dictionary(elements, code_lists);
    checker.schemas(&mut next, &dictionary, schemas, dictionary_changed);
    checker.references(&next, &datasets, &agreements);
    if checker.problems.is_empty() {
        Ok(Checked { resources: checker.resources, results: checker.results })
    } else {
        Err(Refused { reason: Reason::DefinitionInvalid, problems: checker.problems })
    }
}

impl Checker<'_> {
    fn problem(&mut self, field: String, vi: impl Into<String>, en: impl Into<String>) {
        self.problems.push(Problem { field, message: Text::new(vi.into(), en.into()) });
    }

    fn expected(&mut self, field: String, expected: &str) {
        self.problem(field, format!("cần: {expected}"), format!("expected {expected}"));
    }

    fn catalog_errors(&mut self, place: &str, errors: Vec<ldop_catalog::DefinitionError>) {
        for error in errors {
            self.expected(format!("{place}.{}", error.field), &error.expected);
        }
    }

    fn dictionary_errors(&mut self, place: &str, errors: Vec<ldop_dictionary::DefinitionError>) {
        for error in errors {
            let vi = format!("{} (cần: {})", error.message.vi, error.expected);
            let en = format!("{} (expected: {})", error.message.en, error.expected);
            self.problem(format!("{place}.{}", error.field), vi, en);
        }
    }

    fn dictionary(&mut self, elements: Vec<(String, Element)>, code_lists: Vec<CodeList>) -> Dictionary {
        let changed: Vec<Element> = elements.into_iter().map(|(_, element)| element).collect();
        match self.state.dictionary.with_changes(changed, code_lists) {
            Ok(dictionary) => dictionary,
            Err(errors) => {
                self.dictionary_errors("dictionary", errors);
                self.state.dictionary.clone()
            }
        }
    }

    /// Compiles the schemas given, and all others when the dictionary they are bound to changes.
    fn schemas(
        &mut self,
        next: &mut ControlState,
        dictionary: &Dictionary,
        given: Vec<(String, SchemaName, String)>,
        dictionary_changed: bool,
    ) {
        let state = self.state;
        let mut compile = |place: &str, text: &str| {
            if let Err(findings) = CompiledSchema::compile(text, dictionary) {
                for finding in findings {
                    let (vi, en) = (finding.message.vi.into_owned(), finding.message.en.into_owned());
                    self.problem(format!("{place}#{}", finding.pointer), vi, en);
                }
            }
        };
        for (place, _, text) in &given {
            compile(place, text);
        }
        if dictionary_changed {
            let untouched = state
                .stored
                .schemas
                .iter()
                .filter(|(name, _)| !given.iter().any(|(_, given, _)| given.as_str() == name.as_str()));
            for (name, versions) in untouched {
                if let Some(latest) = versions.last() {
                    compile(&format!("schema({name}) version {}", latest.version), &latest.text);
                }
            }
        }
        for (_, name, text) in given {
            let stored = Arc::new(ldop_contract::registry::v1::Schema { name: name.to_string(), version: 0, text });
            next.schemas
                .insert(name.clone(), Arc::new(crate::state::LazySchema::new(name, stored, dictionary.clone())));
        }
    }

    fn references(
        &mut self,
        next: &ControlState,
        datasets: &[(String, Arc<ldop_catalog::state::Versioned<Dataset>>)],
        agreements: &[(String, Arc<ldop_catalog::state::Versioned<Agreement>>)],
    ) {
        for (place, dataset) in datasets {
            let dataset = &dataset.value;
            if !next.catalog.agencies.contains_key(&dataset.owning_agency) {
                self.expected(format!("{place}.owning_agency"), "a registered agency");
            }
            for (at, (system, _)) in dataset.providers.iter().enumerate() {
                if !next.catalog.systems.contains_key(system) {
                    self.expected(format!("{place}.providers[{at}].system"), "a registered system");
                }
            }
            if let Some(known) = self.state.catalog.datasets.get(&dataset.name)
                && known.value.definition.partitions != dataset.definition.partitions
            {
                let fixed = known.value.definition.partitions;
                self.expected(
                    format!("{place}.partitions"),
                    &format!("{fixed}, fixed when the dataset was registered"),
                );
            }
            match next.schemas.get(&dataset.schema).map(|schema| schema.get()) {
                None => self.expected(format!("{place}.schema"), "a registered schema"),
                Some(Err(_)) => {} // reported with the schema
                Some(Ok(compiled)) => {
                    let fields: BTreeSet<_> = compiled.top_level_fields().iter().map(|f| f.name.to_string()).collect();
                    for (at, key) in dataset.definition.key_fields.iter().enumerate() {
                        if !fields.contains(key) {
                            self.expected(format!("{place}.key_fields[{at}]"), "a top-level field of the schema");
                        }
                    }
                }
            }
        }
        for system in next.catalog.systems.values() {
            if !next.catalog.agencies.contains_key(&system.value.id.agency()) {
                let place = format!("system({}).id", system.value.id);
                self.expected(place, "a system of a registered agency");
            }
        }
        for (place, agreement) in agreements {
            let agreement = &agreement.value;
            if !next.catalog.systems.contains_key(&agreement.consumer) {
                self.expected(format!("{place}.consumer"), "a registered system");
            }
            let Some(dataset) = next.catalog.datasets.get(&agreement.dataset) else {
                self.expected(format!("{place}.dataset"), "a registered dataset");
                continue;
            };
            if dataset.value.owning_agency != agreement.provider {
                let expected = format!("the agency that owns the dataset, {}", dataset.value.owning_agency);
                self.expected(format!("{place}.provider"), &expected);
            }
            if let Some(Ok(compiled)) = next.schemas.get(&dataset.value.schema).map(|schema| schema.get()) {
                let fields: BTreeSet<_> = compiled.top_level_fields().iter().map(|f| f.name.to_string()).collect();
                for (at, granted) in agreement.definition.granted_fields.iter().enumerate() {
                    if !fields.contains(granted) {
                        self.expected(format!("{place}.granted_fields[{at}]"), "a top-level field of the schema");
                    }
                }
            }
        }
    }
}

/// Ids are callers' text until they are parsed.
fn shorten(id: &str) -> String {
    id.chars().take(100).collect()
}

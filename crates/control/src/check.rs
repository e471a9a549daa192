//! Whether a change set may be applied to a state. Everything that is wrong is found at once.

use std::{collections::BTreeSet, sync::Arc};

use ldop_catalog::{
    Agency, Agreement, AgreementDefinition, CurrentCopyDefinition, Dataset, System, life::State, state::Versioned,
};
use ldop_contract::{
    catalog::v1::{AgreementTransition, Dataset as WireDataset},
    control::v1::{
        Change, ChangeEffect, ChangeResult, ResourceVersion, change::Resource as Given, resource_version::Resource,
    },
};
use ldop_dictionary::{CodeList, Dictionary, Element, sharing::Misfit};
use ldop_schema_registry::{Grant, registry::Use};
use ldop_types::{Reason, Sensitivity, Stage, SubjectName, Text, TimestampMs};

use crate::{
    agreements,
    authority::Asked,
    convert,
    life_cycle::{self, Occasion},
    schemas::{self, Problems},
    state::{ControlState, Level},
};

/// Level of the control log from which on keys of new datasets with personal data are hashed.
const HASHED_KEYS_LEVEL: u32 = 6;

/// One thing wrong with a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, such as `changes[3].dataset(births).partitions`.
    pub field: String,
    /// What is wrong and what is expected.
    pub message: Text,
    /// The reason it is refused for.
    pub reason: Reason,
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
        Self { reason, problems: vec![Problem { field: field.to_owned(), message, reason }] }
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
        Given::SubjectSettings(r) => ("subject_settings", r.subject.clone()),
        Given::SchemaTransition(r) => ("schema_status", format!("{} version {}", r.subject, r.version)),
        Given::AgreementTransition(r) => ("agreement_status", r.agreement.clone()),
    })
}

/// Kind, id and version of a resource of an event.
#[must_use]
pub fn identity(resource: &ResourceVersion) -> Option<((&'static str, String), u32)> {
    Some(match resource.resource.as_ref()? {
        Resource::Element(r) => (("element", r.id.clone()), r.version),
        Resource::CodeList(r) => (("code_list", r.id.clone()), r.version),
        Resource::Schema(r) => (("schema", r.name.clone()), r.version),
        Resource::Agency(r) => (("agency", r.id.clone()), r.version),
        Resource::System(r) => (("system", r.id.clone()), r.version),
        Resource::Dataset(r) => (("dataset", r.id.clone()), r.version),
        Resource::Agreement(r) => (("agreement", r.id.clone()), r.version),
        Resource::SubjectSettings(r) => (("subject_settings", r.subject.clone()), r.version),
        Resource::AgreementStatus(r) => (("agreement_status", r.agreement.clone()), r.last_version),
        Resource::SchemaStatus(r) => {
            let version = r.versions.last().copied().unwrap_or_default();
            (("schema_status", format!("{} version {version}", r.subject)), version)
        }
    })
}

/// An agreement whose definition is checked: one that was given, or is let in.
struct GivenAgreement {
    place: String,
    agreement: Arc<Versioned<Agreement>>,
    /// Whether it is to wait beside the one in force.
    waits: bool,
}

struct Checker<'a> {
    state: &'a ControlState,
    asked: &'a Asked<'a>,
    /// Subjects that got a version, and subjects with versions that were moved.
    touched: BTreeSet<SubjectName>,
    moved: BTreeSet<SubjectName>,
    /// Schemas that were given and not looked at yet, and those that may not be taken.
    waiting: BTreeSet<String>,
    unfit: BTreeSet<String>,
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
        $checker.results.push(ChangeResult {
            kind: $kind.into(),
            id,
            version: next.version,
            effect: effect.into(),
            waits: false,
        });
        if !same {
            $checker.resources.push(ResourceVersion { resource: Some(Resource::$variant(next)) });
        }
    }};
}

/// Checks a change set against a state.
pub(crate) fn check(state: &ControlState, changes: &[Change], asked: &Asked<'_>) -> Result<Checked, Refused> {
    let (author, now) = (asked.author, asked.now);
    let mut checker = Checker {
        state,
        asked,
        touched: BTreeSet::new(),
        moved: BTreeSet::new(),
        waiting: BTreeSet::new(),
        unfit: BTreeSet::new(),
        problems: Vec::new(),
        results: Vec::new(),
        resources: Vec::new(),
    };
    let mut next = state.clone();
    let mut elements: Vec<(String, Element)> = Vec::new();
    let mut code_lists: Vec<CodeList> = Vec::new();
    // Behind the dictionary they are bound to, in the order given.
    let mut schemas: Vec<(usize, String, &Given)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut datasets = Vec::new();
    let mut agreements: Vec<GivenAgreement> = Vec::new();
    let mut steps = Vec::new();

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
        let given = change.resource.as_ref().expect("identity was found above");
        let (before, here) = (checker.results.len(), place.clone());
        match given {
            Given::Element(given) => match Element::new(convert::element(given)) {
                Ok(element) => {
                    let known = state.stored.elements.get(&given.id);
                    match life_cycle::stored(
                        given,
                        known.map(|known| &**known),
                        Occasion { author, time: TimestampMs(now) },
                    ) {
                        Ok(given) => take!(checker, given, "element", given.id, known, Element),
                        Err(text) => checker.problem(format!("{place}.status"), text.vi, text.en),
                    }
                    elements.push((place, element));
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
            given @ (Given::Schema(_) | Given::SubjectSettings(_) | Given::SchemaTransition(_)) => {
                schemas.push((checker.results.len(), place, given));
                checker.results.push(ChangeResult::default());
            }
            Given::Agency(given) => match Agency::new(convert::agency(given)) {
                Ok(agency) => {
                    take!(checker, given, "agency", given.id, state.stored.agencies.get(&given.id), Agency);
                    let versioned = Versioned { version: 0, value: agency };
                    next.catalog.agencies.insert(versioned.value.id.clone(), Arc::new(versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::System(given) => match System::new(convert::system(given)) {
                Ok(system) => {
                    take!(checker, given, "system", given.id, state.stored.systems.get(&given.id), System);
                    let versioned = Versioned { version: 0, value: system };
                    next.catalog.systems.insert(versioned.value.id.clone(), Arc::new(versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::Dataset(given) => match Dataset::new(convert::dataset(given)) {
                Ok(dataset) => {
                    let known = state.stored.datasets.get(&given.id);
                    // Of a new one it is decided below, when its schema is known.
                    let given = &WireDataset { hashed_keys: known.is_some_and(|d| d.hashed_keys), ..given.clone() };
                    take!(checker, given, "dataset", given.id, known, Dataset);
                    let versioned = Arc::new(Versioned { version: 0, value: dataset });
                    next.catalog.datasets.insert(versioned.value.name.clone(), Arc::clone(&versioned));
                    datasets.push((place, versioned));
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::Agreement(given) => match Agreement::new(convert::agreement(given)) {
                Ok(agreement) => {
                    let waits = checker.agreement(given);
                    let versioned = Arc::new(Versioned { version: 0, value: agreement });
                    if !waits {
                        next.catalog.agreements.insert(versioned.value.id.clone(), Arc::clone(&versioned));
                    }
                    agreements.push(GivenAgreement { place, agreement: versioned, waits });
                }
                Err(errors) => checker.catalog_errors(&place, errors),
            },
            Given::AgreementTransition(given) => {
                steps.push((checker.results.len(), place, given));
                checker.results.push(ChangeResult::default());
            }
        }
        let is_changed = |result: &ChangeResult| result.effect != ChangeEffect::Unchanged as i32;
        if checker.results.get(before).is_some_and(is_changed) && !matters_later(given) {
            checker.authorise(here, given);
        }
    }

    let dictionary_changed = checker
        .resources
        .iter()
        .any(|changed| matches!(changed.resource, Some(Resource::Element(_) | Resource::CodeList(_))));
    let dictionary = checker.dictionary(elements, code_lists);
    next.dictionary = dictionary;
    let names = schemas
        .iter()
        .filter_map(|(.., given)| if let Given::Schema(given) = given { Some(&given.name) } else { None });
    checker.waiting = names.cloned().collect();
    for (at, place, given) in schemas {
        checker.schema_change(&mut next, at, &place, given, (author, now));
        if checker.results[at].effect != ChangeEffect::Unchanged as i32 {
            checker.authorise(place, given);
        }
    }
    if dictionary_changed {
        checker.untouched_schemas(&next);
    }
    for (at, place, given) in steps {
        checker.agreement_step(&mut next, at, place, given, &mut agreements);
    }
    checker.references(&next, &datasets, &agreements);
    checker.keys(&next, &datasets);
    checker.grants(&next, &agreements, dictionary_changed);
    checker.schemas_in_use(&next);
    checker.hash_keys(&next);
    if checker.problems.is_empty() {
        return Ok(Checked { resources: checker.resources, results: checker.results });
    }
    // What may not be asked comes before what is not valid in itself, and that before what the state does not allow.
    let reasons = || checker.problems.iter().map(|problem| problem.reason);
    let first = |wanted: Reason| reasons().find(|reason| *reason == wanted);
    let reason = first(Reason::RoleMissing).or_else(|| first(Reason::DefinitionInvalid)).or_else(|| reasons().next());
    Err(Refused { reason: reason.unwrap_or(Reason::DefinitionInvalid), problems: checker.problems })
}

/// Whether a change is looked at behind the dictionary it is bound to.
fn matters_later(given: &Given) -> bool {
    matches!(given, Given::Schema(_) | Given::SubjectSettings(_) | Given::SchemaTransition(_))
}

impl Checker<'_> {
    fn problem(&mut self, field: String, vi: impl Into<String>, en: impl Into<String>) {
        let message = Text::new(vi.into(), en.into());
        self.problems.push(Problem { field, message, reason: Reason::DefinitionInvalid });
    }

    fn expected(&mut self, field: String, expected: &str) {
        self.problem(field, format!("cần: {expected}"), format!("expected {expected}"));
    }

    /// Decides of each new dataset whether the keys of its records are hashed on the log.
    fn hash_keys(&mut self, next: &ControlState) {
        if self.state.level < Level(HASHED_KEYS_LEVEL) {
            return;
        }
        for changed in &mut self.resources {
            if let Some(Resource::Dataset(dataset)) = &mut changed.resource
                && dataset.version == 1
            {
                dataset.hashed_keys = next.is_personal(&dataset.schema);
            }
        }
    }

    /// Tells what whoever asks lacks to change this.
    fn authorise(&mut self, field: String, given: &Given) {
        for missing in self.asked.may_change(self.state, given) {
            let problem = Problem { field: field.clone(), message: missing.text(), reason: Reason::RoleMissing };
            self.problems.push(problem);
        }
    }

    /// Numbers an agreement; tells whether it is to wait for approvals.
    fn agreement(&mut self, given: &ldop_contract::catalog::v1::Agreement) -> bool {
        let registered = agreements::register(self.state, given, self.asked);
        let waits = registered.place == agreements::Place::Waiting;
        let (kind, id, version) = ("agreement".to_owned(), given.id.clone(), registered.version);
        self.results.push(ChangeResult { kind, id, version, effect: registered.effect.into(), waits });
        let resources = registered.resources.into_iter();
        self.resources.extend(resources.map(|resource| ResourceVersion { resource: Some(resource) }));
        waits
    }

    /// A step in the life of an agreement; what it lets in is checked as if it were given.
    fn agreement_step(
        &mut self,
        next: &mut ControlState,
        at: usize,
        place: String,
        given: &AgreementTransition,
        agreements: &mut Vec<GivenAgreement>,
    ) {
        if agreements.iter().any(|other| other.agreement.value.id.as_str() == given.agreement) {
            return self.expected(place, "a change set of its own: the agreement itself stands in this one");
        }
        match agreements::step(next, given, &place, self.asked) {
            Ok(step) => {
                let (id, version) = (given.agreement.clone(), step.status.last_version);
                let effect = ChangeEffect::Changed.into();
                self.results[at] = ChangeResult { kind: "agreement_status".into(), id, version, effect, waits: false };
                self.resources.push(ResourceVersion { resource: Some(Resource::AgreementStatus(step.status)) });
                if let Some(agreement) = step.let_in {
                    next.catalog.agreements.insert(agreement.value.id.clone(), Arc::clone(&agreement));
                    agreements.push(GivenAgreement { place, agreement, waits: false });
                }
            }
            Err(mut problems) => self.problems.append(&mut problems),
        }
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

    /// A schema, its settings or a step in its life: put into `next` if it may be.
    fn schema_change(&mut self, next: &mut ControlState, at: usize, place: &str, given: &Given, author: (&str, i64)) {
        let mut problems = Problems { place, found: Vec::new() };
        match given {
            Given::Schema(given) => {
                let result = self.schema(next, given, author, &mut problems);
                self.waiting.remove(&given.name);
                if result.is_none() || !problems.found.is_empty() {
                    self.unfit.insert(given.name.clone());
                }
                self.results[at] = result.unwrap_or_default();
            }
            Given::SubjectSettings(given) => {
                if let Some((subject, mut settings)) = schemas::settings(given, &mut problems) {
                    let text = subject.as_ref().map_or("", SubjectName::as_str);
                    let known = match &subject {
                        None => Some(next.registry.settings().clone()),
                        Some(_) => next.registry.subject(text).map(|found| found.settings().clone()),
                    };
                    let before = known.unwrap_or_default().version;
                    settings.version = before;
                    let same = match &subject {
                        None => *next.registry.settings() == settings,
                        Some(_) => next.registry.subject(text).is_some_and(|found| *found.settings() == settings),
                    };
                    let effect = match (same, before) {
                        (true, _) => ChangeEffect::Unchanged,
                        (false, 0) => ChangeEffect::Created,
                        (false, _) => ChangeEffect::Changed,
                    };
                    if !same {
                        settings.version += 1;
                        let stored = schemas::settings_to_wire(text, &settings);
                        self.resources.push(ResourceVersion { resource: Some(Resource::SubjectSettings(stored)) });
                    }
                    let (kind, id, version) = ("subject_settings".into(), text.to_owned(), settings.version);
                    self.results[at] = ChangeResult { kind, id, version, effect: effect.into(), waits: false };
                    next.registry.put_settings(subject, settings);
                }
            }
            Given::SchemaTransition(given) => {
                if let Some((subject, versions, action)) = schemas::step(given, &next.registry, author.0, &mut problems)
                {
                    next.registry.put_step(subject.as_str(), &versions, action, author.0, author.1);
                    next.refresh_schema(&subject);
                    let id = format!("{subject} version {}", given.version);
                    let version = versions.last().copied().unwrap_or_default();
                    let effect = ChangeEffect::Changed.into();
                    self.results[at] = ChangeResult { kind: "schema_status".into(), id, version, effect, waits: false };
                    let status = ldop_contract::registry::v1::SchemaStatus {
                        subject: subject.to_string(),
                        versions,
                        action: schemas::action_to_wire(action).into(),
                    };
                    self.resources.push(ResourceVersion { resource: Some(Resource::SchemaStatus(status)) });
                    self.moved.insert(subject);
                }
            }
            _ => {}
        }
        self.problems.append(&mut problems.found);
    }

    fn schema(
        &mut self,
        next: &mut ControlState,
        given: &ldop_contract::registry::v1::Schema,
        author: (&str, i64),
        problems: &mut Problems<'_>,
    ) -> Option<ChangeResult> {
        if !self.may_refer(given, problems) {
            return None;
        }
        let (candidate, compiled) = schemas::candidate(given, &next.registry, &next.dictionary, problems)?;
        let subject = candidate.subject.clone();
        let known = next.registry.subject(subject.as_str()).and_then(|found| found.newest(Use::Registering)).is_some();
        let (number, version) = schemas::version_of(&candidate, &next.registry, author, problems);
        let effect = match (&version, known) {
            (None, _) => ChangeEffect::Unchanged,
            (Some(_), true) => ChangeEffect::Changed,
            (Some(_), false) => ChangeEffect::Created,
        };
        if version.is_some() {
            compiled.refused_bindings().into_iter().for_each(|finding| problems.finding(finding));
        }
        if let Some(version) = version.filter(|_| problems.found.is_empty()) {
            let stored = schemas::to_wire(&version);
            self.resources.push(ResourceVersion { resource: Some(Resource::Schema(stored)) });
            next.registry.put_version(version);
            next.refresh_schema(&subject);
            self.touched.insert(subject.clone());
        }
        Some(ChangeResult {
            kind: "schema".into(),
            id: subject.to_string(),
            version: number,
            effect: effect.into(),
            waits: false,
        })
    }

    /// Whether what a schema refers to without a version was looked at before it, and may be taken.
    fn may_refer(&self, given: &ldop_contract::registry::v1::Schema, problems: &mut Problems<'_>) -> bool {
        let open = given.references.iter().enumerate().filter(|(_, reference)| reference.version == 0);
        let before = problems.found.len();
        for (at, reference) in open.clone().filter(|(_, reference)| self.waiting.contains(&reference.subject)) {
            let subject = shorten(&reference.subject);
            problems.found.push(Problem {
                field: format!("{}.references[{at}].version", problems.place),
                message: Text::new(
                    format!("{subject} đứng sau trong cùng tập thay đổi; đặt nó lên trước, không tham chiếu vòng"),
                    format!("{subject} stands behind in the same change set; put it first, without a circle"),
                ),
                reason: Reason::DefinitionInvalid,
            });
        }
        // What is wrong with a schema is told there, not wherever it is referred to.
        problems.found.len() == before && !open.clone().any(|(_, reference)| self.unfit.contains(&reference.subject))
    }

    /// The schemas in use that were not given must still fit a dictionary that changes.
    fn untouched_schemas(&mut self, next: &ControlState) {
        for (subject, in_use) in &next.schemas {
            if self.touched.contains(subject) {
                continue;
            }
            for schema in in_use.each() {
                if let Err(findings) = schema.compile_with(&next.dictionary) {
                    for finding in findings {
                        let field = format!("schema({subject}) version {}#{}", schema.version, finding.pointer);
                        let (vi, en) = (finding.message.vi.into_owned(), finding.message.en.into_owned());
                        self.problem(field, vi, en);
                    }
                }
            }
        }
    }

    /// What datasets use may not be taken away from them.
    fn schemas_in_use(&mut self, next: &ControlState) {
        for dataset in next.catalog.datasets.values() {
            let dataset = &dataset.value;
            let name = dataset.schema.as_str();
            if !self.moved.iter().any(|subject| subject.as_str() == name) {
                continue;
            }
            for stage in [Stage::Testing, Stage::Live] {
                if self.state.schema(name, stage).is_some() && next.schema(name, stage).is_none() {
                    let message = Text::new(
                        format!("bộ dữ liệu {} sẽ không còn lược đồ nào dùng được", dataset.name),
                        format!("the dataset {} would have no schema left to use", dataset.name),
                    );
                    let field = format!("schema({name})");
                    self.problems.push(Problem { field, message, reason: Reason::SchemaReferenced });
                    break;
                }
            }
        }
    }

    /// What datasets have for a key must stand in every record: of the datasets given, and of those whose schema was given.
    fn keys(&mut self, next: &ControlState, given: &[(String, Arc<Versioned<Dataset>>)]) {
        for dataset in next.catalog.datasets.values() {
            let (name, subject) = (&dataset.value.name, dataset.value.schema.as_str());
            let is_given = given.iter().any(|(_, given)| given.value.name == *name);
            if !is_given && !self.touched.iter().any(|touched| touched.as_str() == subject) {
                continue;
            }
            let Some(Ok(compiled)) = next.schema(subject, Stage::Testing).map(|schema| schema.get()) else { continue };
            for finding in compiled.unfit_keys(&dataset.value.definition.key_fields) {
                let field = format!("schema({subject})#{}", finding.pointer);
                let vi = format!("{} (bộ dữ liệu {name}); {}", finding.message.vi, finding.remedy.vi);
                let en = format!("{} (dataset {name}); {}", finding.message.en, finding.remedy.en);
                self.problem(field, vi, en);
            }
        }
    }

    fn references(
        &mut self,
        next: &ControlState,
        datasets: &[(String, Arc<Versioned<Dataset>>)],
        agreements: &[GivenAgreement],
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
            match next.schema(dataset.schema.as_str(), Stage::Testing).map(|schema| schema.get()) {
                None => self.expected(format!("{place}.schema"), "a registered schema"),
                Some(Err(_)) => {} // reported with the schema
                Some(Ok(compiled)) => {
                    let fields: BTreeSet<_> = compiled.top_level_fields().iter().map(|f| f.name.to_string()).collect();
                    for (at, key) in dataset.definition.key_fields.iter().enumerate() {
                        if !fields.contains(key) {
                            self.expected(format!("{place}.key_fields[{at}]"), "a top-level field of the schema");
                        }
                    }
                    let copy = dataset.definition.current_copy.iter();
                    for (at, key) in copy.flat_map(|copy| &copy.secondary_keys).enumerate() {
                        for (index, _) in key.iter().enumerate().filter(|(_, field)| !fields.contains(*field)) {
                            let field = format!("{place}.{}[{index}]", CurrentCopyDefinition::place(at));
                            self.expected(field, "a top-level field of the schema");
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
        for GivenAgreement { place, agreement, .. } in agreements {
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
        }
    }

    /// What agreements grant must be there to be granted: of the agreements given, and of those in force whose schema gets
    /// another version. One that has ended grants nothing.
    fn grants(&mut self, next: &ControlState, given: &[GivenAgreement], dictionary_changed: bool) {
        for given in given {
            self.misfits(next, &given.agreement.value, &given.place);
            self.legal_basis(next, &given.agreement.value, &given.place);
            self.sharing_codes(next, &given.agreement.value, &given.place);
        }
        for agreement in next.catalog.agreements.values() {
            let agreement = &agreement.value;
            let is_given = given.iter().any(|given| !given.waits && given.agreement.value.id == agreement.id);
            let has_ended = agreement.definition.ended || next.catalog.states.get(&agreement.id) == Some(&State::Ended);
            if is_given || has_ended {
                continue;
            }
            let Some(dataset) = next.catalog.datasets.get(&agreement.dataset) else { continue };
            let subject = dataset.value.schema.as_str();
            // What conditions and masks are checked by stands in the dictionary too.
            let is_judged_anew = dictionary_changed
                && !(agreement.definition.row_condition.is_empty() && agreement.masks.is_empty())
                || self
                    .state
                    .catalog
                    .datasets
                    .get(&agreement.dataset)
                    .is_some_and(|known| known.value.schema.as_str() != subject)
                || self.touched.iter().chain(&self.moved).any(|touched| touched.as_str() == subject);
            let place = || format!("agreement({})", agreement.id);
            if is_judged_anew {
                self.misfits(next, agreement, &place());
            }
            if dictionary_changed {
                let AgreementDefinition { purpose, legal_bases, .. } = &agreement.definition;
                self.code_misfits(next.dictionary.sharing_codes_gone(purpose, legal_bases), &place());
            }
        }
    }

    fn misfits(&mut self, next: &ControlState, agreement: &Agreement, place: &str) {
        let Some(dataset) = next.catalog.datasets.get(&agreement.dataset) else { return };
        let schema = next.schema(dataset.value.schema.as_str(), agreement.stage).map(|schema| schema.get());
        let Some(Ok(schema)) = schema else { return };
        for misfit in grant_of(agreement, &dataset.value).misfits(&schema, &next.dictionary) {
            self.problem(format!("{place}.{}", misfit.field), misfit.message.vi, misfit.message.en);
        }
    }

    /// Luật 91/2025: sensitive personal data goes nowhere without a legal basis.
    fn legal_basis(&mut self, next: &ControlState, agreement: &Agreement, place: &str) {
        let is_sensitive = next.most_sensitive(agreement) == Some(Sensitivity::SensitivePersonal);
        let AgreementDefinition { legal_basis, legal_bases, ended, .. } = &agreement.definition;
        if is_sensitive && legal_basis.trim().is_empty() && legal_bases.is_empty() && !ended {
            self.problem(format!("{place}.legal_basis"), LEGAL_BASIS.0, LEGAL_BASIS.1);
        }
    }

    /// Purpose and legal bases are codes that are valid today, where the dictionary has lists of them.
    fn sharing_codes(&mut self, next: &ControlState, agreement: &Agreement, place: &str) {
        let AgreementDefinition { purpose, legal_bases, ended, .. } = &agreement.definition;
        if !ended {
            let on = TimestampMs(self.asked.now).date_in_vietnam();
            self.code_misfits(next.dictionary.sharing_misfits(purpose, legal_bases, on), place);
        }
    }

    fn code_misfits(&mut self, misfits: Vec<Misfit>, place: &str) {
        for Misfit { field, found, expected } in misfits {
            let vi = format!("{} (cần: {})", found.vi, expected.vi);
            let en = format!("{} (expected: {})", found.en, expected.en);
            self.problem(format!("{place}.{field}"), vi, en);
        }
    }
}

/// What is said where sensitive personal data is granted without one.
const LEGAL_BASIS: (&str, &str) = (
    "cần căn cứ pháp lý: thỏa thuận cấp dữ liệu cá nhân nhạy cảm",
    "expected the legal basis: the agreement grants sensitive personal data",
);

/// An agreement as the hub tells it.
///
/// # Errors
///
/// Every bad field: it is of a newer release.
pub fn agreement_of(
    given: &ldop_contract::catalog::v1::Agreement,
) -> Result<Agreement, Vec<ldop_catalog::DefinitionError>> {
    Agreement::new(convert::agreement(given))
}

/// What an agreement grants of the records of its dataset.
#[must_use]
pub fn grant_of<'a>(agreement: &'a Agreement, dataset: &'a Dataset) -> Grant<'a> {
    Grant {
        granted_fields: &agreement.definition.granted_fields,
        masks: &agreement.masks,
        row_condition: &agreement.definition.row_condition,
        key_fields: &dataset.definition.key_fields,
    }
}

/// Ids are callers' text until they are parsed.
fn shorten(id: &str) -> String {
    id.chars().take(100).collect()
}

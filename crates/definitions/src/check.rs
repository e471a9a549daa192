//! Checks a folder as a whole: ids that stand twice, definitions that do not hold together, references that lead
//! nowhere, schemas that do not bind, examples that behave otherwise than they say.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use ldop_catalog::{Agency, Agreement, AgreementDefinition, CurrentCopyDefinition, Dataset, DatasetDefinition, System};
use ldop_dictionary::{Binding, CodeList, Dictionary, Element, ElementDefinition, ElementStatus, dictionary::DOMAINS};
use ldop_schema_registry::{CompiledSchema, Grant, SchemaFinding, SchemaRule};
use ldop_types::{ElementId, Sensitivity, SystemId};

use crate::{
    References,
    diff::{key_of, schema_problem},
    entry::{Entry, Folder, Places},
    examples::{self, ExampleRun},
    files::{ENDING, FileReference, Leads, Library, Placed, Reached, placed},
    json::locate,
    reading::{Place, Problem, Problems, suggestion},
    schemas::SchemaText,
    walk::Files,
};

/// What checking found out besides problems and warnings.
pub(crate) struct Checked {
    /// What schemas were compiled with.
    pub dictionary: Dictionary,
    /// Schemas that compiled, by name.
    pub compiled: BTreeSet<String>,
    /// What was found wrong with schemas, and the problem or warning each became.
    pub findings: Vec<(Problem, SchemaFinding)>,
    /// Examples that were run.
    pub examples: Vec<ExampleRun>,
}

/// Notes everything that is wrong.
pub(crate) fn check(
    folder: &Folder,
    files: &Files,
    references: References,
    problems: &Problems,
    warnings: &Problems,
) -> Checked {
    let checker = Checker::new(folder, references, problems, warnings);
    checker.duplicates();
    let dictionary = checker.dictionary();
    let schemas = checker.schemas(&dictionary);
    checker.agencies_and_systems();
    checker.datasets(&schemas);
    checker.agreements(&schemas, &dictionary.dictionary);
    let examples = examples::run(files, &schemas, problems);
    let compiled = schemas.iter().filter(|(_, schema)| schema.is_some()).map(|(name, _)| (*name).to_owned()).collect();
    Checked { dictionary: dictionary.dictionary, compiled, findings: checker.findings.into_inner(), examples }
}

/// The elements and code lists of a folder; notes what is wrong with them.
pub(crate) fn dictionary(folder: &Folder, references: References, problems: &Problems) -> Dictionary {
    Checker::new(folder, references, problems, &Problems::default()).dictionary().dictionary
}

/// Schemas by name; `None` for one that is there but could not be compiled.
pub(crate) type Schemas<'f> = BTreeMap<&'f str, Option<CompiledSchema>>;

/// What schemas are compiled with.
struct Bound<'f> {
    dictionary: Dictionary,
    /// Elements that stand in the folder but are not well-formed: no news to a schema.
    broken: BTreeSet<&'f str>,
}

struct Checker<'f> {
    folder: &'f Folder,
    /// Ids of elements.
    ids: BTreeSet<&'f str>,
    references: References,
    problems: &'f Problems,
    warnings: &'f Problems,
    findings: RefCell<Vec<(Problem, SchemaFinding)>>,
    /// Schema, pointer and rule of what was found in schemas: those that refer to them need not tell it again.
    told: RefCell<BTreeSet<(String, String, SchemaRule)>>,
}

impl<'f> Checker<'f> {
    fn new(folder: &'f Folder, references: References, problems: &'f Problems, warnings: &'f Problems) -> Self {
        let ids = folder.elements.iter().map(|e| e.definition.id.as_str()).collect();
        Self { folder, ids, references, problems, warnings, findings: RefCell::default(), told: RefCell::default() }
    }

    fn duplicates(&self) {
        fn of<'e, D>(entries: &'e [Entry<D>], id: impl Fn(&D) -> &str, problems: &Problems) {
            let mut seen: BTreeMap<String, &'e Places> = BTreeMap::new();
            for entry in entries {
                let id = id(&entry.definition);
                match seen.get(id) {
                    Some(first) if !id.is_empty() => {
                        let found = format!("{id:?} is defined at {} already", first.find("id").0);
                        entry.places.note(problems, "id", found, "an id of its own");
                    }
                    _ => {
                        seen.insert(id.to_owned(), &entry.places);
                    }
                }
            }
        }
        let (folder, problems) = (self.folder, self.problems);
        of(&folder.code_lists, |d| &d.id, problems);
        of(&folder.elements, |d| &d.id, problems);
        of(&folder.agencies, |d| &d.id, problems);
        of(&folder.systems, |d| &d.id, problems);
        of(&folder.datasets, |d| &d.id, problems);
        of(&folder.agreements, |d| &d.id, problems);
        for pair in folder.schemas.windows(2) {
            if pair[0].name == pair[1].name {
                let found = format!("schema {:?} stands in {} already", pair[1].name, pair[0].source.file().display());
                problems.note(Place::file(pair[1].source.file()), "", found, "one file for each schema");
            }
        }
    }

    fn dictionary(&self) -> Bound<'f> {
        let mut lists = BTreeMap::new();
        let known: BTreeSet<&str> = self.folder.code_lists.iter().map(|e| e.definition.id.as_str()).collect();
        for entry in &self.folder.code_lists {
            let mut definition = entry.definition.clone();
            for (at, map) in entry.definition.value_maps.iter().enumerate() {
                self.refer(&entry.places, &format!("value_maps[{at}].to"), "code list", &map.to, &known);
            }
            definition.value_maps.retain(|map| known.contains(map.to.as_str()));
            match CodeList::new(definition) {
                Ok(list) => {
                    lists.insert(entry.definition.id.as_str(), list);
                }
                Err(errors) => {
                    for error in errors {
                        entry.places.note(self.problems, &error.field, error.message.en, error.expected);
                    }
                }
            }
        }
        let mut broken = BTreeSet::new();
        let mut elements = BTreeMap::new();
        for entry in &self.folder.elements {
            let id = entry.definition.id.as_str();
            match Element::new(self.with_references(entry, &known, &lists)) {
                Ok(element) => {
                    elements.entry(id).or_insert(element);
                }
                Err(errors) => {
                    broken.insert(id);
                    for error in errors {
                        // The definition says `type` where Rust cannot.
                        let field = if error.field == "value_type" { "type" } else { &error.field };
                        entry.places.note(self.problems, field, error.message.en, error.expected);
                    }
                }
            }
        }
        let dictionary = loop {
            // What derives from an element that is not there is not whole.
            while let Some(id) = elements
                .iter()
                .find(|(_, element)| element.derives_from().is_some_and(|id| !elements.contains_key(id.as_str())))
                .map(|(id, _)| *id)
            {
                elements.remove(id);
                broken.insert(id);
            }
            match Dictionary::default().with_changes(elements.values().cloned(), lists.values().cloned()) {
                Ok(dictionary) => break dictionary,
                Err(errors) => {
                    let before = elements.len() + lists.len();
                    for error in errors {
                        self.note_in_dictionary(&error);
                        let of = |id: &str| error.field.strip_prefix(id).is_some_and(|rest| rest.starts_with('.'));
                        lists.retain(|id, _| !of(id));
                        elements.retain(|id, element| {
                            let stays =
                                !of(id) && element.code_list().is_none_or(|list| lists.contains_key(list.as_str()));
                            if !stays {
                                broken.insert(id);
                            }
                            stays
                        });
                    }
                    if elements.len() + lists.len() == before {
                        break Dictionary::default();
                    }
                }
            }
        };
        Bound { dictionary, broken }
    }

    /// The definition without the references that lead nowhere, which are noted: for its schemas it stands without them.
    fn with_references(
        &self,
        entry: &Entry<ElementDefinition>,
        known: &BTreeSet<&str>,
        sound: &BTreeMap<&str, CodeList>,
    ) -> ElementDefinition {
        let (mut definition, places) = (entry.definition.clone(), &entry.places);
        let ids = &self.ids;
        self.refer(places, "code_list", "code list", &definition.code_list, known);
        if !sound.contains_key(definition.code_list.as_str()) {
            definition.code_list.clear();
        }
        if !definition.domain.is_empty() && !sound.contains_key(DOMAINS) {
            self.refer(places, "domain", "code list", DOMAINS, known);
            definition.domain.clear();
        }
        self.refer(places, "derives_from", "element", &definition.derives_from, ids);
        for (at, (_, other)) in entry.definition.relations.iter().enumerate() {
            self.refer(places, &format!("relations[{at}].element"), "element", other, ids);
        }
        let is_sound = |id: &str| ElementId::parse(id).is_err() || id == definition.id || ids.contains(id);
        definition.relations.retain(|(_, other)| is_sound(other));
        definition
    }

    /// Notes what is wrong among definitions, `<id>.<field>`, where the field stands.
    fn note_in_dictionary(&self, error: &ldop_dictionary::DefinitionError) {
        let elements = self.folder.elements.iter().map(|entry| (entry.definition.id.as_str(), &entry.places));
        let lists = self.folder.code_lists.iter().map(|entry| (entry.definition.id.as_str(), &entry.places));
        let field = |id: &str| error.field.strip_prefix(id)?.strip_prefix('.');
        // An id may begin as another does: `person.name.length` is of `person.name`, where there is one, not of `person`.
        let of = elements.chain(lists).filter_map(|(id, places)| Some((id, places, field(id)?)));
        if let Some((_, places, field)) = of.max_by_key(|(id, ..)| id.len()) {
            places.note(self.problems, field, &*error.message.en, &*error.expected);
        }
    }

    fn schemas(&self, bound: &Bound<'_>) -> Schemas<'f> {
        let library = Library::new(&self.folder.schemas);
        let mut schemas = Schemas::new();
        for schema in library.in_order(&self.folder.schemas) {
            let reached = library.reached(schema);
            if !self.leads(schema, &library, &reached) {
                schemas.entry(&schema.name).or_insert(None);
                continue;
            }
            let bundled = library.bundle(schema);
            let compiled = match bundled.and_then(|text| CompiledSchema::compile(&text, &bound.dictionary)) {
                Ok(compiled) => {
                    self.bindings(schema, &reached, &compiled);
                    Some(compiled)
                }
                Err(findings) => {
                    for finding in findings {
                        let unknown = finding.rule == SchemaRule::ElementUnknown;
                        let element = finding.element.clone().unwrap_or_default();
                        let may_stand_elsewhere = self.folder.is_incomplete || self.references == References::Elsewhere;
                        if unknown && (bound.broken.contains(&*element) || may_stand_elsewhere) {
                            continue;
                        }
                        let Some(finding) = self.placed(schema, &reached, finding) else { continue };
                        let mut problem = schema_problem(&schema.source, &finding);
                        let known = bound.dictionary.elements().map(|e| e.id().as_str());
                        if let Some(near) = suggestion(&element, known).filter(|_| unknown) {
                            problem.expected = format!("an element that is; did you mean \"{near}\"?");
                        }
                        self.problems.push(problem.clone());
                        self.findings.borrow_mut().push((problem, finding));
                    }
                    None
                }
            };
            schemas.entry(&schema.name).or_insert(compiled);
        }
        schemas
    }

    /// A finding where the file of the schema has it; none where a schema it refers to has told it.
    fn placed(
        &self,
        schema: &SchemaText,
        reached: &BTreeMap<&str, Reached<'_>>,
        finding: SchemaFinding,
    ) -> Option<SchemaFinding> {
        let rule = finding.rule;
        match placed(schema, reached, finding) {
            Placed::In(name, pointer, finding) => {
                (!self.told.borrow().contains(&(name, pointer, rule))).then_some(finding)
            }
            Placed::Here(finding) => {
                self.told.borrow_mut().insert((schema.name.clone(), finding.pointer.clone(), rule));
                Some(finding)
            }
        }
    }

    /// Whether everything a schema refers to is there; notes references of its own that lead nowhere or in a circle.
    fn leads(&self, schema: &'f SchemaText, library: &Library<'f>, reached: &BTreeMap<&'f str, Reached<'f>>) -> bool {
        let may_stand_elsewhere = self.folder.is_incomplete || self.references == References::Elsewhere;
        let note = |reference: &FileReference, found: String, expected: String| {
            let place = schema.source.place(locate(schema.source.text(), &reference.pointer));
            self.problems.note(place, key_of(&reference.pointer), found, expected);
        };
        for reference in &schema.references {
            let name = &reference.name;
            match &reference.leads {
                Leads::There => {}
                Leads::Nowhere if may_stand_elsewhere => {}
                Leads::Elsewhere(path) => {
                    let found = format!("there is no schema file {name:?} beside this one");
                    note(reference, found, format!("the way to it from this file; it lies at {}", path.display()));
                }
                Leads::Nowhere => {
                    let known = self.folder.schemas.iter().map(|schema| schema.name.as_str());
                    let expected = match suggestion(reference.subject.as_str(), known) {
                        Some(near) => format!("a schema file of the folders; did you mean \"{near}{ENDING}\"?"),
                        None => "a schema file of the folders".to_owned(),
                    };
                    note(reference, format!("there is no schema file {name:?}"), expected);
                }
            }
        }
        let is_in_circle = |name: &str, reached: &BTreeMap<&str, Reached<'_>>| reached.contains_key(name);
        if let Some(back) = reached.get(schema.name.as_str()) {
            let found = format!("{:?} leads back to this schema", back.own.name);
            note(back.own, found, "references without a circle; within a file \"#/...\"".to_owned());
            return false;
        }
        reached.iter().all(|(name, to)| to.found.is_some_and(|found| !is_in_circle(name, &library.reached(found))))
    }

    /// Notes bindings to elements that are not registered. What was registered once may have schemas at the hub, so of
    /// a retired element the hub has to judge.
    fn bindings(&self, schema: &SchemaText, reached: &BTreeMap<&str, Reached<'_>>, compiled: &CompiledSchema) {
        for finding in compiled.refused_bindings().into_iter().chain(compiled.discouraged_bindings()) {
            let element = compiled.bindings().find(|(_, e)| Some(e.id().as_str()) == finding.element.as_deref());
            let (notes, more) = match element.map(|(_, element)| element.status()) {
                Some(ElementStatus::Retired) => (self.warnings, "; the hub takes no new version that binds it"),
                Some(status) if status.binding() == Binding::Discouraged => (self.warnings, ""),
                _ => (self.problems, ""),
            };
            let Some(finding) = self.placed(schema, reached, finding) else { continue };
            let mut problem = schema_problem(&schema.source, &finding);
            problem.found.push_str(more);
            notes.push(problem.clone());
            self.findings.borrow_mut().push((problem, finding));
        }
    }

    fn agencies_and_systems(&self) {
        let agencies = self.agency_ids();
        for entry in &self.folder.agencies {
            if let Err(errors) = Agency::new(entry.definition.clone()) {
                self.catalog_errors(&entry.places, errors);
            }
        }
        for entry in &self.folder.systems {
            match System::new(entry.definition.clone()) {
                Ok(system) => self.refer(&entry.places, "id", "agency", system.id.agency().as_str(), &agencies),
                Err(errors) => self.catalog_errors(&entry.places, errors),
            }
        }
    }

    fn datasets(&self, schemas: &Schemas<'_>) {
        let agencies = self.agency_ids();
        let systems: BTreeSet<&str> = self.folder.systems.iter().map(|e| e.definition.id.as_str()).collect();
        let names: BTreeSet<&str> = schemas.keys().copied().collect();
        for entry in &self.folder.datasets {
            let (definition, places) = (&entry.definition, &entry.places);
            if let Err(errors) = Dataset::new(definition.clone()) {
                self.catalog_errors(places, errors);
            }
            self.refer(places, "owning_agency", "agency", &definition.owning_agency, &agencies);
            self.refer(places, "schema", "schema", &definition.schema, &names);
            for (at, (system, _)) in definition.providers.iter().enumerate() {
                self.refer(places, &format!("providers[{at}].system"), "system", system, &systems);
            }
            let schema = schemas.get(definition.schema.as_str());
            self.fields(places, "key_fields", &definition.key_fields, schema);
            let copy = definition.current_copy.iter();
            for (at, fields) in copy.flat_map(|copy| &copy.secondary_keys).enumerate() {
                self.fields(places, &CurrentCopyDefinition::place(at), fields, schema);
            }
            self.keys(definition, schemas);
        }
    }

    /// Notes key fields that a record need not have, each once for a schema.
    fn keys(&self, dataset: &DatasetDefinition, schemas: &Schemas<'_>) {
        let Some(Some(compiled)) = schemas.get(dataset.schema.as_str()) else { return };
        let Some(schema) = self.folder.schemas.iter().find(|schema| schema.name == dataset.schema) else { return };
        let reached = Library::new(&self.folder.schemas).reached(schema);
        for finding in compiled.unfit_keys(&dataset.key_fields) {
            let Some(finding) = self.placed(schema, &reached, finding) else { continue };
            let problem = schema_problem(&schema.source, &finding);
            if !self.findings.borrow().iter().any(|(told, _)| *told == problem) {
                self.problems.push(problem.clone());
                self.findings.borrow_mut().push((problem, finding));
            }
        }
    }

    fn agreements(&self, schemas: &Schemas<'_>, dictionary: &Dictionary) {
        let systems: BTreeSet<&str> = self.folder.systems.iter().map(|e| e.definition.id.as_str()).collect();
        let agencies = self.agency_ids();
        let datasets: BTreeSet<&str> = self.folder.datasets.iter().map(|e| e.definition.id.as_str()).collect();
        for entry in &self.folder.agreements {
            let (definition, places) = (&entry.definition, &entry.places);
            if let Err(errors) = Agreement::new(definition.clone()) {
                self.catalog_errors(places, errors);
            }
            if !definition.ended {
                let AgreementDefinition { purpose, legal_bases, .. } = definition;
                for misfit in dictionary.sharing_misfits(purpose, legal_bases, examples::today()) {
                    places.note(self.problems, &misfit.field, misfit.found.en, misfit.expected.en);
                }
            }
            self.refer(places, "provider", "agency", &definition.provider, &agencies);
            self.refer(places, "consumer", "system", &definition.consumer, &systems);
            self.refer(places, "dataset", "dataset", &definition.dataset, &datasets);
            let dataset = self.folder.datasets.iter().find(|e| e.definition.id == definition.dataset);
            let Some(dataset) = dataset.map(|entry| &entry.definition) else { continue };
            if dataset.owning_agency != definition.provider {
                let found = format!("{:?} does not own dataset {:?}", definition.provider, dataset.id);
                places.note(self.problems, "provider", found, format!("its owner, \"{}\"", dataset.owning_agency));
            }
            let schema = schemas.get(dataset.schema.as_str());
            self.fields(places, "granted_fields", &definition.granted_fields, schema);
            if let (Ok(agreement), Some(Some(schema))) = (Agreement::new(definition.clone()), schema) {
                let grant = Grant {
                    granted_fields: &agreement.definition.granted_fields,
                    masks: &agreement.masks,
                    row_condition: &agreement.definition.row_condition,
                    key_fields: &dataset.key_fields,
                };
                let is_sensitive = grant.most_sensitive(schema) == Sensitivity::SensitivePersonal;
                let names_basis = !definition.legal_basis.trim().is_empty() || !definition.legal_bases.is_empty();
                if is_sensitive && !names_basis && !definition.ended {
                    let found = "the agreement grants sensitive personal data and names no legal basis";
                    places.note(self.problems, "legal_basis", found.to_owned(), "a document and article");
                }
                for misfit in grant.misfits(schema, dictionary) {
                    // Granted fields were told before, with the name that may have been meant.
                    if !misfit.field.starts_with("granted_fields") {
                        let expected = "a mask or a condition that fits the schema; docs/agreements.md";
                        places.note(self.problems, &misfit.field, misfit.message.en.into_owned(), expected);
                    }
                }
            }
        }
    }

    fn agency_ids(&self) -> BTreeSet<&'f str> {
        self.folder.agencies.iter().map(|e| e.definition.id.as_str()).collect()
    }

    fn catalog_errors(&self, places: &Places, errors: Vec<ldop_catalog::DefinitionError>) {
        for error in errors {
            places.note(self.problems, &error.field, places.shown(&error.field), error.expected);
        }
    }

    /// Notes a reference that leads nowhere.
    fn refer(&self, places: &Places, field: &str, kind: &str, id: &str, known: &BTreeSet<&str>) {
        let may_stand_elsewhere = self.folder.is_incomplete || self.references == References::Elsewhere;
        // An id that is not there at all was noted when it was read; a malformed one by its own crate.
        let malformed = kind == "system" && SystemId::parse(id).is_err();
        if id.is_empty() || malformed || may_stand_elsewhere || known.contains(id) {
            return;
        }
        let expected = match suggestion(id, known.iter().copied()) {
            Some(near) => format!("the id of one that is; did you mean \"{near}\"?"),
            None => "the id of one that is".to_owned(),
        };
        places.note(self.problems, field, format!("no {kind} {id:?} is defined"), expected);
    }

    /// Notes names that are not top-level fields of the schema.
    fn fields(&self, places: &Places, list: &str, names: &[String], schema: Option<&Option<CompiledSchema>>) {
        let Some(Some(schema)) = schema else { return };
        let known: Vec<&str> = schema.top_level_fields().iter().map(|field| field.name.as_str()).collect();
        for (at, name) in names.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let expected = match suggestion(name, known.iter().copied()) {
                    Some(near) => format!("a top-level field of the schema; did you mean \"{near}\"?"),
                    None => "a top-level field of the schema".to_owned(),
                };
                let found = format!("the schema has no field {name:?}");
                places.note(self.problems, &format!("{list}[{at}]"), found, expected);
            }
        }
    }
}

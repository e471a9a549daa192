//! Checks a folder as a whole: ids that stand twice, definitions that do not hold together, references that lead
//! nowhere, schemas that do not bind, examples that behave otherwise than they say.

use std::collections::{BTreeMap, BTreeSet};

use ldop_catalog::{Agency, Agreement, Dataset, System};
use ldop_dictionary::{CodeList, Dictionary, Element, ElementDefinition};
use ldop_schema_registry::{CompiledSchema, SchemaRule};
use ldop_types::SystemId;

use crate::{
    References,
    entry::{Entry, Folder, Places},
    examples,
    json::locate,
    reading::{Place, Problems, suggestion},
    walk::Files,
};

/// Notes everything that is wrong; returns how many examples were run.
pub(crate) fn check(folder: &Folder, files: &Files, references: References, problems: &Problems) -> usize {
    let checker = Checker { folder, references, problems };
    checker.duplicates();
    let dictionary = checker.dictionary();
    let schemas = checker.schemas(&dictionary);
    checker.agencies_and_systems();
    checker.datasets(&schemas);
    checker.agreements(&schemas);
    examples::run(files, &schemas, problems)
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
    references: References,
    problems: &'f Problems,
}

impl<'f> Checker<'f> {
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
        let mut lists = Vec::new();
        for entry in &self.folder.code_lists {
            match CodeList::new(entry.definition.clone()) {
                Ok(list) => lists.push(list),
                Err(errors) => {
                    for error in errors {
                        entry.places.note(self.problems, &error.field, error.message.en, error.expected);
                    }
                }
            }
        }
        let known: BTreeSet<&str> = self.folder.code_lists.iter().map(|e| e.definition.id.as_str()).collect();
        let sound: BTreeSet<&str> = lists.iter().map(|list| list.id().as_str()).collect();
        let mut broken = BTreeSet::new();
        let mut elements = Vec::new();
        for entry in &self.folder.elements {
            let definition = &entry.definition;
            let list = definition.code_list.as_str();
            if !list.is_empty() {
                self.refer(&entry.places, "code_list", "code list", list, &known);
            }
            match Element::new(definition.clone()) {
                // The list is missing or broken, which is said already: the element stands for its schemas without it.
                Ok(_) if !list.is_empty() && !sound.contains(list) => {
                    let without = ElementDefinition { code_list: String::new(), ..definition.clone() };
                    elements.extend(Element::new(without));
                }
                Ok(element) => elements.push(element),
                Err(errors) => {
                    broken.insert(definition.id.as_str());
                    for error in errors {
                        // The definition says `type` where Rust cannot.
                        let field = if error.field == "value_type" { "type" } else { &error.field };
                        entry.places.note(self.problems, field, error.message.en, error.expected);
                    }
                }
            }
        }
        // Cannot fail: every list an element names is given with it.
        let dictionary = Dictionary::default().with_changes(elements, lists).unwrap_or_default();
        Bound { dictionary, broken }
    }

    fn schemas(&self, bound: &Bound<'_>) -> Schemas<'f> {
        let mut schemas = Schemas::new();
        for schema in &self.folder.schemas {
            let compiled = match CompiledSchema::compile(schema.source.text(), &bound.dictionary) {
                Ok(compiled) => Some(compiled),
                Err(findings) => {
                    for finding in findings {
                        let unknown = finding.rule == SchemaRule::ElementUnknown;
                        let element = finding.element.as_deref().unwrap_or_default();
                        let may_stand_elsewhere = self.folder.is_incomplete || self.references == References::Elsewhere;
                        if unknown && (bound.broken.contains(element) || may_stand_elsewhere) {
                            continue;
                        }
                        let place = schema.source.place(locate(schema.source.text(), &finding.pointer));
                        let known = bound.dictionary.elements().map(|e| e.id().as_str());
                        let expected = match suggestion(element, known) {
                            Some(near) if unknown => format!("an element that is; did you mean \"{near}\"?"),
                            _ => String::new(),
                        };
                        let found = format!("{} ({})", finding.message.en, finding.remedy.en);
                        let key = if finding.pointer.is_empty() { "(root)".to_owned() } else { finding.pointer };
                        self.problems.note(place, key, found, expected);
                    }
                    None
                }
            };
            schemas.entry(&schema.name).or_insert(compiled);
        }
        schemas
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
            self.fields(places, "key_fields", &definition.key_fields, schemas.get(definition.schema.as_str()));
        }
    }

    fn agreements(&self, schemas: &Schemas<'_>) {
        let systems: BTreeSet<&str> = self.folder.systems.iter().map(|e| e.definition.id.as_str()).collect();
        let agencies = self.agency_ids();
        let datasets: BTreeSet<&str> = self.folder.datasets.iter().map(|e| e.definition.id.as_str()).collect();
        for entry in &self.folder.agreements {
            let (definition, places) = (&entry.definition, &entry.places);
            if let Err(errors) = Agreement::new(definition.clone()) {
                self.catalog_errors(places, errors);
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
            self.fields(places, "granted_fields", &definition.granted_fields, schemas.get(dataset.schema.as_str()));
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

//! The state after an event of the control log.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use ldop_catalog::{Agency, Agreement, Catalog, Dataset, System, state::Versioned};
use ldop_contract::{
    catalog::v1 as catalog,
    control::v1::{ControlEvent, control_event::Kind, resource_version::Resource},
    registry::v1 as registry,
};
use ldop_dictionary::{CodeList, Dictionary, Element};
use ldop_schema_registry::CompiledSchema;
use ldop_types::{DatasetName, Reason, SchemaName};

use crate::{chain::Head, convert};

/// Why an event cannot be applied: it was written by rules this release does not share.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {id}: {detail}")]
pub struct ApplyError {
    kind: &'static str,
    id: String,
    detail: String,
}

/// Resources as stored, by id: what is read back and what a change is compared with.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "one table for each kind")]
pub struct Stored {
    pub elements: BTreeMap<String, Arc<registry::Element>>,
    pub code_lists: BTreeMap<String, Arc<registry::CodeList>>,
    /// All versions, in order.
    pub schemas: BTreeMap<String, Vec<Arc<registry::Schema>>>,
    pub agencies: BTreeMap<String, Arc<catalog::Agency>>,
    pub systems: BTreeMap<String, Arc<catalog::System>>,
    pub datasets: BTreeMap<String, Arc<catalog::Dataset>>,
    pub agreements: BTreeMap<String, Arc<catalog::Agreement>>,
}

/// A schema's latest version, compiled on first use and then shared.
pub struct LazySchema {
    /// Its name.
    pub name: SchemaName,
    /// Its version.
    pub version: u32,
    text: Arc<registry::Schema>,
    dictionary: Dictionary,
    compiled: OnceLock<Option<Arc<CompiledSchema>>>,
}

impl LazySchema {
    pub(crate) fn new(name: SchemaName, text: Arc<registry::Schema>, dictionary: Dictionary) -> Self {
        Self { name, version: text.version, text, dictionary, compiled: OnceLock::new() }
    }

    /// The compiled schema. About 200 µs the first time.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`]: it compiled when it was registered and does not now, which is a bug of ours.
    pub fn get(&self) -> Result<Arc<CompiledSchema>, Reason> {
        let compile = || match CompiledSchema::compile(&self.text.text, &self.dictionary) {
            Ok(compiled) => Some(Arc::new(compiled)),
            Err(findings) => {
                tracing::error!(schema = %self.name, version = self.version, findings = findings.len(), "registered schema does not compile");
                None
            }
        };
        self.compiled.get_or_init(compile).clone().ok_or(Reason::Internal)
    }
}

impl fmt::Debug for LazySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

/// Registry and catalogue after event `head.sequence`. Immutable once published; a clone shares every resource.
#[derive(Debug, Clone, Default)]
pub struct ControlState {
    /// Last event applied.
    pub head: Head,
    /// Random id of the hub, from the first event.
    pub hub_id: [u8; 16],
    /// Epoch of the node that writes.
    pub epoch: u64,
    /// Node that writes.
    pub writer: [u8; 16],
    /// Resources as stored.
    pub stored: Stored,
    /// Elements and code lists.
    pub dictionary: Dictionary,
    /// Agencies, systems, datasets, agreements.
    pub catalog: Catalog,
    /// Latest schema versions.
    pub schemas: BTreeMap<SchemaName, Arc<LazySchema>>,
    /// Elements and code lists applied since the dictionary was last made.
    pending: (Vec<Element>, Vec<CodeList>),
    stale: bool,
}

impl ControlState {
    /// Applies an event. Mechanical: results are taken as they stand.
    pub(crate) fn apply(&mut self, event: &ControlEvent, head: Head) -> Result<(), ApplyError> {
        let unknown =
            |detail: &str| ApplyError { kind: "event", id: event.sequence.to_string(), detail: detail.into() };
        match event.kind.as_ref().ok_or_else(|| unknown("unknown kind"))? {
            Kind::Genesis(genesis) => {
                self.hub_id = genesis.hub_id.as_slice().try_into().map_err(|_| unknown("hub id"))?;
            }
            Kind::EpochTaken(taken) => {
                self.epoch = taken.epoch;
                self.writer = taken.node_id.as_slice().try_into().map_err(|_| unknown("node id"))?;
            }
            Kind::ChangeSetApplied(applied) => {
                for resource in &applied.resources {
                    let resource = resource.resource.as_ref().ok_or_else(|| unknown("unknown resource"))?;
                    self.apply_resource(resource)?;
                }
            }
        }
        self.head = head;
        Ok(())
    }

    fn apply_resource(&mut self, resource: &Resource) -> Result<(), ApplyError> {
        fn bad(kind: &'static str, id: &str, detail: impl fmt::Debug) -> ApplyError {
            ApplyError { kind, id: id.to_owned(), detail: format!("{detail:?}") }
        }
        match resource {
            Resource::Element(e) => {
                let element = Element::new(convert::element(e)).map_err(|why| bad("element", &e.id, why))?;
                self.pending.0.push(element);
                self.stored.elements.insert(e.id.clone(), Arc::new(e.clone()));
                self.stale = true;
            }
            Resource::CodeList(l) => {
                let list = CodeList::new(convert::code_list(l)).map_err(|why| bad("code_list", &l.id, why))?;
                self.pending.1.push(list);
                self.stored.code_lists.insert(l.id.clone(), Arc::new(l.clone()));
                self.stale = true;
            }
            Resource::Schema(s) => {
                let name = SchemaName::parse(&s.name).map_err(|why| bad("schema", &s.name, why))?;
                let text = Arc::new(s.clone());
                self.stored.schemas.entry(s.name.clone()).or_default().push(Arc::clone(&text));
                self.schemas.insert(name.clone(), Arc::new(LazySchema::new(name, text, self.dictionary.clone())));
                self.stale = true;
            }
            Resource::Agency(a) => {
                let value = Agency::new(convert::agency(a)).map_err(|why| bad("agency", &a.id, why))?;
                let versioned = Arc::new(Versioned { version: a.version, value });
                self.catalog.agencies.insert(versioned.value.id.clone(), versioned);
                self.stored.agencies.insert(a.id.clone(), Arc::new(a.clone()));
            }
            Resource::System(s) => {
                let value = System::new(convert::system(s)).map_err(|why| bad("system", &s.id, why))?;
                let versioned = Arc::new(Versioned { version: s.version, value });
                self.catalog.systems.insert(versioned.value.id.clone(), versioned);
                self.stored.systems.insert(s.id.clone(), Arc::new(s.clone()));
            }
            Resource::Dataset(d) => {
                let value = Dataset::new(convert::dataset(d)).map_err(|why| bad("dataset", &d.id, why))?;
                let versioned = Arc::new(Versioned { version: d.version, value });
                self.catalog.datasets.insert(versioned.value.name.clone(), versioned);
                self.stored.datasets.insert(d.id.clone(), Arc::new(d.clone()));
            }
            Resource::Agreement(a) => {
                let value = Agreement::new(convert::agreement(a)).map_err(|why| bad("agreement", &a.id, why))?;
                let versioned = Arc::new(Versioned { version: a.version, value });
                self.catalog.agreements.insert(versioned.value.id.clone(), versioned);
                self.stored.agreements.insert(a.id.clone(), Arc::new(a.clone()));
            }
        }
        Ok(())
    }

    /// Makes the dictionary and the schemas of what was applied. Once for many events: it costs as much as there is.
    pub(crate) fn finish(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let (elements, code_lists) = std::mem::take(&mut self.pending);
        match self.dictionary.with_changes(elements, code_lists) {
            Ok(dictionary) => self.dictionary = dictionary,
            // A change set holds together, or it is not on the log.
            Err(errors) => tracing::error!(errors = errors.len(), "registered dictionary does not hold together"),
        }
        for schema in self.schemas.values_mut() {
            *schema = Arc::new(LazySchema::new(schema.name.clone(), Arc::clone(&schema.text), self.dictionary.clone()));
        }
    }

    /// A dataset with its version.
    #[must_use]
    pub fn dataset(&self, name: &DatasetName) -> Option<&Arc<Versioned<Dataset>>> {
        self.catalog.datasets.get(name)
    }

    /// Version of a resource; 0 when there is none.
    #[must_use]
    pub fn version_of(&self, kind: &str, id: &str) -> u32 {
        let stored = &self.stored;
        match kind {
            "element" => stored.elements.get(id).map(|r| r.version),
            "code_list" => stored.code_lists.get(id).map(|r| r.version),
            "schema" => stored.schemas.get(id).and_then(|all| all.last()).map(|r| r.version),
            "agency" => stored.agencies.get(id).map(|r| r.version),
            "system" => stored.systems.get(id).map(|r| r.version),
            "dataset" => stored.datasets.get(id).map(|r| r.version),
            "agreement" => stored.agreements.get(id).map(|r| r.version),
            _ => None,
        }
        .unwrap_or(0)
    }

    /// Number of resources of each kind.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        [
            ("element", self.stored.elements.len()),
            ("code_list", self.stored.code_lists.len()),
            ("schema", self.stored.schemas.len()),
            ("agency", self.stored.agencies.len()),
            ("system", self.stored.systems.len()),
            ("dataset", self.stored.datasets.len()),
            ("agreement", self.stored.agreements.len()),
        ]
    }
}

//! The state after an event of the control log.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use imbl::OrdMap;
use ldop_catalog::{Agency, Agreement, Catalog, Dataset, System, state::Versioned};
use ldop_contract::{
    catalog::v1 as catalog,
    control::v1::{Change, ControlEvent, change::Resource as Given, control_event::Kind, resource_version::Resource},
    registry::v1 as registry,
};
use ldop_dictionary::{CodeList, Dictionary, Element};
use ldop_schema_registry::{
    CompiledSchema, Registry, SchemaFinding,
    registry::{Reference, SchemaId, Use, Version, references},
};
use ldop_types::{AgreementId, DatasetName, Reason, Sensitivity, Stage, SubjectName, TimestampMs};

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    agreements::Rules,
    authority::{Asked, Authority},
    chain::{self, Hash, Head},
    convert, schemas,
};

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
    /// Versions before those, the oldest first; none for an element that has one version only.
    pub earlier_elements: BTreeMap<String, Vec<Arc<registry::Element>>>,
    pub code_lists: BTreeMap<String, Arc<registry::CodeList>>,
    pub agencies: BTreeMap<String, Arc<catalog::Agency>>,
    pub systems: BTreeMap<String, Arc<catalog::System>>,
    pub datasets: BTreeMap<String, Arc<catalog::Dataset>>,
    pub agreements: BTreeMap<String, Arc<catalog::Agreement>>,
    /// Versions that wait beside those.
    pub waiting_agreements: BTreeMap<String, Arc<catalog::Agreement>>,
    /// Where agreements stand; one that has no status is live as it stands.
    pub agreement_statuses: BTreeMap<String, Arc<catalog::AgreementStatus>>,
}

/// A schema version in use, compiled on first use and then shared.
pub struct LazySchema {
    /// Its subject.
    pub name: SubjectName,
    /// Its version.
    pub version: u32,
    registered: Arc<Version>,
    /// What it refers to, and what that refers to.
    referred: Vec<Arc<Version>>,
    dictionary: Dictionary,
    compiled: OnceLock<Option<Arc<CompiledSchema>>>,
}

impl LazySchema {
    fn new(registered: Arc<Version>, registry: &Registry, dictionary: Dictionary) -> Self {
        let mut referred: Vec<Arc<Version>> = Vec::new();
        let mut left: Vec<Reference> = registered.references.to_vec();
        while let Some(reference) = left.pop() {
            let is_known = |known: &Arc<Version>| is_of(known, &reference);
            if !referred.iter().any(is_known)
                && let Some(found) = schemas::load(registry, &reference)
            {
                left.extend(found.references.iter().cloned());
                referred.push(found);
            }
        }
        let (name, version) = (registered.subject.clone(), registered.number);
        Self { name, version, registered, referred, dictionary, compiled: OnceLock::new() }
    }

    /// The id of its content in the registry.
    #[must_use]
    pub fn id(&self) -> SchemaId {
        self.registered.id
    }

    /// The compiled schema. About 200 µs the first time.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`]: it compiled when it was registered and does not now, which is a bug of ours.
    pub fn get(&self) -> Result<Arc<CompiledSchema>, Reason> {
        let compile = || match self.compile_with(&self.dictionary) {
            Ok(compiled) => Some(Arc::new(compiled)),
            Err(findings) => {
                tracing::error!(schema = %self.name, version = self.version, findings = findings.len(), "registered schema does not compile");
                None
            }
        };
        self.compiled.get_or_init(compile).clone().ok_or(Reason::Internal)
    }

    /// Compiles it with a dictionary, and with what it refers to.
    pub(crate) fn compile_with(&self, dictionary: &Dictionary) -> Result<CompiledSchema, Vec<SchemaFinding>> {
        let load = |reference: &Reference| self.referred.iter().find(|known| is_of(known, reference)).cloned();
        let text = references::bundle(&self.registered.text, &self.registered.references, load)?;
        CompiledSchema::compile(&text, dictionary)
    }
}

fn is_of(version: &Version, reference: &Reference) -> bool {
    version.subject == reference.subject && version.number == reference.version
}

impl fmt::Debug for LazySchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

/// The versions of a subject that check records.
#[derive(Debug, Default)]
pub struct InUse {
    testing: Option<Arc<LazySchema>>,
    live: Option<Arc<LazySchema>>,
}

impl InUse {
    /// Each version once.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Arc<LazySchema>> {
        let live = self.live.as_ref().filter(|live| self.testing.as_ref().is_none_or(|t| t.version != live.version));
        self.testing.iter().chain(live)
    }
}

/// Level of events that may be written: what every program understands that is to follow the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u32);

impl Default for Level {
    fn default() -> Self {
        Self(chain::BASE_LEVEL)
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
    /// Level of events that may be written.
    pub level: Level,
    /// What tells the secret of the nodes from others; none where no node has told it yet.
    pub secret_fingerprint: Option<Hash>,
    /// Resources as stored.
    pub stored: Stored,
    /// Elements and code lists.
    pub dictionary: Dictionary,
    /// Agencies, systems, datasets, agreements.
    pub catalog: Catalog,
    /// Every schema registered.
    pub registry: Registry,
    /// Versions in use, by subject.
    pub(crate) schemas: OrdMap<SubjectName, Arc<InUse>>,
    /// Elements and code lists applied since the dictionary was last made.
    pending: (Vec<Element>, Vec<CodeList>),
    stale: bool,
}

impl ControlState {
    /// The state these changes would lead to, checked as the hub checks them. For work without a hub, such as on a folder
    /// of definitions: there is no event, so the head stays where it is.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::Refused) with everything that is wrong.
    pub fn after(&self, changes: &[Change], author: &str, time: TimestampMs) -> Result<Self, crate::Refused> {
        let rules = Rules::without_approvals();
        let asked = Asked { author, authority: Authority::Unasked, now: time.0, rules: &rules };
        let checked = crate::check::check(self, changes, &asked)?;
        let mut next = self.clone();
        for resource in checked.resources.iter().filter_map(|changed| changed.resource.as_ref()) {
            next.apply_resource(resource, (author, time.0)).map_err(|_| crate::Refused::of(Reason::Internal))?;
        }
        next.finish();
        Ok(next)
    }

    /// A state in which these definitions stand, each as its first version. For work without a hub on definitions that
    /// were checked when they were read: nothing is checked here that applying an event would not.
    ///
    /// # Errors
    ///
    /// A definition that does not hold together.
    pub fn standing(changes: impl IntoIterator<Item = Change>) -> Result<Self, ApplyError> {
        let mut state = Self::default();
        for change in changes {
            let Some(given) = change.resource else { continue };
            let mut resource = match given {
                Given::Element(r) => Resource::Element(r),
                Given::CodeList(r) => Resource::CodeList(r),
                Given::Schema(r) => Resource::Schema(r),
                Given::Agency(r) => Resource::Agency(r),
                Given::System(r) => Resource::System(r),
                Given::Dataset(r) => Resource::Dataset(r),
                Given::Agreement(r) => Resource::Agreement(r),
                // Steps in the life of what is not registered yet.
                Given::SubjectSettings(_) | Given::SchemaTransition(_) | Given::AgreementTransition(_) => continue,
            };
            if let Resource::Schema(schema) = &mut resource {
                schema.version = 1;
                schema.references.iter_mut().for_each(|reference| reference.version = 1);
            }
            state.apply_resource(&resource, ("", 0))?;
        }
        state.settle().map_err(|errors| ApplyError {
            kind: "dictionary",
            id: errors.first().map(|error| error.field.clone()).unwrap_or_default(),
            detail: errors.first().map(ToString::to_string).unwrap_or_default(),
        })?;
        Ok(state)
    }

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
                if !taken.secret_fingerprint.is_empty() {
                    let told = taken.secret_fingerprint.as_slice().try_into();
                    self.secret_fingerprint = Some(told.map_err(|_| unknown("secret fingerprint"))?);
                }
            }
            Kind::LevelRaised(raised) => self.level = self.level.max(Level(raised.level)),
            Kind::ChangeSetApplied(applied) => {
                for resource in &applied.resources {
                    let resource = resource.resource.as_ref().ok_or_else(|| unknown("unknown resource"))?;
                    self.apply_resource(resource, (&applied.author, event.time_ms))?;
                }
            }
        }
        self.level = self.level.max(Level(event.minimum_level));
        self.head = head;
        Ok(())
    }

    pub(crate) fn apply_resource(&mut self, resource: &Resource, by: (&str, i64)) -> Result<(), ApplyError> {
        fn bad(kind: &'static str, id: &str, detail: impl fmt::Debug) -> ApplyError {
            ApplyError { kind, id: id.to_owned(), detail: format!("{detail:?}") }
        }
        match resource {
            Resource::Element(e) => {
                let element = Element::new(convert::element(e)).map_err(|why| bad("element", &e.id, why))?;
                self.pending.0.push(element);
                if let Some(earlier) = self.stored.elements.insert(e.id.clone(), Arc::new(e.clone())) {
                    self.stored.earlier_elements.entry(e.id.clone()).or_default().push(earlier);
                }
                self.stale = true;
            }
            Resource::CodeList(l) => {
                let list = CodeList::new(convert::code_list(l)).map_err(|why| bad("code_list", &l.id, why))?;
                self.pending.1.push(list);
                self.stored.code_lists.insert(l.id.clone(), Arc::new(l.clone()));
                self.stale = true;
            }
            Resource::Schema(s) => {
                let version = schemas::from_stored(s, &self.registry, by).map_err(|why| bad("schema", &s.name, why))?;
                let subject = version.subject.clone();
                self.registry.put_version(version);
                self.refresh_schema(&subject);
            }
            Resource::SubjectSettings(s) => {
                let subject = match s.subject.as_str() {
                    "" => None,
                    name => Some(SubjectName::parse(name).map_err(|why| bad("subject_settings", name, why))?),
                };
                self.registry.put_settings(subject, schemas::settings_of(s));
            }
            Resource::SchemaStatus(s) => {
                let subject = SubjectName::parse(&s.subject).map_err(|why| bad("schema_status", &s.subject, why))?;
                let action =
                    schemas::action_of(s.action()).ok_or_else(|| bad("schema_status", &s.subject, "unknown action"))?;
                self.registry.put_step(&s.subject, &s.versions, action, by.0, by.1);
                self.refresh_schema(&subject);
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
                let (known, stored) = if self.waits(&a.id, a.version) {
                    (&mut self.catalog.waiting, &mut self.stored.waiting_agreements)
                } else {
                    (&mut self.catalog.agreements, &mut self.stored.agreements)
                };
                known.insert(versioned.value.id.clone(), versioned);
                stored.insert(a.id.clone(), Arc::new(a.clone()));
            }
            Resource::AgreementStatus(s) => {
                let id = AgreementId::parse(&s.agreement).map_err(|why| bad("agreement_status", &s.agreement, why))?;
                self.put_agreement_status(id, s.clone());
            }
        }
        Ok(())
    }

    /// Makes the dictionary and the schemas of what was applied. Once for many events: it costs as much as there is.
    pub(crate) fn finish(&mut self) {
        // A change set holds together, or it is not on the log.
        if let Err(errors) = self.settle() {
            tracing::error!(errors = errors.len(), "registered dictionary does not hold together");
        }
    }

    /// Makes the dictionary and the schemas in use of what a snapshot held.
    ///
    /// # Errors
    ///
    /// What in the dictionary does not hold together.
    pub(crate) fn settle_restored(&mut self) -> Result<(), String> {
        self.settle().map_err(|errors| errors.first().map(ToString::to_string).unwrap_or_default())?;
        let subjects: Vec<SubjectName> = self.registry.subjects().map(|(name, _)| name.clone()).collect();
        subjects.iter().for_each(|subject| self.refresh_schema(subject));
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Vec<ldop_dictionary::DefinitionError>> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        let (elements, code_lists) = std::mem::take(&mut self.pending);
        let settled = self.dictionary.with_changes(elements, code_lists).map(|dictionary| self.dictionary = dictionary);
        let subjects: Vec<SubjectName> = self.schemas.keys().cloned().collect();
        subjects.iter().for_each(|subject| self.refresh_schema(subject));
        settled
    }

    /// Finds the versions in use of a subject anew.
    pub(crate) fn refresh_schema(&mut self, subject: &SubjectName) {
        let Some(found) = self.registry.subject(subject.as_str()) else { return };
        let lazy = |version: &Arc<Version>| {
            Arc::new(LazySchema::new(Arc::clone(version), &self.registry, self.dictionary.clone()))
        };
        let testing = found.newest(Use::Testing).map(lazy);
        let live = found.newest(Use::Live).map(|live| match &testing {
            Some(testing) if testing.version == live.number => Arc::clone(testing),
            _ => lazy(live),
        });
        self.schemas.insert(subject.clone(), Arc::new(InUse { testing, live }));
    }

    /// The version of a schema that checks records of a stage.
    #[must_use]
    pub fn schema(&self, name: &str, stage: Stage) -> Option<&Arc<LazySchema>> {
        let in_use = self.schemas.get(name)?;
        match stage {
            Stage::Testing => in_use.testing.as_ref(),
            Stage::Live => in_use.live.as_ref(),
        }
    }

    /// Every version of a subject that is not deleted for good, to be compiled with the dictionary there is now.
    pub fn every_version(&self, name: &str) -> impl Iterator<Item = LazySchema> {
        let versions = self.registry.subject(name).into_iter().flat_map(|subject| subject.versions());
        versions.map(|version| LazySchema::new(Arc::clone(version), &self.registry, self.dictionary.clone()))
    }

    /// Whether records of the schema may hold personal data: as any version of it has them, since the log keeps old records.
    #[must_use]
    pub fn is_personal(&self, schema: &str) -> bool {
        self.every_version(schema).any(|version| {
            // One that does not compile may hold anything.
            let compiled = version.get();
            compiled.map_or(true, |schema| schema.finder(|bound| bound.sensitivity() != Sensitivity::None).is_some())
        })
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
            "schema" => self.registry.subject(id).and_then(|s| s.newest(Use::Registering)).map(|v| v.number),
            "subject_settings" if id.is_empty() => Some(self.registry.settings().version),
            "subject_settings" => self.registry.subject(id).map(|s| s.settings().version),
            "agency" => stored.agencies.get(id).map(|r| r.version),
            "system" => stored.systems.get(id).map(|r| r.version),
            "dataset" => stored.datasets.get(id).map(|r| r.version),
            "agreement" => stored.waiting_agreements.get(id).or(stored.agreements.get(id)).map(|r| r.version),
            "agreement_status" => stored.agreement_statuses.get(id).map(|r| r.last_version),
            _ => None,
        }
        .unwrap_or(0)
    }

    /// SHA-256 of everything the state holds: equal on nodes that applied the same events.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.head.sequence.to_be_bytes());
        part(&self.head.hash);
        part(&self.hub_id);
        part(&self.epoch.to_be_bytes());
        part(&self.writer);
        self.secret_fingerprint.iter().for_each(|told| part(told));
        let stored = &self.stored;
        stored.elements.values().for_each(|r| part(&r.encode_to_vec()));
        stored.code_lists.values().for_each(|r| part(&r.encode_to_vec()));
        stored.agencies.values().for_each(|r| part(&r.encode_to_vec()));
        stored.systems.values().for_each(|r| part(&r.encode_to_vec()));
        stored.datasets.values().for_each(|r| part(&r.encode_to_vec()));
        stored.agreements.values().for_each(|r| part(&r.encode_to_vec()));
        part(&self.registry.last_id().0.to_be_bytes());
        part(&schemas::settings_to_wire("", self.registry.settings()).encode_to_vec());
        for (name, subject) in self.registry.subjects() {
            part(&schemas::settings_to_wire(name.as_str(), subject.settings()).encode_to_vec());
            subject.versions().for_each(|version| part(&schemas::to_wire(version).encode_to_vec()));
        }
        // Where there are none, the digest is that of releases before agreements had a life.
        stored.agreement_statuses.values().for_each(|r| part(&r.encode_to_vec()));
        stored.waiting_agreements.values().for_each(|r| part(&r.encode_to_vec()));
        hash.finalize().into()
    }

    /// Number of resources of each kind.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 7] {
        [
            ("element", self.stored.elements.len()),
            ("code_list", self.stored.code_lists.len()),
            ("schema", self.registry.subject_count()),
            ("agency", self.stored.agencies.len()),
            ("system", self.stored.systems.len()),
            ("dataset", self.stored.datasets.len()),
            ("agreement", self.stored.agreements.len()),
        ]
    }
}

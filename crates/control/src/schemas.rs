//! Schemas, their settings and their life: from and to the wire, checked, and put into the state.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ldop_contract::registry::v1 as wire;
use ldop_dictionary::Dictionary;
use ldop_schema_registry::{
    CompiledSchema, Parser, Registry, SchemaFinding,
    compatibility::{self, CompatibilityMode, CompatibilityPolicy, Difference, SchemaTree, Severity, Verdict},
    registry::{
        Action, Approval, ContentHash, Metadata, Planned, Reference, RegistryMode, SchemaId, Settings, State,
        StepError, Use, Version, references,
    },
    schema::SCHEMA_LIMITS,
};
use ldop_types::{Reason, SubjectName, Text};

use crate::{
    check::{Problem, Refused},
    state::ControlState,
};

/// Most entries of each kind of metadata.
const MAX_METADATA: usize = 100;
/// Longest text of metadata, bytes.
const MAX_METADATA_TEXT: usize = 1_000;

/// A schema someone wants to register, parsed.
pub(crate) struct Candidate {
    pub(crate) subject: SubjectName,
    pub(crate) text: String,
    pub(crate) references: Vec<Reference>,
    pub(crate) metadata: Metadata,
    pub(crate) hash: ContentHash,
    /// Id and version it has elsewhere; 0: none.
    pub(crate) imported: (u32, u32),
}

/// Gathers what is wrong under one place.
pub(crate) struct Problems<'a> {
    pub(crate) place: &'a str,
    pub(crate) found: Vec<Problem>,
}

impl Problems<'_> {
    fn expected(&mut self, field: &str, expected: &str) {
        let message = Text::new(format!("cần: {expected}"), format!("expected {expected}"));
        self.found.push(Problem {
            field: format!("{}.{field}", self.place),
            message,
            reason: Reason::DefinitionInvalid,
        });
    }

    pub(crate) fn finding(&mut self, finding: SchemaFinding) {
        let field = format!("{}#{}", self.place, finding.pointer);
        let message = Text::new(
            format!("{}; {}", finding.message.vi, finding.remedy.vi),
            format!("{}; {}", finding.message.en, finding.remedy.en),
        );
        self.found.push(Problem { field, message, reason: Reason::DefinitionInvalid });
    }

    fn refused(&mut self, reason: Reason, vi: impl Into<String>, en: impl Into<String>) {
        let message = Text::new(vi.into(), en.into());
        self.found.push(Problem { field: self.place.to_owned(), message, reason });
    }
}

/// Reads a schema someone wants to register, or tells everything that is wrong with it.
pub(crate) fn candidate(
    given: &wire::Schema,
    registry: &Registry,
    dictionary: &Dictionary,
    problems: &mut Problems<'_>,
) -> Option<(Candidate, CompiledSchema)> {
    let subject = SubjectName::parse(&given.name).map_err(|error| problems.expected("name", error.expected)).ok();
    let references = references_of(&given.references, newest(registry), problems);
    let metadata = metadata_of(given.metadata.as_ref(), problems);
    let mut parser = Parser::new(SCHEMA_LIMITS);
    let hash = match parser.parse(given.text.as_bytes()) {
        Ok(document) => Some(ContentHash::of(&document, &references, &metadata)),
        // The compiler tells it, with its place.
        Err(_) => None,
    };
    let bundled = match hash {
        Some(_) => references::bundle(&given.text, &references, |reference| load(registry, reference)),
        None => Ok(given.text.clone()),
    };
    let compiled = bundled.and_then(|text| CompiledSchema::compile(&text, dictionary));
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(findings) => {
            findings.into_iter().for_each(|finding| problems.finding(finding));
            return None;
        }
    };
    if !problems.found.is_empty() {
        return None;
    }
    let imported = (given.id, given.version);
    let text = given.text.clone();
    Some((Candidate { subject: subject?, text, references, metadata, hash: hash?, imported }, compiled))
}

/// A registered version, unless it was taken away.
pub(crate) fn load(registry: &Registry, reference: &Reference) -> Option<Arc<Version>> {
    registry.subject(reference.subject.as_str())?.version(reference.version).cloned()
}

/// What version 0 of a reference means: the newest one that new schemas may rest on.
fn newest(registry: &Registry) -> impl Fn(&SubjectName) -> Option<u32> {
    |subject| Some(registry.subject(subject.as_str())?.newest(Use::Registering)?.number)
}

fn references_of(
    given: &[wire::SchemaReference],
    newest: impl Fn(&SubjectName) -> Option<u32>,
    problems: &mut Problems<'_>,
) -> Vec<Reference> {
    if given.len() > references::MAX_REFERENCES {
        problems.expected("references", &format!("at most {}", references::MAX_REFERENCES));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut parsed = Vec::with_capacity(given.len());
    for (at, reference) in given.iter().enumerate() {
        let field = |name: &str| format!("references[{at}].{name}");
        let name = &reference.name;
        if name.is_empty() || name.len() > 255 || name.contains('#') || !names.insert(name) {
            problems.expected(&field("name"), "1-255 bytes without '#', each name once");
        }
        match SubjectName::parse(&reference.subject) {
            Ok(subject) => {
                let version = Some(reference.version).filter(|version| *version != 0).or_else(|| newest(&subject));
                match version {
                    Some(version) => parsed.push(Reference { name: name.clone(), subject, version }),
                    None => problems.expected(&field("subject"), "a schema with a version that is in use"),
                }
            }
            Err(error) => problems.expected(&field("subject"), error.expected),
        }
    }
    parsed
}

fn metadata_of(given: Option<&wire::SchemaMetadata>, problems: &mut Problems<'_>) -> Metadata {
    let Some(given) = given else { return Metadata::default() };
    let texts = given.properties.iter().flat_map(|p| [&p.key, &p.value]);
    let texts = texts.chain(given.tags.iter().flat_map(|t| std::iter::once(&t.path).chain(&t.tags)));
    let fits = texts.chain(&given.sensitive).all(|text| text.len() <= MAX_METADATA_TEXT);
    let counts = [given.properties.len(), given.sensitive.len(), given.tags.iter().map(|t| 1 + t.tags.len()).sum()];
    if !fits || counts.iter().any(|count| *count > MAX_METADATA) {
        let expected =
            format!("at most {MAX_METADATA} entries of each kind, each text at most {MAX_METADATA_TEXT} bytes");
        problems.expected("metadata", &expected);
    }
    let properties: BTreeMap<_, _> = given.properties.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    let tags: BTreeMap<_, _> = given.tags.iter().map(|t| (t.path.clone(), t.tags.clone())).collect();
    if properties.len() != given.properties.len() || tags.len() != given.tags.len() {
        problems.expected("metadata", "each key and each path once");
    }
    Metadata { properties, tags, sensitive: given.sensitive.clone() }
}

/// The newest version of a subject that holds a content.
///
/// # Errors
///
/// A text that is no JSON, or references that are not well-formed.
pub fn find(given: &wire::Schema, state: &ControlState, with_deleted: bool) -> Result<Option<Arc<Version>>, Refused> {
    let mut problems = Problems { place: "schema", found: Vec::new() };
    let references = references_of(&given.references, newest(&state.registry), &mut problems);
    let metadata = metadata_of(given.metadata.as_ref(), &mut problems);
    let mut parser = Parser::new(SCHEMA_LIMITS);
    let hash = match parser.parse(given.text.as_bytes()) {
        Ok(document) => ContentHash::of(&document, &references, &metadata),
        Err(flaw) => {
            let field = format!("{}.text", problems.place);
            problems.found.push(Problem { field, message: flaw.message, reason: Reason::DefinitionInvalid });
            ContentHash([0; 32])
        }
    };
    if !problems.found.is_empty() {
        return Err(Refused { reason: Reason::DefinitionInvalid, problems: problems.found });
    }
    let subject = state.registry.subject(&given.name);
    Ok(subject.and_then(|subject| subject.of_content(&hash, with_deleted)).cloned())
}

/// The schema of a text and what it refers to, to be compared.
fn tree(text: &str, references: &[Reference], registry: &Registry) -> Result<SchemaTree, Vec<SchemaFinding>> {
    let text = references::bundle(text, references, |reference| load(registry, reference))?;
    SchemaTree::parse(&text, &[])
}

/// The verdict on a text that is to follow earlier versions, the oldest first.
fn verdict(
    new: &SchemaTree,
    earlier: &[Arc<Version>],
    registry: &Registry,
    (mode, policy): (CompatibilityMode, CompatibilityPolicy),
) -> Result<Verdict, Vec<SchemaFinding>> {
    let asked = if mode.is_transitive() { 0 } else { earlier.len().saturating_sub(1) };
    let trees: Vec<(u32, SchemaTree)> = earlier[asked..]
        .iter()
        .map(|version| Ok((version.number, tree(&version.text, &version.references, registry)?)))
        .collect::<Result<_, Vec<SchemaFinding>>>()?;
    let trees: Vec<(u32, &SchemaTree)> = trees.iter().map(|(version, tree)| (*version, tree)).collect();
    Ok(compatibility::check(new, &trees, mode, policy))
}

/// The versions a new one must be compatible with, the oldest first.
fn earlier(registry: &Registry, subject: &str) -> Vec<Arc<Version>> {
    let found = registry.subject(subject);
    found.map(|s| s.versions().filter(|v| v.is_fit(Use::Registering)).cloned().collect()).unwrap_or_default()
}

fn check_compatibility(candidate: &Candidate, registry: &Registry, problems: &mut Problems<'_>) {
    let settings = registry.settings_in_force(candidate.subject.as_str());
    let earlier = earlier(registry, candidate.subject.as_str());
    if settings.compatibility == CompatibilityMode::None || earlier.is_empty() {
        return;
    }
    let compared = tree(&candidate.text, &candidate.references, registry)
        .and_then(|new| verdict(&new, &earlier, registry, (settings.compatibility, settings.policy)));
    let verdict = match compared {
        Ok(verdict) if verdict.is_compatible => return,
        Ok(verdict) => verdict,
        Err(findings) => return findings.into_iter().for_each(|finding| problems.finding(finding)),
    };
    for difference in verdict.differences.iter().filter(|d| d.severity != Severity::Compatible) {
        let field = format!("{}#{}", problems.place, difference.pointer);
        let (kind, version) = (difference.kind.as_str(), difference.version);
        let mode = settings.compatibility.as_str();
        let message = Text::new(
            format!("{mode} với phiên bản {version}: {kind}: {}", difference.message.vi),
            format!("{mode} with version {version}: {kind}: {}", difference.message.en),
        );
        problems.found.push(Problem { field, message, reason: Reason::SchemaIncompatible });
    }
}

/// Compares a text with registered versions. A subject that has none takes everything.
///
/// # Errors
///
/// A text that is no schema, references that lead nowhere, or a version that is not there.
pub fn compare(
    asked: &wire::CheckCompatibilityRequest,
    state: &ControlState,
) -> Result<wire::CheckCompatibilityResponse, Refused> {
    let mut problems = Problems { place: "schema", found: Vec::new() };
    let registry = &state.registry;
    let settings = registry.settings_in_force(&asked.name);
    let mode = mode_of(asked.mode()).unwrap_or(settings.compatibility);
    let policy = policy_of(asked.policy()).unwrap_or(settings.policy);
    let references = references_of(&asked.references, newest(registry), &mut problems);
    let earlier = match asked.version {
        0 => earlier(registry, &asked.name),
        number => match registry.subject(&asked.name).and_then(|s| s.version(number)).filter(|v| !v.deleted) {
            Some(version) => vec![Arc::clone(version)],
            None => return Err(Refused::of(Reason::ResourceNotFound)),
        },
    };
    let compared = tree(&asked.text, &references, registry)
        .and_then(|new| verdict(&new, &earlier, registry, (mode, policy)))
        .map_err(|findings| findings.into_iter().for_each(|finding| problems.finding(finding)));
    let (Ok(verdict), true) = (compared, problems.found.is_empty()) else {
        return Err(Refused { reason: Reason::DefinitionInvalid, problems: problems.found });
    };
    let difference = |d: Difference| wire::SchemaDifference {
        version: d.version,
        direction: d.direction.as_str().to_owned(),
        pointer: d.pointer,
        kind: d.kind.as_str().to_owned(),
        severity: d.severity.as_str().to_owned(),
        message_vi: d.message.vi.into_owned(),
        message_en: d.message.en.into_owned(),
    };
    let differences = verdict.differences.into_iter().map(difference).collect();
    Ok(wire::CheckCompatibilityResponse { is_compatible: verdict.is_compatible, differences })
}

/// The version a candidate would become, or none where it stands already; its number in both cases.
pub(crate) fn version_of(
    candidate: &Candidate,
    registry: &Registry,
    (author, time_ms): (&str, i64),
    problems: &mut Problems<'_>,
) -> (u32, Option<Version>) {
    let subject = candidate.subject.as_str();
    let settings = registry.settings_in_force(subject);
    let (mut number, mut id) = match registry.plan(subject, &candidate.hash) {
        Planned::Stands(number) => return (number, None),
        Planned::New { version, id } => (version, id),
    };
    if settings.mode == RegistryMode::ReadOnly {
        problems.refused(Reason::SubjectReadOnly, "chủ đề chỉ đọc", "the subject is read only");
    }
    if settings.mode != RegistryMode::Import {
        check_compatibility(candidate, registry, problems);
    }
    if settings.mode == RegistryMode::Import {
        let (wanted_id, wanted_version) = candidate.imported;
        if wanted_version != 0 {
            number = wanted_version;
            if registry.subject(subject).is_some_and(|s| s.version(wanted_version).is_some()) {
                problems.expected("version", "a version the subject does not have yet");
            }
        }
        if wanted_id != 0 {
            let known = registry.schema(SchemaId(wanted_id)).map(|known| known.hash);
            let other = registry.id_of(&candidate.hash);
            if known.is_some_and(|known| known != candidate.hash) || other.is_some_and(|other| other.0 != wanted_id) {
                problems.expected("id", "the id of this content, or one not given yet");
            }
            id = SchemaId(wanted_id);
        }
    }
    let version = Version {
        subject: candidate.subject.clone(),
        number,
        id,
        hash: candidate.hash,
        text: candidate.text.as_str().into(),
        references: candidate.references.as_slice().into(),
        metadata: Arc::new(candidate.metadata.clone()),
        state: if settings.approval == Approval::Required { State::Draft } else { State::Approved },
        deleted: false,
        author: author.into(),
        registered_ms: time_ms,
        decided: None,
    };
    (number, Some(version))
}

/// A step, or why it cannot be taken.
pub(crate) fn step(
    given: &wire::SchemaTransition,
    registry: &Registry,
    actor: &str,
    problems: &mut Problems<'_>,
) -> Option<(SubjectName, Vec<u32>, Action)> {
    let subject = SubjectName::parse(&given.subject).map_err(|error| problems.expected("subject", error.expected)).ok();
    let Some(action) = action_of(given.action()) else {
        problems.expected("action", "approve, deprecate, retire, delete or delete_permanently");
        return None;
    };
    if given.version == 0 && !matches!(action, Action::Delete | Action::DeletePermanently) {
        problems.expected("version", "a version, from 1");
        return None;
    }
    let subject = subject?;
    if registry.settings_in_force(subject.as_str()).mode == RegistryMode::ReadOnly {
        problems.refused(Reason::SubjectReadOnly, "chủ đề chỉ đọc", "the subject is read only");
        return None;
    }
    match registry.plan_step(subject.as_str(), given.version, action, actor) {
        Ok(numbers) => Some((subject, numbers, action)),
        Err(error) => {
            let (reason, vi) = match &error {
                StepError::NotFound => (Reason::ResourceNotFound, "không có phiên bản này".to_owned()),
                StepError::Unfit { version, state, deleted } => {
                    let deleted = if *deleted { " và đã xóa" } else { "" };
                    (Reason::SchemaStateUnfit, format!("phiên bản {version} đang {state}{deleted}"))
                }
                StepError::ByItsAuthor { version } => {
                    (Reason::ApprovedByItsAuthor, format!("phiên bản {version} do chính người này đăng ký"))
                }
                StepError::Referenced { version } => {
                    (Reason::SchemaReferenced, format!("phiên bản {version} đang được lược đồ khác tham chiếu"))
                }
            };
            problems.refused(reason, vi, error.to_string());
            None
        }
    }
}

/// Settings and the subject they are for; none: all.
pub(crate) fn settings(
    given: &wire::SubjectSettings,
    problems: &mut Problems<'_>,
) -> Option<(Option<SubjectName>, Settings)> {
    let subject = match given.subject.as_str() {
        "" => None,
        text => match SubjectName::parse(text) {
            Ok(subject) => Some(subject),
            Err(error) => {
                problems.expected("subject", error.expected);
                return None;
            }
        },
    };
    Some((subject, settings_of(given)))
}

/// Settings as stored; words this release does not know count as not set.
pub(crate) fn settings_of(given: &wire::SubjectSettings) -> Settings {
    Settings {
        version: given.version,
        compatibility: mode_of(given.compatibility()),
        policy: policy_of(given.policy()),
        mode: match given.mode() {
            wire::RegistryMode::Unspecified => None,
            wire::RegistryMode::Readwrite => Some(RegistryMode::ReadWrite),
            wire::RegistryMode::Readonly => Some(RegistryMode::ReadOnly),
            wire::RegistryMode::Import => Some(RegistryMode::Import),
        },
        approval: match given.approval() {
            wire::ApprovalRule::Unspecified => None,
            wire::ApprovalRule::NotRequired => Some(Approval::NotRequired),
            wire::ApprovalRule::Required => Some(Approval::Required),
        },
    }
}

/// Settings for the wire.
#[must_use]
pub fn settings_to_wire(subject: &str, settings: &Settings) -> wire::SubjectSettings {
    let mode = match settings.mode {
        None => wire::RegistryMode::Unspecified,
        Some(RegistryMode::ReadWrite) => wire::RegistryMode::Readwrite,
        Some(RegistryMode::ReadOnly) => wire::RegistryMode::Readonly,
        Some(RegistryMode::Import) => wire::RegistryMode::Import,
    };
    let approval = match settings.approval {
        None => wire::ApprovalRule::Unspecified,
        Some(Approval::NotRequired) => wire::ApprovalRule::NotRequired,
        Some(Approval::Required) => wire::ApprovalRule::Required,
    };
    let policy = match settings.policy {
        None => wire::CompatibilityPolicy::Unspecified,
        Some(CompatibilityPolicy::Strict) => wire::CompatibilityPolicy::Strict,
        Some(CompatibilityPolicy::Lenient) => wire::CompatibilityPolicy::Lenient,
    };
    wire::SubjectSettings {
        subject: subject.to_owned(),
        version: settings.version,
        compatibility: settings.compatibility.map_or(wire::CompatibilityMode::Unspecified, mode_to_wire).into(),
        policy: policy.into(),
        mode: mode.into(),
        approval: approval.into(),
    }
}

/// A mode from the wire.
#[must_use]
pub fn mode_of(mode: wire::CompatibilityMode) -> Option<CompatibilityMode> {
    Some(match mode {
        wire::CompatibilityMode::Unspecified => return None,
        wire::CompatibilityMode::None => CompatibilityMode::None,
        wire::CompatibilityMode::Backward => CompatibilityMode::Backward,
        wire::CompatibilityMode::BackwardTransitive => CompatibilityMode::BackwardTransitive,
        wire::CompatibilityMode::Forward => CompatibilityMode::Forward,
        wire::CompatibilityMode::ForwardTransitive => CompatibilityMode::ForwardTransitive,
        wire::CompatibilityMode::Full => CompatibilityMode::Full,
        wire::CompatibilityMode::FullTransitive => CompatibilityMode::FullTransitive,
    })
}

/// A mode for the wire.
#[must_use]
pub fn mode_to_wire(mode: CompatibilityMode) -> wire::CompatibilityMode {
    match mode {
        CompatibilityMode::None => wire::CompatibilityMode::None,
        CompatibilityMode::Backward => wire::CompatibilityMode::Backward,
        CompatibilityMode::BackwardTransitive => wire::CompatibilityMode::BackwardTransitive,
        CompatibilityMode::Forward => wire::CompatibilityMode::Forward,
        CompatibilityMode::ForwardTransitive => wire::CompatibilityMode::ForwardTransitive,
        CompatibilityMode::Full => wire::CompatibilityMode::Full,
        CompatibilityMode::FullTransitive => wire::CompatibilityMode::FullTransitive,
    }
}

/// A policy from the wire.
#[must_use]
pub fn policy_of(policy: wire::CompatibilityPolicy) -> Option<CompatibilityPolicy> {
    match policy {
        wire::CompatibilityPolicy::Unspecified => None,
        wire::CompatibilityPolicy::Strict => Some(CompatibilityPolicy::Strict),
        wire::CompatibilityPolicy::Lenient => Some(CompatibilityPolicy::Lenient),
    }
}

pub(crate) fn action_of(action: wire::SchemaAction) -> Option<Action> {
    Some(match action {
        wire::SchemaAction::Unspecified => return None,
        wire::SchemaAction::Approve => Action::Approve,
        wire::SchemaAction::Deprecate => Action::Deprecate,
        wire::SchemaAction::Retire => Action::Retire,
        wire::SchemaAction::Delete => Action::Delete,
        wire::SchemaAction::DeletePermanently => Action::DeletePermanently,
    })
}

/// An action for the wire.
#[must_use]
pub fn action_to_wire(action: Action) -> wire::SchemaAction {
    match action {
        Action::Approve => wire::SchemaAction::Approve,
        Action::Deprecate => wire::SchemaAction::Deprecate,
        Action::Retire => wire::SchemaAction::Retire,
        Action::Delete => wire::SchemaAction::Delete,
        Action::DeletePermanently => wire::SchemaAction::DeletePermanently,
    }
}

/// A version for the wire and for the log.
#[must_use]
pub fn to_wire(version: &Version) -> wire::Schema {
    let state = match version.state {
        State::Draft => wire::VersionState::Draft,
        State::Approved => wire::VersionState::Approved,
        State::Deprecated => wire::VersionState::Deprecated,
        State::Retired => wire::VersionState::Retired,
    };
    let reference = |r: &Reference| wire::SchemaReference {
        name: r.name.clone(),
        subject: r.subject.to_string(),
        version: r.version,
    };
    let metadata = (!version.metadata.is_empty()).then(|| wire::SchemaMetadata {
        properties: (version.metadata.properties.iter())
            .map(|(key, value)| wire::MetadataProperty { key: key.clone(), value: value.clone() })
            .collect(),
        tags: (version.metadata.tags.iter())
            .map(|(path, tags)| wire::MetadataTags { path: path.clone(), tags: tags.clone() })
            .collect(),
        sensitive: version.metadata.sensitive.clone(),
    });
    wire::Schema {
        name: version.subject.to_string(),
        version: version.number,
        text: version.text.to_string(),
        id: version.id.0,
        references: version.references.iter().map(reference).collect(),
        metadata,
        state: state.into(),
        author: version.author.to_string(),
        registered_time_ms: version.registered_ms,
        decided_by: version.decided.as_ref().map(|(who, _)| who.to_string()).unwrap_or_default(),
        decided_time_ms: version.decided.as_ref().map_or(0, |(_, when)| *when),
        deleted: version.deleted,
        guid: version.hash.guid(),
        content_hash: version.hash.0.to_vec(),
    }
}

/// A version as the log tells it. Events of level 1 hold neither id nor hash: both follow from the text and from the
/// order of events.
pub(crate) fn from_stored(
    stored: &wire::Schema,
    registry: &Registry,
    (author, time_ms): (&str, i64),
) -> Result<Version, String> {
    let mut problems = Problems { place: "", found: Vec::new() };
    let subject = SubjectName::parse(&stored.name).map_err(|error| error.to_string())?;
    let references = references_of(&stored.references, |_| None, &mut problems);
    let metadata = metadata_of(stored.metadata.as_ref(), &mut problems);
    if let Some(problem) = problems.found.first() {
        return Err(format!("{}: {}", problem.field, problem.message.en));
    }
    let hash = match <[u8; 32]>::try_from(stored.content_hash.as_slice()) {
        Ok(hash) => ContentHash(hash),
        Err(_) => {
            let mut parser = Parser::new(SCHEMA_LIMITS);
            let document = parser.parse(stored.text.as_bytes()).map_err(|flaw| flaw.message.en.to_string())?;
            ContentHash::of(&document, &references, &metadata)
        }
    };
    let id = match stored.id {
        0 => registry.id_of(&hash).unwrap_or(SchemaId(registry.last_id().0 + 1)),
        id => SchemaId(id),
    };
    Ok(Version {
        subject,
        number: stored.version,
        id,
        hash,
        text: stored.text.as_str().into(),
        references: references.into(),
        metadata: Arc::new(metadata),
        state: match stored.state() {
            wire::VersionState::Draft => State::Draft,
            wire::VersionState::Unspecified | wire::VersionState::Approved => State::Approved,
            wire::VersionState::Deprecated => State::Deprecated,
            wire::VersionState::Retired => State::Retired,
        },
        deleted: stored.deleted,
        author: author.into(),
        registered_ms: time_ms,
        decided: None,
    })
}

/// A version as a snapshot tells it: with all that became of it.
pub(crate) fn from_snapshot(stored: &wire::Schema, registry: &Registry) -> Result<Version, String> {
    let mut version = from_stored(stored, registry, (&stored.author, stored.registered_time_ms))?;
    let is_decided = !stored.decided_by.is_empty();
    version.decided = is_decided.then(|| (stored.decided_by.as_str().into(), stored.decided_time_ms));
    Ok(version)
}

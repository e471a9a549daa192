//! Snapshots of the control state beside the log, so that a start replays what is new and not everything there ever was.
//!
//! A snapshot is derived and disposable. One that is damaged, of another release, or of another history is passed over
//! and the log is replayed from its start; nothing is ever taken from it that the log has not said.
//!
//! The file: a line that names its form, entries (length in four bytes, big-endian, and a
//! [`SnapshotEntry`](ldop_contract::control::v1::SnapshotEntry)), a length of zero, and the SHA-256 of all before.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Write},
    path::Path,
    sync::Arc,
};

use ldop_contract::{
    FILE_DESCRIPTOR_SET,
    control::v1::{
        ChangeResult, SnapshotChangeSet, SnapshotEntry, SnapshotEvents, SnapshotHead, SnapshotSubject,
        resource_version::Resource, snapshot_entry::Entry,
    },
};
use ldop_log::Offset;
use ldop_schema_registry::registry::SchemaId;
use ldop_types::SubjectName;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{
    chain::{Hash, Head},
    file, schemas,
    state::{ControlState, Level},
};

const FORM: &[u8] = b"LDOP-CONTROL-SNAPSHOT 1\n";
/// Events told in one entry.
const EVENTS: usize = 1_000;
/// Longest entry that is believed.
const MAX_ENTRY: usize = 64 << 20;

/// What a change set changed: answers a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// As [`ChangeResult::kind`](ldop_contract::control::v1::ChangeResult::kind).
    pub(crate) kind: Box<str>,
    pub(crate) id: Box<str>,
    pub(crate) version: u32,
}

/// Change sets by change id.
pub(crate) type AppliedSets = HashMap<[u8; 16], Arc<[Applied]>>;

/// The state after an event, and what following the log from there needs.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) state: Arc<ControlState>,
    /// Offset behind the last entry read.
    pub(crate) next: Offset,
    /// Hashes of all events; the zero before the first is the first.
    pub(crate) history: Vec<Hash>,
    /// Where each event stands.
    pub(crate) offsets: Vec<Offset>,
    pub(crate) applied: AppliedSets,
}

/// Why a snapshot is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("is damaged: {0}")]
    Damaged(&'static str),
    #[error("was written by another release")]
    OtherRelease,
    #[error("does not hold together: {0}")]
    Inconsistent(String),
}

impl From<prost::DecodeError> for Unusable {
    fn from(_: prost::DecodeError) -> Self {
        Self::Damaged("an entry is no snapshot entry")
    }
}

/// Writes a snapshot in place of the one before, on disk when this returns. Tells its size in bytes.
pub(crate) fn write(path: &Path, snapshot: &Snapshot) -> io::Result<u64> {
    file::replace(path, |file| {
        let mut out = Writer { file, hash: Sha256::new() };
        out.put(FORM)?;
        write_entries(&mut out, snapshot)?;
        out.put(&0_u32.to_be_bytes())?;
        let Writer { file, hash } = out;
        file.write_all(&hash.finalize())
    })
}

struct Writer<'a> {
    file: &'a mut BufWriter<File>,
    hash: Sha256,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn entry(&mut self, entry: Entry) -> io::Result<()> {
        let bytes = SnapshotEntry { entry: Some(entry) }.encode_to_vec();
        let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("an entry over 4 GiB"))?;
        self.put(&length.to_be_bytes())?;
        self.put(&bytes)
    }
}

fn write_entries(out: &mut Writer<'_>, snapshot: &Snapshot) -> io::Result<()> {
    let state = &*snapshot.state;
    let settings = schemas::settings_to_wire("", state.registry.settings());
    out.entry(Entry::Head(SnapshotHead {
        sequence: state.head.sequence,
        hash: state.head.hash.to_vec(),
        hub_id: state.hub_id.to_vec(),
        epoch: state.epoch,
        writer: state.writer.to_vec(),
        next_offset: snapshot.next,
        last_schema_id: state.registry.last_id().0,
        settings: Some(settings),
        contract: contract(),
        level: state.level.0,
        secret_fingerprint: state.secret_fingerprint.map(Vec::from).unwrap_or_default(),
    }))?;
    for (hashes, offsets) in snapshot.history[1..].chunks(EVENTS).zip(snapshot.offsets.chunks(EVENTS)) {
        out.entry(Entry::Events(SnapshotEvents { hashes: hashes.concat(), offsets: offsets.to_vec() }))?;
    }
    for (change_id, applied) in &snapshot.applied {
        let result = |applied: &Applied| ChangeResult {
            kind: applied.kind.to_string(),
            id: applied.id.to_string(),
            version: applied.version,
            ..Default::default()
        };
        let results = applied.iter().map(result).collect();
        out.entry(Entry::ChangeSet(SnapshotChangeSet { change_id: change_id.to_vec(), results }))?;
    }
    let stored = &state.stored;
    for (id, element) in &stored.elements {
        for earlier in stored.earlier_elements.get(id).into_iter().flatten() {
            out.entry(Entry::Element(Clone::clone(earlier)))?;
        }
        out.entry(Entry::Element(Clone::clone(element)))?;
    }
    stored.code_lists.values().try_for_each(|r| out.entry(Entry::CodeList(Clone::clone(r))))?;
    stored.agencies.values().try_for_each(|r| out.entry(Entry::Agency(Clone::clone(r))))?;
    stored.systems.values().try_for_each(|r| out.entry(Entry::System(Clone::clone(r))))?;
    stored.datasets.values().try_for_each(|r| out.entry(Entry::Dataset(Clone::clone(r))))?;
    let statuses = stored.agreement_statuses.values();
    statuses.into_iter().try_for_each(|r| out.entry(Entry::AgreementStatus(Clone::clone(r))))?;
    let agreements = stored.agreements.values().chain(stored.waiting_agreements.values());
    agreements.into_iter().try_for_each(|r| out.entry(Entry::Agreement(Clone::clone(r))))?;
    state.registry.contents().try_for_each(|content| out.entry(Entry::Content(schemas::to_wire(content))))?;
    for (name, subject) in state.registry.subjects() {
        let settings = Some(schemas::settings_to_wire(name.as_str(), subject.settings()));
        out.entry(Entry::Subject(SnapshotSubject { settings, last_version: subject.last_version() }))?;
        for version in subject.versions() {
            let mut stored = schemas::to_wire(version);
            if state.registry.schema(version.id).is_some_and(|content| content.text == version.text) {
                stored.text.clear();
            }
            out.entry(Entry::Version(stored))?;
        }
    }
    Ok(())
}

fn contract() -> Vec<u8> {
    Sha256::digest(FILE_DESCRIPTOR_SET).to_vec()
}

/// Reads a snapshot; none where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Snapshot>, Unusable> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut input = Reader { file: BufReader::with_capacity(1 << 20, file), hash: Sha256::new() };
    if input.take(FORM.len())? != FORM {
        return Err(Unusable::OtherRelease);
    }
    let mut restored = Restored::default();
    loop {
        let length = input.take(4)?;
        let length = u32::from_be_bytes(length.try_into().unwrap_or_default()) as usize;
        match length {
            0 => break,
            length if length > MAX_ENTRY => return Err(Unusable::Damaged("an entry is too long")),
            length => {
                let entry = SnapshotEntry::decode(&*input.take(length)?)?;
                restored.put(entry.entry.ok_or(Unusable::OtherRelease)?)?;
            }
        }
    }
    let Reader { mut file, hash } = input;
    let mut told = [0; 32];
    file.read_exact(&mut told)?;
    if told[..] != hash.finalize()[..] {
        return Err(Unusable::Damaged("its hash differs"));
    }
    restored.finish().map(Some)
}

struct Reader {
    file: BufReader<File>,
    hash: Sha256,
}

impl Reader {
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        // A length that is a lie is found out before memory is spent on it.
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        self.file.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hash.update(&bytes);
        Ok(bytes)
    }
}

#[derive(Default)]
struct Restored {
    state: ControlState,
    next: Offset,
    history: Vec<Hash>,
    offsets: Vec<Offset>,
    applied: AppliedSets,
    last_id: SchemaId,
}

impl Restored {
    fn put(&mut self, entry: Entry) -> Result<(), Unusable> {
        match entry {
            Entry::Head(head) => self.head(&head)?,
            Entry::Events(events) => {
                let (hashes, rest) = events.hashes.as_chunks::<32>();
                if !rest.is_empty() || hashes.len() != events.offsets.len() {
                    return Err(Unusable::Damaged("events without a hash or an offset"));
                }
                self.history.extend_from_slice(hashes);
                self.offsets.extend(events.offsets);
            }
            Entry::ChangeSet(set) => {
                let applied = set.results.into_iter().map(|result| Applied {
                    kind: result.kind.into(),
                    id: result.id.into(),
                    version: result.version,
                });
                let change_id = set.change_id.as_slice().try_into().map_err(|_| Unusable::Damaged("a change id"))?;
                self.applied.insert(change_id, applied.collect());
            }
            Entry::Element(r) => self.resource(&Resource::Element(r))?,
            Entry::CodeList(r) => self.resource(&Resource::CodeList(r))?,
            Entry::Agency(r) => self.resource(&Resource::Agency(r))?,
            Entry::System(r) => self.resource(&Resource::System(r))?,
            Entry::Dataset(r) => self.resource(&Resource::Dataset(r))?,
            Entry::Agreement(r) => self.resource(&Resource::Agreement(r))?,
            Entry::AgreementStatus(r) => self.resource(&Resource::AgreementStatus(r))?,
            Entry::Content(content) => {
                let first = schemas::from_snapshot(&content, &self.state.registry);
                self.state.registry.put_content(first.map_err(Unusable::Inconsistent)?);
            }
            Entry::Subject(subject) => {
                let settings = subject.settings.unwrap_or_default();
                let name = SubjectName::parse(&settings.subject).map_err(|_| Unusable::Damaged("a subject's name"))?;
                self.state.registry.put_subject(name, subject.last_version, schemas::settings_of(&settings));
            }
            Entry::Version(mut version) => {
                if version.text.is_empty()
                    && let Some(content) = self.state.registry.schema(SchemaId(version.id))
                {
                    version.text = content.text.to_string();
                }
                let version = schemas::from_snapshot(&version, &self.state.registry);
                self.state.registry.put_version(version.map_err(Unusable::Inconsistent)?);
            }
        }
        Ok(())
    }

    fn head(&mut self, head: &SnapshotHead) -> Result<(), Unusable> {
        if head.contract != contract() {
            return Err(Unusable::OtherRelease);
        }
        let hash = |bytes: &[u8]| bytes.try_into().map_err(|_| Unusable::Damaged("a hash"));
        let id = |bytes: &[u8]| bytes.try_into().map_err(|_| Unusable::Damaged("an id"));
        self.state.head = Head { sequence: head.sequence, hash: hash(&head.hash)? };
        self.state.hub_id = id(&head.hub_id)?;
        self.state.epoch = head.epoch;
        self.state.level = Level(head.level);
        if !head.secret_fingerprint.is_empty() {
            self.state.secret_fingerprint = Some(hash(&head.secret_fingerprint)?);
        }
        self.state.writer = id(&head.writer)?;
        self.state.registry.put_settings(None, schemas::settings_of(&head.settings.clone().unwrap_or_default()));
        self.last_id = SchemaId(head.last_schema_id);
        self.next = head.next_offset;
        self.history = vec![[0; 32]];
        Ok(())
    }

    fn resource(&mut self, resource: &Resource) -> Result<(), Unusable> {
        self.state.apply_resource(resource, ("", 0)).map_err(|error| Unusable::Inconsistent(error.to_string()))
    }

    fn finish(mut self) -> Result<Snapshot, Unusable> {
        let sequence = usize::try_from(self.state.head.sequence).ok();
        let is_whole = sequence == Some(self.offsets.len())
            && self.history.last() == Some(&self.state.head.hash)
            && self.state.registry.last_id() == self.last_id;
        if !is_whole {
            return Err(Unusable::Damaged("events or ids are missing"));
        }
        self.state.settle_restored().map_err(Unusable::Inconsistent)?;
        let Self { state, next, history, offsets, applied, .. } = self;
        Ok(Snapshot { state: Arc::new(state), next, history, offsets, applied })
    }
}

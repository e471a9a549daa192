//! Subjects, versions and ids: what has been registered, and what a version may be used for.
//!
//! An immutable value: a clone shares everything, a change costs the logarithm of what is there. Changes are results of
//! the control log, put in as they stand; whether one may be made is asked before ([`Registry::plan`],
//! [`Registry::plan_step`]).
//!
//! - [`content`]: what makes two texts the same schema, and the id and GUID of it.
//! - [`references`]: a text together with the registered schemas it refers to.
//! - [`settings`]: compatibility, mode and approval, of a subject and of all.
//! - [`version`]: a version and its life.
//!
//! **An id is never given twice.** One content has one id in every subject, also after it was deleted for good and
//! registered anew; version numbers of a subject only grow.

pub mod content;
pub mod references;
pub mod settings;
pub mod version;

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use ldop_types::SubjectName;

pub use content::{ContentHash, SchemaId};
pub use references::Reference;
pub use settings::{Approval, RegistryMode, Settings, SettingsInForce};
pub use version::{Action, Metadata, State, Use, Version};

/// Everything registered.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    subjects: OrdMap<SubjectName, Arc<Subject>>,
    contents: OrdMap<ContentHash, SchemaId>,
    schemas: OrdMap<SchemaId, Arc<Version>>,
    /// Where each content stands, deleted versions included.
    places: OrdMap<SchemaId, OrdSet<(SubjectName, u32)>>,
    /// Contents that refer to a version.
    referring: OrdMap<(SubjectName, u32), OrdSet<SchemaId>>,
    settings: Settings,
    last_id: SchemaId,
}

/// The versions of one schema.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    versions: OrdMap<u32, Arc<Version>>,
    last_version: u32,
    settings: Settings,
}

/// What registering would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// The newest version holds this content already.
    Stands(u32),
    /// A new version.
    New {
        /// Its number.
        version: u32,
        /// The id of its content.
        id: SchemaId,
    },
}

/// Why a step cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// No such subject or version.
    #[error("there is no such version")]
    NotFound,
    /// The state does not allow it.
    #[error("version {version} is {state}{}", if *.deleted { " and deleted" } else { "" })]
    Unfit {
        /// Version.
        version: u32,
        /// Its state.
        state: State,
        /// Whether it is deleted softly.
        deleted: bool,
    },
    /// Who wrote a version may not approve it.
    #[error("version {version} was registered by the same person")]
    ByItsAuthor {
        /// Version.
        version: u32,
    },
    /// Others refer to it.
    #[error("version {version} is referred to by other schemas")]
    Referenced {
        /// Version.
        version: u32,
    },
}

impl Registry {
    /// Subjects by name, those with nothing but deleted versions included.
    pub fn subjects(&self) -> impl Iterator<Item = (&SubjectName, &Arc<Subject>)> {
        self.subjects.iter()
    }

    /// Number of subjects.
    #[must_use]
    pub fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    /// A subject.
    #[must_use]
    pub fn subject(&self, name: &str) -> Option<&Arc<Subject>> {
        self.subjects.get(name)
    }

    /// The first version registered with a content.
    #[must_use]
    pub fn schema(&self, id: SchemaId) -> Option<&Arc<Version>> {
        self.schemas.get(&id)
    }

    /// The first version registered with each content, by id.
    pub fn contents(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.schemas.values()
    }

    /// The id of a content.
    #[must_use]
    pub fn id_of(&self, hash: &ContentHash) -> Option<SchemaId> {
        self.contents.get(hash).copied()
    }

    /// The first version registered with the content of a GUID, as [`ContentHash::guid`] writes it.
    #[must_use]
    pub fn by_guid(&self, guid: &str) -> Option<&Arc<Version>> {
        // The bytes before the version of the UUID are those of the hash.
        let digits: String = guid.chars().filter(|c| *c != '-').take(12).collect();
        let mut from = [0; 32];
        from[..6].copy_from_slice(&u64::from_str_radix(&digits, 16).ok()?.to_be_bytes()[2..]);
        let near = self.contents.range(ContentHash(from)..).take_while(|(hash, _)| hash.0[..6] == from[..6]);
        let mut found = near.filter(|(hash, _)| hash.guid() == guid);
        found.next().and_then(|(_, id)| self.schema(*id))
    }

    /// The greatest id given so far.
    #[must_use]
    pub fn last_id(&self) -> SchemaId {
        self.last_id
    }

    /// Subjects and versions that hold a content, by subject.
    pub fn places(&self, id: SchemaId) -> impl Iterator<Item = &(SubjectName, u32)> {
        self.places.get(&id).into_iter().flatten()
    }

    /// Ids of the contents that refer to a version and still stand somewhere, ascending.
    pub fn referring_to(&self, subject: &SubjectName, version: u32) -> impl Iterator<Item = SchemaId> {
        let ids = self.referring.get(&(subject.clone(), version)).into_iter().flatten().copied();
        ids.filter(|id| self.places(*id).any(|(name, version)| self.stands(name, *version)))
    }

    fn stands(&self, subject: &SubjectName, version: u32) -> bool {
        self.subject(subject.as_str()).and_then(|s| s.version(version)).is_some_and(|v| !v.deleted)
    }

    /// Settings as set for all subjects.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Settings in force for a subject, whether it exists or not.
    #[must_use]
    pub fn settings_in_force(&self, subject: &str) -> SettingsInForce {
        let own = self.subject(subject).map(|s| s.settings.clone()).unwrap_or_default();
        own.or(&self.settings).in_force()
    }

    /// What registering a content as the newest version would do.
    #[must_use]
    pub fn plan(&self, subject: &str, hash: &ContentHash) -> Planned {
        let known = self.subject(subject);
        let newest = known.and_then(|s| s.newest(Use::Registering));
        if let Some(newest) = newest.filter(|newest| newest.hash == *hash) {
            return Planned::Stands(newest.number);
        }
        let version = known.map_or(0, |s| s.last_version) + 1;
        Planned::New { version, id: self.id_of(hash).unwrap_or(self.last_id.next()) }
    }

    /// The versions a step would move, ascending. `number` 0 means each the step fits.
    ///
    /// # Errors
    ///
    /// See [`StepError`]; for 0, [`StepError::NotFound`] when it fits none.
    pub fn plan_step(&self, subject: &str, number: u32, action: Action, actor: &str) -> Result<Vec<u32>, StepError> {
        let found = self.subject(subject).ok_or(StepError::NotFound)?;
        if number != 0 {
            let version = found.version(number).ok_or(StepError::NotFound)?;
            self.may_step(version, action, actor)?;
            return Ok(vec![number]);
        }
        let fits = |version: &&Arc<Version>| {
            version.next_state(action).is_some() && !matches!(action, Action::Approve if *version.author == *actor)
        };
        let fitting: Vec<&Arc<Version>> = found.versions.values().filter(fits).collect();
        for version in &fitting {
            self.may_step(version, action, actor)?;
        }
        let numbers: Vec<u32> = fitting.iter().map(|version| version.number).collect();
        if numbers.is_empty() { Err(StepError::NotFound) } else { Ok(numbers) }
    }

    fn may_step(&self, version: &Version, action: Action, actor: &str) -> Result<(), StepError> {
        let number = version.number;
        if version.next_state(action).is_none() {
            return Err(StepError::Unfit { version: number, state: version.state, deleted: version.deleted });
        }
        if action == Action::Approve && *version.author == *actor {
            return Err(StepError::ByItsAuthor { version: number });
        }
        let deletes = matches!(action, Action::Delete | Action::DeletePermanently);
        if deletes && self.referring_to(&version.subject, number).next().is_some() {
            return Err(StepError::Referenced { version: number });
        }
        Ok(())
    }

    /// Puts a version in as it stands.
    pub fn put_version(&mut self, mut version: Version) {
        let (name, id) = (version.subject.clone(), version.id);
        let version = match self.schemas.get(&id) {
            Some(known) if **known == version => Arc::clone(known),
            Some(known) => {
                if known.text == version.text {
                    version.text = Arc::clone(&known.text);
                }
                Arc::new(version)
            }
            None => self.put_content(version),
        };
        self.places.entry(id).or_default().insert((name.clone(), version.number));
        let subject = Arc::make_mut(self.subjects.entry(name).or_default());
        subject.last_version = subject.last_version.max(version.number);
        subject.versions.insert(version.number, version);
    }

    /// Puts a content in by the first version registered with it, whether that still stands or not.
    pub fn put_content(&mut self, first: Version) -> Arc<Version> {
        let first = Arc::new(first);
        self.last_id = self.last_id.max(first.id);
        self.contents.insert(first.hash, first.id);
        self.schemas.insert(first.id, Arc::clone(&first));
        // One content refers to the same versions wherever it stands.
        for reference in first.references.iter() {
            let place = (reference.subject.clone(), reference.version);
            self.referring.entry(place).or_default().insert(first.id);
        }
        first
    }

    /// Puts a subject in without versions; numbers up to `last_version` were given.
    pub fn put_subject(&mut self, name: SubjectName, last_version: u32, settings: Settings) {
        self.subjects.insert(name, Arc::new(Subject { versions: OrdMap::new(), last_version, settings }));
    }

    /// Moves versions; those that are not there are passed over.
    pub fn put_step(&mut self, subject: &str, numbers: &[u32], action: Action, actor: &str, time_ms: i64) {
        let Some((name, found)) = self.subjects.get_key_value(subject) else { return };
        let (name, mut found) = (name.clone(), Subject::clone(found));
        for number in numbers {
            let Some(version) = found.versions.get(number) else { continue };
            if action == Action::DeletePermanently {
                let (id, place) = (version.id, (name.clone(), *number));
                found.versions.remove(number);
                if let Some(places) = self.places.get_mut(&id) {
                    places.remove(&place);
                    if places.is_empty() {
                        self.places.remove(&id);
                    }
                }
                continue;
            }
            let mut moved = Version::clone(version);
            moved.step(action, actor, time_ms);
            found.versions.insert(*number, Arc::new(moved));
        }
        self.subjects.insert(name, Arc::new(found));
    }

    /// Sets the settings of a subject, or of all with none.
    pub fn put_settings(&mut self, subject: Option<SubjectName>, settings: Settings) {
        match subject {
            None => self.settings = settings,
            Some(name) => Arc::make_mut(self.subjects.entry(name).or_default()).settings = settings,
        }
    }
}

impl Subject {
    /// A version, deleted softly or not.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Arc<Version>> {
        self.versions.get(&number)
    }

    /// Versions by number, softly deleted ones included.
    pub fn versions(&self) -> impl DoubleEndedIterator<Item = &Arc<Version>> {
        self.versions.values()
    }

    /// The newest version fit for a use.
    #[must_use]
    pub fn newest(&self, purpose: Use) -> Option<&Arc<Version>> {
        self.versions.values().rev().find(|version| version.is_fit(purpose))
    }

    /// The newest version of a content; softly deleted ones only if asked for.
    #[must_use]
    pub fn of_content(&self, hash: &ContentHash, with_deleted: bool) -> Option<&Arc<Version>> {
        self.versions.values().rev().find(|version| version.hash == *hash && (with_deleted || !version.deleted))
    }

    /// The greatest version number given, whether that version still stands or not.
    #[must_use]
    pub fn last_version(&self) -> u32 {
        self.last_version
    }

    /// Its own settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

#[cfg(test)]
mod tests;

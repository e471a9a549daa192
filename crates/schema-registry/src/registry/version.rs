//! A version and its life.

use std::{collections::BTreeMap, fmt, sync::Arc};

use ldop_types::SubjectName;

use super::{ContentHash, Reference, SchemaId};

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Waits for approval.
    Draft,
    /// In use.
    Approved,
    /// In use; a newer one should be used.
    Deprecated,
    /// Out of use.
    Retired,
}

impl State {
    /// The word in reports, UPPER_SNAKE_CASE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Approved => "APPROVED",
            Self::Deprecated => "DEPRECATED",
            Self::Retired => "RETIRED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a version is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Checking records in testing.
    Testing,
    /// Checking live records.
    Live,
    /// Being the version a new one is compared with and numbered after.
    Registering,
}

/// A step in the life of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Draft to approved, by someone other than its author.
    Approve,
    /// Approved to deprecated.
    Deprecate,
    /// Any state to retired.
    Retire,
    /// Deletes softly.
    Delete,
    /// Takes a softly deleted version away.
    DeletePermanently,
}

impl Action {
    /// The word in reports, UPPER_SNAKE_CASE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "APPROVE",
            Self::Deprecate => "DEPRECATE",
            Self::Retire => "RETIRE",
            Self::Delete => "DELETE",
            Self::DeletePermanently => "DELETE_PERMANENTLY",
        }
    }
}

/// What the owner of a schema says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Free properties.
    pub properties: BTreeMap<String, String>,
    /// Tags of places, by path.
    pub tags: BTreeMap<String, Vec<String>>,
    /// Keys of properties that are secret.
    pub sensitive: Vec<String>,
}

impl Metadata {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty() && self.tags.is_empty() && self.sensitive.is_empty()
    }
}

/// A registered version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its subject.
    pub subject: SubjectName,
    /// Its number within the subject, from 1.
    pub number: u32,
    /// The id of its content.
    pub id: SchemaId,
    /// The hash of its content.
    pub hash: ContentHash,
    /// The text as it was written.
    pub text: Arc<str>,
    /// What it refers to.
    pub references: Arc<[Reference]>,
    /// What its owner says of it.
    pub metadata: Arc<Metadata>,
    /// Where it stands.
    pub state: State,
    /// Deleted softly.
    pub deleted: bool,
    /// Who registered it.
    pub author: Arc<str>,
    /// When, milliseconds since 1970-01-01 UTC.
    pub registered_ms: i64,
    /// Who moved it into its state, and when; none: its author, on registering.
    pub decided: Option<(Arc<str>, i64)>,
}

impl Version {
    /// Whether it is fit for a use.
    #[must_use]
    pub fn is_fit(&self, purpose: Use) -> bool {
        let fit = match purpose {
            Use::Testing | Use::Registering => self.state != State::Retired,
            Use::Live => matches!(self.state, State::Approved | State::Deprecated),
        };
        fit && !self.deleted
    }

    /// The state a step leads to; none where it does not fit.
    #[must_use]
    pub fn next_state(&self, action: Action) -> Option<State> {
        match (action, self.state, self.deleted) {
            (Action::Approve, State::Draft, false) => Some(State::Approved),
            (Action::Deprecate, State::Approved, false) => Some(State::Deprecated),
            (Action::Retire, State::Draft | State::Approved | State::Deprecated, false) => Some(State::Retired),
            (Action::Delete, state, false) | (Action::DeletePermanently, state, true) => Some(state),
            _ => None,
        }
    }

    pub(super) fn step(&mut self, action: Action, actor: &str, time_ms: i64) {
        match action {
            Action::Approve => self.state = State::Approved,
            Action::Deprecate => self.state = State::Deprecated,
            Action::Retire => self.state = State::Retired,
            Action::Delete => self.deleted = true,
            Action::DeletePermanently => {}
        }
        self.decided = Some((actor.into(), time_ms));
    }
}

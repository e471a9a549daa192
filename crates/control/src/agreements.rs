//! The life of sharing agreements: who has to agree, which steps there are, and what they come to.

/// Whether agreements are in force once registered, or when their parties have approved them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approvals {
    /// Provider, consumer and, for personal data, a data steward approve before anything is granted.
    #[default]
    Required,
    /// What is registered is in force. For development, demonstrations and tests.
    NotRequired,
}

impl Approvals {
    /// Whether they are.
    #[must_use]
    pub fn are_required(self) -> bool {
        self == Self::Required
    }
}

/// What a hub asks of agreements: settings, consulted when a change is checked and never when it is replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Who has to agree.
    pub approvals: Approvals,
}

impl Rules {
    /// Those of a hub for development, demonstrations and tests: what is registered is in force.
    #[must_use]
    pub fn without_approvals() -> Self {
        Self { approvals: Approvals::NotRequired }
    }
}

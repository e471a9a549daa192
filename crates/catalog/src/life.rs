//! The life of sharing agreements: where a version stands, and who has to agree to it.

use ldop_types::Stage;

/// Where a version of an agreement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Registered; approvals are missing.
    Draft,
    /// Every approval that is needed stands.
    FieldsAgreed,
    /// Tried out, in the stage testing.
    Testing,
    /// In force.
    Live,
    /// Grants nothing until it is resumed.
    Suspended,
    /// Grants nothing any more.
    Ended,
    /// A party did not agree.
    Refused,
}

impl State {
    /// All states.
    pub const ALL: [Self; 7] =
        [Self::Draft, Self::FieldsAgreed, Self::Testing, Self::Live, Self::Suspended, Self::Ended, Self::Refused];

    /// Its word, as in metrics and lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::FieldsAgreed => "fields_agreed",
            Self::Testing => "testing",
            Self::Live => "live",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::Refused => "refused",
        }
    }

    /// Parses what [`as_str`](Self::as_str) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether an agreement of a stage grants anything in this state. One that is tried out grants test data only.
    #[must_use]
    pub fn grants(self, stage: Stage) -> bool {
        match self {
            Self::Live => true,
            Self::Testing => stage == Stage::Testing,
            Self::Draft | Self::FieldsAgreed | Self::Suspended | Self::Ended | Self::Refused => false,
        }
    }

    /// Whether a version in this state waits for something before it grants anything.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::FieldsAgreed | Self::Testing)
    }
}

/// Who has to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Party {
    /// The agency that provides.
    Provider,
    /// The agency of the system that consumes.
    Consumer,
    /// A data steward, where a granted field is personal.
    Steward,
}

impl Party {
    /// All parties.
    pub const ALL: [Self; 3] = [Self::Provider, Self::Consumer, Self::Steward];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Consumer => "consumer",
            Self::Steward => "steward",
        }
    }

    /// Parses what [`as_str`](Self::as_str) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|party| party.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_out_grants_test_data_only() {
        let granting = |stage| State::ALL.into_iter().filter(|state| state.grants(stage)).collect::<Vec<_>>();
        assert_eq!(granting(Stage::Live), [State::Live]);
        assert_eq!(granting(Stage::Testing), [State::Testing, State::Live]);
        assert!(State::ALL.into_iter().all(|state| State::parse(state.as_str()) == Some(state)));
        assert!(Party::ALL.into_iter().all(|party| Party::parse(party.as_str()) == Some(party)));
    }
}

//! The hash chain of the control log.

use bytes::Bytes;
use ldop_contract::{
    catalog::v1::WireFormat,
    control::v1::{ControlEvent, ResourceVersion, control_event::Kind, resource_version::Resource},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// The highest event level this release understands. Level 2 added ids, states and settings of schemas, level 3 the wire
/// format of datasets, level 4 their current copies, and masks, conditions and modes of agreements, level 5
/// revoked certificates and the life of agreements, level 6 quotas and purposes of agreements, and datasets that are encrypted.
pub const LEVEL: u32 = 6;
/// The level of events that hold nothing newer; every log stands at it, and above only once it is raised.
pub const BASE_LEVEL: u32 = 2;

/// The lowest level that understands an event. Only events that hold what is new ask for more, so that a release before
/// this one goes on with a log in which it is not used.
#[must_use]
pub fn level_of(kind: &Kind) -> u32 {
    match kind {
        Kind::ChangeSetApplied(applied) => level_of_resources(&applied.resources),
        Kind::LevelRaised(raised) => raised.level,
        Kind::Genesis(_) | Kind::EpochTaken(_) => BASE_LEVEL,
    }
}

/// The lowest level that understands these resources.
#[must_use]
pub fn level_of_resources(resources: &[ResourceVersion]) -> u32 {
    let level = |changed: &ResourceVersion| match &changed.resource {
        // Whoever does not know of it would grant what is not approved, or is suspended.
        Some(Resource::AgreementStatus(_)) => 5,
        // Whoever does not know of it would write keys in the clear, beside those that are hashed.
        Some(Resource::Dataset(dataset)) if dataset.hashed_keys => 6,
        // Whoever does not know of it would lose it with the first snapshot, and know nothing of values as of a time.
        Some(Resource::Dataset(dataset)) if dataset.current_copy.as_ref().is_some_and(|copy| copy.history) => 6,
        // Whoever does not know of it would lose it with the first snapshot, and answer no look-ups.
        Some(Resource::Dataset(dataset)) if dataset.current_copy.is_some() || !dataset.look_up_sources.is_empty() => 4,
        // Whoever does not know of it would write records without the frame, and take those with it for altered.
        Some(Resource::Dataset(dataset)) if dataset.wire_format() != WireFormat::Unspecified => 3,
        // Whoever does not know of them would give more than is granted.
        Some(Resource::Agreement(agreement)) if agreement.quotas.is_some() => 6,
        // Whoever does not know of these would lose them with the first snapshot, and could not tell why data is shared.
        Some(Resource::Agreement(agreement)) if !agreement.purpose.is_empty() || !agreement.legal_bases.is_empty() => 6,
        // Whoever does not know of these would show what is to be hidden.
        Some(Resource::Agreement(agreement))
            if !agreement.masks.is_empty()
                || !agreement.row_condition.is_empty()
                || !agreement.modes.is_empty()
                || agreement.officer_required
                || agreement.case_number_required =>
        {
            4
        }
        // Whoever does not know of them would let them in.
        Some(Resource::System(system)) if !system.revoked_certificates.is_empty() => 5,
        _ => BASE_LEVEL,
    };
    resources.iter().map(level).max().unwrap_or(BASE_LEVEL)
}

/// SHA-256 of an event, chained to the one before.
pub type Hash = [u8; 32];

/// Where the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// Events applied.
    pub sequence: u64,
    /// Hash of the last; zero before the first.
    pub hash: Hash,
}

/// Hash of an event as stored.
#[must_use]
pub fn hash(previous: &Hash, stored: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(stored);
    hash.finalize().into()
}

/// What to do with an entry of the control log.
#[derive(Debug)]
pub enum Link {
    /// It counts: apply it and move the head there.
    Next(Box<ControlEvent>, Head),
    /// Its writer lost a race: every reader passes it over.
    Void,
}

/// Why the chain cannot be followed. The node stops applying and refuses changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Bytes that are no event.
    #[error("entry behind event {after} is not a control event")]
    Unreadable {
        /// Last event applied.
        after: u64,
    },
    /// An event this release does not know.
    #[error("event {sequence} needs level {level}, this release knows {LEVEL}: upgrade this node")]
    NewerLevel {
        /// Its sequence.
        sequence: u64,
        /// Level it needs.
        level: u32,
    },
    /// The event is based on another history.
    #[error("event {found} does not follow event {after}: the log was altered, truncated or restored short")]
    NotChained {
        /// Last event applied.
        after: u64,
        /// Sequence found.
        found: u64,
    },
}

/// Decides about the next entry. `history[n]` is the hash of event `n`, `history[0]` is zero.
///
/// # Errors
///
/// [`Break`]: the chain ends here for this node.
pub fn follow(history: &[Hash], stored: &Bytes) -> Result<Link, Break> {
    let after = history.len() as u64 - 1;
    let event = ControlEvent::decode(stored.clone()).map_err(|_| Break::Unreadable { after })?;
    if event.minimum_level > LEVEL {
        return Err(Break::NewerLevel { sequence: event.sequence, level: event.minimum_level });
    }
    let broken = Break::NotChained { after, found: event.sequence };
    let previous = event.sequence.checked_sub(1).and_then(|n| history.get(usize::try_from(n).ok()?));
    match previous {
        Some(previous) if previous[..] == event.previous_hash[..] => {
            if event.sequence == after + 1 {
                let head = Head { sequence: event.sequence, hash: hash(previous, stored) };
                Ok(Link::Next(Box::new(event), head))
            } else {
                Ok(Link::Void)
            }
        }
        _ => Err(broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64, previous: &Hash, time_ms: i64) -> Bytes {
        let event = ControlEvent {
            sequence,
            previous_hash: previous.to_vec(),
            minimum_level: 1,
            time_ms,
            ..Default::default()
        };
        Bytes::from(event.encode_to_vec())
    }

    #[test]
    fn of_two_events_based_on_the_same_one_the_first_counts() {
        let mut history = vec![[0; 32]];
        let first = event(1, &[0; 32], 1);
        let Ok(Link::Next(_, head)) = follow(&history, &first) else { panic!("first counts") };
        history.push(head.hash);
        let rival = event(1, &[0; 32], 2);
        assert!(matches!(follow(&history, &rival), Ok(Link::Void)));
        let second = event(2, &head.hash, 3);
        assert!(matches!(follow(&history, &second), Ok(Link::Next(..))));
    }

    #[test]
    fn a_cut_or_altered_chain_stops_the_node() {
        let history = vec![[0; 32], [1; 32]];
        assert_eq!(
            follow(&history, &event(3, &[1; 32], 0)).map(|_| ()),
            Err(Break::NotChained { after: 1, found: 3 }),
            "an event is missing"
        );
        assert_eq!(
            follow(&history, &event(2, &[9; 32], 0)).map(|_| ()),
            Err(Break::NotChained { after: 1, found: 2 }),
            "another history"
        );
        assert_eq!(follow(&history, &Bytes::from_static(b"\xff\xff")).map(|_| ()), Err(Break::Unreadable { after: 1 }));
        let newer =
            ControlEvent { sequence: 2, previous_hash: vec![1; 32], minimum_level: LEVEL + 1, ..Default::default() };
        assert_eq!(
            follow(&history, &Bytes::from(newer.encode_to_vec())).map(|_| ()),
            Err(Break::NewerLevel { sequence: 2, level: LEVEL + 1 })
        );
    }
}

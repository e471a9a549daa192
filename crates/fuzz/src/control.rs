//! The control log's events, and change sets as operators send them.

use bytes::Bytes;
use ldop_contract::control::v1::{ApplyChangeSetRequest, Change, ControlEvent, Genesis, control_event::Kind};
use ldop_control::chain::{self, Link};
use prost::Message as _;

use crate::world::world;

pub(crate) fn chain(data: &[u8]) {
    let history = [[0; 32], [1; 32], [2; 32]];
    match chain::follow(&history, &Bytes::copy_from_slice(data)) {
        Ok(Link::Next(event, head)) => {
            assert_eq!((event.sequence, head.sequence), (3, 3), "only the next event counts");
            assert_eq!(event.previous_hash, history[2], "and only on top of the last one");
        }
        Ok(Link::Void) => {
            let event = ControlEvent::decode(data).expect("a void event is an event");
            assert!((1..3).contains(&event.sequence), "only what lost a race is void");
        }
        Err(broken) => assert!(!broken.to_string().is_empty()),
    }
}

pub(crate) fn chain_seeds() -> Vec<Vec<u8>> {
    let event = |sequence: u64, previous: u8| ControlEvent {
        sequence,
        previous_hash: vec![previous; 32],
        minimum_level: 1,
        writer: vec![3; 16],
        time_ms: 1_780_000_000_000,
        kind: Some(Kind::Genesis(Genesis { hub_id: vec![5; 16] })),
        signature: Vec::new(),
    };
    [(1, 0), (2, 1), (3, 2), (4, 3)].map(|(sequence, previous)| event(sequence, previous).encode_to_vec()).to_vec()
}

/// Checks a change set against the sample state without applying it.
pub(crate) fn change_set(data: &[u8]) {
    let Ok(mut request) = ApplyChangeSetRequest::decode(data) else { return };
    request.validate_only = true;
    // Not the change set the world was made from: that one would be answered from memory.
    request.change_id = vec![2; 16];
    let world = world();
    let before = world.control.state().head;
    match world.runtime.block_on(world.control.apply("operator so-khcn/fuzz", request)) {
        Ok(response) => assert!(!response.results.is_empty()),
        Err(refused) => {
            for problem in refused.problems {
                assert!(!problem.message.en.is_empty() && !problem.message.vi.is_empty());
            }
        }
    }
    assert_eq!(world.control.state().head, before, "validating changes nothing");
}

pub(crate) fn change_set_seeds() -> Vec<Vec<u8>> {
    let request = |changes: &[Change]| {
        ApplyChangeSetRequest { change_id: vec![2; 16], changes: changes.to_vec(), ..Default::default() }
            .encode_to_vec()
    };
    // Small ones, a few of each kind; long code lists would only slow the mutations down.
    world()
        .changes
        .iter()
        .filter(|change| change.encoded_len() < 4_000)
        .step_by(5)
        .map(|c| request(std::slice::from_ref(c)))
        .collect()
}

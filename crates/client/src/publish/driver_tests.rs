use bytes::Bytes;
use ldop_contract::exchange::v1::Refusal;
use ldop_types::ExchangeId;

use super::*;
use crate::publish::{NewRecord, batch::OpenBatch};

/// A window with batches of the given sizes, all sent; and the exchange ids by ordinal.
fn sent(sizes: &[usize]) -> (Window, Vec<ExchangeId>) {
    let mut open = OpenBatch::new(1_000, 1 << 20);
    let mut window = Window::default();
    let mut ids = Vec::new();
    for size in sizes {
        for _ in 0..*size {
            let record = NewRecord::new(b"{}");
            ids.push(record.exchange_id);
            open.push(&record).expect("room");
        }
        window.push(open.take());
    }
    for _ in sizes {
        window.send_next();
    }
    (window, ids)
}

fn accepted(sequence: u64, id: ExchangeId) -> PublishResult {
    let receipt = Receipt { exchange_id: Bytes::copy_from_slice(id.as_bytes()), ..Receipt::default() };
    PublishResult { sequence, outcome: Some(publish_result::Outcome::Receipt(receipt)) }
}

fn refused(sequence: u64) -> PublishResult {
    PublishResult { sequence, outcome: Some(publish_result::Outcome::Refusal(Refusal::default())) }
}

fn ordinals(outcomes: &[Outcome]) -> Vec<u64> {
    outcomes.iter().map(|outcome| outcome.ordinal).collect()
}

#[test]
fn results_in_any_order_find_their_records() {
    let (mut window, ids) = sent(&[2, 3, 1]);
    let results = [4, 0, 5, 3].map(|n| accepted(n, ids[n as usize])).to_vec();
    let outcomes = window.settle(results, Instant::now()).expect("good results");
    assert_eq!(ordinals(&outcomes), [4, 0, 5, 3]);
    assert!(outcomes.iter().all(|o| o.exchange_id == ids[o.ordinal as usize]));
    // The last batch is settled and gone, the others wait for one record each.
    assert_eq!((window.batches.len(), window.records, window.next), (2, 5, 2));
    let outcomes = window.settle(vec![refused(2), refused(1)], Instant::now()).expect("good results");
    assert_eq!(ordinals(&outcomes), [2, 1]);
    assert_eq!((window.batches.len(), window.records, window.bytes, window.next), (0, 0, 0, 0));
    assert!(window.waiting_since.is_none());
}

#[test]
fn after_a_lost_stream_only_what_is_due_is_sent_again_in_order() {
    let (mut window, ids) = sent(&[3, 2]);
    window.settle(vec![accepted(1, ids[1]), accepted(4, ids[4])], Instant::now()).expect("good results");
    window.rewind();
    assert_eq!((window.records, window.next, window.sequence), (3, 0, 0));
    let firsts: Vec<u64> = (0..2)
        .map(|_| match window.send_next() {
            Frame::Batch { first_sequence, .. } => first_sequence,
            Frame::Open(_) => panic!("not opened here"),
        })
        .collect();
    assert_eq!(firsts, [0, 2], "sequences are dense on the new stream");
    let results = vec![accepted(0, ids[0]), accepted(1, ids[2]), accepted(2, ids[3])];
    let outcomes = window.settle(results, Instant::now()).expect("good results");
    assert_eq!(ordinals(&outcomes), [0, 2, 3]);
    assert_eq!(window.records, 0);
}

#[test]
fn results_that_cannot_be_are_an_error() {
    let (mut window, ids) = sent(&[2]);
    assert!(window.settle(vec![refused(2)], Instant::now()).is_err(), "never sent");
    assert!(window.settle(vec![accepted(0, ids[1])], Instant::now()).is_err(), "another record's receipt");
    let (mut window, _) = sent(&[2]);
    assert!(window.settle(vec![refused(0), refused(0)], Instant::now()).is_err(), "twice");
    let mut open = OpenBatch::new(10, 1_000);
    open.push(&NewRecord::new(b"{}"));
    let mut window = Window::default();
    window.push(open.take());
    assert!(window.settle(vec![refused(0)], Instant::now()).is_err(), "not sent yet");
}

#[test]
fn the_window_has_room_by_records_and_bytes_and_always_for_one() {
    let config = PublisherConfig { in_flight: 4, in_flight_bytes: 1_000, ..PublisherConfig::default() };
    assert!(sent(&[3]).0.has_room(&config));
    assert!(!sent(&[2, 2]).0.has_room(&config));
    let config = PublisherConfig { in_flight_bytes: 0, ..config };
    assert!(Window::default().has_room(&config));
    assert!(!sent(&[1]).0.has_room(&config));
}

use super::*;

fn key(n: u32) -> Key {
    let mut random = [0; 10];
    random[6..].copy_from_slice(&n.to_be_bytes());
    Key { id: ExchangeId::from_parts(TimestampMs(1_700_000_000_000 + i64::from(n / 100)), random), scope: Scope(7) }
}

fn place(n: u32) -> Place {
    Place { accepted: true, partition: n % 4, offset: u64::from(n) }
}

fn partition() -> Partition {
    Partition { topic: ldop_log::TopicName::parse("t").expect("name"), index: 3 }
}

#[test]
fn sealed_ids_are_found_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(1 << 40)).expect("open");
    for n in 0..5_000 {
        assert!(matches!(index.reserve(key(n)), Reserved::New));
        index.settle(key(n), place(n));
        if n % 2_000 == 0 {
            index.advance(&partition(), Position { next: u64::from(n) + 1, epoch: Some(9) });
            index.seal(TimestampMs::now()).expect("seal");
        }
    }
    assert_eq!(index.find(&key(4_999)), Some(place(4_999)));
    drop(index);
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(1 << 40)).expect("open");
    assert_eq!(index.position(&partition()), Some(Position { next: 4_001, epoch: Some(9) }));
    for n in 0..=4_000 {
        assert_eq!(index.find(&key(n)), Some(place(n)));
        assert!(matches!(index.reserve(key(n)), Reserved::Taken(p) if p == place(n)));
    }
    assert_eq!(index.find(&key(4_500)), None, "not sealed, so read from the log again");
}

#[test]
fn a_damaged_or_foreign_file_is_not_believed() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(1 << 40)).expect("open");
    index.settle(key(1), place(1));
    index.advance(&partition(), Position { next: 2, epoch: None });
    index.seal(TimestampMs::now()).expect("seal");
    drop(index);
    let other = Index::open(dir.path().into(), [2; 16], Duration::from_secs(1 << 40)).expect("open");
    assert_eq!((other.find(&key(1)), other.position(&partition())), (None, None));
    other.settle(key(1), place(1));
    other.seal(TimestampMs::now()).expect("seal");
    drop(other);
    let file = std::fs::read_dir(dir.path()).expect("list").next().expect("one").expect("entry").path();
    let mut bytes = std::fs::read(&file).expect("read");
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).expect("write");
    let index = Index::open(dir.path().into(), [2; 16], Duration::from_secs(1 << 40)).expect("open");
    assert_eq!(index.find(&key(1)), None);
    assert!(!file.exists());
}

#[test]
fn files_older_than_the_window_go() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(60)).expect("open");
    for n in [1, 1_000_000, 1_000_001] {
        index.settle(key(n), place(n));
        index.seal(TimestampMs(1_700_000_000_000 + 100_000)).expect("seal");
    }
    assert_eq!(index.find(&key(1)), None, "100 s old, window 60 s");
    assert!(index.find(&key(1_000_001)).is_some(), "the newest stays");
}

#[tokio::test]
async fn a_second_caller_waits_for_the_first_ones_outcome() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(60)).expect("open");
    assert!(matches!(index.reserve(key(1)), Reserved::New));
    let Reserved::Pending(outcome) = index.reserve(key(1)) else { panic!("reserved twice") };
    let Reserved::Pending(late) = index.reserve(key(1)) else { panic!("reserved twice") };
    index.release(&key(1), Reason::LogUnavailable);
    assert_eq!(outcome.await.expect("told"), Err(Reason::LogUnavailable));
    assert_eq!(late.await.expect("told"), Err(Reason::LogUnavailable));
    assert!(matches!(index.reserve(key(1)), Reserved::New), "free again");
    let Reserved::Pending(outcome) = index.reserve(key(1)) else { panic!("reserved twice") };
    index.settle(key(1), place(1));
    assert_eq!(outcome.await.expect("told"), Ok(place(1)));
}

#[test]
fn a_refusal_never_hides_an_acceptance_and_may_be_followed_by_one() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(1 << 40)).expect("open");
    let refused = Place { accepted: false, partition: 0, offset: 9 };
    index.settle(key(1), refused);
    assert_eq!(index.find(&key(1)), Some(refused));
    assert!(matches!(index.reserve(key(1)), Reserved::New), "may be corrected");
    index.settle(key(1), place(1));
    index.settle(key(1), refused);
    assert_eq!(index.find(&key(1)), Some(place(1)));
    index.seal(TimestampMs::now()).expect("seal");
    assert!(matches!(index.reserve(key(1)), Reserved::Taken(_)));
}

#[test]
fn sealing_leaves_reservations_and_asks_files_about_old_ids_only_when_it_must() {
    let dir = tempfile::tempdir().expect("folder");
    let index = Index::open(dir.path().into(), [1; 16], Duration::from_secs(1 << 40)).expect("open");
    for n in 0..1_000 {
        assert!(matches!(index.reserve(key(n)), Reserved::New));
        if n % 3 == 0 {
            index.settle(key(n), place(n));
        }
    }
    index.seal(TimestampMs::now()).expect("seal");
    assert_eq!(index.in_memory(), 0);
    for n in 0..1_000 {
        match index.reserve(key(n)) {
            Reserved::Taken(found) => assert_eq!((found, n % 3), (place(n), 0)),
            Reserved::Pending(_) => assert_ne!(n % 3, 0, "settled, not reserved"),
            Reserved::New => panic!("{n} is forgotten"),
        }
    }
    assert!(matches!(index.reserve(key(500_000)), Reserved::New), "younger than all that is sealed");
}

use ldop_contract::control::v1::LookUpOutcome as Outcome;

use super::*;

const SMALL: usize = 4 << 10;

fn config(dir: &std::path::Path) -> Config {
    Config { segment_bytes: SMALL, max_bytes: 3 * SMALL, ..Config::new(dir.to_owned(), Arc::default()) }
}

fn ask(journal: &Journal) -> (ExchangeId, Asking) {
    let id = ExchangeId::new();
    let asked = LookUpAsked {
        exchange_id: id.as_bytes().to_vec(),
        system: "bhxh-tinh/tiep-nhan".into(),
        key_hashes: vec![vec![7; 32]],
        ..Default::default()
    };
    (id, journal.ask(id, TimestampMs(1), asked))
}

/// What is to be shipped: the id, and the outcome unless it is an asking.
fn told(journal: &Journal) -> Vec<(Vec<u8>, Option<Outcome>)> {
    let tell = |event: Unshipped| match ExchangeEvent::decode(event.event).expect("an event").kind {
        Some(EventKind::LookUpAsked(asked)) => (asked.exchange_id, None),
        Some(EventKind::LookUpAnswered(answered)) => (answered.exchange_id.clone(), Some(answered.outcome())),
        other => panic!("{other:?}"),
    };
    journal.unshipped(usize::MAX).into_iter().map(tell).collect()
}

fn ship(journal: &Journal) {
    journal.settle();
    if let Some(last) = journal.unshipped(usize::MAX).last() {
        journal.shipped(last.sequence);
    }
    journal.settle();
}

fn files(dir: &std::path::Path) -> usize {
    segment::list(dir).expect("folder").len()
}

#[tokio::test]
async fn an_asking_without_outcome_counts_as_disclosed_after_a_crash_until_the_log_has_it() {
    let dir = tempfile::tempdir().expect("folder");
    let journal = Journal::open(config(dir.path())).expect("opened");
    let (done, mut first) = ask(&journal);
    first.durable().await.expect("written");
    first.close(|outcome| outcome.set_outcome(Outcome::Answered));
    let (cut, mut second) = ask(&journal);
    second.durable().await.expect("written");
    journal.settle();
    // As a kill leaves it: nothing of what is in memory is told any more.
    let left: Vec<_> = segment::list(dir.path()).expect("folder");
    let bytes = fs::read(&left[0].1).expect("file");
    let after = tempfile::tempdir().expect("folder");
    fs::write(after.path().join("000000000001.ldj"), &bytes).expect("file");

    for _ in 0..2 {
        // Each start tells it until the log has acknowledged it.
        let journal = Journal::open(config(after.path())).expect("opened");
        let (done, cut) = (done.as_bytes().to_vec(), cut.as_bytes().to_vec());
        let expected =
            [(done.clone(), None), (done, Some(Outcome::Answered)), (cut.clone(), None), (cut, Some(Outcome::Unknown))];
        assert_eq!(told(&journal), expected);
        journal.close();
    }
    let journal = Journal::open(config(after.path())).expect("opened");
    ship(&journal);
    journal.close();
    assert_eq!(files(after.path()), 0);
    assert_eq!(told(&Journal::open(config(after.path())).expect("opened")), []);
}

#[tokio::test]
async fn an_asking_on_the_log_stays_in_its_file_until_its_outcome_is_there_too() {
    let dir = tempfile::tempdir().expect("folder");
    let journal = Journal::open(config(dir.path())).expect("opened");
    let (id, mut asking) = ask(&journal);
    asking.durable().await.expect("written");
    ship(&journal);
    let path = segment::list(dir.path()).expect("folder").remove(0).1;
    let bytes = fs::read(path).expect("file");
    let after = tempfile::tempdir().expect("folder");
    fs::write(after.path().join("000000000001.ldj"), bytes).expect("file");
    let again = Journal::open(config(after.path())).expect("opened");
    assert_eq!(told(&again), [(id.as_bytes().to_vec(), Some(Outcome::Unknown))], "the asking is on the log already");
    drop(asking);
    ship(&journal);
    journal.close();
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn a_torn_tail_loses_only_what_nobody_was_told_is_durable() {
    let dir = tempfile::tempdir().expect("folder");
    let journal = Journal::open(config(dir.path())).expect("opened");
    let mut ids = Vec::new();
    let mut askings = Vec::new();
    for _ in 0..5 {
        let (id, mut asking) = ask(&journal);
        asking.durable().await.expect("written");
        ids.push(id.as_bytes().to_vec());
        askings.push(asking);
    }
    let path = segment::list(dir.path()).expect("folder").remove(0).1;
    let mut bytes = fs::read(path).expect("file");
    let (records, _) = segment::read(&bytes);
    let end = 8 + records.iter().map(|record| segment::size_of(record.body.len())).sum::<usize>();
    // A sixth was on its way, and its first half had arrived.
    let mut sixth = Vec::new();
    segment::encode(6, Kind::Asked, &[9; 100], &mut sixth);
    bytes[end..end + 50].copy_from_slice(&sixth[..50]);
    let after = tempfile::tempdir().expect("folder");
    fs::write(after.path().join("000000000001.ldj"), bytes).expect("file");
    let again = Journal::open(config(after.path())).expect("opened");
    let asked: Vec<_> = told(&again).into_iter().filter(|(_, outcome)| outcome.is_none()).map(|(id, _)| id).collect();
    assert_eq!(asked, ids);
}

#[tokio::test]
async fn a_full_journal_refuses_askings_until_the_log_has_taken_what_is_there() {
    let dir = tempfile::tempdir().expect("folder");
    let journal = Journal::open(config(dir.path())).expect("opened");
    let mut open = Vec::new();
    let refused = loop {
        let (_, mut asking) = ask(&journal);
        match asking.durable().await {
            Ok(()) => open.push(asking),
            Err(refused) => break refused,
        }
        assert!(open.len() < 1_000, "it never gets full");
    };
    assert_eq!(refused, NotWritten);
    assert!(!journal.takes());
    assert!(files(dir.path()) <= 3);
    // Outcomes find their way without room on the disk.
    let count = open.len();
    open.drain(..).for_each(|asking| asking.close(|outcome| outcome.set_outcome(Outcome::Answered)));
    journal.settle();
    assert_eq!(told(&journal).len(), 2 * count);
    ship(&journal);
    assert!(journal.takes());
    let (_, mut asking) = ask(&journal);
    asking.durable().await.expect("there is room again");
    drop(asking);
    ship(&journal);
    journal.close();
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_refuses_askings_and_tells_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let inner = dir.path().join("look-ups");
    let journal = Journal::open(config(&inner)).expect("opened");
    fs::remove_dir(&inner).expect("removed");
    let (_, mut asking) = ask(&journal);
    assert_eq!(asking.durable().await, Err(NotWritten));
    drop(asking);
    journal.settle();
    assert_eq!(told(&journal), []);
}

//! Changes since a position, and exports: bounded, resumable, accounted for, and ended with the agreement.

use std::collections::BTreeMap;

use ldop_contract::{
    catalog::v1::{LookUpSource, Mode},
    control::v1::{TransferBegun, TransferEnded, TransferOutcome},
};
use ldop_exchange::{
    subscribe::Start,
    transfer::{
        Opened,
        changes::{Change, Changes, ReadChanges},
        export::{Export, Exported, Exporting, Source},
    },
};
use ldop_types::TimestampMs;
use sha2::{Digest as _, Sha256};

use super::{faults::changed, *};

/// More than one batch holds.
const MANY: u64 = 700;

async fn granting(dir: &Path) -> World {
    let world = world(dir).await;
    let modes = [Mode::LookUp, Mode::Changes, Mode::Export];
    world.change_agreement(|agreement| agreement.modes = modes.map(Into::into).to_vec()).await;
    world.change_dataset(|dataset| dataset.retention_seconds = 0).await;
    world
}

fn agreement() -> AgreementId {
    AgreementId::parse(AGREEMENT).expect("id")
}

impl World {
    async fn changes(&self, start: Start, most_records: Option<u64>) -> Result<Changes, Reason> {
        let request = ReadChanges { agreement: agreement(), start, most_records };
        Changes::open(Arc::clone(&self.exchange), system(CONSUMER), request).await
    }

    async fn export(&self, token: &[u8]) -> Result<Exporting, Reason> {
        Exporting::open(Arc::clone(&self.exchange), system(CONSUMER), &agreement(), token).await
    }
}

async fn next(changes: &mut Changes) -> Result<Change, Reason> {
    tokio::time::timeout(SOON, changes.next()).await.expect("in time")
}

async fn more(export: &mut Exporting) -> Result<Export, Reason> {
    tokio::time::timeout(SOON, export.next()).await.expect("in time")
}

type At = (u32, u64);
type End = (Vec<(u32, u64)>, bool, u64);

async fn all_changes(changes: &mut Changes) -> (Vec<(At, Bytes)>, End) {
    let mut out = Vec::new();
    loop {
        match next(changes).await.expect("goes on") {
            Change::Batch { partition, records, next } => {
                assert!(records.last().is_some_and(|last| last.offset < next));
                out.extend(records.into_iter().map(|record| ((partition, record.offset), record.payload)));
            }
            Change::Finished { positions, head_reached, given } => {
                assert_eq!(given.hash, hash(out.iter().map(|(_, payload)| payload)));
                return (out, (positions, head_reached, given.records));
            }
        }
    }
}

/// Everything that still comes.
async fn all_exported(export: &mut Exporting) -> Vec<Exported> {
    let mut out = Vec::new();
    loop {
        match more(export).await.expect("goes on") {
            Export::Batch { records, .. } => out.extend(records),
            Export::Finished(given) => {
                assert!(given.records >= out.len() as u64);
                return out;
            }
        }
    }
}

fn hash<'p>(payloads: impl Iterator<Item = &'p Bytes>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for payload in payloads {
        hash.update((payload.len() as u64).to_be_bytes());
        hash.update(payload);
    }
    hash.finalize().into()
}

/// What a consumer has in the end: of records with one key the one that came last.
fn latest(records: impl IntoIterator<Item = Exported>) -> BTreeMap<String, Bytes> {
    records.into_iter().map(|(_, record)| (register_no(&record.payload), record.payload)).collect()
}

fn amended(sample: &Sample, note: &str) -> Sample {
    changed(sample, |record| record["status"] = note.into())
}

fn begun(events: &[Kind]) -> Vec<&TransferBegun> {
    events.iter().filter_map(|event| if let Kind::TransferBegun(begun) = event { Some(begun) } else { None }).collect()
}

fn ended(events: &[Kind]) -> Vec<&TransferEnded> {
    events.iter().filter_map(|event| if let Kind::TransferEnded(ended) = event { Some(ended) } else { None }).collect()
}

#[tokio::test]
async fn changes_end_where_the_log_ended_and_go_on_from_positions() {
    let dir = tempfile::tempdir().expect("folder");
    let world = granting(dir.path()).await;
    let samples = samples(60);
    world.publish(&samples[..40]).await;
    let mut first = world.changes(Start::Earliest, None).await.expect("granted");
    let ends = first.opened().ends;
    // Accepted after the call began: not in it.
    world.publish(&samples[40..50]).await;
    let (before, (positions, head_reached, count)) = all_changes(&mut first).await;
    assert_eq!((before.len(), head_reached, count), (40, true, 40));
    assert_eq!(positions, ends);
    let mut second = world.changes(Start::Positions(positions), None).await.expect("granted");
    let (after, (positions, ..)) = all_changes(&mut second).await;
    assert_eq!(after.len(), 10);
    let mut third = world.changes(Start::Positions(positions.clone()), None).await.expect("granted");
    assert_eq!(all_changes(&mut third).await, (Vec::new(), (positions, true, 0)));
    // In small steps it is the same, with nothing twice.
    let (mut steps, mut start) = (Vec::new(), Start::Earliest);
    loop {
        let mut step = world.changes(start, Some(7)).await.expect("granted");
        let (records, (positions, head_reached, _)) = all_changes(&mut step).await;
        assert!(records.len() <= 7);
        steps.extend(records);
        start = Start::Positions(positions);
        if head_reached {
            break;
        }
    }
    let mut whole: Vec<_> = before.into_iter().chain(after).collect();
    steps.sort();
    whole.sort();
    assert_eq!(steps, whole);
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn changes_since_a_time_are_those_accepted_from_then_on() {
    let dir = tempfile::tempdir().expect("folder");
    let world = granting(dir.path()).await;
    let samples = samples(20);
    world.publish(&samples).await;
    let mut all = world.changes(Start::Earliest, None).await.expect("granted");
    let mut times = Vec::new();
    while let Change::Batch { records, .. } = next(&mut all).await.expect("goes on") {
        times.extend(records.iter().map(|record| record.accepted_time));
    }
    let newest = *times.iter().max().expect("records");
    for (since, expected) in [
        (TimestampMs(0), times.len()),
        (newest, times.iter().filter(|time| **time >= newest).count()),
        (TimestampMs(newest.0 + 1), 0),
    ] {
        let mut changes = world.changes(Start::Time(since), None).await.expect("granted");
        assert_eq!(all_changes(&mut changes).await.0.len(), expected, "since {since:?}");
    }
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn whoever_may_not_read_is_told_why_and_leaves_no_event() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    assert_eq!(world.changes(Start::Earliest, None).await.err(), Some(Reason::ModeNotGranted));
    assert_eq!(world.export(&[]).await.err(), Some(Reason::ModeNotGranted));
    world.change_agreement(|agreement| agreement.modes = vec![Mode::Changes.into()]).await;
    assert_eq!(world.export(&[]).await.err(), Some(Reason::ModeNotGranted));
    for positions in [vec![(0, 1 << 40)], vec![(64, 0)]] {
        let refused = world.changes(Start::Positions(positions), None).await.err();
        assert_eq!(refused, Some(Reason::PositionOutOfRange));
    }
    let other = system("cong-an-tinh/doi-soat");
    let request = ReadChanges { agreement: agreement(), start: Start::Earliest, most_records: None };
    let refused = Changes::open(Arc::clone(&world.exchange), other, request).await.err();
    assert_eq!(refused, Some(Reason::NotTheConsumer));
    world.change_agreement(|agreement| agreement.modes = vec![Mode::Export.into()]).await;
    for token in [&b"x"[..], &[0; 64]] {
        assert_eq!(world.export(token).await.err(), Some(Reason::ExportNotResumable));
    }
    assert!(begun(&world.events().await).is_empty());
}

#[tokio::test]
async fn an_agreement_that_ends_or_changes_in_the_middle_ends_the_stream_with_that_reason() {
    for (has_copy, is_ended) in [(true, true), (false, true), (false, false)] {
        let dir = tempfile::tempdir().expect("folder");
        let world = granting(dir.path()).await;
        let samples = samples(MANY);
        if has_copy {
            world.keep_copy(&[LookUpSource::CurrentCopy]).await;
        }
        world.publish(&samples).await;
        if has_copy {
            world.told_by_copy(keys_of(&samples[..100]), 100).await;
        }
        let mut export = world.export(&[]).await.expect("granted");
        assert_eq!(export.source(), if has_copy { Source::CurrentCopy } else { Source::Log });
        let mut changes = world.changes(Start::Earliest, None).await.expect("granted");
        let Export::Batch { records, .. } = more(&mut export).await.expect("granted") else { panic!("records first") };
        let Change::Batch { .. } = next(&mut changes).await.expect("granted") else { panic!("records first") };
        let reason = if is_ended {
            world.end_agreement().await;
            Reason::AgreementEnded
        } else {
            world.change_agreement(|agreement| agreement.granted_fields.truncate(1)).await;
            Reason::AgreementChanged
        };
        assert_eq!(more(&mut export).await, Err(reason));
        assert_eq!(next(&mut changes).await, Err(reason));
        drop((export, changes));
        assert_eq!(world.count("ldop_transfers_total", &[("result", reason.as_str()), ("mode", "export")]), 1);
        let events = world.events().await;
        assert_eq!(begun(&events).len(), 2);
        let ended = ended(&events);
        assert!(ended.iter().all(|e| e.outcome() == TransferOutcome::Refused && e.reason == reason.as_str()));
        assert_eq!(ended.len(), 2);
        assert!(ended.iter().any(|ended| ended.records == records.len() as u64));
    }
}

#[tokio::test]
async fn each_transfer_is_on_the_log_with_what_came_of_it() {
    let dir = tempfile::tempdir().expect("folder");
    let world = granting(dir.path()).await;
    world.publish(&samples(MANY)).await;
    // To the end.
    let mut whole = world.changes(Start::Earliest, None).await.expect("granted");
    let told: Opened = whole.opened();
    let (records, _) = all_changes(&mut whole).await;
    drop(whole);
    // The caller goes after one batch.
    let mut cut = world.export(&[]).await.expect("granted");
    let Export::Batch { records: some, .. } = more(&mut cut).await.expect("granted") else { panic!("records first") };
    let cut_id = cut.opened().exchange_id;
    drop(cut);
    let id = told.exchange_id;
    let events = world.events().await;
    let (begun, ended) = (begun(&events), ended(&events));
    assert_eq!((begun.len(), ended.len()), (2, 2));
    let of = |id: ExchangeId| ended.iter().find(|ended| ended.exchange_id == id.as_bytes()).expect("there");
    let first = begun.iter().find(|begun| begun.exchange_id == id.as_bytes()).expect("there");
    assert_eq!((first.mode.as_str(), first.source.as_str(), first.system.as_str()), ("changes", "log", CONSUMER));
    assert!(!first.purpose.is_empty() && first.dataset == "civil-status" && first.stage == "live");
    let ends: Vec<(u32, u64)> = first.to.iter().map(|at| (at.partition, at.offset)).collect();
    assert_eq!(ends, told.ends);
    let finished = of(id);
    assert_eq!((finished.outcome(), finished.records), (TransferOutcome::Finished, MANY));
    let given = hash(records.iter().map(|(_, payload)| payload));
    let commitment = Sha256::new().chain_update(told.salt).chain_update(given).finalize();
    assert_eq!(finished.commitment[..], commitment[..]);
    let gone = of(cut_id);
    assert_eq!((gone.outcome(), gone.records), (TransferOutcome::CallerGone, some.len() as u64));
}

#[tokio::test]
async fn an_export_of_the_log_that_was_cut_goes_on_to_the_end_it_began_with() {
    let dir = tempfile::tempdir().expect("folder");
    let world = granting(dir.path()).await;
    let samples = samples(MANY);
    world.publish(&samples).await;
    let mut export = world.export(&[]).await.expect("granted");
    let Export::Batch { mut records, resume_token } = more(&mut export).await.expect("granted") else {
        panic!("records first")
    };
    let ends = export.opened().ends;
    drop(export);
    // Not in what was begun before.
    world.publish(&[amended(&samples[0], "amended")]).await;
    let mut rest = world.export(&resume_token).await.expect("resumable");
    assert_eq!((rest.opened().ends, rest.is_resumed()), (ends, true));
    records.extend(all_exported(&mut rest).await);
    assert_eq!(records.len(), samples.len());
    assert_eq!(latest(records).len(), samples.len());
    let mut anew = world.export(&[]).await.expect("granted");
    assert_eq!(all_exported(&mut anew).await.len(), samples.len() + 1);
    drop((rest, anew));
    // Another version of the agreement shows other things.
    world.change_agreement(|agreement| agreement.granted_fields.truncate(2)).await;
    assert_eq!(world.export(&resume_token).await.err(), Some(Reason::ExportNotResumable));
    world.exchange.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_a_copy_that_moved_on_gives_what_changed_again() {
    let dir = tempfile::tempdir().expect("folder");
    let world = granting(dir.path()).await;
    let samples = samples(MANY);
    world.keep_copy(&[LookUpSource::CurrentCopy]).await;
    world.publish(&samples).await;
    for some in samples.chunks(100) {
        world.told_by_copy(keys_of(some), some.len()).await;
    }
    let mut export = world.export(&[]).await.expect("granted");
    assert_eq!(export.source(), Source::CurrentCopy);
    let Export::Batch { mut records, resume_token } = more(&mut export).await.expect("granted") else {
        panic!("records first")
    };
    assert!(records.len() < samples.len());
    // One that was given changes, and one that was not.
    let given = latest(records.clone());
    let (had, others): (Vec<&Sample>, Vec<&Sample>) =
        samples.iter().partition(|sample| given.contains_key(&register_no(&sample.payload)));
    let newer = [amended(had[0], "amended"), amended(others[0], "amended")];
    world.publish(&newer).await;
    let is_amended = |record: &Bytes| record.windows(8).any(|part| part == br#""amended"#);
    world.until_copy_shows(&newer, is_amended).await;
    // The call that is open reads the state it began with.
    let rest = all_exported(&mut export).await;
    let opened = latest(records.iter().cloned().chain(rest));
    for sample in &newer {
        assert!(!is_amended(&opened[&register_no(&sample.payload)]), "as it stood when the call began");
    }
    assert_eq!(opened.len(), samples.len());
    drop(export);
    // The one that resumes gives what changed again.
    let mut resumed = world.export(&resume_token).await.expect("resumable");
    let rest = all_exported(&mut resumed).await;
    assert_eq!(rest.len(), samples.len() - records.len() + 1);
    drop(resumed);
    records.extend(rest);
    let mut anew = world.export(&[]).await.expect("granted");
    assert_eq!(latest(records), latest(all_exported(&mut anew).await));
    drop(anew);
    // Made anew, it is another copy.
    world.drop_copy().await;
    assert_eq!(world.export(&resume_token).await.err(), Some(Reason::ExportNotResumable));
    world.keep_copy(&[LookUpSource::CurrentCopy]).await;
    world.told_by_copy(keys_of(&samples[..50]), 50).await;
    assert_eq!(world.export(&resume_token).await.err(), Some(Reason::ExportNotResumable));
    world.exchange.drain(SOON).await;
}

impl World {
    /// Waits until the copy shows each of some records as it is meant to.
    async fn until_copy_shows(&self, samples: &[Sample], is_meant: impl Fn(&Bytes) -> bool) {
        for _ in 0..3_000 {
            let answered = self.told_by_copy(keys_of(samples), samples.len()).await;
            let is_shown = |answer: &KeyAnswer| matches!(answer, KeyAnswer::Found(found) if is_meant(&found.payload));
            if answered.answers.iter().all(is_shown) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the copy does not follow");
    }
}

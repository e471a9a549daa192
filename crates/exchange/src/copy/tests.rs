//! One file, without a log: whatever befalls it, it answers as the records say or not at all.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;

use super::{
    file::{Followed, place},
    store::{Batch, Given, Gone, Making, remove},
    *,
};

/// One secondary key.
const SHAPE: Shape = Shape { many: 1, history: false };
/// And every version.
const HISTORIC: Shape = Shape { many: 1, history: true };

type Records = BTreeMap<String, (String, String)>;

fn identity() -> Identity {
    Identity { hub_id: [1; 16], purpose: [2; 32], topic: "ldop.live.things".into() }
}

/// Puts changes of keys in: an owner and a note, or nothing.
fn batch(
    sealer: &seal::Sealer,
    is_all: bool,
    from: u64,
    changes: &[(String, Option<(String, String)>)],
) -> (Batch, Followed) {
    let mut batch = Batch::with_room(0, 0, is_all);
    for (offset, (key, change)) in (from..).zip(changes) {
        let name = sealer.name(0, key.as_bytes());
        let payload = change.as_ref().map(|(owner, note)| format!("{owner}|{note}"));
        let owner = change.as_ref().map(|(owner, _)| owner.clone().into_bytes()).filter(|owner| !owner.is_empty());
        let given = payload.as_ref().map(|payload| Given {
            exchange_id: ExchangeId::from_parts(TimestampMs(5), [offset as u8; 10]),
            event_time: TimestampMs(-6),
            accepted_time: TimestampMs(7),
            schema_version: 8,
            payload: payload.as_bytes(),
        });
        batch.put(sealer, name, place(0, offset), given.ok_or(Gone { time: TimestampMs(-6), erases: false }), &[owner]);
    }
    let next = from + changes.len() as u64;
    (batch, Followed { next, epoch: Some(3), anchor: None })
}

fn some(n: usize) -> Vec<(String, Option<(String, String)>)> {
    let one =
        |n: usize| (format!("key {n}"), Some((format!("owner {}", n % 7), format!("note {n} {}", "x".repeat(n % 90)))));
    (0..n).map(one).collect()
}

fn apply(records: &mut Records, changes: &[(String, Option<(String, String)>)]) {
    for (key, change) in changes {
        match change {
            Some(change) => drop(records.insert(key.clone(), change.clone())),
            None => drop(records.remove(key)),
        }
    }
}

fn made(dir: &Path, key: Option<&CopyKey>, changes: &[(String, Option<(String, String)>)]) -> Store {
    let mut making = Making::begin(dir.join("making"), &identity(), key, SHAPE, 1).expect("begun");
    for (at, some) in changes.chunks(100).enumerate() {
        let (batch, followed) = batch(&making.sealer, true, at as u64 * 100, some);
        making.put(&batch, 0, followed).expect("put");
    }
    making.finish(dir.join("it.sqlite")).expect("finished")
}

fn open(path: &Path, key: Option<&CopyKey>) -> Result<Store, Fault> {
    open_as(path, key, SHAPE)
}

fn open_as(path: &Path, key: Option<&CopyKey>, shape: Shape) -> Result<Store, Fault> {
    Store::open(path.to_owned(), identity(), key, shape, &|| true)
}

fn one(store: &Store, question: Question) -> Result<Answered, Fault> {
    store.answer(&[question]).map(|mut answered| answered.remove(0))
}

/// Every answer is as the records say, or there is none. Tells whether all were given.
fn check(store: &Store, records: &Records, strangers: usize) -> bool {
    let mut all = true;
    let keys = records.keys().cloned().chain((0..strangers).map(|n| format!("stranger {n}")));
    for key in keys {
        match one(store, Question::Names(vec![store.sealer.name(0, key.as_bytes())])) {
            Ok(answered) => {
                let found = answered.found[0].as_ref().map(|found| (found.payload.clone(), found.schema_version));
                let expected = records.get(&key).map(|(owner, note)| (Bytes::from(format!("{owner}|{note}")), 8));
                assert_eq!(found, expected, "{key}");
            }
            Err(Fault::Spoilt(..)) => all = false,
            Err(fault) => panic!("{fault:?}"),
        }
    }
    for owner in (0..9).map(|n| format!("owner {n}")) {
        match one(store, having(store.sealer.name(1, owner.as_bytes()), MOST_FOUND)) {
            Ok(answered) => {
                let mut found: Vec<_> = answered.found.into_iter().flatten().map(|found| found.payload).collect();
                let having = records.values().filter(|(known, _)| *known == owner);
                let mut expected: Vec<_> = having.map(|(owner, note)| Bytes::from(format!("{owner}|{note}"))).collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{owner}");
            }
            Err(Fault::Spoilt(..)) => all = false,
            Err(fault) => panic!("{fault:?}"),
        }
    }
    all
}

fn having(name: seal::Name, most: usize) -> Question {
    Question::Secondary { name, most, shown: None }
}

#[tokio::test]
async fn questions_that_are_read_together_have_each_its_own_answer_and_none_is_left_waiting() {
    let dir = tempfile::tempdir().expect("folder");
    let mut records = Records::new();
    let all = some(200);
    apply(&mut records, &all);
    let store = Arc::new(made(dir.path(), None, &all));
    let reading = Arc::new(Reading::default());
    let ask = |n: usize| {
        let question = match n % 5 {
            0 => having(store.sealer.name(1, format!("owner {}", n % 9).as_bytes()), MOST_FOUND),
            1 => Question::Names(vec![store.sealer.name(0, format!("stranger {n}").as_bytes())]),
            _ => Question::Names(vec![store.sealer.name(0, all[n % all.len()].0.as_bytes())]),
        };
        let (reading, store) = (Arc::clone(&reading), Arc::clone(&store));
        tokio::spawn(async move { reading.answer(store, question).await })
    };
    let asked: Vec<_> = (0..1_000).map(|n| (n, ask(n))).collect();
    for (n, asked) in asked {
        if n % 7 == 0 {
            // A caller that goes away.
            asked.abort();
            continue;
        }
        let answered = asked.await.expect("not cancelled").expect("answered");
        let told: Vec<_> = answered.found.into_iter().flatten().map(|found| found.payload).collect();
        let told = told.iter().map(|payload| String::from_utf8_lossy(payload).into_owned());
        match n % 5 {
            0 => {
                let owner = format!("owner {}", n % 9);
                let having = records.values().filter(|(known, _)| *known == owner).count();
                assert_eq!(told.filter(|payload| payload.starts_with(&format!("{owner}|"))).count(), having);
            }
            1 => assert_eq!(told.count(), 0),
            _ => {
                let (owner, note) = &records[&all[n % all.len()].0];
                assert_eq!(told.collect::<Vec<_>>(), [format!("{owner}|{note}")]);
            }
        }
    }
}

fn keys() -> [Option<CopyKey>; 2] {
    [None, Some(CopyKey::new([9; 32]))]
}

#[test]
fn what_was_put_in_is_found_by_key_and_by_secondary_key_also_after_it_was_changed_deleted_and_opened_again() {
    for key in keys() {
        let dir = tempfile::tempdir().expect("folder");
        let mut records = Records::new();
        let first = some(500);
        apply(&mut records, &first);
        let store = made(dir.path(), key.as_ref(), &first);
        assert!(check(&store, &records, 50));
        let mut changes = some(40);
        changes[3].1 = None;
        changes[4].1 = Some(("owner 8".into(), "moved".into()));
        changes[5].1 = Some((String::new(), "owned by nobody".into()));
        changes.push(("new".into(), Some(("owner 8".into(), "new".into()))));
        changes.push(("new".into(), Some(("owner 2".into(), "new again".into()))));
        changes.push(("never".into(), None));
        apply(&mut records, &changes);
        let (batch, followed) = batch(&store.sealer, false, 500, &changes);
        store.put(&batch, 0, followed).expect("put");
        assert!(check(&store, &records, 50));
        let path = store.path().to_owned();
        drop(store);
        let store = open(&path, key.as_ref()).expect("opens");
        assert_eq!((store.records(), store.partitions()[0]), (records.len() as u64, followed));
        assert!(check(&store, &records, 50));
        let two = one(&store, having(store.sealer.name(1, b"owner 1"), 2)).expect("answered");
        assert_eq!((two.found.len(), two.more, two.positions), (2, true, vec![543]));
    }
}

#[test]
fn a_file_of_another_log_definition_key_or_layout_is_not_opened() {
    let dir = tempfile::tempdir().expect("folder");
    let [_, key] = keys();
    let path = made(dir.path(), key.as_ref(), &some(10)).path().to_owned();
    let cause =
        |identity: Identity, key: Option<&CopyKey>| match Store::open(path.clone(), identity, key, SHAPE, &|| true) {
            Err(Fault::Spoilt(cause, _)) => Some(cause),
            Err(fault) => panic!("{fault:?}"),
            Ok(_) => None,
        };
    let other = Some(CopyKey::new([8; 32]));
    assert_eq!(cause(identity(), key.as_ref()), None);
    assert_eq!(cause(Identity { hub_id: [9; 16], ..identity() }, key.as_ref()), Some(Cause::OtherLog));
    assert_eq!(cause(Identity { topic: "ldop.live.others".into(), ..identity() }, key.as_ref()), Some(Cause::OtherLog));
    assert_eq!(cause(Identity { purpose: [9; 32], ..identity() }, key.as_ref()), Some(Cause::Definition));
    assert_eq!(cause(identity(), other.as_ref()), Some(Cause::Damaged));
    let conn = rusqlite::Connection::open(&path).expect("opens");
    conn.pragma_update(None, "user_version", file::LAYOUT + 1).expect("set");
    drop(conn);
    assert_eq!(cause(identity(), key.as_ref()), Some(Cause::OtherLayout));
    fs::write(&path, "no database at all, but long enough to be looked at").expect("written");
    assert_eq!(cause(identity(), key.as_ref()), Some(Cause::Unreadable));
    fs::write(&path, "").expect("written");
    assert_eq!(cause(identity(), key.as_ref()), Some(Cause::OtherLayout));
}

/// Files whose rows are so many that tables and indexes have inner pages.
fn whole(dir: &Path, key: Option<&CopyKey>) -> (Records, PathBuf, Vec<u8>) {
    let changes = some(600);
    let mut records = Records::new();
    apply(&mut records, &changes);
    let path = made(dir, key, &changes).path().to_owned();
    let bytes = fs::read(&path).expect("read");
    (records, path, bytes)
}

#[test]
fn a_flipped_or_missing_byte_is_never_answered_from_whether_it_was_there_before_or_comes_while_the_file_is_open() {
    for key in keys() {
        let dir = tempfile::tempdir().expect("folder");
        let (records, path, good) = whole(dir.path(), key.as_ref());
        let (mut refused, mut noticed) = (0, 0);
        for at in (7..good.len()).step_by(good.len() / 150) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            remove(&path).expect("removed");
            fs::write(&path, &bad).expect("written");
            match open(&path, key.as_ref()) {
                Ok(store) => drop(check(&store, &records, 20)),
                Err(Fault::Spoilt(..)) => refused += 1,
                Err(fault) => panic!("{fault:?}"),
            }
            remove(&path).expect("removed");
            fs::write(&path, &good).expect("written");
            let store = open(&path, key.as_ref()).expect("good");
            flip(&path, at);
            noticed += usize::from(!check(&store, &records, 20));
        }
        assert!(refused > 100 && noticed > 50, "{refused} and {noticed} of 150");
        for length in [good.len() - 1, good.len() / 2, 4_096, 100] {
            remove(&path).expect("removed");
            fs::write(&path, &good[..length]).expect("written");
            assert!(matches!(open(&path, key.as_ref()), Err(Fault::Spoilt(..))), "{length}");
            remove(&path).expect("removed");
            fs::write(&path, &good).expect("written");
            let store = open(&path, key.as_ref()).expect("good");
            fs::OpenOptions::new().write(true).open(&path).expect("there").set_len(length as u64).expect("cut");
            assert!(!check(&store, &records, 20), "{length}");
        }
    }
}

/// In place, as a failing disk does.
fn flip(path: &Path, at: usize) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).expect("read");
    file.write_all_at(&[byte[0] ^ 0x40], at as u64).expect("written");
}

#[test]
fn files_that_are_deleted_or_exchanged_while_open_are_not_answered_from_nor_written() {
    let dir = tempfile::tempdir().expect("folder");
    let (records, path, good) = whole(dir.path(), None);
    for way in ["deleted", "wal deleted", "exchanged", "older state"] {
        remove(&path).expect("removed");
        fs::write(&path, &good).expect("written");
        let store = open(&path, None).expect("good");
        assert!(check(&store, &records, 5));
        let (batch, followed) = batch(&store.sealer, false, 600, &some(3));
        let wal = path.with_extension("sqlite-wal");
        match way {
            "deleted" => fs::remove_file(&path).expect("removed"),
            "wal deleted" => fs::remove_file(&wal).expect("removed"),
            "exchanged" => {
                fs::copy(&path, dir.path().join("other")).expect("copied");
                fs::rename(dir.path().join("other"), &path).expect("exchanged");
            }
            _ => {
                // The whole state before the last batch, written over what is there.
                let before = fs::read(&wal).expect("read");
                store.put(&batch, 0, followed).expect("put");
                fs::OpenOptions::new()
                    .write(true)
                    .open(&wal)
                    .expect("there")
                    .set_len(before.len() as u64)
                    .expect("cut");
            }
        }
        assert!(!check(&store, &records, 5), "{way}");
        assert!(matches!(store.put(&batch, 0, followed), Err(Fault::Spoilt(..))), "{way}");
    }
}

#[test]
fn a_crash_at_any_moment_leaves_a_state_that_was_with_its_position() {
    let dir = tempfile::tempdir().expect("folder");
    let store = made(dir.path(), None, &some(20));
    let mut records = Records::new();
    apply(&mut records, &some(20));
    let mut states = BTreeMap::from([(20, records.clone())]);
    let mut next = 20;
    for round in 0..12 {
        let mut changes: Vec<_> = some(200).into_iter().skip(round * 9).take(15).collect();
        changes[round].1 = None;
        changes[1].1 = Some((format!("owner {}", round % 3), "y".repeat(round * 300)));
        let (batch, followed) = batch(&store.sealer, false, next, &changes);
        store.put(&batch, 0, followed).expect("put");
        apply(&mut records, &changes);
        next = followed.next;
        states.insert(next, records.clone());
    }
    let (file, wal) =
        (fs::read(store.path()).expect("read"), fs::read(store.path().with_extension("sqlite-wal")).expect("read"));
    let crashed = dir.path().join("crashed.sqlite");
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=wal.len()).step_by(wal.len() / 97).chain([wal.len()]) {
        remove(&crashed).expect("removed");
        fs::write(&crashed, &file).expect("written");
        fs::write(crashed.with_extension("sqlite-wal"), &wal[..cut]).expect("written");
        let store = open(&crashed, None).expect("a state that was");
        let at = store.partitions()[0].next;
        assert!(check(&store, &states[&at], 3), "cut at {cut}");
        seen.insert(at);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), states.into_keys().collect::<Vec<_>>(), "every state was seen");
}

#[test]
fn nothing_of_a_record_is_in_the_files_of_a_copy_with_a_key() {
    let dir = tempfile::tempdir().expect("folder");
    let [_, key] = keys();
    let changes = vec![("034199000123".to_owned(), Some(("Nguyễn Thị Bí Mật".to_owned(), "Ở nhà".to_owned())))];
    let store = made(dir.path(), key.as_ref(), &changes);
    let (batch, followed) = batch(&store.sealer, false, 1, &changes);
    store.put(&batch, 0, followed).expect("put");
    let mut looked = 0;
    for entry in fs::read_dir(dir.path()).expect("listed") {
        let bytes = fs::read(entry.expect("entry").path()).expect("read");
        for planted in ["034199000123", "Bí Mật", "Ở nhà"] {
            assert!(!bytes.windows(planted.len()).any(|window| window == planted.as_bytes()), "{planted}");
        }
        looked += bytes.len();
    }
    assert!(looked > 10_000, "the `-wal` is among them");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_changes_in_any_batches_make_the_latest_of_each_key(
        rounds in proptest::collection::vec(
            proptest::collection::vec((0_u8..12, proptest::option::weighted(0.8, (0_u8..4, any::<u16>()))), 1..20), 1..8,
        ),
        made_first in 0_usize..4,
    ) {
        let dir = tempfile::tempdir().expect("folder");
        let rounds: Vec<Vec<_>> = rounds.into_iter().map(|round| {
            let one = |(key, change): (u8, Option<(u8, u16)>)| {
                (format!("key {key}"), change.map(|(owner, note)| (format!("owner {owner}"), note.to_string())))
            };
            round.into_iter().map(one).collect()
        }).collect();
        let (first, rest) = rounds.split_at(made_first.min(rounds.len()));
        let mut records = Records::new();
        let first = first.concat();
        apply(&mut records, &first);
        let store = made(dir.path(), None, &first);
        let mut next = first.len() as u64;
        for changes in rest {
            let (batch, followed) = batch(&store.sealer, false, next, changes);
            store.put(&batch, 0, followed).expect("put");
            apply(&mut records, changes);
            next = followed.next;
        }
        prop_assert!(check(&store, &records, 12));
        prop_assert_eq!(store.records(), records.len() as u64);
        let path = store.path().to_owned();
        drop(store);
        prop_assert!(check(&open(&path, None).expect("opens"), &records, 12));
    }
}

/// A change at an event time: a note, or a deletion.
type Told = (String, i64, Option<String>);

fn versions(sealer: &seal::Sealer, from: u64, told: &[Told]) -> (Batch, Followed) {
    let mut batch = Batch::with_room(0, 0, true);
    for (offset, (key, time, note)) in (from..).zip(told) {
        let given = note.as_ref().map(|note| Given {
            exchange_id: ExchangeId::from_parts(TimestampMs(5), [offset as u8; 10]),
            event_time: TimestampMs(*time),
            accepted_time: TimestampMs(7),
            schema_version: 8,
            payload: note.as_bytes(),
        });
        let name = sealer.name(0, key.as_bytes());
        let gone = Gone { time: TimestampMs(*time), erases: false };
        batch.put(sealer, name, place(0, offset), given.ok_or(gone), &[None]);
    }
    (batch, Followed { next: from + told.len() as u64, epoch: Some(3), anchor: None })
}

fn historic(dir: &Path, key: Option<&CopyKey>, told: &[Told]) -> Store {
    let mut making = Making::begin(dir.join("making"), &identity(), key, HISTORIC, 1).expect("begun");
    let (batch, followed) = versions(&making.sealer, 0, told);
    making.put(&batch, 0, followed).expect("put");
    making.finish(dir.join("it.sqlite")).expect("finished")
}

/// What was told with the latest event time up to then, of several the last: worked out one by one.
fn held(told: &[Told], key: &str, time: i64) -> Option<String> {
    let mut held: Option<&Told> = None;
    for version in told.iter().filter(|(of, at, _)| of == key && *at <= time) {
        if held.is_none_or(|(_, before, _)| *before <= version.1) {
            held = Some(version);
        }
    }
    held.and_then(|(_, _, note)| note.clone())
}

/// Every answer is as the versions say, or there is none. Tells whether all were given.
fn check_history(store: &Store, told: &[Told], keys: u8, times: std::ops::RangeInclusive<i64>) -> bool {
    let keys: Vec<String> = (0..keys).map(|key| format!("key {key}")).collect();
    let mut all = true;
    for time in times {
        let names = keys.iter().map(|key| store.sealer.name(0, key.as_bytes())).collect();
        match one(store, Question::AsOf { names, time: TimestampMs(time) }) {
            Ok(answered) => {
                for (key, found) in keys.iter().zip(answered.found) {
                    let found = found.map(|found| String::from_utf8(found.payload.to_vec()).expect("a text"));
                    assert_eq!(found, held(told, key, time), "{key} as of {time}");
                }
            }
            Err(Fault::Spoilt(..)) => all = false,
            Err(fault) => panic!("{fault:?}"),
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_order_of_event_times_each_time_has_the_version_that_held_then(
        told in proptest::collection::vec((0_u8..4, -3_i64..6, proptest::option::weighted(0.8, any::<u16>())), 0..40),
        made_first in 0_usize..40,
    ) {
        for key in keys() {
            let dir = tempfile::tempdir().expect("folder");
            let told: Vec<Told> = told.iter().map(|(key, time, note)| {
                (format!("key {key}"), *time, note.map(|note| format!("note {note} of {time}")))
            }).collect();
            let (first, rest) = told.split_at(made_first.min(told.len()));
            let store = historic(dir.path(), key.as_ref(), first);
            let mut next = first.len() as u64;
            for some in rest.chunks(7) {
                let (batch, followed) = versions(&store.sealer, next, some);
                store.put(&batch, 0, followed).expect("put");
                next = followed.next;
            }
            prop_assert!(check_history(&store, &told, 5, -4..=6));
            let path = store.path().to_owned();
            drop(store);
            prop_assert!(check_history(&open_as(&path, key.as_ref(), HISTORIC).expect("opens"), &told, 5, -4..=6));
            // Made anew from the same log, it is the same.
            let other = tempfile::tempdir().expect("folder");
            prop_assert!(check_history(&historic(other.path(), key.as_ref(), &told), &told, 5, -4..=6));
        }
    }
}

#[test]
fn a_version_that_is_missing_moved_or_altered_is_noticed_at_the_look_and_at_the_start() {
    let told: Vec<Told> = (0..60).map(|n| (format!("key {}", n % 3), n, Some(format!("note {n}")))).collect();
    for harm in [
        "DELETE FROM history WHERE time = 30",
        "UPDATE history SET time = 31, place = place + 1 WHERE time = 30",
        "DELETE FROM versions WHERE seq = 31",
        "UPDATE versions SET body = (SELECT body FROM versions WHERE seq = 28) WHERE seq = 31",
        "UPDATE versions SET place = place + 64 WHERE seq = 31",
        "UPDATE history SET seq = 28 WHERE time = 30",
        "DELETE FROM history WHERE time = 30; DELETE FROM versions WHERE seq = 31",
    ] {
        for key in keys() {
            let dir = tempfile::tempdir().expect("folder");
            let store = historic(dir.path(), key.as_ref(), &told);
            assert!(check_history(&store, &told, 4, 29..=32));
            let path = store.path().to_owned();
            rusqlite::Connection::open(&path).expect("opens").execute_batch(harm).expect("harmed");
            assert!(!check_history(&store, &told, 4, 30..=30), "{harm}");
            drop(store);
            assert!(matches!(open_as(&path, key.as_ref(), HISTORIC), Err(Fault::Spoilt(Cause::Damaged, _))), "{harm}");
        }
    }
}

#[test]
fn a_flipped_byte_is_never_answered_from_where_there_is_a_history() {
    let told: Vec<Told> = (0..400)
        .map(|n| (format!("key {}", n % 5), n % 40, (n % 9 > 0).then(|| format!("note {n} {}", "x".repeat(90)))))
        .collect();
    for key in keys() {
        let dir = tempfile::tempdir().expect("folder");
        let path = historic(dir.path(), key.as_ref(), &told).path().to_owned();
        let good = fs::read(&path).expect("read");
        let (mut refused, mut noticed) = (0, 0);
        for at in (7..good.len()).step_by(good.len() / 100) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            remove(&path).expect("removed");
            fs::write(&path, &bad).expect("written");
            match open_as(&path, key.as_ref(), HISTORIC) {
                Ok(store) => drop(check_history(&store, &told, 6, 0..=40)),
                Err(Fault::Spoilt(..)) => refused += 1,
                Err(fault) => panic!("{fault:?}"),
            }
            remove(&path).expect("removed");
            fs::write(&path, &good).expect("written");
            let store = open_as(&path, key.as_ref(), HISTORIC).expect("good");
            flip(&path, at);
            noticed += usize::from(!check_history(&store, &told, 6, 0..=40));
        }
        // The rest of the file is what rows left behind whose place others took.
        assert!(refused > 30 && noticed > 5, "{refused} and {noticed} of 100");
    }
}

#[test]
fn what_was_erased_is_in_no_version_and_in_no_file_and_what_comes_after_is() {
    let mut told: Vec<Told> = (0..20).map(|n| (format!("key {}", n % 2), n, Some(format!("planted {n}")))).collect();
    let erase = |sealer: &seal::Sealer, from: u64| {
        let mut batch = Batch::with_room(0, 0, true);
        let gone = Gone { time: TimestampMs(30), erases: true };
        batch.put(sealer, sealer.name(0, b"key 1"), place(0, from), Err(gone), &[None]);
        (batch, Followed { next: from + 1, epoch: Some(3), anchor: None })
    };
    for is_made in [false, true] {
        let dir = tempfile::tempdir().expect("folder");
        let mut making = Making::begin(dir.path().join("making"), &identity(), None, HISTORIC, 1).expect("begun");
        let (batch, followed) = versions(&making.sealer, 0, &told);
        making.put(&batch, 0, followed).expect("put");
        let (batch, followed) = erase(&making.sealer, 20);
        if is_made {
            making.put(&batch, 0, followed).expect("put");
        }
        let store = making.finish(dir.path().join("it.sqlite")).expect("finished");
        if !is_made {
            store.put(&batch, 0, followed).expect("put");
        }
        let (batch, followed) = versions(&store.sealer, 21, &[("key 1".into(), 40, Some("after".into()))]);
        store.put(&batch, 0, followed).expect("put");
        told.retain(|(key, ..)| key != "key 1");
        told.push(("key 1".into(), 40, Some("after".into())));
        assert!(check_history(&store, &told, 3, -1..=41));
        let path = store.path().to_owned();
        drop(store);
        let bytes = fs::read(&path).expect("read");
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("planted 18"), "of the other key");
        assert!((0..10).all(|n| !has(&format!("planted {}", 2 * n + 1)) || n == 0), "made: {is_made}");
        assert!(check_history(&open_as(&path, None, HISTORIC).expect("opens"), &told, 3, -1..=41));
        told = (0..20).map(|n| (format!("key {}", n % 2), n, Some(format!("planted {n}")))).collect();
    }
}

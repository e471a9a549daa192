//! Current copies through the exchange: they follow what is published, survive restarts, and are made anew from the log
//! whenever something is wrong with them.

use std::{collections::BTreeMap, fs};

use ldop_contract::{
    catalog::v1::{self as catalog, CurrentCopy, SecondaryKey},
    registry::v1 as registry,
};
use ldop_exchange::copy::{Answer, Ask, Cause, CopyKey, NoAnswer, key_bytes};

use super::*;

const PROVIDER: &str = "so-khcn/danh-muc";
const OWNER: &[&str] = &["owner"];
const BOTH: &[&str] = &["sheet", "owner"];

fn name(dataset: &str) -> DatasetName {
    DatasetName::parse(dataset).expect("a name")
}

/// A dataset of records of an id, an owner, a sheet and a note, bound to an element that is personal data or is not.
fn dataset(id: &str, element: &str, secondary: &[&[&str]]) -> Vec<control::Change> {
    let bound = format!(r#"{{"type": "string", "maxLength": 50, "x-ldop-element": "{element}"}}"#);
    let plain = r#"{"type": "string", "maxLength": 60, "x-ldop-element": "reference.remark"}"#;
    let text = format!(
        r#"{{"type": "object", "additionalProperties": false, "required": ["id"], "properties":
            {{"id": {plain}, "owner": {bound}, "sheet": {plain}, "note": {plain}}}}}"#
    );
    let schema = registry::Schema { name: id.into(), text, ..Default::default() };
    let key = |fields: &&[&str]| SecondaryKey { fields: fields.iter().map(|&field| field.into()).collect() };
    let dataset = catalog::Dataset {
        id: id.into(),
        name_vi: "Thử".into(),
        owning_agency: "so-khcn".into(),
        schema: id.into(),
        key_fields: vec!["id".into()],
        providers: vec![catalog::Provider {
            system: PROVIDER.into(),
            stage: ldop_contract::exchange::v1::Stage::Live.into(),
        }],
        partitions: 2,
        current_copy: Some(CurrentCopy { secondary_keys: secondary.iter().map(key).collect(), ..Default::default() }),
        ..Default::default()
    };
    [Resource::Schema(schema), Resource::Dataset(dataset)]
        .map(|resource| control::Change { resource: Some(resource) })
        .into()
}

fn plain() -> Vec<control::Change> {
    dataset("things", "reference.remark", &[OWNER, BOTH])
}

fn personal() -> Vec<control::Change> {
    dataset("people", "person.full-name", &[OWNER])
}

/// With every version.
fn historic(mut changes: Vec<control::Change>) -> Vec<control::Change> {
    for change in &mut changes {
        if let Some(Resource::Dataset(dataset)) = &mut change.resource {
            dataset.current_copy.as_mut().expect("asked for").history = true;
        }
    }
    changes
}

type Things = BTreeMap<String, serde_json::Value>;

/// Publishes things, the later ones in the place of those before, and remembers them.
async fn publish(
    exchange: &Arc<Exchange>,
    dataset: &str,
    known: &mut Things,
    things: impl Iterator<Item = (usize, &str)>,
) {
    let mut publisher =
        Publisher::open(Arc::clone(exchange), system(PROVIDER), name(dataset), Stage::Live).expect("may provide");
    let mut records = Vec::new();
    for (at, (id, owner)) in things.enumerate() {
        let mut thing = serde_json::json!({"id": format!("id {id}"), "owner": owner, "note": format!("{at} of {id}")});
        if id % 3 == 0 {
            thing["sheet"] = format!("sheet {}", id % 2).into();
        }
        let sample = Sample { payload: serde_json::to_vec(&thing).expect("JSON").into(), ..good(1).remove(0) };
        records.push(incoming(ExchangeId::new(), &sample));
        known.insert(format!("id {id}"), thing);
    }
    for verdict in send(&mut publisher, records).await {
        receipt(&verdict);
    }
}

async fn ask(exchange: &Exchange, dataset: &str, ask: &Ask, no_older: Option<Duration>) -> Result<Answer, NoAnswer> {
    exchange.copies.look_up(&name(dataset), Stage::Live, ask, no_older).await
}

/// Asks until the copy holds everything that was accepted.
async fn current(exchange: &Exchange, dataset: &str, question: &Ask) -> Answer {
    let mut last = None;
    for _ in 0..3_000 {
        match ask(exchange, dataset, question, Some(Duration::ZERO)).await {
            Ok(answer) => return answer,
            Err(why) => last = Some(why),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no answer: {last:?}");
}

fn secondary(fields: &[&str], values: &[&str], most: usize) -> Ask {
    let fields = fields.iter().map(|&field| field.to_owned()).collect();
    Ask::Secondary { fields, key: key_bytes(values.iter().copied()).expect("a key"), most }
}

fn things(answer: &Answer) -> Vec<Option<serde_json::Value>> {
    let read = |found: &ldop_exchange::copy::Found| serde_json::from_slice(&found.payload).expect("JSON");
    answer.records.iter().map(|found| found.as_ref().map(read)).collect()
}

/// The copy holds exactly what is known.
async fn holds(exchange: &Exchange, dataset: &str, known: &Things) -> Answer {
    let ids: Vec<_> = known.keys().cloned().chain(["id none".to_owned()]).collect();
    let keys = ids.iter().map(|id| key_bytes([id.as_str()]).expect("a key")).collect();
    let answer = current(exchange, dataset, &Ask::Keys(keys)).await;
    let expected: Vec<_> = ids.iter().map(|id| known.get(id).cloned()).collect();
    assert_eq!(things(&answer), expected);
    for owner in ["an", "binh", "nobody"] {
        let found = current(exchange, dataset, &secondary(OWNER, &[owner], 1_000)).await;
        let mut found: Vec<_> = things(&found).into_iter().flatten().collect();
        let order = |thing: &serde_json::Value| thing["id"].to_string();
        found.sort_by_key(order);
        let mut expected: Vec<_> = known.values().filter(|thing| thing["owner"] == owner).cloned().collect();
        expected.sort_by_key(order);
        assert_eq!(found, expected, "{owner}");
    }
    answer
}

fn made(exchange: &Exchange, dataset: &str, cause: Cause) -> u64 {
    exchange.metrics.copy_rebuilds.with_label_values(&[dataset, "live", cause.as_str()]).get()
}

/// How many files there are of a dataset's copies.
fn files(dir: &Path, dataset: &str) -> usize {
    let entries = fs::read_dir(dir.join("copies")).expect("listed").map(|entry| entry.expect("entry").file_name());
    entries.filter(|name| name.to_string_lossy().contains(&format!(".{dataset}."))).count()
}

/// The one file of a copy.
fn file(dir: &Path, dataset: &str) -> PathBuf {
    let entries = fs::read_dir(dir.join("copies")).expect("listed").map(|entry| entry.expect("entry").path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(&format!("live.{dataset}.")) && name.ends_with(".sqlite")
    };
    let mut found: Vec<_> = entries.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn world_with(dir: &Path, changes: Vec<control::Change>) -> Arc<Exchange> {
    let exchange = sample_world(dir).await;
    apply(&exchange, changes).await;
    exchange
}

async fn again(exchange: Arc<Exchange>, dir: &Path) -> Arc<Exchange> {
    exchange.drain(SOON).await;
    drop(exchange);
    node(log(dir), dir).await
}

#[tokio::test]
async fn a_copy_follows_what_is_published_names_its_position_and_survives_a_restart() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), plain()).await;
    let mut known = Things::new();
    holds(&exchange, "things", &known).await;
    publish(&exchange, "things", &mut known, (0..60).map(|id| (id, "an"))).await;
    let first = holds(&exchange, "things", &known).await;
    publish(&exchange, "things", &mut known, (0..20).map(|id| (id * 2, "binh"))).await;
    let second = holds(&exchange, "things", &known).await;
    assert!(second.followed >= first.followed);
    assert!(first.positions.iter().zip(&second.positions).all(|(before, after)| before.1 < after.1), "{second:?}");

    let some = ask(&exchange, "things", &secondary(OWNER, &["an"], 5), None).await.expect("ready");
    assert_eq!((some.records.len(), some.more), (5, true));
    let both = current(&exchange, "things", &secondary(BOTH, &["sheet 0", "binh"], 100)).await;
    let expected = known.values().filter(|thing| thing["owner"] == "binh" && thing["sheet"] == "sheet 0").count();
    assert_eq!((both.records.len(), both.more), (expected, false));
    assert!(expected > 0);

    let none = ask(&exchange, "things", &secondary(&["note"], &["x"], 5), None).await;
    assert_eq!(none, Err(NoAnswer::NoSuchKey));
    let most = ask(&exchange, "things", &secondary(OWNER, &["an"], 1_001), None).await;
    assert_eq!(most, Err(NoAnswer::TooMuch { most: 1_000 }));
    assert_eq!(ask(&exchange, "communes", &Ask::Keys(Vec::new()), None).await, Err(NoAnswer::NoCopy));
    exchange.refresh_metrics().await;
    let gauge = |metric: &prometheus::IntGaugeVec| metric.with_label_values(&["things", "live"]).get();
    let metrics = &exchange.metrics;
    assert_eq!((gauge(&metrics.copy_records), gauge(&metrics.copy_ready), gauge(&metrics.copy_lag)), (60, 1, 0));
    assert_eq!(made(&exchange, "things", Cause::First), 1);

    let exchange = again(exchange, dir.path()).await;
    holds(&exchange, "things", &known).await;
    publish(&exchange, "things", &mut known, (55..70).map(|id| (id, "binh"))).await;
    holds(&exchange, "things", &known).await;
    let causes: u64 = Cause::ALL.into_iter().map(|cause| made(&exchange, "things", cause)).sum();
    assert_eq!(causes, 0, "the file was taken up again");
    exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_cut_exchanged_or_older_is_taken_up_or_made_anew_but_never_wrong() {
    let dir = tempfile::tempdir().expect("folder");
    let mut exchange =
        world_with(dir.path(), [plain(), dataset("others", "reference.remark", &[OWNER])].concat()).await;
    let (mut known, mut others) = (Things::new(), Things::new());
    publish(&exchange, "things", &mut known, (0..300).map(|id| (id, "an"))).await;
    publish(&exchange, "others", &mut others, (0..30).map(|id| (id, "binh"))).await;
    holds(&exchange, "things", &known).await;
    holds(&exchange, "others", &others).await;
    let mut older = Vec::new();
    for way in ["flipped", "cut", "exchanged", "older", "no database", "gone"] {
        exchange.drain(SOON).await;
        drop(exchange);
        let file = file(dir.path(), "things");
        let mut bytes = fs::read(&file).expect("read");
        let cause = match way {
            "flipped" => {
                older = bytes.clone();
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                fs::write(&file, bytes).expect("written");
                Cause::Damaged
            }
            "cut" => {
                fs::write(&file, &bytes[..bytes.len() - 9_000]).expect("written");
                Cause::Damaged
            }
            "exchanged" => {
                fs::copy(self::file(dir.path(), "others"), &file).expect("copied");
                Cause::OtherLog
            }
            "older" => {
                fs::write(&file, &older).expect("written");
                Cause::First
            }
            "no database" => {
                fs::write(&file, "x".repeat(20_000)).expect("written");
                Cause::Unreadable
            }
            _ => {
                fs::remove_file(&file).expect("removed");
                Cause::First
            }
        };
        exchange = node(log(dir.path()), dir.path()).await;
        holds(&exchange, "things", &known).await;
        publish(&exchange, "things", &mut known, (0..300).step_by(7).map(|id| (id, "binh"))).await;
        holds(&exchange, "things", &known).await;
        assert_eq!(made(&exchange, "things", cause), u64::from(way != "older"), "{way}");
        holds(&exchange, "others", &others).await;
    }
    exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_file_that_is_deleted_or_damaged_under_the_running_hub_is_made_anew() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), plain()).await;
    let mut known = Things::new();
    publish(&exchange, "things", &mut known, (0..200).map(|id| (id, "an"))).await;
    holds(&exchange, "things", &known).await;
    fs::remove_dir_all(dir.path().join("copies")).expect("removed");
    let told = ask(&exchange, "things", &Ask::Keys(vec![key_bytes(["id 1"]).expect("a key")]), None).await;
    assert_eq!(told, Err(NoAnswer::NotReady), "not even once");
    holds(&exchange, "things", &known).await;
    assert_eq!(made(&exchange, "things", Cause::Deleted), 1);

    // Every page but the first.
    let file = file(dir.path(), "things");
    let bytes = fs::read(&file).expect("read").len();
    let garbage = vec![0x5a; bytes - 8_192];
    let opened = fs::OpenOptions::new().write(true).open(&file).expect("there");
    std::os::unix::fs::FileExt::write_all_at(&opened, &garbage, 8_192).expect("written");
    // Whoever reads may have some pages in memory; once one record has changed, they are read again.
    publish(&exchange, "things", &mut known, [(7, "binh")].into_iter()).await;
    holds(&exchange, "things", &known).await;
    assert_eq!(made(&exchange, "things", Cause::Damaged), 1);
    exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_copy_of_a_log_that_was_cut_or_replaced_is_made_anew() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), plain()).await;
    let mut known = Things::new();
    publish(&exchange, "things", &mut known, (0..50).map(|id| (id, "an"))).await;
    holds(&exchange, "things", &known).await;
    exchange.drain(SOON).await;
    drop(exchange);
    let before = dir.path().join("before");
    fs::create_dir(&before).expect("made");
    let parts = ["log", "control.json", "index"];
    for part in parts {
        copy_all(&dir.path().join(part), &before.join(part));
    }
    let mut lost = known.clone();
    let exchange = node(log(dir.path()), dir.path()).await;
    publish(&exchange, "things", &mut lost, (0..90).map(|id| (id, "binh"))).await;
    holds(&exchange, "things", &lost).await;
    for goes_on in [false, true] {
        // The log as it was: the copy is ahead of it, or, once something else was published, of another one.
        let copies = dir.path().join("copies");
        let kept = dir.path().join(format!("kept {goes_on}"));
        if !goes_on {
            exchange.drain(SOON).await;
        }
        copy_all(&copies, &kept);
        for part in parts {
            let path = dir.path().join(part);
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }.expect("removed");
            copy_all(&before.join(part), &path);
        }
        let _ = fs::remove_file(dir.path().join("control.snapshot"));
        let mut known = known.clone();
        if goes_on {
            let exchange = node(log(dir.path()), dir.path()).await;
            publish(&exchange, "things", &mut known, (0..200).map(|id| (id, "an"))).await;
            exchange.drain(SOON).await;
            fs::remove_dir_all(&copies).expect("removed");
            copy_all(&dir.path().join("kept false"), &copies);
        }
        let exchange = node(log(dir.path()), dir.path()).await;
        holds(&exchange, "things", &known).await;
        let cause = if goes_on { Cause::OtherLog } else { Cause::AheadOfLog };
        assert_eq!(made(&exchange, "things", cause), 1, "{cause:?}");
        exchange.drain(SOON).await;
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("made");
        for entry in fs::read_dir(from).expect("listed") {
            let path = entry.expect("entry").path();
            copy_all(&path, &to.join(path.file_name().expect("a name")));
        }
    } else if from.exists() {
        fs::copy(from, to).expect("copied");
    }
}

#[tokio::test]
async fn other_secondary_keys_make_it_anew_and_a_definition_without_a_copy_removes_it() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), plain()).await;
    let mut known = Things::new();
    publish(&exchange, "things", &mut known, (0..30).map(|id| (id, "an"))).await;
    holds(&exchange, "things", &known).await;
    apply(&exchange, dataset("things", "reference.remark", &[OWNER])).await;
    let gone = secondary(BOTH, &["sheet 0", "an"], 5);
    while ask(&exchange, "things", &gone, None).await != Err(NoAnswer::NoSuchKey) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    holds(&exchange, "things", &known).await;
    assert_eq!(made(&exchange, "things", Cause::Definition), 1);
    let without = dataset("things", "reference.remark", &[]).into_iter().map(|change| match change.resource {
        Some(Resource::Dataset(dataset)) => {
            control::Change { resource: Some(Resource::Dataset(catalog::Dataset { current_copy: None, ..dataset })) }
        }
        resource => control::Change { resource },
    });
    apply(&exchange, without.collect()).await;
    while ask(&exchange, "things", &gone, None).await != Err(NoAnswer::NoCopy) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    exchange.drain(SOON).await;
    assert_eq!(files(dir.path(), "things"), 0);
}

#[tokio::test]
async fn personal_data_is_copied_only_with_a_key_and_then_stands_in_no_file() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), personal()).await;
    while ask(&exchange, "people", &Ask::Keys(Vec::new()), None).await != Err(NoAnswer::NoKey) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let exchange = again_with(exchange, dir.path(), Some(CopyKey::new([5; 32]))).await;
    let mut known = Things::new();
    publish(&exchange, "people", &mut known, [(1, "Nguyễn Thị Bí Mật"), (2, "an"), (3, "binh")].into_iter()).await;
    holds(&exchange, "people", &known).await;
    let looked_at = planted(&dir.path().join("copies"), "Bí Mật") + planted(&dir.path().join("copies"), "id 1");
    assert!(looked_at > 20_000, "the `-wal` is among the files");
    assert_eq!(current(&exchange, "people", &secondary(OWNER, &["Nguyễn Thị Bí Mật"], 5)).await.records.len(), 1);

    // Another key: nothing can be read, so it is made anew. None: it goes.
    let exchange = again_with(exchange, dir.path(), Some(CopyKey::new([6; 32]))).await;
    holds(&exchange, "people", &known).await;
    assert_eq!(made(&exchange, "people", Cause::Definition), 1);
    let exchange = again_with(exchange, dir.path(), None).await;
    while ask(&exchange, "people", &Ask::Keys(Vec::new()), None).await != Err(NoAnswer::NoKey) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    exchange.drain(SOON).await;
    assert_eq!(files(dir.path(), "people"), 0);
}

async fn again_with(exchange: Arc<Exchange>, dir: &Path, key: Option<CopyKey>) -> Arc<Exchange> {
    exchange.drain(SOON).await;
    drop(exchange);
    node_with(log(dir), dir, key).await
}

/// Bytes looked through, none of which are the text.
fn planted(dir: &Path, text: &str) -> usize {
    let mut looked = 0;
    for entry in fs::read_dir(dir).expect("listed") {
        let bytes = fs::read(entry.expect("entry").path()).expect("read");
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
        looked += bytes.len();
    }
    looked
}

/// What another node wrote after it was deposed stands on the log and does not count.
#[tokio::test]
async fn a_record_of_an_epoch_that_does_not_reign_is_not_in_the_copy() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = world_with(dir.path(), plain()).await;
    let mut known = Things::new();
    publish(&exchange, "things", &mut known, (0..10).map(|id| (id, "an"))).await;
    holds(&exchange, "things", &known).await;
    let log = exchange_log(&exchange);
    let partition = |index| Partition { topic: dataset_topic(Stage::Live, &name("things")), index };
    for index in 0..2 {
        let fetched = log.fetch(&partition(index), 0, 1 << 20, Duration::ZERO).await.expect("read");
        let entry =
            fetched.entries.iter().find(|entry| entry.key.as_deref() != Some(b"\0ldop-epoch")).expect("a record");
        let old = NewEntry {
            key: entry.key.clone(),
            value: entry.value.as_ref().map(|_| Bytes::from_static(b"{\"id\": \"void\"}")),
            headers: vec![("ce_id", entry.header("ce_id").expect("there").clone()), ("ldop", void_header(entry))],
            timestamp: TimestampMs::now(),
        };
        let appender = log.appender(partition(index)).await.expect("an appender");
        appender.append(vec![old]).expect("taken").await.expect("durable");
    }
    holds(&exchange, "things", &known).await;
    exchange.drain(SOON).await;
}

/// The header of a record, of the epoch before.
fn void_header(entry: &ldop_log::Entry) -> Bytes {
    use prost::Message as _;
    let header = entry.header("ldop").expect("there").clone();
    let mut header = ldop_contract::record::v1::RecordHeader::decode(header).expect("a header");
    header.epoch -= 1;
    header.encode_to_vec().into()
}

/// Nobody can say of a record that was lost that there is none.
#[tokio::test]
async fn a_log_that_has_lost_its_beginning_gives_no_copy() {
    let dir = tempfile::tempdir().expect("folder");
    let mut config = embedded::Config::new(dir.path().join("log"));
    config.upkeep_interval = Duration::from_millis(20);
    let log: Arc<dyn MessageLog> = EmbeddedLog::open(config).expect("open log");
    let exchange = with_samples(node(Arc::clone(&log), dir.path()).await).await;
    let fleeting = plain().into_iter().map(|change| match change.resource {
        Some(Resource::Dataset(dataset)) => {
            let dataset = catalog::Dataset { retention_seconds: 2, current_copy: None, ..dataset };
            control::Change { resource: Some(Resource::Dataset(dataset)) }
        }
        resource => control::Change { resource },
    });
    apply(&exchange, fleeting.collect()).await;
    let mut known = Things::new();
    publish(&exchange, "things", &mut known, (0..20).map(|id| (id, "an"))).await;
    let lost = async {
        for index in (0..2).cycle() {
            let partition = Partition { topic: dataset_topic(Stage::Live, &name("things")), index };
            if log.watermarks(&partition).await.expect("watermarks").start > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, lost).await.expect("retention takes what is older than two seconds");
    // There is something again behind what was lost.
    publish(&exchange, "things", &mut known, (0..20).map(|id| (id, "binh"))).await;
    apply(&exchange, plain()).await;
    let asked = Ask::Keys(vec![key_bytes(["id 1"]).expect("a key")]);
    for _ in 0..30 {
        let told = ask(&exchange, "things", &asked, None).await;
        assert!(matches!(told, Err(NoAnswer::NotReady | NoAnswer::NoCopy)), "{told:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A thing told with an event time so many hours ago, or its deletion.
async fn tell(exchange: &Arc<Exchange>, dataset: &str, told: &[(&str, i64, Option<&str>)]) {
    let mut publisher =
        Publisher::open(Arc::clone(exchange), system(PROVIDER), name(dataset), Stage::Live).expect("may provide");
    let records = told.iter().map(|(id, time, owner)| {
        let payload = match owner {
            Some(owner) => serde_json::json!({ "id": id, "owner": owner }),
            None => serde_json::json!({ "id": id }),
        };
        let payload = serde_json::to_vec(&payload).expect("JSON").into();
        let sample = Sample { payload, event_time: TimestampMs(*time), ..good(1).remove(0) };
        Incoming { is_deletion: owner.is_none(), ..incoming(ExchangeId::new(), &sample) }
    });
    for verdict in send(&mut publisher, records.collect()).await {
        receipt(&verdict);
    }
}

/// Owners of things as of a time.
async fn owners(exchange: &Exchange, dataset: &str, ids: &[&str], time: i64) -> Vec<Option<String>> {
    let keys = ids.iter().map(|id| key_bytes([*id]).expect("a key")).collect();
    let answer = current(exchange, dataset, &Ask::AsOf { keys, time: TimestampMs(time) }).await;
    let owner =
        |thing: Option<serde_json::Value>| thing.map(|thing| thing["owner"].as_str().expect("a text").to_owned());
    things(&answer).into_iter().map(owner).collect()
}

#[tokio::test]
async fn values_as_of_a_time_are_those_told_with_an_event_time_up_to_then_also_after_the_copy_is_made_anew() {
    let key = || Some(CopyKey::new([5; 32]));
    for (dataset, changes) in [("things", historic(plain())), ("people", historic(personal()))] {
        let dir = tempfile::tempdir().expect("folder");
        let exchange = world_with(dir.path(), changes).await;
        let exchange = again_with(exchange, dir.path(), key()).await;
        let day = |n: i64| 1_750_000_000_000 + n * 86_400_000;
        let told = [
            ("a", day(1), Some("an")),
            ("a", day(5), Some("binh")),
            ("a", day(3), Some("chi")), // told late
            ("b", day(2), Some("dung")),
            ("b", day(2), Some("em")), // of the same moment: the later one counts
            ("a", day(8), None),
            ("a", day(9), Some("an")),
        ];
        let expected: [(i64, [Option<&str>; 3]); 9] = [
            (day(1) - 1, [None, None, None]),
            (day(1), [Some("an"), None, None]),
            (day(2), [Some("an"), Some("em"), None]),
            (day(3), [Some("chi"), Some("em"), None]),
            (day(5) - 1, [Some("chi"), Some("em"), None]),
            (day(5), [Some("binh"), Some("em"), None]),
            (day(8), [None, Some("em"), None]),
            (day(9), [Some("an"), Some("em"), None]),
            (i64::MAX, [Some("an"), Some("em"), None]),
        ];
        // The first are in it when it is made, the others come while it follows.
        tell(&exchange, dataset, &told[..3]).await;
        assert_eq!(owners(&exchange, dataset, &["a"], day(4)).await, [Some("chi".to_owned())]);
        tell(&exchange, dataset, &told[3..]).await;
        let all = async |exchange: &Arc<Exchange>| {
            for (time, owners) in expected {
                let found = self::owners(exchange, dataset, &["a", "b", "none"], time).await;
                assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), owners, "as of {time}");
            }
        };
        all(&exchange).await;
        let exchange = again_with(exchange, dir.path(), key()).await;
        all(&exchange).await;
        fs::remove_file(file(dir.path(), dataset)).expect("removed");
        let exchange = again_with(exchange, dir.path(), key()).await;
        all(&exchange).await;
        exchange.drain(SOON).await;
    }
}

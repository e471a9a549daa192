//! Personal data on the log: encrypted, its keys hashed, read by nobody without the hub's secret; and deletions.

use std::fs;

use ldop_catalog::Mode;
use ldop_exchange::{
    copy::{Ask, CopyKey, NoAnswer, key_bytes},
    erase::{self, Erase},
    transfer::{
        changes::{Change, Changes, ReadChanges},
        export::{Export, Exporting},
    },
};
use serde_json::{Value, json};

use super::*;

const CANARY: &str = "Hoàng Yến Trong Mỏ";
const CANARY_KEY: &str = "KS-21583-2026-7777777";

/// A record that is found again by its texts.
fn canary() -> Sample {
    let mut sample = good(1).remove(0);
    let mut record: Value = serde_json::from_slice(&sample.payload).expect("JSON");
    record["full_name"] = CANARY.into();
    record["register_no"] = CANARY_KEY.into();
    sample.payload = serde_json::to_vec(&record).expect("JSON").into();
    sample
}

fn deletion(id: ExchangeId, key: &Value) -> Incoming {
    Incoming {
        exchange_id: Bytes::copy_from_slice(id.as_bytes()),
        payload: serde_json::to_vec(key).expect("JSON").into(),
        event_time: Ok(None),
        is_deletion: true,
    }
}

fn key() -> Value {
    json!({ "register_no": CANARY_KEY })
}

/// Files below a folder that hold some bytes.
fn files_with(dir: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, wanted));
        } else if fs::read(&path).expect("readable").windows(wanted.len()).any(|bytes| bytes == wanted) {
            found.push(path);
        }
    }
    found
}

/// Entries of the dataset's topic that are records.
async fn stored(exchange: &Exchange) -> Vec<ldop_log::Entry> {
    let mut all = Vec::new();
    for index in 0..exchange.control.state().dataset(&births()).expect("there").value.definition.partitions {
        let partition = Partition { topic: dataset_topic(Stage::Live, &births()), index };
        let mut next = exchange.log().watermarks(&partition).await.expect("there").start;
        loop {
            let fetched = exchange.log().fetch(&partition, next, 1 << 20, Duration::ZERO).await.expect("read");
            if fetched.entries.is_empty() {
                break;
            }
            all.extend(fetched.entries.into_iter().filter(|entry| entry.header("ce_id").is_some()));
            next = fetched.next;
        }
    }
    all
}

#[tokio::test]
async fn who_reads_the_log_with_another_tool_learns_nothing_and_consumers_see_what_is_granted() {
    let dir = tempfile::tempdir().expect("folder");
    let copy_key = Some(CopyKey::new([9; 32]));
    let exchange = with_samples(node_with(log(dir.path()), dir.path(), copy_key.clone()).await).await;
    let mut sender = publisher(&exchange);
    let samples = good(50);
    let records = samples.iter().chain([&canary()]).map(|sample| incoming(ExchangeId::new(), sample)).collect();
    let verdicts = send(&mut sender, records).await;
    let id = ExchangeId::new();
    let twice = send(&mut sender, vec![incoming(id, &canary()), incoming(id, &canary())]).await;
    assert!(receipt(&twice[1]).repeated, "compared with what is encrypted");
    for verdict in &verdicts {
        let (meta, commitment) = (receipt(verdict).meta, receipt(verdict).commitment);
        assert!(meta.is_sealed && !meta.framed);
        let sample = samples.iter().map(|s| &s.payload).find(|p| header::commit(&meta.salt, p) == commitment);
        assert!(
            sample.is_some() || header::commit(&meta.salt, &canary().payload) == commitment,
            "to the payload itself"
        );
    }
    let entries = stored(&exchange).await;
    assert_eq!(entries.len(), 52);
    assert!(entries.iter().all(|entry| entry.key.as_ref().is_some_and(|key| key.len() == 16)));
    let same_key: Vec<_> = entries.iter().filter(|e| e.key == entries.last().expect("some").key).collect();
    assert!(same_key.windows(2).all(|pair| pair[0].value != pair[1].value), "each record with its own nonce");

    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let received = drain(&mut subscription).await;
    assert_eq!(received.len(), 52);
    let names: Vec<Value> = received
        .iter()
        .map(|(_, r)| serde_json::from_slice::<Value>(&r.payload).expect("JSON")["full_name"].clone())
        .collect();
    assert_eq!(names.iter().filter(|name| *name == CANARY).count(), 2);
    drop((subscription, sender));
    exchange.drain(SOON).await;
    drop(exchange);
    assert_eq!(files_with(dir.path(), CANARY.as_bytes()), Vec::<PathBuf>::new());
    assert_eq!(files_with(dir.path(), CANARY_KEY.as_bytes()), Vec::<PathBuf>::new());

    // Everything is read again after a restart without what is derived.
    fs::remove_dir_all(dir.path().join("index")).expect("removed");
    let exchange = node_with(log(dir.path()), dir.path(), copy_key).await;
    let mut sender = publisher(&exchange);
    assert!(receipt(&send(&mut sender, vec![incoming(id, &canary())]).await[0]).repeated);
}

#[tokio::test]
async fn a_node_with_another_secret_does_not_start() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    exchange.drain(SOON).await;
    drop(exchange);
    fs::remove_file(dir.path().join("hub-secret")).expect("removed");
    let options = Options {
        dir: dir.path().to_owned(),
        node_id: rand_id(),
        deadline: SOON,
        agreements: Rules::without_approvals(),
    };
    let control = Control::open(log(dir.path()), options).await.expect("opens");
    let before = control.state().head;
    let other = ldop_exchange::secret_of(dir.path()).expect("made anew").fingerprint();
    let refused = control.take_epoch(other).await;
    assert!(matches!(refused, Err(ldop_control::ControlError::OtherSecret)), "{refused:?}");
    assert_eq!(control.state().head, before, "nothing was written");
}

#[tokio::test]
async fn a_deletion_reaches_consumers_and_empties_the_copy() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = with_samples(node_with(log(dir.path()), dir.path(), Some(CopyKey::new([9; 32]))).await).await;
    let mut dataset = (*exchange.control.state().stored.datasets["civil-status"]).clone();
    (dataset.retention_seconds, dataset.current_copy) = (0, Some(ldop_contract::catalog::v1::CurrentCopy::default()));
    let mut agreement = (*exchange.control.state().stored.agreements["civil-status-to-social-insurance"]).clone();
    agreement.granted_fields = vec!["register_no".into(), "full_name".into()];
    agreement.modes = [Mode::Subscribe, Mode::Changes, Mode::Export]
        .map(|mode| match mode {
            Mode::Subscribe => ldop_contract::catalog::v1::Mode::Subscribe.into(),
            Mode::Changes => ldop_contract::catalog::v1::Mode::Changes.into(),
            _ => ldop_contract::catalog::v1::Mode::Export.into(),
        })
        .to_vec();
    let changed = [Resource::Dataset(dataset), Resource::Agreement(agreement.clone())];
    apply(&exchange, changed.map(|resource| control::Change { resource: Some(resource) }).into()).await;

    let mut sender = publisher(&exchange);
    let (born, gone) = (ExchangeId::new(), ExchangeId::new());
    receipt(&send(&mut sender, vec![incoming(born, &canary())]).await[0]);
    let asked = Ask::Keys(vec![key_bytes([CANARY_KEY]).expect("a key")]);
    assert!(answer(&exchange, &asked).await.is_some());

    let verdicts = send(&mut sender, vec![deletion(gone, &key()), deletion(gone, &key())]).await;
    let deleted = receipt(&verdicts[0]);
    assert!(deleted.meta.is_deletion && deleted.meta.is_sealed);
    assert!(receipt(&verdicts[1]).repeated);
    assert_eq!(deleted.partition, receipt(&send(&mut sender, vec![incoming(born, &canary())]).await[0]).partition);
    let status =
        publish::status(&exchange, &system(Dataset::CivilStatus.provider()), &births(), Stage::Live, gone).await;
    assert!(matches!(status, Ok(Status::Accepted(told)) if told.commitment == deleted.commitment));
    assert_eq!(answer(&exchange, &asked).await, None, "what was deleted is not found");

    // The same id for something else, though the bytes are alike; more than a key; less; none.
    let same = Incoming { is_deletion: false, ..deletion(gone, &key()) };
    assert_eq!(refusal(&send(&mut sender, vec![same]).await[0]).reason, Reason::ExchangeIdReused);
    for bad in
        [json!({ "register_no": CANARY_KEY, "kind": "birth" }), json!({}), json!({ "register_no": "" }), json!([])]
    {
        let verdicts = send(&mut sender, vec![deletion(ExchangeId::new(), &bad)]).await;
        let told = refusal(&verdicts[0]);
        assert_eq!((told.reason, told.findings[0].rule), (Reason::RecordInvalid, Rule::Key), "{bad}");
    }

    let shown = |payload: &Bytes| serde_json::from_slice::<Value>(payload).expect("JSON");
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let received = drain(&mut subscription).await;
    let told: Vec<_> = received.iter().map(|(_, r)| (r.is_deletion, shown(&r.payload))).collect();
    assert_eq!(told[1], (true, key()));
    assert_eq!((told.len(), told[0].0), (2, false));
    drop(subscription);

    let consumer = system("bhxh-tinh/tiep-nhan");
    let id = AgreementId::parse(&agreement.id).expect("an id");
    let asking = ReadChanges { agreement: id.clone(), start: Start::Earliest, most_records: None };
    let mut changes = Changes::open(Arc::clone(&exchange), consumer.clone(), asking).await.expect("granted");
    let mut kinds = Vec::new();
    while let Change::Batch { records, .. } = changes.next().await.expect("goes on") {
        kinds.extend(records.into_iter().map(|record| record.is_deletion));
    }
    assert_eq!(kinds, [false, true]);
    // From the copy there is nothing left to give.
    let mut export = Exporting::open(Arc::clone(&exchange), consumer, &id, b"").await.expect("granted");
    assert!(matches!(export.next().await, Ok(Export::Finished(given)) if given.records == 0));

    // Who may see only some rows, by what a deletion does not tell, does not hear of it.
    agreement.row_condition = r#"this.full_name != """#.into();
    apply(&exchange, vec![control::Change { resource: Some(Resource::Agreement(agreement)) }]).await;
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let received = drain(&mut subscription).await;
    assert_eq!(received.iter().map(|(_, r)| r.is_deletion).collect::<Vec<_>>(), [false]);
    assert_eq!(exchange.metrics.withheld.get(), 1);
}

/// The copy's answer once it holds everything that was accepted.
async fn answer(exchange: &Exchange, asked: &Ask) -> Option<Bytes> {
    for _ in 0..3_000 {
        match exchange.copies.look_up(&births(), Stage::Live, asked, Some(Duration::ZERO)).await {
            Ok(answer) => return answer.records[0].as_ref().map(|found| found.payload.clone()),
            Err(NoAnswer::NotReady | NoAnswer::TooOld { .. } | NoAnswer::NoCopy) => {}
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no answer");
}

#[tokio::test]
async fn what_is_erased_by_order_is_read_by_nobody_again_and_everything_else_is() {
    let dir = tempfile::tempdir().expect("folder");
    let copy_key = Some(CopyKey::new([9; 32]));
    let exchange = with_samples(node_with(log(dir.path()), dir.path(), copy_key.clone()).await).await;
    let mut dataset = (*exchange.control.state().stored.datasets["civil-status"]).clone();
    (dataset.retention_seconds, dataset.current_copy) = (0, Some(ldop_contract::catalog::v1::CurrentCopy::default()));
    apply(&exchange, vec![control::Change { resource: Some(Resource::Dataset(dataset)) }]).await;
    let mut sender = publisher(&exchange);
    let others = good(20);
    let (first, again) = (ExchangeId::new(), ExchangeId::new());
    let records = others.iter().map(|sample| incoming(ExchangeId::new(), sample));
    let records = records.chain([incoming(first, &canary()), incoming(again, &canary())]).collect();
    send(&mut sender, records).await;
    let asked = Ask::Keys(vec![key_bytes([CANARY_KEY]).expect("a key")]);
    assert!(answer(&exchange, &asked).await.is_some());

    let order = |key: &Value, order: &str| Erase {
        dataset: births(),
        stage: Stage::Live,
        key: serde_json::to_vec(key).expect("JSON").into(),
        order: order.into(),
        person: "steward so-tu-phap/an".into(),
    };
    let communes = Erase { dataset: DatasetName::parse("communes").expect("a name"), ..order(&key(), "QĐ 1") };
    let refused = erase::erase(&exchange, communes).await;
    assert_eq!(refused, Err(erase::Refused::Reason(Reason::DatasetNotEncrypted)));
    assert_eq!(erase::erase(&exchange, order(&key(), " ")).await, Err(erase::Refused::Order));
    for bad in [json!({}), json!({ "register_no": CANARY_KEY, "kind": "birth" }), json!("x")] {
        let refused = erase::erase(&exchange, order(&bad, "QĐ 1")).await;
        assert!(matches!(refused, Err(erase::Refused::Key(_))), "{refused:?}");
    }

    let erased = erase::erase(&exchange, order(&key(), "QĐ 12/QĐ-STP")).await.expect("erased");
    assert_eq!(answer(&exchange, &asked).await, None);
    let shown = |payload: &Bytes| serde_json::from_slice::<Value>(payload).expect("JSON");
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let received = drain(&mut subscription).await;
    assert_eq!(received.len(), 21, "the others, and that there was one");
    assert_eq!(received.iter().filter(|(_, record)| record.is_deletion).count(), 1);
    assert!(received.iter().all(|(_, record)| shown(&record.payload)["full_name"] != CANARY));
    drop(subscription);
    // Its id is not free, and what it stood for cannot be compared any more.
    let repeat = send(&mut sender, vec![incoming(first, &canary())]).await;
    assert_eq!(refusal(&repeat[0]).reason, Reason::ExchangeIdExpired);

    // A new record of the key is one like any other. Erased twice is erased.
    let anew = ExchangeId::new();
    assert_eq!(receipt(&send(&mut sender, vec![incoming(anew, &canary())]).await[0]).meta.key_generation, 1);
    assert!(answer(&exchange, &asked).await.is_some());
    let second = erase::erase(&exchange, order(&key(), "QĐ 13/QĐ-STP")).await.expect("erased");
    assert!(second.offset > erased.offset && second.partition == erased.partition);
    let last = ExchangeId::new();
    receipt(&send(&mut sender, vec![incoming(last, &canary())]).await[0]);
    drop(sender);
    exchange.drain(SOON).await;
    drop(exchange);

    // Also for whoever reads everything anew.
    fs::remove_dir_all(dir.path().join("index")).expect("removed");
    fs::remove_dir_all(dir.path().join("copies")).expect("removed");
    let exchange = node_with(log(dir.path()), dir.path(), copy_key).await;
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let received = drain(&mut subscription).await;
    let canaries: Vec<_> = received.iter().filter(|(_, r)| shown(&r.payload)["full_name"] == CANARY).collect();
    assert_eq!(canaries.iter().map(|(_, r)| r.exchange_id).collect::<Vec<_>>(), [last]);
    assert_eq!(received.iter().filter(|(_, record)| record.is_deletion).count(), 2);
    assert!(answer(&exchange, &asked).await.is_some_and(|payload| shown(&payload)["full_name"] == CANARY));
}

//! The whole road without a network: sample definitions, embedded log, admission, delivery. The log leaves gaps in its
//! offsets, so that nothing here can count on dense ones.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use ldop_contract::{
    catalog::v1::Agreement,
    control::v1::{self as control, change::Resource},
};
use ldop_control::{Control, Options, Rules};
use ldop_definitions::References;
use ldop_exchange::{
    Config, Exchange,
    copy::CopyKey,
    exit::Delivered,
    header::{self, dataset_topic},
    metrics::Metrics,
    publish::{self, Incoming, NoSuchTime, Publisher, Receipt, Refusal, Status, Verdict},
    subscribe::{Delivery, OpenSubscription, Start, Subscription},
    writer::Node,
};
use ldop_log::{
    LogError, MessageLog, NewEntry, Partition, TopicName,
    embedded::{self, EmbeddedLog},
};
use ldop_sample_data::{Dataset, Sample};
use ldop_schema_registry::{Limits, Parser};
use ldop_types::{AgreementId, DatasetName, ExchangeId, Reason, Rule, Stage, SubscriptionName, SystemId, TimestampMs};

#[path = "road/codes.rs"]
mod codes;
#[path = "road/copy.rs"]
mod copy;
#[path = "road/life.rs"]
mod life;
#[path = "road/personal.rs"]
mod personal;
#[path = "road/report.rs"]
mod report;
#[path = "road/views.rs"]
mod views;
#[path = "road/wire_format.rs"]
mod wire_format;

const SOON: Duration = Duration::from_secs(30);

fn schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

fn log(dir: &Path) -> Arc<dyn MessageLog> {
    let mut config = embedded::Config::new(dir.join("log"));
    config.offset_gap = 2;
    EmbeddedLog::open(config).expect("open log")
}

async fn node(log: Arc<dyn MessageLog>, dir: &Path) -> Arc<Exchange> {
    node_with(log, dir, None).await
}

async fn node_with(log: Arc<dyn MessageLog>, dir: &Path, copy_key: Option<CopyKey>) -> Arc<Exchange> {
    node_asking(log, dir, copy_key, Rules::without_approvals()).await
}

async fn node_asking(
    log: Arc<dyn MessageLog>,
    dir: &Path,
    copy_key: Option<CopyKey>,
    agreements: Rules,
) -> Arc<Exchange> {
    let options = Options { dir: dir.to_owned(), node_id: rand_id(), deadline: SOON, agreements };
    let node_id = options.node_id;
    std::fs::create_dir_all(dir).expect("folder");
    let control = Control::open(Arc::clone(&log), options).await.expect("open control log");
    let epoch =
        control.take_epoch(ldop_exchange::secret_of(dir).expect("secret").fingerprint()).await.expect("take epoch");
    tokio::spawn(Arc::clone(&control).follow());
    let metrics = Arc::new(Metrics::new(&Default::default()).expect("metrics"));
    let config = Config {
        data_dir: dir.to_owned(),
        record_bytes: 1 << 20,
        idempotency_window: Duration::from_secs(7 * 86_400),
        append_deadline: SOON,
        rebuild_index: false,
        copy_key,
        look_ups: 256,
        clock: Arc::new(ldop_exchange::clock::Clock::new()),
    };
    Exchange::open(log, control, Node { id: node_id, epoch }, config, metrics).await.expect("open exchange")
}

fn rand_id() -> [u8; 16] {
    *ExchangeId::new().as_bytes()
}

async fn apply(exchange: &Exchange, changes: Vec<control::Change>) -> control::ApplyChangeSetResponse {
    let request = control::ApplyChangeSetRequest { change_id: rand_id().to_vec(), changes, ..Default::default() };
    exchange.control.apply("operator so-khcn/test", request).await.expect("apply")
}

async fn sample_world(dir: &Path) -> Arc<Exchange> {
    with_samples(node(log(dir), dir).await).await
}

async fn with_samples(exchange: Arc<Exchange>) -> Arc<Exchange> {
    let loaded = ldop_definitions::load(&[schemas()], References::Within).expect("sample definitions hold");
    apply(&exchange, loaded.changes.into_iter().map(|(_, change)| change).collect()).await;
    exchange
}

/// The sample definitions as if nothing in them were personal data: what is published stands on the log as it is.
async fn public_world(dir: &Path) -> Arc<Exchange> {
    let exchange = node(log(dir), dir).await;
    let loaded = ldop_definitions::load(&[schemas()], References::Within).expect("sample definitions hold");
    let public = |mut change: control::Change| {
        if let Some(Resource::Element(element)) = &mut change.resource {
            element.set_sensitivity(ldop_contract::registry::v1::Sensitivity::None);
        }
        change
    };
    apply(&exchange, loaded.changes.into_iter().map(|(_, change)| public(change)).collect()).await;
    exchange
}

/// Gives another node the secret that this one has.
fn share_secret(of: &Path, with: &Path) {
    std::fs::create_dir_all(with).expect("folder");
    std::fs::copy(of.join(ldop_exchange::secret::FILE), with.join(ldop_exchange::secret::FILE)).expect("copied");
}

fn system(id: &str) -> SystemId {
    SystemId::parse(id).expect("system id")
}

fn births() -> DatasetName {
    DatasetName::parse("civil-status").expect("dataset name")
}

fn publisher(exchange: &Arc<Exchange>) -> Publisher {
    let provider = system(Dataset::CivilStatus.provider());
    Publisher::open(Arc::clone(exchange), provider, births(), Stage::Live).expect("may provide")
}

fn incoming(id: ExchangeId, sample: &Sample) -> Incoming {
    Incoming {
        exchange_id: Bytes::copy_from_slice(id.as_bytes()),
        payload: sample.payload.clone(),
        event_time: Ok(Some(sample.event_time)),
        is_deletion: false,
    }
}

fn good(n: u64) -> Vec<Sample> {
    ldop_sample_data::records(Dataset::CivilStatus, 7, n, 0.0).collect()
}

async fn send(publisher: &mut Publisher, records: Vec<Incoming>) -> Vec<Verdict> {
    publisher.submit(records).await.expect("submitted").verdicts().await.expect("verdicts")
}

fn receipt(verdict: &Verdict) -> &Receipt {
    match verdict {
        Verdict::Accepted(receipt) => receipt,
        Verdict::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn refusal(verdict: &Verdict) -> &Refusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        Verdict::Accepted(_) => panic!("accepted"),
    }
}

async fn subscribe(exchange: &Arc<Exchange>, start: Start) -> Subscription {
    let open = OpenSubscription {
        agreement: AgreementId::parse("civil-status-to-social-insurance").expect("id"),
        name: SubscriptionName::parse("default").expect("name"),
        start,
    };
    let mut subscription =
        Subscription::open(Arc::clone(exchange), system("bhxh-tinh/tiep-nhan"), open).await.expect("granted");
    subscription.add_credit(1_000_000, 1 << 30);
    subscription
}

/// Receives until caught up; acknowledges everything.
async fn drain(subscription: &mut Subscription) -> Vec<(u32, Delivered)> {
    let mut all = Vec::new();
    loop {
        match tokio::time::timeout(SOON, subscription.next()).await.expect("in time").expect("goes on") {
            Delivery::Batch { partition, records, next } => {
                all.extend(records.into_iter().map(|record| (partition, record)));
                subscription.acknowledge(partition, next).expect("sent");
            }
            Delivery::CaughtUp(_) => return all,
        }
    }
}

#[tokio::test]
async fn an_accepted_record_arrives_once_in_order_with_the_granted_fields_only() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let samples = good(500);
    let mut publisher = publisher(&exchange);
    let mut sent = Vec::new();
    for chunk in samples.chunks(100) {
        let records: Vec<_> = chunk.iter().map(|sample| incoming(ExchangeId::new(), sample)).collect();
        let ids: Vec<_> = records.iter().map(|r| r.exchange_id.clone()).collect();
        for (id, verdict) in ids.iter().zip(send(&mut publisher, records).await) {
            sent.push((receipt(&verdict).partition, receipt(&verdict).offset, id.clone()));
        }
    }
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    let granted = subscription.agreement().value.definition.granted_fields.clone();
    let mut received = drain(&mut subscription).await;
    received.sort_by_key(|(partition, record)| (*partition, record.offset));
    sent.sort();
    let got: Vec<_> = received
        .iter()
        .map(|(partition, r)| (*partition, r.offset, Bytes::copy_from_slice(r.exchange_id.as_bytes())))
        .collect();
    assert_eq!(got, sent);
    for (_, record) in &received {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&record.payload).expect("an object");
        assert!(!fields.is_empty() && fields.keys().all(|field| granted.contains(field)));
    }
    drop(subscription);
    exchange.cursors.flush().await.expect("flush");

    let more = incoming(ExchangeId::new(), &good(501)[500]);
    send(&mut publisher, vec![more]).await;
    drop(publisher);
    exchange.drain(SOON).await;
    drop(exchange);
    let exchange = node(log(dir.path()), dir.path()).await;
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    assert_eq!(drain(&mut subscription).await.len(), 1, "only what was not acknowledged");
}

#[tokio::test]
async fn a_repeat_returns_the_first_receipt_also_after_a_restart_and_other_content_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let samples = good(3);
    let id = ExchangeId::new();
    let mut first = publisher(&exchange);
    let verdicts =
        send(&mut first, vec![incoming(id, &samples[0]), incoming(id, &samples[0]), incoming(id, &samples[1])]).await;
    let accepted = receipt(&verdicts[0]).clone();
    assert!(!accepted.repeated);
    assert!(receipt(&verdicts[1]).repeated);
    assert_eq!(receipt(&verdicts[1]).offset, accepted.offset);
    assert_eq!(refusal(&verdicts[2]).reason, Reason::ExchangeIdReused);
    drop(first);
    for graceful in [true, false] {
        let exchange = if graceful {
            exchange.drain(SOON).await;
            node(log(dir.path()), dir.path()).await
        } else {
            // Without what the drain sealed: as after a crash.
            std::fs::remove_dir_all(dir.path().join("index")).expect("remove index");
            node(log(dir.path()), dir.path()).await
        };
        let mut again = publisher(&exchange);
        let verdicts = send(&mut again, vec![incoming(id, &samples[0]), incoming(id, &samples[2])]).await;
        let repeated = receipt(&verdicts[0]);
        let place = |receipt: &Receipt| (receipt.partition, receipt.offset);
        assert_eq!((repeated.repeated, place(repeated)), (true, place(&accepted)));
        assert_eq!(
            (repeated.commitment, repeated.meta.salt, repeated.meta.accepted_time),
            (accepted.commitment, accepted.meta.salt, accepted.meta.accepted_time)
        );
        assert_eq!(refusal(&verdicts[1]).reason, Reason::ExchangeIdReused);
        let mut subscription = subscribe(&exchange, Start::Earliest).await;
        assert_eq!(drain(&mut subscription).await.len(), 1, "one effect");
        drop((subscription, again));
        exchange.drain(SOON).await;
    }
}

#[tokio::test]
async fn every_bad_field_is_told_and_the_corrected_record_goes_through_under_its_id() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let sample = &good(1)[0];
    let mut record: serde_json::Value = serde_json::from_slice(&sample.payload).expect("json");
    record["registered_on"] = "2025-02-30".into();
    record["nobody_agreed_on_this"] = "Nguyễn Thị Bí Mật".into();
    let bad = Sample { payload: serde_json::to_vec(&record).expect("json").into(), ..sample.clone() };
    let id = ExchangeId::new();
    let mut publisher = publisher(&exchange);
    let verdicts = send(&mut publisher, vec![incoming(id, &bad)]).await;
    let told = refusal(&verdicts[0]);
    assert_eq!(told.reason, Reason::RecordInvalid);
    let rules: Vec<_> = told.findings.iter().map(|f| (f.pointer.as_str(), f.rule)).collect();
    assert!(rules.contains(&("", Rule::NotPermitted)), "{rules:?}");
    assert!(rules.contains(&("/registered_on", Rule::Format)), "{rules:?}");
    let shown = format!("{told:?}");
    assert!(!shown.contains("Bí Mật") && !shown.contains("nobody_agreed"), "{shown}");

    let provider = system(Dataset::CivilStatus.provider());
    let status = publish::status(&exchange, &provider, &births(), Stage::Live, id).await.expect("known");
    let Status::Refused(told) = status else { panic!("{status:?}") };
    assert_eq!(told.findings.len(), rules.len());

    let verdicts = send(&mut publisher, vec![incoming(id, sample)]).await;
    assert!(!receipt(&verdicts[0]).repeated);
    let status = publish::status(&exchange, &provider, &births(), Stage::Live, id).await.expect("known");
    assert!(matches!(status, Status::Accepted(r) if r.offset == receipt(&verdicts[0]).offset));
    let unknown = publish::status(&exchange, &provider, &births(), Stage::Live, ExchangeId::new()).await;
    assert_eq!(unknown, Err(Reason::ExchangeNotFound));
}

#[tokio::test]
async fn ids_out_of_their_time_and_callers_out_of_their_right_are_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let sample = &good(1)[0];
    let now = TimestampMs::now().0;
    let at = |ms: i64| ExchangeId::from_parts(TimestampMs(ms), [1; 10]);
    let mut first = publisher(&exchange);
    let short = Incoming { exchange_id: Bytes::from_static(b"short"), ..incoming(at(now), sample) };
    let large = Sample { payload: Bytes::from(vec![b' '; (1 << 20) + 1]), ..sample.clone() };
    let timeless = Incoming { event_time: Err(NoSuchTime), ..incoming(at(now), sample) };
    let verdicts = send(
        &mut first,
        vec![
            timeless,
            incoming(at(now - 8 * 86_400_000), sample),
            incoming(at(now + 600_000), sample),
            short,
            incoming(at(now), &large),
        ],
    )
    .await;
    let reasons: Vec<_> = verdicts.iter().map(|v| refusal(v).reason).collect();
    assert_eq!(
        reasons,
        [
            Reason::EventTimeInvalid,
            Reason::ExchangeIdExpired,
            Reason::ExchangeIdInvalid,
            Reason::ExchangeIdInvalid,
            Reason::RecordTooLarge
        ]
    );
    let open = |who: &str, dataset: &str, stage| {
        let dataset = DatasetName::parse(dataset).expect("name");
        Publisher::open(Arc::clone(&exchange), system(who), dataset, stage).map(|_| ()).expect_err("no right")
    };
    assert_eq!(open("so-nnmt/dat-dai", "civil-status", Stage::Live), Reason::NotAProvider);
    assert_eq!(open("so-khcn/danh-muc", "communes", Stage::Testing), Reason::NotAProvider);
    assert_eq!(open("so-tu-phap/ho-tich", "no-such", Stage::Live), Reason::DatasetUnknown);
    assert_eq!(open("so-tu-phap/khac", "civil-status", Stage::Live), Reason::SystemUnknown);
}

#[tokio::test]
async fn an_agreement_that_changes_or_ends_ends_the_open_stream_with_its_reason() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let stored = exchange.control.state().stored.agreements["civil-status-to-social-insurance"].clone();
    let change = |agreement: Agreement| control::Change { resource: Some(Resource::Agreement(agreement)) };
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    drain(&mut subscription).await;
    let mut fewer = (*stored).clone();
    fewer.granted_fields.pop();
    apply(&exchange, vec![change(fewer.clone())]).await;
    let ended = tokio::time::timeout(SOON, subscription.next()).await.expect("at once");
    assert_eq!(ended, Err(Reason::AgreementChanged));
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    drain(&mut subscription).await;
    apply(&exchange, vec![change(Agreement { ended: true, ..fewer })]).await;
    let ended = tokio::time::timeout(SOON, subscription.next()).await.expect("at once");
    assert_eq!(ended, Err(Reason::AgreementEnded));
}

#[tokio::test]
async fn of_two_nodes_on_one_log_the_later_writes_and_the_earlier_is_fenced() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let samples = good(20);
    let mut old = publisher(&exchange);
    let first = incoming(ExchangeId::new(), &samples[0]);
    send(&mut old, vec![first.clone()]).await;

    // A second node on the same log, as two hubs on one Kafka cluster would be.
    share_secret(dir.path(), &dir.path().join("second"));
    let second = node(exchange_log(&exchange), &dir.path().join("second")).await;
    let mut new = publisher(&second);
    let verdicts = send(&mut new, vec![first, incoming(ExchangeId::new(), &samples[1])]).await;
    assert!(receipt(&verdicts[0]).repeated, "the new writer knows what the old one accepted");

    let late = incoming(ExchangeId::new(), &samples[2]);
    let told = match old.submit(vec![late.clone()]).await {
        Ok(ticket) => ticket.verdicts().await,
        Err(reason) => Err(reason),
    };
    assert_eq!(told, Err(Reason::Fenced), "never both");
    let mut fenced = exchange.fenced();
    tokio::time::timeout(SOON, fenced.wait_for(|f| *f)).await.expect("in time").expect("open");
    // What the old node may have written in vain has no effect.
    let verdicts = send(&mut new, vec![late]).await;
    assert!(!receipt(&verdicts[0]).repeated);
    let mut subscription = subscribe(&second, Start::Earliest).await;
    assert_eq!(drain(&mut subscription).await.len(), 3);
}

fn exchange_log(exchange: &Exchange) -> Arc<dyn MessageLog> {
    exchange.log()
}

/// Appends to a topic what no hub has written until none of its partitions takes another byte.
async fn fill(log: &Arc<dyn MessageLog>, topic: &TopicName, partitions: u32) {
    for size in [100_000, 1_000, 1] {
        for index in 0..partitions {
            // One that has failed takes nothing more.
            let appender = log.appender(Partition { topic: topic.clone(), index }).await.expect("appender");
            loop {
                let value = Some(Bytes::from(vec![1; size]));
                let entry = NewEntry { key: None, value, headers: Vec::new(), timestamp: TimestampMs::now() };
                let Ok(appending) = appender.append(vec![entry]) else { break };
                if appending.await.is_err() {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_on_a_full_log_is_delivered_also_by_a_node_that_cannot_write() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut first = publisher(&exchange);
    for verdict in send(&mut first, good(20).iter().map(|sample| incoming(ExchangeId::new(), sample)).collect()).await {
        receipt(&verdict);
    }
    drop(first);
    exchange.drain(SOON).await;
    drop(exchange);

    // A node that has taken no partition over when the log is full, and so has to append before it may write.
    let mut config = embedded::Config::new(dir.path().join("log"));
    config.max_bytes = 8 << 20;
    let log: Arc<dyn MessageLog> = EmbeddedLog::open(config).expect("open log");
    let exchange = node(Arc::clone(&log), dir.path()).await;
    fill(&log, &dataset_topic(Stage::Live, &births()), 4).await;
    let refused = publisher(&exchange).submit(vec![incoming(ExchangeId::new(), &good(21)[20])]).await.map(|_| ());
    assert_eq!(refused, Err(Reason::LogUnavailable));
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    assert_eq!(drain(&mut subscription).await.len(), 20);
}

#[tokio::test]
async fn a_subscription_opened_twice_belongs_to_the_later_stream() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut first = subscribe(&exchange, Start::Resume).await;
    drain(&mut first).await;
    let mut second = subscribe(&exchange, Start::Resume).await;
    let ended = tokio::time::timeout(SOON, first.next()).await.expect("at once");
    assert_eq!(ended, Err(Reason::SubscriptionTakenOver));
    drop(first);
    drain(&mut second).await;
    assert!(exchange.subscriptions().await.is_empty(), "nothing was acknowledged yet");
}

#[tokio::test]
async fn a_subscriber_without_credit_receives_nothing_and_holds_nothing_back() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut publisher = publisher(&exchange);
    let records = good(50).iter().map(|sample| incoming(ExchangeId::new(), sample)).collect();
    send(&mut publisher, records).await;
    let open = OpenSubscription {
        agreement: AgreementId::parse("civil-status-to-police").expect("id"),
        name: SubscriptionName::parse("slow").expect("name"),
        start: Start::Resume,
    };
    let mut slow =
        Subscription::open(Arc::clone(&exchange), system("cong-an-tinh/doi-soat"), open).await.expect("granted");
    let silent = tokio::time::timeout(Duration::from_millis(300), slow.next()).await;
    assert!(silent.is_err(), "no credit, no record");
    slow.add_credit(7, 1 << 20);
    let mut got = 0;
    while got < 7 {
        match tokio::time::timeout(SOON, slow.next()).await.expect("in time").expect("goes on") {
            Delivery::Batch { records, .. } => got += records.len(),
            Delivery::CaughtUp(_) => panic!("there is more"),
        }
    }
    assert_eq!(got, 7, "not one record beyond the credit");
    let silent = tokio::time::timeout(Duration::from_millis(300), slow.next()).await;
    assert!(silent.is_err());
    let mut quick = subscribe(&exchange, Start::Resume).await;
    assert_eq!(drain(&mut quick).await.len(), 50);
}

/// Records with the same key, and one whose partition comes before theirs.
fn before_and_same_key(exchange: &Exchange) -> (Sample, Sample) {
    let dataset = exchange.control.state().dataset(&births()).expect("dataset").clone();
    let partitions = dataset.value.definition.partitions;
    let key_fields = &dataset.value.definition.key_fields;
    let mut parser = Parser::new(Limits::DEFAULT);
    let mut lane = |sample: &Sample| {
        let mut key = Vec::new();
        parser.parse(&sample.payload).expect("json").key(key_fields, &mut key).expect("key");
        header::partition_of(&key, partitions)
    };
    let samples: Vec<_> = good(200).into_iter().map(|sample| (lane(&sample), sample)).collect();
    let first = samples.iter().min_by_key(|(lane, _)| *lane).expect("samples");
    let later = samples.iter().max_by_key(|(lane, _)| *lane).expect("samples");
    assert!(first.0 < later.0, "{} partitions", partitions);
    (first.1.clone(), later.1.clone())
}

#[tokio::test]
async fn what_a_new_stream_sends_never_passes_what_the_old_one_has_begun() {
    let dir = tempfile::tempdir().expect("folder");
    let mut config = embedded::Config::new(dir.path().join("log"));
    // One batch on its way to the disk is as many as there may be.
    config.in_flight_bytes = 1;
    let exchange = with_samples(node(EmbeddedLog::open(config).expect("open log"), dir.path()).await).await;
    let (elsewhere, same_key) = before_and_same_key(&exchange);
    let (mut old, mut new) = (publisher(&exchange), publisher(&exchange));
    let aside = Partition { topic: TopicName::parse("ldop.exchanges").expect("topic"), index: 0 };
    let aside = exchange_log(&exchange).appender(aside).await.expect("appender");
    // Each call takes over what the full log let it.
    while old.submit(vec![incoming(ExchangeId::new(), &elsewhere)]).await.is_err() {}

    let mut provoked = 0;
    for _ in 0..50 {
        let (before, first, second) = (ExchangeId::new(), ExchangeId::new(), ExchangeId::new());
        let begun = old.submit(vec![incoming(before, &elsewhere), incoming(first, &same_key)]);
        let mut begun = pin!(begun);
        let Poll::Pending = futures::poll!(begun.as_mut()) else {
            continue; // The disk was faster than the second partition's batch.
        };
        provoked += 1;
        // The log is idle again, and the old stream's task has not run yet.
        let appending = loop {
            let entry = NewEntry { key: None, value: None, headers: Vec::new(), timestamp: TimestampMs::now() };
            match aside.append(vec![entry]) {
                Err(LogError::Full) => tokio::task::yield_now().await,
                appending => break appending.expect("taken"),
            }
        };
        appending.await.expect("durable");
        let again = new.submit(vec![incoming(first, &same_key), incoming(second, &same_key)]);
        let mut again = pin!(again);
        let passed = futures::poll!(again.as_mut());
        let (begun, again) = match passed {
            Poll::Ready(again) => (begun.await, again),
            Poll::Pending => futures::join!(begun, again),
        };
        let begun = begun.expect("submitted").verdicts().await.expect("verdicts");
        let again = again.expect("submitted").verdicts().await.expect("verdicts");
        assert!(receipt(&again[0]).repeated);
        assert_eq!(receipt(&again[0]).offset, receipt(&begun[1]).offset);
        assert!(
            receipt(&again[1]).offset > receipt(&begun[1]).offset,
            "the later record of the key has passed the first"
        );
    }
    assert!(provoked > 0, "the old stream never had to wait");
}

//! Look-ups and transfers without a network: a provider that does everything a provider can do wrong, callers that go away, and what is
//! on the log afterwards.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use ldop_contract::{
    catalog::v1::Agreement,
    control::v1::{self as control, ExchangeEvent, LookUpOutcome, change::Resource, exchange_event::Kind},
};
use ldop_control::{Control, Options, Rules};
use ldop_definitions::References;
use ldop_exchange::{
    Config, Exchange,
    clock::Clock,
    copy::CopyKey,
    look_up::{
        self, Answered, KeyAnswer, LookUp, Refused,
        connection::{Answer, Fate, Question, Reply, Said},
        serving::Serving,
    },
    metrics::Metrics,
    writer::Node,
};
use ldop_log::{
    MessageLog, Partition, TopicName,
    embedded::{self, EmbeddedLog},
};
use ldop_sample_data::{Dataset, Sample};
use ldop_types::{AgreementId, DatasetName, ExchangeId, Reason, Stage, SystemId};
use prometheus::Registry;
use prost::Message as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

#[path = "look_up/account.rs"]
mod account;
#[path = "look_up/fair.rs"]
mod fair;
#[path = "look_up/faults.rs"]
mod faults;
#[path = "look_up/find.rs"]
mod find;
#[path = "look_up/matrix.rs"]
mod matrix;
#[path = "look_up/quotas.rs"]
mod quotas;
#[path = "look_up/transfers.rs"]
mod transfers;
#[path = "look_up/views.rs"]
mod views;

const SOON: Duration = Duration::from_secs(30);
const PROVIDER: &str = "so-tu-phap/ho-tich";
const CONSUMER: &str = "bhxh-tinh/tiep-nhan";
const AGREEMENT: &str = "civil-status-to-social-insurance";
/// Look-ups in flight.
const LOOK_UPS: usize = 1_024;
const OFFICER: &str = "can-bo-Bí-Mật-079";
const CASE: &str = "000.00.16.H21-260115-0001";

struct World {
    dir: PathBuf,
    exchange: Arc<Exchange>,
    log: Arc<dyn MessageLog>,
    registry: Registry,
}

async fn node(log: Arc<dyn MessageLog>, dir: &Path) -> World {
    node_at(log, dir, Arc::new(Clock::new())).await
}

async fn node_at(log: Arc<dyn MessageLog>, dir: &Path, clock: Arc<Clock>) -> World {
    let node_id = *ExchangeId::new().as_bytes();
    std::fs::create_dir_all(dir).expect("folder");
    let options = Options { dir: dir.to_owned(), node_id, deadline: SOON, agreements: Rules::without_approvals() };
    let control = Control::open(Arc::clone(&log), options).await.expect("open control log");
    let epoch =
        control.take_epoch(ldop_exchange::secret_of(dir).expect("secret").fingerprint()).await.expect("take epoch");
    tokio::spawn(Arc::clone(&control).follow());
    let registry = Registry::new();
    let metrics = Arc::new(Metrics::new(&registry).expect("metrics"));
    let config = Config {
        data_dir: dir.to_owned(),
        record_bytes: 1 << 20,
        idempotency_window: Duration::from_secs(7 * 86_400),
        append_deadline: SOON,
        rebuild_index: false,
        copy_key: Some(CopyKey::new([5; 32])),
        look_ups: LOOK_UPS,
        clock,
    };
    let node = Node { id: node_id, epoch };
    let exchange = Exchange::open(Arc::clone(&log), control, node, config, metrics).await.expect("open exchange");
    World { dir: dir.to_owned(), exchange, log, registry }
}

async fn world(dir: &Path) -> World {
    world_at(dir, Arc::new(Clock::new())).await
}

async fn world_at(dir: &Path, clock: Arc<Clock>) -> World {
    let log = EmbeddedLog::open(embedded::Config::new(dir.join("log"))).expect("open log");
    let world = node_at(log, dir, clock).await;
    let schemas: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let loaded = ldop_definitions::load(&[schemas], References::Within).expect("sample definitions hold");
    world.apply(loaded.changes.into_iter().map(|(_, change)| change).collect()).await;
    world
}

impl World {
    async fn apply(&self, changes: Vec<control::Change>) {
        let change_id = ExchangeId::new().as_bytes().to_vec();
        let request = control::ApplyChangeSetRequest { change_id, changes, ..Default::default() };
        self.exchange.control.apply("operator so-khcn/test", request).await.expect("apply");
    }

    async fn end_agreement(&self) {
        let stored = self.exchange.control.state().stored.agreements[AGREEMENT].clone();
        let ended = Agreement { ended: true, ..(*stored).clone() };
        self.apply(vec![control::Change { resource: Some(Resource::Agreement(ended)) }]).await;
    }

    fn serve(&self) -> Serving {
        let (serving, terms) =
            Serving::open(&self.exchange, system(PROVIDER), births(), Stage::Live).expect("may serve");
        assert_eq!((terms.key_fields, terms.schema_version), (vec!["register_no".to_owned()], 1));
        serving
    }

    /// Serves in a task of its own, answering by a function.
    fn answering(&self, answer: impl Fn(&Question) -> Vec<Reply> + Send + 'static) -> tokio::task::JoinHandle<()> {
        let mut serving = self.serve();
        tokio::spawn(async move {
            while let Ok((id, question)) = serving.next().await {
                serving.answer(id, Answer { replies: answer(&question), hold: None });
            }
        })
    }

    fn call(&self, keys: Vec<Bytes>) -> BoxFuture<'static, Result<Answered, Refused>> {
        self.call_within(keys, SOON)
    }

    fn call_within(&self, keys: Vec<Bytes>, time: Duration) -> BoxFuture<'static, Result<Answered, Refused>> {
        let (exchange, request) = (Arc::clone(&self.exchange), request(keys));
        async move { look_up::look_up(&exchange, &system(CONSUMER), request, Instant::now() + time).await }.boxed()
    }

    /// A counter as `/metrics` tells it.
    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let families = self.registry.gather();
        let Some(family) = families.iter().find(|family| family.name() == name) else { return 0 };
        let fits = |metric: &&prometheus::proto::Metric| {
            labels.iter().all(|(label, value)| {
                metric.get_label().iter().any(|pair| pair.name() == *label && pair.value() == *value)
            })
        };
        family.get_metric().iter().filter(fits).map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// Ends the exchange and reads what is on `ldop.exchanges`.
    async fn events(self) -> Vec<Kind> {
        self.exchange.drain(SOON).await;
        let dir = self.dir.join("log");
        drop(self);
        events_in(&dir).await
    }
}

async fn events_in(log: &Path) -> Vec<Kind> {
    let log: Arc<dyn MessageLog> = EmbeddedLog::open(embedded::Config::new(log.to_owned())).expect("open log");
    let topic = TopicName::parse("ldop.exchanges").expect("topic");
    let mut events = Vec::new();
    for index in 0..4 {
        let partition = Partition { topic: topic.clone(), index };
        let ends = log.watermarks(&partition).await.expect("watermarks");
        let mut next = ends.start;
        while next < ends.end {
            let fetched = log.fetch(&partition, next, 1 << 20, Duration::ZERO).await.expect("fetch");
            let decoded = fetched
                .entries
                .into_iter()
                .filter_map(|entry| ExchangeEvent::decode(entry.value.expect("a value")).expect("an event").kind);
            events.extend(decoded);
            next = fetched.next;
        }
    }
    events
}

fn system(id: &str) -> SystemId {
    SystemId::parse(id).expect("system id")
}

fn births() -> DatasetName {
    DatasetName::parse("civil-status").expect("dataset name")
}

fn request(keys: Vec<Bytes>) -> LookUp {
    LookUp {
        agreement: AgreementId::parse(AGREEMENT).expect("id"),
        keys,
        officer_id: OFFICER.into(),
        case_number: CASE.into(),
        as_of: None,
    }
}

fn samples(n: u64) -> Vec<Sample> {
    let mut seen = std::collections::HashSet::new();
    let all = ldop_sample_data::records(Dataset::CivilStatus, 7, 4 * n, 0.0);
    all.filter(|sample| seen.insert(register_no(&sample.payload))).take(n as usize).collect()
}

fn register_no(record: &[u8]) -> String {
    let record: serde_json::Value = serde_json::from_slice(record).expect("json");
    record["register_no"].as_str().expect("text").to_owned()
}

fn key(register_no: &str) -> Bytes {
    serde_json::to_vec(&serde_json::json!({ "register_no": register_no })).expect("json").into()
}

fn keys_of(samples: &[Sample]) -> Vec<Bytes> {
    samples.iter().map(|sample| key(&register_no(&sample.payload))).collect()
}

fn record(key: u32, sample: &Sample) -> Reply {
    let said = Said::Record { payload: sample.payload.clone(), event_time: Some(sample.event_time) };
    Reply { key, said }
}

/// Answers with what a register holds.
fn from_register(samples: &[Sample]) -> impl Fn(&Question) -> Vec<Reply> + Send + 'static {
    let held: HashMap<String, Sample> = samples.iter().map(|s| (register_no(&s.payload), s.clone())).collect();
    move |question| {
        let reply = |(at, key): (usize, &Bytes)| match held.get(&register_no(key)) {
            Some(sample) => record(at as u32, sample),
            None => Reply { key: at as u32, said: Said::NoRecord },
        };
        // In another order than asked.
        question.keys.iter().enumerate().map(reply).rev().collect()
    }
}

#[tokio::test]
async fn each_key_has_its_answer_reduced_to_what_is_granted() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(3);
    let serving = world.answering(from_register(&samples[..2]));
    let answered = world.call(keys_of(&samples)).await.expect("answered");
    assert_eq!(answered.agreement_version, 1);
    let [KeyAnswer::Found(first), KeyAnswer::Found(second), KeyAnswer::NotFound { source }] = &answered.answers[..]
    else {
        panic!("{:?}", answered.answers)
    };
    assert_eq!(source.to_string(), PROVIDER);
    let granted = &world.exchange.control.state().stored.agreements[AGREEMENT].granted_fields.clone();
    for (found, sample) in [(first, &samples[0]), (second, &samples[1])] {
        let given: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&found.payload).expect("json");
        let held: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&sample.payload).expect("json");
        let expected: serde_json::Map<_, _> = held.into_iter().filter(|(name, _)| granted.contains(name)).collect();
        assert_eq!(given, expected);
        assert_eq!((found.schema_version, found.event_time), (1, Some(sample.event_time)));
    }
    assert!(!first.payload.windows(9).any(|part| part == b"ethnicity"));
    assert_eq!(world.count("ldop_look_up_keys_total", &[("outcome", "found")]), 2);
    assert_eq!(world.count("ldop_look_up_keys_total", &[("outcome", "not_found")]), 1);
    assert_eq!(world.count("ldop_look_ups_total", &[("result", "answered"), ("dataset", "civil-status")]), 1);
    serving.abort();
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn several_streams_share_the_questions_and_one_that_goes_leaves_the_rest_at_work() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let (mut one, mut other) = (world.serve(), world.serve());
    let first = tokio::spawn(world.call(keys_of(&samples)));
    let second = tokio::spawn(world.call(keys_of(&samples)));
    // Each has one question out: a provider with two streams is asked over both.
    let (id, _) = tokio::time::timeout(SOON, one.next()).await.expect("in time").expect("asked");
    let (other_id, _) = tokio::time::timeout(SOON, other.next()).await.expect("in time").expect("asked");
    drop(one);
    let replies = vec![record(0, &samples[0])];
    assert_eq!(other.answer(other_id, Answer { replies, hold: None }), Fate::Taken);
    let answers = [first.await.expect("ran"), second.await.expect("ran")].map(|call| call.expect("answered").answers);
    let lost = vec![KeyAnswer::NotAnswered(Reason::LookUpNotAnswered)];
    assert_eq!(answers.iter().filter(|answers| **answers == lost).count(), 1, "{answers:?} of question {id}");
    let third = tokio::spawn(world.call(keys_of(&samples)));
    tokio::time::timeout(SOON, other.next()).await.expect("in time").expect("asked again");
    drop(other);
    assert_eq!(third.await.expect("ran").expect("told").answers, lost);
    let refused = world.call(keys_of(&samples)).await.expect_err("nobody serves");
    assert_eq!(refused.reason(), Reason::LookUpNotServed);
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn whoever_may_not_ask_or_serve_is_told_why_and_nobody_is_asked() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let mut serving = world.serve();
    let ask = async |who: &str, request: LookUp| {
        look_up::look_up(&world.exchange, &system(who), request, Instant::now() + SOON).await.expect_err("refused")
    };
    let keys = keys_of(&samples);
    assert_eq!(ask("cong-an-tinh/doi-soat", request(keys.clone())).await.reason(), Reason::NotTheConsumer);
    assert_eq!(ask("so-tu-phap/khac", request(keys.clone())).await.reason(), Reason::SystemUnknown);
    let bad = [
        &b"{}"[..],
        b"[]",
        b"register",
        br#"{"register_no":"KS-1","full_name":"x"}"#,
        br#"{"register_no":null}"#,
        br#"{"register_no":"KS-2"}"#,
        br#"{ "register_no" : "KS-2" }"#,
    ];
    let bad = bad.map(Bytes::copy_from_slice).to_vec();
    let Refused::Keys(told) = ask(CONSUMER, request(bad)).await else { panic!("keys that are none") };
    assert_eq!(told.iter().map(|bad| bad.at).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 6]);
    assert!(matches!(ask(CONSUMER, request(vec![])).await, Refused::Keys(_)));
    let many = (0..101).map(|n| key(&format!("KS-{n}"))).collect();
    assert!(matches!(ask(CONSUMER, request(many)).await, Refused::Keys(_)));
    assert!(serving.next().now_or_never().is_none(), "nobody was asked");

    for (who, dataset, reason) in [
        ("so-nnmt/dat-dai", "civil-status", Reason::NotAProvider),
        (PROVIDER, "no-such", Reason::DatasetUnknown),
        ("so-tu-phap/khac", "civil-status", Reason::SystemUnknown),
    ] {
        let dataset = DatasetName::parse(dataset).expect("name");
        let refused = Serving::open(&world.exchange, system(who), dataset, Stage::Live).map(|_| ());
        assert_eq!(refused, Err(reason));
    }
    world.end_agreement().await;
    assert_eq!(ask(CONSUMER, request(keys)).await.reason(), Reason::AgreementEnded);
    assert_eq!(world.count("ldop_look_ups_total", &[("result", "AGREEMENT_ENDED")]), 1);
    world.exchange.drain(SOON).await;
}

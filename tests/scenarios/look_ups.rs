//! Look-ups end to end: an answer over mutual TLS, a provider that goes with a question, a hub that is killed in the
//! middle. What is on the log afterwards says what was disclosed, and nothing shows a person, an officer or a case.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use ldop_client::{Error, LookUp, LookUpResponse, Provider, Question, Reply, Served, look_up_answer::Outcome};
use ldop_contract::control::v1::{ExchangeEvent, LookUpAnswered, LookUpAsked, LookUpOutcome, exchange_event::Kind};
use ldop_log::{
    MessageLog, Partition, TopicName,
    embedded::{Config as EmbeddedConfig, EmbeddedLog},
    kafka::{Config as KafkaConfig, KafkaLog},
};
use ldop_sample_data::{CANARY_MARKERS, Dataset, canary_record};
use ldop_testkit::wait_until;
use ldop_tests::{Engine, World, world::RETRY};
use ldop_types::{AgreementId, DatasetName, Reason, Stage};
use prost::Message as _;

/// Households: the record key is a personal id.
const REGISTER: Dataset = Dataset::Businesses;
const AGREEMENT: &str = "businesses-to-police";
const CONSUMER: &str = "cong-an-tinh/doi-soat";
const OFFICER: &str = "officer KANARI-OFFICER-7713";
const CASE: &str = "case KANARI-CASE-7713";

async fn within<T>(what: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(Duration::from_secs(60), what).await.context("not within a minute")
}

fn key(tax_id: &str) -> Bytes {
    Bytes::from(serde_json::json!({ "tax_id": tax_id }).to_string())
}

fn tax_id(record: &[u8]) -> anyhow::Result<String> {
    let record: serde_json::Value = serde_json::from_slice(record)?;
    Ok(record["tax_id"].as_str().context("a tax id")?.to_owned())
}

fn look_up(
    world: &World,
    keys: Vec<Bytes>,
) -> anyhow::Result<impl Future<Output = Result<LookUpResponse, Error>> + use<>> {
    let mut look_up = LookUp::new(AgreementId::parse(AGREEMENT)?, keys);
    (look_up.officer_id, look_up.case_number) = (OFFICER.into(), CASE.into());
    look_up.timeout = Duration::from_secs(30);
    let client = world.client(CONSUMER)?;
    Ok(async move { client.look_up(look_up).await })
}

async fn provider(world: &World) -> anyhow::Result<Provider> {
    let mut provider =
        world.client(REGISTER.provider())?.provider(DatasetName::parse(REGISTER.id())?, Stage::Live, RETRY);
    match within(provider.next()).await?? {
        Served::Opened(opened) => ensure!(opened.key_fields == ["tax_id"] && opened.credit == 64, "{opened:?}"),
        Served::Question(question) => bail!("{question:?}"),
    }
    Ok(provider)
}

async fn question(provider: &mut Provider) -> anyhow::Result<Question> {
    match within(provider.next()).await?? {
        Served::Question(question) => Ok(question),
        Served::Opened(opened) => bail!("{opened:?}"),
    }
}

/// What is on `ldop.exchanges`. The hub has ended.
async fn events(world: &World) -> anyhow::Result<Vec<Kind>> {
    let log: Arc<dyn MessageLog> = match world.broker() {
        None => EmbeddedLog::open(EmbeddedConfig::new(world.data_dir().join("log")))?,
        Some(broker) => {
            let mut config = KafkaConfig::new(vec![broker.address().to_string()]);
            (config.replication_factor, config.min_insync_replicas) = (1, 1);
            tokio::task::spawn_blocking(move || KafkaLog::open(config)).await??
        }
    };
    let mut events = Vec::new();
    for index in 0..4 {
        let partition = Partition { topic: TopicName::parse("ldop.exchanges")?, index };
        let ends = log.watermarks(&partition).await?;
        let mut next = ends.start;
        while next < ends.end {
            let fetched = log.fetch(&partition, next, 1 << 20, Duration::from_secs(1)).await?;
            for entry in fetched.entries {
                let value = entry.value.context("a value")?;
                is_clean("ldop.exchanges", &value)?;
                events.extend(ExchangeEvent::decode(value)?.kind);
            }
            next = fetched.next;
        }
    }
    log.close(Duration::from_secs(10)).await?;
    Ok(events)
}

fn is_clean(what: &str, bytes: &[u8]) -> anyhow::Result<()> {
    for marker in CANARY_MARKERS.iter().chain(&["KANARI-OFFICER", "KANARI-CASE"]) {
        let shows = bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
        ensure!(!shows, "{what} shows {marker}");
    }
    Ok(())
}

async fn a_look_up_is_answered_and_accounted_for_whoever_dies(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let hub = world.start_with_samples().await?;
    let record = canary_record(REGISTER, 2);
    let keys = vec![key(&tax_id(&record.payload)?), key("0100233488")];

    // Nobody serves.
    let error = within(look_up(&world, keys.clone())?).await?.err().context("nobody serves")?;
    ensure!(error.reason() == Some(Reason::LookUpNotServed) && error.retry_after().is_some(), "{error:?}");

    // Answered, and reduced to what is granted.
    let mut serving = provider(&world).await?;
    let asked = tokio::spawn(look_up(&world, keys.clone())?);
    let heard = question(&mut serving).await?;
    ensure!(heard.keys == keys && heard.consumer == CONSUMER && heard.agreement == AGREEMENT, "{heard:?}");
    ensure!(heard.time_left > Duration::from_secs(10), "the deadline has not travelled: {:?}", heard.time_left);
    let payload = record.payload.clone();
    heard.answer(vec![Reply::Record { payload, event_time: Some(record.event_time) }, Reply::NoRecord]).await;
    let answered = within(asked).await???;
    let [Some(Outcome::Found(found)), Some(Outcome::NotFound(_))] =
        [0, 1].map(|at| answered.answers[at].outcome.clone())
    else {
        bail!("two other answers")
    };
    let given: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&found.payload)?;
    let held: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&record.payload)?;
    ensure!(given.iter().all(|(name, value)| held.get(name) == Some(value)), "altered");
    ensure!(given.contains_key("name") && !given.contains_key("phone") && held.contains_key("phone"), "not reduced");

    // Its provider goes with a question: whoever asked hears so long before the deadline.
    let asked = tokio::spawn(look_up(&world, keys.clone())?);
    let heard = question(&mut serving).await?;
    drop((serving, heard));
    let lost =
        tokio::time::timeout(Duration::from_secs(20), asked).await.context("heard at the deadline only")???;
    for answer in &lost.answers {
        let Some(Outcome::NotAnswered(told)) = &answer.outcome else { bail!("answered by nobody") };
        ensure!(told.reason == Reason::LookUpNotAnswered.as_str() && told.retryable, "{told:?}");
    }

    // The hub is killed while a question is out.
    let mut serving = provider(&world).await?;
    let asked = tokio::spawn(look_up(&world, keys)?);
    let _heard = question(&mut serving).await?;
    let (_, metrics) = hub.get("/metrics").await?;
    is_clean("/metrics", metrics.as_bytes())?;
    let journal = world.data_dir().join("look-ups");
    wait_until(Duration::from_secs(30), async || askings_on_disk(&journal, 3)).await?;
    hub.kill().await?;
    let error = within(asked).await??.err().context("answered by a hub that is gone")?;
    ensure!(error.is_transient(), "{error:?}");
    drop(serving);
    let hub = world.start().await?;
    hub.stop(Duration::from_secs(30)).await?;
    is_clean("the hub's log", &fs::read(world.log_file())?)?;

    let events = events(&world).await?;
    let asked: Vec<&LookUpAsked> =
        events.iter().filter_map(|kind| if let Kind::LookUpAsked(asked) = kind { Some(asked) } else { None }).collect();
    let answered: Vec<&LookUpAnswered> = events
        .iter()
        .filter_map(|kind| if let Kind::LookUpAnswered(answered) = kind { Some(answered) } else { None })
        .collect();
    let told = |outcome, found| answered.iter().find(move |told| (told.outcome(), told.found) == (outcome, found));
    let unknown = told(LookUpOutcome::Unknown, 0).context("the killed one counts as disclosed")?;
    ensure!(asked.iter().any(|asked| asked.exchange_id == unknown.exchange_id), "an outcome of nothing");
    let given = told(LookUpOutcome::Answered, 1).context("the answered one")?;
    ensure!(given.system == CONSUMER && given.not_found == 1 && given.commitment.len() == 32, "{given:?}");
    let lost = told(LookUpOutcome::Answered, 0).context("the one whose provider went")?;
    ensure!(lost.not_answered == 2 && lost.commitment.is_empty(), "{lost:?}");
    for asked in &asked {
        ensure!(answered.iter().any(|answered| answered.exchange_id == asked.exchange_id), "{asked:?} has no outcome");
        ensure!(
            asked.key_hashes.len() == 2 && asked.officer_hash.len() == 32 && asked.case_hash.len() == 32,
            "{asked:?}"
        );
        ensure!(!asked.purpose.is_empty() && asked.source == REGISTER.provider(), "{asked:?}");
    }
    world.no_panic()
}

/// Whether so many askings are in the journal, all but the last with their outcomes.
fn askings_on_disk(folder: &Path, wanted: usize) -> anyhow::Result<()> {
    let mut found = 0;
    for file in fs::read_dir(folder)? {
        let bytes = fs::read(file?.path())?;
        is_clean("the journal", &bytes)?;
        // Askings and outcomes both name the consumer.
        found += bytes.windows(CONSUMER.len()).filter(|part| *part == CONSUMER.as_bytes()).count();
    }
    ensure!(found >= 2 * wanted - 1, "{found} entries");
    Ok(())
}

ldop_tests::on_both_engines!(a_look_up_is_answered_and_accounted_for_whoever_dies);

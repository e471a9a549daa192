//! What those see who watch the hub: metrics, health, reflection; and that none of it shows personal data.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ldop_client::{Error, LookUp, NewRecord, PublisherConfig, Reply, Served};
use ldop_contract::exchange::v1::{
    PublishRequest, Record, Stage as WireStage, exchange_service_client::ExchangeServiceClient,
};
use ldop_log::{MessageLog as _, Partition, TopicName, embedded::EmbeddedLog};
use ldop_sample_data::{CANARY_MARKERS, Dataset, canary_record};
use ldop_tests::{
    Engine, Hub, Settings, World, audit,
    load::Load,
    world::{self, AGREEMENT, CONSUMER, PROVIDER},
};
use ldop_types::{DatasetName, ExchangeId, Stage};

/// Canary records of each dataset and road.
const CANARIES: u64 = 60;

fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(name);
    ensure!(path.exists(), "no {name} in target/tools: run tests/setup.sh");
    Ok(path)
}

fn names(metrics: &str) -> BTreeSet<String> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Some of everything: accepted and refused records, a subscription, refused calls.
async fn busy_hub() -> anyhow::Result<(World, Hub)> {
    let settings = Settings { tls: "crl = \"pki/ca.crl\"".into(), ..Settings::default() };
    let world = World::with(Engine::Embedded, &settings).await?;
    world.pki().revoke(&[], 30)?;
    let hub = world.start_with_samples().await?;
    let sent = Load::start(vec![world.client(PROVIDER)?], 300).done().await?;
    audit::read_all(&world.client(CONSUMER)?, AGREEMENT, sent[0].len()).await?;
    let dataset = DatasetName::parse("civil-status")?;
    let bad = canary_record(Dataset::CivilStatus, 1);
    let refused =
        world.client(PROVIDER)?.publish_one(&dataset, Stage::Live, ExchangeId::new(), bad.payload, None).await;
    ensure!(refused.is_err(), "a planted error was accepted");
    ensure!(world.client(CONSUMER)?.status().await.is_ok(), "status");
    let mut provider = world.client(PROVIDER)?.provider(dataset, Stage::Live, world::RETRY);
    provider.next().await?;
    let serving = tokio::spawn(async move {
        while let Ok(Served::Question(question)) = provider.next().await {
            question.answer(vec![Reply::NoRecord]).await;
        }
    });
    let key = bytes::Bytes::from_static(br#"{"register_no":"KS-23602-2026-0000002"}"#);
    let look_up = LookUp::new(ldop_types::AgreementId::parse(AGREEMENT)?, vec![key]);
    world.client(CONSUMER)?.look_up(look_up).await?;
    serving.abort();
    // The stream of a subscriber whose agreement ends is counted by reason.
    let mut agreement = {
        let request = ldop_contract::catalog::v1::GetAgreementRequest { id: AGREEMENT.to_owned() };
        world.operator().await?.catalog().get_agreement(request).await?.into_inner().agreement.context("agreement")?
    };
    let name = ldop_types::SubscriptionName::parse("ends")?;
    let mut subscriber = world.client(CONSUMER)?.subscriber(
        ldop_types::AgreementId::parse(AGREEMENT)?,
        name,
        ldop_client::SubscriberConfig::default(),
    );
    subscriber.next().await?;
    agreement.ended = true;
    let resource = Some(ldop_contract::control::v1::change::Resource::Agreement(agreement));
    world.apply(vec![ldop_contract::control::v1::Change { resource }]).await?;
    while subscriber.next().await.is_ok() {}
    // And a current copy.
    let mut dataset = {
        let request = ldop_contract::catalog::v1::GetDatasetRequest { id: "communes".to_owned() };
        world.operator().await?.catalog().get_dataset(request).await?.into_inner().dataset.context("dataset")?
    };
    dataset.current_copy = Some(ldop_contract::catalog::v1::CurrentCopy::default());
    let resource = Some(ldop_contract::control::v1::change::Resource::Dataset(dataset));
    world.apply(vec![ldop_contract::control::v1::Change { resource }]).await?;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        let (_, metrics) = hub.get("/metrics").await?;
        if metrics.contains(r#"ldop_copy_ready{dataset="communes",stage="live"} 1"#) {
            break;
        }
        ensure!(std::time::Instant::now() < deadline, "no current copy:\n{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((world, hub))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_well_formed_and_each_is_documented() -> anyhow::Result<()> {
    let (world, hub) = busy_hub().await?;
    let (status, metrics) = hub.get("/metrics").await?;
    ensure!(status == 200, "{status}");
    let file = world.folder().join("metrics.txt");
    fs::write(&file, &metrics)?;
    let checked = Command::new(tool("promtool")?).args(["check", "metrics"]).stdin(fs::File::open(&file)?).output()?;
    let said = [checked.stdout, checked.stderr].concat();
    ensure!(checked.status.success() && said.is_empty(), "promtool: {}", String::from_utf8_lossy(&said));

    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md"))
        .context("docs/metrics.md")?;
    // Each row of the table begins with the name in code.
    let rows = documented.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
    let shown = names(&metrics);
    ensure!(
        shown == documented,
        "not documented: {:?}; documented and not shown: {:?}",
        shown.difference(&documented).collect::<Vec<_>>(),
        documented.difference(&shown).collect::<Vec<_>>()
    );
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

/// Publishes canary records of a dataset over stream and single calls; returns all that the hub said.
async fn plant(world: &World, dataset: Dataset) -> anyhow::Result<String> {
    let mut said = String::new();
    let client = world.client(dataset.provider())?;
    let name = DatasetName::parse(dataset.id())?;
    let (publisher, mut outcomes) = client.publisher(name, Stage::Live, PublisherConfig::default());
    for n in 0..CANARIES {
        let sample = canary_record(dataset, n);
        let mut record = NewRecord::new(&sample.payload);
        record.event_time = Some(sample.event_time);
        publisher.send(record).await?;
    }
    drop(publisher);
    let (mut accepted, mut refused) = (0, 0);
    while let Some(chunk) = outcomes.next().await {
        for outcome in chunk? {
            match &outcome.result {
                Ok(_) => accepted += 1,
                Err(_) => refused += 1,
            }
            said.push_str(&format!("{:?}\n", outcome.result));
        }
    }
    ensure!((accepted, refused) == (CANARIES / 2, CANARIES / 2), "{dataset:?}: {accepted} accepted, {refused} refused");

    let mut single = ExchangeServiceClient::new(world.channel(&world.credentials(dataset.provider())?)?);
    for n in CANARIES..CANARIES + 20 {
        let sample = canary_record(dataset, n);
        let id = ExchangeId::new();
        let record = Record {
            exchange_id: id.as_bytes().to_vec().into(),
            payload: sample.payload.clone(),
            event_time: None,
            deletion: false,
        };
        let request =
            PublishRequest { dataset: dataset.id().to_owned(), stage: WireStage::Live.into(), record: Some(record) };
        match single.publish(request).await {
            Ok(response) => said.push_str(&format!("{response:?}\n")),
            Err(status) => {
                // The details travel as bytes: markers would stand in them as they are.
                said.push_str(&format!("{status:?} {}\n", String::from_utf8_lossy(status.details())));
                said.push_str(&format!("{:?}\n", Error::from(status)));
            }
        }
        let found = client.get_exchange(&DatasetName::parse(dataset.id())?, Stage::Live, id).await?;
        said.push_str(&format!("{found:?}\n"));
    }
    Ok(said)
}

fn is_clean(what: &str, bytes: &[u8]) -> anyhow::Result<()> {
    for marker in CANARY_MARKERS {
        let found = bytes.windows(marker.len()).position(|window| window == marker.as_bytes());
        ensure!(found.is_none(), "{what} shows {marker:?} at byte {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_personal_data_shows_up_nowhere_but_on_the_data_log() -> anyhow::Result<()> {
    let more = "[logging]\nlevel = \"trace\"".to_owned();
    let world = World::with(Engine::Embedded, &Settings { more, ..Settings::default() }).await?;
    let hub = world.start_with_samples().await?;
    let mut datasets = 0;
    for dataset in Dataset::ALL {
        is_clean(&format!("an answer for {}", dataset.id()), plant(&world, dataset).await?.as_bytes())?;
        datasets += 1;
    }
    // The scan can find: the rightful consumer does receive them.
    let received = deliver(&world, usize::try_from(CANARIES / 2)?).await?;
    ensure!(is_clean("a delivery", received.as_bytes()).is_err(), "the canaries did not arrive: {datasets} datasets");

    let (_, metrics) = hub.get("/metrics").await?;
    is_clean("/metrics", metrics.as_bytes())?;
    // In the middle, and again after a kill and a start that reads everything.
    hub.kill().await?;
    let hub = world.start().await?;
    is_clean("an answer after the start", plant(&world, Dataset::CivilStatus).await?.as_bytes())?;
    let (_, metrics) = hub.get("/metrics").await?;
    is_clean("/metrics", metrics.as_bytes())?;
    hub.stop(Duration::from_secs(30)).await?;
    is_clean("the hub's log", &fs::read(world.log_file())?)?;

    // Every topic but those of the datasets.
    let log = EmbeddedLog::open(ldop_log::embedded::Config::new(world.data_dir().join("log")))?;
    let mut entries = 0;
    for (topic, partitions) in [("ldop.exchanges", 4), ("_ldop.control", 1), ("_ldop.cursors", 1)] {
        for index in 0..partitions {
            let partition = Partition { topic: TopicName::parse(topic)?, index };
            let ends = log.watermarks(&partition).await?;
            let mut next = ends.start;
            while next < ends.end {
                let fetched = log.fetch(&partition, next, 1 << 20, Duration::ZERO).await?;
                for entry in &fetched.entries {
                    entries += 1;
                    is_clean(topic, entry.key.as_deref().unwrap_or_default())?;
                    is_clean(topic, entry.value.as_deref().unwrap_or_default())?;
                    for header in &entry.headers {
                        is_clean(topic, format!("{header:?}").as_bytes())?;
                    }
                }
                next = fetched.next;
            }
        }
    }
    ensure!(entries > 100, "there was little to scan: {entries} entries");
    log.close(Duration::from_secs(10)).await?;
    // And every file beside the log: the index of exchange ids, snapshots, locks.
    scan_files(&world.data_dir())?;
    world.no_panic()
}

fn scan_files(folder: &Path) -> anyhow::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "log") {
                scan_files(&path)?;
            }
        } else {
            is_clean(&path.display().to_string(), &fs::read(&path)?)?;
        }
    }
    Ok(())
}

async fn deliver(world: &World, wanted: usize) -> anyhow::Result<String> {
    use ldop_client::{Event, SubscriberConfig};
    use ldop_types::{AgreementId, SubscriptionName};

    let (agreement, name) = (AgreementId::parse(AGREEMENT)?, SubscriptionName::parse("canaries")?);
    let mut subscriber = world.client(CONSUMER)?.subscriber(agreement, name, SubscriberConfig::default());
    let (mut text, mut count) = (String::new(), 0);
    while count < wanted {
        if let Event::Batch(batch) = tokio::time::timeout(Duration::from_secs(30), subscriber.next()).await?? {
            count += batch.records.len();
            batch.records.iter().for_each(|record| text.push_str(&String::from_utf8_lossy(&record.payload)));
            subscriber.ack(&batch);
        }
    }
    subscriber.close().await?;
    Ok(text)
}

fn grpcurl(world: &World, arguments: &[&str]) -> anyhow::Result<String> {
    let files = world.operator_files()?;
    let mut command = Command::new(tool("grpcurl")?);
    command.arg("-cacert").arg(world.pki().authority_files().certificate);
    command.arg("-cert").arg(files.certificate).arg("-key").arg(files.key);
    // Options stand before the address, verbs behind it.
    let (options, verbs): (Vec<&&str>, Vec<&&str>) =
        arguments.iter().partition(|argument| argument.starts_with('-') || argument.starts_with('{'));
    command.args(options).arg(world.grpc()).args(verbs).stdin(Stdio::null());
    let output = command.output()?;
    ensure!(output.status.success(), "grpcurl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn grpcurl_needs_no_proto_files() -> anyhow::Result<()> {
    let world = World::new(Engine::Embedded).await?;
    let hub = world.start_with_samples().await?;
    let services = grpcurl(&world, &["list"])?;
    for service in [
        "grpc.health.v1.Health",
        "ldop.catalog.v1.CatalogService",
        "ldop.control.v1.ControlService",
        "ldop.exchange.v1.ExchangeService",
        "ldop.registry.v1.RegistryService",
    ] {
        ensure!(services.lines().any(|line| line == service), "{service} is not listed:\n{services}");
        let described = grpcurl(&world, &["describe", service])?;
        ensure!(described.contains("rpc "), "{described}");
    }
    let health = grpcurl(&world, &["grpc.health.v1.Health/Check"])?;
    ensure!(health.contains("SERVING") && !health.contains("NOT_SERVING"), "{health}");
    let status = grpcurl(&world, &["-d", "{}", "ldop.control.v1.ControlService/GetStatus"])?;
    ensure!(status.contains("embedded"), "{status}");
    let dataset = grpcurl(&world, &["-d", "{\"id\":\"civil-status\"}", "ldop.catalog.v1.CatalogService/GetDataset"])?;
    ensure!(dataset.contains("so-tu-phap"), "{dataset}");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

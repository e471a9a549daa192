//! A dataset of the Confluent wire format: Python's serializer and deserializer, unchanged, on either side of the hub.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use ldop_client::Client;
use ldop_contract::{
    catalog::v1::WireFormat,
    control::v1::{Change, change::Resource},
};
use ldop_definitions::References;
use ldop_sample_data::{Dataset, records};
use ldop_tests::{
    Engine, World, audit,
    world::{AGREEMENT, CONSUMER, DATASET, PROVIDER},
};
use ldop_types::{DatasetName, ExchangeId, Stage, TimestampMs};
use serde_json::Value;

use crate::registry;

const TOPIC: &str = "ldop.live.civil-status";
const RECORDS: u64 = 20;

/// Has the births stand on their topics in the Confluent wire format.
async fn configure(world: &World) -> anyhow::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
    let loaded = ldop_definitions::load(&[folder], References::Within).ok().context("the samples hold")?;
    let found = loaded.changes.into_iter().find_map(|(_, change)| match change.resource {
        Some(Resource::Dataset(dataset)) if dataset.id == DATASET => Some(dataset),
        _ => None,
    });
    let mut dataset = found.context("the dataset is there")?;
    dataset.set_wire_format(WireFormat::Confluent);
    world.apply(vec![Change { resource: Some(Resource::Dataset(dataset)) }]).await?;
    Ok(())
}

async fn publish(client: &Client, payload: Bytes, time: TimestampMs) -> anyhow::Result<()> {
    client.publish_one(&DatasetName::parse(DATASET)?, Stage::Live, ExchangeId::new(), payload, Some(time)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_confluent_client_reads_the_topic_and_what_it_writes_is_taken() -> anyhow::Result<()> {
    let world = registry::world(Engine::Kafka).await?;
    let hub = world.start().await?;
    world.apply_public_samples().await?;
    configure(&world).await?;
    let samples: Vec<_> = records(Dataset::CivilStatus, 11, RECORDS, 0.0).collect();
    let (plain, framed) = samples.split_at(samples.len() / 2);
    let file = world.folder().join("records.jsonl");
    let lines = framed.iter().flat_map(|sample| [&sample.payload[..], b"\n"]).collect::<Vec<_>>().concat();
    fs::write(&file, lines)?;
    let file = file.to_string_lossy().into_owned();
    let written = ["write", "--topic", TOPIC, "--subject", "civil-status", "--records", &file];
    let written = registry::script(&world, "wire.py", &written).await?;
    ensure!(written.lines().count() == framed.len(), "a value for each record");

    let client = world.client(PROVIDER)?;
    for sample in plain {
        publish(&client, sample.payload.clone(), sample.event_time).await?;
    }
    for (line, sample) in written.lines().zip(framed) {
        publish(&client, from_hex(line)?, sample.event_time).await?;
    }

    let count = RECORDS.to_string();
    let read = registry::script(&world, "wire.py", &["read", "--topic", TOPIC, "--count", &count]).await?;
    let mut read: Vec<Value> = read.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut sent: Vec<Value> =
        samples.iter().map(|sample| serde_json::from_slice(&sample.payload)).collect::<Result<_, _>>()?;
    let by_number = |record: &Value| record["register_no"].as_str().unwrap_or_default().to_owned();
    read.sort_by_key(by_number);
    sent.sort_by_key(by_number);
    ensure!(read == sent, "the deserializer reads what was published");

    let received = audit::read_all(&world.client(CONSUMER)?, AGREEMENT, samples.len()).await?;
    ensure!(received.len() == samples.len(), "each record once, and JSON, for subscribers");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

fn from_hex(line: &str) -> anyhow::Result<Bytes> {
    let pairs = (0..line.len() / 2).map(|at| line.get(2 * at..2 * at + 2).context("ASCII"));
    pairs.map(|pair| Ok(u8::from_str_radix(pair?, 16)?)).collect()
}

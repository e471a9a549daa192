//! Personal data lies encrypted wherever the hub or its log keep it, and what is erased by order comes back for nobody, kills
//! and restarts included.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use ldop_client::{Event, Start, SubscriberConfig};
use ldop_sample_data::{Dataset, records};
use ldop_tests::{
    Engine, World,
    world::{AGREEMENT, CONSUMER, DATASET, PROVIDER, RETRY},
};
use ldop_types::{AgreementId, DatasetName, ExchangeId, Stage, SubscriptionName};
use serde_json::{Value, json};

/// What is looked for in every file: a name and a key that nothing else has.
const NAME: &str = "Hoàng Yến Trong Mỏ Than";
const KEY: &str = "KS-21583-2026-7777777";

async fn publish(world: &World, count: u64) -> anyhow::Result<()> {
    let client = world.client(PROVIDER)?;
    for (at, sample) in records(Dataset::CivilStatus, 3, count, 0.0).enumerate() {
        let mut record: Value = serde_json::from_slice(&sample.payload)?;
        if at % 4 == 0 {
            record["full_name"] = NAME.into();
            record["register_no"] = KEY.into();
        }
        let payload = Bytes::from(serde_json::to_vec(&record)?);
        let dataset = DatasetName::parse(DATASET)?;
        client.publish_one(&dataset, Stage::Live, ExchangeId::new(), payload, Some(sample.event_time)).await?;
    }
    Ok(())
}

/// What the consumer receives from the beginning: the names, and how many deletions.
async fn received(world: &World) -> anyhow::Result<(Vec<String>, usize)> {
    let name = SubscriptionName::parse(&format!("again-{:08x}", rand::random::<u32>()))?;
    let config = SubscriberConfig { start: Start::Earliest, retry: RETRY, ..SubscriberConfig::default() };
    let mut subscriber = world.client(CONSUMER)?.subscriber(AgreementId::parse(AGREEMENT)?, name, config);
    let (mut names, mut deletions) = (Vec::new(), 0);
    loop {
        let event = tokio::time::timeout(Duration::from_secs(90), subscriber.next()).await;
        match event.context("a delivery")?? {
            Event::Batch(batch) => {
                for record in &batch.records {
                    if record.deletion {
                        deletions += 1;
                    } else {
                        let shown: Value = serde_json::from_slice(&record.payload)?;
                        names.push(shown["full_name"].as_str().unwrap_or_default().to_owned());
                    }
                }
                subscriber.ack(&batch);
            }
            Event::CaughtUp(_) => break,
            Event::Opened(_) => {}
        }
    }
    subscriber.close().await?;
    // Partitions come as they come.
    names.sort();
    Ok((names, deletions))
}

/// Files below a folder in which a text stands.
fn files_with(folder: &Path, text: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_with(&path, text)?);
        // A broker removes files of its own meanwhile.
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(text.len()).any(|part| part == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

fn nothing_lies_open(world: &World) -> anyhow::Result<()> {
    let broker = world.broker().map(ldop_testkit::kafka::Broker::data);
    for folder in [Some(world.folder().to_owned()), broker].into_iter().flatten() {
        for text in [NAME, KEY] {
            let found = files_with(&folder, text)?;
            ensure!(found.is_empty(), "{text} stands in {found:?}");
        }
    }
    Ok(())
}

async fn personal_data_lies_encrypted_and_goes_by_order(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let hub = world.start_with_samples().await?;
    publish(&world, 20).await?;
    let (names, _) = received(&world).await?;
    ensure!(names.iter().filter(|name| *name == NAME).count() == 5, "the rightful consumer sees it: {}", names.len());
    nothing_lies_open(&world)?;

    let operator = world.operator().await?;
    let (dataset, key) = (DatasetName::parse(DATASET)?, json!({ "register_no": KEY }));
    let key = serde_json::to_vec(&key)?;
    let refused = operator.erase_record(&dataset, Stage::Live, key.clone(), String::new()).await;
    ensure!(refused.is_err(), "no erasure without an order");
    operator.erase_record(&dataset, Stage::Live, key, "QĐ 12/QĐ-STP".to_owned()).await?;
    let after = received(&world).await?;
    ensure!(after.0.len() == 15 && !after.0.iter().any(|name| name == NAME) && after.1 == 1, "{after:?}");

    hub.kill().await?;
    let hub = world.start().await?;
    let again = received(&world).await?;
    ensure!(again == after, "after a kill: {again:?}");
    publish(&world, 4).await?;
    let (names, _) = received(&world).await?;
    ensure!(
        names.iter().filter(|name| *name == NAME).count() == 1,
        "what is published later is a record like any other"
    );
    hub.stop(Duration::from_secs(30)).await?;
    nothing_lies_open(&world)?;
    world.no_panic()
}

ldop_tests::on_both_engines!(personal_data_lies_encrypted_and_goes_by_order);

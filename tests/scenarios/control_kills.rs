//! kill -9 of the hub in the middle of concurrent changes of the registry, again and again.
//!
//! Several operators register pairs of schemas, each pair in one change set, and send a change again under its id until
//! it is answered. At the end nothing acknowledged is missing, no pair stands half, and no id was given twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ldop_client::Client;
use ldop_contract::{
    control::v1::{ApplyChangeSetRequest, Change, change::Resource},
    registry::v1::{GetSchemaRequest, ListSchemasRequest, Schema, registry_service_client::RegistryServiceClient},
};
use ldop_testkit::wait_until;
use ldop_tests::{Engine, World};
use ldop_types::ExchangeId;
use tonic::transport::Channel;

const WRITERS: usize = 3;

/// Kills in one run, fewer on Kafka, where a start takes longer; `LDOP_CONTROL_KILLS` sets another number.
#[expect(clippy::disallowed_methods, reason = "tests have no start-up that could hand this down")]
fn kills(engine: Engine) -> u64 {
    let asked = std::env::var("LDOP_CONTROL_KILLS").ok().and_then(|kills| kills.parse().ok());
    asked.unwrap_or(if engine == Engine::Embedded { 200 } else { 5 })
}

/// Two schemas of one change set: the same content under two subjects for odd numbers, two contents for even ones.
fn pair(writer: usize, number: u64) -> [Schema; 2] {
    ["a", "b"].map(|side| {
        let title = if number % 2 == 1 { format!("{writer} {number}") } else { format!("{writer} {number} {side}") };
        let text = format!(
            r#"{{"title": "{title}", "type": "object", "properties": {{"full_name": {{"x-ldop-element": "person.full-name"}}}}}}"#
        );
        Schema { name: format!("k{writer}-{number}-{side}"), text, ..Schema::default() }
    })
}

/// Registers pairs until told to stop; returns how many were acknowledged.
async fn write(client: Client, writer: usize, stop: Arc<AtomicBool>, all: Arc<AtomicU64>) -> anyhow::Result<u64> {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let changes = pair(writer, number).map(|schema| Change { resource: Some(Resource::Schema(schema)) });
        let change_id = ExchangeId::new().as_bytes().to_vec();
        let request = ApplyChangeSetRequest { change_id, changes: changes.to_vec(), ..Default::default() };
        let applied = client.apply_change_set(&request).await.context("apply")?;
        ensure!(applied.results.len() == 2 && applied.results.iter().all(|r| r.version == 1), "{:?}", applied.results);
        number += 1;
        all.fetch_add(1, Ordering::Relaxed);
    }
    Ok(number)
}

/// Every schema by name, without text, as one page of one state gives it; of many pages, states may differ.
async fn listed(registry: &mut RegistryServiceClient<Channel>) -> anyhow::Result<BTreeMap<String, u32>> {
    let mut all = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let page = registry.list_schemas(ListSchemasRequest { page_size: 1_000, page_token }).await?.into_inner();
        all.extend(page.schemas.into_iter().map(|schema| (schema.name, schema.id)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

async fn no_acknowledged_change_is_lost_and_none_is_half_applied(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let mut hub = world.start_with_samples().await?;
    let samples = listed(&mut RegistryServiceClient::new(world.channel(&world.operator_credentials()?)?)).await?;
    let (stop, all) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        writers.push(tokio::spawn(write(world.operator().await?, writer, Arc::clone(&stop), Arc::clone(&all))));
    }
    for kill in 0..kills(engine) {
        let (before, more) = (all.load(Ordering::Relaxed), 1 + kill % 4);
        wait_until(Duration::from_secs(60), async || {
            ensure!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer has ended");
            let now = all.load(Ordering::Relaxed) - before;
            if now >= more { Ok(()) } else { Err(anyhow::anyhow!("{now} of {more} changes since kill {kill}")) }
        })
        .await?;
        // The hub may be anywhere within a change, or between two.
        tokio::time::sleep(Duration::from_micros(kill * 37 % 3_000)).await;
        hub.kill().await?;
        hub = world.start().await?;
    }
    stop.store(true, Ordering::Relaxed);
    let mut counts = Vec::new();
    for writer in writers {
        counts.push(writer.await??);
    }
    hub.kill().await?;
    hub = world.start().await?;

    let mut registry = RegistryServiceClient::new(world.channel(&world.operator_credentials()?)?);
    let stands = listed(&mut registry).await?;
    ensure!(samples.iter().all(|(name, id)| stands.get(name) == Some(id)), "a sample schema has another id");
    let mut expected: BTreeSet<String> = samples.into_keys().collect();
    let mut texts: BTreeMap<u32, String> = BTreeMap::new();
    for (writer, count) in counts.iter().enumerate() {
        for number in 0..*count {
            for given in pair(writer, number) {
                let asked = GetSchemaRequest { name: given.name.clone(), version: 0 };
                let found = registry.get_schema(asked).await.context(given.name.clone())?.into_inner().schema;
                let found = found.context("a schema")?;
                ensure!(found.text == given.text && found.version == 1, "{} is another", given.name);
                let known = texts.insert(found.id, given.text.clone());
                ensure!(known.is_none_or(|known| known == given.text), "id {} was given twice", found.id);
                expected.insert(given.name);
            }
        }
    }
    let ids: BTreeSet<&String> = texts.values().collect();
    ensure!(ids.len() == texts.len(), "a content has two ids");
    ensure!(stands.keys().cloned().collect::<BTreeSet<_>>() == expected, "something stands that nobody was told of");
    ensure!(counts.iter().all(|count| *count > 0), "each writer has written: {counts:?}");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(no_acknowledged_change_is_lost_and_none_is_half_applied);

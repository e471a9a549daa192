//! An older copy of the log is put back: the hub refuses to start and says what is lost; told twice to go on, it does.

use std::{fs, time::Duration};

use anyhow::{Context as _, bail, ensure};
use ldop_contract::exchange::v1::{
    PublishRequest, Receipt, Record, Stage, exchange_service_client::ExchangeServiceClient,
};
use ldop_tests::{
    Engine, Hub, World, audit, load,
    world::{AGREEMENT, CONSUMER, DATASET, PROVIDER},
};
use ldop_types::ExchangeId;

const STOP: Duration = Duration::from_secs(30);

async fn publish(world: &World, id: ExchangeId, revision: u64) -> anyhow::Result<Receipt> {
    let record = Record {
        exchange_id: id.as_bytes().to_vec().into(),
        payload: load::record(96, revision).1,
        event_time: None,
        deletion: false,
    };
    let request = PublishRequest { dataset: DATASET.to_owned(), stage: Stage::Live.into(), record: Some(record) };
    let channel = world.channel(&world.credentials(PROVIDER)?)?;
    let published = ExchangeServiceClient::new(channel).publish(request).await?.into_inner();
    published.receipt.context("a receipt")
}

/// Starts a hub that does not become ready; what it says at its end.
async fn refusal(world: &World, under: &[String]) -> anyhow::Result<String> {
    let mut hub = Hub::launch_with(world.config(), &world.log_file(), world.ops(), under).await?;
    match hub.ready(world.config()).await {
        Ok(()) => bail!("a hub started on a log that was cut"),
        Err(ended) => Ok(format!("{ended:#}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_restored_short_is_told_and_taken_only_when_told_to() -> anyhow::Result<()> {
    let world = World::new(Engine::Embedded).await?;
    let hub = world.start_with_samples().await?;
    let (kept, lost) = (ExchangeId::new(), ExchangeId::new());
    publish(&world, kept, 1).await?;
    hub.stop(STOP).await?;
    let database = world.data_dir().join("log/log.sqlite");
    let older = fs::read(&database).context("the log's database is not where this looks for it")?;

    let hub = world.start().await?;
    publish(&world, lost, 2).await?;
    hub.stop(STOP).await?;
    fs::write(&database, older)?;

    // The log knows how far it reached, the node how far the control log did. Each asks for a word of its own.
    let told = refusal(&world, &[]).await?;
    ensure!(told.contains("exit status: 74") && told.contains("--accept-loss"), "{told}");
    let accepting = ["sh", "-c", r#"exec "$0" "$@" --accept-loss"#].map(str::to_owned);
    let told = refusal(&world, &accepting).await?;
    ensure!(told.contains("exit status: 74") && told.contains("to accept the loss"), "{told}");
    let memory = told.split("or remove ").nth(1).and_then(|rest| rest.split_whitespace().next());
    fs::remove_file(memory.context("which file to remove")?)?;
    let mut hub = Hub::launch_with(world.config(), &world.log_file(), world.ops(), &accepting).await?;
    hub.ready(world.config()).await?;

    // What is there is still one; what was lost can be sent again under its id, and is one from then on.
    ensure!(publish(&world, kept, 1).await?.repeated, "the record that is there was taken twice");
    ensure!(!publish(&world, lost, 2).await?.repeated, "the record that is lost was not taken again");
    ensure!(publish(&world, lost, 2).await?.repeated, "the record was taken twice");
    let received = audit::read_all(&world.client(CONSUMER)?, AGREEMENT, 2).await?;
    let mut revisions: Vec<_> = received.iter().map(|record| record.revision).collect();
    revisions.sort_unstable();
    ensure!(revisions == [1, 2], "{revisions:?}");
    hub.stop(STOP).await?;
    let hub = world.start().await?;
    ensure!(publish(&world, lost, 2).await?.repeated, "the record was taken twice");
    hub.stop(STOP).await?;
    world.no_panic()
}

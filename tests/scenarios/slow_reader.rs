//! A subscriber that stops reading costs a bounded buffer and nobody else anything.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ldop_client::PublisherConfig;
use ldop_contract::exchange::v1::{
    Credit, Earliest, SubscribeOpen, SubscribeRequest, exchange_service_client::ExchangeServiceClient, subscribe_open,
    subscribe_request, subscribe_response,
};
use ldop_tests::{
    Engine, World, audit,
    hub::Memory,
    load::Load,
    world::{AGREEMENT, CONSUMER, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, RETRY},
};

const RECORDS: u64 = 200_000;
/// What a loaded hub may take, bytes.
const MEMORY: u64 = 256 << 20;
/// Far beyond any delay the frozen subscriber could be blamed for on a busy machine; the figure itself is printed.
const NOT_BEHIND: Duration = Duration::from_secs(120);

async fn a_subscriber_that_stops_reading_costs_little_and_nobody_else_anything(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let hub = world.start_with_samples().await?;

    // All the credit there is, and not a message read: the windows of the connection fill, then the hub waits.
    let open = SubscribeOpen {
        agreement: AGREEMENT.to_owned(),
        subscription: "frozen".to_owned(),
        credit: Some(Credit { records: 1_000_000, bytes: 256 << 20 }),
        start: Some(subscribe_open::Start::Earliest(Earliest {})),
    };
    let opening = SubscribeRequest { message: Some(subscribe_request::Message::Open(open)) };
    let (requests, sent) = tokio::sync::mpsc::channel(1);
    requests.send(opening).await?;
    let mut frozen = ExchangeServiceClient::new(world.channel(&world.credentials(CONSUMER)?)?)
        .subscribe(tokio_stream::wrappers::ReceiverStream::new(sent))
        .await?
        .into_inner();

    let config = PublisherConfig { retry: RETRY, ..PublisherConfig::default() };
    let load = Load::start_with(vec![world.client(PROVIDER)?, world.client(PROVIDER)?], RECORDS / 2, config);
    let reader = world.client(OTHER_CONSUMER)?;
    let reading = tokio::spawn(async move { audit::read_all(&reader, OTHER_AGREEMENT, RECORDS as usize).await });
    let mut most = Memory::default();
    while !load.is_done() {
        most = most.max(hub.memory()?);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sent = load.done().await?;
    let finished = Instant::now();
    let received = reading.await??;
    let behind = finished.elapsed();
    most = most.max(hub.memory()?);
    audit::compare(&sent, &received)?;
    let (total, own) = (most.total >> 20, most.own >> 20);
    ensure!(most.total < MEMORY, "the hub took {total} MiB, of which {own} MiB its own");
    ensure!(behind < NOT_BEHIND, "the other subscriber was {behind:?} behind");

    // It reads again, and all of it is there.
    let mut there = 0;
    while there < RECORDS as usize {
        let message = tokio::time::timeout(Duration::from_secs(30), frozen.message()).await??.context("it ended")?;
        if let Some(subscribe_response::Message::Batch(batch)) = message.message {
            there += batch.records.len();
            let ack = ldop_contract::exchange::v1::Ack {
                positions: vec![ldop_contract::exchange::v1::PartitionPosition {
                    partition: batch.partition,
                    offset: batch.next_offset,
                }],
            };
            requests.send(SubscribeRequest { message: Some(subscribe_request::Message::Ack(ack)) }).await?;
        }
    }
    println!("most memory {total} MiB, {own} MiB its own; the other subscriber {behind:?} behind");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(a_subscriber_that_stops_reading_costs_little_and_nobody_else_anything);

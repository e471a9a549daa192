//! SIGTERM: the hub says so, finishes what it began, and is gone within its grace.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ldop_client::{Event, SubscriberConfig};
use ldop_contract::exchange::v1::{
    PublishRequest, Receipt, Record, Stage, SubscribeOpen, SubscribeRequest,
    exchange_service_client::ExchangeServiceClient, subscribe_request,
};
use ldop_testkit::wait_until;
use ldop_tests::{
    Engine, Settings, World, audit,
    load::{self, Load},
    world::{AGREEMENT, CONSUMER, DATASET, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, RETRY},
};
use ldop_types::{AgreementId, ExchangeId, SubscriptionName};
use rustix::process::Signal;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_types::StatusExt as _;

const GRACE: Duration = Duration::from_secs(8);

async fn publish_one(provider: &Channel) -> Result<Receipt, Status> {
    let exchange_id = ExchangeId::new().as_bytes().to_vec().into();
    let record = Some(Record { exchange_id, payload: load::record(97, 1).1, event_time: None, deletion: false });
    let request = PublishRequest { dataset: DATASET.to_owned(), stage: Stage::Testing.into(), record };
    let published = ExchangeServiceClient::new(provider.clone()).publish(request).await?.into_inner();
    published.receipt.ok_or_else(|| Status::internal("no receipt"))
}

async fn a_hub_that_is_stopped_finishes_what_it_began(engine: Engine) -> anyhow::Result<()> {
    let more = format!("[drain]\ngrace = \"{}s\"", GRACE.as_secs());
    let world = World::with(engine, &Settings { more, ..Settings::default() }).await?;
    let hub = world.start_with_samples().await?;
    ensure!(hub.get("/livez").await?.0 == 200 && hub.get("/readyz").await?.0 == 200, "a hub that is ready says so");

    // Health watched over a call of its own. It never ends by itself, so the drain takes its time.
    let provider = world.channel(&world.credentials(PROVIDER)?)?;
    let watch = HealthCheckRequest { service: "ldop.exchange.v1.ExchangeService".to_owned() };
    let mut health = HealthClient::new(provider.clone()).watch(watch).await?.into_inner();
    let status = health.message().await?.context("a status")?.status();
    ensure!(status == ServingStatus::Serving, "{status:?}");

    // A bare subscription, to see the reason; one of the client, to see it come back; and load.
    let open = SubscribeOpen { agreement: AGREEMENT.to_owned(), subscription: "bare".to_owned(), ..Default::default() };
    let (requests, sent) = tokio::sync::mpsc::channel(1);
    requests.send(SubscribeRequest { message: Some(subscribe_request::Message::Open(open)) }).await?;
    let mut bare = ExchangeServiceClient::new(world.channel(&world.credentials(CONSUMER)?)?)
        .subscribe(tokio_stream::wrappers::ReceiverStream::new(sent))
        .await?
        .into_inner();
    let config = SubscriberConfig { retry: RETRY, ..SubscriberConfig::default() };
    let (agreement, name) = (AgreementId::parse(OTHER_AGREEMENT)?, SubscriptionName::parse("comes-back")?);
    let mut returning = world.client(OTHER_CONSUMER)?.subscriber(agreement, name, config);
    ensure!(matches!(returning.next().await?, Event::Opened(_)), "opened");
    let load = Load::start(vec![world.client(PROVIDER)?, world.client(PROVIDER)?], u64::MAX);
    wait_until(Duration::from_secs(60), async || {
        let now = load.answered();
        if now > 500 { Ok(()) } else { Err(now) }
    })
    .await?;
    // The testing stage has a topic of its own, made with its first record.
    publish_one(&provider).await?;
    // Single calls that are under way when the signal comes: each is finished or refused, none is left hanging.
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { publish_one(&provider).await })
        })
        .collect();
    let signalled = Instant::now();
    hub.signal(Signal::TERM);

    let status = tokio::time::timeout(GRACE, health.message()).await??.context("a status")?.status();
    ensure!(status == ServingStatus::NotServing, "{status:?}");
    let not_ready = wait_until(Duration::from_secs(2), async || match hub.get("/readyz").await {
        Ok((503, body)) => Ok(body),
        other => Err(format!("{other:?}")),
    })
    .await?;
    ensure!(not_ready.trim() == "SHUTTING_DOWN", "{not_ready}");
    ensure!(hub.get("/livez").await?.0 == 200, "a hub that drains is alive");
    let told = loop {
        match tokio::time::timeout(GRACE, bare.message()).await? {
            Ok(Some(_)) => {}
            Ok(None) => anyhow::bail!("the stream ended without a reason"),
            Err(status) => break status,
        }
    };
    let details = told.get_error_details();
    ensure!(details.error_info().is_some_and(|info| info.reason == "SHUTTING_DOWN"), "{told:?}");
    ensure!(told.code() == Code::Unavailable && details.retry_info().is_some(), "{told:?}");
    let mut acknowledged = Vec::new();
    for call in calls {
        match tokio::time::timeout(GRACE, call).await?? {
            Ok(receipt) => acknowledged.push(receipt),
            // Refused by the hub, or by the connection, which told that it goes while the call was on its way to it.
            Err(status) => ensure!(
                status.code() == Code::Unavailable || std::error::Error::source(&status).is_some(),
                "{status:?}"
            ),
        }
    }
    drop(health);
    let status = hub.ended(GRACE).await?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(signalled.elapsed() < GRACE + Duration::from_secs(2), "it took {:?}", signalled.elapsed());

    // The next hub has all of it, and those who were sent away come back by themselves.
    let hub = world.start().await?;
    let sent = load.finish().await?;
    let count = sent.iter().map(Vec::len).sum();
    audit::compare(&sent, &audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?)?;
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if let Event::Opened(opened) = tokio::time::timeout_at(until.into(), returning.next()).await?? {
            ensure!(opened.again, "it was opened before");
            break;
        }
    }
    let client = world.client(PROVIDER)?;
    let dataset = ldop_types::DatasetName::parse(DATASET)?;
    for receipt in acknowledged {
        let id = ExchangeId::parse(&receipt.exchange_id)?;
        let found = client.get_exchange(&dataset, ldop_types::Stage::Testing, id).await?;
        let same =
            found.receipt.is_some_and(|there| (there.partition, there.offset) == (receipt.partition, receipt.offset));
        ensure!(same, "{id} was acknowledged while draining and is not there");
    }
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(a_hub_that_is_stopped_finishes_what_it_began);

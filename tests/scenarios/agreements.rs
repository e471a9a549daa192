//! An agreement that ends while its consumer is connected ends the stream with a reason.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use ldop_client::{Error, Event, Subscriber, SubscriberConfig};
use ldop_contract::{
    catalog::v1::{Agreement, GetAgreementRequest},
    control::v1::{Change, change::Resource},
};
use ldop_tests::{
    Engine, World, audit,
    load::Load,
    world::{AGREEMENT, CONSUMER, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, RETRY},
};
use ldop_types::{AgreementId, Reason, SubscriptionName};

async fn agreement(world: &World, id: &str) -> anyhow::Result<Agreement> {
    let request = GetAgreementRequest { id: id.to_owned() };
    let found = world.operator().await?.catalog().get_agreement(request).await?.into_inner();
    found.agreement.context("an agreement")
}

async fn register(world: &World, agreement: Agreement) -> anyhow::Result<()> {
    world.apply(vec![Change { resource: Some(Resource::Agreement(agreement)) }]).await?;
    Ok(())
}

pub(crate) fn subscribe(world: &World, system: &str, agreement: &str) -> anyhow::Result<Subscriber> {
    let config = SubscriberConfig { retry: RETRY, ..SubscriberConfig::default() };
    Ok(world.client(system)?.subscriber(AgreementId::parse(agreement)?, SubscriptionName::parse("ends")?, config))
}

/// Takes records until the stream ends for good, within a minute.
pub(crate) async fn until_the_end(subscriber: &mut Subscriber) -> anyhow::Result<(usize, Error)> {
    let mut received = 0;
    loop {
        match tokio::time::timeout(Duration::from_secs(60), subscriber.next()).await.context("it does not end")? {
            Ok(Event::Batch(batch)) => {
                received += audit::taken(&batch)?.len();
                subscriber.ack(&batch);
            }
            Ok(_) => {}
            Err(error) => return Ok((received, error)),
        }
    }
}

pub(crate) async fn until_caught_up(subscriber: &mut Subscriber) -> anyhow::Result<()> {
    loop {
        match tokio::time::timeout(Duration::from_secs(60), subscriber.next()).await?? {
            Event::CaughtUp(_) => return Ok(()),
            Event::Batch(batch) => subscriber.ack(&batch),
            Event::Opened(_) => {}
        }
    }
}

async fn an_agreement_that_ends_ends_its_streams_and_no_other(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let hub = world.start_with_samples().await?;
    Load::start(vec![world.client(PROVIDER)?], 500).done().await?;

    // Ended by its parties, while records flow and while nothing flows.
    let mut ending = subscribe(&world, CONSUMER, AGREEMENT)?;
    let mut staying = subscribe(&world, OTHER_CONSUMER, OTHER_AGREEMENT)?;
    until_caught_up(&mut ending).await?;
    until_caught_up(&mut staying).await?;
    let ended = Agreement { ended: true, ..agreement(&world, AGREEMENT).await? };
    register(&world, ended.clone()).await?;
    let (_, error) = until_the_end(&mut ending).await?;
    ensure!(error.reason() == Some(Reason::AgreementEnded), "{error:?}");
    // It does not open again.
    let (received, error) = until_the_end(&mut subscribe(&world, CONSUMER, AGREEMENT)?).await?;
    ensure!(error.reason() == Some(Reason::AgreementEnded) && received == 0, "{error:?}");

    // Expired by its own date, with nobody doing anything.
    let in_three = SystemTime::now() + Duration::from_secs(3);
    let short = Agreement { valid_until: Some(in_three.into()), ..agreement(&world, OTHER_AGREEMENT).await? };
    register(&world, short).await?;
    // A change of the agreement opens the stream again under the new one.
    let load = Load::start(vec![world.client(PROVIDER)?], u64::MAX);
    let (received, error) = until_the_end(&mut staying).await?;
    ensure!(error.reason() == Some(Reason::AgreementEnded), "{error:?}");
    ensure!(SystemTime::now() >= in_three && received > 0, "it ended before its day");
    load.finish().await?;

    // Renewed, it goes on where it was.
    register(&world, Agreement { ended: false, ..ended }).await?;
    let mut renewed = subscribe(&world, CONSUMER, AGREEMENT)?;
    match tokio::time::timeout(Duration::from_secs(30), renewed.next()).await?? {
        Event::Opened(opened) => ensure!(opened.positions.iter().map(|p| p.offset).sum::<u64>() >= 500, "{opened:?}"),
        other => bail!("{other:?}"),
    }
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(an_agreement_that_ends_ends_its_streams_and_no_other);

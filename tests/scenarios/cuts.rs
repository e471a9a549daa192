//! Clients cut in the middle of a stream, again and again, resume and lose nothing.

use std::{collections::HashSet, time::Duration};

use anyhow::ensure;
use ldop_client::{Event, SubscriberConfig};
use ldop_testkit::wait_until;
use ldop_tests::{
    Engine, World, audit,
    load::Load,
    proxy::Proxy,
    world::{AGREEMENT, CONSUMER, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, RETRY},
};
use ldop_types::{AgreementId, SubscriptionName};

const CUTS: u32 = 20;

async fn a_client_that_is_cut_resumes_and_loses_nothing(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let hub = world.start_with_samples().await?;
    let proxy = Proxy::start(world.grpc().to_owned()).await?;
    let clients = (0..2).map(|_| world.client_at(PROVIDER, &proxy.address)).collect::<Result<_, _>>()?;
    let load = Load::start(clients, u64::MAX);
    let config = SubscriberConfig { retry: RETRY, ..SubscriberConfig::default() };
    let mut subscriber = world.client_at(OTHER_CONSUMER, &proxy.address)?.subscriber(
        AgreementId::parse(OTHER_AGREEMENT)?,
        SubscriptionName::parse("cut")?,
        config,
    );
    let (tell, told) = tokio::sync::watch::channel(None);
    let following = tokio::spawn(async move {
        let (mut seen, mut opened) = (HashSet::new(), 0);
        while told.borrow().is_none_or(|count: usize| seen.len() < count) {
            match tokio::time::timeout(Duration::from_secs(60), subscriber.next()).await?? {
                Event::Opened(_) => opened += 1,
                Event::CaughtUp(_) => {}
                Event::Batch(batch) => {
                    seen.extend(audit::taken(&batch)?.into_iter().map(|one| one.exchange_id));
                    subscriber.ack(&batch);
                }
            }
        }
        anyhow::Ok((seen.len(), opened))
    });
    for cut in 0..CUTS {
        let answered = load.answered();
        wait_until(Duration::from_secs(60), async || {
            ensure!(!load.has_ended() && !following.is_finished(), "a client has ended");
            let (now, open) = (load.answered() - answered, proxy.open());
            // One provider may have been answered that often while the other clients still wait to try again.
            ensure!(now > 200 && open >= 2, "{now} answers and {open} connections since cut {cut}");
            Ok(())
        })
        .await?;
        proxy.cut();
    }
    let sent = load.finish().await?;
    let count: usize = sent.iter().map(Vec::len).sum();
    // One more record than can be there would never come: told while the last are still on their way.
    tell.send_replace(Some(count));
    audit::compare(&sent, &audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?)?;
    // A record wakes the follower if it has them all and waits.
    let last = Load::start(vec![world.client(PROVIDER)?], 1).done().await?;
    ensure!(last.len() == 1, "the last record was sent");
    let (seen, opened) = following.await??;
    ensure!(seen >= count && opened > 1, "{seen} of {count} records through {opened} streams");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(a_client_that_is_cut_resumes_and_loses_nothing);

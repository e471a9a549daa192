//! kill -9 of the hub in the middle of load, again and again.
//!
//! Publishers keep sending with the same exchange ids; a subscriber keeps reading. At the end what they were told is
//! held against what a fresh subscriber reads: nothing acknowledged lost, nothing doubled, order kept, no panic.

use std::{collections::HashMap, time::Duration};

use anyhow::ensure;
use ldop_client::{Event, SubscriberConfig};
use ldop_testkit::wait_until;
use ldop_tests::{
    Engine, World, audit,
    load::Load,
    world::{AGREEMENT, CONSUMER, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, RETRY},
};
use ldop_types::{AgreementId, SubscriptionName};
use tokio::sync::watch;

/// Kills in one run; `LDOP_KILLS` sets another number for a soak.
#[expect(clippy::disallowed_methods, reason = "tests have no start-up that could hand this down")]
fn kills() -> u32 {
    std::env::var("LDOP_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(50)
}

async fn nothing_is_lost_when_the_hub_is_killed_again_and_again(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let mut hub = world.start_with_samples().await?;
    let clients = (0..3).map(|_| world.client(PROVIDER)).collect::<Result<_, _>>()?;
    let load = Load::start(clients, u64::MAX);
    let (tell, mut ends) = watch::channel(None);
    let resuming = tokio::spawn(follow(world.client(OTHER_CONSUMER)?, ends.clone()));

    for kill in 0..kills() {
        // From right after the start to well into the load; the hub has always acknowledged something since.
        let (answered, more) = (load.answered(), 1 + u64::from(kill % 5) * 150);
        wait_until(Duration::from_secs(60), async || {
            ensure!(!load.has_ended(), "a publisher has ended");
            let now = load.answered() - answered;
            if now >= more { Ok(()) } else { Err(anyhow::anyhow!("{now} of {more} answers since kill {kill}")) }
        })
        .await?;
        hub.kill().await?;
        hub = world.start().await?;
    }
    let sent = load.finish().await?;
    let count = sent.iter().map(Vec::len).sum();
    let received = audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?;
    audit::compare(&sent, &received)?;
    tell.send_replace(Some(count));
    ends.mark_unchanged();
    resuming.await??;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

/// Reads through all kills, resuming where it acknowledged. What comes for the first time comes in order within a key,
/// and in the end everything has come.
async fn follow(client: ldop_client::Client, mut ends: watch::Receiver<Option<usize>>) -> anyhow::Result<()> {
    let config = SubscriberConfig { retry: RETRY, ..SubscriberConfig::default() };
    let name = SubscriptionName::parse("through-all-kills")?;
    let mut subscriber = client.subscriber(AgreementId::parse(OTHER_AGREEMENT)?, name, config);
    let mut heads: HashMap<String, u64> = HashMap::new();
    let mut places: HashMap<(u32, u64), u64> = HashMap::new();
    loop {
        let wanted = *ends.borrow_and_update();
        if wanted.is_some_and(|wanted| places.len() >= wanted) {
            ensure!(wanted == Some(places.len()), "{} records received, {wanted:?} accepted", places.len());
            return Ok(());
        }
        let event = tokio::select! {
            event = tokio::time::timeout(Duration::from_secs(60), subscriber.next()) => event??,
            _ = ends.changed() => continue,
        };
        let Event::Batch(batch) = event else { continue };
        for one in audit::taken(&batch)? {
            if let Some(before) = places.insert((one.partition, one.offset), one.revision) {
                ensure!(before == one.revision, "another record came again at {}/{}", one.partition, one.offset);
                continue;
            }
            let head = heads.insert(one.key.clone(), one.revision);
            ensure!(head.is_none_or(|head| head < one.revision), "revision {} behind {head:?}", one.revision);
        }
        subscriber.ack(&batch);
    }
}

ldop_tests::on_both_engines!(nothing_is_lost_when_the_hub_is_killed_again_and_again);

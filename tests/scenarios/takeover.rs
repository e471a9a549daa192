//! Two hubs on the same data: refused, or one takes over by epoch; never both.

use std::{fs, time::Duration};

use anyhow::ensure;
use ldop_tests::{Engine, Hub, Settings, World, load::Load, world::PROVIDER};

/// EX_TEMPFAIL, as docs/cli.md has it.
const TEMPORARY: i32 = 75;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hub_on_the_same_folder_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let world = World::new(Engine::Embedded).await?;
    let hub = world.start_with_samples().await?;
    let load = Load::start(vec![world.client(PROVIDER)?], 2_000);

    let (config, _, ops) = world.second_hub(&Settings { data_dir: Some(world.data_dir()), ..Settings::default() })?;
    let log = world.folder().join("second.log");
    let status = Hub::launch(&config, &log, &ops).await?.ended(Duration::from_secs(30)).await?;
    ensure!(status.code() == Some(TEMPORARY), "the second hub ended with {status}");
    let said = fs::read_to_string(&log)?;
    ensure!(said.contains("in use by another hub"), "it said {said:?}");
    ensure!(said.contains(&world.data_dir().display().to_string()), "it names no folder: {said:?}");

    load.done().await?;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

/// The old owner is let live, or stands still while it loses its place and comes back in the belief to own it.
#[cfg(feature = "kafka-tests")]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_hub_on_the_same_kafka_takes_over_and_nothing_is_lost() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use ldop_client::Client;
    use ldop_testkit::wait_until;
    use ldop_tests::{
        audit,
        world::{AGREEMENT, CONSUMER},
    };
    use rustix::process::Signal;

    let world = World::new(Engine::Kafka).await?;
    let mut first = world.start_with_samples().await?;
    let (second_config, second_grpc, second_ops) = world.second_hub(&Settings::default())?;
    let files = world.pki().client_files(&ldop_pki::Identity::system(PROVIDER)?);
    let mut both = world.client_config(files, world.grpc());
    both.endpoints.push(format!("https://{second_grpc}"));
    let clients = (0..3).map(|_| Client::connect_lazy(both.clone())).collect::<Result<_, _>>()?;
    let load = Load::start(clients, u64::MAX);

    for (round, frozen) in [false, true, false, true].into_iter().enumerate() {
        let answered = load.answered();
        wait_until(Duration::from_secs(60), async || {
            ensure!(!load.has_ended(), "a publisher has ended");
            let now = load.answered() - answered;
            if now > 300 { Ok(()) } else { Err(anyhow::anyhow!("{now} answers in round {round}")) }
        })
        .await?;
        if frozen {
            first.signal(Signal::STOP);
        }
        // The two take over from each other by turns.
        let (config, log, ops) = if round % 2 == 0 {
            (second_config.as_path(), world.folder().join("second.log"), second_ops.as_str())
        } else {
            (world.config(), world.log_file(), world.ops())
        };
        let mut next = Hub::launch(config, &log, ops).await?;
        next.ready(config).await?;
        if frozen {
            let answered = load.answered();
            wait_until(Duration::from_secs(60), async || {
                let now = load.answered() - answered;
                if now > 0 { Ok(()) } else { Err("no answer of the new owner") }
            })
            .await
            .ok();
            first.signal(Signal::CONT);
        }
        let status = first.ended(Duration::from_secs(60)).await.context("the first hub goes")?;
        ensure!(status.code() == Some(TEMPORARY), "the first hub of round {round} ended with {status}");
        first = next;
    }
    let sent = load.finish().await?;
    let count = sent.iter().map(Vec::len).sum();
    // An even number of rounds: the hub of the world is the owner again.
    let received = audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?;
    audit::compare(&sent, &received)?;
    first.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

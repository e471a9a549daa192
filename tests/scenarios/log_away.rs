//! The log goes away and comes back: callers are told UNAVAILABLE with a retry time, or wait; nothing is lost.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::ensure;
use ldop_contract::exchange::v1::{PublishRequest, Record, Stage, exchange_service_client::ExchangeServiceClient};
use ldop_testkit::wait_until;
use ldop_tests::{
    Engine, Hub, Settings, World, audit,
    load::{self, Load, Sent},
    world::{AGREEMENT, CONSUMER, DATASET, PROVIDER},
};
use ldop_types::ExchangeId;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Longest a caller is kept waiting: the hub's own deadline for the log is 10 s.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// One record of a publisher that nobody else is.
async fn publish_one(world: &World) -> Result<(), Status> {
    let record = Record {
        exchange_id: ExchangeId::new().as_bytes().to_vec().into(),
        payload: load::record(99, 1).1,
        event_time: None,
        deletion: false,
    };
    let credentials = world.credentials(PROVIDER).map_err(|error| Status::internal(error.to_string()))?;
    let channel = world.channel(&credentials).map_err(|error| Status::internal(error.to_string()))?;
    let request = PublishRequest { dataset: DATASET.to_owned(), stage: Stage::Testing.into(), record: Some(record) };
    ExchangeServiceClient::new(channel).publish(request).await.map(drop)
}

/// A caller is told to come back later, and soon enough.
async fn is_told(world: &World) -> anyhow::Result<()> {
    // One record may still find the room that a batch does not.
    let status = wait_until(Duration::from_secs(30), async || {
        let started = Instant::now();
        match publish_one(world).await {
            Ok(()) => Err("a record was accepted without a log"),
            Err(status) if started.elapsed() < LONGEST_WAIT => Ok(status),
            Err(_) => Err("told too late"),
        }
    })
    .await?;
    ensure!(status.code() == Code::Unavailable, "{status:?}");
    let details = status.get_error_details();
    ensure!(details.retry_info().is_some_and(|retry| retry.retry_delay.is_some()), "no retry time: {details:?}");
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    ensure!(["LOG_UNAVAILABLE", "OUTCOME_UNKNOWN"].contains(&reason.as_str()), "{reason}");
    Ok(())
}

async fn answers(load: &Load, more: u64) -> anyhow::Result<()> {
    let answered = load.answered();
    wait_until(Duration::from_secs(90), async || {
        ensure!(!load.has_ended(), "a publisher has ended");
        let now = load.answered() - answered;
        if now >= more { Ok(()) } else { Err(anyhow::anyhow!("{now} of {more} answers")) }
    })
    .await?;
    Ok(())
}

/// Waits until nothing is answered any more.
async fn stands_still(load: &Load) -> anyhow::Result<()> {
    let mut last = (load.answered(), Instant::now());
    wait_until(Duration::from_secs(120), async || {
        let now = load.answered();
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > Duration::from_secs(2) { Ok(()) } else { Err(format!("{now} answers")) }
    })
    .await?;
    Ok(())
}

async fn audited(world: &World, sent: &[Vec<Sent>]) -> anyhow::Result<()> {
    let count = sent.iter().map(Vec::len).sum();
    audit::compare(sent, &audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?)
}

#[cfg(feature = "kafka-tests")]
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_loses_nothing() -> anyhow::Result<()> {
    let world = World::new(Engine::Kafka).await?;
    let hub = world.start_with_samples().await?;
    publish_one(&world).await?;
    let load = Load::start((0..3).map(|_| world.client(PROVIDER)).collect::<Result<_, _>>()?, u64::MAX);
    let Some(broker) = world.broker() else { anyhow::bail!("no broker") };
    for _ in 0..3 {
        answers(&load, 500).await?;
        broker.kill();
        is_told(&world).await?;
        broker.restart().await?;
        answers(&load, 500).await?;
    }
    // One that stands still answers nothing and closes nothing.
    broker.pause();
    is_told(&world).await?;
    broker.resume();
    answers(&load, 500).await?;
    let sent = load.finish().await?;
    audited(&world, &sent).await?;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_at_its_limit_refuses_until_the_limit_is_raised() -> anyhow::Result<()> {
    let settings = |limit: &str| Settings { embedded: format!("max_bytes = \"{limit}\""), ..Settings::default() };
    let world = World::with(Engine::Embedded, &settings("16MiB")).await?;
    let hub = world.start_with_samples().await?;
    publish_one(&world).await?;
    let load = Load::start((0..3).map(|_| world.client(PROVIDER)).collect::<Result<_, _>>()?, u64::MAX);
    stands_still(&load).await?;
    is_told(&world).await?;
    // What is there is delivered all the same.
    let accepted = usize::try_from(load.answered())?;
    audit::read_all(&world.client(CONSUMER)?, AGREEMENT, accepted).await?;

    hub.stop(Duration::from_secs(30)).await?;
    world.configure(&settings("64MiB"))?;
    let hub = world.start().await?;
    answers(&load, 500).await?;
    let sent = load.finish().await?;
    audited(&world, &sent).await?;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

/// A disk that is full. A small file system in memory, or, where mounting is not permitted, a limit on the size of
/// files that the hub may write: both fail in the same places.
enum FullDisk {
    Mounted { at: PathBuf, ballast: PathBuf },
    Limited,
}

impl FullDisk {
    fn new() -> anyhow::Result<Self> {
        // The log keeps 64 MiB of a disk free: 32 MiB are left to fill.
        let at = std::env::temp_dir().join(format!("ldop-small-disk-{}", std::process::id()));
        fs::create_dir_all(&at)?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160m", "ldop-test"]).arg(&at).status();
        if !mounted.is_ok_and(|status| status.success()) {
            fs::remove_dir(&at)?;
            return Ok(Self::Limited);
        }
        let ballast = at.join("ballast");
        fs::write(&ballast, vec![1; 64 << 20])?;
        Ok(Self::Mounted { at, ballast })
    }

    fn data_dir(&self) -> Option<PathBuf> {
        match self {
            Self::Mounted { at, .. } => Some(at.join("data")),
            Self::Limited => None,
        }
    }

    /// Lets a hub that has started meet the limit.
    fn narrow(&self, hub: &Hub) -> anyhow::Result<()> {
        match self {
            Self::Mounted { .. } => Ok(()),
            Self::Limited => hub.limit_files(Some(24 << 20)),
        }
    }

    fn make_room(&self, hub: &Hub) -> anyhow::Result<()> {
        match self {
            Self::Mounted { ballast, .. } => Ok(fs::remove_file(ballast)?),
            Self::Limited => hub.limit_files(None),
        }
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        if let Self::Mounted { at, .. } = self {
            let _ = Command::new("umount").arg("-l").arg(&*at).status();
            let _ = fs::remove_dir(at);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_until_there_is_room() -> anyhow::Result<()> {
    let disk = FullDisk::new()?;
    let world = World::with(Engine::Embedded, &Settings { data_dir: disk.data_dir(), ..Settings::default() }).await?;
    // A write beyond the limit shall fail, not kill.
    let under = ["env".to_owned(), "--ignore-signal=XFSZ".to_owned()];
    let mut hub = Hub::launch_with(world.config(), &world.log_file(), world.ops(), &under).await?;
    hub.ready(world.config()).await?;
    world.apply_samples().await?;
    publish_one(&world).await?;
    disk.narrow(&hub)?;
    let load = Load::start((0..3).map(|_| world.client(PROVIDER)).collect::<Result<_, _>>()?, u64::MAX);
    stands_still(&load).await?;
    is_told(&world).await?;
    disk.make_room(&hub)?;
    // The same hub goes on by itself.
    answers(&load, 500).await?;
    let sent = load.finish().await?;
    audited(&world, &sent).await?;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

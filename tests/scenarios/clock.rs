//! The hub's clock is set back while it works: repeats stay repeats, order and delivery hold.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use ldop_contract::exchange::v1::{
    PublishRequest, PublishResponse, Record, Stage, exchange_service_client::ExchangeServiceClient,
};
use ldop_testkit::wait_until;
use ldop_tests::{
    Engine, Hub, World, audit,
    load::{self, Load},
    world::{AGREEMENT, CONSUMER, DATASET, PROVIDER},
};
use ldop_types::ExchangeId;
use tonic::Status;

/// A wall clock that can be set, for one hub.
struct Clock {
    shim: String,
    file: File,
    path: String,
}

impl Clock {
    /// Compiles the shim: glibc's clock calls are the one place where a process's clock can be set without root.
    fn new(world: &World) -> anyhow::Result<Self> {
        let (shim, path) = (world.folder().join("clock.so"), world.folder().join("clock"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/clock.c");
        let compiled = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).arg(&shim).arg(source).status()?;
        ensure!(compiled.success(), "cc did not compile {source}");
        fs::write(&path, 0_i64.to_ne_bytes())?;
        let file = File::options().write(true).open(&path)?;
        Ok(Self { shim: shim.display().to_string(), file, path: path.display().to_string() })
    }

    fn shift(&mut self, seconds: i64) -> anyhow::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self.file.write_all(&(seconds * 1_000).to_ne_bytes())?)
    }

    async fn start(&self, world: &World) -> anyhow::Result<Hub> {
        let under = ["env".to_owned(), format!("LD_PRELOAD={}", self.shim), format!("CLOCK_FILE={}", self.path)];
        let mut hub = Hub::launch_with(world.config(), &world.log_file(), world.ops(), &under).await?;
        hub.ready(world.config()).await?;
        Ok(hub)
    }
}

async fn publish(world: &World, id: ExchangeId) -> Result<PublishResponse, Status> {
    let record = Record {
        exchange_id: id.as_bytes().to_vec().into(),
        payload: load::record(98, 1).1,
        event_time: None,
        deletion: false,
    };
    let credentials = world.credentials(PROVIDER).map_err(|error| Status::internal(error.to_string()))?;
    let channel = world.channel(&credentials).map_err(|error| Status::internal(error.to_string()))?;
    let request = PublishRequest { dataset: DATASET.to_owned(), stage: Stage::Testing.into(), record: Some(record) };
    Ok(ExchangeServiceClient::new(channel).publish(request).await?.into_inner())
}

async fn a_clock_set_back_changes_nothing_that_was_promised(engine: Engine) -> anyhow::Result<()> {
    let world = World::new(engine).await?;
    let mut clock = Clock::new(&world)?;
    let mut hub = clock.start(&world).await?;
    world.apply_samples().await?;
    let load = Load::start(vec![world.client(PROVIDER)?, world.client(PROVIDER)?], u64::MAX);
    let id = ExchangeId::new();
    let first = publish(&world, id).await?.receipt.context("a receipt")?;

    // Back and forth, over a kill as well.
    for seconds in [-100, -3_600, 60, -7_200, 0] {
        clock.shift(seconds)?;
        for _ in 0..2 {
            let answered = load.answered();
            wait_until(Duration::from_secs(60), async || {
                ensure!(!load.has_ended(), "a publisher has ended");
                let now = load.answered() - answered;
                if now > 300 { Ok(()) } else { Err(anyhow::anyhow!("{now} answers at {seconds} s")) }
            })
            .await?;
            let again = publish(&world, id).await?.receipt.context("a receipt")?;
            ensure!(
                again.repeated && (again.partition, again.offset) == (first.partition, first.offset),
                "the repeat had an effect of its own: {again:?}"
            );
            hub.kill().await?;
            hub = clock.start(&world).await?;
        }
    }
    let sent = load.finish().await?;
    let count = sent.iter().map(Vec::len).sum();

    audit::compare(&sent, &audit::read_all(&world.client(CONSUMER)?, AGREEMENT, count).await?)?;

    // Right again, it goes on; and the repeat is still one.
    publish(&world, ExchangeId::new()).await?;
    ensure!(publish(&world, id).await?.receipt.is_some_and(|again| again.repeated), "the repeat had a second effect");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(a_clock_set_back_changes_nothing_that_was_promised);

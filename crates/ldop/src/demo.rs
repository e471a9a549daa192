//! `ldop demo`: the main job on real input, from an empty folder to an audited picture.
//!
//! A hub, four providers and four consumers run as processes of their own. The hub is killed with SIGKILL in the middle
//! and comes back. At the end every accepted record must have arrived once in effect at every consumer entitled to it,
//! with the granted fields only, and every planted error must have been caught for what it is.

mod audit;
mod picture;
pub mod worker;
mod world;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use self::{
    audit::Audit,
    worker::{PROVIDERS, consumers},
    world::{Hub, Worker, World},
};

/// Exit code when the audit fails.
pub const AUDIT_FAILED: u8 = 4;
/// Longest the whole demo may take for so many records: generous, because machines differ.
const PATIENCE: Duration = Duration::from_secs(120);

/// The demo: real data through a hub that is killed on the way.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ldop demo                              20,000 records on the embedded log
  ldop demo --records 300000             as many as a province's yearly civil status events
  ldop demo --kafka 127.0.0.1:9092       the same on an Apache Kafka broker
  ldop demo --output json                figures for a pipeline

Exit codes: 0 the audit passed, 4 it failed, 70 the demo could not run.")]
pub struct Args {
    /// Records of the civil status, land and business flows together.
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub records: u64,
    /// Seed of the flows; the same seed makes the same records.
    #[arg(long, default_value_t = 2026)]
    pub seed: u64,
    /// Share of records that are wrong in known ways, 0 to 1.
    #[arg(long, default_value_t = 0.02, value_name = "SHARE")]
    pub errors: f64,
    /// Least time the flows are spread over, in seconds; more records take as long as they take.
    #[arg(long, default_value_t = 4.0, value_name = "SECONDS")]
    pub spread: f64,
    /// Use this Kafka broker instead of the embedded log.
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Keep the working folder here instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the demo and prints the picture, or with `json` the figures. Returns the exit code.
///
/// # Errors
///
/// The demo could not run at all.
pub fn run(args: &Args, json: bool) -> anyhow::Result<u8> {
    if !(0.0..=1.0).contains(&args.errors) || !args.spread.is_finite() || args.spread < 0.0 {
        bail!("--errors takes a share from 0 to 1, --spread a number of seconds");
    }
    let started = Instant::now();
    let say = |text: &str| {
        if !json {
            eprintln!("{:>6.2}s  {text}", started.elapsed().as_secs_f64());
        }
    };
    let world = World::make(args)?;
    say(&format!("working folder {}", world.folder.display()));
    let mut hub = Hub::start(&world)?;
    let ready = hub.ready_after;
    say(&format!("hub ready after {} ms on the {} log", ready.as_millis(), world.engine()));
    let applied = world.apply()?;
    say(&format!("{applied} definitions applied: dictionary, code lists, schemas, catalogue, agreements"));

    let mut takers: Vec<Worker> =
        consumers().map(|system| Worker::consumer(&world, system)).collect::<Result<_, _>>()?;
    for taker in &mut takers {
        taker.wait_for_ready(started + PATIENCE)?;
    }
    say(&format!("{} consumers subscribed", takers.len()));
    let mut givers: Vec<Worker> =
        PROVIDERS.iter().map(|system| Worker::provider(&world, system, args)).collect::<Result<_, _>>()?;
    say(&format!("{} providers send", givers.len()));

    let total = args.records;
    let mut killed = None;
    loop {
        let done: u64 = givers.iter().map(Worker::done).sum();
        if killed.is_none() && done >= total * 45 / 100 {
            let at = Instant::now();
            hub.kill()?;
            say(&format!("hub killed with SIGKILL after {done} answers"));
            hub = Hub::start(&world)?;
            killed = Some((done, at.elapsed()));
            say(&format!("hub is back after {} ms", at.elapsed().as_millis()));
        }
        let mut running = false;
        for giver in &mut givers {
            running |= !giver.has_ended()?;
        }
        if !running {
            break;
        }
        if started.elapsed() > PATIENCE + Duration::from_secs(total / 2_000) {
            bail!("providers did not finish; logs are in {}", world.folder.display());
        }
        world::pause();
    }
    let given: Vec<_> = givers.into_iter().map(Worker::report).collect::<Result<Vec<worker::Given>, _>>()?;
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for report in &given {
        for (dataset, figures) in &report.datasets {
            *expected.entry(dataset.clone()).or_default() += figures.accepted;
        }
    }
    say("providers have an answer for every record");
    for taker in &mut takers {
        taker.expect(&expected)?;
    }
    let taken: Vec<_> = takers.into_iter().map(Worker::report).collect::<Result<Vec<worker::Taken>, _>>()?;
    let memory = hub.memory_mib();
    hub.stop().context("stop the hub")?;
    say("consumers have everything; hub drained");

    let audit = Audit::of(&world, &given, &taken)?;
    let run = picture::Run {
        records: total,
        engine: world.engine(),
        hub_ready: ready,
        killed,
        took: started.elapsed(),
        memory_mib: memory,
    };
    if json {
        println!("{}", picture::json(&run, &given, &taken, &audit)?);
    } else {
        print!("{}", picture::draw(&run, &given, &taken, &audit));
    }
    world.close(audit.passed());
    Ok(if audit.passed() { 0 } else { AUDIT_FAILED })
}

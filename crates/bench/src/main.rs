//! Measures the hub against bare libraries on the same machine, in the same run.
//!
//! Absolute rates say more of a machine than of a program, so every figure is a ratio: the hub and something bare do the
//! same to the same records, by turns, and the median counts. The hub is a process of its own, `ldop serve`, with mutual
//! TLS, agreements and the sample definitions; the load comes from the client crate. docs/benchmarks.md tells what each
//! measure is and what it is not.
//!
//! - [`settings`], [`table`]: what goes in and what comes out.
//! - [`corpus`], [`load`], [`world`], [`clock`]: records, the load on the hub, the hub, processor time and memory.
//! - [`bare_kafka`], [`bare_sqlite`], [`bare_check`]: what the hub is measured against.
//! - [`road`], [`single`], [`large`], [`registry`]: bulk, reading, single calls; large states; the schema registry.
//! - [`copy`], [`export`]: making a current copy; exporting to Parquet.
//! - [`fan`]: many subscribers, datasets and agreements.
//! - [`fair`]: a quiet caller beside one that floods the hub.

mod bare_check;
mod bare_kafka;
mod bare_sqlite;
mod clock;
mod copy;
mod corpus;
mod export;
mod fair;
mod fan;
mod large;
mod load;
mod look_up;
mod registry;
mod road;
mod settings;
mod single;
mod table;
mod world;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;

use crate::{
    bare_check::Checker,
    corpus::Corpus,
    large::Large,
    road::Road,
    settings::{Measure, Settings},
    table::{Row, micros},
};

// As in the hub, so that client and echo have the same.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    let files: Vec<_> = arguments.map(PathBuf::from).collect();
    if first.as_deref().is_some_and(|first| first == single::ECHO_COMMAND) {
        let files = files.try_into().map_err(|_| anyhow::anyhow!("the echo wants three files"))?;
        return runtime.block_on(single::serve_echo(files));
    }
    if first.is_some_and(|first| first == registry::BARE_COMMAND) {
        let files = files.try_into().map_err(|_| anyhow::anyhow!("the bare server wants four files"))?;
        return runtime.block_on(registry::serve_bytes(files));
    }
    if std::env::args_os().nth(1).is_some_and(|first| first == copy::COMMAND) {
        return runtime.block_on(copy::child(&files));
    }
    let settings = Settings::parse();
    runtime.block_on(measure(&settings))
}

async fn measure(settings: &Settings) -> anyhow::Result<()> {
    let program = settings.hub()?;
    std::fs::create_dir_all(&settings.dir)?;
    let folder = tempfile::tempdir_in(std::fs::canonicalize(&settings.dir)?).context("make a folder")?;
    let before = clock::machine();
    let definitions = world::sample_definitions()?;
    let corpus = Corpus::make(settings.records())?;
    eprintln!("{before}; {} records of {} bytes", corpus.len(), corpus.bytes() / corpus.len());
    let mut checker = Checker::make(folder.path(), &definitions).await?;
    let mut rows = Vec::new();
    if settings.wants(Measure::Validation) {
        rows.extend(validation(&mut checker, &corpus, settings)?);
    }
    let wants_road = settings.wants(Measure::Subscribe) || settings.wants(Measure::Single);
    let dir = folder.path().to_owned();
    let mut road = Road {
        settings,
        program: program.clone(),
        dir,
        corpus: &corpus,
        definitions: &definitions,
        checker: &mut checker,
    };
    if wants_road || settings.wants(Measure::Embedded) {
        rows.extend(road.on_embedded().await?);
    }
    if wants_road || settings.wants(Measure::Kafka) {
        rows.extend(road.on_kafka().await?);
    }
    if settings.wants(Measure::Registry) {
        let (dir, program) = (folder.path().to_owned(), program.clone());
        let measures = registry::RegistryMeasures { settings, program, dir, definitions: &definitions };
        rows.extend(measures.measure().await?);
    }
    if settings.wants(Measure::LookUp) {
        rows.extend(look_up::measure(settings, folder.path(), program.clone(), &definitions).await?);
    }
    if settings.wants(Measure::Fair) {
        rows.extend(fair::measure(settings, folder.path(), program.clone(), &definitions).await?);
    }
    if settings.wants(Measure::Copy) {
        rows.extend(copy::measure(settings, folder.path(), &definitions).await?);
    }
    if settings.wants(Measure::Export) {
        rows.extend(export::measure(settings, folder.path(), program.clone(), &definitions, &corpus).await?);
    }
    if settings.wants(Measure::Fan) {
        let (program, dir) = (program.clone(), folder.path());
        let fan = fan::Fan { settings, program, dir, corpus: &corpus, definitions: &definitions };
        rows.extend(fan.out().await?);
        rows.push(fan.behind().await?);
        rows.push(fan.agreements().await?);
    }
    let dir = folder.path().to_owned();
    let large = Large { settings, program, dir, corpus: &corpus, definitions: &definitions };
    if settings.wants(Measure::Start) {
        rows.extend(large.start().await?);
    }
    if settings.wants(Measure::Growth) {
        rows.push(large.datasets().await?);
        rows.push(large.backlog().await?);
    }
    println!("{}", table::markdown(&rows));
    println!("Before: {before}. After: {}.", clock::machine());
    println!(
        "{} records of {} bytes in a round, {} rounds.",
        corpus.len(),
        corpus.bytes() / corpus.len(),
        settings.rounds()
    );
    Ok(())
}

/// Validation with dictionary rules against the jsonschema crate: from a document's text to the verdict, and the check alone,
/// on records that are parsed already in each one's form.
fn validation(checker: &mut Checker, corpus: &Corpus, settings: &Settings) -> anyhow::Result<[Row; 2]> {
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds() {
        rounds.push(checker.measure(corpus)?);
    }
    let each = |time: fn(&bare_check::Times) -> Duration| {
        table::median(rounds.iter().map(|times| micros(time(times).as_secs_f64(), corpus.len())))
    };
    let (check, theirs) = (each(|t| t.check), each(|t| t.jsonschema));
    let (parse, value) = (each(|t| t.parse), each(|t| t.value));
    eprintln!("parse {parse:.2} µs, check {check:.2} µs; serde_json {value:.2} µs, jsonschema {theirs:.2} µs");
    let whole = Row::new(
        "validation of documents, with dictionary rules and rules across fields",
        format!("{:.2} µs", parse + check),
    )
    .against(format!("serde_json and jsonschema {:.2} µs", value + theirs))
    .at_least((value + theirs) / (parse + check), 0.8);
    let alone = Row::new("… of documents that are parsed already", format!("{check:.2} µs"))
        .against(format!("jsonschema {theirs:.2} µs"))
        .at_least(theirs / check, 0.8);
    Ok([whole, alone])
}

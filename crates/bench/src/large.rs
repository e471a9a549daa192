//! Large states: many schemas and datasets, long logs. What must not grow with them is the time to be ready and the cost
//! of a record.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use ldop_client::{Client, Event, Start, SubscriberConfig};
use ldop_contract::control::v1::{Change, change::Resource};
use ldop_sample_data::Dataset;
use ldop_types::{AgreementId, DatasetName, SubscriptionName};
use tokio::task::JoinSet;

use crate::{
    corpus::{Corpus, Record},
    load,
    settings::Settings,
    table::{Row, median, rate},
    world::{Hub, READER, World},
};

const SCHEMAS: usize = 1_000;
const RECORDS: usize = 1_000_000;
/// Streams at a time, records of each stream, streams one after the other, in the measure of many datasets.
const STREAMS: usize = 10;
const STREAM_RECORDS: usize = 100;
const TURNS: usize = 100;
const AGREEMENT: &str = "civil-status-to-social-insurance";

/// What the measures need.
pub struct Large<'a> {
    /// What to do.
    pub settings: &'a Settings,
    /// The hub's program.
    pub program: PathBuf,
    /// Folder for everything.
    pub dir: PathBuf,
    /// Records.
    pub corpus: &'a Corpus,
    /// The sample definitions.
    pub definitions: &'a [Change],
}

impl Large<'_> {
    async fn hub(&self, more: Vec<Change>) -> anyhow::Result<(World, Hub)> {
        let world = World::make(&self.program, &self.dir, None)?;
        let hub = Hub::start(&world)?;
        world.apply(self.definitions.iter().cloned().chain(more).collect()).await?;
        Ok((world, hub))
    }

    /// Copies of the civil status schema and of the dataset that uses it.
    fn copies(&self, schemas: usize, datasets: usize) -> Vec<Change> {
        let mut copies = Vec::new();
        for change in self.definitions {
            match &change.resource {
                Some(Resource::Schema(schema)) if schema.name == Dataset::CivilStatus.schema() => {
                    copies.extend((0..schemas).map(|n| {
                        let schema = ldop_contract::registry::v1::Schema { name: name(n), ..schema.clone() };
                        Change { resource: Some(Resource::Schema(schema)) }
                    }));
                }
                Some(Resource::Dataset(dataset)) if dataset.id == Dataset::CivilStatus.id() => {
                    copies.extend((0..datasets).map(|n| {
                        let schema = if n < schemas { name(n) } else { dataset.schema.clone() };
                        let dataset = ldop_contract::catalog::v1::Dataset {
                            id: name(n),
                            schema,
                            partitions: 1,
                            ..dataset.clone()
                        };
                        Change { resource: Some(Resource::Dataset(dataset)) }
                    }));
                }
                _ => {}
            }
        }
        // Schemas come before the datasets that name them.
        copies.sort_by_key(|change| matches!(change.resource, Some(Resource::Dataset(_))));
        copies
    }

    /// Time from the start of the process to ready, after a drain and after SIGKILL.
    pub async fn start(&self) -> anyhow::Result<Vec<Row>> {
        let (world, mut hub) = self.hub(self.copies(SCHEMAS, SCHEMAS)).await?;
        let clients = world.providers(None).await?;
        for _ in 0..RECORDS.div_ceil(self.corpus.len()) {
            load::publish(&clients, self.corpus).await?;
        }
        drop(clients);
        hub.stop()?;
        let (mut drained, mut killed) = (Vec::new(), Vec::new());
        for round in 0..self.settings.rounds() {
            hub = Hub::start(&world)?;
            drained.push(hub.ready_after.as_secs_f64());
            hub.kill()?;
            hub = Hub::start(&world)?;
            killed.push(hub.ready_after.as_secs_f64());
            eprintln!("round {round}: ready after {:.3} s, after SIGKILL {:.3} s", drained[round], killed[round]);
            hub.stop()?;
        }
        let row = |how: &str, times: Vec<f64>| {
            let time = median(times);
            let measure = format!("start to ready {how}, {SCHEMAS} schemas, a million records, embedded");
            Row::new(measure, format!("{:.0} ms", time * 1000.0)).at_most(time, 0.5, " s")
        };
        Ok(vec![row("after a drain", drained), row("after SIGKILL", killed)])
    }

    /// The same streams over 10 datasets and over 1,000.
    pub async fn datasets(&self) -> anyhow::Result<Row> {
        let (few, many) = (STREAMS, STREAMS * TURNS);
        let (small, _small_hub) = self.hub(self.copies(0, few)).await?;
        let (large, _large_hub) = self.hub(self.copies(0, many)).await?;
        let (small, large) = (publishers(&small).await?, publishers(&large).await?);
        let records = Arc::clone(&self.corpus.flows[0].records);
        let (mut rates, mut base, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.settings.rounds() {
            let a = turns(&small, few, &records).await?;
            let b = turns(&large, many, &records).await?;
            let ratio = a.as_secs_f64() / b.as_secs_f64();
            let per_second = |took: Duration| (STREAMS * TURNS * STREAM_RECORDS) as f64 / took.as_secs_f64();
            eprintln!("round {round}: {few} datasets {}, {many} {}", rate(per_second(a)), rate(per_second(b)));
            if round > 0 {
                base.push(per_second(a));
                rates.push(per_second(b));
                ratios.push(ratio);
            }
        }
        Ok(Row::new(format!("publish rate with {many} datasets, embedded"), rate(median(rates)))
            .against(format!("with {few} datasets {}", rate(median(base))))
            .at_least(median(ratios), 0.9))
    }

    /// Publishing onto an empty log, and onto one with a large backlog that a subscription has yet to read.
    pub async fn backlog(&self) -> anyhow::Result<Row> {
        let backlog = if self.settings.long { 5_000_000 } else { 500_000 };
        let (small, _small_hub) = self.hub(Vec::new()).await?;
        let (large, large_hub) = self.hub(Vec::new()).await?;
        let reader = large.client(READER, None).await?;
        let (small, large) = (small.providers(None).await?, large.providers(None).await?);
        // Its position stays at the beginning.
        let config = SubscriberConfig { start: Start::Earliest, credit_records: 1, ..SubscriberConfig::default() };
        let mut reader = reader.subscriber(AgreementId::parse(AGREEMENT)?, SubscriptionName::parse("bench")?, config);
        let opened = reader.next().await?;
        anyhow::ensure!(matches!(opened, Event::Opened(_)), "the subscription did not open");
        for _ in 0..backlog / self.corpus.len() {
            load::publish(&large, self.corpus).await?;
        }
        let (mut rates, mut base, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.settings.rounds() {
            let a = self.corpus.len() as f64 / load::publish(&small, self.corpus).await?.as_secs_f64();
            let b = self.corpus.len() as f64 / load::publish(&large, self.corpus).await?.as_secs_f64();
            eprintln!("round {round}: empty log {}, backlog {}", rate(a), rate(b));
            if round > 0 {
                base.push(a);
                rates.push(b);
                ratios.push(b / a);
            }
        }
        let memory = large_hub.memory()?.peak;
        drop(reader);
        Ok(Row::new(
            format!("publish rate with a backlog of {:.1} million, embedded", backlog as f64 / 1e6),
            rate(median(rates)),
        )
        .against(format!("empty log {} (memory with backlog at most {memory:.0} MiB)", rate(median(base))))
        .at_least(median(ratios), 0.9))
    }
}

fn name(n: usize) -> String {
    format!("load-{n:04}")
}

async fn publishers(world: &World) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..STREAMS {
        clients.push(world.client(Dataset::CivilStatus.provider(), None).await?);
    }
    Ok(clients)
}

/// Lets each publisher open stream after stream, over its share of the datasets by turns.
async fn turns(clients: &[Client], datasets: usize, records: &Arc<[Record]>) -> anyhow::Result<Duration> {
    let each = datasets / clients.len();
    let started = std::time::Instant::now();
    let mut publishers = JoinSet::new();
    for (number, client) in clients.iter().cloned().enumerate() {
        let records = Arc::clone(records);
        publishers.spawn(async move {
            for turn in 0..TURNS {
                let dataset = DatasetName::parse(&name(number * each + turn % each))?;
                let from = (number * TURNS + turn) * STREAM_RECORDS % (records.len() - STREAM_RECORDS);
                load::stream(client.clone(), dataset, Arc::clone(&records), from..from + STREAM_RECORDS).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended?.context("many datasets")?;
    }
    Ok(started.elapsed())
}

//! Subscriptions at scale: what a record costs the hub that is sent to one, ten or a hundred subscribers, or to one subscriber of a
//! hundred datasets; whether a reader far behind slows one at the head; and whether ten thousand agreements slow the decision about one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use hdrhistogram::Histogram;
use ldop_client::{Client, Event, Start, SubscriberConfig};
use ldop_contract::control::v1::{Change, change::Resource};
use ldop_sample_data::Dataset;
use ldop_types::{AgreementId, DatasetName, ExchangeId, Stage, SubscriptionName, TimestampMs};
use tokio::task::JoinSet;

use crate::{
    clock,
    corpus::Corpus,
    load, look_up,
    settings::Settings,
    single,
    table::{Row, median, micros, rate},
    world::{Hub, READER, World},
};

const AGREEMENT: &str = "civil-status-to-social-insurance";
/// Subscribers of one dataset, at most, and datasets of one subscriber.
const MANY: usize = 100;
/// Connections that the subscribers share.
const CONNECTIONS: usize = 4;
/// How often one subscriber reads what the others read once: processor time is counted in hundredths of a second.
const AGAIN: usize = 10;
const AGREEMENTS: usize = 10_000;
/// Records a second while delivery at the head is timed, and for how long.
const PACE: Duration = Duration::from_millis(5);
const HEAD_RECORDS: usize = 1_000;

/// What the measures need.
pub struct Fan<'a> {
    /// What to do.
    pub settings: &'a Settings,
    /// The hub's program.
    pub program: PathBuf,
    /// Folder for everything.
    pub dir: &'a Path,
    /// Records.
    pub corpus: &'a Corpus,
    /// The sample definitions.
    pub definitions: &'a [Change],
}

impl Fan<'_> {
    async fn hub(&self, more: Vec<Change>) -> anyhow::Result<(World, Hub)> {
        let world = World::make(&self.program, self.dir, None)?;
        let hub = Hub::start(&world)?;
        world.apply(self.definitions.iter().cloned().chain(more).collect()).await?;
        Ok((world, hub))
    }

    /// Copies of the civil status dataset and of the agreement on it.
    fn copies(&self, datasets: usize, agreements: usize) -> Vec<Change> {
        let (mut sets, mut shared) = (Vec::new(), Vec::new());
        for change in self.definitions {
            match &change.resource {
                Some(Resource::Dataset(dataset)) if dataset.id == Dataset::CivilStatus.id() => {
                    sets.extend((0..datasets).map(|n| {
                        let partitions = 1;
                        let (id, dataset) = (name(n), dataset.clone());
                        Resource::Dataset(ldop_contract::catalog::v1::Dataset { id, partitions, ..dataset })
                    }));
                }
                Some(Resource::Agreement(agreement)) if agreement.id == AGREEMENT => {
                    shared.extend((0..agreements).map(|n| {
                        let dataset = if n < datasets { name(n) } else { agreement.dataset.clone() };
                        let (id, agreement) = (name(n), agreement.clone());
                        Resource::Agreement(ldop_contract::catalog::v1::Agreement { id, dataset, ..agreement })
                    }));
                }
                _ => {}
            }
        }
        sets.into_iter().chain(shared).map(|resource| Change { resource: Some(resource) }).collect()
    }

    /// One, ten and a hundred subscribers of one dataset, and one of a hundred datasets.
    ///
    /// # Errors
    ///
    /// The hub, or a subscription.
    pub async fn out(&self) -> anyhow::Result<Vec<Row>> {
        let (world, hub) = self.hub(self.copies(MANY, MANY)).await?;
        let records = Arc::clone(&self.corpus.flows[0].records);
        let provider = world.client(Dataset::CivilStatus.provider(), None).await?;
        let count = records.len();
        load::stream(provider.clone(), DatasetName::parse(Dataset::CivilStatus.id())?, Arc::clone(&records), 0..count)
            .await?;
        for n in 0..MANY {
            let some = n * count / MANY..(n + 1) * count / MANY;
            load::stream(provider.clone(), DatasetName::parse(&name(n))?, Arc::clone(&records), some).await?;
        }
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(world.client(READER, None).await?);
        }
        let before = (hub.memory()?, clock::threads(hub.pid())?);
        let mut costs: [Vec<f64>; 4] = Default::default();
        for round in 0..=self.settings.rounds() {
            let one = vec![(AGREEMENT.to_owned(), count); 1];
            let mut spent = Vec::new();
            let started = hub.processor_time()?;
            for _ in 0..AGAIN {
                read(&clients, &one).await?;
            }
            spent.push(micros((hub.processor_time()? - started).as_secs_f64(), AGAIN * count));
            for (subscribers, agreements) in [
                (10, vec![(AGREEMENT.to_owned(), count); 10]),
                (MANY, vec![(AGREEMENT.to_owned(), count); MANY]),
                (1, (0..MANY).map(|n| (name(n), (n + 1) * count / MANY - n * count / MANY)).collect()),
            ] {
                let started = hub.processor_time()?;
                // All of one dataset, or a hundredth of each: repeated, as for one subscriber.
                for _ in 0..if subscribers == 1 { AGAIN } else { 1 } {
                    read(&clients, &agreements).await?;
                }
                let times = if subscribers == 1 { AGAIN } else { subscribers };
                spent.push(micros((hub.processor_time()? - started).as_secs_f64(), times * count));
            }
            eprintln!(
                "round {round}: µs for each record sent to 1 {:.2}, 10 {:.2}, {MANY} {:.2}; of {MANY} datasets {:.2}",
                spent[0], spent[1], spent[2], spent[3]
            );
            if round > 0 {
                costs.iter_mut().zip(spent).for_each(|(costs, spent)| costs.push(spent));
            }
        }
        let after = (hub.memory()?, clock::threads(hub.pid())?);
        hub.stop()?;
        let [one, ten, many, sets] = costs.map(median);
        let grown = format!(
            "memory {:.0} to at most {:.0} MiB, threads {} to {}",
            before.0.now, after.0.peak, before.1, after.1
        );
        let base = format!("to one subscriber {one:.2} µs");
        Ok(vec![
            Row::new(
                format!("fan-out to {MANY} subscribers with projection, for each record sent"),
                format!("{many:.2} µs ({grown})"),
            )
            .against(base.clone())
            .at_least(one / many, 0.8),
            Row::new("… to 10 subscribers", format!("{ten:.2} µs"))
                .against(base.clone())
                .figure(format!("{:.2}", one / ten)),
            Row::new(format!("… to one subscriber of {MANY} datasets"), format!("{sets:.2} µs"))
                .against(base)
                .figure(format!("{:.2}", one / sets)),
        ])
    }

    /// Delivery at the head, alone and beside a reader of a long backlog.
    ///
    /// # Errors
    ///
    /// The hub, or a subscription.
    pub async fn behind(&self) -> anyhow::Result<Row> {
        let backlog: usize = if self.settings.long { 5_000_000 } else { 500_000 };
        let (world, hub) = self.hub(self.copies(0, 1)).await?;
        let provider = world.client(Dataset::CivilStatus.provider(), None).await?;
        let records = Arc::clone(&self.corpus.flows[0].records);
        let dataset = DatasetName::parse(Dataset::CivilStatus.id())?;
        for _ in 0..backlog.div_ceil(records.len()) {
            load::stream(provider.clone(), dataset.clone(), Arc::clone(&records), 0..records.len()).await?;
        }
        let head = world.client(READER, None).await?;
        let cold = world.client(READER, None).await?;
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for round in 0..=self.settings.rounds() {
            let quiet = self.head(&head, &provider).await?;
            let reading = tokio::spawn(endless(cold.clone(), name(0)));
            let loud = self.head(&head, &provider).await;
            reading.abort();
            let loud = loud?;
            eprintln!("round {round}: p99 at the head {quiet:.1} ms, beside a reader of the backlog {loud:.1} ms");
            if round > 0 {
                alone.push(quiet);
                beside.push(loud);
            }
        }
        hub.stop()?;
        let (alone, beside) = (median(alone), median(beside));
        let measure =
            format!("p99 of delivery at the head, beside a reader of a backlog of {} million", backlog as f64 / 1e6);
        Ok(Row::new(measure, format!("{beside:.1} ms"))
            .against(format!("alone {alone:.1} ms"))
            .figure(format!("{:+.1} ms", beside - alone)))
    }

    /// From acceptance to receiving, the 99th percentile in milliseconds.
    async fn head(&self, reader: &Client, provider: &Client) -> anyhow::Result<f64> {
        let config = SubscriberConfig { start: Start::Latest, ..SubscriberConfig::default() };
        let subscription = SubscriptionName::parse(&format!("bench-{}", ExchangeId::new()))?;
        let mut subscriber = reader.subscriber(AgreementId::parse(AGREEMENT)?, subscription, config);
        while !matches!(next(&mut subscriber).await?, Event::CaughtUp(_)) {}
        let (provider, records) = (provider.clone(), Arc::clone(&self.corpus.flows[0].records));
        let sending = tokio::spawn(async move {
            let dataset = DatasetName::parse(Dataset::CivilStatus.id())?;
            let mut pace = tokio::time::interval(PACE);
            for record in &records[..HEAD_RECORDS.min(records.len())] {
                pace.tick().await;
                let payload = Bytes::copy_from_slice(&record.payload);
                // Codes are judged at the record's own time.
                let time = Some(record.event_time);
                provider.publish_one(&dataset, Stage::Live, ExchangeId::new(), payload, time).await?;
            }
            anyhow::Ok(())
        });
        let mut latencies = Histogram::<u64>::new_with_bounds(1, 600_000, 3)?;
        while latencies.len() < HEAD_RECORDS.min(self.corpus.flows[0].records.len()) as u64 {
            if let Event::Batch(batch) = next(&mut subscriber).await? {
                let now = TimestampMs::now().0;
                for record in &batch.records {
                    latencies.saturating_record(u64::try_from(now - record.accepted_time_ms).unwrap_or(0).max(1));
                }
                subscriber.ack(&batch);
            }
        }
        sending.await??;
        subscriber.close().await?;
        Ok(latencies.value_at_quantile(0.99) as f64)
    }

    /// Look-ups under one of few agreements, and of very many.
    ///
    /// # Errors
    ///
    /// The hub, or a call.
    pub async fn agreements(&self) -> anyhow::Result<Row> {
        let few = self.hub(self.copies(0, 10)).await?;
        let many = self.hub(self.copies(0, AGREEMENTS)).await?;
        let mut clients = Vec::new();
        for (world, _) in [&few, &many] {
            clients.push([look_up::ready(world).await?]);
        }
        let time = Duration::from_secs(if self.settings.long { 8 } else { 3 });
        let (mut rates, mut base, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.settings.rounds() {
            let a = single::callers(&clients[0], time, look_up::ask).await?.rate;
            let b = single::callers(&clients[1], time, look_up::ask).await?.rate;
            eprintln!("round {round}: look-ups with 10 agreements {}, with {AGREEMENTS} {}", rate(a), rate(b));
            if round > 0 {
                base.push(a);
                rates.push(b);
                ratios.push(b / a);
            }
        }
        Ok(Row::new(format!("decision about one of {AGREEMENTS} agreements: look-ups"), rate(median(rates)))
            .against(format!("of 10 agreements {}", rate(median(base))))
            .at_least(median(ratios), 0.9))
    }
}

fn name(n: usize) -> String {
    format!("civil-status-{n:05}")
}

async fn next(subscriber: &mut ldop_client::Subscriber) -> anyhow::Result<Event> {
    Ok(tokio::time::timeout(Duration::from_secs(60), subscriber.next())
        .await
        .context("the subscription is silent")??)
}

/// Reads some agreements to the end at once, each by a subscription of its own.
async fn read(clients: &[Client], agreements: &[(String, usize)]) -> anyhow::Result<()> {
    let mut readers = JoinSet::new();
    for (at, (agreement, count)) in agreements.iter().cloned().enumerate() {
        let client = clients[at % clients.len()].clone();
        readers.spawn(async move { load::read(&client, &agreement, count).await });
    }
    while let Some(read) = readers.join_next().await {
        read??;
    }
    Ok(())
}

/// Reads from the beginning, again and again.
async fn endless(client: Client, agreement: String) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        load::read(&client, &agreement, 400_000).await?;
        ensure!(started.elapsed() < Duration::from_secs(3_600), "nobody stopped it");
    }
}

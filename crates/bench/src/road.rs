//! The measures of the road a record takes: publishing in bulk and singly, reading, and the hub's memory meanwhile.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use ldop_client::Client;
use ldop_contract::control::v1::Change;
use ldop_exchange::header::dataset_topic;
use ldop_sample_data::Dataset;
use ldop_testkit::kafka::Broker;
use ldop_types::{DatasetName, Stage};

use crate::{
    bare_check::Checker,
    bare_kafka, bare_sqlite, clock,
    corpus::Corpus,
    load,
    settings::{Measure, Settings},
    single,
    table::{Row, median, micros, rate},
    world::{Hub, READER, World},
};

/// The agreement that is read: 17 of the 30 or so fields of a civil status event.
const AGREEMENT: &str = "civil-status-to-social-insurance";

/// Least number of records that are read: opening takes its time on both sides.
const READ: usize = 600_000;

/// Rounds before those that count. A broker's Java code is compiled while it runs: it is warm after some million
/// records, and costs several times as much before.
const WARM_UP_KAFKA: usize = 20;
const WARM_UP_KAFKA_SINGLE: usize = 10;
const WARM_UP_EMBEDDED: usize = 1;

/// What all measures of the road share.
pub struct Road<'a> {
    /// What to do.
    pub settings: &'a Settings,
    /// The hub's program.
    pub program: PathBuf,
    /// Folder for everything.
    pub dir: PathBuf,
    /// Records of a round.
    pub corpus: &'a Corpus,
    /// The sample definitions.
    pub definitions: &'a [Change],
    /// Checks records without a hub.
    pub checker: &'a mut Checker,
}

/// A hub that is being measured.
struct Running {
    world: World,
    hub: Hub,
    clients: Vec<Client>,
    idle: f64,
    /// Civil status records on its log.
    readable: usize,
}

/// Figures of the bulk rounds.
#[derive(Default)]
struct Bulk {
    hub: Vec<f64>,
    bare: Vec<f64>,
    ratios: Vec<f64>,
    /// Microseconds for each record, in the hub's turn and in the bare one's.
    spent: Vec<(Spent, Spent)>,
}

/// Processor time of the processes that share the machine: seconds so far, or microseconds for each record.
#[derive(Debug, Clone, Copy)]
struct Spent {
    hub: f64,
    /// This process: the client, or what is bare.
    own: f64,
    broker: f64,
}

impl Spent {
    fn now(hub: &Hub, broker: Option<u32>) -> anyhow::Result<Self> {
        Ok(Self {
            hub: hub.processor_time()?.as_secs_f64(),
            own: clock::process(std::process::id())?.as_secs_f64(),
            broker: broker.map_or(Ok(0.0), |pid| clock::process(pid).map(|time| time.as_secs_f64()))?,
        })
    }

    fn since(self, before: Self, records: usize) -> Self {
        Self {
            hub: micros(self.hub - before.hub, records),
            own: micros(self.own - before.own, records),
            broker: micros(self.broker - before.broker, records),
        }
    }
}

impl Road<'_> {
    /// Measures on Kafka.
    pub async fn on_kafka(&mut self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let broker = Broker::start().await.context("start Kafka")?;
        let address = broker.address();
        let mut running = self.start(Some(&address)).await?;
        if self.settings.wants(Measure::Kafka) {
            bare_kafka::make_topics(&address, self.corpus).await?;
            let producer = bare_kafka::Producer::open(&address)?;
            let bulk = self.bulk(&mut running, "rdkafka", WARM_UP_KAFKA, || producer.send(self.corpus)).await?;
            rows.push(
                bulk.row("bulk publish, Kafka", "rdkafka ThreadedProducer").at_least(median(bulk.ratios.clone()), 0.6),
            );
            rows.push(self.processor_time(&bulk)?);
        }
        if self.settings.wants(Measure::Subscribe) {
            rows.push(self.subscribe(&mut running, Some(&address)).await?);
        }
        if self.settings.wants(Measure::Single) {
            rows.extend(self.single(&running, "Kafka", WARM_UP_KAFKA_SINGLE).await?);
        }
        rows.extend(running.finish("Kafka")?);
        Ok(rows)
    }

    /// Measures on the embedded log.
    pub async fn on_embedded(&mut self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut running = self.start(None).await?;
        if self.settings.wants(Measure::Embedded) {
            let write = || bare_sqlite::write(&self.dir, self.corpus);
            let bulk = self.bulk(&mut running, "SQLite", WARM_UP_EMBEDDED, write).await?;
            rows.push(
                bulk.row("bulk publish, embedded", "SQLite group commit").at_least(median(bulk.ratios.clone()), 0.5),
            );
        }
        if self.settings.wants(Measure::Subscribe) {
            rows.push(self.subscribe(&mut running, None).await?);
        }
        if self.settings.wants(Measure::Single) {
            rows.extend(self.single(&running, "embedded", WARM_UP_EMBEDDED).await?);
        }
        rows.extend(running.finish("embedded")?);
        Ok(rows)
    }

    async fn start(&self, kafka: Option<&str>) -> anyhow::Result<Running> {
        let world = World::make(&self.program, &self.dir, kafka)?;
        let hub = Hub::start(&world)?;
        world.apply(self.definitions.to_vec()).await?;
        let idle = hub.memory()?.now;
        eprintln!("hub {} on the {} log: {idle:.0} MiB", hub.pid(), if kafka.is_some() { "Kafka" } else { "embedded" });
        let clients = world.providers(None).await?;
        Ok(Running { world, hub, clients, idle, readable: 0 })
    }

    /// Rounds of the hub and of something bare, by turns, after some of each that do not count.
    async fn bulk(
        &self,
        running: &mut Running,
        name: &str,
        warm_up: usize,
        bare: impl Fn() -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Bulk> {
        let (count, mut bulk) = (self.corpus.len(), Bulk::default());
        let broker = clock::child_with("kafka.Kafka");
        for round in 1..=warm_up + self.settings.rounds() {
            let before = Spent::now(&running.hub, broker)?;
            let took = running.publish(self.corpus).await?.as_secs_f64();
            let between = Spent::now(&running.hub, broker)?;
            let bare_took = tokio::task::block_in_place(&bare)?.as_secs_f64();
            let after = Spent::now(&running.hub, broker)?;
            let (hub_rate, bare_rate) = (count as f64 / took, count as f64 / bare_took);
            let (ours, theirs) = (between.since(before, count), after.since(between, count));
            eprintln!(
                "{} {round}: hub {} (µs of processor time: hub {:.1}, client {:.1}, broker {:.1}), {name} {} ({:.1}, \
                 broker {:.1}), ratio {:.2}; hub {:.0} MiB",
                if round > warm_up { "round" } else { "warm-up" },
                rate(hub_rate),
                ours.hub,
                ours.own,
                ours.broker,
                rate(bare_rate),
                theirs.own,
                theirs.broker,
                hub_rate / bare_rate,
                running.hub.memory()?.now
            );
            if round > warm_up {
                bulk.hub.push(hub_rate);
                bulk.bare.push(bare_rate);
                bulk.ratios.push(hub_rate / bare_rate);
                bulk.spent.push((ours, theirs));
            }
        }
        Ok(bulk)
    }

    fn processor_time(&mut self, bulk: &Bulk) -> anyhow::Result<Row> {
        let count = self.corpus.len();
        let times = self.checker.measure(self.corpus)?;
        let each = |time: Duration| micros(time.as_secs_f64(), count);
        let (parse, schema, hash) = (each(times.parse), each(times.jsonschema), each(times.sha256));
        let spent = |of: fn(&(Spent, Spent)) -> f64| median(bulk.spent.iter().map(of));
        let (hub, bare) = (spent(|(ours, _)| ours.hub), parse + schema + hash);
        let (client, broker) = (spent(|(ours, _)| ours.own), spent(|(ours, _)| ours.broker));
        let own = format!("{hub:.2} µs (beside it client {client:.1}, broker {broker:.1})");
        let (raw, raw_broker) = (spent(|(_, theirs)| theirs.own), spent(|(_, theirs)| theirs.broker));
        let against = format!(
            "parse {parse:.2} + jsonschema {schema:.2} + SHA-256 {hash:.2} = {bare:.2} µs (rdkafka {raw:.1}, broker {raw_broker:.1})"
        );
        Ok(Row::new("the hub's processor time for each record of that", own).against(against).at_most(
            hub / bare,
            2.0,
            "x",
        ))
    }

    async fn subscribe(&self, running: &mut Running, kafka: Option<&str>) -> anyhow::Result<Row> {
        while running.readable < READ {
            running.publish(self.corpus).await?;
        }
        let count = running.readable;
        let client = running.world.client(READER, None).await?;
        let topic = dataset_topic(Stage::Live, &DatasetName::parse(Dataset::CivilStatus.id())?);
        let (mut hub, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=self.settings.rounds() {
            let before = running.hub.processor_time()?;
            let took = count as f64 / load::read(&client, AGREEMENT, count).await?.as_secs_f64();
            let each = micros((running.hub.processor_time()? - before).as_secs_f64(), count);
            let against = match kafka {
                // Nothing reads that file but the hub.
                None => f64::NAN,
                Some(broker) => {
                    let read = || bare_kafka::read(broker, topic.as_str(), count);
                    count as f64 / tokio::task::block_in_place(read)?.as_secs_f64()
                }
            };
            let compared = match kafka {
                None => String::new(),
                Some(_) => format!(", rdkafka {}, ratio {:.2}", rate(against), took / against),
            };
            eprintln!("round {round}: read {} ({each:.1} µs of the hub's processor time){compared}", rate(took));
            if round > 0 {
                hub.push(took);
                bare.push(against);
                ratios.push(took / against);
            }
        }
        Ok(match kafka {
            Some(_) => Row::new("subscribe, one reader with projection, Kafka", rate(median(hub)))
                .against(format!("rdkafka BaseConsumer {}", rate(median(bare))))
                .at_least(median(ratios), 0.6),
            None => Row::new("subscribe, one reader with projection, embedded", rate(median(hub))).figure("–"),
        })
    }

    async fn single(&self, running: &Running, engine: &str, warm_up: usize) -> anyhow::Result<Vec<Row>> {
        single::measure(&running.world, &running.clients, self.corpus, self.settings, engine, warm_up).await
    }
}

impl Running {
    async fn publish(&mut self, corpus: &Corpus) -> anyhow::Result<Duration> {
        let took = load::publish(&self.clients, corpus).await?;
        self.readable +=
            corpus.flows.iter().filter(|f| f.dataset == Dataset::CivilStatus).map(|f| f.records.len()).sum::<usize>();
        Ok(took)
    }

    /// Stops the hub and tells its memory.
    fn finish(self, engine: &str) -> anyhow::Result<[Row; 2]> {
        let memory = self.hub.memory()?;
        drop(self.clients);
        self.hub.stop()?;
        let rows = [("idle", self.idle, 64.0), ("loaded, the most", memory.peak, 256.0)];
        Ok(rows.map(|(when, mib, target)| {
            Row::new(format!("memory of the hub, {when}, {engine}"), format!("{mib:.0} MiB"))
                .at_most(mib, target, " MiB")
        }))
    }
}

impl Bulk {
    fn row(&self, measure: &str, bare: &str) -> Row {
        Row::new(measure, rate(median(self.hub.clone()))).against(format!("{bare} {}", rate(median(self.bare.clone()))))
    }
}

//! The demo's providers and consumers, each a process of its own.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ldop_client::{Client, ClientConfig, Event, NewRecord, Outcomes, PublisherConfig, Start, SubscriberConfig};
use ldop_sample_data::{self as sample_data, Dataset, Sample};
use ldop_types::{AgreementId, DatasetName, ExchangeId, Stage, SubscriptionName, TimestampMs};
use serde::{Deserialize, Serialize};

/// Systems that provide.
pub const PROVIDERS: [&str; 4] = ["so-tu-phap/ho-tich", "so-nnmt/dat-dai", "so-tai-chinh/dkkd", "so-khcn/danh-muc"];

/// Live agreements of the sample world: consumer, agreement, dataset.
pub const AGREEMENTS: [(&str, &str, &str); 16] = [
    ("bhxh-tinh/tiep-nhan", "civil-status-to-social-insurance", "civil-status"),
    ("bhxh-tinh/tiep-nhan", "communes-to-social-insurance", "communes"),
    ("bhxh-tinh/tiep-nhan", "commune-changes-to-social-insurance", "commune-changes"),
    ("cong-an-tinh/doi-soat", "civil-status-to-police", "civil-status"),
    ("cong-an-tinh/doi-soat", "businesses-to-police", "businesses"),
    ("cong-an-tinh/doi-soat", "communes-to-police", "communes"),
    ("cong-an-tinh/doi-soat", "commune-changes-to-police", "commune-changes"),
    ("cong-an-tinh/doi-soat", "databases-to-police", "databases"),
    ("thue-tinh/quan-ly-thue", "parcels-to-tax", "land-parcels"),
    ("thue-tinh/quan-ly-thue", "businesses-to-tax", "businesses"),
    ("thue-tinh/quan-ly-thue", "communes-to-tax", "communes"),
    ("thue-tinh/quan-ly-thue", "commune-changes-to-tax", "commune-changes"),
    ("vp-ubnd/ioc", "civil-status-counts-to-ioc", "civil-status"),
    ("vp-ubnd/ioc", "communes-to-ioc", "communes"),
    ("vp-ubnd/ioc", "commune-changes-to-ioc", "commune-changes"),
    ("vp-ubnd/ioc", "databases-to-ioc", "databases"),
];

/// Systems that consume, each once.
pub fn consumers() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    AGREEMENTS
        .iter()
        .filter_map(move |(system, ..)| (*system != std::mem::replace(&mut last, *system)).then_some(*system))
}

/// How long a consumer waits for the last records after it knows how many there are.
const LAST_RECORDS: Duration = Duration::from_secs(60);
/// Answers between two lines of progress.
const PROGRESS_EVERY: u64 = 200;

/// One worker of the demo; started by the demo itself.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `provider` or `consumer`.
    pub role: String,
    /// System to be.
    #[arg(long)]
    pub system: String,
    /// Address of the hub.
    #[arg(long)]
    pub hub: String,
    /// Folder with `ca.pem`, and where the certificate is.
    #[arg(long)]
    pub ca: PathBuf,
    /// Certificate.
    #[arg(long)]
    pub cert: PathBuf,
    /// Key.
    #[arg(long)]
    pub key: PathBuf,
    /// Where the report goes.
    #[arg(long)]
    pub report: PathBuf,
    /// Where ids and places go, a line each.
    #[arg(long)]
    pub ids: PathBuf,
    /// Subscription name of this run.
    #[arg(long, default_value = "demo")]
    pub subscription: String,
    /// Records of the three flows together.
    #[arg(long, default_value_t = 0)]
    pub records: u64,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Share of wrong records.
    #[arg(long, default_value_t = 0.0)]
    pub errors: f64,
    /// Least seconds to spread them over.
    #[arg(long, default_value_t = 0.0)]
    pub spread: f64,
}

/// A line on a worker's standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// A consumer has opened all its subscriptions.
    Ready,
    /// Answers a provider has received.
    Done(u64),
}

/// What a provider reports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Given {
    /// System.
    pub system: String,
    /// By dataset.
    pub datasets: BTreeMap<String, GivenFigures>,
    /// Refusals by rule and its Vietnamese words.
    pub refusals: BTreeMap<String, u64>,
    /// Milliseconds from sending to the receipt, each record.
    pub latency_us: Vec<u32>,
    /// Receipts that said the record had been accepted before.
    pub repeated: u64,
}

/// A provider's figures of one dataset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GivenFigures {
    /// Sent.
    pub sent: u64,
    /// Accepted.
    pub accepted: u64,
    /// Refused.
    pub refused: u64,
    /// Sent with a planted error.
    pub planted: u64,
    /// Of those, refused for exactly that.
    pub caught: u64,
    /// Refused although nothing was planted.
    pub wrongly_refused: u64,
    /// Accepted behind a later record of the same key.
    pub out_of_order: u64,
}

/// What a consumer reports.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Taken {
    /// System.
    pub system: String,
    /// By agreement.
    pub agreements: BTreeMap<String, TakenFigures>,
    /// Microseconds from acceptance to arrival, each first delivery.
    pub latency_us: Vec<u32>,
}

/// A consumer's figures of one agreement.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TakenFigures {
    /// Different records.
    pub received: u64,
    /// Deliveries of a record already received.
    pub again: u64,
    /// First deliveries that came behind a later one of the partition.
    pub out_of_order: u64,
    /// Records with a field that is not granted.
    pub not_granted: u64,
}

/// Runs a worker.
///
/// # Errors
///
/// Whatever keeps it from doing its part.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = ClientConfig::new(args.hub.clone(), args.ca.clone(), args.cert.clone(), args.key.clone());
        let client = Client::connect(config).await.context("connect")?;
        match args.role.as_str() {
            "provider" => write_json(&args.report, &provide(args, &client).await?),
            "consumer" => write_json(&args.report, &consume(args, &client).await?),
            other => bail!("role {other}: expected provider or consumer"),
        }
    })
}

fn write_json(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    serde_json::to_writer(file, report)?;
    Ok(())
}

fn say(said: &Said) -> anyhow::Result<()> {
    // The demo that started us may be gone: then there is nobody to report to.
    writeln!(std::io::stdout(), "{}", serde_json::to_string(said)?).context("tell the demo")
}

type Flow = Box<dyn Iterator<Item = Sample> + Send>;

/// The flows of a system: dataset, records, and how many.
fn flows(args: &Args) -> anyhow::Result<Vec<(&'static str, Flow, u64)>> {
    if args.system == sample_data::REFERENCE_PROVIDER {
        let references = [
            ("communes", sample_data::communes()),
            ("commune-changes", sample_data::commune_changes()),
            ("databases", sample_data::databases()),
        ];
        return Ok(references
            .into_iter()
            .map(|(dataset, records)| {
                let count = records.len() as u64;
                (dataset, Box::new(records.into_iter()) as Flow, count)
            })
            .collect());
    }
    let index = Dataset::ALL.iter().position(|dataset| dataset.provider() == args.system);
    let index = index.with_context(|| format!("{} provides nothing", args.system))?;
    let dataset = Dataset::ALL[index];
    // The remainder goes to the first flows, so that the sum is what was asked for.
    let share = Dataset::ALL.len() as u64;
    let count = args.records / share + u64::from((index as u64) < args.records % share);
    let records = sample_data::records(dataset, args.seed, count, args.errors);
    Ok(vec![(dataset.id(), Box::new(records), count)])
}

struct Sent {
    planted: Option<sample_data::Planted>,
    key: Option<String>,
}

async fn provide(args: &Args, client: &Client) -> anyhow::Result<Given> {
    let mut given = Given { system: args.system.clone(), ..Given::default() };
    let mut ids = BufWriter::new(File::create(&args.ids)?);
    let mut answered = 0;
    for (dataset, flow, count) in flows(args)? {
        let name = DatasetName::parse(dataset)?;
        let retry = ldop_client::RetryPolicy { longest: Duration::from_millis(500), ..Default::default() };
        let config = PublisherConfig { batch_records: 128, retry, ..PublisherConfig::default() };
        let (publisher, outcomes) = client.publisher(name, Stage::Live, config);
        let pace = Duration::from_secs_f64(args.spread / (count.max(1) as f64));
        let (tell, sent) = std::sync::mpsc::channel();
        let sending = tokio::spawn(async move {
            let started = Instant::now();
            for (n, sample) in flow.enumerate() {
                let due = started + pace * u32::try_from(n).unwrap_or(u32::MAX);
                if n % 64 == 0 {
                    tokio::time::sleep_until(due.into()).await;
                }
                let record = NewRecord { event_time: Some(sample.event_time), ..NewRecord::new(&sample.payload) };
                tell.send(Sent { planted: sample.planted, key: key_of(&sample) })?;
                publisher.send(record).await?;
            }
            anyhow::Ok(())
        });
        let figures = given.datasets.entry(dataset.to_owned()).or_default();
        let mut hears = Hears { dataset, sent, figures, ids: &mut ids, last: HashMap::new() };
        let mut more = (&mut given.refusals, &mut given.latency_us, &mut given.repeated);
        hear(&mut hears, outcomes, &mut more, &mut answered).await?;
        sending.await??;
    }
    say(&Said::Done(answered))?;
    ids.flush()?;
    Ok(given)
}

struct Hears<'a> {
    dataset: &'static str,
    sent: std::sync::mpsc::Receiver<Sent>,
    figures: &'a mut GivenFigures,
    ids: &'a mut BufWriter<File>,
    /// Last place of each key.
    last: HashMap<String, (u64, u64)>,
}

async fn hear(
    hears: &mut Hears<'_>,
    mut outcomes: Outcomes,
    (refusals, latency_us, repeated): &mut (&mut BTreeMap<String, u64>, &mut Vec<u32>, &mut u64),
    answered: &mut u64,
) -> anyhow::Result<()> {
    // Answers of one stream come by batch, in order of the records within each partition; ordinals say which is which.
    let mut waiting: HashMap<u64, Sent> = HashMap::new();
    let mut next = 0;
    while let Some(chunk) = outcomes.next().await {
        for outcome in chunk? {
            while next <= outcome.ordinal {
                waiting.insert(next, hears.sent.try_recv().context("a record that was not sent has an answer")?);
                next += 1;
            }
            let sent = waiting.remove(&outcome.ordinal).context("a record has two answers")?;
            let figures = &mut *hears.figures;
            figures.sent += 1;
            figures.planted += u64::from(sent.planted.is_some());
            latency_us.push(u32::try_from(outcome.latency.as_micros()).unwrap_or(u32::MAX));
            match outcome.result {
                Ok(receipt) => {
                    figures.accepted += 1;
                    **repeated += u64::from(receipt.repeated);
                    let (partition, offset) = (receipt.partition, receipt.offset);
                    writeln!(hears.ids, "{} {} {partition} {offset}", hears.dataset, outcome.exchange_id)?;
                    if let Some(key) = sent.key
                        && let Some((ordinal, before)) = hears.last.insert(key, (outcome.ordinal, offset))
                        && (ordinal < outcome.ordinal) != (before < offset)
                    {
                        figures.out_of_order += 1;
                    }
                }
                Err(refusal) => {
                    figures.refused += 1;
                    match sent.planted {
                        None => figures.wrongly_refused += 1,
                        Some(planted) => {
                            let exactly = refusal.violations.len() == 1
                                && refusal.violations[0].pointer == planted.pointer
                                && refusal.violations[0].rule == planted.rule.as_str();
                            figures.caught += u64::from(exactly);
                        }
                    }
                    for violation in &refusal.violations {
                        let rule = ldop_types::Rule::ALL.into_iter().find(|rule| rule.as_str() == violation.rule);
                        let words = rule.map_or("", |rule| rule.describe().0);
                        *refusals.entry(format!("{}\t{words}", violation.rule)).or_default() += 1;
                    }
                }
            }
            *answered += 1;
            if answered.is_multiple_of(PROGRESS_EVERY) {
                say(&Said::Done(*answered))?;
            }
        }
    }
    Ok(())
}

/// The key of a flow's record, where it can be read.
fn key_of(sample: &Sample) -> Option<String> {
    let field = Dataset::parse(sample.dataset)?.key_field();
    let record: serde_json::Value = serde_json::from_slice(&sample.payload).ok()?;
    Some(record.get(field)?.to_string())
}

async fn consume(args: &Args, client: &Client) -> anyhow::Result<Taken> {
    let mine: Vec<_> = AGREEMENTS.iter().filter(|(system, ..)| *system == args.system).collect();
    let (expect, expected) = tokio::sync::watch::channel(None::<BTreeMap<String, u64>>);
    // The demo writes one line once it knows how many records were accepted.
    std::thread::spawn(move || {
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {
            expect.send_replace(serde_json::from_str(&line).ok());
        }
    });
    let (opened, mut ready) = tokio::sync::mpsc::channel(mine.len());
    let mut tasks = tokio::task::JoinSet::new();
    for (_, agreement, dataset) in mine.iter().copied() {
        let retry = ldop_client::RetryPolicy { longest: Duration::from_millis(500), ..Default::default() };
        let config = SubscriberConfig { start: Start::Latest, retry, ..SubscriberConfig::default() };
        let name = SubscriptionName::parse(&args.subscription)?;
        let subscriber = client.subscriber(AgreementId::parse(agreement)?, name, config);
        tasks.spawn(take(agreement, dataset, subscriber, opened.clone(), expected.clone()));
    }
    for _ in 0..mine.len() {
        tokio::select! {
            _ = ready.recv() => {}
            Some(ended) = tasks.join_next() => { ended??; bail!("a subscription ended before it began"); }
        }
    }
    say(&Said::Ready)?;
    let mut taken = Taken { system: args.system.clone(), ..Taken::default() };
    let mut ids = BufWriter::new(File::create(&args.ids)?);
    while let Some(ended) = tasks.join_next().await {
        let part = ended??;
        for (id, partition, offset) in part.places {
            writeln!(ids, "{} {id} {partition} {offset}", part.agreement)?;
        }
        taken.latency_us.extend(part.latency_us);
        taken.agreements.insert(part.agreement.to_owned(), part.figures);
    }
    ids.flush()?;
    Ok(taken)
}

struct Part {
    agreement: &'static str,
    figures: TakenFigures,
    places: Vec<(ExchangeId, u32, u64)>,
    latency_us: Vec<u32>,
}

async fn take(
    agreement: &'static str,
    dataset: &'static str,
    mut subscriber: ldop_client::Subscriber,
    opened: tokio::sync::mpsc::Sender<()>,
    mut expected: tokio::sync::watch::Receiver<Option<BTreeMap<String, u64>>>,
) -> anyhow::Result<Part> {
    let mut part = Part { agreement, figures: TakenFigures::default(), places: Vec::new(), latency_us: Vec::new() };
    let mut seen: HashSet<ExchangeId> = HashSet::new();
    let mut heads: HashMap<u32, u64> = HashMap::new();
    let mut granted: HashSet<String> = HashSet::new();
    let mut deadline: Option<Instant> = None;
    loop {
        let wanted = expected.borrow_and_update().as_ref().map(|counts| counts.get(dataset).copied().unwrap_or(0));
        if let Some(wanted) = wanted {
            deadline.get_or_insert_with(|| Instant::now() + LAST_RECORDS);
            if part.figures.received >= wanted {
                subscriber.close().await.context("close the subscription")?;
                return Ok(part);
            }
        }
        let event = tokio::select! {
            event = subscriber.next() => event?,
            _ = expected.changed(), if deadline.is_none() => continue,
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => return Ok(part),
        };
        match event {
            Event::Opened(opening) => {
                granted = opening.granted_fields.into_iter().collect();
                if !opening.again {
                    opened.send(()).await?;
                }
            }
            Event::Batch(batch) => {
                let now = TimestampMs::now();
                for record in &batch.records {
                    let id = ExchangeId::parse(&record.exchange_id)?;
                    if !seen.insert(id) {
                        part.figures.again += 1;
                        continue;
                    }
                    part.figures.received += 1;
                    part.places.push((id, batch.partition, record.offset));
                    let waited = now.0.saturating_sub(record.accepted_time_ms).max(0).saturating_mul(1_000);
                    part.latency_us.push(u32::try_from(waited).unwrap_or(u32::MAX));
                    let head = heads.entry(batch.partition).or_default();
                    part.figures.out_of_order += u64::from(record.offset < *head);
                    *head = (*head).max(record.offset);
                    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&record.payload)?;
                    part.figures.not_granted += u64::from(fields.keys().any(|field| !granted.contains(field)));
                }
                subscriber.ack(&batch);
            }
            Event::CaughtUp(_) => {}
        }
    }
}

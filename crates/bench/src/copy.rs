//! Making a current copy from the log, against reading the same log and keeping nothing.
//!
//! Each of the two is a process of its own that opens the same log, so that the memory told is that of the one thing alone.
//! Records are 500 bytes, each of a key of its own: nothing is saved by records that take each other's place.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use ldop_contract::{
    catalog::v1::{CurrentCopy, Dataset, SecondaryKey},
    control::v1::{ApplyChangeSetRequest, Change, change::Resource},
    registry::v1::Schema,
};
use ldop_control::{Control, Options, Rules};
use ldop_exchange::{
    Config, Exchange,
    copy::CopyKey,
    header::{self, Attributes, Content, RecordMeta, Scope, dataset_topic},
    metrics::Metrics,
    writer::Node,
};
use ldop_log::{Cleanup, MessageLog, Partition, TopicSpec, embedded};
use ldop_types::{DatasetName, ExchangeId, Stage, SystemId, TimestampMs};

use crate::{
    clock,
    settings::Settings,
    table::{Row, median, rate},
    world::change_sets,
};

/// First argument of the processes that measure.
pub const COMMAND: &str = "--internal-copy";
/// Records where nothing is said.
const RECORDS: usize = 360_000;
const LONG_RECORDS: usize = 3_600_000;
const RECORD_BYTES: usize = 500;
const PARTITIONS: u32 = 4;
/// Records appended at once while the log is filled.
const BATCH: usize = 4_000;
/// Bytes read at once by whoever keeps nothing: as many as the copy reads.
const CHUNK_BYTES: usize = 1 << 20;
const DEADLINE: Duration = Duration::from_secs(600);
/// Most memory of the process, MiB.
const MOST_MEMORY: f64 = 256.0;

/// What a copy is to hold, and what the measure of it is called.
const KINDS: [(&str, &str); 2] =
    [("plain", "current copy made anew"), ("personal", "… encrypted, with a secondary key")];

/// Measures on a log made below `dir`.
///
/// # Errors
///
/// Log or hub fail.
pub async fn measure(settings: &Settings, dir: &Path, definitions: &[Change]) -> anyhow::Result<Vec<Row>> {
    let count = settings.copy_records.unwrap_or(if settings.long { LONG_RECORDS } else { RECORDS });
    let folder = tempfile::tempdir_in(dir)?;
    for (kind, _) in KINDS {
        fill(&folder.path().join(kind), kind, definitions, count).await?;
    }
    let mut rows = Vec::new();
    for (kind, name) in KINDS {
        let (mut reads, mut makes, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
        for _ in 0..settings.rounds() {
            let (read, _) = run("read", folder.path(), kind)?;
            let (make, memory) = run("make", folder.path(), kind)?;
            eprintln!("{kind}: read {read:.2} s, made {make:.2} s, {memory:.0} MiB");
            reads.push(read);
            makes.push(make);
            peak = peak.max(memory);
        }
        let (read, make) = (median(reads), median(makes));
        let row = Row::new(format!("{name}, {count} records of {RECORD_BYTES} bytes"), rate(count as f64 / make))
            .against(format!("reading the log {}", rate(count as f64 / read)));
        if kind == "plain" {
            rows.push(row.at_least(read / make, 0.3));
            let row = Row::new("memory while it is made, the log and what else is of a hub included", "");
            rows.push(row.at_most(peak, MOST_MEMORY, " MiB"));
        } else {
            rows.push(row.figure(format!("{:.2}; {peak:.0} MiB", read / make)));
        }
    }
    Ok(rows)
}

/// Seconds, and the most memory of the process that took them, MiB.
fn run(what: &str, folder: &Path, kind: &str) -> anyhow::Result<(f64, f64)> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let output =
        command.args([COMMAND, what, kind]).arg(folder.join(kind)).stderr(std::process::Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "{what} failed");
    let said = String::from_utf8(output.stdout)?;
    let (seconds, memory) = said.trim().split_once(' ').context("two figures")?;
    Ok((seconds.parse()?, memory.parse()?))
}

/// What a process of the measure does: `read` or `make`, the kind, the folder.
///
/// # Errors
///
/// Log or hub fail.
pub async fn child(arguments: &[PathBuf]) -> anyhow::Result<()> {
    let [what, kind, folder] = arguments else { anyhow::bail!("three arguments") };
    let kind = kind.to_str().context("a kind")?;
    let log = open_log(folder).await?;
    let took = if what.as_os_str() == "read" { read(&log, kind).await? } else { make(&log, folder, kind).await? };
    let memory = clock::memory(std::process::id())?;
    println!("{} {}", took.as_secs_f64(), memory.peak);
    Ok(())
}

async fn read(log: &Arc<dyn MessageLog>, kind: &str) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut entries = 0;
    for index in 0..PARTITIONS {
        let partition = Partition { topic: dataset_topic(Stage::Live, &dataset(kind)?), index };
        let mut next = 0;
        loop {
            let fetched = log.fetch(&partition, next, CHUNK_BYTES, Duration::ZERO).await?;
            entries += fetched.entries.len();
            next = fetched.next;
            if next >= fetched.end {
                break;
            }
        }
    }
    anyhow::ensure!(entries > 0, "nothing was read");
    Ok(started.elapsed())
}

async fn make(log: &Arc<dyn MessageLog>, folder: &Path, kind: &str) -> anyhow::Result<Duration> {
    let copies = folder.join("copies");
    if copies.exists() {
        std::fs::remove_dir_all(&copies)?;
    }
    let options = Options {
        dir: folder.to_owned(),
        node_id: [1; 16],
        deadline: DEADLINE,
        agreements: Rules::without_approvals(),
    };
    let control = Control::open(Arc::clone(log), options).await?;
    let config = Config {
        data_dir: folder.to_owned(),
        record_bytes: 1 << 20,
        idempotency_window: Duration::from_secs(7 * 86_400),
        append_deadline: DEADLINE,
        rebuild_index: false,
        copy_key: Some(CopyKey::new([7; 32])),
        look_ups: 256,
        clock: Arc::new(ldop_exchange::clock::Clock::new()),
    };
    let (node, metrics) = (Node { id: [1; 16], epoch: 1 }, Metrics::new(&Default::default())?);
    let started = Instant::now();
    let exchange = Exchange::open(Arc::clone(log), control, node, config, Arc::new(metrics)).await?;
    while !exchange.copies.is_ready(&dataset(kind)?, Stage::Live) {
        anyhow::ensure!(started.elapsed() < DEADLINE, "the copy is not ready");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = started.elapsed();
    exchange.drain(DEADLINE).await;
    Ok(took)
}

async fn open_log(folder: &Path) -> anyhow::Result<Arc<dyn MessageLog>> {
    let mut config = embedded::Config::new(folder.join("log"));
    // As the hub has it.
    config.tail_cache_bytes = 32 << 20;
    let log = tokio::task::spawn_blocking(move || embedded::EmbeddedLog::open(config)).await??;
    Ok(log)
}

fn dataset(kind: &str) -> anyhow::Result<DatasetName> {
    Ok(DatasetName::parse(kind)?)
}

/// Makes a log with definitions and records, past the hub's admission.
async fn fill(folder: &Path, kind: &str, definitions: &[Change], count: usize) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let log = open_log(folder).await?;
    let options = Options {
        dir: folder.to_owned(),
        node_id: [1; 16],
        deadline: DEADLINE,
        agreements: Rules::without_approvals(),
    };
    let control = Control::open(Arc::clone(&log), options).await?;
    control.take_epoch([7; 32]).await?;
    let is_wanted = |change: &&Change| !matches!(change.resource, Some(Resource::Dataset(_) | Resource::Agreement(_)));
    let own = own(kind).map(|resource| Change { resource: Some(resource) });
    for changes in change_sets(definitions.iter().filter(is_wanted).cloned().chain(own).collect()) {
        let change_id = ExchangeId::new().as_bytes().to_vec();
        let request = ApplyChangeSetRequest { change_id, changes, ..Default::default() };
        control.apply("operator so-khcn/bench", request).await.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    }
    let (name, system) = (dataset(kind)?, SystemId::parse("so-khcn/danh-muc")?);
    let topic = dataset_topic(Stage::Live, &name);
    log.ensure_topics(vec![TopicSpec { name: topic.clone(), partitions: PARTITIONS, cleanup: Cleanup::Keep }]).await?;
    let attributes = Attributes::new(&system, Stage::Live, &name);
    for index in 0..PARTITIONS {
        let appender = log.appender(Partition { topic: topic.clone(), index }).await?;
        appender.append(vec![header::marker(1, [1; 16], TimestampMs::now())])?.await?;
        let numbers: Vec<usize> = (0..count).filter(|n| n % PARTITIONS as usize == index as usize).collect();
        for numbers in numbers.chunks(BATCH) {
            let records: Vec<_> = numbers.iter().map(|n| record(*n)).collect();
            let scope = Scope::of(&system, Stage::Live, &name);
            let metas: Vec<_> = numbers.iter().map(|_| meta(scope)).collect();
            let entries = metas
                .iter()
                .zip(&records)
                .map(|(meta, (key, value))| (meta, key.clone(), Content::Value(value.clone())));
            appender.append(attributes.entries(entries))?.await?;
        }
    }
    log.close(DEADLINE).await?;
    Ok(())
}

fn meta(scope: Scope) -> RecordMeta {
    let now = TimestampMs::now();
    RecordMeta {
        epoch: 1,
        exchange_id: ExchangeId::new(),
        scope,
        salt: *ExchangeId::new().as_bytes(),
        event_time: now,
        accepted_time: now,
        schema_version: 1,
        dataset_version: 1,
        framed: false,
        is_deletion: false,
        is_sealed: false,
        key_generation: 0,
    }
}

fn record(n: usize) -> (Bytes, Bytes) {
    let key = format!("{:012}", n * 7_919);
    let mut text = format!(r#"{{"id": "{key}", "owner": "owner {}", "note": ""#, n / 3);
    let mut state = n as u64 | 1 << 40;
    while text.len() < RECORD_BYTES - 2 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b'a' + (state >> 59) as u8 % 26));
    }
    text.push_str("\"}");
    (key.into(), text.into())
}

fn own(kind: &str) -> [Resource; 2] {
    let (element, secondary) =
        if kind == "plain" { ("reference.remark", None) } else { ("person.full-name", Some("owner".to_owned())) };
    let text = format!(
        r#"{{"type": "object", "required": ["id"], "properties": {{
            "id": {{"type": "string", "x-ldop-element": "reference.remark"}},
            "note": {{"type": "string", "x-ldop-element": "reference.remark"}},
            "owner": {{"type": "string", "x-ldop-element": "{element}"}}}}, "additionalProperties": false}}"#
    );
    let secondary_keys = secondary.into_iter().map(|field| SecondaryKey { fields: vec![field] }).collect();
    let dataset = Dataset {
        id: kind.into(),
        name_vi: "Đo".into(),
        owning_agency: "so-khcn".into(),
        schema: kind.into(),
        key_fields: vec!["id".into()],
        partitions: PARTITIONS,
        current_copy: Some(CurrentCopy { secondary_keys, ..Default::default() }),
        ..Default::default()
    };
    [Resource::Schema(Schema { name: kind.into(), text, ..Default::default() }), Resource::Dataset(dataset)]
}

//! Exporting to Parquet: the hub over its road, to a package on the disk, and Arrow's own writer of the same rows, which lie in
//! memory as columns already.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use arrow_array::RecordBatch;
use ldop_client::{Client, Exported};
use ldop_contract::{
    catalog::v1::Mode,
    control::v1::{Change, change::Resource},
};
use ldop_packages::{
    file::Format,
    manifest::{Call, Manifest, Of},
    package::{Begun, Package},
};
use ldop_sample_data::Dataset;
use ldop_types::{AgreementId, DatasetName, ExchangeId};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};

use crate::{
    corpus::{Corpus, Flow},
    load,
    settings::Settings,
    table::{Row, median, rate},
    world::{Hub, READER, World},
};

/// 17 of the 30 or so fields of a civil status event.
const AGREEMENT: &str = "civil-status-to-social-insurance";
/// Rows of a batch in memory.
const ROWS: usize = 4_096;

/// Rounds of hub and Arrow by turns.
///
/// # Errors
///
/// The hub, a call or a file fails.
pub async fn measure(
    settings: &Settings,
    dir: &Path,
    program: PathBuf,
    definitions: &[Change],
    corpus: &Corpus,
) -> anyhow::Result<Vec<Row>> {
    let world = World::make(&program, dir, None)?;
    let hub = Hub::start(&world)?;
    world.apply(definitions.iter().cloned().map(granting).collect()).await?;
    let Flow { records, .. } =
        corpus.flows.iter().find(|flow| flow.dataset == Dataset::CivilStatus).context("civil status")?;
    let provider = world.client(Dataset::CivilStatus.provider(), None).await?;
    let dataset = DatasetName::parse(Dataset::CivilStatus.id())?;
    load::stream(provider, dataset, Arc::clone(records), 0..records.len()).await?;
    let schema = definitions.iter().find_map(|change| match &change.resource {
        Some(Resource::Schema(schema)) if schema.name == Dataset::CivilStatus.id() => Some(&schema.text),
        _ => None,
    });
    let schema: serde_json::Value = serde_json::from_str(schema.context("its schema")?)?;
    let client = world.client(READER, None).await?;
    let (mut rates, mut bare_rates, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=settings.rounds() {
        let package = dir.join(format!("package-{round}"));
        let (manifest, ours) = export(&client, &package, &schema).await?;
        ensure!(manifest.records == records.len() as u64, "{} of {} records", manifest.records, records.len());
        let rows = in_memory(&package, &manifest)?;
        let theirs = write(&rows, &dir.join("bare.parquet"))?;
        let count = records.len() as f64;
        let (ours, theirs) = (count / ours.as_secs_f64(), count / theirs.as_secs_f64());
        eprintln!("round {round}: export {}, arrow {}, ratio {:.2}", rate(ours), rate(theirs), ours / theirs);
        std::fs::remove_dir_all(&package)?;
        // The first warms both up.
        if round > 0 {
            ratios.push(ours / theirs);
            rates.push(ours);
            bare_rates.push(theirs);
        }
    }
    hub.stop()?;
    let against = format!("arrow's writer, rows in memory {}", rate(median(bare_rates)));
    let row = Row::new("export to Parquet, embedded", rate(median(rates)));
    Ok(vec![row.against(against).at_least(median(ratios), 0.5)])
}

/// The sample's agreement, which does not grant exports.
fn granting(mut change: Change) -> Change {
    if let Some(Resource::Agreement(agreement)) = &mut change.resource
        && agreement.id == AGREEMENT
    {
        agreement.modes = vec![Mode::Export.into()];
    }
    change
}

async fn export(client: &Client, dir: &Path, schema: &serde_json::Value) -> anyhow::Result<(Manifest, Duration)> {
    let started = Instant::now();
    let mut package = Package::open(dir, AGREEMENT, Format::Parquet, 500_000)?;
    let mut export = client.export(&AgreementId::parse(AGREEMENT)?, None).await?;
    let opened = export.opened();
    let of = Of {
        agreement: opened.agreement.clone(),
        agreement_version: opened.agreement_version,
        dataset: opened.dataset.clone(),
        stage: "live".to_owned(),
        granted_fields: opened.granted_fields.clone(),
        source: "log".to_owned(),
    };
    let call = Call {
        exchange_id: ExchangeId::parse(&opened.exchange_id)?.to_string(),
        resumed: opened.resumed,
        started: String::new(),
        positions: Vec::new(),
        records: 0,
        salt: String::new(),
        stream_hash: None,
    };
    package.begin(Begun { of, call }, Some(schema))?;
    loop {
        match export.next().await? {
            Exported::Batch(batch) => tokio::task::block_in_place(|| {
                for record in &batch.records {
                    package.put(&record.payload, record.schema_version, record.deletion)?;
                }
                package.reached(&batch.resume_token)
            })?,
            Exported::Finished(finished) => {
                let manifest = package.finish(finished.records, &finished.hash, String::new())?;
                return Ok((manifest, started.elapsed()));
            }
        }
    }
}

fn in_memory(package: &Path, manifest: &Manifest) -> anyhow::Result<Vec<RecordBatch>> {
    let mut rows = Vec::new();
    for file in &manifest.files {
        let file = File::open(package.join(&file.name))?;
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(ROWS).build()? {
            rows.push(batch?);
        }
    }
    Ok(rows)
}

/// Writes rows as the package has them, and waits for the disk as it does.
fn write(rows: &[RecordBatch], path: &Path) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let schema = rows.first().context("rows")?.schema();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?;
    for batch in rows {
        writer.write(batch)?;
    }
    writer.into_inner()?.sync_all()?;
    Ok(started.elapsed())
}

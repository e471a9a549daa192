//! `ldop export`

use std::{
    io::{IsTerminal as _, stderr},
    path::PathBuf,
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ldop_client::{Backoff, Client, Error as ClientError, ExportOpened, ExportSource, Exported};
use ldop_contract::{catalog::v1::GetDatasetRequest, convert::stage_from_wire};
use ldop_packages::{
    check,
    file::Format,
    manifest::{Call, Manifest, Of, Position},
    package::{Begun, Package},
};
use ldop_types::{AgreementId, ExchangeId, TimestampMs};
use serde_json::{Value, json};
use tokio::{signal::ctrl_c, task::block_in_place, time::sleep};

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output, hex, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop export --agreement communes-to-tax --format parquet --to communes
  ldop export --agreement communes-to-tax --format csv --to communes-csv
  ldop export check communes

Writes data files and manifest.json into the folder. What is cut goes on: the same command again begins behind the last data
file that was whole. The agreement has to grant the mode `export`. What a package holds and what a resumed export means stands
in docs/export.md.";

/// What to export.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Agreement id; it names dataset, stage and what is granted.
    #[arg(long, value_name = "ID", required = true)]
    agreement: Option<AgreementId>,
    /// Form of the data files.
    #[arg(long, value_enum, value_name = "FORMAT", required = true)]
    format: Option<FormatWord>,
    /// Folder for the package; made if it is not there.
    #[arg(long = "to", value_name = "DIR", required = true)]
    dir: Option<PathBuf>,
    /// Records of a data file; what is cut goes on behind the last whole one.
    #[arg(long, value_name = "RECORDS", default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..))]
    records_per_file: u64,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Checks a package without a hub, and tells everything that is wrong with it.
    Check {
        /// Folder of the package.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// Form of data files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatWord {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// Parquet.
    Parquet,
}

impl From<FormatWord> for Format {
    fn from(word: FormatWord) -> Self {
        match word {
            FormatWord::Jsonl => Self::Jsonl,
            FormatWord::Csv => Self::Csv,
            FormatWord::Parquet => Self::Parquet,
        }
    }
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    if let Some(Command::Check { dir }) = &args.command {
        return Ok(check_package(context, &check::check(dir)));
    }
    let (Some(agreement), Some(format), Some(dir)) = (&args.agreement, args.format, &args.dir) else {
        return Err(Failure::Usage("--agreement, --format and --to are needed".to_owned()));
    };
    let format = format.into();
    let open = || Package::open(dir, agreement.as_str(), format, args.records_per_file);
    let mut package = Some(open()?);
    let client = args.hub.connect(context).await?;
    let mut backoff = Backoff::new(args.hub.retry());
    let bar = bar();
    let interrupted = ctrl_c();
    tokio::pin!(interrupted);
    let manifest = loop {
        // One that was dropped in the middle is what a program that was killed leaves behind.
        let mut opened = match package.take() {
            Some(package) => package,
            None => open()?,
        };
        let cut = tokio::select! {
            done = fill(&client, agreement, &mut opened, &mut backoff, &bar) => match done {
                Ok((records, hash)) => break block_in_place(|| opened.finish(records, &hash, now()))?,
                Err(cut) => cut,
            },
            _ = &mut interrupted => {
                bar.finish_and_clear();
                eprintln!("{} records are in whole files; the same command goes on behind them", opened.records());
                return Ok(Exit::Interrupted);
            }
        };
        drop(opened);
        match cut {
            Cut::Failure(failure) => return Err(failure),
            Cut::Client(error) => {
                let wait = backoff.wait_after(error.clone())?;
                bar.suspend(|| tracing::warn!(%error, ?wait, "export cut; going on behind the last whole file"));
                sleep(wait).await;
            }
        }
    };
    bar.finish_and_clear();
    match context.output {
        Output::Text => {
            let files = counted(manifest.files.len(), "file");
            output::line(format_args!(
                "{} records of {} in {files} in {}",
                manifest.records,
                manifest.of.dataset,
                dir.display()
            ));
        }
        Output::Json => output::json(&serde_json::to_value(&manifest).unwrap_or_default()),
    }
    Ok(Exit::Ok)
}

/// Why an export does not go on.
enum Cut {
    Client(ClientError),
    Failure(Failure),
}

impl From<ldop_packages::Error> for Cut {
    fn from(error: ldop_packages::Error) -> Self {
        Self::Failure(error.into())
    }
}

/// One call, to its end: what the hub says it gave.
async fn fill(
    client: &Client,
    agreement: &AgreementId,
    package: &mut Package,
    backoff: &mut Backoff,
    bar: &ProgressBar,
) -> Result<(u64, Vec<u8>), Cut> {
    let token = package.resume_token();
    let mut export = client.export(agreement, token.as_deref()).await.map_err(Cut::Client)?;
    let opened = export.opened().clone();
    // An export that goes on has its columns already.
    let schema = if token.is_some() { None } else { schema(client, &opened.dataset).await };
    block_in_place(|| package.begin(begun(&opened), schema.as_ref()))?;
    let mut records = package.records();
    loop {
        match export.next().await.map_err(Cut::Client)? {
            Exported::Batch(batch) => {
                backoff.succeeded();
                block_in_place(|| {
                    for record in &batch.records {
                        package.put(&record.payload, record.schema_version, record.deletion)?;
                    }
                    package.reached(&batch.resume_token)
                })?;
                records += batch.records.len() as u64;
                bar.set_position(records);
            }
            Exported::Finished(finished) => return Ok((finished.records, finished.hash.to_vec())),
        }
    }
}

/// The latest schema of a dataset; none where the hub does not tell it: columns then hold JSON.
async fn schema(client: &Client, dataset: &str) -> Option<Value> {
    let asking = async {
        let request = GetDatasetRequest { id: dataset.to_owned() };
        let found = client.catalog().get_dataset(request).await.map_err(ClientError::from)?.into_inner();
        client.get_schema(&found.dataset.unwrap_or_default().schema, 0).await
    };
    match asking.await {
        Ok(schema) => serde_json::from_str(&schema.text).ok(),
        Err(error) => {
            tracing::warn!(%error, "the schema of the dataset is not to be had; columns of tables hold JSON");
            None
        }
    }
}

fn begun(opened: &ExportOpened) -> Begun {
    let source = match opened.source() {
        ExportSource::CurrentCopy => "current_copy",
        ExportSource::Log | ExportSource::Unspecified => "log",
    };
    let positions = opened.positions.iter().map(|at| Position { partition: at.partition, offset: at.offset }).collect();
    Begun {
        of: Of {
            agreement: opened.agreement.clone(),
            agreement_version: opened.agreement_version,
            dataset: opened.dataset.clone(),
            stage: stage_from_wire(opened.stage).map(|stage| stage.to_string()).unwrap_or_default(),
            granted_fields: opened.granted_fields.clone(),
            source: source.to_owned(),
        },
        call: Call {
            exchange_id: ExchangeId::parse(&opened.exchange_id).map(|id| id.to_string()).unwrap_or_default(),
            resumed: opened.resumed,
            started: now(),
            positions,
            records: 0,
            salt: hex(&opened.salt),
            stream_hash: None,
        },
    }
}

fn now() -> String {
    local_time(TimestampMs::now().0)
}

fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn check_package(context: &Context, checked: &check::Checked) -> Exit {
    let check::Checked { manifest, problems } = checked;
    match context.output {
        Output::Text => {
            for problem in problems {
                output::line(format_args!("{}: {}", problem.file.display(), problem.message.vi));
                output::line(format_args!("{}: {}", problem.file.display(), problem.message.en));
            }
            output::line(match manifest {
                Some(manifest) if problems.is_empty() => right(manifest),
                _ => counted(problems.len(), "problem"),
            });
        }
        Output::Json => output::json(&json!({
            "right": problems.is_empty(),
            "records": manifest.as_ref().map(|manifest| manifest.records),
            "problems": problems.iter().map(|problem| json!({
                "file": problem.file.display().to_string(),
                "message": { "vi": problem.message.vi, "en": problem.message.en },
            })).collect::<Vec<_>>(),
        })),
    }
    if problems.is_empty() { Exit::Ok } else { Exit::Refused }
}

fn right(manifest: &Manifest) -> String {
    let Manifest { of, records, files, .. } = manifest;
    format!(
        "right: {records} records of {} in {}, under agreement {} version {}",
        of.dataset,
        counted(files.len(), "file"),
        of.agreement,
        of.agreement_version
    )
}

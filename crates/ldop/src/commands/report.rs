//! `ldop report`

mod period;
mod show;

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _, stderr},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ldop_client::{Client, Error};
use ldop_contract::{
    control::v1::{ReportBucket, ReportDimension, ReportRequest, ReportRow, ReportSummary},
    convert::timestamp_to_wire,
};
use ldop_dictionary_sheets::figures;
use ldop_types::TimestampMs;
use serde_json::json;

use self::period::Bound;
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop report                                          this month, by dataset, stage and consumer
  ldop report --from 2026-01-01 --until 2026-03-31 --by provider_agency,purpose --bucket month
  ldop report --by mode,outcome,reason --bucket day
  ldop report --from 2026-01-01 --format xlsx --to report.xlsx
  ldop report --by dataset,agreement --format csv > report.csv

The hub counts from its log: records accepted and refused, what was delivered, looked up, read as changes and exported, and
what was refused. An operator or an auditor asks. One report is made at a time, slowly, so that nobody else waits; Ctrl-C
ends it. Days, weeks, months and years are those of Việt Nam. docs/report.md tells what each figure counts.";

/// What to count.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the period begins: a day, or a time (RFC 3339) [default: the first day of this month].
    #[arg(long, value_name = "DAY|TIME", value_parser = period::parse)]
    from: Option<Bound>,
    /// Where it ends: a day, which is in it, or a time, which is not [default: now].
    #[arg(long, value_name = "DAY|TIME", value_parser = period::parse)]
    until: Option<Bound>,
    /// What rows are told apart by, with commas between.
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_value = "dataset,stage,consumer")]
    by: Vec<By>,
    /// Periods that rows are told apart by.
    #[arg(long, value_name = "PERIOD")]
    bucket: Option<Bucket>,
    /// Form of the report.
    #[arg(long, value_name = "FORM", default_value = "table")]
    format: Format,
    /// File to write it to [default: standard output; of xlsx it must be named].
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Writes over a file that is there.
    #[arg(long, requires = "to")]
    force: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// What rows are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    Dataset,
    Stage,
    ProviderAgency,
    Provider,
    ConsumerAgency,
    Consumer,
    Agreement,
    Purpose,
    Mode,
    Outcome,
    Reason,
}

impl By {
    fn to_wire(self) -> ReportDimension {
        match self {
            Self::Dataset => ReportDimension::Dataset,
            Self::Stage => ReportDimension::Stage,
            Self::ProviderAgency => ReportDimension::ProviderAgency,
            Self::Provider => ReportDimension::ProviderSystem,
            Self::ConsumerAgency => ReportDimension::ConsumerAgency,
            Self::Consumer => ReportDimension::ConsumerSystem,
            Self::Agreement => ReportDimension::Agreement,
            Self::Purpose => ReportDimension::Purpose,
            Self::Mode => ReportDimension::Mode,
            Self::Outcome => ReportDimension::Outcome,
            Self::Reason => ReportDimension::Reason,
        }
    }
}

/// Periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bucket {
    Day,
    /// From Monday.
    Week,
    Month,
    Year,
}

impl Bucket {
    fn to_wire(self) -> ReportBucket {
        match self {
            Self::Day => ReportBucket::Day,
            Self::Week => ReportBucket::Week,
            Self::Month => ReportBucket::Month,
            Self::Year => ReportBucket::Year,
        }
    }
}

/// Forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; a JSON document with --output json.
    Table,
    /// For spreadsheets and programs: the rows.
    Csv,
    /// A workbook: totals and rows.
    Xlsx,
}

/// What the hub has counted.
struct Report {
    by: Vec<By>,
    bucket: Option<Bucket>,
    rows: Vec<ReportRow>,
    summary: ReportSummary,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let now = TimestampMs::now();
    let from = args.from.map_or_else(|| period::month_of(now), Bound::first);
    let until = args.until.map(Bound::behind);
    if until.is_some_and(|until| until <= from) {
        return Err(Failure::Usage("--until does not lie behind --from".to_owned()));
    }
    for (at, by) in args.by.iter().enumerate() {
        if args.by[..at].contains(by) {
            return Err(Failure::Usage(format!("--by names {} twice", show::word(*by))));
        }
    }
    match (&args.to, args.format) {
        (None, Format::Xlsx) => return Err(Failure::Usage("a workbook goes to a file: name it with --to".to_owned())),
        (Some(file), _) if file.exists() && !args.force => return Err(Failure::Exists(file.clone())),
        _ => {}
    }
    let request = ReportRequest {
        from: Some(timestamp_to_wire(from)),
        until: until.map(timestamp_to_wire),
        dimensions: args.by.iter().map(|by| by.to_wire().into()).collect(),
        bucket: args.bucket.map_or(ReportBucket::Unspecified, Bucket::to_wire).into(),
    };
    let client = args.hub.connect(context).await?;
    let (rows, summary) = ask(&client, request).await?;
    let report = Report { by: args.by, bucket: args.bucket, rows, summary };
    let unwritten = |error: figures_error::Error| Failure::Usage(format!("the report cannot be written: {error}"));
    let bytes = match (args.format, context.output) {
        (Format::Table, Output::Text) => report.table().into_bytes(),
        (Format::Table, Output::Json) => format!("{:#}\n", report.to_json()).into_bytes(),
        (Format::Csv, _) => figures::csv_table(&report.figures()).map_err(unwritten)?,
        (Format::Xlsx, _) => figures::workbook(&report.figures(), now).map_err(unwritten)?,
    };
    match &args.to {
        Some(file) => {
            write(file, &bytes)?;
            match context.output {
                Output::Text => report.remarks().iter().for_each(output::line),
                Output::Json => output::json(&json!({ "file": file, "rows": report.rows.len() })),
            }
        }
        None => {
            // A reader that has gone away is no error: nobody wants the rest.
            let _ = io::stdout().write_all(&bytes);
            if args.format != Format::Table {
                report.remarks().iter().for_each(|remark| tracing::warn!("{remark}"));
            }
        }
    }
    Ok(Exit::Ok)
}

/// Why a table cannot be put together.
mod figures_error {
    pub use ldop_dictionary_sheets::export::ExportError as Error;
}

/// Asks the hub, and shows how far it is.
async fn ask(client: &Client, request: ReportRequest) -> Result<(Vec<ReportRow>, ReportSummary), Failure> {
    let mut answers = client.reports().report(request).await.map_err(Error::from)?.into_inner();
    let bar = bar();
    let (mut rows, mut summary) = (Vec::new(), None);
    while let Some(answer) = answers.message().await.map_err(Error::from)? {
        bar.set_length(answer.total_entries);
        bar.set_position(answer.passed_entries);
        rows.extend(answer.rows);
        summary = answer.summary.or(summary);
    }
    bar.finish_and_clear();
    let without = || Failure::Internal("the hub ended the report without a result".to_owned());
    Ok((rows, summary.ok_or_else(without)?))
}

/// A bar by entries of the log. Only on a terminal.
fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::no_length().with_message("counting");
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(Failure::file("write", file))?;
    beside.write_all(bytes).map_err(Failure::file("write", file))?;
    // A temporary file is its owner's alone; a report is to be handed on.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(beside.path(), fs::Permissions::from_mode(0o644)).map_err(Failure::file("write", file))?;
    }
    beside.persist(file).map_err(|error| Failure::file("write", file)(error.error))?;
    Ok(())
}

//! `ldop publish`

mod csv_rows;
mod ids;
mod input;
mod refusals;
mod run;
mod summary;

use std::path::PathBuf;

use clap::ValueEnum;
use ldop_types::{DatasetName, Stage};

pub use run::run;

use crate::connect::HubArgs;

const HELP: &str = "\
Examples:
  ldop publish births.jsonl --dataset civil-status --stage live
  ldop publish communes.csv --dataset communes --stage live
  ldop publish births.refused.jsonl --dataset civil-status --stage live     after it was corrected
  other-program | ldop publish - --dataset civil-status --stage live --state run-7.state
  ldop publish gone.jsonl --dataset civil-status --stage live --deletions

Files:
  JSON lines  one record on each line; empty lines are skipped
  CSV         a header with the names of fields, \"a.b\" for fields inside of fields; the dataset's schema says which values
              are numbers and which are text; an empty value leaves the field out
  refusals    what an earlier run wrote beside the file: correct `record` in each line and publish the file

Deletions:
  With --deletions each line, or row, is the key of a record that is no more: exactly the key fields of the dataset. Consumers
  receive it, and the hub's current copy forgets the key.

Sending again:
  The exchange id of a record is made from its content and a secret kept in FILE.ldop-publish (or --state). Publishing the
  same file again gives the same ids, so what was accepted has no second effect; a run that was cut off is simply
  repeated. A line that was changed is another record and gets another id; identical lines are told apart by their
  order. The hub remembers ids for seven days: after that --again starts anew, and everything counts as new.
  Standard input has no such file: without --state each run makes new ids.

Refused records are written to FILE.refused.jsonl with line, reason and every bad field. It holds the records themselves:
treat it like the file it came from. Exit code 1 when there are any.";

/// What to publish.
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP, after_help = "`ldop publish --help` explains files, sending again and refusals.")]
pub struct Args {
    /// File of records; "-" for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Dataset the records belong to.
    #[arg(long, value_name = "NAME")]
    dataset: DatasetName,
    /// Stage the records belong to.
    #[arg(long, value_enum)]
    stage: StageWord,
    /// What the file holds [default: by its name; JSON lines for standard input].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What stands between the fields of a CSV file.
    #[arg(long, value_name = "CHAR", default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,
    /// Top-level field that says when the stated fact came about: a date, or a date and time (RFC 3339).
    #[arg(long, value_name = "FIELD")]
    event_time: Option<String>,
    /// Where refused records are written [default: FILE.refused.jsonl].
    #[arg(long, value_name = "FILE")]
    refusals: Option<PathBuf>,
    /// Where the secret of the exchange ids is kept [default: FILE.ldop-publish].
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Makes new exchange ids: every record counts as new, also one that was accepted before.
    #[arg(long)]
    again: bool,
    /// The file holds keys of records that are no more.
    #[arg(long)]
    deletions: bool,
    /// Shows no progress.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Stage, as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StageWord {
    /// Trial data between two parties.
    Testing,
    /// Real data.
    Live,
}

impl From<StageWord> for Stage {
    fn from(word: StageWord) -> Self {
        match word {
            StageWord::Testing => Self::Testing,
            StageWord::Live => Self::Live,
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object on each line.
    Jsonl,
    /// CSV with a header.
    Csv,
    /// What an earlier run refused, corrected.
    Refusals,
}

impl Args {
    fn is_stdin(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    fn format(&self) -> Format {
        let name = self.file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        self.format.unwrap_or_else(|| {
            if name.ends_with(".csv") {
                Format::Csv
            } else if name.contains(refusals::INFIX) {
                Format::Refusals
            } else {
                Format::Jsonl
            }
        })
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [one] if *one != b'"' && *one != b'\n' && *one != b'\r' => Ok(*one),
        _ if text == "\\t" || text == "tab" => Ok(b'\t'),
        _ => Err("expected one ASCII character, such as ';', or tab".to_owned()),
    }
}

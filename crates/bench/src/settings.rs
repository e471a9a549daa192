//! What to measure, and how much of it.

use std::path::PathBuf;

use anyhow::Context as _;

/// Measures the hub against bare libraries on the same machine, in the same run, and prints a Markdown table.
#[derive(Debug, clap::Parser)]
#[command(after_help = "Examples:
  ldop-bench                      everything, a few minutes
  ldop-bench kafka embedded       bulk publishing on both engines
  ldop-bench --long               everything with the full counts

Build the hub with the same profile first: ./bench.sh does, and fetches Kafka.")]
pub struct Settings {
    /// What to measure; default: everything.
    #[arg(value_enum)]
    pub measures: Vec<Measure>,
    /// Full counts: more records and rounds, and a backlog of 5 million. About half an hour, 12 GB of disk.
    #[arg(long)]
    pub long: bool,
    /// Records of one round of bulk publishing; default 120,000, with --long 300,000.
    #[arg(long, value_name = "N")]
    pub records: Option<usize>,
    /// Records of a current copy; default 360,000, with --long 3,600,000.
    #[arg(long, value_name = "N")]
    pub copy_records: Option<usize>,
    /// Rounds of each comparison; the median counts; default 5, with --long 9.
    #[arg(long, value_name = "N")]
    pub rounds: Option<usize>,
    /// The hub's program; default: `ldop` beside this one.
    #[arg(long, value_name = "FILE")]
    pub hub: Option<PathBuf>,
    /// Folder for the logs of hub, SQLite and Kafka; on a real disk, because durability is measured. A folder made in it
    /// is removed at the end.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    pub dir: PathBuf,
}

/// A group of measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Bulk publishing on Kafka against bare rdkafka, and the hub's processor time for each record.
    Kafka,
    /// Bulk publishing on the embedded log against a bare SQLite writer.
    Embedded,
    /// One reader with projection against a bare rdkafka consumer.
    Subscribe,
    /// Single publishing by 100 callers against a bare tonic echo.
    Single,
    /// Validation with dictionary rules against the jsonschema crate.
    Validation,
    /// Start to ready with 1,000 schemas and a million records.
    Start,
    /// The schema registry: reading over REST against bare hyper, and 100,000 versions.
    Registry,
    /// 10 to 1,000 datasets; an empty log to a large backlog.
    Growth,
    /// Look-ups by the current copy against a bare tonic echo.
    LookUp,
    /// A quiet caller of look-ups alone, and beside one that floods the hub.
    Fair,
    /// Making a current copy against reading the log.
    Copy,
    /// Exporting to Parquet against Arrow's writer.
    Export,
    /// One subscriber against 100, one dataset against 100, the head beside a reader far behind, 10 agreements against 10,000.
    Fan,
}

impl Settings {
    /// Whether to measure it.
    pub fn wants(&self, measure: Measure) -> bool {
        self.measures.is_empty() || self.measures.contains(&measure)
    }

    /// Records of a round.
    pub fn records(&self) -> usize {
        self.records.unwrap_or(if self.long { 300_000 } else { 120_000 })
    }

    /// Rounds of a comparison, at least one.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.long { 9 } else { 5 }).max(1)
    }

    /// The hub's program.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn hub(&self) -> anyhow::Result<PathBuf> {
        let hub = match &self.hub {
            Some(hub) => hub.clone(),
            None => std::env::current_exe()?.with_file_name("ldop"),
        };
        std::fs::canonicalize(&hub)
            .with_context(|| format!("{}: build the hub first, or name it with --hub", hub.display()))
    }
}

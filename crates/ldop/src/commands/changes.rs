//! `ldop changes`

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use ldop_client::{Backoff, Change, Client, Error as ClientError, PartitionPosition, Since};
use ldop_types::{AgreementId, TimestampMs};
use serde::{Deserialize, Serialize};
use tokio::{signal::ctrl_c, time::sleep};

use crate::{
    commands::subscribe::write,
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
};

const EXAMPLES: &str = "\
Examples:
  ldop changes --agreement communes-to-tax > communes.jsonl
  ldop changes --agreement communes-to-tax --since 2026-07-01T00:00:00+07:00 --records-only
  ldop changes --agreement communes-to-tax --positions communes.positions.json >> communes.jsonl

Lines are those of `ldop subscribe`. The command ends where the log ended when it began. With --positions it goes on where the
file says, which it writes anew once everything up to there is written to standard output; where the file is not there yet,
it starts at --since, or at the earliest record. What was written last may come once more after a power cut: keep exchange
ids to notice. The hub keeps no position. The agreement has to grant the mode `changes`.";

/// What to read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Agreement id.
    #[arg(long, value_name = "ID")]
    agreement: AgreementId,
    /// Starts with the first record accepted at or after this time (RFC 3339) [default: the earliest record].
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<TimestampMs>,
    /// File with the positions to go on at; written for the next time.
    #[arg(long, value_name = "FILE")]
    positions: Option<PathBuf>,
    /// Stops after this many records.
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    count: Option<u64>,
    /// Writes the records alone, without position and times.
    #[arg(long)]
    records_only: bool,
    #[command(flatten)]
    hub: HubArgs,
}

pub(super) fn parse_time(text: &str) -> Result<TimestampMs, String> {
    let moment: Timestamp = text.parse().map_err(|_| "expected a time such as 2026-07-01T00:00:00+07:00".to_owned())?;
    Ok(TimestampMs(moment.as_millisecond()))
}

/// What the positions file holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    agreement: String,
    /// By partition, the next record wanted.
    positions: BTreeMap<u32, u64>,
}

/// Why reading stopped before its end.
enum Stopped {
    Client(ClientError),
    Failure(Failure),
    /// Whoever reads our output has gone away, or somebody pressed Ctrl-C.
    Early(Exit),
}

struct Reading {
    args: Args,
    /// Where everything before was written.
    done: BTreeMap<u32, u64>,
    left: Option<u64>,
}

/// Runs the command. Whatever `--output` says, records are JSON lines.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let done = match &args.positions {
        Some(file) => kept(file, &args.agreement)?,
        None => BTreeMap::new(),
    };
    let client = args.hub.connect(context).await?;
    let mut backoff = Backoff::new(args.hub.retry());
    let mut reading = Reading { left: args.count, args, done };
    let interrupted = ctrl_c();
    tokio::pin!(interrupted);
    let ended = loop {
        let stopped = tokio::select! {
            read = reading.read(&client, &mut backoff) => match read {
                Ok(()) => break Ok(Exit::Ok),
                Err(stopped) => stopped,
            },
            _ = &mut interrupted => Stopped::Early(Exit::Interrupted),
        };
        match stopped {
            Stopped::Early(exit) => break Ok(exit),
            Stopped::Failure(failure) => break Err(failure),
            Stopped::Client(error) => match backoff.wait_after(error.clone()) {
                Ok(wait) => {
                    tracing::warn!(%error, ?wait, "changes cut; going on where they were");
                    sleep(wait).await;
                }
                Err(error) => break Err(Failure::Client(error)),
            },
        }
    };
    // Also when it ended early: what was written is not wanted again.
    reading.keep()?;
    ended
}

impl Reading {
    async fn read(&mut self, client: &Client, backoff: &mut Backoff) -> Result<(), Stopped> {
        let since = match (self.done.is_empty(), self.args.since) {
            (false, _) => Since::Positions(
                self.done
                    .iter()
                    .map(|(partition, offset)| PartitionPosition { partition: *partition, offset: *offset })
                    .collect(),
            ),
            (true, Some(time)) => Since::Time(time),
            (true, None) => Since::Earliest,
        };
        let opened = client.changes(&self.args.agreement, &since, self.left).await;
        let mut changes = opened.map_err(Stopped::Client)?;
        for position in &changes.opened().positions {
            let wanted = self.done.insert(position.partition, position.offset);
            if wanted.is_some_and(|wanted| wanted < position.offset) {
                let partition = position.partition;
                tracing::warn!(
                    partition,
                    ?wanted,
                    "the log's retention has passed the position: records in between are gone"
                );
            }
        }
        loop {
            match changes.next().await.map_err(Stopped::Client)? {
                Change::Batch(batch) => {
                    backoff.succeeded();
                    let written = write(&batch.records, batch.partition, self.args.records_only);
                    written.map_err(|error| match error.kind() {
                        // As `head` does: what it did not get comes again.
                        ErrorKind::BrokenPipe => Stopped::Early(Exit::Ok),
                        _ => Stopped::Failure(Failure::file("write", "standard output")(error)),
                    })?;
                    self.done.insert(batch.partition, batch.next_offset);
                    self.left = self.left.map(|left| left.saturating_sub(batch.records.len() as u64));
                    if self.left == Some(0) {
                        return Ok(());
                    }
                }
                Change::Finished(finished) => {
                    self.done.extend(finished.positions.iter().map(|position| (position.partition, position.offset)));
                    return Ok(());
                }
            }
        }
    }

    /// Writes the positions file, whole or not at all.
    fn keep(&self) -> Result<(), Failure> {
        let Some(file) = &self.args.positions else { return Ok(()) };
        if self.done.is_empty() {
            return Ok(());
        }
        let kept = Kept { agreement: self.args.agreement.to_string(), positions: self.done.clone() };
        let written = ldop_control::file::replace(file, |out| {
            serde_json::to_writer_pretty(&mut *out, &kept)?;
            out.write_all(b"\n")
        });
        written.map(|_| ()).map_err(Failure::file("write", file))
    }
}

/// The positions kept in a file; none where it is not there.
fn kept(file: &Path, agreement: &AgreementId) -> Result<BTreeMap<u32, u64>, Failure> {
    let text = match fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(Failure::file("read", file)(error)),
    };
    let wrong = |what: String| Failure::Usage(format!("--positions {}: {what}", file.display()));
    let kept: Kept =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("not what this command writes: {error}")))?;
    if kept.agreement != agreement.as_str() {
        return Err(wrong(format!("positions under agreement {}, and {agreement} is asked for", kept.agreement)));
    }
    Ok(kept.positions)
}

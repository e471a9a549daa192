//! `ldop subscribe`

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use jiff::Timestamp;
use ldop_client::{DeliveredBatch, DeliveredRecord, Event, Start, Subscriber, SubscriberConfig};
use ldop_types::{AgreementId, ExchangeId, SubscriptionName, TimestampMs};
use tokio::signal::ctrl_c;

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::local_time_ms,
};

const EXAMPLES: &str = "\
Examples:
  ldop subscribe --agreement communes-to-tax --until-caught-up > communes.jsonl
  ldop subscribe --agreement communes-to-tax --from latest
  ldop subscribe --agreement communes-to-tax --from 2026-07-01T00:00:00+07:00 --count 100
  ldop subscribe --agreement communes-to-tax --name nightly --records-only | jq .code

Each line is one record:
  {\"partition\":0,\"offset\":17,\"exchange_id\":\"...\",\"event_time\":\"...\",\"accepted_time\":\"...\",\"schema_version\":1,\"record\":{...}}

A line with \"deletion\":true says that what has this key is no more; its record holds the key fields that are granted. With
--records-only such lines are left out.

Records are acknowledged once they are written, so a subscription of the same --name goes on where the last one stopped,
whatever ended it; what was written last may then come once more. Keep exchange ids to notice.";

/// What to receive.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Agreement id.
    #[arg(long, value_name = "ID")]
    agreement: AgreementId,
    /// Name of the subscription; each has a position of its own.
    #[arg(long, value_name = "NAME", default_value = "default")]
    name: SubscriptionName,
    /// Where to start: acknowledged, earliest, latest, or a time (RFC 3339).
    #[arg(long, value_name = "WHERE", default_value = "acknowledged", value_parser = parse_start)]
    from: Start,
    /// Stops after this many records.
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stops once everything accepted up to then has come.
    #[arg(long)]
    until_caught_up: bool,
    /// Writes the records alone, without position and times.
    #[arg(long)]
    records_only: bool,
    /// Does not acknowledge: the next subscription of this name gets the same records.
    #[arg(long)]
    no_ack: bool,
    #[command(flatten)]
    hub: HubArgs,
}

fn parse_start(text: &str) -> Result<Start, String> {
    match text {
        "acknowledged" => Ok(Start::Acknowledged),
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        time => {
            time.parse::<Timestamp>().map(|moment| Start::Time(TimestampMs(moment.as_millisecond()))).map_err(|_| {
                "expected acknowledged, earliest, latest or a time such as 2026-07-01T00:00:00+07:00".to_owned()
            })
        }
    }
}

/// Runs the command. Whatever `--output` says, records are JSON lines.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let config = SubscriberConfig { start: args.from.clone(), retry: args.hub.retry(), ..SubscriberConfig::default() };
    let mut subscriber = client.subscriber(args.agreement.clone(), args.name.clone(), config);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut exit = Exit::Ok;
    // One for the whole time: a signal between two of them would be lost.
    let interrupted = ctrl_c();
    tokio::pin!(interrupted);
    while left > 0 {
        let event = tokio::select! {
            event = subscriber.next() => event?,
            _ = &mut interrupted => {
                exit = Exit::Interrupted;
                break;
            }
        };
        match event {
            Event::Batch(batch) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(batch.records.len());
                match write(&batch.records[..taken], batch.partition, args.records_only) {
                    Ok(()) => {}
                    // The reader has gone away, as `head` does: what it did not get is not acknowledged.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                    Err(source) => return Err(Failure::file("write", "standard output")(source)),
                }
                if !args.no_ack {
                    acknowledge(&mut subscriber, &batch, taken);
                }
                left -= taken as u64;
            }
            Event::CaughtUp(_) if args.until_caught_up => break,
            Event::CaughtUp(_) | Event::Opened(_) => {}
        }
    }
    subscriber.close().await?;
    Ok(exit)
}

fn acknowledge(subscriber: &mut Subscriber, batch: &DeliveredBatch, taken: usize) {
    match batch.records.get(taken) {
        // Not all of it was wanted: the next record wanted is the first that was not taken.
        Some(next) => subscriber.ack_position(batch.partition, next.offset),
        None => subscriber.ack(batch),
    }
}

/// Writes records as lines, and flushes them.
pub fn write(records: &[DeliveredRecord], partition: u32, records_only: bool) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout().lock());
    for record in records {
        if records_only && record.deletion {
            continue;
        }
        if !records_only {
            write_frame(&mut out, record, partition)?;
        }
        out.write_all(&record.payload)?;
        out.write_all(if records_only { b"\n" } else { b"}\n" })?;
    }
    out.flush()
}

fn write_frame(out: &mut BufWriter<StdoutLock<'_>>, record: &DeliveredRecord, partition: u32) -> io::Result<()> {
    let id = ExchangeId::parse(&record.exchange_id).map(|id| id.to_string()).unwrap_or_default();
    write!(
        out,
        "{{\"partition\":{partition},\"offset\":{},\"exchange_id\":\"{id}\",\"event_time\":\"{}\",\"accepted_time\":\"{}\",\
         \"schema_version\":{},{}\"record\":",
        record.offset,
        local_time_ms(record.event_time_ms),
        local_time_ms(record.accepted_time_ms),
        record.schema_version,
        if record.deletion { "\"deletion\":true," } else { "" }
    )
}

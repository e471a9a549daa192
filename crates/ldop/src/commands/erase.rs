//! `ldop erase`

use ldop_contract::convert::timestamp_from_wire;
use ldop_types::{DatasetName, ExchangeId};
use serde_json::{Value, json};

use super::{
    look_up::{Key, parse_key},
    publish::StageWord,
};
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop erase civil-status register_no=KS-21583-2026-0000142 --stage live --order 'QĐ 12/QĐ-STP 2026-11-22'

Consumers receive a deletion, current copies forget the key, and what the log holds of it cannot be decrypted any more: on no
broker, disk or backup of the log. There is no way back. That it was done stands on the log, with the order, who did it, and a
keyed hash of the key. What agreements have shown before stays with their consumers: the deletion asks them to erase it too.

Nothing is asked twice, so make sure of the key: `ldop look-up` shows what it stands for. Records published under the key
afterwards are new ones. Only datasets of personal data are encrypted (DATASET_NOT_ENCRYPTED otherwise); of others publish a
deletion. Needs the certificate of an operator or a data steward. Cut off, run it again.";

/// What to erase.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Dataset.
    #[arg(value_name = "DATASET")]
    dataset: DatasetName,
    /// Key, as `ldop look-up` takes it: field=value[,field=value], or a JSON object.
    #[arg(value_name = "KEY", value_parser = parse_key)]
    key: Key,
    /// Stage.
    #[arg(long, value_enum)]
    stage: StageWord,
    /// The decision it is done by: number, date and office. It stands in the event: name nobody.
    #[arg(long, value_name = "TEXT")]
    order: String,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let key = Value::Object(args.key.0).to_string().into_bytes();
    let erased = client.erase_record(&args.dataset, args.stage.into(), key, args.order).await?;
    let id = ExchangeId::parse(&erased.exchange_id).map(|id| id.to_string()).unwrap_or_default();
    let time =
        erased.erased_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0)).unwrap_or_default();
    match context.output {
        Output::Text => output::line(format_args!("erased at {time}, exchange {id}")),
        Output::Json => output::json(&json!({
            "exchange_id": id,
            "erased_time": time,
            "partition": erased.partition,
            "offset": erased.offset,
        })),
    }
    Ok(Exit::Ok)
}

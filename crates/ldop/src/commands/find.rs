//! `ldop find`

use std::time::Duration;

use bytes::Bytes;
use ldop_client::{Find, FindResponse};
use ldop_contract::convert::timestamp_from_wire;
use ldop_types::{AgreementId, ExchangeId};
use serde_json::{Value, json};

use super::look_up::{Key, event_time, parse_key, record_to_json, show_record};
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, hex, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop find parcels-to-tax owner_id=052326004817 --officer dvh --case 2026/118
  ldop find commune-changes-to-tax new_code=21583 --most 20
  ldop --output json find commune-changes-to-tax new_code=21583 | jq -c '.records[].record'

The key:
  field=value                 the value of a text field; it is taken as it stands
  field=value,field=value     a secondary key of several text fields, in any order
  {\"field\":\"value\"}           the same as JSON; for numbers, and for values with commas or equals signs

The fields must be those of one of the secondary keys that the dataset's definition declares, and the agreement must show
each of them without a mask. The hub's current copy answers, and tells up to when everything accepted is in it. Each search is
accounted for as a look-up is, with who asked and for which case as keyed hashes.

Exit code 0 when the hub has answered, whether it found records or not; 75 when the copy is not ready.";

/// What to find.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Agreement id; it names dataset, stage and purpose.
    #[arg(value_name = "AGREEMENT")]
    agreement: AgreementId,
    /// A secondary key.
    #[arg(value_name = "KEY", value_parser = parse_key)]
    values: Key,
    /// Most records to receive.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    most: u32,
    /// Who asks, in your own system.
    #[arg(long, value_name = "ID", default_value = "")]
    officer: String,
    /// Number of the case it is asked for.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    case: String,
    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
    timeout: u64,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let key = Bytes::from(Value::Object(args.values.0.clone()).to_string());
    let find = Find {
        most_records: args.most,
        officer_id: args.officer,
        case_number: args.case,
        timeout: Duration::from_secs(args.timeout),
        ..Find::new(args.agreement, key)
    };
    let response = client.find(find).await?;
    match context.output {
        Output::Text => show(&args.values, &response),
        Output::Json => output::json(&to_json(&args.values, &response)),
    }
    Ok(Exit::Ok)
}

fn followed(response: &FindResponse) -> Option<String> {
    let time = response.copy.as_ref()?.followed_time.as_ref().and_then(timestamp_from_wire)?;
    Some(local_time(time.0))
}

fn exchange_id(response: &FindResponse) -> String {
    ExchangeId::parse(&response.exchange_id).map(|id| id.to_string()).unwrap_or_default()
}

fn show(key: &Key, response: &FindResponse) {
    for found in &response.records {
        let date = event_time(found).map(|time| format!(", stated {time}")).unwrap_or_default();
        output::line(format_args!("schema version {}{date}", found.schema_version));
        show_record(found);
    }
    let more = if response.more { "; there are more" } else { "" };
    let followed = followed(response).map(|time| format!(", of what was accepted up to {time}")).unwrap_or_default();
    output::line(format_args!("{key}: {} found{more}{followed}", response.records.len()));
    output::line(format_args!("exchange {}, agreement version {}", exchange_id(response), response.agreement_version));
}

fn to_json(key: &Key, response: &FindResponse) -> Value {
    json!({
        "exchange_id": exchange_id(response),
        "agreement_version": response.agreement_version,
        "salt": hex(&response.salt),
        "key": Value::Object(key.0.clone()),
        "records": response.records.iter().map(record_to_json).collect::<Vec<_>>(),
        "more": response.more,
        "followed_time": followed(response),
    })
}

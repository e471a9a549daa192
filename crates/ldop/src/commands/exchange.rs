//! `ldop exchange`

use ldop_contract::{
    convert::timestamp_from_wire,
    exchange::v1::{ExchangeState, FieldViolation, GetExchangeResponse, Receipt, Refusal},
};
use ldop_types::{DatasetName, ExchangeId};
use serde_json::{Value, json};

use crate::{
    commands::publish::StageWord,
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, hex, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop exchange 0190a5b2-7c1e-7d3a-9f00-5b1c2d3e4f50 --dataset communes --stage live

Asked with the certificate of the system that published the record. The hub remembers an exchange for its idempotency
window, seven days by default.";

/// Which exchange.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Exchange id, a UUIDv7.
    #[arg(value_name = "ID", value_parser = ExchangeId::parse_text)]
    id: ExchangeId,
    /// Dataset it was published to.
    #[arg(long, value_name = "NAME")]
    dataset: DatasetName,
    /// Stage it was published to.
    #[arg(long, value_enum)]
    stage: StageWord,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let exchange = client.get_exchange(&args.dataset, args.stage.into(), args.id).await?;
    match context.output {
        Output::Text => text(args.id, &exchange),
        Output::Json => output::json(&json!({
            "exchange_id": args.id.to_string(),
            "state": word(exchange.state()),
            "receipt": exchange.receipt.as_ref().map(receipt_json),
            "refusal": exchange.refusal.as_ref().map(refusal_json),
        })),
    }
    Ok(Exit::Ok)
}

fn text(id: ExchangeId, exchange: &GetExchangeResponse) {
    let row = |name: &str, value: String| output::line(format_args!("{name:<12} {value}"));
    row("exchange", id.to_string());
    row("state", word(exchange.state()).to_owned());
    if let Some(receipt) = &exchange.receipt {
        row("position", format!("partition {}, offset {}", receipt.partition, receipt.offset));
        row("accepted", accepted(receipt).unwrap_or_default());
        row("schema", format!("version {}", receipt.schema_version));
        row("commitment", hex(&receipt.commitment));
        row("salt", hex(&receipt.salt));
        receipt.warnings.iter().for_each(|warning| row("warning", violation(warning)));
    }
    if let Some(refusal) = &exchange.refusal {
        row("reason", refusal.reason.clone());
        if let Some(message) = &refusal.message {
            row("", message.vi.clone());
            row("", message.en.clone());
        }
        refusal.violations.iter().for_each(|bad| row("violation", violation(bad)));
    }
}

fn violation(violation: &FieldViolation) -> String {
    let message = violation.message.clone().unwrap_or_default();
    format!("{} {} {}: {} / {}", violation.pointer, violation.element, violation.rule, message.vi, message.en)
}

fn accepted(receipt: &Receipt) -> Option<String> {
    receipt.accepted_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0))
}

fn word(state: ExchangeState) -> &'static str {
    match state {
        ExchangeState::Unspecified => "unknown",
        ExchangeState::Pending => "pending",
        ExchangeState::Accepted => "accepted",
        ExchangeState::Refused => "refused",
    }
}

fn receipt_json(receipt: &Receipt) -> Value {
    json!({
        "partition": receipt.partition,
        "offset": receipt.offset,
        "accepted": accepted(receipt),
        "schema_version": receipt.schema_version,
        "commitment": hex(&receipt.commitment),
        "salt": hex(&receipt.salt),
        "warnings": receipt.warnings.iter().map(violation_json).collect::<Vec<_>>(),
    })
}

/// A refusal as programs read it.
#[must_use]
pub fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "reason": refusal.reason,
        "message": refusal.message.as_ref().map(|text| json!({ "vi": text.vi, "en": text.en })),
        "violations": refusal.violations.iter().map(violation_json).collect::<Vec<_>>(),
        "violations_omitted": refusal.violations_omitted,
        "retryable": refusal.retryable,
    })
}

/// A violation as programs read it.
#[must_use]
pub fn violation_json(violation: &FieldViolation) -> Value {
    json!({
        "pointer": violation.pointer,
        "element": violation.element,
        "rule": violation.rule,
        "message": violation.message.as_ref().map(|text| json!({ "vi": text.vi, "en": text.en })),
    })
}

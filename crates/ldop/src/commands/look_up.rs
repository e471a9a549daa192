//! `ldop look-up`

use std::time::Duration;

use bytes::Bytes;
use ldop_client::{FoundRecord, LookUp, LookUpResponse, NotAnswered, look_up_answer::Outcome};
use ldop_contract::convert::timestamp_from_wire;
use ldop_types::{AgreementId, Date, ExchangeId, TimestampMs};
use serde_json::{Map, Value, json};

use super::changes::parse_time;
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, hex, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop look-up civil-status-to-police register_no=KS-21583-2026-0000142 --officer dvh --case 2026/118
  ldop look-up civil-status-to-police '{\"register_no\":\"KS-21583-2026-0000142\"}' register_no=KS-21583-2026-0000143
  ldop look-up civil-status-to-police register_no=KS-21583-2026-0000142 --officer dvh --as-of 2026-06-30
  ldop --output json look-up communes-to-tax code=21583 | jq '.answers[0].record'

Keys:
  field=value                 a key of one text field; the value is taken as it stands
  field=value,field=value     a key of several text fields
  {\"field\":\"value\"}           the same as JSON; for numbers, and for values with commas or equals signs

For each key the answer is one of three: a record, reduced to what the agreement grants; that there is none; or that nobody
has answered, and then nothing is known. Each look-up is accounted for, with who asked and for which case as keyed hashes.

With --as-of the hub's current copy answers, where the dataset's definition asks it for history, with the value as the sources have
told it with an event time up to then.

Exit code 0 when each key has a record or there is none, 75 when nobody answered for some, 1 when an answer was no good.
`ldop serve-look-ups` answers from a file, to try this with.";

/// What to look up.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Agreement id; it names dataset, stage and purpose.
    #[arg(value_name = "AGREEMENT")]
    agreement: AgreementId,
    /// Keys, 1-100.
    #[arg(value_name = "KEY", required = true, value_parser = parse_key)]
    keys: Vec<Key>,
    /// Who asks, in your own system.
    #[arg(long, value_name = "ID", default_value = "")]
    officer: String,
    /// Number of the case it is asked for.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    case: String,
    /// Asks for values as of a time (RFC 3339), or as of the end of a day in Việt Nam (YYYY-MM-DD) [default: the present ones].
    #[arg(long, value_name = "TIME", value_parser = parse_as_of)]
    as_of: Option<TimestampMs>,
    /// How long to wait for the answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=30))]
    timeout: u64,
    #[command(flatten)]
    hub: HubArgs,
}

/// A key as a JSON object.
#[derive(Debug, Clone)]
pub struct Key(pub Map<String, Value>);

/// Reads a key from the command line.
pub fn parse_key(text: &str) -> Result<Key, String> {
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(Key(members)),
            Ok(_) | Err(_) => Err("this is no JSON object".to_owned()),
        };
    }
    let member = |part: &str| match part.split_once('=') {
        Some((field, value)) if !field.is_empty() && !value.is_empty() => Ok((field.to_owned(), value.into())),
        _ => Err("expected field=value, or a JSON object".to_owned()),
    };
    text.split(',').map(member).collect::<Result<_, _>>().map(Key)
}

/// A time, or the last moment of a day.
fn parse_as_of(text: &str) -> Result<TimestampMs, String> {
    if let Some(day) = Date::parse(text) {
        return Ok(TimestampMs(Date(day.0 + 1).start_in_vietnam().0 - 1));
    }
    parse_time(text)
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, (field, value)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "," };
            match value {
                Value::String(text) => write!(f, "{separator}{field}={text}")?,
                other => write!(f, "{separator}{field}={other}")?,
            }
        }
        Ok(())
    }
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let text = |key: &Key| Bytes::from(Value::Object(key.0.clone()).to_string());
    let mut look_up = LookUp::new(args.agreement, args.keys.iter().map(text).collect());
    (look_up.officer_id, look_up.case_number) = (args.officer, args.case);
    look_up.as_of = args.as_of;
    look_up.timeout = Duration::from_secs(args.timeout);
    let response = client.look_up(look_up).await?;
    match context.output {
        Output::Text => show(&args.keys, &response),
        Output::Json => output::json(&to_json(&args.keys, &response)),
    }
    Ok(exit(&response))
}

fn exit(response: &LookUpResponse) -> Exit {
    let not_answered = response.answers.iter().filter_map(|answer| match &answer.outcome {
        Some(Outcome::NotAnswered(told)) => Some(told.retryable),
        Some(Outcome::Found(_) | Outcome::NotFound(_)) => None,
        Some(Outcome::NotPermitted(_)) => Some(false),
        None => Some(false),
    });
    not_answered.fold(Exit::Ok, |exit, retryable| match (exit, retryable) {
        (Exit::Refused, _) | (_, false) => Exit::Refused,
        (_, true) => Exit::Temporary,
    })
}

fn exchange_id(response: &LookUpResponse) -> String {
    ExchangeId::parse(&response.exchange_id).map(|id| id.to_string()).unwrap_or_default()
}

fn show(keys: &[Key], response: &LookUpResponse) {
    for (key, answer) in keys.iter().zip(&response.answers) {
        match &answer.outcome {
            Some(Outcome::Found(found)) => show_found(key, found),
            Some(Outcome::NotFound(not_found)) => {
                output::line(format_args!("{key}: no record, says {}", not_found.source));
            }
            Some(Outcome::NotPermitted(told)) => {
                let source = &told.source;
                output::line(format_args!("{key}: not permitted: {source} has a record the agreement does not show"));
            }
            Some(Outcome::NotAnswered(told)) => show_not_answered(key, told),
            None => output::line(format_args!("{key}: an answer this version does not know")),
        }
    }
    output::line(format_args!("exchange {}, agreement version {}", exchange_id(response), response.agreement_version));
}

fn show_found(key: &Key, found: &FoundRecord) {
    let date = event_time(found).map(|time| format!(", stated {time}")).unwrap_or_default();
    output::line(format_args!("{key}: found by {}, schema version {}{date}", found.source, found.schema_version));
    show_record(found);
}

pub(super) fn show_record(found: &FoundRecord) {
    let mut table = output::table(&["field", "value"]);
    let record: Map<String, Value> = serde_json::from_slice(&found.payload).unwrap_or_default();
    for (field, value) in &record {
        rows(&mut table, field, value);
    }
    output::line(table);
}

/// Fields inside of fields get rows of their own.
fn rows(table: &mut comfy_table::Table, name: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(field, value)| rows(table, &format!("{name}.{field}"), value))
        }
        Value::String(text) => {
            table.add_row([name, text]);
        }
        other => {
            table.add_row([name, &other.to_string()]);
        }
    }
}

fn show_not_answered(key: &Key, told: &NotAnswered) {
    output::line(format_args!("{key}: not answered ({})", told.reason));
    if let Some(message) = &told.message {
        output::line(format_args!("  {}", message.vi));
        output::line(format_args!("  {}", message.en));
    }
}

pub(super) fn event_time(found: &FoundRecord) -> Option<String> {
    found.event_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0))
}

pub(super) fn record_to_json(found: &FoundRecord) -> Value {
    json!({
        "record": serde_json::from_slice::<Value>(&found.payload).unwrap_or_default(),
        "source": found.source,
        "schema_version": found.schema_version,
        "event_time": event_time(found),
    })
}

fn to_json(keys: &[Key], response: &LookUpResponse) -> Value {
    let answers = keys.iter().zip(&response.answers).map(|(key, answer)| {
        let mut shown = match &answer.outcome {
            Some(Outcome::Found(found)) => {
                let mut shown = record_to_json(found);
                shown["outcome"] = "found".into();
                shown
            }
            Some(Outcome::NotFound(not_found)) => json!({ "outcome": "not_found", "source": not_found.source }),
            Some(Outcome::NotPermitted(told)) => json!({ "outcome": "not_permitted", "source": told.source }),
            Some(Outcome::NotAnswered(told)) => json!({
                "outcome": "not_answered",
                "reason": told.reason,
                "message": told.message.as_ref().map(|text| json!({ "vi": text.vi, "en": text.en })),
                "retryable": told.retryable,
            }),
            None => json!({ "outcome": "unknown" }),
        };
        shown["key"] = Value::Object(key.0.clone());
        shown
    });
    json!({
        "exchange_id": exchange_id(response),
        "agreement_version": response.agreement_version,
        "salt": hex(&response.salt),
        "answers": answers.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_asked_for_as_of_its_end() {
        let of = |text: &str| parse_as_of(text).map(|time| time.0);
        assert_eq!(of("1970-01-01"), Ok(17 * 3_600_000 - 1));
        assert_eq!(of("1970-01-01T07:00:00+07:00"), Ok(0));
        for bad in ["", "1970-02-30", "yesterday", "1970-01-01T07:00:00"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_read_as_fields_or_as_json() {
        let read = |text: &str| parse_key(text).map(|key| Value::Object(key.0).to_string());
        assert_eq!(read("code=21583").as_deref(), Ok(r#"{"code":"21583"}"#));
        assert_eq!(read("a=1,b=x y").as_deref(), Ok(r#"{"a":"1","b":"x y"}"#));
        assert_eq!(read(r#" {"number": 7}"#).as_deref(), Ok(r#"{"number":7}"#));
        assert_eq!(read("a=b=c").as_deref(), Ok(r#"{"a":"b=c"}"#));
        for bad in ["", "code", "=x", "code=", "a=1,", "{", "[1]"] {
            assert!(parse_key(bad).is_err(), "{bad}");
        }
    }
}

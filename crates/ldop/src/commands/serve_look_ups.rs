//! `ldop serve-look-ups`

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read},
    path::PathBuf,
};

use bytes::Bytes;
use ldop_client::{Question, Reply, Served};
use ldop_types::DatasetName;
use serde_json::{Map, Value, json, value::RawValue};
use tokio::signal::ctrl_c;

use crate::{
    commands::publish::StageWord,
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop serve-look-ups register.jsonl --dataset civil-status --stage live
  cat schemas/records/civil-status.accepted/*.json | ldop serve-look-ups - --dataset civil-status --stage live

The file holds whole records, one JSON object after another. It is read once; of records with the same key the last one
counts. The hub tells which fields are the key, checks each answer against the dataset's schema and reduces it to what the
agreement grants. Needs the certificate of a provider of the dataset in the stage.

Writes a line for each question: who asks, under which agreement, for how many keys, and how many were found. Never a key.
Goes on until it is interrupted, through lost connections also. It is there to try look-ups with; a department's own program
does the same with the client library or with any gRPC library (Serve in ldop.exchange.v1).";

/// What to answer from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// File of records, JSON; "-" for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Dataset the records belong to.
    #[arg(long, value_name = "NAME")]
    dataset: DatasetName,
    /// Stage the records belong to.
    #[arg(long, value_enum)]
    stage: StageWord,
    #[command(flatten)]
    hub: HubArgs,
}

/// Records by the values of their key fields.
#[derive(Default)]
struct Register {
    records: Vec<(Map<String, Value>, Bytes)>,
    key_fields: Vec<String>,
    by_key: HashMap<String, Bytes>,
}

impl Register {
    fn read(file: &PathBuf) -> Result<Self, Failure> {
        let failed = |source| Failure::file("read", file.clone())(source);
        let input: Box<dyn Read> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(file).map_err(failed)?))
        };
        let mut records = Vec::new();
        for record in serde_json::Deserializer::from_reader(input).into_iter::<Box<RawValue>>() {
            let text = record.map_err(|error| failed(error.into()))?;
            let members = serde_json::from_str(text.get()).map_err(|_| {
                let place = records.len() + 1;
                failed(io::Error::new(io::ErrorKind::InvalidData, format!("value {place} is no JSON object")))
            })?;
            records.push((members, Bytes::from(text.get().to_owned())));
        }
        Ok(Self { records, ..Self::default() })
    }

    /// Sorts the records by key, which only the hub can tell.
    fn index(&mut self, key_fields: Vec<String>) {
        let keyed = |(members, text): &(Map<String, Value>, Bytes)| Some((key(members, &key_fields)?, text.clone()));
        self.by_key = self.records.iter().filter_map(keyed).collect();
        self.key_fields = key_fields;
    }

    fn reply(&self, asked: &Bytes) -> Reply {
        let members: Option<Map<String, Value>> = serde_json::from_slice(asked).ok();
        let Some(key) = members.and_then(|members| key(&members, &self.key_fields)) else { return Reply::Unable };
        match self.by_key.get(&key) {
            Some(payload) => Reply::Record { payload: payload.clone(), event_time: None },
            None => Reply::NoRecord,
        }
    }
}

/// The key as one text: the values, each as JSON.
fn key(members: &Map<String, Value>, key_fields: &[String]) -> Option<String> {
    let values: Option<Vec<&Value>> = key_fields.iter().map(|field| members.get(field)).collect();
    Some(json!(values?).to_string())
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let mut register = Register::read(&args.file)?;
    let client = args.hub.connect(context).await?;
    let mut provider = client.provider(args.dataset, args.stage.into(), args.hub.retry());
    // One for the whole time: a signal between two of them would be lost.
    let interrupted = ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let served = tokio::select! {
            served = provider.next() => served?,
            _ = &mut interrupted => return Ok(Exit::Interrupted),
        };
        match served {
            Served::Opened(opened) => {
                register.index(opened.key_fields.clone());
                match context.output {
                    Output::Text => output::line(format_args!(
                        "answering look-ups of {}: {} by {}",
                        opened.dataset,
                        counted(register.by_key.len(), "record"),
                        opened.key_fields.join(", ")
                    )),
                    Output::Json => output::line(json!({
                        "event": "opened",
                        "dataset": opened.dataset,
                        "key_fields": opened.key_fields,
                        "schema_version": opened.schema_version,
                        "records": register.by_key.len(),
                    })),
                }
            }
            Served::Question(question) => answer(context, &register, question).await,
        }
    }
}

async fn answer(context: &Context, register: &Register, question: Question) {
    let replies: Vec<Reply> = question.keys.iter().map(|key| register.reply(key)).collect();
    let found = replies.iter().filter(|reply| matches!(reply, Reply::Record { .. })).count();
    let (keys, agreement, consumer) = (replies.len(), question.agreement.clone(), question.consumer.clone());
    let purpose = question.purpose.0.clone();
    question.answer(replies).await;
    match context.output {
        Output::Text => output::line(format_args!(
            "{consumer} asks under {agreement} ({purpose}): {}, {found} found",
            counted(keys, "key")
        )),
        Output::Json => output::line(json!({
            "event": "answered", "consumer": consumer, "agreement": agreement, "keys": keys, "found": found,
        })),
    }
}

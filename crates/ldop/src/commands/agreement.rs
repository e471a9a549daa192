//! `ldop agreement`

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use ldop_catalog::{Agreement, Dataset, Mode, definition::Validity};
use ldop_contract::catalog::v1::AgreementAction;
use ldop_control::{ControlState, grant_of};
use ldop_definitions::References;
use ldop_schema_registry::{CompiledSchema, Outcome, Parser, View};
use ldop_types::{Mask, TimestampMs};
use serde_json::{Value, json};

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output, local_time},
};

mod diff;
mod draft;
mod list;
mod steps;

const EXAMPLES: &str = "\
Examples:
  ldop agreement new communes-to-health --dataset communes --consumer so-y-te/his --definitions schemas
  ldop agreement check schemas
  ldop agreement diff schemas
  ldop agreement list
  ldop agreement approve civil-status-to-police
  ldop agreement suspend civil-status-to-police --reason 'records of the wrong commune'
  ldop agreement history civil-status-to-police
  ldop agreement simulate civil-status-to-police record.json --definitions schemas
  ldop agreement simulate civil-status-to-police - --definitions schemas < record.json

docs/agreements.md tells what an agreement may say, and docs/roles.md who may take which step.";

/// Days ahead of its end at which an agreement is told to expire.
const SOON_DAYS: i64 = 60;
const DAY_MS: i64 = 86_400_000;

/// What to do with agreements.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the agreements of the hub: who receives what, how, where it stands, what it waits for, and until when.
    List(ListArgs),
    /// Writes a draft of an agreement from a dataset and a consumer, with how personal each field is. Works on folders.
    New(draft::NewArgs),
    /// Checks what files and folders say of agreements. Works on folders.
    Check(draft::CheckArgs),
    /// Tells what changed agreements would grant more, less, or otherwise.
    Diff(diff::DiffArgs),
    /// Approves the version that waits, for the party whose certificate this is; never by its author.
    Approve(steps::StepArgs),
    /// Refuses the version that waits, with a reason that its author sees.
    Refuse(steps::ReasonedArgs),
    /// Lets an agreed version be tried out: with test data at once, with live data not yet.
    StartTesting(steps::StepArgs),
    /// Puts a version that was tried out in force.
    GoLive(steps::StepArgs),
    /// Suspends an agreement at once, on open streams too.
    Suspend(steps::ReasonedArgs),
    /// Lets a suspended agreement go on.
    Resume(steps::ReasonedArgs),
    /// Ends an agreement.
    End(steps::StepArgs),
    /// Notes that an agreement was reviewed and is right as it stands.
    Review(steps::StepArgs),
    /// Tells what became of an agreement: each step, by whom, when and why.
    History(steps::HistoryArgs),
    /// Tells what the consumer of an agreement would see of a record, and why. Works on folders, without a hub.
    Simulate(SimulateArgs),
}

/// How to reach the hub.
#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    hub: HubArgs,
}

/// Which agreement, and which record.
#[derive(Debug, clap::Args)]
struct SimulateArgs {
    /// Id of the agreement.
    #[arg(value_name = "AGREEMENT")]
    agreement: String,
    /// File with the record, one JSON object; `-` is standard input.
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// Folder with the definitions; may be named several times.
    #[arg(long, value_name = "DIR", required = true)]
    definitions: Vec<PathBuf>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::New(args) => draft::new(&args),
        Command::Check(args) => draft::check(context, &args),
        Command::Diff(args) => diff::run(context, &args).await,
        Command::List(args) => list::run(context, &args).await,
        Command::Approve(args) => steps::run(context, AgreementAction::Approve, args).await,
        Command::Refuse(args) => steps::run(context, AgreementAction::Refuse, args.into()).await,
        Command::StartTesting(args) => steps::run(context, AgreementAction::StartTesting, args).await,
        Command::GoLive(args) => steps::run(context, AgreementAction::GoLive, args).await,
        Command::Suspend(args) => steps::run(context, AgreementAction::Suspend, args.into()).await,
        Command::Resume(args) => steps::run(context, AgreementAction::Resume, args.into()).await,
        Command::End(args) => steps::run(context, AgreementAction::End, args).await,
        Command::Review(args) => steps::run(context, AgreementAction::Review, args).await,
        Command::History(args) => steps::history(context, &args).await,
        Command::Simulate(args) => simulate(context, &args),
    }
}

fn modes(agreement: &Agreement) -> Vec<&'static str> {
    agreement.modes.iter().map(|mode| Mode::as_str(*mode)).collect()
}

/// What an agreement grants at most, in a few words.
fn quotas(agreement: &Agreement) -> String {
    let mut told = Vec::new();
    if let Some(rate) = agreement.quotas.calls {
        told.push(format!("{}/s, burst {}", rate.per_second, rate.burst));
    }
    if let Some(records) = agreement.quotas.records_per_day {
        told.push(format!("{records}/day"));
    }
    told.extend(agreement.definition.quotas.iter().flat_map(|quotas| quotas.allowed_hours.iter().cloned()));
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

fn state_word(agreement: &Agreement, now: TimestampMs) -> &'static str {
    match agreement.validity(now) {
        Validity::Valid { until: Some(until) } if until.0 - now.0 < SOON_DAYS * DAY_MS => "expires",
        Validity::Valid { .. } => "valid",
        Validity::NotYet => "not_yet_valid",
        Validity::Ended => "ended",
    }
}

fn state(agreement: &Agreement, now: TimestampMs) -> String {
    let definition = &agreement.definition;
    match (state_word(agreement, now), definition.valid_from, definition.valid_until) {
        ("expires", _, Some(until)) => format!("expires in {} days", (until.0 - now.0) / DAY_MS),
        ("not_yet_valid", Some(from), _) => format!("valid from {}", local_time(from.0)),
        (word, ..) => word.to_owned(),
    }
}

/// The parts of a folder an agreement is about.
struct World {
    agreement: Agreement,
    dataset: Dataset,
    schema: CompiledSchema,
    view: View,
}

fn simulate(context: &Context, args: &SimulateArgs) -> Result<Exit, Failure> {
    let record = read(&args.record)?;
    let World { agreement, dataset, schema, view } = world(args)?;
    let mut parser = Parser::default();
    let document = parser
        .parse(&record)
        .map_err(|flaw| Failure::Usage(format!("{} is no record: {}", args.record.display(), flaw.message.en)))?;
    let now = TimestampMs::now();
    let mut outcome = Outcome::default();
    let is_accepted = schema.check(&document, now.date_in_vietnam(), &mut outcome);
    let Value::Object(whole) = document.root().to_tree() else {
        return Err(Failure::Usage(format!("{} is no JSON object", args.record.display())));
    };
    let mut shown = Vec::new();
    let not_an_object = |_| Failure::Internal("a parsed object is not projected".to_owned());
    let is_shown = view.show(&mut Parser::default(), &record, &mut shown).map_err(not_an_object)?;
    let seen: Option<Value> = is_shown.then(|| serde_json::from_slice(&shown).unwrap_or_default());
    let why = |name: &str| why(&agreement, seen.as_ref(), name);
    match context.output {
        Output::Text => {
            let row = |name: &str, value: &str| output::line(format_args!("{name:<12} {value}"));
            row("agreement", &format!("{} ({})", agreement.id, state(&agreement, now)));
            row("consumer", agreement.consumer.as_str());
            row(
                "dataset",
                &format!("{}, {}; ways out: {}", dataset.name, agreement.stage, modes(&agreement).join(", ")),
            );
            let findings = counted(outcome.findings.len(), "finding");
            row("record", &if is_accepted { "is accepted".to_owned() } else { format!("is refused: {findings}") });
            for finding in &outcome.findings {
                output::line(format_args!("             {}: {}", finding.pointer, finding.message.en));
            }
            let condition = agreement.definition.row_condition.as_str();
            if !condition.is_empty() {
                let verdict = if is_shown { "the record is shown" } else { "the record is withheld" };
                row("condition", &format!("{condition}: {verdict}"));
            }
            let mut table = output::table(&["field", "seen as", "why"]);
            for name in whole.keys() {
                let value =
                    seen.as_ref().and_then(|seen| seen.get(name)).map_or_else(|| "–".to_owned(), Value::to_string);
                table.add_row([name.as_str(), &value, why(name)]);
            }
            output::line(table);
        }
        Output::Json => {
            let fields = whole.keys().map(|name| (name.clone(), json!(why(name))));
            output::json(&json!({
                "agreement": agreement.id.as_str(),
                "state": state_word(&agreement, now),
                "modes": modes(&agreement),
                "accepted": is_accepted,
                "findings": outcome.findings.iter().map(|finding| json!({
                    "pointer": finding.pointer, "rule": finding.rule.as_str(), "message": finding.message.en,
                })).collect::<Vec<_>>(),
                "shown": is_shown,
                "record": seen,
                "why": fields.collect::<serde_json::Map<_, _>>(),
            }));
        }
    }
    Ok(Exit::Ok)
}

fn why(agreement: &Agreement, seen: Option<&Value>, name: &str) -> &'static str {
    let Some(seen) = seen else { return "the record is withheld" };
    if !agreement.definition.granted_fields.iter().any(|granted| granted == name) {
        return "not granted";
    }
    let mask = agreement.masks.iter().find(|(field, _)| field == name).map(|(_, mask)| *mask);
    match mask {
        None => "granted",
        Some(Mask::Dropped) => "masked: dropped",
        Some(_) if seen.get(name).is_none() => "left out: the mask does not fit the value",
        Some(Mask::PartlyHidden { .. }) => "masked: partly hidden",
        Some(Mask::KeyedHash) => "masked: keyed hash (another at the hub, which has its own key)",
        Some(Mask::YearOnly) => "masked: the year only",
    }
}

fn world(args: &SimulateArgs) -> Result<World, Failure> {
    let loaded = ldop_definitions::load(&args.definitions, References::Within).map_err(Failure::Problems)?;
    let changes: Vec<_> = loaded.changes.into_iter().map(|(_, change)| change).collect();
    let state: ControlState = ControlState::standing(changes)
        .map_err(|error| Failure::Usage(format!("the folders do not fit together: {error}")))?;
    let known = state.catalog.agreements.iter().find(|(id, _)| id.as_str() == args.agreement);
    let Some((_, agreement)) = known else {
        let ids: Vec<&str> = state.catalog.agreements.keys().map(ldop_types::AgreementId::as_str).collect();
        let message = format!("the definitions have no agreement {:?}; they have {}", args.agreement, ids.join(", "));
        return Err(Failure::Usage(message));
    };
    let agreement = agreement.value.clone();
    // The folder was judged whole: what an agreement is about is there.
    let incomplete = || Failure::Internal("the definitions do not hold together".to_owned());
    let dataset = state.catalog.datasets.get(&agreement.dataset).ok_or_else(incomplete)?.value.clone();
    let schema = state.schema(dataset.schema.as_str(), agreement.stage).ok_or_else(incomplete)?;
    let schema = schema.get().map_err(|_| incomplete())?;
    let grant = grant_of(&agreement, &dataset);
    let condition = grant.condition(&schema, &state.dictionary).map_err(|_| incomplete())?;
    let view = grant.view(condition, b"simulated");
    Ok(World { schema: CompiledSchema::clone(&schema), agreement, dataset, view })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map_err(Failure::file("read", path))?;
        return Ok(bytes);
    }
    fs::read(path).map_err(Failure::file("read", path))
}

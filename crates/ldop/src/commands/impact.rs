//! `ldop impact`

mod live;

use std::path::PathBuf;

use ldop_contract::control::v1::{Change, change::Resource};
use ldop_control::{
    ControlState, Impact,
    impact::{AgreementUse, SchemaUse},
};
use ldop_definitions::References;
use serde_json::json;

use self::live::Seen;

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop impact schemas --against schemas.before           what a new edition of the code lists touches
  ldop impact new-communes --against schemas             a folder with the changed lists alone
  ldop impact schemas --against schemas.before --output json
  ldop impact new-communes --against schemas --live      and where the codes that stop stand in records

Works on folders, without a hub. Tells for each code list that differs what happens to its codes, and which elements,
schemas, datasets and agreements of the older folder rest on it. With --live an operator asks the hub besides how many of
the records it accepted lately hold a code that stops being valid: by dataset, stage and place, with the time of the last.
The hub reads slowly meanwhile, so that nobody else waits.";

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders with the definitions as they are to be.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Folder with the definitions as they stand; may be named several times.
    #[arg(long, value_name = "DIR", required = true)]
    against: Vec<PathBuf>,
    /// Asks the hub in which records the codes that stop being valid stand. Operators only.
    #[arg(long)]
    live: bool,
    /// How far the hub looks back, days by the time of acceptance.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_660), requires = "live")]
    days: u32,
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let before = load(&args.against, References::Within)?;
    // The changed lists may come alone.
    let lists = load(&args.dirs, References::Elsewhere)?
        .into_iter()
        .filter(|change| matches!(change.resource, Some(Resource::CodeList(_))));
    let after = standing(before.iter().cloned().chain(lists).collect())?;
    let before = standing(before)?;
    let impacts: Vec<Impact> = after.dictionary.code_lists().filter_map(|list| Impact::of(&before, list)).collect();
    let mut seen = Vec::with_capacity(impacts.len());
    if args.live {
        let client = args.hub.connect(context).await?;
        for impact in &impacts {
            seen.push(live::ask(&client, impact, args.days).await?);
        }
    }
    let each = impacts.iter().enumerate().map(|(at, impact)| (impact, seen.get(at)));
    match context.output {
        Output::Text if impacts.is_empty() => output::line("no code of any list changes"),
        Output::Text => each.for_each(|(impact, seen)| tell(impact, seen)),
        Output::Json => {
            let impacts: Vec<_> = each.map(|(impact, seen)| to_json(impact, seen)).collect();
            output::json(&json!({ "impacts": impacts }));
        }
    }
    Ok(Exit::Ok)
}

fn load(dirs: &[PathBuf], references: References) -> Result<Vec<Change>, Failure> {
    let loaded = ldop_definitions::load(dirs, references).map_err(Failure::Problems)?;
    Ok(loaded.changes.into_iter().map(|(_, change)| change).collect())
}

fn standing(changes: Vec<Change>) -> Result<ControlState, Failure> {
    ControlState::standing(changes).map_err(|error| Failure::Usage(format!("the folders do not fit together: {error}")))
}

fn tell(impact: &Impact, seen: Option<&Seen>) {
    output::line(format_args!("code list {}: {}", impact.code_list, counted(impact.changes.len(), "changed code")));
    let mut table = output::table(&["code", "label", "change", "last day", "in its place"]);
    for change in &impact.changes {
        let successors = change.successors.join(" ");
        table.add_row([&change.code, &change.label, change.kind.as_str(), &change.valid_to, &successors]);
    }
    output::line(table);
    let touches = |kind: &str, names: Vec<String>| {
        output::line(format_args!("{}: {}", counted(names.len(), kind), names.join(", ")));
    };
    touches("element", impact.elements.iter().map(ToString::to_string).collect());
    let schema = |used: &SchemaUse| format!("{} v{} at {}", used.schema, used.version, used.pointers.join(" "));
    touches("schema", impact.schemas.iter().map(schema).collect());
    touches("dataset", impact.datasets.iter().map(ToString::to_string).collect());
    let agreement = |used: &AgreementUse| format!("{} ({})", used.agreement, used.fields.join(", "));
    touches("agreement", impact.agreements.iter().map(agreement).collect());
    touches("mapped list", impact.mapped_lists.iter().map(ToString::to_string).collect());
    match seen {
        Some(seen) => seen.tell(),
        None => output::line(format_args!("to look for in records: {}", counted(impact.stopping().count(), "code"))),
    }
    output::line("");
}

fn to_json(impact: &Impact, seen: Option<&Seen>) -> serde_json::Value {
    let mut told = json!({
        "code_list": impact.code_list.as_str(),
        "changes": impact.changes.iter().map(|change| json!({
            "code": change.code,
            "label": change.label,
            "change": change.kind.as_str(),
            "valid_to": change.valid_to,
            "successors": change.successors,
            "stops": change.kind.stops(),
        })).collect::<Vec<_>>(),
        "elements": impact.elements.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "schemas": impact.schemas.iter().map(|used| json!({
            "schema": used.schema.as_str(), "version": used.version, "pointers": used.pointers,
        })).collect::<Vec<_>>(),
        "datasets": impact.datasets.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "agreements": impact.agreements.iter().map(|used| json!({
            "agreement": used.agreement.as_str(), "fields": used.fields,
        })).collect::<Vec<_>>(),
        "mapped_lists": impact.mapped_lists.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if let Some(seen) = seen {
        told["live"] = seen.to_json();
    }
    told
}

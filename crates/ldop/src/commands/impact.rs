//! `ldop impact`

use std::path::PathBuf;

use ldop_contract::control::v1::{Change, change::Resource};
use ldop_control::{
    ControlState, Impact,
    impact::{AgreementUse, SchemaUse},
};
use ldop_definitions::References;
use serde_json::json;

use crate::{
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop impact schemas --against schemas.before           what a new edition of the code lists touches
  ldop impact new-communes --against schemas             a folder with the changed lists alone
  ldop impact schemas --against schemas.before --output json

Works on folders, without a hub. Tells for each code list that differs what happens to its codes, and which elements,
schemas, datasets and agreements of the older folder rest on it. Records are not looked at: the codes that stop being
valid are listed, for whoever holds records to count.";

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
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let before = load(&args.against, References::Within)?;
    // The changed lists may come alone.
    let lists = load(&args.dirs, References::Elsewhere)?
        .into_iter()
        .filter(|change| matches!(change.resource, Some(Resource::CodeList(_))));
    let after = standing(before.iter().cloned().chain(lists).collect())?;
    let before = standing(before)?;
    let impacts: Vec<Impact> = after.dictionary.code_lists().filter_map(|list| Impact::of(&before, list)).collect();
    match context.output {
        Output::Text => tell(&impacts),
        Output::Json => output::json(&json!({ "impacts": impacts.iter().map(to_json).collect::<Vec<_>>() })),
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

fn tell(impacts: &[Impact]) {
    if impacts.is_empty() {
        output::line("no code of any list changes");
    }
    for impact in impacts {
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
        let stopping: Vec<&str> = impact.stopping().map(|change| change.code.as_str()).collect();
        output::line(format_args!("to look for in records: {}\n", counted(stopping.len(), "code")));
    }
}

fn to_json(impact: &Impact) -> serde_json::Value {
    json!({
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
    })
}

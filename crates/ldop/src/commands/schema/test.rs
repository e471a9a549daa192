//! `ldop schema test`

use std::path::PathBuf;

use ldop_definitions::{
    References,
    testing::{Ran, Tested, test},
};
use serde_json::{Value, json};

use crate::{
    commands::check::definition_dirs,
    connect::Context,
    failure::{Exit, Failure, counted, problem_json},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema test                              the folder schemas, beside ldop.toml or here
  ldop schema test my-schemas --output json

A record in <schema>.accepted/ must be accepted. One in <schema>.rejected/ stands as
{\"record\": {...}, \"expect\": [{\"pointer\", \"rule\"}]} and must be rejected for exactly those reasons.
Codes are judged as of \"event_time\", or of today. Exit code 78 when an example behaves otherwise, or cannot be run.";

/// What to test.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of definitions, taken together [default: schemas, beside the configuration].
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Definitions may refer to others that are not in the folders; their schemas are not run.
    #[arg(long)]
    partial: bool,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let dirs = definition_dirs(context, &args.dirs)?;
    let tested = test(&dirs, if args.partial { References::Elsewhere } else { References::Within });
    match context.output {
        Output::Text => text(&tested),
        Output::Json => output::json(&json!({
            "ok": tested.problems.is_empty(),
            "schemas": tested.schemas.iter().map(|(name, test)| json!({
                "name": name,
                "compiled": test.is_compiled,
                "accepted": ran(test.accepted),
                "rejected": ran(test.rejected),
            })).collect::<Vec<_>>(),
            "problems": tested.problems.iter().map(problem_json).collect::<Vec<_>>(),
        })),
    }
    Ok(if tested.problems.is_empty() { Exit::Ok } else { Exit::Configuration })
}

fn ran(ran: Ran) -> Value {
    json!({ "run": ran.run, "failed": ran.failed })
}

fn text(tested: &Tested) {
    let mut table = output::table(&["schema", "accepted", "rejected", ""]);
    let words = |ran: Ran| format!("{} of {}", ran.run - ran.failed, ran.run);
    for (name, test) in &tested.schemas {
        let verdict = match (test.is_compiled, test.accepted.failed + test.rejected.failed) {
            (false, _) => "not compiled".to_owned(),
            (true, 0) if test.accepted.run + test.rejected.run == 0 => "no examples".to_owned(),
            (true, 0) => "right".to_owned(),
            (true, failed) => format!("{failed} failed"),
        };
        table.add_row([name.clone(), words(test.accepted), words(test.rejected), verdict]);
    }
    if !tested.schemas.is_empty() {
        output::line(table);
    }
    for problem in &tested.problems {
        output::line(problem);
    }
    let run: usize = tested.schemas.values().map(|test| test.accepted.run + test.rejected.run).sum();
    output::line(format_args!("{} run, {}", counted(run, "example"), counted(tested.problems.len(), "problem")));
}

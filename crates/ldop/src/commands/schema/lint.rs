//! `ldop schema lint`

use std::path::PathBuf;

use clap::ValueEnum;
use ldop_definitions::{
    References,
    lint::{Level, LintFinding, Linted, lint},
};
use serde_json::{Value, json};

use super::sarif;
use crate::{
    commands::check::definition_dirs,
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema lint                              the folder schemas, beside ldop.toml or here
  ldop schema lint my-schemas --partial         schemas whose dictionary stands elsewhere
  ldop schema lint --format sarif > lint.sarif  for code hosts

Errors are what `ldop check` says of the definitions: the hub would refuse them. Warnings (ADVICE_...) are advice on what
is right and could be better; docs/rules.md lists them. Exit code 78 with errors, 0 with warnings alone.";

/// What to lint.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of definitions, taken together [default: schemas, beside the configuration].
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Definitions may refer to others that are not in the folders.
    #[arg(long)]
    partial: bool,
    /// Form of the findings [default: as --output says].
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let dirs = definition_dirs(context, &args.dirs)?;
    let linted = lint(&dirs, if args.partial { References::Elsewhere } else { References::Within });
    let format = args.format.unwrap_or(match context.output {
        Output::Text => Format::Text,
        Output::Json => Format::Json,
    });
    let count = |level: Level| linted.findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    match format {
        Format::Text => text(&linted, errors, warnings),
        Format::Json => output::json(&json!({
            "ok": errors == 0,
            "schemas": linted.schemas,
            "errors": errors,
            "warnings": warnings,
            "findings": linted.findings.iter().map(to_json).collect::<Vec<_>>(),
        })),
        Format::Sarif => output::json(&sarif::log(&linted.findings)),
    }
    Ok(if errors == 0 { Exit::Ok } else { Exit::Configuration })
}

fn text(linted: &Linted, errors: usize, warnings: usize) {
    for finding in &linted.findings {
        let LintFinding { place, key, rule, level, message, remedy } = finding;
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        output::line(format_args!("{place}: {key}{}: {rule}: {}", level.as_str(), message.en));
        if let Some(remedy) = remedy {
            output::line(format_args!("    {} / {}", message.vi, remedy.vi));
            output::line(format_args!("    {}", remedy.en));
        }
    }
    let schemas = counted(linted.schemas, "schema");
    output::line(format_args!("{schemas}: {}, {}", counted(errors, "error"), counted(warnings, "warning")));
}

fn to_json(finding: &LintFinding) -> Value {
    json!({
        "file": finding.place.file.display().to_string(),
        "line": finding.place.line,
        "column": finding.place.column,
        "key": finding.key,
        "rule": finding.rule,
        "level": finding.level.as_str(),
        "message": { "vi": finding.message.vi, "en": finding.message.en },
        "remedy": finding.remedy.as_ref().map(|remedy| json!({ "vi": remedy.vi, "en": remedy.en })),
    })
}

//! `ldop check`

use std::path::{Path, PathBuf};

use ldop_definitions::{Loaded, References, reading::Problem};
use serde_json::json;

use crate::{
    config::{ClientSection, Config},
    connect::Context,
    failure::{Exit, Failure, counted, problem_json},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop check                              ldop.toml here, and the folder schemas beside it
  ldop check --config /etc/ldop/ldop.toml
  ldop check schemas                      definitions only
  ldop check --partial my-agreements      a part whose dictionary and catalogue stand at the hub

Every problem is said at once, one line each: file:line:column: key: what stands there; expected what should.
Nothing is started, sent or changed. Exit code 78 when anything is wrong.";

/// What to check.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of definitions, taken together [default: schemas, beside the configuration].
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Definitions may refer to others that are not in the folders.
    #[arg(long)]
    partial: bool,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let mut problems = Vec::new();
    // Folders that are named are checked alone, unless the configuration is named as well.
    let config = if args.dirs.is_empty() { context.config_file() } else { context.config.clone() };
    if let Some(file) = &config {
        problems.extend(check_config(file));
    }
    let dirs = if args.dirs.is_empty() { default_dirs(config.as_deref()) } else { args.dirs.clone() };
    if config.is_none() && dirs.is_empty() {
        let text = "there is nothing to check: no ldop.toml and no folder schemas here, and none was named";
        return Err(Failure::Usage(text.to_owned()));
    }
    let references = if args.partial { References::Elsewhere } else { References::Within };
    let loaded = match (dirs.is_empty(), ldop_definitions::load(&dirs, references)) {
        (true, _) => None,
        (false, Ok(loaded)) => Some(loaded),
        (false, Err(found)) => {
            problems.extend(found);
            None
        }
    };
    tell(context.output, config.as_deref(), loaded.as_ref(), &problems);
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Configuration })
}

fn check_config(file: &Path) -> Vec<Problem> {
    // A department's file may have nothing but [client].
    if let Ok(true) = ClientSection::is_alone(file) {
        return ClientSection::load(file).err().unwrap_or_default();
    }
    match Config::load(file) {
        Ok(config) => config.check_files(file),
        Err(problems) => problems,
    }
}

/// The folders that were named, or the folder schemas beside the configuration or here.
///
/// # Errors
///
/// [`Failure::Usage`] where none was named and there is none.
pub(super) fn definition_dirs(context: &Context, named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let dirs = if named.is_empty() { default_dirs(context.config_file().as_deref()) } else { named.to_vec() };
    if dirs.is_empty() {
        return Err(Failure::Usage("there is no folder schemas here, and none was named".to_owned()));
    }
    Ok(dirs)
}

fn default_dirs(config: Option<&Path>) -> Vec<PathBuf> {
    let folder = config.and_then(Path::parent).unwrap_or(Path::new(""));
    let schemas = folder.join("schemas");
    if schemas.is_dir() { vec![schemas] } else { Vec::new() }
}

/// The findings are what was asked for, so they go to standard output.
fn tell(output: Output, config: Option<&Path>, loaded: Option<&Loaded>, problems: &[Problem]) {
    match output {
        Output::Text => {
            for problem in problems {
                output::line(problem);
            }
            if problems.is_empty() {
                if let Some(file) = config {
                    output::line(format_args!("{}: right", file.display()));
                }
                if let Some(loaded) = loaded {
                    for warning in &loaded.warnings {
                        output::line(format_args!("warning: {warning}"));
                    }
                    let definitions = counted(loaded.changes.len(), "definition");
                    output::line(format_args!("{definitions} right, {} run", counted(loaded.examples, "example")));
                }
            } else {
                output::line(counted(problems.len(), "problem"));
            }
        }
        Output::Json => output::json(&json!({
            "ok": problems.is_empty(),
            "problems": problems.iter().map(problem_json).collect::<Vec<_>>(),
            "warnings": loaded.map(|loaded| loaded.warnings.iter().map(problem_json).collect::<Vec<_>>()),
            "definitions": loaded.map(|loaded| loaded.changes.len()),
            "examples": loaded.map(|loaded| loaded.examples),
        })),
    }
}

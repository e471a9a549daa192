//! `ldop schema`

mod diff;
pub mod differences;
mod words;

use clap::Subcommand;

use super::wait;
use crate::{
    connect::Context,
    failure::{Exit, Failure},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema diff commune.v1.json commune.v2.json
  ldop schema diff --registered commune schemas/records/commune.schema.json

`ldop schema COMMAND --help` has examples of each. What a schema may hold: docs/rules.md; what may follow what:
docs/compatibility.md.";

/// What to do with schemas.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells every difference between two schemas, and whether one may follow the other.
    Diff(diff::Args),
}

/// Runs the command.
pub fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Diff(args) => wait(diff::run(context, args)),
    }
}

//! `ldop schema`

mod diff;
pub mod differences;
mod infer;
mod lint;
mod new;
mod registered;
mod sarif;
mod settings;
mod test;
pub mod words;

use clap::Subcommand;
use ldop_contract::registry::v1::SchemaAction;

use super::wait;
use crate::{
    connect::Context,
    failure::{Exit, Failure},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema new --name resident --field full_name=person.full-name --write
  ldop schema lint
  ldop schema test
  ldop schema diff commune.v1.json commune.v2.json
  ldop schema list
  ldop schema show commune --version 2
  ldop schema approve commune 3

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
    /// Writes a schema from elements of the dictionary.
    New(new::Args),
    /// Writes a first draft of a schema from sample records.
    Infer(infer::Args),
    /// Finds what is wrong with schemas and what could be better.
    Lint(lint::Args),
    /// Runs the accepted and rejected examples beside schemas.
    Test(test::Args),
    /// Lists the schemas of the hub.
    List(registered::ListArgs),
    /// Shows a version of a schema.
    Show(registered::ShowArgs),
    /// Lists the versions of a schema.
    Versions(registered::VersionsArgs),
    /// Approves a draft.
    Approve(registered::MoveArgs),
    /// Marks an approved version as one that should no longer be used.
    Deprecate(registered::MoveArgs),
    /// Takes a version out of use.
    Retire(registered::MoveArgs),
    /// Deletes a version, softly or for good.
    Delete(registered::DeleteArgs),
    /// Shows or changes compatibility, mode and approval of a schema or of all.
    Settings(settings::Args),
}

/// Runs the command.
pub fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.command {
        Command::Diff(args) => wait(diff::run(context, args)),
        Command::New(args) => new::run(context, args),
        Command::Infer(args) => infer::run(context, &args),
        Command::Lint(args) => lint::run(context, &args),
        Command::Test(args) => test::run(context, &args),
        Command::List(args) => wait(registered::list(context, args)),
        Command::Show(args) => wait(registered::show(context, args)),
        Command::Versions(args) => wait(registered::versions(context, args)),
        Command::Approve(args) => wait(registered::step(context, args, SchemaAction::Approve)),
        Command::Deprecate(args) => wait(registered::step(context, args, SchemaAction::Deprecate)),
        Command::Retire(args) => wait(registered::step(context, args, SchemaAction::Retire)),
        Command::Delete(args) => {
            let action = args.action();
            wait(registered::step(context, args.into_moved(), action))
        }
        Command::Settings(args) => wait(settings::run(context, args)),
    }
}

//! The command line: what can be asked for, and the help that explains it.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{commands, output::Output};

const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  the hub refused, in whole or in part (publish: some records; they stand in the refusals file);
       schema diff: not compatible; export check: not what the manifest says
    2  the command line is wrong
    3  no hub could be reached
    4  the audit of a demo failed
   69  the hub could not reach its Kafka brokers when it started
   70  a bug of ldop
   73  a file or folder is in the way (--force writes over it)
   74  a file cannot be read or written
   75  the hub cannot now, later it may (shutting down, overloaded, fenced, log unavailable)
   78  configuration or definitions are wrong
  130  interrupted

To begin:
  ldop init province && cd province
  ldop serve &
  ldop apply schemas
  ldop status";

/// Exchanges records between department systems: the hub and its tools.
#[derive(Debug, Parser)]
#[command(name = "ldop", version, about, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// Form of what is written to standard output; errors on standard error follow it.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,

    /// Configuration file [default: ldop.toml, where there is one].
    #[arg(long, global = true, value_name = "FILE", env = "LDOP_CONFIG")]
    pub config: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts the hub.
    Serve(commands::serve::Args),
    /// Moves real data through a hub of its own that is killed on the way, and audits the result.
    Demo(crate::demo::Args),
    /// One provider or consumer of a demo; started by the demo.
    #[command(hide = true)]
    DemoWorker(crate::demo::worker::Args),
    /// Makes a working folder: configuration, development PKI, sample definitions.
    Init(commands::init::Args),
    /// Checks configuration and definitions without starting or sending anything.
    Check(commands::check::Args),
    /// Tells what changes of code lists between two folders of definitions touch.
    Impact(commands::impact::Args),
    /// Registers the definitions of a folder at the hub.
    Apply(commands::apply::Args),
    /// Tells what applying a folder would change, what of it is incompatible, and who must approve.
    Plan(commands::plan::Args),
    /// Writes, checks, compares, shows and moves schemas.
    Schema(commands::schema::Args),
    /// Lists sharing agreements, and tells what a consumer would see of a record.
    Agreement(commands::agreement::Args),
    /// Publishes the records of a file or of standard input.
    Publish(commands::publish::Args),
    /// Receives the records of an agreement.
    Subscribe(commands::subscribe::Args),
    /// Reads what an agreement grants of the records accepted since a position or a time.
    Changes(commands::changes::Args),
    /// Exports a whole dataset into a folder, as an agreement grants it, and checks such packages.
    Export(commands::export::Args),
    /// Asks for single records by key, under an agreement.
    LookUp(commands::look_up::Args),
    /// Finds the records whose fields have given values, by a secondary key of a dataset, under an agreement.
    Find(commands::find::Args),
    /// Answers look-ups of a dataset from a file of records.
    ServeLookUps(commands::serve_look_ups::Args),
    /// Erases, by an order, what is known under a record key.
    Erase(commands::erase::Args),
    /// Counts what was exchanged in a period: as a table, CSV or a workbook.
    Report(commands::report::Args),
    /// Tells how the hub is.
    Status(commands::status::Args),
    /// Lets the hub use what only this release and newer ones understand, once no older one is to come back.
    RaiseLevel(commands::raise_level::Args),
    /// Tells what became of a published record.
    Exchange(commands::exchange::Args),
    /// Takes the dictionary to and from spreadsheets, and makes a book of it.
    Dictionary(commands::dictionary::Args),
    /// Makes and shows certificates of a development PKI.
    Pki(commands::pki::Args),
    /// Makes credentials for registry clients that have no certificate.
    Registry(commands::registry::Args),
}

//! One module for each command.

pub mod agreement;
pub mod apply;
pub mod changes;
pub mod check;
pub mod dictionary;
pub mod erase;
pub mod exchange;
pub mod export;
pub mod find;
pub mod impact;
pub mod init;
pub mod look_up;
pub mod pki;
pub mod plan;
pub mod publish;
pub mod raise_level;
pub mod registry;
pub mod report;
pub mod schema;
pub mod serve;
pub mod serve_look_ups;
pub mod status;
pub mod subscribe;

use std::{future::Future, io};

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    cli::{Cli, Command},
    connect::Context,
    failure::{Exit, Failure},
    output::Output,
};

/// Does what the command line asks for.
///
/// # Errors
///
/// Whatever kept the command from it.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let context = Context { output: cli.output, config: cli.config };
    match cli.command {
        Command::Serve(args) => serve::run(&context, &args),
        Command::Demo(args) => demo(&crate::demo::run(&args, context.output == Output::Json)),
        Command::DemoWorker(args) => demo(&crate::demo::worker::run(&args).map(|()| 0)),
        Command::Init(args) => init::run(&context, &args),
        Command::Check(args) => check::run(&context, &args),
        Command::Agreement(args) => wait(agreement::run(&context, args)),
        Command::Impact(args) => wait(impact::run(&context, args)),
        Command::Schema(args) => schema::run(&context, args),
        Command::Dictionary(args) => dictionary::run(&context, &args),
        Command::Pki(args) => pki::run(&context, &args),
        Command::Registry(args) => registry::run(&context, &args),
        Command::Plan(args) => wait(plan::run(&context, args)),
        Command::Apply(args) => wait(apply::run(&context, args)),
        Command::Publish(args) => wait(publish::run(&context, args)),
        Command::Subscribe(args) => wait(subscribe::run(&context, args)),
        Command::Changes(args) => wait(changes::run(&context, args)),
        Command::Export(args) => wait(export::run(&context, args)),
        Command::LookUp(args) => wait(look_up::run(&context, args)),
        Command::Find(args) => wait(find::run(&context, args)),
        Command::ServeLookUps(args) => wait(serve_look_ups::run(&context, args)),
        Command::Erase(args) => wait(erase::run(&context, args)),
        Command::Report(args) => wait(report::run(&context, args)),
        Command::Status(args) => wait(status::run(&context, args)),
        Command::RaiseLevel(args) => wait(raise_level::run(&context, args)),
        Command::Exchange(args) => wait(exchange::run(&context, args)),
    }
}

fn demo(result: &anyhow::Result<u8>) -> Result<Exit, Failure> {
    match result {
        Ok(0) => Ok(Exit::Ok),
        Ok(_) => Err(Failure::Audit),
        Err(error) => Err(Failure::Demo(format!("{error:#}"))),
    }
}

/// Runs a command of a client: its warnings, such as a lost connection, go to standard error.
fn wait(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let subscriber = fmt().with_env_filter(EnvFilter::new("warn")).with_writer(io::stderr).without_time();
    // Fails only where a subscriber is set already, which then does as well.
    let _ = subscriber.with_target(false).try_init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(format!("cannot start threads: {error}")))?;
    let result = runtime.block_on(command);
    // Not waiting: a thread may still be reading a standard input that nobody ends.
    runtime.shutdown_background();
    result
}

//! `ldop serve`: starts the hub.

use std::path::PathBuf;

use crate::{
    config::{Config, FILE_NAME},
    connect::Context,
    failure::{Exit, Failure},
    serve,
};

/// Starts the hub and serves until SIGTERM or SIGINT, then drains within `drain.grace`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The configuration is checked whole before anything is opened; `ldop check` does the same without starting.
Logs go to standard error. /metrics, /livez and /readyz answer on `listen.ops`.

Examples:
  ldop serve
  ldop serve --config /etc/ldop/ldop.toml
  ldop serve --ready-file /run/ldop/ready.json")]
pub struct Args {
    /// Write the addresses and the process id here, as JSON, once the hub is ready.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Open the embedded log although a part of it is lost or damaged, once, after you have looked at what the refusal to
    /// start says. What is lost stays lost; what is damaged is told to whoever reads it.
    #[arg(long)]
    pub accept_loss: bool,
}

/// Serves.
///
/// # Errors
///
/// [`Failure::Problems`] with everything wrong in the configuration, or why the hub did not start or stopped.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let path = context.config.clone().unwrap_or_else(|| PathBuf::from(FILE_NAME));
    let config = Config::load(&path).map_err(Failure::Problems)?;
    let problems = config.check_files(&path);
    if !problems.is_empty() {
        return Err(Failure::Problems(problems));
    }
    serve::run(&config, args.ready_file.as_deref(), args.accept_loss).map_err(Failure::Serve)?;
    Ok(Exit::Ok)
}

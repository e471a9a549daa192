//! `ldop raise-level`

use serde_json::json;

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, hex},
};

const EXAMPLES: &str = "\
Examples:
  ldop raise-level

The control log stands at a level, and events above it are not written (LEVEL_NOT_RAISED). After an upgrade it stays where
it was, so that the release before can be brought back; `ldop status` shows the level and the highest one this release
knows. A hub that is made anew begins at the highest. There is no way back: an older release refuses the control log from
here on. Needs the certificate of an operator.";

/// How to reach the hub.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    hub: HubArgs,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let raised = client.raise_level().await?;
    let head = raised.head.unwrap_or_default();
    match context.output {
        Output::Text => output::line(format_args!("the control log stands at level {}", raised.level)),
        Output::Json => output::json(&json!({
            "level": raised.level,
            "head": { "sequence": head.sequence, "hash": hex(&head.hash) },
        })),
    }
    Ok(Exit::Ok)
}

//! `ldop status`

use ldop_contract::{control::v1::GetStatusResponse, convert::timestamp_from_wire};
use serde_json::json;
use uuid::Uuid;

use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, hex, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop status
  ldop status --output json | jq .subscriptions

An operator sees every subscription, a system its own.";

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
    let status = client.status().await?;
    match context.output {
        Output::Text => text(&status),
        Output::Json => output::json(&to_json(&status)),
    }
    Ok(Exit::Ok)
}

fn text(status: &GetStatusResponse) {
    let head = status.head.clone().unwrap_or_default();
    let row = |name: &str, value: String| output::line(format_args!("{name:<12} {value}"));
    row("hub", hub_id(status));
    row("version", status.version.clone());
    row("started", started(status).unwrap_or_default());
    row("engine", format!("{} ({})", status.engine, status.durability));
    row("epoch", status.epoch.to_string());
    row("head", format!("{} after {} events", hex(&head.hash), head.sequence));
    let higher =
        if status.highest_level > status.level { "; `ldop raise-level` lets newer things be used" } else { "" };
    row("level", format!("{} of {}{higher}", status.level, status.highest_level));
    let counts: Vec<String> = status.resources.iter().map(|r| format!("{} {}", r.count, r.kind)).collect();
    row("resources", counts.join(", "));
    if status.subscriptions.is_empty() {
        return row("subscribers", "none".to_owned());
    }
    let mut table = output::table(&["system", "agreement", "subscription", "connected", "backlog"]);
    for s in &status.subscriptions {
        let connected = if s.connected { "yes" } else { "no" };
        table.add_row([&s.system, &s.agreement, &s.subscription, connected, &s.backlog.to_string()]);
    }
    output::line(table);
}

fn to_json(status: &GetStatusResponse) -> serde_json::Value {
    let head = status.head.clone().unwrap_or_default();
    let resources: serde_json::Map<_, _> = status.resources.iter().map(|r| (r.kind.clone(), json!(r.count))).collect();
    json!({
        "hub_id": hub_id(status),
        "version": status.version,
        "started": started(status),
        "engine": status.engine,
        "durability": status.durability,
        "epoch": status.epoch,
        "level": status.level,
        "highest_level": status.highest_level,
        "head": { "sequence": head.sequence, "hash": hex(&head.hash) },
        "resources": resources,
        "subscriptions": status.subscriptions.iter().map(|s| json!({
            "system": s.system,
            "agreement": s.agreement,
            "subscription": s.subscription,
            "connected": s.connected,
            "backlog": s.backlog,
        })).collect::<Vec<_>>(),
    })
}

fn hub_id(status: &GetStatusResponse) -> String {
    Uuid::from_slice(&status.hub_id).map_or_else(|_| hex(&status.hub_id), |id| id.to_string())
}

fn started(status: &GetStatusResponse) -> Option<String> {
    status.started_time.as_ref().and_then(timestamp_from_wire).map(|time| local_time(time.0))
}

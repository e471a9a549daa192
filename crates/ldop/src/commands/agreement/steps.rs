//! `ldop agreement approve`, `refuse`, `start-testing`, `go-live`, `suspend`, `resume`, `end`, `review`, `history`

use ldop_contract::catalog::v1::{
    AgreementAction, AgreementOverview, AgreementParty, AgreementTransition, GetAgreementStandingRequest,
    MoveAgreementRequest,
};
use serde_json::{Value, json};

use super::list::word;
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output, local_time},
};

/// Which agreement.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct StepArgs {
    /// Id of the agreement.
    #[arg(value_name = "AGREEMENT")]
    agreement: String,
    /// Why; up to 2,000 bytes.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// The version that is meant: refused when another one stands there meanwhile [default: whichever does].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    #[command(flatten)]
    hub: HubArgs,
}

/// Which agreement, and why.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub struct ReasonedArgs {
    /// Id of the agreement.
    #[arg(value_name = "AGREEMENT")]
    agreement: String,
    /// Why; 1-2,000 bytes. Stands in the history for all to read.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The version that is meant: refused when another one stands there meanwhile [default: whichever does].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    #[command(flatten)]
    hub: HubArgs,
}

impl From<ReasonedArgs> for StepArgs {
    fn from(args: ReasonedArgs) -> Self {
        let ReasonedArgs { agreement, reason, version, hub } = args;
        Self { agreement, reason, version, hub }
    }
}

/// Whose history.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Id of the agreement.
    #[arg(value_name = "AGREEMENT")]
    agreement: String,
    #[command(flatten)]
    hub: HubArgs,
}

/// Takes a step.
pub async fn run(context: &Context, action: AgreementAction, args: StepArgs) -> Result<Exit, Failure> {
    let mut catalog = args.hub.connect(context).await?.catalog();
    let transition = AgreementTransition {
        agreement: args.agreement,
        action: action.into(),
        reason: args.reason,
        version: args.version.unwrap_or_default(),
    };
    let moved = catalog.move_agreement(MoveAgreementRequest { transition: Some(transition) }).await;
    let moved = moved.map_err(|status| Failure::Client(status.into()))?.into_inner();
    let overview = moved.overview.unwrap_or_default();
    match context.output {
        Output::Text => {
            for (what, version, state) in standings(&overview) {
                output::line(format_args!("{}: version {version}, {what}: {state}", overview.id));
            }
            let awaited: Vec<String> = awaited(&overview);
            if !awaited.is_empty() {
                output::line(format_args!("approvals that are missing: {}", awaited.join(", ")));
            }
        }
        Output::Json => output::json(&told(&overview)),
    }
    Ok(Exit::Ok)
}

/// Tells the steps that were taken.
pub async fn history(context: &Context, args: &HistoryArgs) -> Result<Exit, Failure> {
    let mut catalog = args.hub.connect(context).await?.catalog();
    let found = catalog.get_agreement_standing(GetAgreementStandingRequest { id: args.agreement.clone() }).await;
    let found = found.map_err(|status| Failure::Client(status.into()))?.into_inner();
    let overview = found.overview.unwrap_or_default();
    let steps = overview.status.as_ref().map(|status| status.history.clone()).unwrap_or_default();
    match context.output {
        Output::Text => {
            let mut table = output::table(&["time", "v", "step", "for", "state", "by", "reason"]);
            for step in &steps {
                let party = match step.party() {
                    AgreementParty::Unspecified => String::new(),
                    party => word(party.as_str_name(), "AGREEMENT_PARTY_"),
                };
                table.add_row([
                    local_time(step.time_ms),
                    step.version.to_string(),
                    word(step.action().as_str_name(), "AGREEMENT_ACTION_"),
                    party,
                    word(step.state().as_str_name(), "AGREEMENT_STATE_"),
                    step.author.clone(),
                    step.reason.clone(),
                ]);
            }
            output::line(table);
            if steps.is_empty() {
                output::line("no steps: live as it stands, as agreements are that were registered without approvals");
            }
        }
        Output::Json => output::json(&told(&overview)),
    }
    Ok(Exit::Ok)
}

fn standings(overview: &AgreementOverview) -> Vec<(&'static str, u32, String)> {
    let Some(status) = &overview.status else {
        let in_force = overview.in_force.as_ref().map(|agreement| agreement.version);
        return in_force.map(|version| ("in_force", version, "live".to_owned())).into_iter().collect();
    };
    let each = [("in_force", &status.in_force), ("waiting", &status.waiting)];
    let told = each.into_iter().filter_map(|(what, standing)| Some((what, standing.as_ref()?)));
    let state = |name: &str| word(name, "AGREEMENT_STATE_");
    told.map(|(what, standing)| (what, standing.version, state(standing.state().as_str_name()))).collect()
}

fn awaited(overview: &AgreementOverview) -> Vec<String> {
    overview.awaited().map(|party| word(party.as_str_name(), "AGREEMENT_PARTY_")).collect()
}

fn told(overview: &AgreementOverview) -> Value {
    let steps = overview.status.iter().flat_map(|status| &status.history);
    let steps: Vec<Value> = steps
        .map(|step| {
            json!({
                "version": step.version,
                "step": word(step.action().as_str_name(), "AGREEMENT_ACTION_"),
                "party": (step.party() != AgreementParty::Unspecified)
                    .then(|| word(step.party().as_str_name(), "AGREEMENT_PARTY_")),
                "state": word(step.state().as_str_name(), "AGREEMENT_STATE_"),
                "author": step.author,
                "time": local_time(step.time_ms),
                "reason": step.reason,
            })
        })
        .collect();
    let standings = standings(overview).into_iter();
    let standings: serde_json::Map<String, Value> = standings
        .map(|(what, version, state)| (what.to_owned(), json!({ "version": version, "state": state })))
        .collect();
    json!({ "agreement": overview.id, "standing": standings, "awaited": awaited(overview), "history": steps })
}

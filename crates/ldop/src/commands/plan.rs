//! `ldop plan`

use std::path::PathBuf;

use ldop_client::Client;
use ldop_contract::{
    control::v1::{Change, ChangeEffect, ChangeResult, change::Resource},
    registry::v1::{ApprovalRule, CheckCompatibilityRequest, Schema},
};
use ldop_definitions::{References, bundled, reading::Problem};
use ldop_types::Reason;
use serde_json::json;

use super::{
    apply::{self, Located},
    schema::{
        differences::{self, Difference},
        words::plain,
    },
};
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted, problem_json},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop plan schemas                       what `ldop apply schemas` would change
  ldop plan my-schemas --partial          a part whose dictionary and catalogue stand at the hub
  ldop plan schemas --output json         for a pipeline: exit code 1 when the hub would refuse

Changes nothing. Tells which resources would be created or changed; how each changed schema differs from what is
registered, and whether that is compatible; which datasets rest on it; and which new versions wait for approval, by an
operator other than the one who applies. Needs the certificate of an operator.";

/// What to plan.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folders of definitions, taken together.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Definitions may refer to others that stand at the hub.
    #[arg(long)]
    partial: bool,
    /// Shows resources that stand as given already, too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// What would happen.
#[derive(Default)]
struct Plan {
    results: Vec<ChangeResult>,
    problems: Vec<Problem>,
    schemas: Vec<SchemaPlan>,
    /// In how many change sets it would be applied.
    change_sets: usize,
}

/// What would happen to a schema.
struct SchemaPlan {
    name: String,
    is_compatible: bool,
    mode: String,
    policy: String,
    differences: Vec<Difference>,
    /// Datasets of the folders that rest on it.
    datasets: Vec<String>,
    waits_for_approval: bool,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let references = if args.partial { References::Elsewhere } else { References::Within };
    let loaded = ldop_definitions::load(&args.dirs, references).map_err(Failure::Problems)?;
    let changes: Vec<Change> = loaded.changes.iter().map(|(_, change)| change.clone()).collect();
    let sets = apply::split(loaded.changes).map_err(Failure::Problems)?;
    if sets.is_empty() {
        return Err(Failure::Usage("there are no definitions in the folder".to_owned()));
    }
    let client = args.hub.connect(context).await?;
    let mut plan = Plan { change_sets: sets.len(), ..Plan::default() };
    judge(&client, sets.concat(), &mut plan).await?;
    for schema in changes.iter().filter_map(schema_of) {
        let stands = plan
            .results
            .iter()
            .any(|r| r.kind == "schema" && r.id == schema.name && r.effect() == ChangeEffect::Unchanged);
        if !stands && let Some(found) = compare(&client, schema, &changes).await? {
            // Where the hub refuses, it does not say which schemas stand as they are: those without differences do.
            if plan.problems.is_empty() || !found.is_compatible || !found.differences.is_empty() {
                plan.schemas.push(found);
            }
        }
    }
    let would_stand = plan.problems.is_empty() && plan.schemas.iter().all(|schema| schema.is_compatible);
    tell(context.output, &plan, args.all);
    Ok(if would_stand { Exit::Ok } else { Exit::Refused })
}

/// Asks what the hub would do with the set.
async fn judge(client: &Client, set: Located, plan: &mut Plan) -> Result<(), Failure> {
    match apply::apply(client, set, &[], true).await {
        Ok(applied) => plan.results = applied.into_results(),
        Err(Failure::Refused(problems)) => plan.problems = problems,
        Err(other) => return Err(other),
    }
    Ok(())
}

fn schema_of(change: &Change) -> Option<&Schema> {
    match &change.resource {
        Some(Resource::Schema(schema)) => Some(schema),
        _ => None,
    }
}

/// Compares a schema with what is registered. None where the hub cannot, because the text is no schema there: that is
/// among the problems already.
async fn compare(client: &Client, schema: &Schema, changes: &[Change]) -> Result<Option<SchemaPlan>, Failure> {
    let name = schema.name.clone();
    let in_force = client.subject_settings(&name).await?.in_force.unwrap_or_default();
    // What it refers to may be new as well.
    let (text, references) = bundled(schema, changes);
    let request =
        CheckCompatibilityRequest { name: name.clone(), text, references, ..CheckCompatibilityRequest::default() };
    let verdict = match client.check_compatibility(&request).await {
        Ok(verdict) => verdict,
        Err(error) if error.reason() == Some(Reason::DefinitionInvalid) => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    let rests = |change: &Change| match &change.resource {
        Some(Resource::Dataset(dataset)) if dataset.schema == name => Some(dataset.id.clone()),
        _ => None,
    };
    Ok(Some(SchemaPlan {
        is_compatible: verdict.is_compatible,
        mode: plain(in_force.compatibility().as_str_name(), "COMPATIBILITY_MODE_").to_owned(),
        policy: plain(in_force.policy().as_str_name(), "COMPATIBILITY_POLICY_").to_owned(),
        differences: verdict.differences.into_iter().map(Difference::from).collect(),
        datasets: changes.iter().filter_map(rests).collect(),
        waits_for_approval: in_force.approval() == ApprovalRule::Required,
        name,
    }))
}

fn tell(output: Output, plan: &Plan, all: bool) {
    match output {
        Output::Text => text(plan, all),
        Output::Json => output::json(&json!({
            "ok": plan.problems.is_empty() && plan.schemas.iter().all(|schema| schema.is_compatible),
            "changes": plan.results.iter().filter(|r| all || r.effect() != ChangeEffect::Unchanged).map(|result| json!({
                "kind": result.kind,
                "id": result.id,
                "version": result.version,
                "effect": apply::word(result.effect()),
            })).collect::<Vec<_>>(),
            "schemas": plan.schemas.iter().map(|schema| json!({
                "name": schema.name,
                "compatible": schema.is_compatible,
                "mode": schema.mode,
                "policy": schema.policy,
                "differences": schema.differences.iter().map(Difference::to_json).collect::<Vec<_>>(),
                "datasets": schema.datasets,
                "waits_for_approval": schema.waits_for_approval,
            })).collect::<Vec<_>>(),
            "problems": plan.problems.iter().map(problem_json).collect::<Vec<_>>(),
            "change_sets": plan.change_sets,
        })),
    }
}

fn text(plan: &Plan, all: bool) {
    apply::table(&plan.results, all);
    for schema in &plan.schemas {
        let SchemaPlan { name, mode, policy, datasets, .. } = schema;
        if !schema.differences.is_empty() {
            let verdict = if schema.is_compatible { "compatible" } else { "NOT compatible" };
            output::line(format_args!("schema {name}: {verdict} with what is registered ({mode}, {policy})"));
            differences::table(&schema.differences);
        }
        if !datasets.is_empty() && !schema.differences.is_empty() {
            output::line(format_args!("schema {name}: datasets that rest on it: {}", datasets.join(", ")));
        }
        if schema.waits_for_approval {
            output::line(format_args!(
                "schema {name}: the new version waits for approval, by an operator other than the one who applies"
            ));
        }
    }
    for problem in &plan.problems {
        output::line(problem);
    }
    if plan.change_sets > 1 {
        output::line(format_args!("judged whole; would be applied in {} change sets", plan.change_sets));
    }
    let count = |effect: ChangeEffect| plan.results.iter().filter(|result| result.effect() == effect).count();
    if plan.problems.is_empty() {
        let (created, changed) = (count(ChangeEffect::Created), count(ChangeEffect::Changed));
        let unchanged = count(ChangeEffect::Unchanged);
        output::line(format_args!("{created} would be created, {changed} would be changed, {unchanged} unchanged"));
    } else {
        output::line(format_args!("the hub would refuse: {}", counted(plan.problems.len(), "problem")));
    }
}

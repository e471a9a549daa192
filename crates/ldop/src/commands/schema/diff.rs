//! `ldop schema diff`

use std::path::{Path, PathBuf};

use ldop_contract::registry::v1::{CheckCompatibilityRequest, SubjectSettings};
use ldop_definitions::diff::{CompatibilityMode, CompatibilityPolicy, bundled, diff};
use serde_json::json;

use super::{differences, differences::Difference, words};
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema diff old.json new.json                      may new.json follow old.json? BACKWARD, STRICT
  ldop schema diff old.json new.json --mode FULL --policy LENIENT
  ldop schema diff --registered commune commune.schema.json          with what the hub has, as the subject is set
  ldop schema diff --registered commune commune.schema.json --version 2 --mode FORWARD

Every difference is told, compatible ones too: which way it counts, where it stands, its kind (docs/compatibility.md),
whether it is COMPATIBLE, INCOMPATIBLE or UNDECIDED, and a sentence. Two files are compared without a hub.
Exit code 1 when the new schema may not follow: \"compatible\" is proven for every document, or not said.";

/// What to compare.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_version_flag = true)]
#[command(
    override_usage = "ldop schema diff [OPTIONS] OLD NEW\n       ldop schema diff [OPTIONS] --registered NAME FILE"
)]
pub struct Args {
    /// The earlier schema and the new one; with --registered the new one alone.
    #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
    files: Vec<PathBuf>,
    /// Compares with the schema the hub has under this name.
    #[arg(long, value_name = "NAME")]
    registered: Option<String>,
    /// Version to compare with [default: the ones the mode asks for].
    #[arg(long, value_name = "N", requires = "registered", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// Compatibility mode [default: BACKWARD; with --registered as the hub has it set].
    #[arg(long, value_name = "MODE", value_parser = words::compatibility)]
    mode: Option<CompatibilityMode>,
    /// How open content is judged, STRICT or LENIENT [default: STRICT; with --registered as the hub has it set].
    #[arg(long, value_name = "POLICY", value_parser = words::policy)]
    policy: Option<CompatibilityPolicy>,
    #[command(flatten)]
    hub: HubArgs,
}

/// The answer.
struct Answer {
    is_compatible: bool,
    mode: String,
    policy: String,
    differences: Vec<Difference>,
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let answer = match (&args.registered, args.files.as_slice()) {
        (None, [old, new]) => {
            let mode = args.mode.unwrap_or(CompatibilityMode::Backward);
            let policy = args.policy.unwrap_or(CompatibilityPolicy::Strict);
            let verdict = diff(old, new, mode, policy).map_err(Failure::Problems)?;
            Answer {
                is_compatible: verdict.is_compatible,
                mode: mode.as_str().to_owned(),
                policy: policy.as_str().to_owned(),
                differences: verdict.differences.into_iter().map(Difference::from).collect(),
            }
        }
        (Some(name), [file]) => registered(context, &args, name, file).await?,
        (None, _) => return Err(Failure::Usage("name two files, or one file and --registered NAME".to_owned())),
        (Some(_), _) => return Err(Failure::Usage("--registered NAME is compared with one file".to_owned())),
    };
    tell(context.output, &answer);
    Ok(if answer.is_compatible { Exit::Ok } else { Exit::Refused })
}

async fn registered(context: &Context, args: &Args, name: &str, file: &Path) -> Result<Answer, Failure> {
    let text = bundled(file).map_err(Failure::Problems)?;
    let client = args.hub.connect(context).await?;
    let settings: SubjectSettings = client.subject_settings(name).await?.in_force.unwrap_or_default();
    let mode = args.mode.map_or(settings.compatibility(), |mode| words::wire_mode(Some(mode)));
    let policy = args.policy.map_or(settings.policy(), |policy| words::wire_policy(Some(policy)));
    let request = CheckCompatibilityRequest {
        name: name.to_owned(),
        text,
        references: Vec::new(),
        version: args.version.unwrap_or(0),
        mode: mode.into(),
        policy: policy.into(),
    };
    let response = client.check_compatibility(&request).await?;
    Ok(Answer {
        is_compatible: response.is_compatible,
        mode: words::plain(mode.as_str_name(), "COMPATIBILITY_MODE_").to_owned(),
        policy: words::plain(policy.as_str_name(), "COMPATIBILITY_POLICY_").to_owned(),
        differences: response.differences.into_iter().map(Difference::from).collect(),
    })
}

fn tell(output: Output, answer: &Answer) {
    match output {
        Output::Text => {
            differences::table(&answer.differences);
            let verdict = if answer.is_compatible { "compatible" } else { "not compatible" };
            let count = counted(answer.differences.len(), "difference");
            let in_the_way = answer.differences.iter().filter(|difference| difference.is_in_the_way()).count();
            let (mode, policy) = (&answer.mode, &answer.policy);
            output::line(format_args!("{verdict} ({mode}, {policy}): {count}, {in_the_way} in the way"));
        }
        Output::Json => output::json(&json!({
            "compatible": answer.is_compatible,
            "mode": answer.mode,
            "policy": answer.policy,
            "differences": answer.differences.iter().map(Difference::to_json).collect::<Vec<_>>(),
        })),
    }
}

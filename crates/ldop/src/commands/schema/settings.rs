//! `ldop schema settings`

use clap::ValueEnum;
use ldop_contract::registry::v1::{ApprovalRule, RegistryMode, SubjectSettings};
use ldop_definitions::diff::{CompatibilityMode, CompatibilityPolicy};
use serde_json::{Value, json};

use super::words::{self, plain, wire_mode, wire_policy};
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema settings                                    those of all schemas
  ldop schema settings commune                            its own, and those in force
  ldop schema settings commune --compatibility FULL_TRANSITIVE --approval required
  ldop schema settings commune --mode inherit             as set for all again
  ldop schema settings --policy LENIENT                   for all that have none of their own

What is not named stays as it is. Changing needs the certificate of an operator.";

/// Whose settings, and what to change.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the schema [default: the settings of all].
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Which changes are taken: NONE, BACKWARD, FORWARD, FULL, BACKWARD_TRANSITIVE, FORWARD_TRANSITIVE,
    /// FULL_TRANSITIVE, or inherit.
    #[arg(long, value_name = "MODE", value_parser = |word: &str| or_inherit(word, words::compatibility))]
    compatibility: Option<Set<CompatibilityMode>>,
    /// How open content is judged: STRICT, LENIENT, or inherit.
    #[arg(long, value_name = "POLICY", value_parser = |word: &str| or_inherit(word, words::policy))]
    policy: Option<Set<CompatibilityPolicy>>,
    /// Whether changes are taken.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Whether a new version waits for approval by someone other than its author.
    #[arg(long, value_enum)]
    approval: Option<Approval>,
    #[command(flatten)]
    hub: HubArgs,
}

/// A value, or that of all.
#[derive(Debug, Clone, Copy)]
enum Set<T> {
    To(T),
    Inherit,
}

impl<T> Set<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::To(value) => Some(value),
            Self::Inherit => None,
        }
    }
}

fn or_inherit<T>(word: &str, parse: fn(&str) -> Result<T, String>) -> Result<Set<T>, String> {
    if word == "inherit" { Ok(Set::Inherit) } else { parse(word).map(Set::To).map_err(|text| text + ", inherit") }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Takes changes.
    Readwrite,
    /// Takes none.
    Readonly,
    /// Takes schemas with the ids and versions they have elsewhere, unchecked for compatibility.
    Import,
    /// As set for all.
    Inherit,
}

impl From<Mode> for RegistryMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Readwrite => Self::Readwrite,
            Mode::Readonly => Self::Readonly,
            Mode::Import => Self::Import,
            Mode::Inherit => Self::Unspecified,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Approval {
    /// A new version is a draft until someone else approves it.
    Required,
    /// A new version is approved at once.
    NotRequired,
    /// As set for all.
    Inherit,
}

impl From<Approval> for ApprovalRule {
    fn from(approval: Approval) -> Self {
        match approval {
            Approval::Required => Self::Required,
            Approval::NotRequired => Self::NotRequired,
            Approval::Inherit => Self::Unspecified,
        }
    }
}

/// Runs the command.
pub async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let subject = args.name.unwrap_or_default();
    let mut answer = client.subject_settings(&subject).await?;
    let mut own = answer.own.take().unwrap_or_default();
    let before = own.clone();
    if let Some(set) = args.compatibility {
        own.set_compatibility(wire_mode(set.value()));
    }
    if let Some(set) = args.policy {
        own.set_policy(wire_policy(set.value()));
    }
    if let Some(mode) = args.mode {
        own.set_mode(mode.into());
    }
    if let Some(approval) = args.approval {
        own.set_approval(approval.into());
    }
    if own != before {
        own.subject.clone_from(&subject);
        client.set_subject_settings(own).await?;
        answer = client.subject_settings(&subject).await?;
        own = answer.own.take().unwrap_or_default();
    }
    tell(context.output, &subject, &own, &answer.in_force.unwrap_or_default());
    Ok(Exit::Ok)
}

/// The words of settings by name; none for what is inherited.
fn rows(settings: &SubjectSettings) -> [(&'static str, Option<String>); 4] {
    let word = |name: &str, prefix: &str| {
        let word = plain(name, prefix);
        (word != "UNSPECIFIED").then(|| word.to_owned())
    };
    [
        ("compatibility", word(settings.compatibility().as_str_name(), "COMPATIBILITY_MODE_")),
        ("policy", word(settings.policy().as_str_name(), "COMPATIBILITY_POLICY_")),
        ("mode", word(settings.mode().as_str_name(), "REGISTRY_MODE_")),
        ("approval", word(settings.approval().as_str_name(), "APPROVAL_RULE_")),
    ]
}

fn tell(output: Output, subject: &str, own: &SubjectSettings, in_force: &SubjectSettings) {
    match output {
        Output::Text => {
            let mut table = output::table(&["setting", "own", "in force"]);
            for ((name, own), (_, in_force)) in rows(own).into_iter().zip(rows(in_force)) {
                table.add_row([name, own.as_deref().unwrap_or("inherited"), in_force.as_deref().unwrap_or("")]);
            }
            output::line(table);
        }
        Output::Json => {
            let object = |settings: &SubjectSettings| -> Value {
                rows(settings).into_iter().map(|(name, word)| (name.to_owned(), json!(word))).collect()
            };
            output::json(&json!({
                "name": if subject.is_empty() { None } else { Some(subject) },
                "version": own.version,
                "own": object(own),
                "in_force": object(in_force),
            }));
        }
    }
}

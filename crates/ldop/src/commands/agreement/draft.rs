//! `ldop agreement new` and `ldop agreement check`: agreements as files, without a hub.

use std::{fmt::Write as _, fs, path::PathBuf};

use ldop_control::ControlState;
use ldop_definitions::{References, reading::Problem};
use ldop_dictionary::sharing::{LEGAL_BASES, PURPOSES};
use ldop_types::{Date, Sensitivity, Stage, SystemId, TimestampMs};
use serde_json::json;

use crate::{
    connect::Context,
    failure::{Exit, Failure, counted, problem_json},
    output::{self, Output},
};

const NEW: &str = "\
Examples:
  ldop agreement new communes-to-health --dataset communes --consumer so-y-te/his --definitions schemas \\
    > schemas/agreements/communes-to-health.toml

Every field of the dataset stands in the draft with how personal it is; take out what is not needed. Nothing is registered.";

/// What to draft.
#[derive(Debug, clap::Args)]
#[command(after_help = NEW)]
pub struct NewArgs {
    /// Id of the agreement.
    #[arg(value_name = "AGREEMENT")]
    agreement: String,
    /// Dataset to share.
    #[arg(long)]
    dataset: String,
    /// System that is to receive it, <agency>/<system>.
    #[arg(long, value_name = "AGENCY/SYSTEM", value_parser = SystemId::parse)]
    consumer: SystemId,
    /// Stage.
    #[arg(long, default_value = "testing", value_parser = ["testing", "live"])]
    stage: String,
    /// Folder with the definitions; may be named several times.
    #[arg(long, value_name = "DIR", required = true)]
    definitions: Vec<PathBuf>,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Files or folders with agreements.
    #[arg(value_name = "FILE|DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Folder with the definitions they rest on, and with them; may be named several times [default: the folders that
    /// were named].
    #[arg(long, value_name = "DIR")]
    definitions: Vec<PathBuf>,
}

/// Writes a draft to standard output.
pub fn new(args: &NewArgs) -> Result<Exit, Failure> {
    let loaded = ldop_definitions::load(&args.definitions, References::Within).map_err(Failure::Problems)?;
    let state = ControlState::standing(loaded.changes.into_iter().map(|(_, change)| change))
        .map_err(|error| Failure::Usage(format!("the folders do not fit together: {error}")))?;
    let found = state.catalog.datasets.iter().find(|(name, _)| name.as_str() == args.dataset);
    let Some((_, dataset)) = found else {
        let known: Vec<&str> = state.catalog.datasets.keys().map(ldop_types::DatasetName::as_str).collect();
        let text = format!("the definitions have no dataset {:?}; they have {}", args.dataset, known.join(", "));
        return Err(Failure::Usage(text));
    };
    if state.catalog.agreements.keys().any(|id| id.as_str() == args.agreement) {
        return Err(Failure::Usage(format!("the definitions have an agreement {:?} already", args.agreement)));
    }
    let dataset = &dataset.value;
    let schema = state.schema(dataset.schema.as_str(), Stage::Testing).and_then(|schema| schema.get().ok());
    let schema = schema.ok_or_else(|| Failure::Internal("the definitions do not hold together".to_owned()))?;
    let mut most = Sensitivity::None;
    let mut fields = String::new();
    for field in schema.top_level_fields() {
        most = most.max(field.sensitivity);
        let told =
            if field.sensitivity.is_personal() { format!(" # {}", field.sensitivity.as_str()) } else { String::new() };
        let _ = writeln!(fields, "  {},{told}", toml::Value::from(field.name.as_str()));
    }
    let (id, consumer) = (toml::Value::from(args.agreement.as_str()), toml::Value::from(args.consumer.as_str()));
    let (provider, name) = (&dataset.owning_agency, &dataset.name);
    output::line(format_args!("# {}", dataset.definition.name_vi.lines().next().unwrap_or_default()));
    output::line("[[agreement]]");
    output::line(format_args!("id = {id}\nprovider = \"{provider}\"\nconsumer = {consumer}"));
    output::line(format_args!("dataset = \"{name}\"\nstage = \"{}\"", args.stage));
    output::line("# Why, in Vietnamese; it must stand.\npurpose_vi = \"\"\npurpose_en = \"\"");
    let on = TimestampMs::now().date_in_vietnam();
    codes(&state, PURPOSES, "purpose", "", on);
    codes(&state, LEGAL_BASES, "legal_bases", "[]", on);
    if most == Sensitivity::SensitivePersonal && state.dictionary.code_list(LEGAL_BASES).is_none() {
        output::line("# Document and article; it must stand while a field is sensitive_personal.");
    }
    output::line("legal_basis = \"\"");
    output::line("# Take out what is not needed. Personal fields need the approval of a data steward.");
    output::line(format_args!("granted_fields = [\n{fields}]"));
    output::line(format_args!("modes = [\"subscribe\"]"));
    output::line("# valid_from = \"2026-01-01T00:00:00+07:00\"\n# valid_until = \"2027-01-01T00:00:00+07:00\"");
    output::line(
        "# quotas = { calls_per_second = 10, records_per_day = 10000, allowed_hours = [\"mon-fri 07:30-17:30\"] }",
    );
    output::line(
        "# masks = [{ field = \"...\", kind = \"partly_hidden\", shown_last = 4 }]\n# row_condition = 'this.... == \"...\"'",
    );
    Ok(Exit::Ok)
}

/// A key that takes codes of a list, with those that are valid; nothing where the dictionary has no such list.
fn codes(state: &ControlState, list: &str, key: &str, empty: &str, on: Date) {
    let Some(list) = state.dictionary.code_list(list) else { return };
    output::line(format_args!("# Of the code list {}; it must stand:", list.id()));
    for code in list.codes() {
        if let Some(row) = list.entry(code, on) {
            let label = row.label_vi.lines().next().unwrap_or_default();
            output::line(format_args!("#   {}  {label}", toml::Value::from(code)));
        }
    }
    let empty = if empty.is_empty() { "\"\"" } else { empty };
    output::line(format_args!("{key} = {empty}"));
}

/// Checks what is said of agreements.
pub fn check(context: &Context, args: &CheckArgs) -> Result<Exit, Failure> {
    let canonical = |path: &PathBuf| fs::canonicalize(path).map_err(Failure::file("read", path));
    let paths = args.paths.iter().map(canonical).collect::<Result<Vec<_>, _>>()?;
    let folders: Vec<PathBuf> = if args.definitions.is_empty() {
        args.paths.iter().filter(|path| path.is_dir()).cloned().collect()
    } else {
        args.definitions.clone()
    };
    if folders.is_empty() {
        return Err(Failure::Usage("name the folder of the definitions with --definitions".to_owned()));
    }
    let found = ldop_definitions::load(&folders, References::Within).err().unwrap_or_default();
    let is_asked = |problem: &Problem| {
        let file = fs::canonicalize(&problem.place.file).ok();
        let stands_there = file.is_some_and(|file| paths.iter().any(|path| file.starts_with(path)));
        stands_there && (problem.key == "agreement" || problem.key.starts_with("agreement."))
    };
    let (asked, others): (Vec<Problem>, Vec<Problem>) = found.into_iter().partition(is_asked);
    match context.output {
        Output::Text => {
            asked.iter().for_each(output::line);
            let told =
                if asked.is_empty() { "the agreements are right".to_owned() } else { counted(asked.len(), "problem") };
            output::line(told);
            if !others.is_empty() {
                let others = counted(others.len(), "problem");
                output::line(format_args!("{others} elsewhere, which may hide more: ldop check"));
            }
        }
        Output::Json => output::json(&json!({
            "ok": asked.is_empty(),
            "problems": asked.iter().map(problem_json).collect::<Vec<_>>(),
            "elsewhere": others.len(),
        })),
    }
    Ok(if asked.is_empty() && others.is_empty() { Exit::Ok } else { Exit::Configuration })
}

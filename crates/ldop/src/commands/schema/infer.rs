//! `ldop schema infer`

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ldop_definitions::infer::{Candidate, Format, Inferred, InferredField, MAX_RECORDS, infer};
use serde_json::{Value, json};

use super::new::write;
use crate::{
    commands::check::definition_dirs,
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema infer residents.csv               the draft on standard output, the candidates on standard error
  ldop schema infer residents.jsonl --output json
  ldop schema infer residents.csv --write --name resident

Elements are proposed for their names (Vietnamese, English, technical, synonyms) and for the values that pass their check,
each with a score out of 100 and the reason. A field is bound where one reaches 60 and no other as much; the rest is left for
you, and `ldop check` names it. Values of the records are never shown. Reads at most 10,000 records.";

/// What to infer from.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Sample records: JSON lines, or CSV with a header.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder with the dictionary; may be given several times [default: schemas, beside the configuration].
    #[arg(long, value_name = "DIR")]
    schemas: Vec<PathBuf>,
    /// Name of the schema [default: that of the file].
    #[arg(long)]
    name: Option<String>,
    /// Form of the sample [default: by the name, .csv or else JSON lines].
    #[arg(long, value_enum)]
    format: Option<FormatWord>,
    /// Between the values of CSV.
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Writes the draft into the folder instead of standard output.
    #[arg(long)]
    write: bool,
    /// Writes over a schema that is there.
    #[arg(long, requires = "write")]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatWord {
    /// One JSON object on each line.
    Jsonl,
    /// CSV with a header.
    Csv,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => Err("expected one ASCII character".to_owned()),
    }
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let dirs = definition_dirs(context, &args.schemas)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.file));
    let checked = ldop_types::SchemaName::parse(&name);
    if checked.is_err() {
        let expected = ldop_types::SchemaName::EXPECTED;
        return Err(Failure::Usage(format!("{name:?} is not a schema name: give --name; expected {expected}")));
    }
    let is_csv = args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let format = match args.format.unwrap_or(if is_csv { FormatWord::Csv } else { FormatWord::Jsonl }) {
        FormatWord::Csv => Format::Csv { delimiter: args.delimiter },
        FormatWord::Jsonl => Format::JsonLines,
    };
    let dictionary = ldop_definitions::dictionary(&dirs).map_err(Failure::Problems)?;
    let inferred = infer(&args.file, format, &name, &dictionary).map_err(Failure::Problems)?;
    let written = if args.write { Some(write(&dirs[0], &name, &inferred.schema, args.force)?) } else { None };
    match context.output {
        Output::Text => {
            text(&inferred);
            match &written {
                Some(file) => output::line(format_args!("wrote {}", file.display())),
                None => output::line(inferred.schema.trim_end()),
            }
        }
        Output::Json => output::json(&json!({
            "records": inferred.records,
            "fields": inferred.fields.iter().map(to_json).collect::<Vec<_>>(),
            "unnamed": inferred.unnamed,
            "schema": serde_json::from_str::<Value>(&inferred.schema).unwrap_or_default(),
            "file": written,
        })),
    }
    Ok(Exit::Ok)
}

/// The name of a file as a schema may be called.
fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn text(inferred: &Inferred) {
    let mut table = output::table(&["field", "types", "in", "element", "score", "because"]);
    for field in &inferred.fields {
        let seen = format!("{} of {}", field.present, field.of);
        let mut cells = [field.path.clone(), field.types.join(", "), seen];
        if field.candidates.is_empty() {
            let [path, types, seen] = cells;
            table.add_row([&path, &types, &seen, "none fits", "", ""]);
            continue;
        }
        for Candidate { element, score, reason } in &field.candidates {
            let chosen = if field.bound.as_ref() == Some(element) { "*" } else { "" };
            let [path, types, seen] = std::mem::take(&mut cells);
            let because = format!("{}\n{}", reason.vi, reason.en);
            table.add_row([path, types, seen, format!("{element} {chosen}"), score.to_string(), because]);
        }
    }
    eprintln!("{table}");
    let bound = inferred.fields.iter().filter(|field| field.bound.is_some()).count();
    let fields = counted(inferred.fields.len(), "field");
    eprintln!("{}, {fields}, {bound} bound (*)", counted(inferred.records, "record"));
    if inferred.records == MAX_RECORDS {
        eprintln!("read no further than {MAX_RECORDS} records");
    }
    if inferred.unnamed > 0 {
        eprintln!("{} left out: no names of fields", counted(inferred.unnamed, "member"));
    }
}

fn to_json(field: &InferredField) -> Value {
    json!({
        "field": field.path,
        "types": field.types,
        "present": field.present,
        "of": field.of,
        "element": field.bound.as_ref().map(|element| element.as_str()),
        "candidates": field.candidates.iter().map(|candidate| json!({
            "element": candidate.element.as_str(),
            "score": candidate.score,
            "reason": { "vi": candidate.reason.vi, "en": candidate.reason.en },
        })).collect::<Vec<_>>(),
    })
}

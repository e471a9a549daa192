//! `ldop schema new`

use std::{
    fs,
    path::{Path, PathBuf},
};

use ldop_definitions::draft::{Request, draft};
use serde_json::{Value, json};

use crate::{
    commands::check::definition_dirs,
    connect::Context,
    failure::{Exit, Failure},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop schema new --name resident --field personal_id=person.personal-id --field full_name=person.full-name \\
      --required full_name --key personal_id
  ldop schema new --name visit --field patient.full_name=person.full-name --field dates[]=reference.effective-on
  ldop schema new ... --write                   into schemas/records/<name>.schema.json

Each field is bound to an element of the dictionary. Length, pattern, codes and limits are not repeated: they hold through
the element. Content is closed. Key fields are required; name them as key_fields of the dataset too.";

/// What to write.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the schema, 1-100 chars of a-z, 0-9, '-'.
    #[arg(long)]
    name: String,
    /// Title [default: the name].
    #[arg(long, default_value = "", hide_default_value = true)]
    title: String,
    /// A field and its element; `a.b` is a field within an object, `a[]` a list. May be given several times.
    #[arg(long = "field", value_name = "FIELD=ELEMENT", required = true, value_parser = field)]
    fields: Vec<(String, String)>,
    /// Fields that must stand.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    required: Vec<String>,
    /// Key fields.
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    key: Vec<String>,
    /// Folder with the dictionary; may be given several times [default: schemas, beside the configuration].
    #[arg(long, value_name = "DIR")]
    schemas: Vec<PathBuf>,
    /// Writes the schema into the folder instead of standard output.
    #[arg(long)]
    write: bool,
    /// Writes over a schema that is there.
    #[arg(long, requires = "write")]
    force: bool,
}

fn field(text: &str) -> Result<(String, String), String> {
    let (path, element) = text.split_once('=').ok_or("expected FIELD=ELEMENT")?;
    Ok((path.to_owned(), element.to_owned()))
}

/// Runs the command.
pub fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let dirs = definition_dirs(context, &args.schemas)?;
    let dictionary = ldop_definitions::dictionary(&dirs).map_err(Failure::Problems)?;
    let request =
        Request { name: args.name, title: args.title, fields: args.fields, required: args.required, key: args.key };
    let text = draft(&request, &dictionary).map_err(|errors| {
        let sentences: Vec<String> = errors.iter().map(|error| format!("{} / {}", error.en, error.vi)).collect();
        Failure::Usage(sentences.join("\n"))
    })?;
    if args.write {
        let file = write(&dirs[0], &request.name, &text, args.force)?;
        match context.output {
            Output::Text => output::line(format_args!("wrote {}", file.display())),
            Output::Json => output::json(&json!({ "file": file, "key_fields": request.key })),
        }
    } else {
        match context.output {
            Output::Text => output::line(text.trim_end()),
            Output::Json => output::json(&serde_json::from_str::<Value>(&text).unwrap_or_default()),
        }
    }
    if !request.key.is_empty() && context.output == Output::Text {
        eprintln!("for the dataset: key_fields = {}", json!(request.key));
    }
    Ok(Exit::Ok)
}

/// Writes a schema where the others stand.
pub fn write(dir: &Path, name: &str, text: &str, force: bool) -> Result<PathBuf, Failure> {
    let records = dir.join("records");
    let file = if records.is_dir() { records } else { dir.to_owned() }.join(format!("{name}.schema.json"));
    if file.exists() && !force {
        return Err(Failure::Exists(file));
    }
    fs::write(&file, text).map_err(Failure::file("write", &file))?;
    Ok(file)
}

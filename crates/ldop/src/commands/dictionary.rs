//! `ldop dictionary`

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use ldop_contract::control::v1::change::Resource;
use ldop_definitions::{Loaded, References};
use ldop_dictionary_sheets::{
    Definitions,
    book::Book,
    columns::Sheet,
    export::{self, ExportError},
    files,
    import::{self, MAX_FILE_BYTES},
};
use serde_json::json;

use crate::{
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output},
};

const EXAMPLES: &str = "\
Examples:
  ldop dictionary export schemas --out dictionary.xlsx      a workbook; a name without .xlsx makes a folder of CSV tables
  ldop dictionary import dictionary.xlsx --out imported     definition files, after every cell was found right
  ldop dictionary import tables --out imported              the same from a folder of CSV tables
  ldop dictionary book schemas --out dictionary.html        one page to read and search, which needs no network

Works on files, without a hub. Schemas, agencies, systems, datasets and agreements are not part of a dictionary: they
stay where they are. What an import writes is looked at as a whole by `ldop check`.";

/// What to do with a dictionary.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes elements and code lists as a workbook or as CSV tables.
    Export(ExportArgs),
    /// Makes definition files of a workbook or of CSV tables; tells every bad cell by sheet, row and column.
    Import(ImportArgs),
    /// Writes the dictionary as one HTML page, with search, links and both languages.
    Book(BookArgs),
}

#[derive(Debug, clap::Args)]
struct ExportArgs {
    /// Folders with definitions, taken together.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Workbook to write (.xlsx), or folder for CSV tables.
    #[arg(long, value_name = "FILE.xlsx|DIR")]
    out: PathBuf,
    /// Writes over files that are there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct ImportArgs {
    /// Workbook (.xlsx), or folder of CSV tables.
    #[arg(value_name = "FILE.xlsx|DIR")]
    from: PathBuf,
    /// Folder for the definition files; it must not hold anything.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Uses a folder that holds something, and writes over files of the same names.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct BookArgs {
    /// Folders with definitions, taken together.
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Page to write.
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    /// Title of the page.
    #[arg(long, default_value = "Từ điển dữ liệu")]
    title: String,
    /// Writes over a file that is there.
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Export(args) => export(context, args),
        Command::Import(args) => import(context, args),
        Command::Book(args) => book(context, args),
    }
}

fn export(context: &Context, args: &ExportArgs) -> Result<Exit, Failure> {
    let definitions = definitions(load(&args.dirs)?);
    let files = if is_workbook(&args.out) {
        vec![(args.out.clone(), export::workbook(&definitions).map_err(too_much)?)]
    } else {
        let tables = export::csv_tables(&definitions).map_err(too_much)?;
        tables.into_iter().map(|(sheet, bytes)| (args.out.join(sheet.file()), bytes)).collect()
    };
    write(&files, args.force)?;
    tell(context, &definitions, &files);
    Ok(Exit::Ok)
}

fn import(context: &Context, args: &ImportArgs) -> Result<Exit, Failure> {
    let definitions = if args.from.is_dir() {
        let mut tables = Vec::new();
        for sheet in Sheet::ALL {
            let path = args.from.join(sheet.file());
            if path.exists() {
                tables.push((sheet, read(&path)?));
            }
        }
        import::csv_tables(&args.from, tables.iter().map(|(sheet, bytes)| (*sheet, bytes.as_slice())))
    } else {
        import::workbook(&args.from, &read(&args.from)?)
    }
    .map_err(Failure::Problems)?;
    let holds_something = fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
    if holds_something && !args.force {
        return Err(Failure::Exists(args.out.clone()));
    }
    let files = files::definition_files(&definitions).into_iter();
    let files: Vec<_> = files.map(|(name, bytes)| (args.out.join(name), bytes)).collect();
    write(&files, args.force)?;
    tell(context, &definitions, &files);
    if context.output == Output::Text {
        output::line(format_args!("\nNext: ldop check {}", args.out.display()));
    }
    Ok(Exit::Ok)
}

fn book(context: &Context, args: &BookArgs) -> Result<Exit, Failure> {
    let loaded = load(&args.dirs)?;
    let schemas: Vec<(String, String)> = loaded
        .changes
        .iter()
        .filter_map(|(_, change)| match &change.resource {
            Some(Resource::Schema(schema)) => Some((schema.name.clone(), schema.text.clone())),
            _ => None,
        })
        .collect();
    let definitions = definitions(loaded);
    let html = Book { title: &args.title, definitions: &definitions, schemas: &schemas }.html();
    let files = [(args.out.clone(), html.into_bytes())];
    write(&files, args.force)?;
    tell(context, &definitions, &files);
    Ok(Exit::Ok)
}

fn load(dirs: &[PathBuf]) -> Result<Loaded, Failure> {
    ldop_definitions::load(dirs, References::Elsewhere).map_err(Failure::Problems)
}

fn definitions(loaded: Loaded) -> Definitions {
    Definitions::new(loaded.elements, loaded.code_lists)
}

fn is_workbook(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xlsx"))
}

fn too_much(error: ExportError) -> Failure {
    let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
    Failure::Usage(format!("{error}{cause}"))
}

/// Reads a file, and of one that is too large no more than tells so.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let result = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    result.map(|_| bytes).map_err(Failure::file("read", path))
}

/// Writes all files, or none where one is in the way.
fn write(files: &[(PathBuf, Vec<u8>)], force: bool) -> Result<(), Failure> {
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists() && !force) {
        return Err(Failure::Exists(path.clone()));
    }
    for (path, bytes) in files {
        let folder = path.parent().map_or(Ok(()), |folder| if_named(folder, |folder| fs::create_dir_all(folder)));
        folder.and_then(|()| fs::write(path, bytes)).map_err(Failure::file("write", path))?;
    }
    Ok(())
}

/// Does something with a folder, unless it is the current one.
fn if_named(folder: &Path, act: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if folder.as_os_str().is_empty() { Ok(()) } else { act(folder) }
}

fn tell(context: &Context, definitions: &Definitions, files: &[(PathBuf, Vec<u8>)]) {
    let codes: usize = definitions.code_lists.iter().map(|list| list.codes.len()).sum();
    match context.output {
        Output::Text => {
            files.iter().for_each(|(path, _)| output::line(format_args!("wrote {}", path.display())));
            let elements = counted(definitions.elements.len(), "element");
            let lists = counted(definitions.code_lists.len(), "code list");
            output::line(format_args!("{elements}, {lists}, {}", counted(codes, "code")));
        }
        Output::Json => output::json(&json!({
            "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>(),
            "elements": definitions.elements.len(),
            "code_lists": definitions.code_lists.len(),
            "codes": codes,
        })),
    }
}

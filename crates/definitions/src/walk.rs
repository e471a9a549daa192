//! Finds the files of a folder, in an order that does not depend on the file system.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::reading::{Place, Problems};

/// Deeper than any sensible layout; stops at links that lead in circles.
const DEEPEST: usize = 16;

/// A JSON Schema of definition files, which editors complete and check them by.
const FILE_SCHEMA: &str = ".toml-schema.json";

/// The files of a folder, by what they hold.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub toml: Vec<PathBuf>,
    pub schemas: Vec<SchemaFile>,
    pub examples: Vec<ExampleFile>,
}

/// `<name>.schema.json`
#[derive(Debug)]
pub(crate) struct SchemaFile {
    pub name: String,
    pub path: PathBuf,
}

/// `<name>.accepted/*.json` or `<name>.rejected/*.json`
#[derive(Debug)]
pub(crate) struct ExampleFile {
    pub schema: String,
    /// Folder and schema file lie side by side.
    pub beside: PathBuf,
    pub is_rejected: bool,
    pub path: PathBuf,
}

/// Finds all files. What cannot be read, or lies where it means nothing, is noted.
pub(crate) fn walk(folders: &[PathBuf], problems: &Problems) -> Files {
    let mut files = Files::default();
    for folder in folders {
        visit(folder, 0, &mut files, problems);
    }
    files
}

fn visit(folder: &Path, depth: usize, files: &mut Files, problems: &Problems) {
    if depth > DEEPEST {
        return problems.note(Place::file(folder), "", "nested too deeply", format!("at most {DEEPEST} folders deep"));
    }
    for path in list(folder, problems) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            match example_folder(&name) {
                Some((schema, is_rejected)) => examples(&path, schema, is_rejected, files, problems),
                None => visit(&path, depth + 1, files, problems),
            }
        } else if name.ends_with(".toml") {
            files.toml.push(path);
        } else if let Some(schema) = name.strip_suffix(".schema.json") {
            files.schemas.push(SchemaFile { name: schema.to_owned(), path });
        } else if name.ends_with(FILE_SCHEMA) {
            // For editors; says nothing of records.
        } else if name.ends_with(".json") {
            let expected = "<schema>.schema.json, or a record in <schema>.accepted/ or <schema>.rejected/";
            problems.note(Place::file(path), "", "a JSON file that means nothing here", expected);
        }
    }
}

fn example_folder(name: &str) -> Option<(&str, bool)> {
    let accepted = name.strip_suffix(".accepted").map(|schema| (schema, false));
    accepted.or_else(|| name.strip_suffix(".rejected").map(|schema| (schema, true)))
}

fn examples(folder: &Path, schema: &str, is_rejected: bool, files: &mut Files, problems: &Problems) {
    for path in list(folder, problems) {
        if path.extension().is_some_and(|extension| extension == "json") {
            let beside = folder.parent().unwrap_or(Path::new("")).to_owned();
            files.examples.push(ExampleFile { schema: schema.to_owned(), beside, is_rejected, path });
        }
    }
}

/// What lies in a folder, by name.
fn list(folder: &Path, problems: &Problems) -> Vec<PathBuf> {
    match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => {
            let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            paths.sort();
            paths
        }
        Err(error) => {
            problems.note(Place::file(folder), "", format!("cannot be read: {error}"), "a readable folder");
            Vec::new()
        }
    }
}

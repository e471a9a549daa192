//! Schema files.

use ldop_types::SchemaName;
use serde::de::IgnoredAny;

use crate::{
    files::FileReference,
    reading::{Place, Problems, Source},
    walk::SchemaFile,
};

/// A schema's text and name.
pub(crate) struct SchemaText {
    pub name: String,
    pub source: Source,
    /// Schema files its `$ref`s name.
    pub references: Vec<FileReference>,
}

/// Reads a schema file. `None` after noting that it cannot be read or is not JSON.
pub(crate) fn read(file: &SchemaFile, problems: &Problems) -> Option<SchemaText> {
    if SchemaName::parse(&file.name).is_err() {
        let found = format!("{:?} is not a schema name", file.name);
        problems.note(Place::file(&file.path), "", found, SchemaName::EXPECTED);
    }
    let source = Source::read(&file.path).map_err(|problem| problems.push(problem)).ok()?;
    json_syntax(&source, problems).then(|| SchemaText { name: file.name.clone(), source, references: Vec::new() })
}

/// Whether the text is JSON; notes where it is not.
pub(crate) fn json_syntax(source: &Source, problems: &Problems) -> bool {
    match serde_json::from_str::<IgnoredAny>(source.text()) {
        Ok(_) => true,
        Err(error) => {
            note_json_error(source, &error, "JSON syntax: ", "", problems);
            false
        }
    }
}

/// Notes an error of serde_json at its place.
pub(crate) fn note_json_error(
    source: &Source,
    error: &serde_json::Error,
    prefix: &str,
    expected: &str,
    problems: &Problems,
) {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let place = Place { file: source.file().to_owned(), line: number(error.line()), column: number(error.column()) };
    // serde_json says the position again at the end.
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or(&text);
    problems.note(place, "", format!("{prefix}{text}"), expected);
}

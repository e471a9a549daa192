//! Reads the codes of a list from a CSV file.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use ldop_dictionary::CodeDefinition;

use crate::{
    entry::Rows,
    reading::{Place, Problems, Source, Table, suggestion},
};

/// The columns a file may have, in any order; the first two it must have.
pub(crate) const COLUMNS: [&str; 8] =
    ["code", "label_vi", "label_en", "valid_from", "valid_to", "successor", "parent", "successors"];
/// Stands between the codes of the column `successors`.
const BETWEEN: char = ';';
const NEEDED: [&str; 2] = ["code", "label_vi"];

/// Reads a file; what is wrong with it is noted with row and column. `None` when it cannot be read as a list of codes
/// at all. `table` is the code list that names it.
pub(crate) fn read(file: &Path, table: &Table<'_>, problems: &Problems) -> Option<(Vec<CodeDefinition>, Rows)> {
    let mut rows = Rows { file: file.to_owned(), lines: Vec::new(), columns: Vec::new() };
    let source = match Source::read(file) {
        Ok(source) => source,
        Err(problem) if problem.place.line == 0 => {
            table.problem("csv", format!("{} {}", file.display(), problem.found), "a CSV file beside this one");
            return None;
        }
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    // Spreadsheets put a byte order mark in front.
    let text = source.text().trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let at = |line: u64| Place { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 };
    match reader.headers() {
        Ok(headers) => rows.columns = headers.iter().map(ToOwned::to_owned).collect(),
        Err(error) => {
            problems.note(at(1), "", format!("CSV syntax: {error}"), "");
            return None;
        }
    }
    if !check_header(&rows.columns, &at(1), problems) {
        return None;
    }
    let mut codes = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                if record.len() != rows.columns.len() {
                    let found = format!("{} fields stand in this row", record.len());
                    problems.note(at(line), "", found, format!("{}, as in the header", rows.columns.len()));
                }
                rows.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
                codes.push(code(&record, &rows.columns));
            }
            Err(error) => {
                let line = match error.kind() {
                    ErrorKind::Utf8 { pos, .. } | ErrorKind::UnequalLengths { pos, .. } => pos.as_ref(),
                    _ => None,
                };
                problems.note(at(line.map_or(0, csv::Position::line)), "", format!("CSV syntax: {error}"), "");
            }
        }
    }
    Some((codes, rows))
}

/// How a problem names a column: "valid_to (column 5)". A successor may stand in either of two.
pub(crate) fn column_key(columns: &[String], name: &str) -> String {
    let name = name.split('[').next().unwrap_or(name);
    let stands = |name: &str| columns.iter().any(|column| column == name);
    let name = if name == "successors" && !stands(name) { "successor" } else { name };
    match columns.iter().position(|column| column == name) {
        Some(at) => format!("{name} (column {})", at + 1),
        None => name.to_owned(),
    }
}

/// Notes what is wrong with the header; whether the columns that must stand do.
fn check_header(columns: &[String], place: &Place, problems: &Problems) -> bool {
    for needed in NEEDED {
        if !columns.iter().any(|column| column == needed) {
            problems.note(place.clone(), needed, "the column is missing", format!("a header {}", COLUMNS.join(",")));
        }
    }
    for (at, column) in columns.iter().enumerate() {
        let key = format!("{column} (column {})", at + 1);
        if !COLUMNS.contains(&column.as_str()) {
            let expected = match suggestion(column, COLUMNS) {
                Some(near) => format!("a known column; did you mean \"{near}\"?"),
                None => format!("one of {}", COLUMNS.join(", ")),
            };
            problems.note(place.clone(), key, "unknown column", expected);
        } else if columns[..at].contains(column) {
            problems.note(place.clone(), key, "the column stands twice", "it once");
        }
    }
    NEEDED.iter().all(|needed| columns.iter().any(|column| column == needed))
}

fn code(record: &StringRecord, columns: &[String]) -> CodeDefinition {
    let field = |name: &str| {
        columns.iter().position(|column| column == name).and_then(|at| record.get(at)).unwrap_or_default().to_owned()
    };
    let [code, label_vi, label_en, valid_from, valid_to, successor, parent, several] = COLUMNS.map(field);
    let several = several.split(BETWEEN).map(|code| code.trim().to_owned());
    let successors = [successor].into_iter().chain(several).filter(|code| !code.is_empty()).collect();
    CodeDefinition { code, label_vi, label_en, valid_from, valid_to, parent, successors }
}

//! Reads a CSV table.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder};

use super::{Budget, MAX_FILE_BYTES, row::clean};
use crate::{
    cell,
    grid::{Grid, Notes, Origin, Spot, Value},
};

/// Reads a table; `None` when it is none, which is noted.
pub(super) fn read(file: &Path, bytes: &[u8], position: usize, budget: &mut Budget, notes: &Notes) -> Option<Grid> {
    let origin = Origin::Csv { file: file.to_owned() };
    let note = |line: u64, found: String, expected: &str| {
        let spot = Spot { row: u32::try_from(line).unwrap_or(u32::MAX), column: None };
        notes.note((position, &origin), spot, "", found, expected);
    };
    if bytes.len() > MAX_FILE_BYTES {
        note(0, format!("{} bytes", bytes.len()), &format!("at most {} MiB", MAX_FILE_BYTES >> 20));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            note(line as u64, "not UTF-8".to_owned(), "text in UTF-8: in the spreadsheet, save as \"CSV UTF-8\"");
            return None;
        }
    };
    // Spreadsheets put a byte order mark in front.
    let text = text.trim_start_matches('\u{feff}');
    let separator = separator(text);
    let mut reader =
        ReaderBuilder::new().flexible(true).has_headers(false).delimiter(separator).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let at = match error.kind() {
                    ErrorKind::Utf8 { pos, .. } | ErrorKind::UnequalLengths { pos, .. } => pos.as_ref(),
                    _ => None,
                };
                note(at.map_or(0, csv::Position::line), format!("CSV syntax: {error}"), "");
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let mut cells = Vec::new();
        for (column, field) in (0u32..).zip(&record) {
            let field = clean(cell::unguard(field));
            if field.is_empty() {
                continue;
            }
            if !budget.take(field.len()) {
                note(line, "the table is too large from here on".to_owned(), &Budget::expected());
                return None;
            }
            cells.push((column, Value::Text(field)));
        }
        if !cells.is_empty() {
            rows.push((u32::try_from(line).unwrap_or(u32::MAX), cells));
        }
    }
    Some(Grid { origin, rows })
}

/// A semicolon where the header has more of them than commas: Vietnamese regional settings write it so.
fn separator(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |c: char| header.matches(c).count();
    if count(';') > count(',') { b';' } else { b',' }
}

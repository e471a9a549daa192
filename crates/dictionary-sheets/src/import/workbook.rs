//! Reads the sheets of a workbook, cell by cell: a sheet may say that it is a million rows high and be empty.

use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read},
    path::Path,
};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx};
use ldop_types::Date;
use zip::ZipArchive;

use super::{Budget, MAX_FILE_BYTES, MAX_UNPACKED_BYTES, row::clean, sheets};
use crate::{
    columns::Sheet,
    grid::{Grid, Notes, Origin, Spot, Value, letters},
};

/// Most parts of a workbook.
const MAX_PARTS: usize = 4_096;

type Book<'b> = Xlsx<Cursor<&'b [u8]>>;

/// The tables of a workbook; what cannot be read is noted.
pub(super) fn read(file: &Path, bytes: &[u8], notes: &Notes) -> Vec<(Sheet, Grid)> {
    if let Err((found, expected)) = measure(bytes) {
        notes.file(file, found, expected);
        return Vec::new();
    }
    let mut book: Book<'_> = match Xlsx::new(Cursor::new(bytes)) {
        Ok(book) => book,
        Err(error) => {
            notes.file(file, format!("cannot be read as a workbook: {error}"), "an .xlsx workbook without a password");
            return Vec::new();
        }
    };
    let visible: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let mut budget = Budget::default();
    let mut tables: Vec<(Sheet, Grid)> = Vec::new();
    for (position, name) in visible.iter().enumerate() {
        let origin = Origin::Workbook { file: file.to_owned(), sheet: name.clone() };
        let note =
            |spot: Spot, found: String, expected: String| notes.note((position, &origin), spot, "", found, expected);
        let whole = Spot { row: 0, column: None };
        let sheet = match sheets::find(name) {
            sheets::Found::Sheet(sheet) => sheet,
            sheets::Found::Guide => continue,
            sheets::Found::Unknown(expected) => {
                note(whole, "unknown sheet".to_owned(), expected);
                continue;
            }
        };
        if tables.iter().any(|(other, _)| *other == sheet) {
            note(whole, format!("the table {:?} stands in another sheet already", sheet.title()), "it once".to_owned());
            continue;
        }
        match rows(&mut book, name, &mut budget) {
            Ok(rows) => {
                merged(&mut book, name, &note);
                tables.push((sheet, Grid { origin, rows }));
            }
            Err((spot, found)) => note(spot, found, Budget::expected()),
        }
    }
    tables
}

/// Unpacks every part once without keeping it: sizes that a file states about itself prove nothing.
fn measure(bytes: &[u8]) -> Result<(), (String, String)> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err((format!("{} bytes", bytes.len()), format!("at most {} MiB", MAX_FILE_BYTES >> 20)));
    }
    let broken = |error: &dyn std::fmt::Display| {
        (format!("not a workbook: {error}"), "an .xlsx workbook (older .xls and .ods: save as .xlsx)".to_owned())
    };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| broken(&error))?;
    if archive.len() > MAX_PARTS {
        return Err((format!("a workbook of {} parts", archive.len()), format!("at most {MAX_PARTS}")));
    }
    let mut left = MAX_UNPACKED_BYTES;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| broken(&error))?;
        let unpacked = io::copy(&mut part.take(left + 1), &mut io::sink()).map_err(|error| broken(&error))?;
        left = left.checked_sub(unpacked).ok_or_else(|| {
            let most = MAX_UNPACKED_BYTES >> 20;
            (format!("unpacks to more than {most} MiB"), format!("at most {most} MiB"))
        })?;
    }
    Ok(())
}

type Rows = Vec<(u32, Vec<(u32, Value)>)>;

/// The cells of a sheet that are not empty.
fn rows(book: &mut Book<'_>, name: &str, budget: &mut Budget) -> Result<Rows, (Spot, String)> {
    let is_1904 = book.has_1904_epoch();
    let whole = |error: calamine::XlsxError| (Spot { row: 0, column: None }, format!("cannot be read: {error}"));
    let mut cells = book.worksheet_cells_reader(name).map_err(whole)?;
    let mut rows: BTreeMap<u32, BTreeMap<u32, Value>> = BTreeMap::new();
    while let Some(cell) = cells.next_cell().map_err(whole)? {
        let (row, column) = cell.get_position();
        let Some(value) = value(cell.get_value(), is_1904) else { continue };
        let bytes = if let Value::Text(text) = &value { text.len() } else { 0 };
        let spot = Spot { row: row.saturating_add(1), column: Some(column) };
        if !budget.take(bytes) {
            return Err((spot, "the workbook is too large from here on".to_owned()));
        }
        rows.entry(spot.row).or_default().insert(column, value);
    }
    Ok(rows.into_iter().map(|(row, cells)| (row, cells.into_iter().collect())).collect())
}

fn value(cell: &DataRef<'_>, is_1904: bool) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(clean(text))).filter(|value| *value != Value::Text(String::new()));
    match cell {
        DataRef::Empty => None,
        DataRef::String(found) => text(found),
        DataRef::SharedString(found) => text(found),
        DataRef::Int(number) => Some(Value::Number(*number as f64)),
        DataRef::Float(number) => Some(Value::Number(*number)),
        DataRef::Bool(flag) => Some(Value::Flag(*flag)),
        DataRef::DateTime(moment) if moment.is_datetime() => Some(day(moment.as_f64(), is_1904)),
        DataRef::DateTimeIso(moment) => text(moment.strip_suffix("T00:00:00").unwrap_or(moment)),
        DataRef::DateTime(_) | DataRef::DurationIso(_) => Some(Value::Other("a length of time".to_owned())),
        DataRef::Error(error) => Some(Value::Other(format!("the error {error}"))),
    }
}

/// The day a serial number of a spreadsheet stands for.
fn day(serial: f64, is_1904: bool) -> Value {
    /// Days from the epoch of spreadsheets to that of [`Date`]. The one of 1900 counts a 29 February that never was.
    const SINCE_1900: i32 = 25_569;
    const SINCE_1904: i32 = 24_107;
    const MOST: f64 = 2_958_465.0; // 9999-12-31
    if !(0.0..=MOST).contains(&serial) || (!is_1904 && serial < 61.0) {
        return Value::Other(format!("the date number {serial}"));
    }
    if serial.fract() != 0.0 {
        return Value::Other("a date with a time of day".to_owned());
    }
    let days = serial as i32 - if is_1904 { SINCE_1904 } else { SINCE_1900 };
    Value::Day(Date(days).to_string())
}

/// Notes merged cells: only the first holds the value, and the others look as if they did.
fn merged(book: &mut Book<'_>, name: &str, note: &impl Fn(Spot, String, String)) {
    // A sheet whose cells could be read and whose merged cells cannot has none that matter.
    for area in book.merge_cells_by_sheet_name(name).unwrap_or_default() {
        let (row, column) = area.start;
        let end = format!("{}{}", letters(area.end.1), u64::from(area.end.0) + 1);
        let spot = Spot { row: row.saturating_add(1), column: Some(column) };
        note(
            spot,
            format!("the cell is merged with those up to {end}"),
            "one value in each cell: unmerge them".to_owned(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_both_epochs_are_read() {
        assert_eq!(day(45_839.0, false), Value::Day("2025-07-01".to_owned()));
        assert_eq!(day(45_839.0 - 1_462.0, true), Value::Day("2025-07-01".to_owned()));
        assert_eq!(day(61.0, false), Value::Day("1900-03-01".to_owned()));
        for wrong in [60.0, -1.0, 45_839.5, f64::NAN, 1e300] {
            assert!(matches!(day(wrong, false), Value::Other(_)), "{wrong}");
        }
    }
}

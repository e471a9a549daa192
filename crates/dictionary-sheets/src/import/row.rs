//! Reads the rows of a table by its columns.

use ldop_definitions::reading::suggestion;
use ldop_types::Date;
use unicode_normalization::UnicodeNormalization;

use crate::{
    cell,
    columns::{Column, Field, Form},
    grid::{Grid, Notes, Origin, Spot, Value},
};

/// Text as definitions hold it: NFC, line breaks of one kind, no blanks at the ends.
pub(super) fn clean(text: &str) -> String {
    let text: String = text.nfc().collect();
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

/// A table whose cells have been read, and where they stand.
pub(super) struct Table<'g, R> {
    pub position: usize,
    origin: &'g Origin,
    /// Key of each column, and where it stands.
    header: Vec<(&'static str, u32)>,
    /// Row number, and what stands in the row.
    pub rows: Vec<(u32, R)>,
}

impl<'g, R: Default> Table<'g, R> {
    /// A table that is not there.
    pub(super) fn none(origin: &'g Origin) -> Self {
        Self { position: 0, origin, header: Vec::new(), rows: Vec::new() }
    }

    /// Reads a table; the first row that is not empty is the header.
    pub(super) fn read(position: usize, grid: &'g Grid, columns: &[Column<R>], notes: &Notes) -> Self {
        let origin = &grid.origin;
        let mut table = Self { position, origin, header: Vec::new(), rows: Vec::new() };
        let Some(((first, header), rows)) = grid.rows.split_first() else {
            let keys: Vec<_> = columns.iter().filter(|c| c.needed).map(Column::header).collect();
            let spot = Spot { row: 0, column: None };
            notes.note(
                (position, origin),
                spot,
                "",
                "the table is empty",
                format!("a header with {}", keys.join(", ")),
            );
            return table;
        };
        let known = header_of(*first, header, columns, (position, origin), notes);
        table.header = known.iter().map(|(at, column)| (columns[*column].about.key, *at)).collect();
        for (row, cells) in rows {
            let mut read = R::default();
            for (at, value) in cells {
                let spot = Spot { row: *row, column: Some(*at) };
                match known.iter().find(|(place, _)| place == at) {
                    Some((_, column)) => {
                        let column = &columns[*column];
                        if let Err(expected) = set(column, &mut read, value) {
                            notes.note((position, origin), spot, column.about.key, value.shown(), expected);
                        }
                    }
                    // A header that is not known has been told of already.
                    None if header.iter().any(|(place, _)| place == at) => {}
                    None => notes.note(
                        (position, origin),
                        spot,
                        "",
                        format!("{} under no header", value.shown()),
                        "an empty cell, or a header above it",
                    ),
                }
            }
            table.rows.push((*row, read));
            for column in columns.iter().filter(|column| column.needed) {
                let Some((_, at)) = table.header.iter().find(|(key, _)| *key == column.about.key) else { continue };
                if !cells.iter().any(|(place, _)| place == at) {
                    let spot = Spot { row: *row, column: Some(*at) };
                    notes.note((position, origin), spot, column.about.key, "the cell is empty", column.about.en);
                }
            }
        }
        table
    }
}

impl<R> Table<'_, R> {
    /// Notes what is wrong with a field of the row that stands at `index`.
    pub(super) fn note(
        &self,
        notes: &Notes,
        index: usize,
        key: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let row = self.rows.get(index).map_or(0, |(row, _)| *row);
        let column = self.header.iter().find(|(name, _)| *name == key).map(|(_, at)| *at);
        notes.note((self.position, self.origin), Spot { row, column }, key, found, expected);
    }

    /// Number of the row that stands at `index`.
    pub(super) fn row(&self, index: usize) -> u32 {
        self.rows.get(index).map_or(0, |(row, _)| *row)
    }
}

/// The columns that the header names: place, and index in `columns`.
fn header_of<R>(
    row: u32,
    header: &[(u32, Value)],
    columns: &[Column<R>],
    at: (usize, &Origin),
    notes: &Notes,
) -> Vec<(u32, usize)> {
    let mut known: Vec<(u32, usize)> = Vec::new();
    for (place, value) in header {
        let spot = Spot { row, column: Some(*place) };
        let Value::Text(text) = value else {
            notes.note(at, spot, "", value.shown(), "the name of a column");
            continue;
        };
        let lower = text.to_lowercase();
        let key = key_of(&lower);
        let found =
            columns.iter().position(|column| column.about.key == key || column.about.title.to_lowercase() == lower);
        match found {
            Some(column) if known.iter().any(|(_, other)| *other == column) => {
                notes.note(at, spot, columns[column].about.key, "the column stands twice", "it once");
            }
            Some(column) => known.push((*place, column)),
            None => {
                let keys = columns.iter().map(|column| column.about.key);
                let near = suggestion(key, keys.clone()).map(ToOwned::to_owned).or_else(|| {
                    let titles: Vec<String> = columns.iter().map(|column| column.about.title.to_lowercase()).collect();
                    let near = suggestion(&lower, titles.iter().map(String::as_str))?;
                    titles.iter().position(|title| title == near).map(|at| columns[at].header())
                });
                let expected = match near {
                    Some(near) => format!("a known column; did you mean {near:?}?"),
                    None => format!("one of {}", keys.collect::<Vec<_>>().join(", ")),
                };
                notes.note(at, spot, "", format!("unknown column: {}", value.shown()), expected);
            }
        }
    }
    for (index, column) in columns.iter().enumerate().filter(|(_, column)| column.needed) {
        if !known.iter().any(|(_, other)| *other == index) {
            let spot = Spot { row, column: None };
            notes.note(at, spot, column.about.key, "the column is missing", format!("a header {:?}", column.header()));
        }
    }
    known
}

/// The key of a header: `Tên (name_vi)` or `name_vi`.
fn key_of(header: &str) -> &str {
    let inside = header.strip_suffix(')').and_then(|rest| rest.rsplit_once('('));
    inside.map_or(header, |(_, key)| key.trim())
}

/// Puts the value of a cell where it belongs, or says what is expected.
fn set<R>(column: &Column<R>, row: &mut R, value: &Value) -> Result<(), String> {
    match &column.field {
        Field::Text(field) => *field(row) = one(column.form, value)?,
        Field::Count(field) => *field(row) = Some(count(value).ok_or("a whole number from 0")?),
        Field::Flag(field) => *field(row) = flag(value).ok_or("true or false")?,
        Field::Texts(field) => {
            let text = match value {
                Value::Text(text) => text.clone(),
                value => one(column.form, value)?,
            };
            let mut texts = Vec::new();
            for item in cell::split(&text, column.form != Form::Free) {
                texts.push(one(column.form, &Value::Text(item))?);
            }
            *field(row) = texts;
        }
        Field::Pairs(field, between) => {
            let expected = || format!("name{between}value on each line of the cell");
            let Value::Text(text) = value else { return Err(expected()) };
            let mut pairs = Vec::new();
            for item in cell::split(text, false) {
                let (name, value) = item.split_once(*between).ok_or_else(expected)?;
                pairs.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            if *between == '=' {
                pairs.sort();
            }
            *field(row) = pairs;
        }
    }
    Ok(())
}

/// A single text.
fn one(form: Form, value: &Value) -> Result<String, String> {
    match (form, value) {
        (Form::Word(words), Value::Text(text)) => word(words, text),
        (Form::Word(words), _) => Err(one_of(words)),
        (Form::Day, Value::Day(day)) => Ok(day.clone()),
        (Form::Day, Value::Text(text)) if Date::parse(text).is_some() => Ok(text.clone()),
        (Form::Day, Value::Text(text)) => Err(match day_month_year(text) {
            Some(day) => format!("a day as YYYY-MM-DD; did you mean \"{day}\"?"),
            None => "a day as YYYY-MM-DD, or a date cell".to_owned(),
        }),
        (Form::Day, _) => Err("a day as YYYY-MM-DD, or a date cell".to_owned()),
        (Form::Decimal, Value::Number(number)) if number.is_finite() => Ok(number.to_string()),
        (Form::Decimal, Value::Text(text)) if text.parse::<f64>().is_ok_and(f64::is_finite) => Ok(text.clone()),
        (Form::Decimal, Value::Text(text)) if text.replacen(',', ".", 1).parse::<f64>().is_ok() => {
            Err(format!("a decimal number with a point; did you mean \"{}\"?", text.replacen(',', ".", 1)))
        }
        (Form::Decimal, _) => Err("a decimal number such as -12.5".to_owned()),
        (Form::Code, Value::Number(_)) => {
            Err("text: as a number it may have lost leading zeros; format the column as text and enter it again"
                .to_owned())
        }
        (Form::Code | Form::Free, Value::Text(text)) => Ok(text.clone()),
        (Form::Free, Value::Number(number)) if number.is_finite() => Ok(number.to_string()),
        (Form::Free, Value::Day(day)) => Ok(day.clone()),
        (Form::Free, Value::Flag(flag)) => Ok(flag.to_string()),
        (Form::Code | Form::Free, _) => Err("text".to_owned()),
    }
}

fn word(words: &[&str], text: &str) -> Result<String, String> {
    // Agencies write words as they please; only their case is certain to mean nothing.
    let lower = text.to_lowercase();
    if words.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let near = suggestion(&lower, words.iter().copied());
    Err(near.map_or_else(|| one_of(words), |near| format!("{}; did you mean \"{near}\"?", one_of(words))))
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("one of {}", quoted.join(", "))
}

/// A whole number, also one that is stored as text.
fn count(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number) => {
            Some(*number as u32)
        }
        Value::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Flag(flag) => Some(*flag),
        Value::Number(number) if *number == 1.0 => Some(true),
        Value::Number(number) if *number == 0.0 => Some(false),
        Value::Text(text) => match text.to_lowercase().as_str() {
            "true" | "có" | "đúng" | "x" | "1" => Some(true),
            "false" | "không" | "sai" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `01/07/2025` as the day it is in Việt Nam; told only, because in other settings it is another day.
fn day_month_year(text: &str) -> Option<String> {
    let mut parts = text.split(['/', '-', '.']).map(|part| part.trim().parse::<i32>());
    let (day, month, year) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if parts.next().is_some() { None } else { Date::from_ymd(year, month, day).map(|date| date.to_string()) }
}

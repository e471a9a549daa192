//! A record as the row of a table, and back.
//!
//! A cell that is empty says nothing by itself. The field is null where the column of null fields names it; it has a value that does
//! not fit its column where the column of other values holds it; else the record does not have it.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::{Map, Value, value::RawValue};

use crate::layout::{Kind, Layout};

/// Digits a number of 64 bits keeps.
const DIGITS: usize = 15;

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'p> {
    /// Nothing.
    Empty,
    /// A text.
    Text(Cow<'p, str>),
    /// An integer.
    Integer(i64),
    /// A number, and how it is written.
    Number(f64, &'p str),
    /// True or false.
    Boolean(bool),
    /// A value as JSON.
    Json(&'p str),
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'p> {
    /// One for each column of a field.
    pub cells: Vec<Cell<'p>>,
    /// Names of the fields that are null, as a JSON list.
    pub null_fields: Option<String>,
    /// Values that fit no cell, as a JSON object.
    pub other_values: Option<String>,
}

/// What is to be a record is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnObject;

impl<'p> Row<'p> {
    /// Takes a record apart. `keeps_empty`: whether the format tells an empty text from an empty cell.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`]
    pub fn of(payload: &'p [u8], layout: &Layout, keeps_empty: bool) -> Result<Self, NotAnObject> {
        let mut fields: BTreeMap<Cow<'p, str>, &'p RawValue> =
            serde_json::from_slice(payload).map_err(|_| NotAnObject)?;
        let (mut nulls, mut others) = (Vec::new(), BTreeMap::new());
        let mut cells = Vec::with_capacity(layout.columns.len());
        for column in &layout.columns {
            let Some(value) = fields.remove(column.name.as_str()) else {
                cells.push(Cell::Empty);
                continue;
            };
            let raw = value.get();
            cells.push(if raw == "null" {
                nulls.push(&column.name);
                Cell::Empty
            } else {
                let cell = cell(raw, column.kind).filter(|cell| keeps_empty || !is_empty(cell));
                cell.unwrap_or_else(|| {
                    others.insert(Cow::Borrowed(column.name.as_str()), value);
                    Cell::Empty
                })
            });
        }
        // There are none where the layout is that of the granted fields.
        others.extend(fields.iter().map(|(name, value)| (name.clone(), *value)));
        let text = |is_there: bool, text: serde_json::Result<String>| is_there.then(|| text.unwrap_or_default());
        Ok(Self {
            cells,
            null_fields: text(!nulls.is_empty(), serde_json::to_string(&nulls)),
            other_values: text(!others.is_empty(), serde_json::to_string(&others)),
        })
    }

    /// Puts the record together again; none where the row is none that [`of`](Self::of) makes.
    #[must_use]
    pub fn record(&self, layout: &Layout) -> Option<Map<String, Value>> {
        let mut record = Map::new();
        for (cell, column) in self.cells.iter().zip(&layout.columns) {
            let value = match cell {
                Cell::Empty => continue,
                Cell::Text(text) => Value::String(text.clone().into_owned()),
                Cell::Integer(number) => Value::from(*number),
                Cell::Number(_, text) | Cell::Json(text) => serde_json::from_str(text).ok()?,
                Cell::Boolean(truth) => Value::Bool(*truth),
            };
            record.insert(column.name.clone(), value);
        }
        if let Some(nulls) = &self.null_fields {
            let nulls: Vec<String> = serde_json::from_str(nulls).ok()?;
            record.extend(nulls.into_iter().map(|name| (name, Value::Null)));
        }
        if let Some(others) = &self.other_values {
            record.extend(serde_json::from_str::<Map<String, Value>>(others).ok()?);
        }
        Some(record)
    }

    /// Reads a cell of a column as a text shows it.
    #[must_use]
    pub fn read(text: &'p str, kind: Kind) -> Option<Cell<'p>> {
        match kind {
            _ if text.is_empty() => Some(Cell::Empty),
            Kind::Text => Some(Cell::Text(text.into())),
            Kind::Integer | Kind::Number | Kind::Boolean | Kind::Json => cell(text, kind),
        }
    }
}

fn is_empty(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::Text(text) if text.is_empty())
}

/// A value as a cell of its column; none where it does not fit.
fn cell(raw: &str, kind: Kind) -> Option<Cell<'_>> {
    match kind {
        Kind::Text => serde_json::from_str::<Cow<'_, str>>(raw).ok().map(Cell::Text),
        Kind::Integer => {
            let number: i64 = raw.parse().ok()?;
            (raw != "-0").then_some(Cell::Integer(number))
        }
        Kind::Number => {
            let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let mantissa = raw.split(['e', 'E']).next().unwrap_or_default();
            let digits = mantissa.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
            let value: f64 = raw.parse().ok().filter(|_| is_number && digits <= DIGITS)?;
            value.is_finite().then_some(Cell::Number(value, raw))
        }
        Kind::Boolean => match raw {
            "true" => Some(Cell::Boolean(true)),
            "false" => Some(Cell::Boolean(false)),
            _ => None,
        },
        Kind::Json => Some(Cell::Json(raw)),
    }
}

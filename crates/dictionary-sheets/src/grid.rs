//! A table of cells, wherever it comes from, and what is wrong in it.

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    path::PathBuf,
};

use ldop_definitions::reading::{Place, Problem};

/// Most problems told of one dictionary; the number of the others is.
pub(crate) const MAX_PROBLEMS: usize = 1_000;

/// What stands in a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Text in NFC, without blanks at the ends.
    Text(String),
    Number(f64),
    Flag(bool),
    /// A day, `YYYY-MM-DD`.
    Day(String),
    /// Something no column takes, in words.
    Other(String),
}

impl Value {
    /// How a problem shows it.
    pub(crate) fn shown(&self) -> String {
        const LONGEST: usize = 60;
        match self {
            Self::Text(text) => match text.char_indices().nth(LONGEST) {
                Some((at, _)) => format!("{:?} stands here", format!("{}…", &text[..at])),
                None => format!("{text:?} stands here"),
            },
            Self::Number(number) => format!("the number {number} stands here"),
            Self::Flag(flag) => format!("{flag} stands here"),
            Self::Day(day) => format!("the day {day} stands here"),
            Self::Other(words) => format!("{words} stands here"),
        }
    }
}

/// Cells that are not empty, by row and column.
#[derive(Debug)]
pub(crate) struct Grid {
    pub origin: Origin,
    /// Number of each row from 1, and its cells by column from 0; ascending, none empty.
    pub rows: Vec<(u32, Vec<(u32, Value)>)>,
}

/// Where a table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A sheet of a workbook.
    Workbook { file: PathBuf, sheet: String },
    /// A CSV file.
    Csv { file: PathBuf },
}

impl Origin {
    fn problem(&self, spot: Spot, key: &str, found: String, expected: String) -> Problem {
        let known = |name: String| if key.is_empty() { name } else { format!("{name} ({key})") };
        match self {
            Self::Workbook { file, sheet } => {
                let mut name = format!("sheet {sheet:?}");
                if spot.row > 0 {
                    // Writing to a text cannot fail.
                    let _ = write!(name, " row {}", spot.row);
                }
                let name = match spot.column {
                    Some(column) => known(format!("{name} column {}", letters(column))),
                    None => known(name),
                };
                Problem { place: Place::file(file), key: name, found, expected }
            }
            Self::Csv { file } => {
                let place = Place { file: file.clone(), line: spot.row, column: 0 };
                let key = match spot.column {
                    Some(column) if key.is_empty() => format!("column {}", column + 1),
                    Some(column) => format!("{key} (column {})", column + 1),
                    None => key.to_owned(),
                };
                Problem { place, key, found, expected }
            }
        }
    }
}

/// A place in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    /// Row from 1; 0 for the table as a whole.
    pub row: u32,
    /// Column from 0.
    pub column: Option<u32>,
}

/// Collects what is wrong, in the order of the tables.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Position of the table among those read, and place in it.
    problems: RefCell<Vec<((usize, Spot), Problem)>>,
    more: Cell<usize>,
}

impl Notes {
    /// Notes a problem of the table that stands at `position`, unless that cell has one: one mistake is told once.
    pub(crate) fn note(
        &self,
        (position, origin): (usize, &Origin),
        spot: Spot,
        key: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.add((position, spot), origin.problem(spot, key, found.into(), expected.into()));
    }

    /// Notes a problem of a file as a whole.
    pub(crate) fn file(&self, file: impl Into<PathBuf>, found: impl Into<String>, expected: impl Into<String>) {
        let spot = Spot { row: 0, column: None };
        let problem =
            Problem { place: Place::file(file), key: String::new(), found: found.into(), expected: expected.into() };
        self.add((0, spot), problem);
    }

    fn add(&self, at: (usize, Spot), problem: Problem) {
        let mut problems = self.problems.borrow_mut();
        if problems.len() >= MAX_PROBLEMS {
            self.more.set(self.more.get() + 1);
        } else if !problems.iter().any(|(place, other)| *place == at && other.key == problem.key && at.1.row > 0) {
            problems.push((at, problem));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// All of them, by table, row and column.
    pub(crate) fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        let last = problems.last().map(|(_, problem)| problem.place.file.clone());
        let mut problems: Vec<Problem> = problems.into_iter().map(|(_, problem)| problem).collect();
        if let Some(file) = last
            && self.more.get() > 0
        {
            problems.push(Problem {
                place: Place::file(file),
                key: String::new(),
                found: format!("{} more problems are not shown", self.more.get()),
                expected: "the first ones to be mended first".to_owned(),
            });
        }
        problems
    }
}

/// The letters of a column: A, B, …, Z, AA.
pub(crate) fn letters(column: u32) -> String {
    let mut name = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        rest -= 1;
        name.push(char::from(b'A' + u8::try_from(rest % 26).unwrap_or_default()));
        rest /= 26;
    }
    name.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_letters_of_spreadsheets() {
        let named =
            [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")];
        for (column, name) in named {
            assert_eq!(letters(column), name);
        }
    }
}

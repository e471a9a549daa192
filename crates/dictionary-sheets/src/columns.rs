//! The tables and their columns.

mod code_lists;
mod elements;

use std::sync::LazyLock;

pub(crate) use code_lists::{CodeRow, MapRow, codes, lists, maps};
pub(crate) use elements::elements;

/// A column as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Name in definition files.
    pub key: &'static str,
    /// Name in Vietnamese.
    pub title: &'static str,
    /// What stands there, in Vietnamese.
    pub vi: &'static str,
    /// What stands there, in English.
    pub en: &'static str,
}

/// A column of rows `R`.
pub(crate) struct Column<R> {
    pub about: About,
    /// Where its value is kept.
    pub field: Field<R>,
    pub form: Form,
    /// Whether a cell may be empty.
    pub needed: bool,
}

/// Where the value of a cell is kept.
pub(crate) enum Field<R> {
    Text(fn(&mut R) -> &mut String),
    Count(fn(&mut R) -> &mut Option<u32>),
    Flag(fn(&mut R) -> &mut bool),
    /// One text on each line of the cell.
    Texts(fn(&mut R) -> &mut Vec<String>),
    /// A name, the character, and a value on each line of the cell.
    Pairs(fn(&mut R) -> &mut Vec<(String, String)>, char),
}

/// What may stand in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Any text.
    Free,
    /// An id or a code: a number has lost its leading zeros.
    Code,
    /// One of these.
    Word(&'static [&'static str]),
    /// A day.
    Day,
    /// A decimal number.
    Decimal,
}

impl<R> Column<R> {
    pub(crate) const fn new(
        key: &'static str,
        title: &'static str,
        (vi, en): (&'static str, &'static str),
        field: Field<R>,
    ) -> Self {
        Self { about: About { key, title, vi, en }, field, form: Form::Free, needed: false }
    }

    pub(crate) const fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    pub(crate) const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    /// Words the whole cell is one of; none where it may hold anything, or several.
    pub(crate) fn closed(&self) -> Option<&'static [&'static str]> {
        match (&self.field, self.form) {
            (Field::Flag(_), _) => Some(&["true", "false"]),
            (Field::Text(_), Form::Word(words)) => Some(words),
            _ => None,
        }
    }

    /// All words that may stand in the cell.
    pub(crate) fn words(&self) -> Option<&'static [&'static str]> {
        match self.form {
            Form::Word(words) => Some(words),
            _ => self.closed(),
        }
    }

    /// What stands in the header: `Tên (name_vi)`.
    pub(crate) fn header(&self) -> String {
        format!("{} ({})", self.about.title, self.about.key)
    }
}

/// One of the four tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sheet {
    /// Elements, one on each row.
    Elements,
    /// Code lists, one on each row.
    Lists,
    /// Codes of all lists.
    Codes,
    /// Pairs of all value maps.
    Maps,
}

impl Sheet {
    /// Every table in its order.
    pub const ALL: [Self; 4] = [Self::Elements, Self::Lists, Self::Codes, Self::Maps];

    /// Name of the sheet in a workbook.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Elements => "Phần tử",
            Self::Lists => "Danh mục",
            Self::Codes => "Mã",
            Self::Maps => "Ánh xạ",
        }
    }

    /// Name of the file among CSV tables.
    #[must_use]
    pub const fn file(self) -> &'static str {
        match self {
            Self::Elements => "elements.csv",
            Self::Lists => "code_lists.csv",
            Self::Codes => "codes.csv",
            Self::Maps => "value_maps.csv",
        }
    }

    /// Its columns.
    #[must_use]
    pub fn columns(self) -> Vec<About> {
        fn of<R>(columns: &[Column<R>]) -> Vec<About> {
            columns.iter().map(|column| column.about).collect()
        }
        match self {
            Self::Elements => of(elements()),
            Self::Lists => of(lists()),
            Self::Codes => of(codes()),
            Self::Maps => of(maps()),
        }
    }
}

/// Name of the sheet that explains the others; it is not read.
pub const GUIDE: &str = "Hướng dẫn";

/// Columns made once.
pub(crate) type Columns<R> = LazyLock<Vec<Column<R>>>;

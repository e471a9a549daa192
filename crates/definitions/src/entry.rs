//! What was read from the files: definitions, each with the places of its fields.

use std::{collections::BTreeMap, path::PathBuf};

use ldop_catalog::{AgencyDefinition, AgreementDefinition, DatasetDefinition, SystemDefinition};
use ldop_dictionary::{CodeListDefinition, ElementDefinition};

use crate::{
    files, kinds,
    reading::{Place, Problems, Source, Table},
    schemas::{self, SchemaText},
    walk::Files,
};

/// Everything the files define, by kind and in the order of the files.
#[derive(Default)]
pub(crate) struct Folder {
    pub code_lists: Vec<Entry<CodeListDefinition>>,
    pub elements: Vec<Entry<ElementDefinition>>,
    pub schemas: Vec<SchemaText>,
    pub agencies: Vec<Entry<AgencyDefinition>>,
    pub systems: Vec<Entry<SystemDefinition>>,
    pub datasets: Vec<Entry<DatasetDefinition>>,
    pub agreements: Vec<Entry<AgreementDefinition>>,
    /// Some file could not be read as a whole, so what seems to be missing may stand there.
    pub is_incomplete: bool,
}

/// A definition and where it stands.
pub(crate) struct Entry<D> {
    pub places: Places,
    pub definition: D,
}

/// Where the fields of a definition stand.
pub(crate) struct Places {
    /// Name of the kind, as in `[[element]]`.
    kind: &'static str,
    table: Place,
    /// Place of each field, and what stands there.
    fields: BTreeMap<String, (Place, String)>,
    rows: Option<Rows>,
    /// A field of which reading has said what is wrong, under whatever key: what else is found about it is no news.
    reported: Option<&'static str>,
}

/// The lines of a CSV file that codes stand in.
pub(crate) struct Rows {
    pub file: PathBuf,
    /// Line of each code.
    pub lines: Vec<u32>,
    /// Column names in their order.
    pub columns: Vec<String>,
}

impl Folder {
    /// Reads every TOML and schema file.
    pub(crate) fn read(files: &Files, problems: &Problems) -> Self {
        let mut folder = Self::default();
        for file in &files.toml {
            match Source::read(file) {
                Ok(source) => folder.read_toml(&source, problems),
                Err(problem) => {
                    problems.push(problem);
                    folder.is_incomplete = true;
                }
            }
        }
        for file in &files.schemas {
            match schemas::read(file, problems) {
                Some(schema) => folder.schemas.push(schema),
                None => folder.is_incomplete = true,
            }
        }
        files::resolve(&mut folder.schemas, &files.schemas);
        folder.sort();
        folder
    }

    fn read_toml(&mut self, source: &Source, problems: &Problems) {
        let Some(document) = source.parse_toml(problems) else {
            self.is_incomplete = true;
            return;
        };
        let root = Table::root(source, &document, problems);
        let each = |kind| root.tables(kind);
        self.elements.extend(each("element").into_iter().map(kinds::element));
        self.code_lists.extend(each("code_list").into_iter().map(|table| kinds::code_list(table, source, problems)));
        self.agencies.extend(each("agency").into_iter().map(kinds::agency));
        self.systems.extend(each("system").into_iter().map(kinds::system));
        self.datasets.extend(each("dataset").into_iter().map(kinds::dataset));
        self.agreements.extend(each("agreement").into_iter().map(kinds::agreement));
        root.finish();
    }

    /// By id, and by place where ids are the same, so that the first of two is the one that counts.
    fn sort(&mut self) {
        self.code_lists.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
        self.elements.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
        self.schemas.sort_by(|a, b| (&a.name, a.source.file()).cmp(&(&b.name, b.source.file())));
        self.agencies.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
        self.systems.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
        self.datasets.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
        self.agreements.sort_by(|a, b| (&a.definition.id, &a.places.table).cmp(&(&b.definition.id, &b.places.table)));
    }
}

impl Places {
    pub(crate) fn new(kind: &'static str, table: Place) -> Self {
        Self { kind, table, fields: BTreeMap::new(), rows: None, reported: None }
    }

    pub(crate) fn set(&mut self, field: impl Into<String>, place: Place, shown: String) {
        self.fields.insert(field.into(), (place, shown));
    }

    /// What stands in a field.
    pub(crate) fn shown(&self, field: &str) -> &str {
        self.fields.get(field).map_or("the key is missing", |(_, shown)| shown)
    }

    /// Takes over the places of a table that stands in this one as `field`.
    pub(crate) fn take(&mut self, field: &str, inner: Places) {
        self.fields.insert(field.to_owned(), (inner.table, "a table stands here".to_owned()));
        self.fields.extend(inner.fields.into_iter().map(|(name, place)| (format!("{field}.{name}"), place)));
    }

    pub(crate) fn set_rows(&mut self, rows: Rows) {
        self.rows = Some(rows);
    }

    pub(crate) fn set_reported(&mut self, field: &'static str) {
        self.reported = Some(field);
    }

    /// Where the table begins.
    pub(crate) fn table(&self) -> &Place {
        &self.table
    }

    /// Place and key of a field named as the definition's errors name it: `max_length`, `codes[3].valid_to`,
    /// `providers[0].system`. A field that does not stand has the place of what is around it.
    pub(crate) fn find(&self, field: &str) -> (Place, String) {
        let key = format!("{}.{}", self.kind, plain(field));
        if let Some((place, _)) = self.fields.get(field) {
            return (place.clone(), key);
        }
        if let Some((row, column)) = code(field)
            && let Some(rows) = &self.rows
            && let Some(line) = rows.lines.get(row)
        {
            let place = Place { file: rows.file.clone(), line: *line, column: 0 };
            return (place, crate::codes::column_key(&rows.columns, column));
        }
        // codes[3].valid_to -> codes[3] -> codes
        let around = field.rfind(['.', '[']).map(|at| &field[..at]);
        match around {
            Some(around) => (self.find(around).0, key),
            None => (self.table.clone(), key),
        }
    }

    /// Notes a problem with a field, unless reading has noted one already.
    pub(crate) fn note(&self, problems: &Problems, field: &str, found: impl Into<String>, expected: impl Into<String>) {
        if self.reported == Some(field) {
            return;
        }
        let (place, key) = self.find(field);
        if !problems.has(&place, &key) {
            problems.note(place, key, found, expected);
        }
    }
}

/// `codes[3].valid_to` without the index: the line says which.
fn plain(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut inside = false;
    for c in field.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

/// Row and column of `codes[3].valid_to`; an empty column for `codes[3]`.
fn code(field: &str) -> Option<(usize, &str)> {
    let (row, rest) = field.strip_prefix("codes[")?.split_once(']')?;
    Some((row.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

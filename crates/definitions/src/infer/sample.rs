//! Reads sample records and keeps counts of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::Path,
};

use csv::ReaderBuilder;
use ldop_dictionary::{Dictionary, Element, Scalar, ValueType};
use ldop_types::{Date, TimestampMs};
use serde_json::Value;

use super::{Format, MAX_BYTES, MAX_RECORDS};
use crate::reading::{Place, Problem};

/// Values of a field that are asked of every element.
const MOST_CHECKED: u32 = 300;
/// Most fields of a sample: what has more is a map.
const MOST_FIELDS: usize = 1_000;
/// Deepest nesting that is looked into.
const DEEPEST: usize = 12;
/// Longest name that is told, code points.
const LONGEST_NAME: usize = 100;

/// Counts of a field.
#[derive(Default)]
pub(super) struct Field {
    pub path: String,
    types: BTreeSet<&'static str>,
    /// Values asked of every element.
    pub checked: u32,
    /// How many of them each element takes, in the order of the dictionary.
    pub passed: Vec<u32>,
}

impl Field {
    /// Types met.
    pub(super) fn types(&self) -> Vec<&'static str> {
        self.types.iter().copied().collect()
    }
}

/// Counts of records.
#[derive(Default)]
pub(super) struct Sample {
    pub records: usize,
    pub fields: Vec<Field>,
    pub unnamed: usize,
    known: HashMap<String, usize>,
    /// Objects met, by path.
    objects: BTreeMap<String, usize>,
    /// Objects that have a member, by the member's path.
    members: BTreeMap<String, usize>,
}

impl Sample {
    pub(super) fn read(file: &Path, format: Format, dictionary: &Dictionary) -> Result<Self, Vec<Problem>> {
        let cannot = |error: std::io::Error| vec![at(file, 0, format!("cannot be read: {error}"), "a readable file")];
        let input = BufReader::new(File::open(file).map_err(cannot)?.take(MAX_BYTES));
        let mut reader = Reader { sample: Self::default(), dictionary, on: TimestampMs::now().date_in_vietnam(), file };
        match format {
            Format::JsonLines => reader.json_lines(input)?,
            Format::Csv { delimiter } => reader.csv(input, delimiter)?,
        }
        if reader.sample.records == 0 {
            return Err(vec![at(file, 0, "holds no record".to_owned(), "at least one")]);
        }
        Ok(reader.sample)
    }

    /// Objects that have the member, and objects that could.
    pub(super) fn presence(&self, path: &str) -> (usize, usize) {
        let member = path.trim_end_matches("[]");
        let parent = member.rsplit_once('.').map_or("", |(parent, _)| parent);
        let count = |counts: &BTreeMap<String, usize>, path: &str| counts.get(path).copied().unwrap_or(0);
        (count(&self.members, member), count(&self.objects, parent))
    }

    /// Members that are objects and stand in every object that could have them.
    pub(super) fn whole_objects(&self) -> impl Iterator<Item = &str> {
        self.objects.keys().map(String::as_str).filter(|path| {
            let (present, of) = self.presence(path);
            !path.is_empty() && present == of
        })
    }
}

struct Reader<'a> {
    sample: Sample,
    dictionary: &'a Dictionary,
    on: Date,
    file: &'a Path,
}

impl Reader<'_> {
    fn json_lines(&mut self, input: impl Read) -> Result<(), Vec<Problem>> {
        for (number, line) in BufReader::new(input).lines().enumerate() {
            if self.sample.records == MAX_RECORDS {
                break;
            }
            let line = line.map_err(|_| vec![at(self.file, number + 1, "not UTF-8".to_owned(), "text in UTF-8")])?;
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() {
                continue;
            }
            // The parser's own words may repeat what stands there.
            match serde_json::from_str::<Value>(line) {
                Ok(record @ Value::Object(_)) => {
                    self.sample.records += 1;
                    self.value("", &record, 0);
                }
                _ => return Err(vec![at(self.file, number + 1, "not a JSON object".to_owned(), "one on each line")]),
            }
            self.bounded()?;
        }
        Ok(())
    }

    fn csv(&mut self, input: impl Read, delimiter: u8) -> Result<(), Vec<Problem>> {
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
        let broken = |file: &Path, error: &csv::Error| {
            let line = error.position().map_or(0, csv::Position::line);
            vec![at(file, usize::try_from(line).unwrap_or(0), "cannot be read as CSV".to_owned(), "CSV in UTF-8")]
        };
        let header = reader.headers().map_err(|error| broken(self.file, &error))?.clone();
        let names: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        if let Some(column) = names.iter().position(|name| !name.split('.').all(is_name)) {
            let found = format!("column {} of the header is no name of a field", column + 1);
            return Err(vec![at(self.file, 1, found, "a name such as full_name")]);
        }
        for record in reader.records().take(MAX_RECORDS) {
            let record = record.map_err(|error| broken(self.file, &error))?;
            self.sample.records += 1;
            let mut objects = BTreeSet::from([""]);
            let mut members = BTreeSet::new();
            for (name, cell) in names.iter().zip(&record) {
                if cell.is_empty() {
                    self.field(name);
                    continue;
                }
                self.cell(name, cell);
                members.insert(name.as_str());
                for (dot, _) in name.match_indices('.') {
                    objects.insert(&name[..dot]);
                    members.insert(&name[..dot]);
                }
            }
            for path in objects {
                *self.sample.objects.entry(path.to_owned()).or_default() += 1;
            }
            for path in members {
                *self.sample.members.entry(path.to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn value(&mut self, path: &str, value: &Value, depth: usize) {
        match value {
            _ if depth > DEEPEST => self.sample.unnamed += 1,
            Value::Object(map) => {
                *self.sample.objects.entry(path.to_owned()).or_default() += 1;
                for (name, inner) in map {
                    if !is_name(name) {
                        self.sample.unnamed += 1;
                        continue;
                    }
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    *self.sample.members.entry(path.clone()).or_default() += 1;
                    self.value(&path, inner, depth + 1);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.value(&format!("{path}[]"), item, depth + 1);
                }
            }
            Value::Null => self.met(path, "null", |_| None),
            Value::Bool(yes) => self.met(path, "boolean", |_| Some(Scalar::Boolean(*yes))),
            Value::String(text) => self.met(path, "string", |_| Some(Scalar::Text(text))),
            Value::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                match (whole, number.as_f64()) {
                    (Some(whole), _) => self.met(path, "integer", |_| Some(Scalar::Integer(whole))),
                    (None, Some(float)) => self.met(path, "number", |_| Some(Scalar::Number(float))),
                    (None, None) => self.met(path, "number", |_| None),
                }
            }
        }
    }

    /// A cell is text that may stand for something else, as the element has it.
    fn cell(&mut self, path: &str, cell: &str) {
        // Zeros in front mean something.
        let digits = cell.trim_start_matches('-');
        let is_plain = digits == "0" || !digits.starts_with('0') || digits.starts_with("0.");
        let whole = cell.parse::<i64>().ok().filter(|_| is_plain).map(i128::from);
        let float = cell.parse::<f64>().ok().filter(|float| is_plain && float.is_finite());
        let word = match (cell, whole, float) {
            ("true" | "false", ..) => "boolean",
            (_, Some(_), _) => "integer",
            (_, None, Some(_)) => "number",
            _ => "string",
        };
        self.met(path, word, |element| match element.value_type() {
            ValueType::Integer | ValueType::Number => whole.map(Scalar::Integer).or(float.map(Scalar::Number)),
            ValueType::Boolean => (word == "boolean").then_some(Scalar::Boolean(cell == "true")),
            _ => Some(Scalar::Text(cell)),
        });
    }

    fn field(&mut self, path: &str) -> &mut Field {
        let sample = &mut self.sample;
        let at = *sample.known.entry(path.to_owned()).or_insert_with(|| {
            sample.fields.push(Field { path: path.to_owned(), ..Field::default() });
            sample.fields.len() - 1
        });
        &mut sample.fields[at]
    }

    fn met<'v>(&mut self, path: &str, word: &'static str, scalar: impl Fn(&Element) -> Option<Scalar<'v>>) {
        let (dictionary, on) = (self.dictionary, self.on);
        let field = self.field(path);
        field.types.insert(word);
        if word == "null" || field.checked == MOST_CHECKED {
            return;
        }
        field.checked += 1;
        field.passed.resize(dictionary.elements().len(), 0);
        for (passed, element) in field.passed.iter_mut().zip(dictionary.elements()) {
            let codes = dictionary.codes_of(element);
            *passed += u32::from(scalar(element).is_some_and(|value| element.check(value, on, codes).is_empty()));
        }
    }

    fn bounded(&self) -> Result<(), Vec<Problem>> {
        if self.sample.fields.len() <= MOST_FIELDS {
            return Ok(());
        }
        let found = format!("the records have more than {MOST_FIELDS} different fields");
        Err(vec![at(self.file, 0, found, "records with named fields, not maps")])
    }
}

/// Whether a member's name is one people gave a field, and no value: it may be told.
fn is_name(name: &str) -> bool {
    let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '\u{300}'..='\u{36f}'));
    begins && is_plain && digits <= 4 && name.chars().count() <= LONGEST_NAME
}

fn at(file: &Path, line: usize, found: String, expected: &str) -> Problem {
    let place = Place { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 };
    Problem { place, key: String::new(), found, expected: expected.to_owned() }
}

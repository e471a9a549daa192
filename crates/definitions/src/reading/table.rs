//! A TOML table that knows which of its keys were asked for.

use std::{borrow::Cow, cell::RefCell};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Place, Problems, Source};

/// One table of a source. Ask for every key it may have, then call [`finish`](Self::finish): what was not asked for is
/// an error.
pub struct Table<'a> {
    source: &'a Source,
    problems: &'a Problems,
    table: Option<&'a DeTable<'a>>,
    at: usize,
    path: String,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The whole document.
    #[must_use]
    pub fn root(source: &'a Source, document: &'a Spanned<DeTable<'a>>, problems: &'a Problems) -> Self {
        Self::new(source, problems, Some(document.get_ref()), 0, String::new())
    }

    fn new(
        source: &'a Source,
        problems: &'a Problems,
        table: Option<&'a DeTable<'a>>,
        at: usize,
        path: String,
    ) -> Self {
        Self { source, problems, table, at, path, known: RefCell::default() }
    }

    /// Where the table begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.source.place(self.at)
    }

    /// Where the value of the key stands; the table's own place when it does not.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Place {
        self.table.and_then(|table| table.get(key)).map_or_else(|| self.place(), |v| self.source.place(v.span().start))
    }

    /// The key with the names of the tables around it.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the key stands in the table.
    #[must_use]
    pub fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Whether the table itself stands in the file; `false` for one that [`table`](Self::table) made up.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.table.is_some()
    }

    /// What stands under the key, short enough for a message.
    #[must_use]
    pub fn shown(&self, key: &str) -> Option<String> {
        self.table?.get(key).map(|value| shown(value.get_ref()))
    }

    /// Notes a problem with the key's value.
    pub fn problem(&self, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        self.problems.note(self.place_of(key), self.path_of(key), found, expected);
    }

    /// The value of a key that may be left out. `None` also when it has another form, which is noted.
    pub fn optional<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let parsed = parse(value.get_ref());
        if parsed.is_none() {
            self.problem(key, shown(value.get_ref()), expected);
        }
        parsed
    }

    /// The value of a key that must stand. `None` when it does not or has another form, which is noted.
    pub fn required<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.problems.note(self.place(), self.path_of(key), "the key is missing", expected);
            return None;
        }
        self.optional(key, expected, parse)
    }

    /// The items of a list that may be left out, each with its place; items of another form are noted and left out.
    pub fn list<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&DeValue<'a>) -> Option<T>,
    ) -> Vec<(Place, T)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.problem(key, shown(value.get_ref()), format!("a list, each item {expected}"));
            return Vec::new();
        };
        let mut items = Vec::with_capacity(array.len());
        for item in array {
            let place = self.source.place(item.span().start);
            match parse(item.get_ref()) {
                Some(parsed) => items.push((place, parsed)),
                None => self.problems.note(place, self.path_of(key), shown(item.get_ref()), expected),
            }
        }
        items
    }

    /// The names and texts of a table under a key, whatever the names are; empty when it is left out. Values of another
    /// form are noted and left out.
    #[must_use]
    pub fn texts(&self, key: &'static str, expected: &str) -> Vec<(String, String)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.problem(key, shown(value.get_ref()), format!("a table, each value {expected}"));
            return Vec::new();
        };
        let mut texts = Vec::with_capacity(table.len());
        for (name, value) in table {
            let name: &str = name.get_ref();
            match value.get_ref().as_str() {
                Some(text) => texts.push((name.to_owned(), text.to_owned())),
                None => {
                    let place = self.source.place(value.span().start);
                    self.problems.note(
                        place,
                        format!("{}.{name}", self.path_of(key)),
                        shown(value.get_ref()),
                        expected,
                    );
                }
            }
        }
        texts
    }

    /// The table under a key; an empty one when it is left out.
    #[must_use]
    pub fn table(&self, key: &'static str) -> Table<'a> {
        let Some(value) = self.value(key) else {
            return Self::new(self.source, self.problems, None, self.at, self.path_of(key));
        };
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.problem(key, shown(value.get_ref()), format!("a table [{}]", self.path_of(key)));
        }
        Self::new(self.source, self.problems, table, value.span().start, self.path_of(key))
    }

    /// The tables under a key: `[[key]]`, or a list of inline tables.
    #[must_use]
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let expected = format!("a list of tables [[{}]]", self.path_of(key));
            self.problem(key, shown(value.get_ref()), expected);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.len());
        for item in array {
            let at = item.span().start;
            match item.get_ref().as_table() {
                Some(table) => tables.push(Self::new(self.source, self.problems, Some(table), at, self.path_of(key))),
                None => {
                    let place = self.source.place(at);
                    self.problems.note(place, self.path_of(key), shown(item.get_ref()), "a table");
                }
            }
        }
        tables
    }

    /// Ends the reading: notes every key that was not asked for.
    pub fn finish(self) {
        self.unknown_keys();
    }

    /// Notes every key that has not been asked for up to now.
    pub fn unknown_keys(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let expected = match suggestion(name, known.iter().copied()) {
                Some(near) => format!("a known key; did you mean \"{near}\"?"),
                None => format!("one of {}", known.join(", ")),
            };
            let place = self.source.place(key.span().start);
            self.problems.note(place, self.path_of(name), "unknown key", expected);
        }
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table?.get(key)
    }
}

/// The candidate that is most like the name, if one is near enough to be a slip of the pen.
pub fn suggestion<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What stands there, short enough for a message.
fn shown(value: &DeValue<'_>) -> String {
    const LONGEST: usize = 60;
    let text: Cow<'_, str> = match value {
        DeValue::String(text) => format!("{:?}", cut(text, LONGEST)).into(),
        DeValue::Integer(number) => number.to_string().into(),
        DeValue::Float(number) => number.to_string().into(),
        DeValue::Boolean(yes) => yes.to_string().into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(items) => format!("a list of {}", items.len()).into(),
        DeValue::Table(_) => "a table".into(),
    };
    format!("{text} stands here")
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}…", &text[..at]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{boolean, text, unsigned};

    #[test]
    fn every_problem_of_a_table_is_noted_with_its_place() {
        let source = Source::new("x.toml", "name = 3\n[inner]\nflag = \"yes\"\nfalg = true\n[[row]]\nn = -1\n");
        let problems = Problems::default();
        let document = source.parse_toml(&problems).expect("good TOML");
        let root = Table::root(&source, &document, &problems);
        assert_eq!(root.required("name", "a text", text), None);
        assert_eq!(root.required("other", "a text", text), None);
        let inner = root.table("inner");
        assert_eq!(inner.optional("flag", "true or false", boolean), None);
        inner.finish();
        for row in root.tables("row") {
            assert_eq!(row.required("n", "a whole number", unsigned), None);
            row.finish();
        }
        root.finish();
        let lines: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "x.toml:1:1: other: the key is missing; expected a text",
                "x.toml:1:8: name: 3 stands here; expected a text",
                "x.toml:3:8: inner.flag: \"yes\" stands here; expected true or false",
                "x.toml:4:1: inner.falg: unknown key; expected a known key; did you mean \"flag\"?",
                "x.toml:6:5: row.n: -1 stands here; expected a whole number",
            ]
        );
    }

    #[test]
    fn broken_toml_is_reported_with_line_and_column() {
        let source = Source::new("x.toml", "a = 1\nb = = 2\nc 3\n");
        let problems = Problems::default();
        assert!(source.parse_toml(&problems).is_none());
        let problems = problems.into_sorted();
        assert!(problems.iter().any(|p| p.place.line == 2), "{problems:?}");
        assert!(problems.iter().any(|p| p.place.line == 3), "{problems:?}");
    }
}

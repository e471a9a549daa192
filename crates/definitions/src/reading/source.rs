//! A file's text, and where its lines begin.

use std::{fs, path::Path};

use toml::{Spanned, de::DeTable};

use super::{Place, Problem, Problems};

/// The text of a file.
#[derive(Debug)]
pub struct Source {
    file: Box<Path>,
    text: String,
    line_starts: Vec<usize>,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is not UTF-8; the problem names the line.
    pub fn read(file: &Path) -> Result<Self, Problem> {
        let problem = |place, found: String, expected: &str| Problem {
            place,
            key: String::new(),
            found,
            expected: expected.to_owned(),
        };
        let bytes = fs::read(file)
            .map_err(|error| problem(Place::file(file), format!("cannot be read: {error}"), "a readable file"))?;
        String::from_utf8(bytes).map(|text| Self::new(file, text)).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count();
            let place = Place { file: file.to_owned(), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 };
            problem(place, "not UTF-8".to_owned(), "text in UTF-8")
        })
    }

    /// Takes a text that stands in a file.
    pub fn new(file: impl AsRef<Path>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.as_ref().into(), text, line_starts }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place of a byte offset.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts[line - 1];
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: self.file.to_path_buf(), line: number(line), column: number(column) }
    }

    /// Parses the text as TOML. `None` after noting every syntax error: what a parser recovers from broken text would
    /// only bring errors that are not there.
    pub fn parse_toml<'a>(&'a self, problems: &Problems) -> Option<Spanned<DeTable<'a>>> {
        let (document, errors) = DeTable::parse_recoverable(&self.text);
        for error in &errors {
            let place = self.place(error.span().map_or(0, |span| span.start));
            problems.note(place, "", format!("TOML syntax: {}", error.message()), "");
        }
        errors.is_empty().then_some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_code_points() {
        let source = Source::new("x.toml", "một = 1\nhai = 2\n");
        let at = |needle: &str| source.place(source.text().find(needle).expect("stands there"));
        assert_eq!((at("1").line, at("1").column), (1, 7));
        assert_eq!((at("hai").line, at("hai").column), (2, 1));
        assert_eq!(source.place(source.text().len()).line, 3);
    }
}

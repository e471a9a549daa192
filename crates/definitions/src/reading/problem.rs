//! What is wrong in a file, and where.

use std::{cell::RefCell, fmt, path::PathBuf};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: PathBuf,
    /// Line from 1; 0 when the problem is with the file as a whole.
    pub line: u32,
    /// Column from 1, in Unicode code points; 0 when not known.
    pub column: u32,
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// One thing that is wrong in a file. Files hold definitions and settings, not personal data, so what stands there may
/// be repeated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key, with the names of the tables around it; empty when there is none.
    pub key: String,
    /// What stands there, or what is wrong with it.
    pub found: String,
    /// What should stand there; empty when `found` says it all.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.found)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        Ok(())
    }
}

/// Collects problems while reading goes on.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes one.
    pub fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Notes one, put together here.
    pub fn note(&self, place: Place, key: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) {
        self.push(Problem { place, key: key.into(), found: found.into(), expected: expected.into() });
    }

    /// Whether there is one already for this key at this place: one mistake is reported once.
    #[must_use]
    pub fn has(&self, place: &Place, key: &str) -> bool {
        self.0.borrow().iter().any(|problem| problem.key == key && problem.place == *place)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, by file and line, each once.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }
}

//! Runs the records beside schemas, with a result for each schema.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{References, examine, reading::Problem};

/// What became of the examples of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SchemaTest {
    /// Whether it compiled: nothing is run otherwise.
    pub is_compiled: bool,
    /// Records that are to be accepted.
    pub accepted: Ran,
    /// Records that are to be rejected.
    pub rejected: Ran,
}

/// How many ran, and how many of them behaved otherwise than they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ran {
    /// All.
    pub run: usize,
    /// Those that did not behave.
    pub failed: usize,
}

/// The results of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// By name of the schema.
    pub schemas: BTreeMap<String, SchemaTest>,
    /// Everything wrong with the folder, failed examples included, by file and line.
    pub problems: Vec<Problem>,
}

/// Runs every example of folders, taken together.
#[must_use]
pub fn test(folders: &[PathBuf], references: References) -> Tested {
    let examined = examine(folders, references);
    let mut schemas: BTreeMap<String, SchemaTest> =
        examined.folder.schemas.iter().map(|schema| (schema.name.clone(), SchemaTest::default())).collect();
    for name in &examined.checked.compiled {
        schemas.entry(name.clone()).or_default().is_compiled = true;
    }
    for example in &examined.checked.examples {
        let of = schemas.entry(example.schema.clone()).or_default();
        let ran = if example.is_rejected { &mut of.rejected } else { &mut of.accepted };
        ran.run += 1;
        ran.failed += usize::from(!example.passed);
    }
    Tested { schemas, problems: examined.problems.into_sorted() }
}

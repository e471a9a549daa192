//! Compares two schema files as the hub compares two versions.

use std::path::Path;

pub use ldop_schema_registry::compatibility::{CompatibilityMode, CompatibilityPolicy, Difference, Severity, Verdict};
use ldop_schema_registry::{SchemaFinding, SchemaTree, compatibility::check};

use crate::{
    json::locate,
    reading::{Problem, Source},
};

/// Judges whether the schema of `new` may follow the schema of `old`. References to other files are not followed.
///
/// # Errors
///
/// Files that cannot be read or hold no schema: everything found in both, by file and line.
pub fn diff(
    old: &Path,
    new: &Path,
    mode: CompatibilityMode,
    policy: CompatibilityPolicy,
) -> Result<Verdict, Vec<Problem>> {
    match (tree(old), tree(new)) {
        (Ok(old), Ok(new)) => Ok(check(&new, &[(1, &old)], mode, policy)),
        (old, new) => Err([old.err(), new.err()].into_iter().flatten().flatten().collect()),
    }
}

fn tree(file: &Path) -> Result<SchemaTree, Vec<Problem>> {
    let source = Source::read(file).map_err(|problem| vec![problem])?;
    let problem = |finding: SchemaFinding| schema_problem(&source, &finding);
    SchemaTree::parse(source.text(), &[]).map_err(|findings| findings.into_iter().map(problem).collect())
}

/// A finding where it stands in the file.
pub(crate) fn schema_problem(source: &Source, finding: &SchemaFinding) -> Problem {
    Problem {
        place: source.place(locate(source.text(), &finding.pointer)),
        key: key_of(&finding.pointer),
        found: format!("{} ({})", finding.message.en, finding.remedy.en),
        expected: String::new(),
    }
}

/// What a problem calls a place of a schema.
pub(crate) fn key_of(pointer: &str) -> String {
    if pointer.is_empty() { "(root)".to_owned() } else { pointer.to_owned() }
}

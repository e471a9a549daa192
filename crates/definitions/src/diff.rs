//! Compares two schema files as the hub compares two versions.

use std::{collections::BTreeMap, path::Path};

pub use ldop_schema_registry::compatibility::{CompatibilityMode, CompatibilityPolicy, Difference, Severity, Verdict};
use ldop_schema_registry::{
    SchemaFinding, SchemaTree,
    compatibility::check,
    registry::{
        Reference,
        references::{self, Referred},
    },
};

use crate::{
    files::{self, FileReference, Leads, Placed},
    json::locate,
    reading::{Problem, Source},
    schemas::SchemaText,
};

/// Judges whether the schema of `new` may follow the schema of `old`. Schema files they refer to are read with them.
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
    let (schema, text) = read(file)?;
    SchemaTree::parse(&text, &[]).map_err(|findings| problems(&schema, findings))
}

/// The text of a schema file together with the schema files it refers to.
///
/// # Errors
///
/// Files that cannot be read, or references that lead nowhere, by file and line.
pub fn bundled(file: &Path) -> Result<String, Vec<Problem>> {
    read(file).map(|(_, text)| text)
}

/// A schema file, and its text with what it refers to.
fn read(file: &Path) -> Result<(SchemaText, String), Vec<Problem>> {
    let source = Source::read(file).map_err(|problem| vec![problem])?;
    let mut files = vec![files::plain(file)];
    let mut schemas = vec![SchemaText { name: String::new(), source, references: Vec::new() }];
    let mut references: Vec<Vec<Reference>> = Vec::new();
    // Each file is a version of its own: two of one name in different folders stay apart.
    while let Some(schema) = schemas.get(references.len()) {
        let folder = schema.source.file().parent().unwrap_or(Path::new("")).to_owned();
        let mut own = Vec::new();
        for (name, pointer, subject) in files::named(schema.source.text()) {
            let path = files::plain(&folder.join(&name));
            let version = match files.iter().position(|known| *known == path) {
                Some(known) => known,
                None => {
                    let schema = &schemas[references.len()];
                    let source = Source::read(&path).map_err(|problem| vec![at(&schema.source, &pointer, problem)])?;
                    files.push(path);
                    schemas.push(SchemaText { name: subject.to_string(), source, references: Vec::new() });
                    files.len() - 1
                }
            };
            own.push(Reference { name, subject, version: u32::try_from(version).unwrap_or(u32::MAX) });
        }
        references.push(own);
    }
    let load = |reference: &Reference| {
        let at = usize::try_from(reference.version).ok()?;
        let (schema, references) = schemas.get(at).zip(references.get(at))?;
        Some(Referred { text: schema.source.text().into(), references: references.as_slice().into() })
    };
    let text = references::bundle(schemas[0].source.text(), &references[0], load);
    let mut schema = schemas.swap_remove(0);
    let named = files::named(schema.source.text()).into_iter();
    schema.references =
        named.map(|(name, pointer, subject)| FileReference { name, pointer, subject, leads: Leads::There }).collect();
    match text {
        Ok(text) => Ok((schema, text)),
        Err(findings) => Err(problems(&schema, findings)),
    }
}

fn problems(schema: &SchemaText, findings: Vec<SchemaFinding>) -> Vec<Problem> {
    let placed = |finding| match files::placed(schema, &BTreeMap::new(), finding) {
        Placed::Here(finding) | Placed::In(_, _, finding) => schema_problem(&schema.source, &finding),
    };
    findings.into_iter().map(placed).collect()
}

/// What is wrong with a file, told where it is referred to.
fn at(source: &Source, pointer: &str, problem: Problem) -> Problem {
    let found = format!("{} {}", problem.place.file.display(), problem.found);
    let place = source.place(locate(source.text(), pointer));
    Problem { place, key: key_of(pointer), found, expected: problem.expected }
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

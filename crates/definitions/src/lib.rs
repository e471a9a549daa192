//! Reads a folder of definition files and checks it as a whole, before anything is sent to a hub.
//!
//! A folder holds dictionary elements, code lists, schemas, agencies, systems, datasets and agreements:
//!
//! - `**/*.toml`: `[[element]]`, `[[code_list]]`, `[[agency]]`, `[[system]]`, `[[dataset]]`, `[[agreement]]`, with the
//!   field names of the messages in `proto/ldop/registry/v1` and `proto/ldop/catalog/v1`.
//! - CSV files that code lists name: `code,label_vi,label_en,valid_from,valid_to,successor,parent,successors`.
//! - `**/<schema>.schema.json`: JSON Schema with every property bound to an element. A `$ref` may name another such file.
//! - `<schema>.accepted/*.json`, `<schema>.rejected/*.json`: records that must be accepted, and records that must be
//!   rejected for exactly the reasons they name.
//!
//! [`load`] finds everything that is wrong, not the first thing: every [`Problem`] names file, line,
//! key, what stands there and what should. What the hub checks is checked by the same code the hub uses. The order of
//! the result is that of dependencies and then of ids, so the same folder always gives the same change set.
//!
//! [`diff`] compares two schema files, [`bundled`] puts a schema together with those it refers to, [`lint`] adds advice, [`testing`] tells the examples apart by schema,
//! [`draft`] writes schemas from elements, [`infer`] from sample records.
//!
//! It does no network I/O and knows no state of a hub.

mod check;
mod codes;
pub mod diff;
pub mod draft;
mod entry;
mod examples;
mod files;
pub mod infer;
mod json;
mod kinds;
pub mod lint;
pub mod reading;
mod schemas;
pub mod testing;
mod walk;
mod wire;

use std::path::PathBuf;

pub use files::bundled;
use ldop_contract::control::v1::Change;
use ldop_dictionary::{CodeListDefinition, Dictionary, ElementDefinition};

use reading::{Place, Problem, Problems};

/// Whether a definition may refer to one that is not in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum References {
    /// No: the folder is the whole of it.
    Within,
    /// Yes: the rest stands at the hub, which checks it. Schemas whose elements are not all in the folder are then not
    /// compiled here, and their examples not run.
    Elsewhere,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Resources in order of dependency, each with the place it is defined at.
    pub changes: Vec<(Place, Change)>,
    /// Elements as they were written, by id.
    pub elements: Vec<ElementDefinition>,
    /// Code lists as they were written, by id.
    pub code_lists: Vec<CodeListDefinition>,
    /// Records beside schemas that were checked and behaved as they say.
    pub examples: usize,
    /// What may stand and should not for long, by file and line.
    pub warnings: Vec<Problem>,
}

/// Reads and checks folders, taken together.
///
/// # Errors
///
/// Everything that is wrong, by file and line.
pub fn load(folders: &[PathBuf], references: References) -> Result<Loaded, Vec<Problem>> {
    let examined = examine(folders, references);
    if examined.problems.is_empty() {
        Ok(Loaded {
            changes: wire::changes(&examined.folder),
            elements: examined.folder.elements.into_iter().map(|entry| entry.definition).collect(),
            code_lists: examined.folder.code_lists.into_iter().map(|entry| entry.definition).collect(),
            examples: examined.checked.examples.len(),
            warnings: examined.warnings.into_sorted(),
        })
    } else {
        Err(examined.problems.into_sorted())
    }
}

/// Reads the elements and code lists of folders, whatever else stands there.
///
/// # Errors
///
/// Everything wrong with the files they stand in, by file and line.
pub fn dictionary(folders: &[PathBuf]) -> Result<Dictionary, Vec<Problem>> {
    let problems = Problems::default();
    let mut files = walk::walk(folders, &Problems::default());
    files.schemas.clear();
    let folder = entry::Folder::read(&files, &problems);
    let dictionary = check::dictionary(&folder, References::Within, &problems);
    if problems.is_empty() { Ok(dictionary) } else { Err(problems.into_sorted()) }
}

/// Folders as they were read, and what was found out about them.
struct Examined {
    files: walk::Files,
    folder: entry::Folder,
    checked: check::Checked,
    problems: Problems,
    warnings: Problems,
}

fn examine(folders: &[PathBuf], references: References) -> Examined {
    let problems = Problems::default();
    let files = walk::walk(folders, &problems);
    let folder = entry::Folder::read(&files, &problems);
    let warnings = Problems::default();
    let checked = check::check(&folder, &files, references, &problems, &warnings);
    Examined { files, folder, checked, problems, warnings }
}

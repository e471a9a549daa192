//! Packages: an exported dataset as files in a folder, with a manifest by which anybody can check it, without a hub.
//!
//! Reading order:
//! - [`layout`]: the columns of a table, derived from the schema where there is one.
//! - [`row`]: a record taken apart into cells, and put together again: nothing is lost in a table, and **null and absent
//!   stay two things**.
//! - [`file`](mod@file): one data file, written and read: JSON lines, CSV or Parquet.
//! - [`package`]: a folder that is being filled, a file at a time, so that whoever is cut goes on behind the last whole file.
//! - [`manifest`], [`check`]: what a package says of itself, and whether that is so.
//!
//! It knows the formats and no network: where records come from, and what a resume token means, is its caller's business. A check
//! finds what was lost or altered by accident. Whoever alters data and manifest together is found out by the hash of the
//! records, of which the hub keeps a commitment with the exchange the manifest names.

pub mod check;
mod deletion;
pub mod file;
pub mod layout;
pub mod manifest;
pub mod package;
pub mod row;

use std::{io, path::PathBuf};

/// Why a package cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// "read", "write" and the like.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder holds a package that is whole, or files that are none of ours.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The folder holds a part of another export.
    #[error("{} holds a part of another export: {found}; asked for: {asked}", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// What it is of.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// What the hub says it gave is not what came.
    #[error("the hub says it gave {told}, and {came} came")]
    Differs {
        /// What the hub says.
        told: String,
        /// What came.
        came: String,
    },
    /// A record is no JSON object.
    #[error("record {0} of the export is no JSON object")]
    NotARecord(u64),
    /// The writer of a format failed.
    #[error("cannot write {}: {text}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

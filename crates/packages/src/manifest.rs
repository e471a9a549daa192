//! What a package says of itself: `manifest.json`.

use serde::{Deserialize, Serialize};

use crate::{file::Format, layout::Layout};

/// Name of the manifest.
pub const FILE: &str = "manifest.json";
/// The form of the manifest that this release writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// A manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`VERSION`]
    pub manifest_version: u32,
    /// What was exported.
    #[serde(flatten)]
    pub of: Of,
    /// Form of the data files.
    pub format: Format,
    /// Columns, where the files are tables.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<Layout>,
    /// Field that is true in records that say that what has their key is no more; none where there are no such records.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deletion_field: Option<String>,
    /// How the data is to be read, in words.
    pub how_to_read: Vec<String>,
    /// Versions of the schema the records were checked against, rising.
    pub schema_versions: Vec<u32>,
    /// Records in all files.
    pub records: u64,
    /// Data files, in order.
    pub files: Vec<DataFile>,
    /// Calls that gave the records, in order. More than one where the export was cut.
    pub calls: Vec<Call>,
    /// SHA-256 over, for each record in order, its length as 8 bytes, big-endian, and its bytes as the hub gave them; of the hub, and
    /// the same as was computed here. None where more than one call gave records.
    pub stream_hash: Option<String>,
    /// When the export began, RFC 3339.
    pub started: String,
    /// When it ended, RFC 3339; empty while it has not.
    pub finished: String,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Of {
    /// Agreement id.
    pub agreement: String,
    /// Its version.
    pub agreement_version: u32,
    /// Dataset.
    pub dataset: String,
    /// "testing" or "live".
    pub stage: String,
    /// Fields the records were reduced to.
    pub granted_fields: Vec<String>,
    /// "current_copy": the latest record of each key; "log": every record the log held.
    pub source: String,
}

/// A call to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The exchange the hub accounts for it under.
    pub exchange_id: String,
    /// Whether it went on where another was cut.
    pub resumed: bool,
    /// When it began, RFC 3339.
    pub started: String,
    /// The position of what it gave: of each partition the first log entry that is not in it.
    pub positions: Vec<Position>,
    /// Records of it that are in the package.
    pub records: u64,
    /// What the hub's commitment is salted with: 16 bytes as hexadecimal digits.
    pub salt: String,
    /// As [`Manifest::stream_hash`], of this call; none where it was cut.
    pub stream_hash: Option<String>,
}

/// A position in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Partition, from 0.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
}

/// A data file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its name in the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, as hexadecimal digits.
    pub sha256: String,
    /// Records in it.
    pub records: u64,
    /// Of these, records whose line breaks between tokens became spaces.
    pub rewritten: u64,
    /// The call that gave them, from 0.
    pub call: usize,
}

/// How the data is to be read, in words.
#[must_use]
pub(crate) fn how_to_read(manifest: &Manifest, layout: &Layout, is_resumed: bool) -> Vec<String> {
    let (format, is_copy) = (manifest.format, manifest.of.source == "current_copy");
    let mut said = Vec::new();
    match format {
        Format::Jsonl => said.push("Each line of a file is one record, a JSON object.".to_owned()),
        Format::Csv | Format::Parquet => {
            said.push(format!(
                "A cell that is empty: the record does not have the field, unless column {:?} names it, and then it is null, or column \
                 {:?} holds its value.",
                layout.null_fields, layout.other_values
            ));
            said.push("Cells of columns of kind \"json\" hold JSON texts.".to_owned());
            said.push("The number in a cell is equal to that in the record, and may be written otherwise.".to_owned());
            if format == Format::Csv {
                said.push(format!("Texts that are empty stand in column {:?}.", layout.other_values));
            }
        }
    }
    if is_copy && is_resumed {
        said.push(
            "The export was cut and went on while records changed: of two records with the same key the later one, in the order of \
             files and rows, holds. A record that was removed after it had been given may still be there."
                .to_owned(),
        );
    } else if is_copy {
        said.push("There is one record for each key: the latest at the position told.".to_owned());
    } else {
        said.push("Records of one partition are in order; the later one of a key holds.".to_owned());
    }
    if let Some(field) = &manifest.deletion_field {
        said.push(format!(
            "Where field {field:?} is true, what has this key is no more: the record is its key fields, as far as they are granted."
        ));
    }
    said
}

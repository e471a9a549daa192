//! Differences between two schemas, found here or by the hub, as they are shown.

use ldop_contract::registry::v1::SchemaDifference;
use ldop_definitions::diff;
use serde_json::{Value, json};

use crate::output;

/// One difference.
#[derive(Debug)]
pub struct Difference {
    /// Version compared with; none where two files are.
    version: Option<u32>,
    direction: String,
    pointer: String,
    kind: String,
    severity: String,
    vi: String,
    en: String,
}

impl From<diff::Difference> for Difference {
    fn from(found: diff::Difference) -> Self {
        Self {
            version: None,
            direction: found.direction.as_str().to_owned(),
            pointer: found.pointer,
            kind: found.kind.as_str().to_owned(),
            severity: found.severity.as_str().to_owned(),
            vi: found.message.vi.into_owned(),
            en: found.message.en.into_owned(),
        }
    }
}

impl From<SchemaDifference> for Difference {
    fn from(found: SchemaDifference) -> Self {
        Self {
            version: Some(found.version),
            direction: found.direction,
            pointer: found.pointer,
            kind: found.kind,
            severity: found.severity,
            vi: found.message_vi,
            en: found.message_en,
        }
    }
}

impl Difference {
    /// Whether it stands in the way.
    pub fn is_in_the_way(&self) -> bool {
        self.severity != diff::Severity::Compatible.as_str()
    }

    /// As programs read it.
    pub fn to_json(&self) -> Value {
        json!({
            "version": self.version,
            "direction": self.direction,
            "pointer": self.pointer,
            "kind": self.kind,
            "severity": self.severity,
            "message": { "vi": self.vi, "en": self.en },
        })
    }
}

/// Writes a table, where there is anything to write.
pub fn table(differences: &[Difference]) {
    if differences.is_empty() {
        return;
    }
    let has_versions = differences.iter().any(|difference| difference.version.is_some());
    let names = ["version", "direction", "pointer", "kind", "severity", "vi / en"];
    let mut table = output::table(if has_versions { &names } else { &names[1..] });
    for difference in differences {
        let pointer = if difference.pointer.is_empty() { "(root)" } else { &difference.pointer };
        let version = difference.version.map(|version| version.to_string()).unwrap_or_default();
        let sentence = format!("{}\n{}", difference.vi, difference.en);
        let row = [&version, &difference.direction, pointer, &difference.kind, &difference.severity, &sentence];
        table.add_row(if has_versions { row.to_vec() } else { row[1..].to_vec() });
    }
    output::line(table);
}

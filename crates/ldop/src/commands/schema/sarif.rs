//! Findings as SARIF 2.1.0 (OASIS, Static Analysis Results Interchange Format), which code hosts show beside the lines.

use std::{collections::BTreeSet, path::Path};

use ldop_definitions::lint::{LintFinding, describe};
use serde_json::{Value, json};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The log of one run.
pub fn log(findings: &[LintFinding]) -> Value {
    let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect::<BTreeSet<_>>().into_iter().collect();
    let result = |finding: &LintFinding| {
        let mut text = format!("{} / {}", finding.message.en, finding.message.vi);
        if let Some(remedy) = &finding.remedy {
            text = format!("{text}\n{} / {}", remedy.en, remedy.vi);
        }
        // A finding of a whole file stands at its first line: code hosts drop what has no line.
        let mut region = json!({ "startLine": finding.place.line.max(1) });
        if finding.place.column > 0 {
            region["startColumn"] = json!(finding.place.column);
        }
        let mut result = json!({
            "ruleId": finding.rule,
            "ruleIndex": rules.iter().position(|rule| *rule == finding.rule),
            "level": finding.level.as_str(),
            "message": { "text": text },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&finding.place.file) },
                    "region": region,
                },
            }],
        });
        if !finding.key.is_empty() {
            result["locations"][0]["logicalLocations"] = json!([{ "fullyQualifiedName": finding.key }]);
        }
        result
    };
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "ldop",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter()
                    .map(|rule| json!({ "id": rule, "shortDescription": { "text": describe(rule) } }))
                    .collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

/// A path as a relative URI reference, or as a file URI where it is absolute.
fn uri(file: &Path) -> String {
    let mut uri = String::from(if file.is_absolute() { "file://" } else { "" });
    let text = file.to_string_lossy().replace('\\', "/");
    let text = text.strip_prefix("./").unwrap_or(&text);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri(Path::new("./schemas/a b/xã.json")), "schemas/a%20b/x%C3%A3.json");
        assert_eq!(uri(Path::new("/srv/x.toml")), "file:///srv/x.toml");
    }
}

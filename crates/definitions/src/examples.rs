//! Runs the records that stand beside schemas.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::{Date, Rule, TimestampMs};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    check::Schemas,
    json::locate,
    reading::{Place, Problems, Source, suggestion},
    schemas::{json_syntax, note_json_error},
    walk::{ExampleFile, Files},
};

/// A record that must be rejected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected<'a> {
    #[serde(borrow)]
    record: &'a RawValue,
    event_time: Option<String>,
    expect: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    pointer: String,
    rule: String,
}

/// An example that was run.
pub(crate) struct ExampleRun {
    pub schema: String,
    pub is_rejected: bool,
    /// It behaved as it says.
    pub passed: bool,
}

/// Runs every example.
pub(crate) fn run(files: &Files, schemas: &Schemas<'_>, problems: &Problems) -> Vec<ExampleRun> {
    let mut run = Vec::new();
    let mut parser = Parser::default();
    let mut outcome = Outcome::default();
    for file in &files.examples {
        let is_beside = files.schemas.iter().any(|s| s.name == file.schema && s.path.parent() == Some(&*file.beside));
        if !is_beside {
            let expected = format!("{}.schema.json beside the folder", file.schema);
            problems.note(Place::file(&file.path), "", "an example of a schema that is not there", expected);
            continue;
        }
        // A schema that could not be read or compiled is reported for itself.
        let Some(Some(schema)) = schemas.get(file.schema.as_str()) else { continue };
        let source = match Source::read(&file.path) {
            Ok(source) => source,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let before = problems.len();
        let example = Example { file, schema, source: &source, problems };
        if file.is_rejected {
            example.rejected(&mut parser, &mut outcome)
        } else {
            example.accepted(&mut parser, &mut outcome)
        }
        let (schema, is_rejected) = (file.schema.clone(), file.is_rejected);
        run.push(ExampleRun { schema, is_rejected, passed: problems.len() == before });
    }
    run
}

struct Example<'a> {
    file: &'a ExampleFile,
    schema: &'a CompiledSchema,
    source: &'a Source,
    problems: &'a Problems,
}

impl Example<'_> {
    fn accepted(&self, parser: &mut Parser, outcome: &mut Outcome) {
        for (pointer, rule) in self.findings(self.source.text(), today(), parser, outcome) {
            let found = format!("the record is rejected: {} ({})", rule.as_str(), rule.describe().1);
            self.note(&pointer, found, "a record that is accepted");
        }
    }

    fn rejected(&self, parser: &mut Parser, outcome: &mut Outcome) {
        if !json_syntax(self.source, self.problems) {
            return;
        }
        let rejected: Rejected<'_> = match serde_json::from_str(self.source.text()) {
            Ok(rejected) => rejected,
            Err(error) => {
                let expected = "{\"record\": {...}, \"event_time\": \"...\" (may be left out), \"expect\": [{\"pointer\", \"rule\"}]}";
                return note_json_error(self.source, &error, "", expected, self.problems);
            }
        };
        let on = match rejected.event_time.as_deref().map(str::parse::<Timestamp>) {
            None => today(),
            Some(Ok(moment)) => TimestampMs(moment.as_millisecond()).date_in_vietnam(),
            Some(Err(_)) => return self.note("/event_time", "not a date-time", "an RFC 3339 date-time"),
        };
        let mut expected = BTreeSet::new();
        let mut has_unknown_rule = false;
        for (at, entry) in rejected.expect.iter().enumerate() {
            match Rule::ALL.iter().find(|rule| rule.as_str() == entry.rule) {
                Some(rule) => {
                    expected.insert((entry.pointer.clone(), *rule));
                }
                None => {
                    has_unknown_rule = true;
                    let near = suggestion(&entry.rule, Rule::ALL.iter().map(|rule| rule.as_str()));
                    let near = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
                    let found = format!("{:?} is no rule", entry.rule);
                    self.note(&format!("/expect/{at}/rule"), found, &format!("a rule of docs/rules.md{near}"));
                }
            }
        }
        if has_unknown_rule {
            return; // what comes instead of a misspelt rule would only confuse
        }
        if expected.is_empty() {
            return self.note("/expect", "nothing is expected", "at least one pointer and rule");
        }
        let found = self.findings(rejected.record.get(), on, parser, outcome);
        for (pointer, rule) in expected.difference(&found) {
            let found = format!("{} ({}) is expected here and does not come", rule.as_str(), rule.describe().1);
            self.note(&format!("/record{pointer}"), found, "");
        }
        for (pointer, rule) in found.difference(&expected) {
            let found = format!("{} ({}) comes here and is not expected", rule.as_str(), rule.describe().1);
            self.note(&format!("/record{pointer}"), found, "");
        }
    }

    fn findings(&self, record: &str, on: Date, parser: &mut Parser, outcome: &mut Outcome) -> BTreeSet<(String, Rule)> {
        match parser.parse(record.as_bytes()) {
            Ok(document) => {
                self.schema.check(&document, on, outcome);
                outcome.findings.iter().map(|finding| (finding.pointer.clone(), finding.rule)).collect()
            }
            Err(flaw) => BTreeSet::from([(flaw.pointer, flaw.rule)]),
        }
    }

    fn note(&self, pointer: &str, found: impl Into<String>, expected: &str) {
        let place = self.source.place(locate(self.source.text(), pointer));
        let schema = &self.file.schema;
        let key = if pointer.is_empty() { schema.clone() } else { format!("{schema} {pointer}") };
        self.problems.note(place, key, found, expected);
    }
}

/// Codes are judged at the day the hub would receive the record.
pub(crate) fn today() -> Date {
    TimestampMs::now().date_in_vietnam()
}

//! The refusals file: what was refused, why, and the record itself, to be corrected and sent again.

use std::{
    fs::{File, OpenOptions},
    io::{BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use ldop_client::Refusal;
use ldop_types::{ExchangeId, TimestampMs};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::{commands::exchange::violation_json, failure::Failure, output::local_time_ms};

/// What the name of a refusals file has in it, and by which one is known when it is published.
pub(super) const INFIX: &str = ".refused";

/// Why a record was not sent at all: the reason that stands in the file.
pub(super) const NOT_SENT: &str = "NOT_SENT";

/// A refusals file. It is made with the first refusal, and never in the place of another.
pub(super) struct Refusals {
    wanted: PathBuf,
    is_named: bool,
    open: Option<(PathBuf, BufWriter<File>)>,
}

/// A record that was refused or not sent.
pub(super) struct Refused<'a> {
    pub line: u64,
    pub payload: &'a [u8],
    pub event_time: Option<TimestampMs>,
    pub exchange_id: Option<ExchangeId>,
}

/// A line of the file. The record comes last, where an editor finds it.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    reason: &'a str,
    message: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
    /// A record that is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_text: Option<String>,
}

impl Refusals {
    /// Names the file: the one given, or one after the input.
    pub(super) fn new(input: &Path, named: Option<&Path>) -> Self {
        let wanted = named.map_or_else(
            || {
                let input = if input.as_os_str() == "-" { Path::new("stdin") } else { input };
                let name = input.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                // What was refused of a refusals file is a refusals file of the same name, with another number.
                let name = name.split(INFIX).next().unwrap_or_default().to_owned();
                input.with_file_name(format!("{name}{INFIX}.jsonl"))
            },
            Path::to_owned,
        );
        Self { wanted, is_named: named.is_some(), open: None }
    }

    /// Writes a record the hub refused.
    pub(super) fn refused(&mut self, record: &Refused<'_>, refusal: &Refusal) -> Result<(), Failure> {
        let message = refusal.message.as_ref().map(|text| serde_json::json!({ "vi": text.vi, "en": text.en }));
        let violations = refusal.violations.iter().map(violation_json).collect();
        self.write(record, &refusal.reason, message.unwrap_or_default(), violations)
    }

    /// Writes a record that was not sent.
    pub(super) fn not_sent(&mut self, record: &Refused<'_>, why: &str) -> Result<(), Failure> {
        self.write(record, NOT_SENT, serde_json::json!({ "en": why }), Vec::new())
    }

    /// The file, when there is one, with everything written.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let Some((path, mut file)) = self.open else { return Ok(None) };
        file.flush().and_then(|()| file.get_ref().sync_all()).map_err(Failure::file("write", &path))?;
        Ok(Some(path))
    }

    fn write(
        &mut self,
        record: &Refused<'_>,
        reason: &str,
        message: Value,
        violations: Vec<Value>,
    ) -> Result<(), Failure> {
        let raw: Option<&RawValue> = serde_json::from_slice(record.payload).ok();
        let line = Line {
            line: record.line,
            reason,
            message,
            violations,
            exchange_id: record.exchange_id.map(|id| id.to_string()),
            event_time: record.event_time.map(|time| local_time_ms(time.0)),
            record: raw,
            record_text: raw.is_none().then(|| String::from_utf8_lossy(record.payload).into_owned()),
        };
        if self.open.is_none() {
            self.open = Some(create(&self.wanted, self.is_named)?);
        }
        let Some((path, file)) = &mut self.open else { return Ok(()) };
        serde_json::to_writer(&mut *file, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(Failure::file("write", &*path))
    }
}

/// Makes the file, readable by its owner only, since it holds records. One that is there may hold corrections somebody
/// made, so another number is taken; a name that was given is an error then.
fn create(wanted: &Path, is_named: bool) -> Result<(PathBuf, BufWriter<File>), Failure> {
    let stem = wanted.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..=9_999 {
        let path =
            if number == 1 { wanted.to_owned() } else { wanted.with_file_name(format!("{stem}-{number}.jsonl")) };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => return Ok((path, BufWriter::new(file))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !is_named => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(Failure::Exists(path)),
            Err(error) => return Err(Failure::file("write", &path)(error)),
        }
    }
    Err(Failure::Exists(wanted.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Refused<'_> {
        Refused { line: 7, payload, event_time: None, exchange_id: None }
    }

    #[test]
    fn a_refusal_carries_its_record_and_takes_no_other_files_place() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let input = folder.path().join("births.jsonl");
        let refusal = Refusal { reason: "RECORD_INVALID".to_owned(), ..Refusal::default() };
        let mut names = Vec::new();
        for _ in 0..2 {
            let mut refusals = Refusals::new(&input, None);
            refusals.refused(&record(b"{\"a\": 1.0}"), &refusal).expect("writable");
            refusals.not_sent(&record(b"{\"a\":"), "not a JSON object").expect("writable");
            names.push(refusals.finish().expect("writable").expect("something was refused"));
        }
        assert!(names[0].ends_with("births.refused.jsonl") && names[1].ends_with("births.refused-2.jsonl"));
        let text = std::fs::read_to_string(&names[0]).expect("written");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("{\"line\":7,\"reason\":\"RECORD_INVALID\""), "{text}");
        assert!(lines[0].ends_with("\"record\":{\"a\": 1.0}}"), "as it stood: {text}");
        assert!(lines[1].contains("\"reason\":\"NOT_SENT\"") && lines[1].contains("\"record_text\":\"{\\\"a\\\":\""));

        let again = Refusals::new(&names[0], None);
        assert_eq!(again.wanted, names[0], "refusals of refusals are numbered on");
        let mut named = Refusals::new(&input, Some(&names[0]));
        assert!(matches!(named.not_sent(&record(b""), ""), Err(Failure::Exists(_))));
    }

    #[test]
    fn without_a_refusal_there_is_no_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let refusals = Refusals::new(&folder.path().join("x.jsonl"), None);
        assert_eq!(refusals.finish().expect("nothing to write"), None);
        assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
    }
}

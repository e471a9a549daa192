//! Reads records from a file, line by line, on a thread of its own.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use bytes::Bytes;
use jiff::{Timestamp, civil};
use ldop_types::TimestampMs;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{Args, Format, csv_rows::CsvRows};
use crate::failure::Failure;

/// Rows handed over at a time, and how many such chunks may wait: the reader is a little ahead, no more.
const CHUNK: usize = 256;
const CHUNKS: usize = 4;
/// A line beyond this is no record of any hub.
const LONGEST_LINE: u64 = 64 << 20;

/// A record read, or a line of which none could be made.
pub(super) struct Row {
    /// Line it stands on, from 1.
    pub line: u64,
    /// The record as it will be sent, or the line as it stands.
    pub payload: Bytes,
    /// Event time, where one was asked for.
    pub event_time: Option<TimestampMs>,
    /// Why it cannot be sent.
    pub unfit: Option<String>,
}

/// Rows with the number of bytes of the input read so far.
pub(super) struct Chunk {
    pub rows: Vec<Row>,
    pub bytes_read: u64,
}

/// Opens the input and its length, where it has one.
pub(super) fn open(args: &Args) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if args.is_stdin() {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(&args.file).map_err(Failure::file("read", &args.file))?;
    let length = file.metadata().map_err(Failure::file("read", &args.file))?;
    if length.is_dir() {
        return Err(Failure::Usage(format!("{} is a folder, not a file of records", args.file.display())));
    }
    Ok((Box::new(file), Some(length.len())))
}

/// Starts to read. The channel ends with the input, with an error, or when nobody takes any more.
pub(super) fn read(
    input: Box<dyn Read + Send>,
    args: &Args,
    csv: Option<CsvRows>,
) -> mpsc::Receiver<Result<Chunk, Failure>> {
    let (chunks, receiver) = mpsc::channel(CHUNKS);
    let event_time = args.event_time.clone();
    let format = args.format();
    let path = args.file.clone();
    // Owned by the receiver: it ends when that is dropped, at its next chunk.
    tokio::task::spawn_blocking(move || {
        let mut sender = Sender { chunks, rows: Vec::new(), event_time };
        let done = match csv {
            Some(csv) => csv.read(input, &mut sender),
            None => lines(input, format, &path, &mut sender),
        };
        match done {
            Ok(bytes_read) => {
                sender.flush(bytes_read);
            }
            Err(failure) => {
                sender.flush(0);
                let _ = sender.chunks.blocking_send(Err(failure));
            }
        }
    });
    receiver
}

/// Collects rows into chunks.
pub(super) struct Sender {
    chunks: mpsc::Sender<Result<Chunk, Failure>>,
    rows: Vec<Row>,
    event_time: Option<String>,
}

impl Sender {
    /// Takes a row; `false` when nobody wants any more.
    pub(super) fn push(&mut self, mut row: Row, bytes_read: u64) -> bool {
        if row.unfit.is_none()
            && row.event_time.is_none()
            && let Some(field) = &self.event_time
        {
            match event_time(&row.payload, field) {
                Ok(time) => row.event_time = Some(time),
                Err(unfit) => row.unfit = Some(unfit),
            }
        }
        self.rows.push(row);
        self.rows.len() < CHUNK || self.flush(bytes_read)
    }

    fn flush(&mut self, bytes_read: u64) -> bool {
        let rows = std::mem::take(&mut self.rows);
        self.chunks.blocking_send(Ok(Chunk { rows, bytes_read })).is_ok()
    }
}

/// A line of a refusals file; what else stands in it explains, and does not count.
#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    record_text: Option<String>,
    event_time: Option<String>,
}

fn lines(input: Box<dyn Read + Send>, format: Format, path: &Path, sender: &mut Sender) -> Result<u64, Failure> {
    let mut reader = BufReader::with_capacity(256 << 10, input);
    let mut line = Vec::new();
    let (mut number, mut bytes_read) = (0, 0);
    loop {
        line.clear();
        let length =
            reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(Failure::file("read", path))?;
        if length == 0 {
            return Ok(bytes_read);
        }
        number += 1;
        bytes_read += length as u64;
        if length as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            let text = format!("{}:{number}: a line of more than {} MiB", path.display(), LONGEST_LINE >> 20);
            return Err(Failure::Usage(format!("{text}; one record stands on each line")));
        }
        // Editors put a byte order mark in front of a file.
        let text = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line) } else { &line };
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let row = match format {
            Format::Refusals => refused(number, text),
            Format::Jsonl | Format::Csv => {
                Row { line: number, payload: Bytes::copy_from_slice(text), event_time: None, unfit: None }
            }
        };
        if !sender.push(row, bytes_read) {
            return Ok(bytes_read);
        }
    }
}

fn refused(line: u64, text: &[u8]) -> Row {
    let unfit = |why: String| Row { line, payload: Bytes::copy_from_slice(text), event_time: None, unfit: Some(why) };
    let refused: Refused<'_> = match serde_json::from_slice(text) {
        Ok(refused) => refused,
        // serde_json shows no text of the input here, only what it misses and where.
        Err(error) => return unfit(format!("not a line of a refusals file: column {}", error.column())),
    };
    let event_time = match refused.event_time.as_deref().map(parse_time) {
        None => None,
        Some(Some(time)) => Some(time),
        Some(None) => return unfit("event_time is not an RFC 3339 date-time".to_owned()),
    };
    let payload = match (refused.record, refused.record_text) {
        (Some(record), _) => Bytes::copy_from_slice(record.get().as_bytes()),
        (None, Some(text)) => Bytes::from(text),
        (None, None) => return unfit("neither record nor record_text stands in the line".to_owned()),
    };
    Row { line, payload, event_time, unfit: None }
}

/// The event time of a record from one of its fields.
fn event_time(payload: &[u8], field: &str) -> Result<TimestampMs, String> {
    // Only the object itself is read, its values are skipped.
    let fields: std::collections::HashMap<std::borrow::Cow<'_, str>, &RawValue> =
        serde_json::from_slice(payload).map_err(|_| "not a JSON object".to_owned())?;
    let value = fields.get(field).ok_or_else(|| format!("the field {field:?} of --event-time is missing"))?;
    let text: String =
        serde_json::from_str(value.get()).map_err(|_| format!("the field {field:?} of --event-time is not a text"))?;
    parse_time(&text).ok_or_else(|| format!("the field {field:?} of --event-time is no date or date-time (RFC 3339)"))
}

/// A date-time with offset, or a day, which begins at midnight in Việt Nam (UTC+7).
fn parse_time(text: &str) -> Option<TimestampMs> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(TimestampMs(moment.as_millisecond()));
    }
    // jiff would also take the day of a date-time without offset, which says nothing.
    let day: civil::Date = (text.len() == 10).then(|| text.parse().ok())??;
    let midnight = day.to_zoned(jiff::tz::offset(7).to_time_zone()).ok()?;
    Some(TimestampMs(midnight.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_time_is_a_moment_or_a_day_in_vietnam() {
        let record =
            r#"{"at": "2026-03-16T09:41:27+07:00", "on": "2026-03-16", "n": 5, "bad": "16/3/2026"}"#.as_bytes();
        assert_eq!(event_time(record, "at"), Ok(TimestampMs(1_773_628_887_000)));
        assert_eq!(event_time(record, "on"), Ok(TimestampMs(1_773_594_000_000)));
        for field in ["n", "bad", "gone"] {
            assert!(event_time(record, field).is_err(), "{field}");
        }
        assert!(event_time(b"[]", "at").is_err());
        assert_eq!(parse_time("2026-03-16T09:41:27"), None);
    }

    #[test]
    fn a_line_of_refusals_gives_the_record_as_it_stands() {
        let row = refused(3, br#"{"line": 7, "reason": "X", "record": {"a": 1.0, "a ": "\u0041"}}"#);
        assert_eq!(&row.payload[..], br#"{"a": 1.0, "a ": "\u0041"}"#);
        assert!(row.unfit.is_none());
        let row = refused(3, br#"{"record_text": "{\"a\":", "event_time": "2026-03-16T09:41:27+07:00"}"#);
        assert_eq!((&row.payload[..], row.event_time), (&b"{\"a\":"[..], Some(TimestampMs(1_773_628_887_000))));
        assert!(refused(3, b"{}").unfit.is_some());
        assert!(refused(3, b"{\"record\":").unfit.is_some());
    }
}

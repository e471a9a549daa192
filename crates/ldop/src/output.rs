//! What commands write to standard output: text for people, JSON for programs.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON document, or one for each line where a command goes on.
    Json,
}

/// A table with its header.
#[must_use]
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

/// Writes a line to standard output. A reader that has gone away, as `head` does, is no error: nobody wants the rest.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a JSON document, indented, to standard output.
pub fn json(value: &serde_json::Value) {
    line(format_args!("{value:#}"));
}

/// Bytes as lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A moment in Việt Nam (UTC+7), to the second, RFC 3339.
#[must_use]
pub fn local_time(unix_millis: i64) -> String {
    formatted(unix_millis, "%Y-%m-%dT%H:%M:%S%:z")
}

/// A moment in Việt Nam (UTC+7), to the millisecond, RFC 3339.
#[must_use]
pub fn local_time_ms(unix_millis: i64) -> String {
    formatted(unix_millis, "%Y-%m-%dT%H:%M:%S%.3f%:z")
}

fn formatted(unix_millis: i64, format: &str) -> String {
    match jiff::Timestamp::from_millisecond(unix_millis) {
        Ok(moment) => moment.to_zoned(jiff::tz::offset(7).to_time_zone()).strftime(format).to_string(),
        Err(_) => unix_millis.to_string(),
    }
}

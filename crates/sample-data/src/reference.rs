//! The reference datasets: real data, embedded.

use bytes::Bytes;
use ldop_types::TimestampMs;

use crate::{
    draft::MERGER,
    json::Writer,
    places::{COMMUNES_CSV, rows},
    sample::Sample,
};

/// The system that provides the three reference datasets.
pub const REFERENCE_PROVIDER: &str = "so-khcn/danh-muc";

const COMMUNE_CHANGES_CSV: &str = include_str!("../data/commune_changes.csv");
const NATIONAL_CSV: &str = include_str!("../data/national_databases.csv");
const PROVINCIAL_CSV: &str = include_str!("../data/provincial_databases.csv");
const BY_MINISTRY_CSV: &str = include_str!("../data/databases_by_ministry.csv");

/// Midnight of 2025-07-01 in Việt Nam, when the merger came into force.
const MERGER_TIME: TimestampMs = TimestampMs((MERGER.0 as i64 * 86_400 - 7 * 3_600) * 1_000);
/// Midnight of 2026-04-01 in Việt Nam, the month of the report the registers of databases are from.
const REPORT_TIME: TimestampMs = TimestampMs(MERGER_TIME.0 + 274 * 86_400_000);

/// The 135 communes and wards of Gia Lai since 2025-07-01, dataset `communes`.
#[must_use]
pub fn communes() -> Vec<Sample> {
    let write = |writer: &mut Writer, row: &csv::StringRecord| {
        writer.text("code", &row[0]);
        writer.text("name", &row[2]);
        writer.text("full_name", &row[1]);
        writer.text("full_name_en", &row[3]);
        writer.text("kind", &row[4]);
        writer.text("slug", &row[5]);
        writer.text("province_code", "52");
        writer.text("effective_on", "2025-07-01");
        writer.object("centroid");
        writer.literal("longitude", &row[6]);
        writer.literal("latitude", &row[7]);
        writer.close();
        writer.object("bounds");
        for (key, degrees) in ["west", "south", "east", "north"].into_iter().zip(row[8].split(' ')) {
            writer.literal(key, degrees);
        }
        writer.close();
        optional(writer, "remark", &row[9]);
    };
    rows(COMMUNES_CSV).map(|row| sample("communes", MERGER_TIME, |writer| write(writer, &row))).collect()
}

/// The 379 old units of Gia Lai and Bình Định and what each went into, dataset `commune-changes`.
#[must_use]
pub fn commune_changes() -> Vec<Sample> {
    let write = |writer: &mut Writer, line: u64, row: &csv::StringRecord| {
        writer.number("line", line);
        optional(writer, "old_code", &row[0]);
        writer.text("old_name", &row[1]);
        writer.text("old_district", &row[2]);
        writer.text("old_province", &row[3]);
        writer.text("new_code", &row[4]);
        writer.text("new_name", &row[5]);
        writer.text("effective_on", "2025-07-01");
        optional(writer, "remark", &row[6]);
    };
    let lines = (1..).zip(rows(COMMUNE_CHANGES_CSV));
    lines.map(|(line, row)| sample("commune-changes", MERGER_TIME, |writer| write(writer, line, &row))).collect()
}

/// The registers of databases, dataset `databases`: 13 national ones, 17 agencies with databases due to the national
/// aggregate, 14 provincial ones to build.
#[must_use]
pub fn databases() -> Vec<Sample> {
    let entry = |register: &'static str, key: &str, name: &str, owner: &str, rest: &dyn Fn(&mut Writer)| {
        sample("databases", REPORT_TIME, |writer| {
            writer.text("register", register);
            writer.text("key", key);
            writer.text("name", name);
            writer.text("owner", owner);
            rest(writer);
        })
    };
    let national = rows(NATIONAL_CSV)
        .map(|row| entry("national", &row[0], &row[1], &row[2], &|writer| writer.text("state", &row[3])));
    let by_ministry = (1..).zip(rows(BY_MINISTRY_CSV)).map(|(line, row)| {
        let name = format!("Các CSDL của {} phải đồng bộ về CSDL tổng hợp quốc gia", &row[0]);
        entry("national-aggregate", &format!("agency-{line:02}"), &name, &row[0], &|writer| {
            for (column, key) in (1..).zip(["not_agreed", "dev_test", "live", "total"]) {
                writer.literal(key, &row[column]);
            }
        })
    });
    let provincial = rows(PROVINCIAL_CSV)
        .map(|row| entry("provincial", &row[0], &row[1], &row[2], &|writer| writer.text("due", &row[3])));
    national.chain(by_ministry).chain(provincial).collect()
}

fn optional(writer: &mut Writer, key: &str, value: &str) {
    if !value.is_empty() {
        writer.text(key, value);
    }
}

fn sample(dataset: &'static str, event_time: TimestampMs, write: impl FnOnce(&mut Writer)) -> Sample {
    let mut writer = Writer::default();
    writer.begin(false);
    write(&mut writer);
    writer.finish();
    Sample { dataset, payload: Bytes::copy_from_slice(writer.bytes()), event_time, planted: None }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn parse(samples: &[Sample]) -> Vec<Value> {
        samples.iter().map(|sample| serde_json::from_slice(&sample.payload).expect("JSON")).collect()
    }

    #[test]
    fn every_line_of_the_lists_is_there() {
        assert_eq!(parse(&communes()).len(), 135);
        assert_eq!(parse(&commune_changes()).len(), 379);
        let databases = parse(&databases());
        assert_eq!(databases.len(), 13 + 17 + 14);
        let keys: HashSet<_> =
            databases.iter().map(|entry| (entry["register"].to_string(), entry["key"].to_string())).collect();
        assert_eq!(keys.len(), databases.len());
        let live: u64 = databases.iter().filter_map(|entry| entry["live"].as_u64()).sum();
        assert_eq!(live, 52);
    }

    #[test]
    fn they_are_dated_in_vietnam() {
        assert_eq!(MERGER_TIME.date_in_vietnam().to_string(), "2025-07-01");
        assert_eq!(REPORT_TIME.date_in_vietnam().to_string(), "2026-04-01");
    }
}

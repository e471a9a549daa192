//! Records with texts that must never turn up outside the log and its rightful readers.

use bytes::Bytes;
use ldop_types::{Rule, TimestampMs};

use crate::sample::{Dataset, Planted, Sample};

/// Texts of personal data that stand in every canary record and nowhere else. ASCII only, so that they look the same
/// in escaped JSON, in logs and in metrics.
///
/// A name, a personal id without its last digit, a phone number without its last digit, an e-mail name, an address.
pub const CANARY_MARKERS: [&str; 5] = ["KANARITHIX", "06419077701", "098700771", "kanari.sot.7713", "Ngo Kanari 7713"];

/// 2026-05-04T09:00:00+07:00.
const EVENT_TIME: TimestampMs = TimestampMs(1_777_860_000_000);

/// Makes canary record number `n` of a dataset. Records of even numbers are valid; those of odd numbers have an error
/// planted, of another kind each time, in or beside a field that holds a marker: a refusal must not repeat it either. For
/// businesses the marker is in the record key too.
///
/// Keys of different numbers below 10 million differ, but for businesses, whose key is one of ten personal ids.
#[must_use]
pub fn canary_record(dataset: Dataset, n: u64) -> Sample {
    let text = valid(dataset, n);
    let (payload, planted) = if n.is_multiple_of(2) {
        (text.into_bytes(), None)
    } else {
        let errors = errors(dataset);
        let error = &errors[(n / 2 % errors.len() as u64) as usize];
        let payload = (error.change)(&text);
        (payload, Some(Planted { pointer: error.pointer, rule: error.rule }))
    };
    Sample { dataset: dataset.id(), payload: Bytes::from(payload), event_time: EVENT_TIME, planted }
}

struct Error {
    pointer: &'static str,
    rule: Rule,
    change: fn(&str) -> Vec<u8>,
}

fn valid(dataset: Dataset, n: u64) -> String {
    let [name, id, phone, email, address] = CANARY_MARKERS;
    let (number, last) = (n % 10_000_000, n % 10);
    match dataset {
        Dataset::CivilStatus => format!(
            r#"{{"register_no":"KS-23602-2026-{number:07}","kind":"birth","revision":1,"status":"valid","registered_on":"2026-05-04","registry_commune":"23602","registry_name":"Ủy ban nhân dân phường An Phú","personal_id":"{id}{last}","full_name":"Nguyễn Thị {name}","sex":"2","birth_date":"1990-05-17","birth_place":"{address}","ethnicity":"01","nationality":"VN","home_province":"52","permanent_address":{{"commune_code":"23602","detail":"{address}"}},"mother":{{"full_name":"Trần Thị {name}","personal_id":"{id}{last}","birth_date":"1990"}},"declarant":{{"full_name":"Trần Thị {name}","relation":"mother","phone":"{phone}{last}"}},"registrar_name":"Lê Văn {name}","note":"{address}, {email}@dau.example","updated_at":"2026-05-04T09:00:00+07:00"}}"#
        ),
        Dataset::LandParcels => format!(
            r#"{{"parcel_id":"w7k0nry{}","revision":1,"status":"registered","commune_code":"23602","map_sheet_no":7,"parcel_no":13,"area_m2":77.13,"land_use":"ODT","use_form":"single","use_origin":"gift","latitude":13.9771300,"longitude":108.0077130,"measured_on":"2024-05-17","holders":[{{"kind":"person","full_name":"Nguyễn Thị {name}","birth_date":"1990","personal_id":"{id}{last}","residence":"{address}"}}],"registry_office":"Văn phòng đăng ký đất đai","note":"{address}, {phone}{last}, {email}@dau.example","updated_at":"2026-05-04T09:00:00+07:00"}}"#,
            base32(number)
        ),
        Dataset::Businesses => format!(
            r#"{{"tax_id":"{id}{last}","revision":{},"status":"active","kind":"household","name":"Hộ kinh doanh {name}","registered_on":"2026-05-04","head_office":{{"commune_code":"23602","detail":"{address}"}},"phone":"{phone}{last}","email":"{email}@dau.example","legal_representative":{{"full_name":"Nguyễn Thị {name}","sex":"2","birth_date":"1990-05-17","personal_id":"{id}{last}","position":"Chủ hộ","residence":"{address}"}},"charter_capital_vnd":77130000,"main_industry":"5630","industries":["5630"],"tax_office":"Thuế cơ sở 9 tỉnh Gia Lai","updated_at":"2026-05-04T09:00:00+07:00"}}"#,
            1 + n % 1_000_000
        ),
    }
}

/// Five characters of the GeoHash alphabet.
fn base32(number: u64) -> String {
    let alphabet = b"0123456789bcdefghjkmnpqrstuvwxyz";
    (0..5).rev().map(|at| char::from(alphabet[(number >> (5 * at)) as usize & 31])).collect()
}

/// Puts `by` in the place of the first `what`.
fn first(text: &str, what: &str, by: &str) -> Vec<u8> {
    debug_assert!(text.contains(what), "{what}");
    text.replacen(what, by, 1).into_bytes()
}

fn errors(dataset: Dataset) -> &'static [Error] {
    const COMMON: [Error; 4] = [
        // An unknown field whose very name is personal.
        Error {
            pointer: "",
            rule: Rule::NotPermitted,
            change: |text| first(text, r#","revision""#, r#","KANARITHIX-06419077701":"098700771","revision""#),
        },
        Error {
            pointer: "",
            rule: Rule::DuplicateKey,
            change: |text| first(text, r#","updated_at""#, r#","note":"KANARITHIX","note":"06419077701","updated_at""#),
        },
        Error {
            pointer: "",
            rule: Rule::Syntax,
            change: |text| text.as_bytes()[..text.rfind("7713").unwrap_or(0)].to_vec(),
        },
        Error {
            pointer: "",
            rule: Rule::Syntax,
            change: |text| {
                let mut bytes = text.as_bytes().to_vec();
                let at = text.find("KANARITHIX").unwrap_or(0);
                bytes.insert(at, 0xE1);
                bytes
            },
        },
    ];
    static CIVIL_STATUS: [Error; 9] = {
        let [a, b, c, d] = COMMON;
        [
            a,
            b,
            c,
            d,
            Error { pointer: "/personal_id", rule: Rule::Identifier, change: short_id },
            Error {
                pointer: "/full_name",
                rule: Rule::MaxLength,
                change: |text| first(text, "Nguyễn Thị KANARITHIX", &"Nguyễn Thị KANARITHIX ".repeat(3)),
            },
            Error {
                pointer: "/birth_date",
                rule: Rule::Format,
                change: |text| first(text, "1990-05-17", "17/05/1990 KANARITHIX"),
            },
            Error {
                pointer: "/sex",
                rule: Rule::CodeList,
                change: |text| first(text, r#""2","birth"#, r#""06419077701","birth"#),
            },
            Error {
                pointer: "/declarant/phone",
                rule: Rule::Pattern,
                change: |text| first(text, r#""phone":"0987"#, r#""phone":"KANARITHIX 0987"#),
            },
        ]
    };
    static LAND_PARCELS: [Error; 6] = {
        let [a, b, c, d] = COMMON;
        [
            a,
            b,
            c,
            d,
            Error { pointer: "/holders/0/personal_id", rule: Rule::Identifier, change: short_id },
            Error { pointer: "/area_m2", rule: Rule::Type, change: |text| first(text, "77.13,", r#""KANARITHIX","#) },
        ]
    };
    static BUSINESSES: [Error; 6] = {
        let [a, b, c, d] = COMMON;
        [
            a,
            b,
            c,
            d,
            Error { pointer: "/tax_id", rule: Rule::Identifier, change: short_id },
            Error { pointer: "/email", rule: Rule::Pattern, change: |text| first(text, "@dau.example", " KANARITHIX") },
        ]
    };
    match dataset {
        Dataset::CivilStatus => &CIVIL_STATUS,
        Dataset::LandParcels => &LAND_PARCELS,
        Dataset::Businesses => &BUSINESSES,
    }
}

/// Takes the last digit of the first personal id.
fn short_id(text: &str) -> Vec<u8> {
    let marker = CANARY_MARKERS[1];
    let mut bytes = text.as_bytes().to_vec();
    if let Some(at) = text.find(marker) {
        bytes.remove(at + marker.len());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records;

    #[test]
    fn every_canary_record_carries_markers_and_nobody_else_does() {
        for dataset in Dataset::ALL {
            for n in 0..40 {
                let sample = canary_record(dataset, n);
                let text = String::from_utf8_lossy(&sample.payload).into_owned();
                assert!(CANARY_MARKERS.iter().any(|marker| text.contains(marker)), "{n}");
                assert_eq!(sample.planted.is_some(), n % 2 == 1);
                let parsed = serde_json::from_str::<serde_json::Value>(&text);
                if sample.planted.is_none() {
                    assert!(parsed.is_ok(), "{text}");
                    assert!(CANARY_MARKERS.iter().all(|marker| text.contains(marker)), "{text}");
                } else {
                    assert_ne!(sample.payload, canary_record(dataset, n - 1).payload);
                }
            }
            for sample in records(dataset, 1, 20_000, 0.05) {
                let text = String::from_utf8_lossy(&sample.payload).into_owned();
                assert!(CANARY_MARKERS.iter().all(|marker| !text.contains(marker)));
            }
        }
    }
}

//! Plants one error in a record that was written without any, and says what must be found.

use ldop_types::Rule;

use crate::{
    draft::Moment,
    json::Writer,
    places::PLACES,
    rng::Rng,
    sample::{Dataset, Planted},
};

/// A kind of error.
struct Kind {
    /// The field it is made in.
    field: &'static str,
    change: Change,
    /// Pointer of the finding.
    pointer: &'static str,
    rule: Rule,
}

enum Change {
    /// Another JSON value.
    Value(&'static str),
    /// The member taken out.
    Missing,
    /// Another member after this one.
    Extra(&'static str),
    /// A byte that is no UTF-8 inside the text.
    InvalidUtf8,
    /// The text cut off in the middle of the value.
    CutShort,
    /// The same text without its last character.
    WithoutLast,
    /// This character in the place of the text's last.
    LastInstead(u8),
    /// Another check digit.
    WrongCheckDigit,
    /// A branch number nobody is given.
    BranchZero,
    /// A commune code that ended with the merger.
    EndedCommune,
    /// The text ten times over.
    TenTimes,
}

const fn at(field: &'static str, change: Change, rule: Rule) -> Kind {
    Kind { field, change, pointer: field, rule }
}

/// An error the parser meets, before there are fields: the finding is on the whole record.
const fn whole(field: &'static str, change: Change, rule: Rule) -> Kind {
    Kind { field, change, pointer: "", rule }
}

const CIVIL_STATUS: &[Kind] = &[
    at("/personal_id", Change::WithoutLast, Rule::Identifier),
    at("/mother/personal_id", Change::LastInstead(b'O'), Rule::Identifier),
    at("/permanent_address/commune_code", Change::Value(r#""99999""#), Rule::CodeList),
    at("/registry_commune", Change::EndedCommune, Rule::CodeNotInForce),
    at("/permanent_address/commune_code", Change::EndedCommune, Rule::CodeNotInForce),
    // 56 means "unknown" in health insurance, and nothing here.
    at("/ethnicity", Change::Value(r#""56""#), Rule::CodeList),
    at("/full_name", Change::Missing, Rule::Required),
    at("/declarant/relation", Change::Missing, Rule::Required),
    at("/spouse", Change::Missing, Rule::Required),
    at("/death", Change::Missing, Rule::Required),
    at("/registered_on", Change::Value(r#""2025-02-30""#), Rule::Format),
    at("/birth_date", Change::Value(r#""31/12/1990""#), Rule::Format),
    at("/updated_at", Change::Value(r#""2026-03-16 09:41:27""#), Rule::Format),
    at("/sex", Change::Value("1"), Rule::Type),
    at("/permanent_address", Change::Value(r#""Phường Quy Nhơn""#), Rule::Type),
    at("/full_name", Change::TenTimes, Rule::MaxLength),
    at("/registrar_name", Change::Value(r#""A""#), Rule::MinLength),
    at("/declarant/phone", Change::Value(r#""0256 3812 345""#), Rule::Pattern),
    at("/revision", Change::Value("0"), Rule::Minimum),
    whole("/nationality", Change::Extra(r#""blood_group":"O""#), Rule::NotPermitted),
    whole("/kind", Change::Extra(r#""kind":"death""#), Rule::DuplicateKey),
    whole("/full_name", Change::InvalidUtf8, Rule::Syntax),
    whole("/registrar_name", Change::CutShort, Rule::Syntax),
    whole("/registry_name", Change::Value(r#""Ủy ban \ud83d""#), Rule::Syntax),
];

const LAND_PARCELS: &[Kind] = &[
    at("/parcel_id", Change::LastInstead(b'a'), Rule::Identifier),
    at("/holders/0/personal_id", Change::WithoutLast, Rule::Identifier),
    at("/holders/0/tax_id", Change::WrongCheckDigit, Rule::CheckDigit),
    at("/commune_code", Change::Value(r#""00000""#), Rule::CodeList),
    at("/commune_code", Change::EndedCommune, Rule::CodeNotInForce),
    at("/land_use", Change::Value(r#""XYZ""#), Rule::CodeList),
    at("/area_m2", Change::Value(r#""96,5 m2""#), Rule::Type),
    at("/map_sheet_no", Change::Value("12.5"), Rule::Type),
    at("/area_m2", Change::Value("0"), Rule::Minimum),
    // Latitude and longitude mixed up.
    at("/latitude", Change::Value("109.2287654"), Rule::Maximum),
    at("/holders", Change::Missing, Rule::Required),
    at("/holders", Change::Value("[]"), Rule::Items),
    at("/encumbrances", Change::Value(r#"["mortgage","planning","mortgage"]"#), Rule::Items),
    at("/measured_on", Change::Value(r#""2025-02-30""#), Rule::Format),
    at("/certificate/number", Change::Value(r#""da 1234""#), Rule::Pattern),
    at("/legacy_key", Change::LastInstead(b'x'), Rule::Pattern),
    at("/address", Change::TenTimes, Rule::MaxLength),
    Kind {
        field: "/certificate/number",
        change: Change::Extra(r#""scan":"c2Nhbg==""#),
        pointer: "/certificate",
        rule: Rule::NotPermitted,
    },
    whole("/land_use", Change::Extra(r#""owner":"x""#), Rule::NotPermitted),
    whole("/area_m2", Change::Extra(r#""area_m2":1.0"#), Rule::DuplicateKey),
    whole("/area_m2", Change::Value("1e400"), Rule::Syntax),
    whole("/address", Change::InvalidUtf8, Rule::Syntax),
    whole("/registry_office", Change::CutShort, Rule::Syntax),
];

const BUSINESSES: &[Kind] = &[
    at("/tax_id", Change::WrongCheckDigit, Rule::CheckDigit),
    at("/tax_id", Change::WithoutLast, Rule::Identifier),
    at("/legal_representative/personal_id", Change::WithoutLast, Rule::Identifier),
    at("/parent_tax_id", Change::WrongCheckDigit, Rule::CheckDigit),
    at("/parent_tax_id", Change::Missing, Rule::Required),
    at("/dependent_units/0/tax_id", Change::BranchZero, Rule::Identifier),
    at("/head_office/commune_code", Change::Value(r#""99999""#), Rule::CodeList),
    at("/head_office/commune_code", Change::EndedCommune, Rule::CodeNotInForce),
    at("/main_industry", Change::Value(r#""0000""#), Rule::CodeList),
    at("/industries/0", Change::Value(r#""01.26""#), Rule::CodeList),
    at("/legal_representative", Change::Missing, Rule::Required),
    at("/charter_capital_vnd", Change::Value(r#""45.000.000.000""#), Rule::Type),
    at("/charter_capital_vnd", Change::Value("-1"), Rule::Minimum),
    at("/employees", Change::Value("1000001"), Rule::Maximum),
    at("/members/0/share_percent", Change::Value("162.5"), Rule::Maximum),
    at("/registered_on", Change::Value(r#""2025-02-30""#), Rule::Format),
    at("/industries", Change::Value("[]"), Rule::Items),
    at("/name", Change::TenTimes, Rule::MaxLength),
    at("/email", Change::Value(r#""lienhe(at)doanhnghiep.example""#), Rule::Pattern),
    Kind {
        field: "/head_office/commune_code",
        change: Change::Extra(r#""district":"Thành phố Quy Nhơn""#),
        pointer: "/head_office",
        rule: Rule::NotPermitted,
    },
    whole("/tax_id", Change::Extra(r#""tax_id":"0100233488""#), Rule::DuplicateKey),
    whole("/name", Change::InvalidUtf8, Rule::Syntax),
    whole("/tax_office", Change::CutShort, Rule::Syntax),
];

/// Plants an error of a random kind into the record `writer` holds. Kinds that do not go with it are passed over.
pub(crate) fn plant(dataset: Dataset, writer: &mut Writer, moment: Moment, rng: &mut Rng) -> Planted {
    let kinds = kinds(dataset);
    let first = rng.below(kinds.len() as u32) as usize;
    let mut order = kinds.iter().cycle().skip(first).take(kinds.len());
    let kind = order.find(|kind| kind.change.apply(kind.field, writer, moment, rng)).unwrap_or(&kinds[0]);
    Planted { pointer: kind.pointer, rule: kind.rule }
}

fn kinds(dataset: Dataset) -> &'static [Kind] {
    match dataset {
        Dataset::CivilStatus => CIVIL_STATUS,
        Dataset::LandParcels => LAND_PARCELS,
        Dataset::Businesses => BUSINESSES,
    }
}

impl Change {
    /// Makes the error, or says that it does not go with this record.
    fn apply(&self, field: &str, writer: &mut Writer, moment: Moment, rng: &mut Rng) -> bool {
        let Some(place) = writer.field(field).cloned() else { return false };
        let text = writer.bytes_mut();
        // Of a text, without its quotes.
        let inner = place.value + 1..place.end.saturating_sub(1);
        match self {
            Self::Value(value) => replace(text, place.value..place.end, value.as_bytes()),
            Self::Missing => {
                // The comma after it goes with it; no record has such a member at its end.
                if text[place.end] != b',' {
                    return false;
                }
                replace(text, place.start..place.end + 1, b"");
            }
            Self::Extra(member) => replace(text, place.end..place.end, format!(",{member}").as_bytes()),
            // The lead byte of a three-byte letter, without the two that must follow.
            Self::InvalidUtf8 => replace(text, inner.start..inner.start, b"\xE1"),
            Self::CutShort => text.truncate(inner.start + 3),
            Self::WithoutLast => replace(text, inner.end - 1..inner.end, b""),
            Self::LastInstead(byte) => replace(text, inner.end - 1..inner.end, &[*byte]),
            Self::BranchZero => replace(text, inner.end - 3..inner.end, b"000"),
            Self::WrongCheckDigit => {
                // Ten digits, perhaps with a branch; a household's code is a personal id and has no check digit.
                if inner.len() != 10 && text.get(inner.start + 10) != Some(&b'-') {
                    return false;
                }
                let digit = &mut text[inner.start + 9];
                *digit = b'0' + (*digit - b'0' + rng.between(1, 9) as u8) % 10;
            }
            Self::EndedCommune => {
                if moment.is_before_merger() {
                    return false;
                }
                let code = rng.pick(&PLACES.ended);
                replace(text, inner, code.as_bytes());
            }
            Self::TenTimes => {
                let many = text[inner.clone()].repeat(10);
                replace(text, inner, &many);
            }
        }
        true
    }
}

fn replace(text: &mut Vec<u8>, range: std::ops::Range<usize>, by: &[u8]) {
    text.splice(range, by.iter().copied());
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::records;

    #[test]
    fn every_kind_of_error_is_planted() {
        for dataset in Dataset::ALL {
            let mut seen: HashMap<(&str, Rule), u32> = HashMap::new();
            for sample in records(dataset, 11, 20_000, 1.0) {
                let planted = sample.planted.expect("asked for");
                *seen.entry((planted.pointer, planted.rule)).or_default() += 1;
            }
            for kind in kinds(dataset) {
                let count = seen.get(&(kind.pointer, kind.rule)).copied().unwrap_or(0);
                assert!(count >= 40, "{} {} {}: {count}", dataset.id(), kind.pointer, kind.rule.as_str());
            }
        }
    }

    #[test]
    fn only_errors_of_the_parser_break_the_json() {
        for dataset in Dataset::ALL {
            for sample in records(dataset, 12, 5_000, 1.0) {
                let planted = sample.planted.expect("asked for");
                let parsed = serde_json::from_slice::<serde_json::Value>(&sample.payload);
                assert_eq!(parsed.is_err(), planted.rule == Rule::Syntax, "{planted:?}");
            }
        }
    }
}

//! What a broken rule asks for, in both languages. The value has no way in here.

use ldop_types::{Rule, Text};

use crate::{
    element::Element,
    words::{IdentifierRule, NormalisationStep, ValueFormat, ValueType},
};

impl Element {
    /// What `rule` of this element asks for.
    #[must_use]
    pub fn message(&self, rule: Rule) -> Text {
        let definition = self.definition();
        match rule {
            Rule::Type => type_message(self.value_type()),
            Rule::MinLength => at_least(definition.min_length.unwrap_or(0).into()),
            Rule::MaxLength => at_most(definition.max_length.unwrap_or(0).into()),
            Rule::Pattern => pattern_message(&definition.pattern),
            Rule::Format => match self.format() {
                Some(ValueFormat::Date) => date_message(),
                Some(ValueFormat::DateTime) => date_time_message(),
                Some(ValueFormat::PartialDate) => Text::new(
                    "phải là năm, năm-tháng hoặc năm-tháng-ngày có thật (YYYY, YYYY-MM, YYYY-MM-DD)",
                    "must be a year, a month or a day that exists (YYYY, YYYY-MM, YYYY-MM-DD)",
                ),
                None => plain(rule),
            },
            Rule::Minimum => minimum_message(&definition.minimum),
            Rule::Maximum => maximum_message(&definition.maximum),
            Rule::CodeList => Text::new(
                format!("mã không có trong danh mục {}", definition.code_list),
                format!("the code is not in the code list {}", definition.code_list),
            ),
            Rule::CodeNotInForce => Text::new(
                format!("mã trong danh mục {} không có hiệu lực tại ngày của bản ghi", definition.code_list),
                format!("the code of the code list {} is not in force at the record's date", definition.code_list),
            ),
            Rule::Identifier => identifier_message(self.identifier()),
            Rule::CheckDigit => Text::new(
                "sai chữ số kiểm tra của mã số thuế: kiểm tra lại từng chữ số",
                "the check digit of the tax code is wrong: compare each digit",
            ),
            Rule::Normalisation => normalisation_message(&definition.normalisation),
            other => plain(other),
        }
    }
}

/// The rule in general words.
#[must_use]
pub fn plain(rule: Rule) -> Text {
    let (vi, en) = rule.describe();
    Text::new(vi, en)
}

/// A value of another type.
#[must_use]
pub fn type_message(value_type: ValueType) -> Text {
    match value_type {
        ValueType::String => Text::new("phải là chuỗi ký tự", "must be a string"),
        ValueType::Integer => Text::new(
            "phải là số nguyên, biểu diễn chính xác được bằng 64 bit",
            "must be a whole number that 64 bits hold exactly",
        ),
        ValueType::Number => Text::new("phải là số", "must be a number"),
        ValueType::Boolean => Text::new("phải là true hoặc false", "must be true or false"),
        ValueType::Object => Text::new("phải là đối tượng { }", "must be an object { }"),
        ValueType::Array => Text::new("phải là mảng [ ]", "must be an array [ ]"),
    }
}

/// A text that is too short.
#[must_use]
pub fn at_least(length: u64) -> Text {
    Text::new(format!("phải có ít nhất {length} ký tự"), format!("must have at least {length} characters"))
}

/// A text that is too long.
#[must_use]
pub fn at_most(length: u64) -> Text {
    Text::new(format!("không được dài quá {length} ký tự"), format!("must have at most {length} characters"))
}

/// A text that does not match.
#[must_use]
pub fn pattern_message(pattern: &str) -> Text {
    Text::new(format!("phải theo mẫu {pattern}"), format!("must match the pattern {pattern}"))
}

/// A text that is no day.
#[must_use]
pub fn date_message() -> Text {
    Text::new("phải là ngày có thật, dạng năm-tháng-ngày (YYYY-MM-DD)", "must be a day that exists, as YYYY-MM-DD")
}

/// A text that is no moment.
#[must_use]
pub fn date_time_message() -> Text {
    Text::new(
        "phải là thời điểm có múi giờ theo RFC 3339, ví dụ 2025-07-01T08:00:00+07:00",
        "must be a moment with its zone as RFC 3339 has it, such as 2025-07-01T08:00:00+07:00",
    )
}

/// A number below the limit.
#[must_use]
pub fn minimum_message(limit: &str) -> Text {
    Text::new(format!("không được nhỏ hơn {limit}"), format!("must not be less than {limit}"))
}

/// A number above the limit.
#[must_use]
pub fn maximum_message(limit: &str) -> Text {
    Text::new(format!("không được lớn hơn {limit}"), format!("must not be greater than {limit}"))
}

fn identifier_message(rule: Option<IdentifierRule>) -> Text {
    match rule {
        Some(IdentifierRule::PersonalId) => {
            Text::new("số định danh cá nhân phải gồm đúng 12 chữ số", "a personal id must be exactly 12 digits")
        }
        Some(IdentifierRule::TaxId) => Text::new(
            "mã số thuế phải gồm 10 chữ số, 10 chữ số và mã đơn vị phụ thuộc 001-999 (dạng 0100233488-001), hoặc 12 chữ số",
            "a tax code must be 10 digits, 10 digits and a branch 001-999 (as 0100233488-001), or 12 digits",
        ),
        Some(IdentifierRule::LandParcel) => Text::new(
            "mã thửa đất phải là GeoHash 12 ký tự: chữ số và chữ thường, không có a, i, l, o",
            "a land parcel id must be a GeoHash of 12 characters: digits and lower-case letters without a, i, l, o",
        ),
        None => plain(Rule::Identifier),
    }
}

fn normalisation_message(steps: &[String]) -> Text {
    let steps: Vec<_> = steps.iter().filter_map(|step| NormalisationStep::parse(step)).collect();
    let words = |vi: bool| {
        let word = |step: &NormalisationStep| match (step, vi) {
            (NormalisationStep::Nfc, true) => "Unicode dựng sẵn (NFC)",
            (NormalisationStep::Nfc, false) => "Unicode NFC",
            (NormalisationStep::Trim, true) => "không có khoảng trắng ở đầu, cuối",
            (NormalisationStep::Trim, false) => "no blanks at either end",
            (NormalisationStep::CollapseSpaces, true) => "giữa các từ chỉ một dấu cách",
            (NormalisationStep::CollapseSpaces, false) => "no blank but single spaces",
            (NormalisationStep::UpperCase, true) => "viết hoa toàn bộ",
            (NormalisationStep::UpperCase, false) => "upper case",
            (NormalisationStep::LowerCase, true) => "viết thường toàn bộ",
            (NormalisationStep::LowerCase, false) => "lower case",
        };
        steps.iter().map(word).collect::<Vec<_>>().join(", ")
    };
    Text::new(format!("phải ở dạng chuẩn: {}", words(true)), format!("must be in normal form: {}", words(false)))
}

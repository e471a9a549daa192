//! What is wrong with a field. A finding has no place for the value, so it cannot leak one.

use crate::{ElementId, Text};

/// The rule a field breaks. Public API: listed in docs/rules.md; a rule once shipped keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each variant is described by `describe`")]
pub enum Rule {
    Syntax,
    DuplicateKey,
    TooDeep,
    TooLong,
    Type,
    Required,
    NotPermitted,
    MinLength,
    MaxLength,
    Pattern,
    Format,
    Minimum,
    Maximum,
    Enum,
    Items,
    Structure,
    CodeList,
    CodeNotInForce,
    CheckDigit,
    Identifier,
    Key,
    Frame,
    PrefixUnknown,
    SexMismatch,
    BirthYearMismatch,
    Normalisation,
    AcrossFields,
    AcrossFieldsUndecided,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 28] = [
        Self::Syntax,
        Self::DuplicateKey,
        Self::TooDeep,
        Self::TooLong,
        Self::Type,
        Self::Required,
        Self::NotPermitted,
        Self::MinLength,
        Self::MaxLength,
        Self::Pattern,
        Self::Format,
        Self::Minimum,
        Self::Maximum,
        Self::Enum,
        Self::Items,
        Self::Structure,
        Self::CodeList,
        Self::CodeNotInForce,
        Self::CheckDigit,
        Self::Identifier,
        Self::Key,
        Self::Frame,
        Self::PrefixUnknown,
        Self::SexMismatch,
        Self::BirthYearMismatch,
        Self::Normalisation,
        Self::AcrossFields,
        Self::AcrossFieldsUndecided,
    ];

    /// The word on the wire, UPPER_SNAKE_CASE.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "SYNTAX",
            Self::DuplicateKey => "DUPLICATE_KEY",
            Self::TooDeep => "TOO_DEEP",
            Self::TooLong => "TOO_LONG",
            Self::Type => "TYPE",
            Self::Required => "REQUIRED",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::MinLength => "MIN_LENGTH",
            Self::MaxLength => "MAX_LENGTH",
            Self::Pattern => "PATTERN",
            Self::Format => "FORMAT",
            Self::Minimum => "MINIMUM",
            Self::Maximum => "MAXIMUM",
            Self::Enum => "ENUM",
            Self::Items => "ITEMS",
            Self::Structure => "STRUCTURE",
            Self::CodeList => "CODE_LIST",
            Self::CodeNotInForce => "CODE_NOT_IN_FORCE",
            Self::CheckDigit => "CHECK_DIGIT",
            Self::Identifier => "IDENTIFIER",
            Self::Key => "KEY",
            Self::Frame => "FRAME",
            Self::PrefixUnknown => "PREFIX_UNKNOWN",
            Self::SexMismatch => "SEX_MISMATCH",
            Self::BirthYearMismatch => "BIRTH_YEAR_MISMATCH",
            Self::Normalisation => "NORMALISATION",
            Self::AcrossFields => "RULE",
            Self::AcrossFieldsUndecided => "RULE_UNDECIDED",
        }
    }

    /// What the rule asks, in both languages.
    #[must_use]
    pub const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Syntax => ("không phải JSON hợp lệ (UTF-8, RFC 8259)", "not well-formed JSON (UTF-8, RFC 8259)"),
            Self::DuplicateKey => ("một khóa xuất hiện hai lần", "a key stands twice in one object"),
            Self::TooDeep => ("lồng nhau quá sâu", "nested too deeply"),
            Self::TooLong => ("dài quá giới hạn", "longer than the limit"),
            Self::Type => ("sai kiểu dữ liệu", "wrong type"),
            Self::Required => ("thiếu trường bắt buộc", "a required field is missing"),
            Self::NotPermitted => ("trường không được phép", "the field is not permitted"),
            Self::MinLength => ("ngắn hơn độ dài tối thiểu", "shorter than the least length"),
            Self::MaxLength => ("dài hơn độ dài tối đa", "longer than the greatest length"),
            Self::Pattern => ("không đúng mẫu", "does not match the pattern"),
            Self::Format => ("không đúng định dạng", "does not have the format"),
            Self::Minimum => ("nhỏ hơn giá trị tối thiểu", "below the minimum"),
            Self::Maximum => ("lớn hơn giá trị tối đa", "above the maximum"),
            Self::Enum => ("không thuộc các giá trị cho phép", "none of the permitted values"),
            Self::Items => ("sai số lượng hoặc trùng phần tử", "wrong number of items, or items repeated"),
            Self::Structure => ("không khớp cấu trúc của lược đồ", "does not fit the structure of the schema"),
            Self::CodeList => ("mã không có trong danh mục", "the code is not in the code list"),
            Self::CodeNotInForce => (
                "mã không còn hoặc chưa có hiệu lực tại ngày của bản ghi",
                "the code is not in force at the record's date",
            ),
            Self::CheckDigit => ("sai chữ số kiểm tra", "wrong check digit"),
            Self::Identifier => ("định danh không đúng cấu trúc", "the identifier is not well-formed"),
            Self::Key => {
                ("trường khóa bị thiếu hoặc không phải chuỗi, số", "a key field is missing or not a string or integer")
            }
            Self::Frame => (
                "khung không nêu phiên bản lược đồ dùng được",
                "the frame names no version of the schema that is in use",
            ),
            Self::PrefixUnknown => {
                ("ba số đầu không có trong danh sách mã tỉnh", "the first three digits are no known province code")
            }
            Self::SexMismatch => (
                "chữ số thế kỷ-giới tính không khớp giới tính",
                "the century and sex digit does not agree with the sex",
            ),
            Self::BirthYearMismatch => {
                ("hai chữ số năm sinh không khớp ngày sinh", "the year digits do not agree with the birth date")
            }
            Self::Normalisation => ("không ở dạng chuẩn", "not in normal form"),
            Self::AcrossFields => ("các trường không khớp nhau", "fields do not agree with each other"),
            Self::AcrossFieldsUndecided => {
                ("không xét được quy tắc giữa các trường", "a rule across fields cannot be decided")
            }
        }
    }
}

/// One rule one field breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// RFC 6901 JSON pointer to the field; "" for the whole record. Never holds a name the schema does not have.
    pub pointer: String,
    /// The element the field is bound to.
    pub element: Option<ElementId>,
    /// The rule.
    pub rule: Rule,
    /// What is wrong and what is expected, without the value.
    pub message: Text,
}

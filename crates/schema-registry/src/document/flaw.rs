//! Why bytes are not a document.

use ldop_types::{Finding, Rule, Text};

use super::Limits;

/// What is wrong, without the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    NotUtf8,
    Empty,
    Ends,
    Unexpected,
    ByteOrderMark,
    ControlCharacter,
    Escape,
    LoneSurrogate,
    Number,
    NumberTooLarge,
    Trailing,
    DuplicateKey,
    TooDeep,
    TooManyValues,
    TooManyBytes,
}

impl Flaw {
    /// The finding on the whole record. The byte offset lets the sender find the place without the hub showing it.
    #[cold]
    pub(super) fn at(self, offset: usize, limits: Limits) -> Finding {
        let (vi, en) = match self {
            Self::NotUtf8 => ("không phải UTF-8 hợp lệ".into(), "not valid UTF-8".into()),
            Self::Empty => ("bản ghi rỗng".into(), "the record is empty".into()),
            Self::Ends => ("JSON bị cắt cụt".into(), "the JSON is cut short".into()),
            Self::Unexpected => {
                ("ký tự không đúng chỗ trong JSON".into(), "a character is out of place in the JSON".into())
            }
            Self::ByteOrderMark => {
                ("JSON không được bắt đầu bằng BOM".into(), "JSON must not begin with a byte order mark".into())
            }
            Self::ControlCharacter => (
                "ký tự điều khiển trong chuỗi phải viết dạng \\u00XX".into(),
                "control characters in strings must be written as \\u00XX".into(),
            ),
            Self::Escape => ("chuỗi thoát sau dấu \\ không hợp lệ".into(), "the escape after \\ is not valid".into()),
            Self::LoneSurrogate => {
                ("\\uD800-\\uDFFF phải đi thành cặp".into(), "\\uD800-\\uDFFF must come as a pair".into())
            }
            Self::Number => ("số viết không đúng JSON".into(), "the number is not written as JSON has it".into()),
            Self::NumberTooLarge => {
                ("số quá lớn, không biểu diễn được".into(), "the number is too large to be held".into())
            }
            Self::Trailing => ("còn ký tự thừa sau giá trị JSON".into(), "characters follow the JSON value".into()),
            Self::DuplicateKey => {
                ("một khóa xuất hiện hai lần trong cùng đối tượng".into(), "a key stands twice in one object".into())
            }
            Self::TooDeep => {
                let limit = limits.depth;
                (format!("lồng nhau quá {limit} tầng"), format!("nested more than {limit} levels deep"))
            }
            Self::TooManyValues => {
                let limit = limits.values;
                (format!("có quá {limit} giá trị"), format!("holds more than {limit} values"))
            }
            Self::TooManyBytes => {
                let limit = limits.bytes;
                (format!("dài quá {limit} byte"), format!("longer than {limit} bytes"))
            }
        };
        let rule = match self {
            Self::DuplicateKey => Rule::DuplicateKey,
            Self::TooDeep => Rule::TooDeep,
            Self::TooManyValues | Self::TooManyBytes => Rule::TooLong,
            _ => Rule::Syntax,
        };
        let message = match self {
            Self::Empty | Self::TooManyBytes => Text::new(vi, en),
            _ => Text::new(format!("{vi} (byte {offset})"), format!("{en} (byte {offset})")),
        };
        Finding { pointer: String::new(), element: None, rule, message }
    }
}

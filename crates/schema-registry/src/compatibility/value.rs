//! Values of schemas, with numbers as they are written and as the validator reads them.

use std::{borrow::Cow, cmp::Ordering, fmt};

use crate::document::{Node, Number as Literal, Value as Read};

/// A JSON value. Members are in the order of their names, so that the order of the text does not matter.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Box<str>),
    Array(Vec<Value>),
    Object(Vec<(Box<str>, Value)>),
}

impl Value {
    pub(super) fn of(node: Node<'_>) -> Self {
        // Recurses at most as deep as the parser's limit allows.
        match node.value() {
            Read::Null => Self::Null,
            Read::Boolean(boolean) => Self::Boolean(boolean),
            Read::Number(number) => Self::Number(Number::of(number)),
            Read::Text(text) => Self::Text(text.into()),
            Read::Array(items) => Self::Array(items.map(Self::of).collect()),
            Read::Object(members) => {
                let mut members: Vec<(Box<str>, Self)> =
                    members.map(|(name, value)| (name.into(), Self::of(value))).collect();
                members.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Object(members)
            }
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => {
                members.binary_search_by(|(key, _)| (**key).cmp(name)).ok().map(|index| &members[index].1)
            }
            _ => None,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn is_compound(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_object(&self) -> Option<&[(Box<str>, Self)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Whether two values are equal as JSON Schema compares; none where it depends on how numbers are read.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.equals(b),
            (Self::Array(a), Self::Array(b)) if a.len() == b.len() => all(a.iter().zip(b).map(|(a, b)| a.equals(b))),
            (Self::Object(a), Self::Object(b)) if a.len() == b.len() => {
                all(a.iter().zip(b).map(|(a, b)| if a.0 == b.0 { a.1.equals(&b.1) } else { Some(false) }))
            }
            _ => Some(self == other),
        }
    }
}

/// True if all are, false if one is false, else none.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut whole = Some(true);
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => whole = None,
        }
    }
    whole
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(boolean) => write!(f, "{boolean}"),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(&**text)),
            Self::Array(items) => write!(f, "[{} items]", items.len()),
            Self::Object(members) => write!(f, "{{{} members}}", members.len()),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number: the decimal that is written, and the number the validator compares with, where that is another one.
///
/// The validator keeps whole numbers of 64 bits and takes all others for the nearest double. What is proven here holds
/// for both readings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Number {
    written: Decimal,
    read: Option<Box<Decimal>>,
}

impl Number {
    fn of(literal: Literal<'_>) -> Self {
        let written = Decimal::parse(literal.literal());
        let is_plain_integer = literal.as_u64().is_some() || literal.as_i64().is_some();
        if is_plain_integer {
            return Self { written, read: None };
        }
        let double = literal.as_f64();
        // From 2^53 on a double is whole and its digits are printed in full; below, the shortest digits that name it
        // are in the same order as the doubles themselves.
        let text = if double.abs() >= 9_007_199_254_740_992.0 { format!("{double:.0}") } else { format!("{double:e}") };
        let read = Decimal::parse(&text);
        let read = (read != written).then(|| Box::new(read));
        Self { written, read }
    }

    fn read(&self) -> &Decimal {
        self.read.as_deref().unwrap_or(&self.written)
    }

    /// How two numbers stand to each other in both readings; none where the readings disagree.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        let written = self.written.cmp(&other.written);
        (self.read().cmp(other.read()) == written).then_some(written)
    }

    /// Whether it is at most `other`, whichever way both are read.
    pub(super) fn at_most(&self, other: &Self) -> bool {
        self.written <= other.written && self.read() <= other.read()
    }

    /// Whether it is less than `other`, whichever way both are read.
    pub(super) fn below(&self, other: &Self) -> bool {
        self.written < other.written && self.read() < other.read()
    }

    fn equals(&self, other: &Self) -> Option<bool> {
        let written = self.written == other.written;
        ((self.read() == other.read()) == written).then_some(written)
    }

    /// The decimals it may be taken for.
    pub(super) fn readings(&self) -> [&Decimal; 2] {
        [&self.written, self.read()]
    }

    /// Whether it is whole; none where the readings disagree.
    pub(super) fn is_whole(&self) -> Option<bool> {
        let written = self.written.is_whole();
        (self.read().is_whole() == written).then_some(written)
    }

    /// The number if it is whole, small enough for exact arithmetic on doubles too, and read as it is written.
    pub(super) fn small_integer(&self) -> Option<i64> {
        if self.read.is_some() {
            return None;
        }
        self.written.as_i64().filter(|value| value.unsigned_abs() <= 1 << 53)
    }

    /// The size a keyword such as `maxLength` gives: a whole number that is not negative.
    pub(super) fn as_size(&self) -> Option<u64> {
        if self.written.is_negative || !self.written.is_whole() || self.read.is_some() {
            return None;
        }
        // Beyond 64 bits there is no such length.
        Some(self.written.as_u64().unwrap_or(u64::MAX))
    }

    /// Whether each multiple of this number is a multiple of `other`, in exact arithmetic and in the validator's.
    ///
    /// Told of whole numbers only: of fractions the validator is exact for numbers of some size, not for all.
    pub(super) fn is_multiple_of(&self, other: &Self) -> bool {
        let divides = |own: i64, other: i64| other > 0 && own % other == 0;
        self == other || self.small_integer().zip(other.small_integer()).is_some_and(|(own, other)| divides(own, other))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.written.cmp(&other.written).then_with(|| self.read().cmp(other.read())))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// A decimal of any size: `0.d1d2d3... * 10^exponent`, without zeros at either end of the digits; zero has none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Decimal {
    is_negative: bool,
    exponent: i64,
    digits: Box<[u8]>,
}

impl Decimal {
    /// Reads a well-formed JSON number.
    fn parse(literal: &str) -> Self {
        let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
        let is_negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches('-');
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = integer.bytes().chain(fraction.bytes()).collect();
        let leading = digits.iter().take_while(|b| **b == b'0').count();
        let trailing = digits.iter().rev().take_while(|b| **b == b'0').count();
        if leading == digits.len() {
            return Self { is_negative: false, exponent: 0, digits: Box::default() };
        }
        // An exponent no i64 holds is beyond any digits a schema can have; only below zero can it be that large.
        let exponent =
            exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
        let exponent = exponent.saturating_add(integer.len() as i64).saturating_sub(leading as i64);
        Self { is_negative, exponent, digits: digits[leading..digits.len() - trailing].into() }
    }

    fn is_whole(&self) -> bool {
        self.digits.is_empty() || self.exponent >= self.digits.len() as i64
    }

    fn as_u64(&self) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        if self.is_negative || !self.is_whole() {
            return None;
        }
        let (digits, zeros) = self.mantissa()?;
        u64::try_from(digits.checked_mul(10i128.checked_pow(u32::try_from(zeros).ok()?)?)?).ok()
    }

    fn as_i64(&self) -> Option<i64> {
        let positive = Self { is_negative: false, ..self.clone() }.as_u64()?;
        let value = i64::try_from(positive).ok()?;
        Some(if self.is_negative { -value } else { value })
    }

    /// Digits as a number and the power of ten they are multiplied with.
    fn mantissa(&self) -> Option<(i128, i64)> {
        let digits =
            self.digits.iter().try_fold(0i128, |value, b| value.checked_mul(10)?.checked_add(i128::from(b - b'0')))?;
        Some((digits, self.exponent.checked_sub(self.digits.len() as i64)?))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| a.exponent.cmp(&b.exponent).then_with(|| a.digits.cmp(&b.digits));
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return if other.is_negative { Ordering::Greater } else { Ordering::Less },
            (false, true) => return if self.is_negative { Ordering::Less } else { Ordering::Greater },
            (false, false) => {}
        }
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = String::from_utf8_lossy(&self.digits);
        let sign = if self.is_negative { "-" } else { "" };
        let length = self.digits.len() as i64;
        match self.exponent {
            _ if self.digits.is_empty() => f.write_str("0"),
            exponent if (length..=20).contains(&exponent) => {
                write!(f, "{sign}{digits}{}", "0".repeat(usize::try_from(exponent - length).unwrap_or(0)))
            }
            exponent if (1..length).contains(&exponent) => {
                let (integer, fraction) = digits.split_at(usize::try_from(exponent).unwrap_or(0));
                write!(f, "{sign}{integer}.{fraction}")
            }
            exponent if (-6..=0).contains(&exponent) => {
                write!(f, "{sign}0.{}{digits}", "0".repeat(usize::try_from(-exponent).unwrap_or(0)))
            }
            exponent => write!(f, "{sign}0.{digits}e{exponent}"),
        }
    }
}

/// What stands in a message for a keyword's value; absent is a dash.
pub(super) fn shown(value: Option<impl fmt::Display>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed("–"), |value| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parser;

    fn number(literal: &str) -> Number {
        let mut parser = Parser::default();
        match Value::of(parser.parse(literal.as_bytes()).expect("well-formed").root()) {
            Value::Number(number) => number,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn decimals_are_compared_by_their_value() {
        let ascending = [
            "-1e300",
            "-18446744073709551616",
            "-10",
            "-9.5",
            "-0.1",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000001",
            "0.5",
            "1",
            "9.99",
            "10",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.5",
            "18446744073709551615",
            "18446744073709551617",
            "1e300",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let (a, b) = (Decimal::parse(a), Decimal::parse(b));
                assert_eq!(a.cmp(&b), i.cmp(&j), "{a} {b}");
            }
        }
        for (a, b) in [("1", "1.0"), ("100", "1e2"), ("0", "-0.0"), ("0.01", "1e-2"), ("1200e-2", "12")] {
            assert!(Decimal::parse(a) == Decimal::parse(b), "{a} {b}");
        }
    }

    #[test]
    fn what_the_validator_reads_otherwise_is_not_proven() {
        assert!(number("0.1").at_most(&number("0.10000000000000000001")));
        assert!(!number("0.10000000000000000001").at_most(&number("0.1")));
        assert!(!number("9007199254740993").at_most(&number("9007199254740993.0")), "read as ...992");
        assert_eq!(number("0.1").equals(&number("0.10000000000000000001")), None);
        assert_eq!(number("1").equals(&number("1.0")), Some(true));
        assert_eq!(number("1").equals(&number("2")), Some(false));
        assert!(number("0.1").below(&number("0.2")) && !number("0.1").below(&number("0.1")));
    }

    #[test]
    fn multiples_are_told_exactly() {
        for (own, other) in [("6", "3"), ("0.5", "0.5"), ("100", "1e1"), ("7", "1.0")] {
            assert!(number(own).is_multiple_of(&number(other)), "{own} {other}");
        }
        for (own, other) in [("3", "6"), ("0.1", "0.3"), ("3", "1.5"), ("1.5", "1"), ("7", "2"), ("0.3", "0.1")] {
            assert!(!number(own).is_multiple_of(&number(other)), "{own} {other}");
        }
    }

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        for literal in ["0", "10", "-12.5", "0.001", "18446744073709551615", "250000"] {
            assert_eq!(number(literal).to_string(), literal);
        }
    }
}

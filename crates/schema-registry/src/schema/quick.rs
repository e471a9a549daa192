//! A shortcut past the `jsonschema` crate for the keywords records usually need.
//!
//! It says "valid", "not valid" or "not sure", and everything it is not sure of is asked of the library, as is every
//! word of a refusal. So the library stays the authority; this only has to be right when it says "valid". A property
//! test compares both on schemas and records made up at random.
//!
//! Worth its lines because validation is the largest part of what a record costs: one walk over the record serves the
//! schema and the dictionary, instead of one for each keyword.

use ldop_dictionary::{Element, Pattern, ValueFormat};
use serde_json::Value as Tree;

use super::{
    bind::types,
    plan::{FieldName, Noted},
};
use crate::{
    document::{Node, Number, Value},
    json::equals,
};

/// Whole numbers below are exact as doubles, and no other whole number is taken for one of them: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Longest list whose items are compared each with each.
const SMALL_LIST: usize = 16;

/// One thing a subschema asks of a value.
pub(crate) enum Test {
    /// One of these types.
    Types(u8),
    /// One of these values.
    OneOf(Vec<Tree>),
    /// So many code points, of a string.
    Length { min: u64, max: u64 },
    /// A match somewhere in a string.
    Pattern(Pattern),
    /// `date`, or `date-time` if true, of a string.
    Date { with_time: bool },
    /// None of the corners of `date-time` in which readers differ, of a string known to be one.
    PlainTime,
    /// A limit of a number.
    Limit(Limit, f64),
    /// So many items, of an array.
    Items { min: u64, max: u64 },
    /// Items that differ, of an array.
    Unique,
    /// Members that are there, of an object.
    Required(Vec<FieldName>),
    /// What a member must be if it is there.
    Member(FieldName, Vec<Test>),
    /// At least one of the branches.
    Any(Vec<Vec<Test>>),
    /// Exactly one of the branches.
    One(Vec<Vec<Test>>),
    /// None of it.
    Not(Vec<Test>),
    /// `if`, `then` and `else`.
    If { when: Vec<Test>, then: Vec<Test>, otherwise: Vec<Test> },
    /// `false`.
    Never,
}

/// Which side of a limit is permitted.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    Minimum,
    Maximum,
    Above,
    Below,
}

/// Whether all tests pass; `None` if that is not sure. `noted` is of the value's own members.
pub(crate) fn all(tests: &[Test], node: Node<'_>, value: &Value<'_>, noted: Option<&Noted>) -> Option<bool> {
    let mut result = Some(true);
    for test in tests {
        match test.passes(node, value, noted) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => result = None,
        }
    }
    result
}

/// Visits the names tests ask of the very value they test; what is asked of a member's members is none of them.
pub(crate) fn each_name(tests: &mut [Test], visit: &mut dyn FnMut(&mut FieldName)) {
    for test in tests {
        match test {
            Test::Required(names) => names.iter_mut().for_each(&mut *visit),
            Test::Member(name, _) => visit(name),
            Test::Any(branches) | Test::One(branches) => {
                branches.iter_mut().for_each(|branch| each_name(branch, visit));
            }
            Test::Not(tests) => each_name(tests, visit),
            Test::If { when, then, otherwise } => {
                [when, then, otherwise].into_iter().for_each(|tests| each_name(tests, visit));
            }
            Test::Types(_)
            | Test::OneOf(_)
            | Test::Length { .. }
            | Test::Pattern(_)
            | Test::Date { .. }
            | Test::PlainTime
            | Test::Limit(..)
            | Test::Items { .. }
            | Test::Unique
            | Test::Never => {}
        }
    }
}

impl Test {
    fn passes(&self, node: Node<'_>, value: &Value<'_>, noted: Option<&Noted>) -> Option<bool> {
        match (self, value) {
            (Self::Types(types), value) => Some(types & type_of(value) != 0),
            (Self::OneOf(values), _) => Some(values.iter().any(|expected| equals(node, expected))),
            (Self::Length { min, max }, Value::Text(text)) => Some(has_length(text, *min, *max)),
            (Self::Pattern(pattern), Value::Text(text)) => Some(pattern.is_match(text)),
            // Corners of the format in which readers differ are left to the library.
            (Self::Date { with_time: false }, Value::Text(text)) => {
                ldop_dictionary::format::is_date(text).then_some(true)
            }
            (Self::Date { with_time: true }, Value::Text(text)) => {
                (ldop_dictionary::format::is_date_time(text) && is_plain_time(text)).then_some(true)
            }
            (Self::PlainTime, Value::Text(text)) => is_plain_time(text).then_some(true),
            (Self::Limit(side, limit), Value::Number(number)) => side.permits(*number, *limit),
            (Self::Items { min, max }, Value::Array(items)) => Some((*min..=*max).contains(&(items.len() as u64))),
            (Self::Unique, Value::Array(items)) => {
                if items.len() > SMALL_LIST {
                    return None;
                }
                let mut rest = *items;
                while let Some(item) = rest.next() {
                    let text = item.as_str();
                    for other in rest {
                        if text? == other.as_str()? {
                            return Some(false);
                        }
                    }
                }
                Some(true)
            }
            (Self::Required(names), Value::Object(members)) => {
                Some(names.iter().all(|name| name.find(*members, noted).is_some()))
            }
            (Self::Member(name, tests), Value::Object(members)) => match name.find(*members, noted) {
                Some(member) => all(tests, member, &member.value(), None),
                None => Some(true),
            },
            (Self::Any(branches), value) => {
                let (yes, unsure) = count(branches, node, value, noted);
                if yes > 0 { Some(true) } else { (unsure == 0).then_some(false) }
            }
            (Self::One(branches), value) => {
                let (yes, unsure) = count(branches, node, value, noted);
                if yes > 1 { Some(false) } else { (unsure == 0).then_some(yes == 1) }
            }
            (Self::Not(tests), value) => all(tests, node, value, noted).map(|passes| !passes),
            (Self::If { when, then, otherwise }, value) => {
                let branch = if all(when, node, value, noted)? { then } else { otherwise };
                all(branch, node, value, noted)
            }
            (Self::Never, _) => Some(false),
            // A keyword says nothing of other types.
            _ => Some(true),
        }
    }

    /// What is left to test of values that keep an element's own rules; `None` if nothing. The walk takes a record for
    /// valid only where every value but null has been found to keep them.
    pub(crate) fn beside(self, element: &Element) -> Option<Self> {
        let own = element.definition();
        // That the limits are rounded cannot matter: one below 2^53 is exact or a fraction, and rounding keeps order.
        let least = || own.minimum.parse::<f64>().ok();
        let most = || own.maximum.parse::<f64>().ok();
        let is_implied = match &self {
            Self::Length { min, max } => {
                u64::from(own.min_length.unwrap_or(0)) >= *min
                    && (*max == u64::MAX || own.max_length.is_some_and(|own| u64::from(own) <= *max))
            }
            Self::Pattern(pattern) => element.keeps_pattern(pattern),
            Self::Limit(Limit::Minimum, limit) => least().is_some_and(|own| own >= *limit),
            Self::Limit(Limit::Above, limit) => least().is_some_and(|own| own > *limit),
            Self::Limit(Limit::Maximum, limit) => most().is_some_and(|own| own <= *limit),
            Self::Limit(Limit::Below, limit) => most().is_some_and(|own| own < *limit),
            Self::Date { with_time: false } => element.format() == Some(ValueFormat::Date),
            Self::Date { with_time: true } if element.format() == Some(ValueFormat::DateTime) => {
                return Some(Self::PlainTime);
            }
            _ => false,
        };
        (!is_implied).then_some(self)
    }
}

fn count(branches: &[Vec<Test>], node: Node<'_>, value: &Value<'_>, noted: Option<&Noted>) -> (usize, usize) {
    branches.iter().fold((0, 0), |(yes, unsure), branch| match all(branch, node, value, noted) {
        Some(true) => (yes + 1, unsure),
        Some(false) => (yes, unsure),
        None => (yes, unsure + 1),
    })
}

pub(crate) fn type_of(value: &Value<'_>) -> u8 {
    match value {
        Value::Null => types::NULL,
        Value::Boolean(_) => types::BOOLEAN,
        Value::Number(number) if number.is_whole() => types::INTEGER,
        Value::Number(_) => types::FRACTION,
        Value::Text(_) => types::STRING,
        Value::Array(_) => types::ARRAY,
        Value::Object(_) => types::OBJECT,
    }
}

fn has_length(text: &str, min: u64, max: u64) -> bool {
    // Bytes bound code points from both sides.
    let (most, least) = (text.len() as u64, text.len().div_ceil(4) as u64);
    (least >= min && most <= max) || (min..=max).contains(&(text.chars().count() as u64))
}

/// Corners are the letters in lower case and the leap second.
fn is_plain_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.get(10) == Some(&b'T') && bytes.last() != Some(&b'z') && bytes.get(17..19) != Some(b"60")
}

impl Limit {
    fn permits(self, number: Number<'_>, limit: f64) -> Option<bool> {
        let value = number.as_f64();
        // From there on the double may not be the number.
        if value.abs() >= EXACT {
            return None;
        }
        Some(match self {
            Self::Minimum => value >= limit,
            Self::Maximum => value <= limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
        })
    }
}

/// The tests of one keyword of a subschema, or `None` if it is not one of those known here.
pub(super) fn keyword_tests(keyword: &str, value: &Tree) -> Option<Vec<Test>> {
    let one = |test: Test| Some(vec![test]);
    let limit = |side: Limit| {
        let limit = value.as_f64().filter(|limit| limit.abs() < EXACT)?;
        Some(vec![Test::Limit(side, limit)])
    };
    match keyword {
        "$schema" | "$id" | "$comment" | "$defs" | "definitions" | "$anchor" | "title" | "description" | "default"
        | "examples" | "readOnly" | "writeOnly" | "deprecated" => Some(Vec::new()),
        _ if keyword.starts_with("x-") => Some(Vec::new()),
        "type" => one(Test::Types(types::Types::of_keyword(value))),
        "const" => one(Test::OneOf(vec![value.clone()])),
        "enum" => one(Test::OneOf(value.as_array()?.clone())),
        "minLength" => one(Test::Length { min: value.as_u64()?, max: u64::MAX }),
        "maxLength" => one(Test::Length { min: 0, max: value.as_u64()? }),
        "pattern" => one(Test::Pattern(Pattern::anywhere(value.as_str()?).ok()?)),
        "format" => match value.as_str()? {
            "date" => one(Test::Date { with_time: false }),
            "date-time" => one(Test::Date { with_time: true }),
            _ => None,
        },
        "minimum" => limit(Limit::Minimum),
        "maximum" => limit(Limit::Maximum),
        "exclusiveMinimum" => limit(Limit::Above),
        "exclusiveMaximum" => limit(Limit::Below),
        "minItems" => one(Test::Items { min: value.as_u64()?, max: u64::MAX }),
        "maxItems" => one(Test::Items { min: 0, max: value.as_u64()? }),
        "uniqueItems" => Some(if value.as_bool()? { vec![Test::Unique] } else { Vec::new() }),
        "required" => {
            let names = value.as_array()?.iter().map(|name| name.as_str().map(FieldName::new));
            one(Test::Required(names.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

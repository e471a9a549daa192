//! The functions rules have besides CEL's own. None of them knows what day it is.

use std::sync::{Arc, LazyLock};

use cel::{
    Env, ExecutionError,
    common::{
        functions::Function as Overload,
        types::{CelInt, CelString, STRING_TYPE},
        value::CowVal,
    },
};
use ldop_dictionary::{
    format,
    identifier::{PersonalId, Sex},
};
use ldop_types::Date;

use super::kind::{Form, Kind};

/// A function of ours. All parameters are texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Year,
    Earliest,
    Latest,
    DaysBetween,
    YearsBetween,
    Instant,
    PersonalIdYear,
    PersonalIdSex,
}

/// What a function is given: a text, or a day, which is a text that has been read.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Day(Date),
}

/// What a function gives.
pub(super) enum Answer {
    Integer(i64),
    Day(Date),
    Text(&'static str),
}

impl Function {
    pub(super) const ALL: [Self; 8] = [
        Self::Year,
        Self::Earliest,
        Self::Latest,
        Self::DaysBetween,
        Self::YearsBetween,
        Self::Instant,
        Self::PersonalIdYear,
        Self::PersonalIdSex,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::DaysBetween => "days_between",
            Self::YearsBetween => "years_between",
            Self::Instant => "instant",
            Self::PersonalIdYear => "personal_id_year",
            Self::PersonalIdSex => "personal_id_sex",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    /// The forms each parameter may have.
    pub(super) fn parameters(self) -> &'static [&'static [Form]] {
        match self {
            Self::Year | Self::Earliest | Self::Latest => &[&[Form::Date, Form::PartialDate, Form::Day]],
            Self::DaysBetween | Self::YearsBetween => &[&[Form::Date, Form::Day], &[Form::Date, Form::Day]],
            Self::Instant => &[&[Form::DateTime]],
            Self::PersonalIdYear | Self::PersonalIdSex => &[&[Form::PersonalId]],
        }
    }

    /// What it gives.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Earliest | Self::Latest => Kind::Text(Form::Date),
            Self::PersonalIdSex => Kind::Text(Form::Any),
            _ => Kind::Integer,
        }
    }

    /// The answer; none if an argument is not what it should be. `second` is not looked at where there is one parameter.
    pub(super) fn answer(self, first: Argument<'_>, second: Argument<'_>) -> Option<Answer> {
        Some(match self {
            Self::Year => Answer::Integer(i64::from(first.year()?)),
            Self::Earliest => Answer::Day(first.bound(false)?),
            Self::Latest => Answer::Day(first.bound(true)?),
            Self::DaysBetween => Answer::Integer(i64::from(second.day()?.0) - i64::from(first.day()?.0)),
            Self::YearsBetween => Answer::Integer(years(first.day()?, second.day()?)),
            Self::Instant => Answer::Integer(instant(first.text()?)?),
            Self::PersonalIdYear => Answer::Integer(i64::from(PersonalId::parse(first.text()?)?.birth_year())),
            Self::PersonalIdSex => Answer::Text(match PersonalId::parse(first.text()?)?.sex() {
                Sex::Male => "1",
                Sex::Female => "2",
            }),
        })
    }
}

impl<'a> Argument<'a> {
    #[inline]
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Day(_) => None,
        }
    }

    #[inline]
    fn day(self) -> Option<Date> {
        match self {
            Self::Text(text) => Date::parse(text),
            Self::Day(day) => Some(day),
        }
    }

    fn year(self) -> Option<u32> {
        match self {
            Self::Text(text) => format::year(text),
            Self::Day(day) => u32::try_from(day.ymd().0).ok(),
        }
    }

    /// The first or last day of a year, month or day.
    #[inline]
    fn bound(self, is_last: bool) -> Option<Date> {
        let text = match self {
            Self::Text(text) if text.len() < 10 => text,
            day => return day.day(),
        };
        if !format::is_partial_date(text) {
            return None;
        }
        let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<i32>().ok());
        let year = number(0..4)?;
        let month = number(5..7).unwrap_or(if is_last { 12 } else { 1 });
        match is_last {
            true => (28..=31).rev().find_map(|day| Date::from_ymd(year, month, day)),
            false => Date::from_ymd(year, month, 1),
        }
    }
}

/// Full years from one day to another, as an age is counted: whoever is born on 29 February is a year older on 1 March.
fn years(from: Date, to: Date) -> i64 {
    let ((from_year, from_month, from_day), (to_year, to_month, to_day)) = (from.ymd(), to.ymd());
    i64::from(to_year - from_year - i32::from((to_month, to_day) < (from_month, from_day)))
}

/// Microseconds since 1970-01-01 UTC of an RFC 3339 date-time.
fn instant(text: &str) -> Option<i64> {
    if !format::is_date_time(text) {
        return None;
    }
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<i64>().ok());
    let day = i64::from(Date::parse(text.get(..10)?)?.0);
    let seconds = ((day * 24 + number(11..13)?) * 60 + number(14..16)?) * 60 + number(17..19)?;
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let offset = match zone.as_bytes() {
        [sign @ (b'+' | b'-'), ..] => {
            let minutes = zone.get(1..3)?.parse::<i64>().ok()? * 60 + zone.get(4..6)?.parse::<i64>().ok()?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => 0,
    };
    Some((seconds - offset * 60) * 1_000_000 + micros)
}

/// CEL's own functions and ours.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    for function in Function::ALL {
        let parameters = function.parameters().iter().map(|_| STRING_TYPE).collect();
        let added = environment.add_overload(function.name(), function.name(), parameters, overload(function));
        added.expect("no two functions have one name");
    }
    Arc::new(environment)
});

fn overload(function: Function) -> Overload {
    match function {
        Function::Year => |arguments| call(Function::Year, &arguments),
        Function::Earliest => |arguments| call(Function::Earliest, &arguments),
        Function::Latest => |arguments| call(Function::Latest, &arguments),
        Function::DaysBetween => |arguments| call(Function::DaysBetween, &arguments),
        Function::YearsBetween => |arguments| call(Function::YearsBetween, &arguments),
        Function::Instant => |arguments| call(Function::Instant, &arguments),
        Function::PersonalIdYear => |arguments| call(Function::PersonalIdYear, &arguments),
        Function::PersonalIdSex => |arguments| call(Function::PersonalIdSex, &arguments),
    }
}

fn call<'b, 'v>(function: Function, arguments: &[CowVal<'b, 'v>]) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = |index: usize| arguments.get(index).and_then(|value| value.downcast_ref::<CelString>());
    let [first, second] = [text(0), text(1)].map(|text| Argument::Text(text.map_or("", |text| text.inner())));
    match function.answer(first, second) {
        Some(Answer::Integer(integer)) => Ok(CowVal::owned(CelInt::from(integer))),
        Some(Answer::Day(day)) => Ok(CowVal::owned(CelString::from(day.to_string()))),
        Some(Answer::Text(text)) => Ok(CowVal::owned(CelString::from(text))),
        // Says nothing of the arguments.
        None => Err(ExecutionError::function_error(function.name(), "an argument is not well-formed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(function: Function, first: &str, second: &str) -> Option<i64> {
        match function.answer(Argument::Text(first), Argument::Text(second)) {
            Some(Answer::Integer(integer)) => Some(integer),
            _ => None,
        }
    }

    fn day(function: Function, text: &str) -> Option<String> {
        match function.answer(Argument::Text(text), Argument::Text("")) {
            Some(Answer::Day(day)) => Some(day.to_string()),
            _ => None,
        }
    }

    #[test]
    fn a_partial_date_has_a_first_and_a_last_day() {
        for (text, first, last) in [
            ("1956", "1956-01-01", "1956-12-31"),
            ("1956-02", "1956-02-01", "1956-02-29"),
            ("1957-02", "1957-02-01", "1957-02-28"),
            ("1956-02-29", "1956-02-29", "1956-02-29"),
        ] {
            assert_eq!(day(Function::Earliest, text).as_deref(), Some(first));
            assert_eq!(day(Function::Latest, text).as_deref(), Some(last));
            assert!(integer(Function::Year, text, "").is_some_and(|year| text.starts_with(&year.to_string())));
        }
        for bad in ["", "56", "1957-02-29", "1956-13", "x956"] {
            assert_eq!(day(Function::Latest, bad), None, "{bad}");
        }
    }

    #[test]
    fn years_are_counted_as_an_age_is() {
        for (from, to, full) in [
            ("2000-02-29", "2018-02-28", 17),
            ("2000-02-29", "2018-03-01", 18),
            ("2000-07-01", "2020-07-01", 20),
            ("2000-07-01", "2020-06-30", 19),
            ("2020-07-01", "2000-07-01", -20),
        ] {
            assert_eq!(integer(Function::YearsBetween, from, to), Some(full), "{from} {to}");
        }
        assert_eq!(integer(Function::DaysBetween, "2024-02-28", "2024-03-01"), Some(2));
        assert_eq!(integer(Function::DaysBetween, "2024", "2024-03-01"), None);
    }

    #[test]
    fn an_instant_knows_its_zone() {
        let same = ["2025-07-01T00:00:00Z", "2025-07-01t07:00:00.000+07:00", "2025-06-30T23:30:00-00:30"];
        for text in same {
            assert_eq!(integer(Function::Instant, text, ""), Some(1_751_328_000_000_000), "{text}");
        }
        assert_eq!(integer(Function::Instant, "2025-07-01T00:00:00.1234567Z", ""), Some(1_751_328_000_123_456));
        assert_eq!(integer(Function::Instant, "2025-07-01", ""), None);
    }

    #[test]
    fn a_personal_id_tells_year_and_sex() {
        assert_eq!(integer(Function::PersonalIdYear, "064256123456", ""), Some(2056));
        let sex = |id| Function::PersonalIdSex.answer(Argument::Text(id), Argument::Text(""));
        assert!(matches!(sex("064156123456"), Some(Answer::Text("2"))));
        assert!(sex("06415612345").is_none());
    }
}

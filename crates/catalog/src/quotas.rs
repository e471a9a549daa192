//! Quotas of agreements: how often, how much, and at which hours. All hours and days are those of Việt Nam (UTC+7, no daylight
//! saving), whatever the hub's own clock is set to.

use std::num::{NonZeroU32, NonZeroU64};

use ldop_types::TimestampMs;

use crate::DefinitionError;

/// Most calls in a second that can be granted.
pub const MAX_CALLS_PER_SECOND: u32 = 100_000;
/// Most calls at once that can be granted.
pub const MAX_BURST: u32 = 1_000_000;
/// Most records in a day that can be granted.
pub const MAX_RECORDS_PER_DAY: u64 = 1_000_000_000_000;
/// Most ranges of allowed hours.
pub const MAX_ALLOWED_HOURS: usize = 50;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const WEEK_MS: i64 = 7 * DAY_MS;
const UTC_PLUS_7_MS: i64 = 7 * 60 * MINUTE_MS;
/// 1970-01-01 was a Thursday, and weeks begin on Mondays.
const FIRST_WEEKDAY_MS: i64 = 3 * DAY_MS;
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Quotas as defined; field names as in `ldop.catalog.v1.Quotas`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct QuotasDefinition {
    pub calls_per_second: Option<u32>,
    pub burst: Option<u32>,
    pub records_per_day: Option<u64>,
    pub allowed_hours: Vec<String>,
}

/// What an agreement grants at most. Nothing is limited by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quotas {
    /// How often it may be called.
    pub calls: Option<CallRate>,
    /// Records in a day.
    pub records_per_day: Option<NonZeroU64>,
    /// When anything is given.
    pub hours: Option<AllowedHours>,
}

/// A token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRate {
    /// Calls that come back in a second.
    pub per_second: NonZeroU32,
    /// Calls at once, after a rest.
    pub burst: NonZeroU32,
}

/// Hours of a week. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHours {
    /// Begin in the week and length, milliseconds.
    spans: Vec<(i64, i64)>,
}

/// Whether something is given at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hours {
    /// It is, until then.
    Open {
        /// First moment it is not any more; `None` where there is none.
        until: Option<TimestampMs>,
    },
    /// It is not, until then.
    Closed {
        /// First moment it is again.
        until: TimestampMs,
    },
}

impl Quotas {
    /// Checks the definition.
    ///
    /// # Errors
    ///
    /// Every bad field, as `quotas.<field>`.
    pub fn new(definition: &QuotasDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Vec::new();
        let mut check = |fits: bool, field: &str, expected: String| {
            if !fits {
                errors.push(DefinitionError::new(format!("quotas{field}"), expected));
            }
        };
        let QuotasDefinition { calls_per_second, burst, records_per_day, allowed_hours } = definition;
        let says_something =
            calls_per_second.is_some() || burst.is_some() || records_per_day.is_some() || !allowed_hours.is_empty();
        check(says_something, "", "at least one quota".to_owned());
        let fits = calls_per_second.is_none_or(|calls| (1..=MAX_CALLS_PER_SECOND).contains(&calls));
        check(fits, ".calls_per_second", format!("1-{MAX_CALLS_PER_SECOND}"));
        let fits = burst.is_none_or(|burst| calls_per_second.is_some() && (1..=MAX_BURST).contains(&burst));
        check(fits, ".burst", format!("1-{MAX_BURST}, beside calls_per_second"));
        let fits = records_per_day.is_none_or(|records| (1..=MAX_RECORDS_PER_DAY).contains(&records));
        check(fits, ".records_per_day", format!("1-{MAX_RECORDS_PER_DAY}"));
        let fits = allowed_hours.len() <= MAX_ALLOWED_HOURS;
        check(fits, ".allowed_hours", format!("at most {MAX_ALLOWED_HOURS} ranges"));
        let mut spans = Vec::new();
        for (at, text) in allowed_hours.iter().enumerate() {
            let parsed = parse_hours(text);
            let expected = "hours of a day in Việt Nam such as 07:30-17:30, and before them the weekdays they begin on \
                            such as mon-fri or sat,sun";
            check(parsed.is_some(), &format!(".allowed_hours[{at}]"), expected.to_owned());
            spans.extend(parsed.into_iter().flatten());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let per_second = calls_per_second.and_then(NonZeroU32::new);
        let burst = burst.and_then(NonZeroU32::new);
        Ok(Self {
            calls: per_second.map(|per_second| CallRate { per_second, burst: burst.unwrap_or(per_second) }),
            records_per_day: records_per_day.and_then(NonZeroU64::new),
            hours: (!spans.is_empty()).then_some(AllowedHours { spans }),
        })
    }

    /// Whether something is given at a moment, as far as hours go.
    #[must_use]
    pub fn hours_at(&self, now: TimestampMs) -> Hours {
        self.hours.as_ref().map_or(Hours::Open { until: None }, |hours| hours.at(now))
    }
}

impl AllowedHours {
    fn at(&self, now: TimestampMs) -> Hours {
        let in_week = now.0.saturating_add(UTC_PLUS_7_MS + FIRST_WEEKDAY_MS).rem_euclid(WEEK_MS);
        // What is left of a span at a moment of the week, where it holds that moment.
        let left = |(from, length): (i64, i64), moment: i64| {
            let gone = (moment - from).rem_euclid(WEEK_MS);
            (gone < length).then_some(length - gone)
        };
        let mut open = 0;
        // Spans may follow on each other, or overlap.
        while let Some(more) = self.spans.iter().filter_map(|span| left(*span, in_week + open)).max() {
            open += more;
            if open >= WEEK_MS {
                return Hours::Open { until: None };
            }
        }
        if open > 0 {
            return Hours::Open { until: Some(TimestampMs(now.0.saturating_add(open))) };
        }
        let wait = self.spans.iter().map(|(from, _)| (from - in_week).rem_euclid(WEEK_MS)).min().unwrap_or(WEEK_MS);
        Hours::Closed { until: TimestampMs(now.0.saturating_add(wait)) }
    }
}

/// `[DAYS ]HH:MM-HH:MM`: spans of the week.
fn parse_hours(text: &str) -> Option<Vec<(i64, i64)>> {
    let (days, hours) = match text.split_once(' ') {
        Some((days, hours)) => (parse_days(days)?, hours),
        None => ([true; 7], text),
    };
    let (from, until) = hours.split_once('-')?;
    let (from, until) = (parse_minute(from)?, parse_minute(until)?);
    if from == until || from == 24 * 60 {
        return None;
    }
    // A range whose end is not behind its beginning goes on into the next day.
    let length = if until > from { until - from } else { until + 24 * 60 - from };
    let begins = (0_i64..).zip(days).filter(|(_, is_allowed)| *is_allowed).map(|(day, _)| day);
    Some(begins.map(|day| (day * DAY_MS + from * MINUTE_MS, length * MINUTE_MS)).collect())
}

/// `mon`, `mon-fri`, `sat,sun`, `mon-wed,fri`; each day once.
fn parse_days(text: &str) -> Option<[bool; 7]> {
    let weekday = |word: &str| WEEKDAYS.iter().position(|known| *known == word);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(part)?, weekday(part)?),
        };
        let count = (last + 7 - first) % 7 + 1;
        for day in (first..first + count).map(|day| day % 7) {
            if std::mem::replace(&mut days[day], true) {
                return None;
            }
        }
    }
    Some(days)
}

/// `HH:MM`, up to 24:00.
fn parse_minute(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| {
        (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse::<i64>().ok())?
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2 February 2026, 00:00 in Việt Nam.
    const MONDAY: i64 = 1_769_965_200_000;
    const HOUR: i64 = 60 * MINUTE_MS;

    fn hours(ranges: &[&str]) -> Quotas {
        let allowed_hours = ranges.iter().map(|range| (*range).to_owned()).collect();
        Quotas::new(&QuotasDefinition { allowed_hours, ..Default::default() }).expect("good")
    }

    fn open(quotas: &Quotas, at: i64) -> Option<Option<i64>> {
        match quotas.hours_at(TimestampMs(MONDAY + at)) {
            Hours::Open { until } => Some(until.map(|until| until.0 - MONDAY)),
            Hours::Closed { .. } => None,
        }
    }

    fn closed(quotas: &Quotas, at: i64) -> Option<i64> {
        match quotas.hours_at(TimestampMs(MONDAY + at)) {
            Hours::Open { .. } => None,
            Hours::Closed { until } => Some(until.0 - MONDAY),
        }
    }

    #[test]
    fn hours_are_those_of_the_day_in_vietnam() {
        let office = hours(&["mon-fri 07:30-17:30"]);
        let (begin, end) = (7 * HOUR + HOUR / 2, 17 * HOUR + HOUR / 2);
        assert_eq!(closed(&office, begin - 1), Some(begin));
        assert_eq!(open(&office, begin), Some(Some(end)));
        assert_eq!(open(&office, end - 1), Some(Some(end)));
        assert_eq!(closed(&office, end), Some(DAY_MS + begin));
        assert_eq!(closed(&office, 4 * DAY_MS + end), Some(7 * DAY_MS + begin), "over the weekend");
        assert_eq!(open(&hours(&["07:30-17:30"]), 5 * DAY_MS + begin), Some(Some(5 * DAY_MS + end)), "every day");
    }

    #[test]
    fn hours_cross_midnight_and_the_end_of_the_week() {
        let night = hours(&["sun 22:00-06:00"]);
        assert_eq!(open(&night, 0), Some(Some(6 * HOUR)), "begun on Sunday");
        assert_eq!(closed(&night, 6 * HOUR), Some(6 * DAY_MS + 22 * HOUR));
        assert_eq!(open(&night, 6 * DAY_MS + 22 * HOUR), Some(Some(7 * DAY_MS + 6 * HOUR)));
        let to_midnight = hours(&["20:00-24:00", "tue 00:00-01:00"]);
        assert_eq!(open(&to_midnight, 20 * HOUR), Some(Some(25 * HOUR)), "one goes on where the other ends");
        assert_eq!(open(&to_midnight, DAY_MS + 20 * HOUR), Some(Some(2 * DAY_MS)));
        for always in [&["00:00-24:00"][..], &["00:00-12:00", "12:00-00:00"], &["12:00-13:00", "12:30-12:15"]] {
            assert_eq!(open(&hours(always), 5 * HOUR), Some(None), "{always:?}");
        }
        assert_eq!(open(&Quotas::default(), 0), Some(None));
    }

    #[test]
    fn weekdays_are_ranges_and_lists() {
        for (text, days) in [
            ("mon", "1000000"),
            ("sat,sun", "0000011"),
            ("mon-wed,fri", "1110100"),
            ("fri-mon", "1000111"),
            ("tue-mon", "1111111"),
        ] {
            let told: String = parse_days(text).expect(text).map(|day| if day { '1' } else { '0' }).iter().collect();
            assert_eq!(told, days, "{text}");
        }
        for bad in ["", "Mon", "mon,mon", "mon-fri,wed", "t2", "mon-", ","] {
            assert_eq!(parse_days(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn every_bad_quota_is_told_at_once() {
        let told = |definition: &QuotasDefinition| {
            let errors = Quotas::new(definition).err().unwrap_or_default();
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(told(&QuotasDefinition::default()), ["quotas"], "no quota at all");
        let bad = ["7:30-17:30", "07:30-07:30", "24:00-06:00", "07:30-24:01", "07:60-08:00", "mon 07:30", "", "a b-c"];
        let definition = QuotasDefinition {
            calls_per_second: Some(0),
            burst: Some(0),
            records_per_day: Some(0),
            allowed_hours: bad.map(str::to_owned).to_vec(),
        };
        let mut expected = ["calls_per_second", "burst", "records_per_day"].map(|f| format!("quotas.{f}")).to_vec();
        expected.extend((0..bad.len()).map(|at| format!("quotas.allowed_hours[{at}]")));
        assert_eq!(told(&definition), expected);
        assert_eq!(told(&QuotasDefinition { burst: Some(5), ..Default::default() }), ["quotas.burst"]);
        let many = vec!["07:00-08:00".to_owned(); MAX_ALLOWED_HOURS + 1];
        assert_eq!(told(&QuotasDefinition { allowed_hours: many, ..Default::default() }), ["quotas.allowed_hours"]);
    }

    #[test]
    fn burst_is_as_many_as_come_back_in_a_second_unless_told() {
        let rate = |burst| {
            let definition = QuotasDefinition { calls_per_second: Some(7), burst, ..Default::default() };
            let rate = Quotas::new(&definition).expect("good").calls.expect("limited");
            (rate.per_second.get(), rate.burst.get())
        };
        assert_eq!(rate(None), (7, 7));
        assert_eq!(rate(Some(1)), (7, 1));
    }
}

//! The period of a report.

use jiff::Timestamp;
use ldop_types::{Date, TimestampMs};

/// An end of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A whole day in Việt Nam.
    Day(Date),
    /// A moment.
    Moment(TimestampMs),
}

impl Bound {
    /// The first moment of a period that begins here.
    pub fn first(self) -> TimestampMs {
        match self {
            Self::Day(day) => day.start_in_vietnam(),
            Self::Moment(moment) => moment,
        }
    }

    /// The first moment behind a period that ends here.
    pub fn behind(self) -> TimestampMs {
        match self {
            Self::Day(day) => Date(day.0.saturating_add(1)).start_in_vietnam(),
            Self::Moment(moment) => moment,
        }
    }
}

/// Reads an end of a period.
pub fn parse(text: &str) -> Result<Bound, String> {
    if let Some(day) = Date::parse(text) {
        return Ok(Bound::Day(day));
    }
    let expected = || "expected a day such as 2026-07-01, or a time such as 2026-07-01T00:00:00+07:00".to_owned();
    let moment: Timestamp = text.parse().map_err(|_| expected())?;
    Ok(Bound::Moment(TimestampMs(moment.as_millisecond())))
}

/// The first moment of the month a moment falls into.
pub fn month_of(moment: TimestampMs) -> TimestampMs {
    let day = moment.date_in_vietnam();
    let (year, month, _) = day.ymd();
    Date::from_ymd(year, month, 1).unwrap_or(day).start_in_vietnam()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn days_are_whole_and_those_of_viet_nam() {
        let bound = parse("2026-03-01").expect("a day");
        assert_eq!(bound.first(), TimestampMs(1_772_298_000_000));
        assert_eq!(bound.behind(), TimestampMs(1_772_298_000_000 + DAY_MS));
        let moment = parse("2026-03-01T00:00:00+07:00").expect("a time");
        assert_eq!((moment.first(), moment.behind()), (bound.first(), bound.first()));
        assert_eq!(month_of(TimestampMs(bound.first().0 + 40 * DAY_MS)), parse("2026-04-01").expect("a day").first());
        assert_eq!(month_of(TimestampMs(bound.first().0 - 1)), parse("2026-02-01").expect("a day").first());
        for bad in ["2026-02-30", "03/2026", "2026-03-01T00:00:00", ""] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

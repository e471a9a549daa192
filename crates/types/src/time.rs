//! Points in time and days.

use std::{fmt, time::SystemTime};

const DAY_MS: i64 = 86_400_000;
const UTC_PLUS_7_MS: i64 = 7 * 3_600_000;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TimestampMs(pub i64);

impl TimestampMs {
    /// The system clock. Before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// The civil day in Việt Nam (UTC+7, no daylight saving) this moment falls on.
    #[must_use]
    pub fn date_in_vietnam(self) -> Date {
        let days = self.0.saturating_add(UTC_PLUS_7_MS).div_euclid(DAY_MS);
        Date(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }
}

/// A civil day, as days since 1970-01-01. Proleptic Gregorian calendar, years 0000 to 9999 when parsed from text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(pub i32);

impl Date {
    /// Parses `YYYY-MM-DD` (RFC 3339 full-date); days that do not exist are refused.
    #[must_use]
    #[inline]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
        // All at once: records are full of dates, and nearly all of them are right.
        let most = [0, 1, 2, 3, 5, 6, 8, 9].iter().fold(0, |most, at| bytes[*at].wrapping_sub(b'0').max(most));
        if most > 9 || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let pair = |at: usize| i32::from(bytes[at] - b'0') * 10 + i32::from(bytes[at + 1] - b'0');
        Self::from_ymd(pair(0) * 100 + pair(2), pair(5), pair(8))
    }

    /// The day of a year, month and day, if there is one.
    #[must_use]
    #[inline]
    pub fn from_ymd(year: i32, month: i32, day: i32) -> Option<Self> {
        /// Days of each month; February of a leap year has one more.
        const LENGTHS: [i32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let index = usize::try_from(month).ok()?.checked_sub(1)?;
        let mut length = *LENGTHS.get(index)?;
        if month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) {
            length = 29;
        }
        if !(0..=9999).contains(&year) || !(1..=length).contains(&day) {
            return None;
        }
        // Days from civil, Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let y = if month <= 2 { year - 1 } else { year };
        let era = y.div_euclid(400);
        let year_of_era = y - era * 400;
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Some(Self(era * 146_097 + day_of_era - 719_468))
    }

    /// The first moment of the day in Việt Nam (UTC+7, no daylight saving).
    #[must_use]
    pub fn start_in_vietnam(self) -> TimestampMs {
        TimestampMs(i64::from(self.0) * DAY_MS - UTC_PLUS_7_MS)
    }

    /// Year, month and day.
    #[must_use]
    pub fn ymd(self) -> (i32, i32, i32) {
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let day_of_era = z - era * 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (i32::try_from(year).unwrap_or(i32::MAX), month as i32, day as i32)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_day_that_exists() {
        assert_eq!(Date::parse("1970-01-01"), Some(Date(0)));
        assert_eq!(Date::parse("2025-07-01").map(|d| d.to_string()).as_deref(), Some("2025-07-01"));
        for day in -200_000..200_000 {
            let (y, m, d) = Date(day).ymd();
            assert_eq!(Date::from_ymd(y, m, d), Some(Date(day)));
        }
        for bad in ["2025-02-29", "2025-13-01", "2025-00-10", "2025-1-1", "20250101", "2025-01-32", "+025-01-01"] {
            assert_eq!(Date::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_moment_falls_on_the_day_in_vietnam() {
        // 2025-06-30T17:00:00Z is midnight of 1 July in Việt Nam.
        let moment = TimestampMs(1_751_302_800_000);
        assert_eq!(moment.date_in_vietnam(), Date::parse("2025-07-01").expect("good date"));
        assert_eq!(TimestampMs(moment.0 - 1).date_in_vietnam(), Date::parse("2025-06-30").expect("good date"));
    }
}

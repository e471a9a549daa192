//! Formats of string elements. Days must exist; nothing is normalised.

use ldop_types::Date;

/// Whether `text` is an RFC 3339 full-date of a day that exists.
#[must_use]
#[inline]
pub fn is_date(text: &str) -> bool {
    Date::parse(text).is_some()
}

/// Whether `text` is `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. Old registers know only the year or month of a birth.
#[must_use]
#[inline]
pub fn is_partial_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() {
        4 => digits(bytes, 0..4).is_some(),
        7 => digits(bytes, 0..4).is_some() && bytes[4] == b'-' && matches!(digits(bytes, 5..7), Some(1..=12)),
        _ => is_date(text),
    }
}

/// The year a date or partial date begins with.
#[must_use]
pub fn year(text: &str) -> Option<u32> {
    is_partial_date(text).then(|| digits(text.as_bytes(), 0..4)).flatten()
}

/// Whether `text` is an RFC 3339 date-time. A leap second is accepted only where one can fall, at 23:59:60 UTC.
#[must_use]
pub fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Shortest: 2025-07-01T00:00:00Z
    let (Some(date), Some(rest)) = (text.get(..10), bytes.get(10..)) else { return false };
    if !is_date(date) || rest.len() < 10 || !matches!(rest[0], b'T' | b't') || rest[3] != b':' || rest[6] != b':' {
        return false;
    }
    let (Some(hour @ 0..=23), Some(minute @ 0..=59), Some(second @ 0..=60)) =
        (digits(rest, 1..3), digits(rest, 4..6), digits(rest, 7..9))
    else {
        return false;
    };
    let mut zone = &rest[9..];
    if let [b'.', fraction @ ..] = zone {
        let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if length == 0 {
            return false;
        }
        zone = &fraction[length..];
    }
    let offset = match zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (Some(hours @ 0..=23), Some(minutes @ 0..=59)) = (digits(zone, 1..3), digits(zone, 4..6)) else {
                return false;
            };
            let offset = i64::from(hours * 60 + minutes);
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return false,
    };
    second < 60 || (i64::from(hour * 60 + minute) - offset).rem_euclid(24 * 60) == 23 * 60 + 59
}

fn digits(bytes: &[u8], range: std::ops::Range<usize>) -> Option<u32> {
    bytes.get(range)?.iter().try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_date_is_a_year_a_month_or_a_day() {
        for good in ["1956", "1956-02", "1956-02-29"] {
            assert!(is_partial_date(good), "{good}");
            assert_eq!(year(good), Some(1956));
        }
        for bad in
            ["", "56", "1956-13", "1956-00", "1957-02-29", "1956-2", "1956/02", "01/02/1956", "19560229", "1956-02-"]
        {
            assert!(!is_partial_date(bad), "{bad}");
            assert_eq!(year(bad), None);
        }
    }

    #[test]
    fn a_date_time_is_rfc_3339() {
        for good in [
            "2025-07-01T00:00:00Z",
            "2025-07-01t08:30:15.123456789+07:00",
            "2016-12-31T23:59:60Z",
            "2017-01-01T06:59:60+07:00",
            "2025-07-01T00:00:00-00:00",
        ] {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2025-07-01",
            "2025-07-01 00:00:00Z",
            "2025-07-01T00:00:00",
            "2025-07-01T24:00:00Z",
            "2025-07-01T00:60:00Z",
            "2025-07-01T00:00:60Z",
            "2025-07-01T00:00:00.Z",
            "2025-07-01T00:00:00+7:00",
            "2025-07-01T00:00:00+07:60",
            "2025-02-29T00:00:00Z",
            "2025-07-01T00:00:00Zx",
            "2025-07-0áT00:00:00Z",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}

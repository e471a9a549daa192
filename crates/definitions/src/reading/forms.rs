//! Forms of single values: text, numbers, sizes, durations.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::DeValue;

/// Any text.
#[must_use]
pub fn text(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

/// `true` or `false`.
#[must_use]
pub fn boolean(value: &DeValue<'_>) -> Option<bool> {
    value.as_bool()
}

/// A whole number of 0 or more.
#[must_use]
pub fn unsigned(value: &DeValue<'_>) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Keeps a value that lies in the range.
pub fn in_range<T: PartialOrd>(range: RangeInclusive<T>) -> impl Fn(T) -> Option<T> {
    move |value| range.contains(&value).then_some(value)
}

/// A size in bytes: a whole number with B, KiB, MiB, GiB or TiB, such as "8MiB".
#[must_use]
pub fn size(value: &DeValue<'_>) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)];
    scaled(value.as_str()?, &UNITS)
}

/// A duration: a whole number with ms, s, m, h or d, such as "30s".
#[must_use]
pub fn duration(value: &DeValue<'_>) -> Option<Duration> {
    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    scaled(value.as_str()?, &UNITS).map(Duration::from_millis)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[digits..])?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_need_a_unit() {
        let value = |text: &'static str| DeValue::String(text.into());
        assert_eq!(size(&value("8MiB")), Some(8 << 20));
        assert_eq!(size(&value("512B")), Some(512));
        assert_eq!(duration(&value("7d")), Some(Duration::from_secs(604_800)));
        assert_eq!(duration(&value("250ms")), Some(Duration::from_millis(250)));
        for bad in ["", "8", "MiB", "8 MiB", "8mb", "-1s", "1.5h", "99999999999999999999d", "99999999999999d"] {
            assert_eq!((size(&value(bad)), duration(&value(bad))), (None, None), "{bad}");
        }
    }
}

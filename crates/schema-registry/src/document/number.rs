//! Numbers, exact where they are whole.

/// A JSON number. Whole numbers of up to 64 bits are held exactly; all others also as the nearest double.
#[derive(Clone, Copy)]
pub struct Number<'d> {
    pub(super) literal: &'d str,
    pub(super) form: Form,
}

#[derive(Clone, Copy)]
pub(super) enum Form {
    Unsigned(u64),
    Negative(i64),
    /// An integer literal beyond 64 bits.
    Large(f64),
    /// A literal with a fraction or exponent.
    Float(f64),
}

impl<'d> Number<'d> {
    /// The number as it was written.
    #[must_use]
    pub fn literal(&self) -> &'d str {
        self.literal
    }

    /// The nearest double; always finite.
    #[must_use]
    pub fn as_f64(&self) -> f64 {
        match self.form {
            Form::Unsigned(value) => value as f64,
            Form::Negative(value) => value as f64,
            Form::Large(value) | Form::Float(value) => value,
        }
    }

    /// The value, if the number is whole and fits 64 bits, signed or unsigned. Decided on the digits, not on the
    /// nearest double: `1.0` and `1e3` are whole, `1.00000000000000000001` is not.
    #[must_use]
    pub fn as_integer(&self) -> Option<i128> {
        match self.form {
            Form::Unsigned(value) => Some(value.into()),
            Form::Negative(value) => Some(value.into()),
            Form::Large(_) => None,
            // A whole number is never rounded to one that is not, so most literals need no second look.
            Form::Float(value) if !has_no_fraction(value) => None,
            Form::Float(_) => match whole(self.literal) {
                Whole::Exactly(value) if (i64::MIN.into()..=u64::MAX.into()).contains(&value) => Some(value),
                _ => None,
            },
        }
    }

    /// Whether the number is whole, of whatever size.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self.form {
            Form::Float(value) => has_no_fraction(value) && !matches!(whole(self.literal), Whole::No),
            _ => true,
        }
    }

    /// The value of an integer literal that fits `u64`.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self.form {
            Form::Unsigned(value) => Some(value),
            _ => None,
        }
    }

    /// The value of an integer literal that fits `i64`.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self.form {
            Form::Unsigned(value) => i64::try_from(value).ok(),
            Form::Negative(value) => Some(value),
            _ => None,
        }
    }

    /// As `serde_json` holds it.
    pub(crate) fn to_tree(self) -> serde_json::Number {
        match self.form {
            Form::Unsigned(value) => value.into(),
            Form::Negative(value) => value.into(),
            // The parser admits finite numbers only.
            Form::Large(value) | Form::Float(value) => serde_json::Number::from_f64(value).unwrap_or_else(|| 0.into()),
        }
    }
}

/// Whether a double is whole. As `value.fract() == 0.0`, which is a call into the mathematics library.
#[inline]
fn has_no_fraction(value: f64) -> bool {
    // From 2^53 on every double is whole; below, the conversion is exact when there is nothing to cut off.
    value.abs() >= 9_007_199_254_740_992.0 || (value as i64) as f64 == value
}

enum Whole {
    No,
    Exactly(i128),
    /// Whole, but beyond 128 bits.
    Huge,
}

/// Decides on the decimal digits of a literal that is well-formed.
fn whole(literal: &str) -> Whole {
    let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = || integer.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit);
    if digits().all(|b| b == b'0') {
        return Whole::Exactly(0);
    }
    // An exponent no i64 holds is far beyond any digits a record can have.
    let exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let shift = exponent.saturating_sub(fraction.len() as i64);
    let trailing = if fraction.is_empty() { integer.bytes().rev().take_while(|b| *b == b'0').count() } else { 0 };
    if shift.saturating_add(trailing as i64) < 0 {
        return Whole::No;
    }
    let kept = digits().count() - usize::try_from(-shift.min(0)).unwrap_or(0);
    let exact =
        digits().take(kept).try_fold(0i128, |value, b| value.checked_mul(10)?.checked_add(i128::from(b - b'0')));
    let scale = u32::try_from(shift.max(0)).ok().and_then(|shift| 10i128.checked_pow(shift));
    match exact.zip(scale).and_then(|(value, scale)| value.checked_mul(scale)) {
        Some(value) => Whole::Exactly(if literal.starts_with('-') { -value } else { value }),
        None => Whole::Huge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(literal: &str) -> Number<'_> {
        Number { literal, form: Form::Float(literal.parse().expect("a number")) }
    }

    #[test]
    fn a_fraction_is_told_as_the_standard_library_does() {
        let mut values = vec![0.0, -0.0, 0.5, -0.5, 1e300, -1e300, f64::MIN_POSITIVE, f64::MAX, f64::EPSILON];
        for exponent in -60..70 {
            for base in [1.0, 1.5, 3.0, -1.0, -1.25, 1.0 + f64::EPSILON, 2.0 - f64::EPSILON] {
                values.push(base * 2f64.powi(exponent));
            }
        }
        for value in values {
            assert_eq!(has_no_fraction(value), value.fract() == 0.0, "{value}");
        }
    }

    #[test]
    fn whole_numbers_are_told_from_their_digits() {
        for (literal, expected) in [
            ("0.0", Some(0)),
            ("-0.0", Some(0)),
            ("0e9999999999999999999999", Some(0)),
            ("1.0", Some(1)),
            ("-12.500e1", Some(-125)),
            ("1e3", Some(1_000)),
            ("1200e-2", Some(12)),
            ("1210e-2", None),
            ("1.5", None),
            ("1.00000000000000000001", None),
            ("1e-400", None),
            ("1e-99999999999999999999", None),
            ("18446744073709551615.0", Some(18_446_744_073_709_551_615)),
            ("18446744073709551616.0", None),
            ("-9223372036854775808.0", Some(-9_223_372_036_854_775_808)),
            ("-9223372036854775809.0", None),
            ("1e300", None),
        ] {
            assert_eq!(number(literal).as_integer(), expected, "{literal}");
        }
        for (literal, expected) in [("1e300", true), ("18446744073709551616.0", true), ("0.1e1", true), ("0.1", false)]
        {
            assert_eq!(number(literal).is_whole(), expected, "{literal}");
        }
    }
}

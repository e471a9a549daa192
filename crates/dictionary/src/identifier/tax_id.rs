//! The tax code (mã số thuế): TT 105/2020/TT-BTC Đ5 and, from 1/7/2025, TT 86/2024/TT-BTC.
//!
//! 10 digits of which the last is a check digit; 10 digits, a hyphen and a branch 001-999; or, for people and
//! households from 1/7/2025, the 12-digit personal id. Weights of the check digit: 31, 29, 23, 19, 17, 13, 7, 5, 3;
//! the check digit is 10 - (sum mod 11), so a number with a sum divisible by 11 is never given out.

use super::PersonalId;

const WEIGHTS: [u32; 9] = [31, 29, 23, 19, 17, 13, 7, 5, 3];

/// What is wrong with a tax code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaxIdError {
    /// Not of one of the three forms.
    Form,
    /// The check digit does not fit the other nine.
    CheckDigit,
}

/// Checks a tax code.
///
/// # Errors
///
/// [`TaxIdError::Form`] for any other form, [`TaxIdError::CheckDigit`] for 10 digits that do not fit each other.
pub fn check_tax_id(text: &str) -> Result<(), TaxIdError> {
    if PersonalId::parse(text).is_some() {
        return Ok(());
    }
    let (number, branch) = match text.split_once('-') {
        Some((number, branch)) => (number, Some(branch)),
        None => (text, None),
    };
    let digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number, 10) || branch.is_some_and(|branch| !digits(branch, 3) || branch == "000") {
        return Err(TaxIdError::Form);
    }
    if &number[2..9] == "0000000" {
        return Err(TaxIdError::Form);
    }
    let mut digits = number.bytes().map(|b| u32::from(b - b'0'));
    let sum: u32 = digits.clone().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    if digits.next_back() == Some(10 - sum % 11) { Ok(()) } else { Err(TaxIdError::CheckDigit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of python-stdnum, `stdnum.vn.mst`, and our own around them.
    #[test]
    fn known_tax_codes() {
        for good in ["0100233488", "0314409058-002", "0100233488-999", "064256123456"] {
            assert_eq!(check_tax_id(good), Ok(()), "{good}");
        }
        for bad in ["0100233480", "0100233480-001", "0100233489"] {
            assert_eq!(check_tax_id(bad), Err(TaxIdError::CheckDigit), "{bad}");
        }
        for bad in [
            "",
            "010023348",
            "01002334888",
            "0100233488-",
            "0100233488-01",
            "0100233488-000",
            "0100233488-1x1",
            "010023348x",
            "0100000000",
            "0314409058002",
            "0100233488 ",
        ] {
            assert_eq!(check_tax_id(bad), Err(TaxIdError::Form), "{bad}");
        }
    }

    #[test]
    fn one_wrong_digit_never_passes() {
        let good = b"0100233488";
        for position in 0..10 {
            for digit in b'0'..=b'9' {
                let mut other = *good;
                other[position] = digit;
                let text = std::str::from_utf8(&other).expect("digits");
                assert_eq!(check_tax_id(text).is_ok(), other == *good, "{text}");
            }
        }
    }
}

//! The personal id (số định danh cá nhân): 12 digits, NĐ 137/2015/NĐ-CP Đ13, TT 07/2016/TT-BCA Đ7, TT 59/2021/TT-BCA Đ4.
//!
//! Three digits for the province or country of birth registration, one for century and sex, two for the year of
//! birth, six at random. There is no check digit. What the parts say is compared with other fields as a warning only:
//! sex may be changed by law, and the list of prefixes after the merger of 1/7/2025 is not confirmed.

use std::fmt;

/// Id of the code list of known prefixes. Without such a list no prefix is doubted.
pub const PREFIX_LIST: &str = "personal-id-prefixes";

/// Sex as the personal id tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sex {
    /// Nam; code 1 of QCVN 109:2017/BTTTT.
    Male,
    /// Nữ; code 2 of QCVN 109:2017/BTTTT.
    Female,
}

impl Sex {
    /// Parses a code of QCVN 109:2017/BTTTT: `1` male, `2` female; anything else tells nothing.
    #[must_use]
    pub fn parse_code(code: &str) -> Option<Self> {
        match code {
            "1" => Some(Self::Male),
            "2" => Some(Self::Female),
            _ => None,
        }
    }
}

/// A personal id of 12 digits. Prints only a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PersonalId<'a>(&'a str);

impl<'a> PersonalId<'a> {
    /// Parses 12 ASCII digits.
    #[must_use]
    #[inline]
    pub fn parse(text: &'a str) -> Option<Self> {
        let bytes: &[u8; 12] = text.as_bytes().try_into().ok()?;
        // Without leaving early: nearly all are right, so no branch has to be guessed for each digit.
        bytes.iter().fold(true, |all, b| all & b.is_ascii_digit()).then_some(Self(text))
    }

    /// The province or country of birth registration, three digits.
    #[must_use]
    pub fn prefix(self) -> &'a str {
        &self.0[..3]
    }

    /// Sex by the fourth digit: even male, odd female.
    #[must_use]
    pub fn sex(self) -> Sex {
        if self.digit(3).is_multiple_of(2) { Sex::Male } else { Sex::Female }
    }

    /// Year of birth, 1900 to 2399: the fourth digit gives the century, 0 and 1 for the 1900s, 2 and 3 for the 2000s.
    #[must_use]
    pub fn birth_year(self) -> u32 {
        1900 + self.digit(3) / 2 * 100 + self.digit(4) * 10 + self.digit(5)
    }

    fn digit(self, index: usize) -> u32 {
        u32::from(self.0.as_bytes()[index] - b'0')
    }
}

impl fmt::Debug for PersonalId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonalId(************)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_digit_tells_century_and_sex() {
        for (digit, sex, century) in [
            (0, Sex::Male, 1900),
            (1, Sex::Female, 1900),
            (2, Sex::Male, 2000),
            (3, Sex::Female, 2000),
            (4, Sex::Male, 2100),
            (5, Sex::Female, 2100),
            (6, Sex::Male, 2200),
            (7, Sex::Female, 2200),
            (8, Sex::Male, 2300),
            (9, Sex::Female, 2300),
        ] {
            let text = format!("064{digit}56123456");
            let id = PersonalId::parse(&text).expect("12 digits");
            assert_eq!((id.prefix(), id.sex(), id.birth_year()), ("064", sex, century + 56));
        }
    }

    #[test]
    fn anything_but_12_digits_is_refused() {
        for bad in ["", "06425612345", "0642561234567", "06425612345x", "064 25612345", "٠٦٤٢٥٦", "-64256123456"]
        {
            assert!(PersonalId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn it_never_prints_itself() {
        let id = PersonalId::parse("064256123456").expect("12 digits");
        assert!(!format!("{id:?}").contains('4'));
    }
}

//! Whether a text is in normal form. The hub never changes a record: it says what the sender has to change.

use unicode_normalization::is_nfc;

use crate::words::{NormalisationCheck, NormalisationStep};

/// The steps a text of an element must have been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NormalForm {
    steps: u8,
    pub(crate) check: NormalisationCheck,
}

const fn bit(step: NormalisationStep) -> u8 {
    1 << step as u8
}

const BLANKS: u8 = bit(NormalisationStep::Trim) | bit(NormalisationStep::CollapseSpaces);
const CASES: u8 = bit(NormalisationStep::UpperCase) | bit(NormalisationStep::LowerCase);

impl NormalForm {
    pub(crate) fn new(steps: &[NormalisationStep], check: NormalisationCheck) -> Option<Self> {
        let steps = steps.iter().fold(0, |all, step| all | bit(*step));
        (steps != 0).then_some(Self { steps, check })
    }

    /// Whether every step of the other is one of this.
    pub(crate) fn covers(self, other: Self) -> bool {
        other.steps & !self.steps == 0
    }

    fn has(self, step: NormalisationStep) -> bool {
        self.steps & bit(step) != 0
    }

    /// Whether `text` is as the steps would leave it. Does not allocate; Vietnamese text costs little more than ASCII.
    pub(crate) fn is_kept(self, text: &str) -> bool {
        (self.steps & BLANKS == 0 || self.blanks_are_kept(text))
            && (self.steps & CASES == 0 || self.case_is_kept(text))
            && (!self.has(NormalisationStep::Nfc) || is_composed(text))
    }

    fn blanks_are_kept(self, text: &str) -> bool {
        let (trim, collapse) = (self.has(NormalisationStep::Trim), self.has(NormalisationStep::CollapseSpaces));
        // The text begins as behind a blank where it must not begin with one.
        let mut behind_blank = trim;
        for c in text.chars() {
            let is_blank = c.is_whitespace();
            if is_blank && (behind_blank || collapse && c != ' ') {
                return false;
            }
            behind_blank = is_blank && collapse;
        }
        !(trim && text.chars().next_back().is_some_and(char::is_whitespace))
    }

    fn case_is_kept(self, text: &str) -> bool {
        let upper = self.has(NormalisationStep::UpperCase);
        !text.chars().any(|c| if upper { c.is_lowercase() } else { c.is_uppercase() })
    }
}

/// Whether `text` is in NFC. Letters below U+0300 and the Vietnamese ones, U+1E00 to U+1EFF, are composed and start
/// anew, so only a text with any other needs the tables.
fn is_composed(text: &str) -> bool {
    text.chars().all(|c| c < '\u{300}' || ('\u{1E00}'..='\u{1EFF}').contains(&c)) || is_nfc(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization as _;

    use super::*;

    fn form(steps: &[NormalisationStep]) -> NormalForm {
        NormalForm::new(steps, NormalisationCheck::Refuse).expect("some step")
    }

    #[test]
    fn a_text_is_normal_when_its_steps_would_leave_it_alone() {
        use NormalisationStep::{CollapseSpaces, LowerCase, Nfc, Trim, UpperCase};
        for (steps, good, bad) in [
            (
                &[Nfc][..],
                &["", "Phường Quy Nhơn", "Kpă H' Yến", "각", "  x "][..],
                &["Pho\u{31b}", "a\u{323}\u{302}"][..],
            ),
            (&[Trim], &["", "a", "a  b", "a\tb"], &[" a", "a ", "\u{a0}a", "a\n", " "]),
            (&[CollapseSpaces], &["", "a b", " a", "a "], &["a  b", "a\tb", "a\u{a0}b", "  a"]),
            (&[Trim, CollapseSpaces], &["", "a b", "Lê Thị Đào"], &["  a", " a", "a ", "a  b", " "]),
            (&[UpperCase], &["", "LÊ VĂN Ô 1", "SS"], &["LÊ văn", "ơ"]),
            (&[LowerCase], &["", "lê 1"], &["Lê", "Ơ"]),
            (&[Nfc, Trim, CollapseSpaces, UpperCase], &["NGUYỄN VĂN A"], &["NGUYỄN  VĂN A", "NGUYE\u{302}\u{303}N"]),
        ] {
            for text in good {
                assert!(form(steps).is_kept(text), "{steps:?} {text:?}");
            }
            for text in bad {
                assert!(!form(steps).is_kept(text), "{steps:?} {text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_shortcut_for_nfc_agrees_with_the_normalisation(text in "[a-z ăâđêôơưĂỮỹ\u{300}-\u{323}\u{1E00}-\u{1EFF}가-각]{0,12}") {
            let composed: String = text.nfc().collect();
            prop_assert_eq!(is_composed(&text), composed == text);
            prop_assert!(is_composed(&composed));
        }

        #[test]
        fn blanks_agree_with_trimming_and_collapsing(text in "[ \ta\u{a0}]{0,8}") {
            use NormalisationStep::{CollapseSpaces, Trim};
            let both = text.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(form(&[Trim, CollapseSpaces]).is_kept(&text), both == text);
            prop_assert_eq!(form(&[Trim]).is_kept(&text), text.trim() == text);
        }
    }
}

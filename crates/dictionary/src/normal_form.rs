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

    /// Whether `text` is as the steps would leave it. Does not allocate; Vietnamese text costs no more than ASCII.
    pub(crate) fn is_kept(self, text: &str) -> bool {
        let others_are_kept = match blanks_of_plain(text) {
            Some(blanks) => self.steps & blanks == 0,
            None => {
                (self.steps & BLANKS == 0 || self.blanks_are_kept(text))
                    && (!self.has(NormalisationStep::Nfc) || is_composed(text))
            }
        };
        others_are_kept && (self.steps & CASES == 0 || self.case_is_kept(text))
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

/// The steps that blanks of a plain text break; none where the text is not plain. Plain is ASCII without control characters
/// and letters that are composed and no blank: U+00C0 to U+02FF and U+1E00 to U+1EFF. Without branches, so that many bytes
/// are looked at together.
fn blanks_of_plain(text: &str) -> Option<u8> {
    let bytes = text.as_bytes();
    let ([first, ..], [.., last]) = (bytes, bytes) else { return Some(0) };
    let (mut is_strange, mut is_doubled) = (*last < b' ', false);
    for (one, next) in bytes.iter().zip(&bytes[1..]) {
        // 0xC2 leads Latin-1 signs and blanks, 0xCC and up what lies beyond U+02FF; 0xE1 0xB8 to 0xE1 0xBB is Vietnamese.
        is_strange |= (*one < b' ') | (*one == 0xC2) | ((*one >= 0xCC) & (*one != 0xE1));
        is_strange |= (*one == 0xE1) & (next.wrapping_sub(0xB8) > 3);
        is_doubled |= (*one == b' ') & (*next == b' ');
    }
    let trim = if *first == b' ' || *last == b' ' { bit(NormalisationStep::Trim) } else { 0 };
    let collapse = if is_doubled { bit(NormalisationStep::CollapseSpaces) } else { 0 };
    (!is_strange).then_some(trim | collapse)
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
        fn plain_texts_are_judged_as_all_others(
            text in "[ aẾđĂÀ~\u{7f}\t\u{85}\u{a0}\u{2003}\u{301}\u{1dff}\u{1e00}\u{1eff}각😀]{0,9}",
        ) {
            use NormalisationStep::{CollapseSpaces, Nfc, Trim};
            for steps in [&[Trim][..], &[CollapseSpaces], &[Nfc], &[Trim, CollapseSpaces, Nfc]] {
                let form = form(steps);
                let composed = !form.has(Nfc) || text.nfc().eq(text.chars());
                let kept = (form.steps & BLANKS == 0 || form.blanks_are_kept(&text)) && composed;
                prop_assert_eq!(form.is_kept(&text), kept);
            }
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

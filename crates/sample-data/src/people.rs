//! People whose name, sex, birth date, personal id and ethnic group agree with each other.

use ldop_types::Date;

use crate::{
    identifiers::{Ascii, personal_id},
    json::{Writer, date_text},
    places::{Commune, PLACES},
    rng::Rng,
    words,
};

const KINH: &str = "01";
const GIA_RAI: &str = "10";
const BA_NA: &str = "13";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    pub(crate) surname: &'static str,
    middle: &'static str,
    given: &'static str,
    pub(crate) is_female: bool,
    pub(crate) birth: Date,
    id: Ascii<12>,
    /// Code of the list `ethnic-groups`.
    pub(crate) ethnicity: &'static str,
}

impl Person {
    /// Somebody who lives in a commune.
    pub(crate) fn of(commune: &Commune, is_female: bool, birth: Date, rng: &mut Rng) -> Self {
        let ethnicity = ethnicity(commune.is_highland, rng);
        let (surname, middle, given) = name(ethnicity, is_female, rng);
        // Most people were registered at birth where they live.
        let prefix = if rng.percent(90) { commune.id_prefix } else { rng.pick(&PLACES.prefixes).as_str() };
        let id = personal_id(prefix, is_female, birth.ymd().0, rng.below(1_000_000));
        Self { surname, middle, given, is_female, birth, id, ethnicity }
    }

    /// Gives the surname and ethnic group of a parent.
    #[must_use]
    pub(crate) fn child_of(mut self, parent: &Self, rng: &mut Rng) -> Self {
        if self.ethnicity != parent.ethnicity {
            self.ethnicity = parent.ethnicity;
            (_, self.middle, self.given) = name(self.ethnicity, self.is_female, rng);
        }
        self.surname = parent.surname;
        self
    }

    /// Gives another last part of the personal id, a number below 1,000,000.
    #[must_use]
    pub(crate) fn with_id_tail(mut self, tail: u32) -> Self {
        let prefix: String = self.id.as_str().chars().take(3).collect();
        self.id = personal_id(&prefix, self.is_female, self.birth.ymd().0, tail);
        self
    }

    pub(crate) fn personal_id(&self) -> &str {
        self.id.as_str()
    }

    /// The parts of the full name.
    pub(crate) fn full_name(&self) -> [&'static str; 5] {
        let gap = if self.middle.is_empty() { "" } else { " " };
        [self.surname, gap, self.middle, " ", self.given]
    }

    /// Code of QCVN 109.
    pub(crate) fn sex(&self) -> &'static str {
        if self.is_female { "2" } else { "1" }
    }

    /// Writes the birth date: of older people now and then the year alone, or year and month, as old papers have it.
    pub(crate) fn write_birth(&self, writer: &mut Writer, rng: &mut Rng) {
        let text = date_text(self.birth);
        let known = match rng.below(20) {
            0 | 1 if self.birth < Date(0) => 4,
            2 if self.birth < Date(0) => 7,
            _ => 10,
        };
        writer.text("birth_date", std::str::from_utf8(&text[..known]).unwrap_or("1900"));
    }
}

/// A day between two ages in years before `on`.
pub(crate) fn born(on: Date, youngest: u32, oldest: u32, rng: &mut Rng) -> Date {
    Date(on.0 - rng.between(youngest * 366, oldest * 365) as i32)
}

fn ethnicity(is_highland: bool, rng: &mut Rng) -> &'static str {
    const HIGHLAND: [(&str, u32); 7] =
        [(KINH, 54), (GIA_RAI, 28), (BA_NA, 12), ("02", 2), ("07", 2), ("06", 1), ("03", 1)];
    const COAST: [(&str, u32); 4] = [(KINH, 97), (BA_NA, 1), ("17", 1), ("19", 1)];
    if is_highland { rng.weighted(&HIGHLAND, 100) } else { rng.weighted(&COAST, 100) }
}

/// Surname, middle and given name.
fn name(ethnicity: &str, is_female: bool, rng: &mut Rng) -> (&'static str, &'static str, &'static str) {
    if matches!(ethnicity, GIA_RAI | BA_NA) {
        let given = match (is_female, ethnicity) {
            (false, _) => &words::HIGHLAND_GIVEN_MALE,
            (true, BA_NA) => &words::BA_NA_GIVEN_FEMALE,
            (true, _) => &words::HIGHLAND_GIVEN_FEMALE,
        };
        let surname = if ethnicity == BA_NA { "Đinh" } else { words::HIGHLAND_SURNAMES.pick(rng) };
        return (surname, "", given.pick(rng));
    }
    let (middle, given) = if is_female {
        (&words::MIDDLE_FEMALE, &words::GIVEN_FEMALE)
    } else {
        (&words::MIDDLE_MALE, &words::GIVEN_MALE)
    };
    (words::SURNAMES.pick(rng), middle.pick(rng), given.pick(rng))
}

/// A mobile number: `0`, a prefix in use and seven digits.
pub(crate) fn phone(rng: &mut Rng) -> (&'static str, crate::json::Digits) {
    const PREFIXES: [&str; 14] =
        ["032", "033", "035", "036", "038", "039", "070", "077", "079", "083", "090", "091", "097", "098"];
    (*rng.pick(&PREFIXES), crate::json::Digits::new(u64::from(rng.below(10_000_000)), 7))
}

//! Words the records are made of: one word or phrase a line, with its weight after the last blank where it has one.

use std::sync::LazyLock;

use crate::rng::Rng;

/// A table of words; a word of weight 3 stands in it three times, so that picking costs one look.
pub(crate) struct Words(LazyLock<Vec<&'static str>>);

impl Words {
    pub(crate) fn pick(&self, rng: &mut Rng) -> &'static str {
        rng.pick::<&str>(&self.0)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {
        $($(#[$doc])* pub(crate) static $name: Words =
            Words(LazyLock::new(|| parse(include_str!(concat!("../data/words/", $file, ".txt")))));)*

        #[cfg(test)]
        const ALL: &[(&str, &Words)] = &[$(($file, &$name),)*];
    };
}

words! {
    BA_NA_GIVEN_FEMALE = "ba_na_given_female";
    BUSINESS_KINDS_OF_WORK = "business_kinds_of_work";
    BUSINESS_NAMES = "business_names";
    CAUSES_OF_DEATH = "causes_of_death";
    GIVEN_FEMALE = "given_female";
    GIVEN_MALE = "given_male";
    /// Gia-rai names; the men's serve the Ba-na too.
    HIGHLAND_GIVEN_FEMALE = "highland_given_female";
    HIGHLAND_GIVEN_MALE = "highland_given_male";
    HIGHLAND_SURNAMES = "highland_surnames";
    HIGHLAND_VILLAGES = "highland_villages";
    HOSPITALS = "hospitals";
    MIDDLE_FEMALE = "middle_female";
    MIDDLE_MALE = "middle_male";
    NOTES = "notes";
    POSITIONS = "positions";
    STREETS = "streets";
    /// With weights near those of the Kinh of the South Central Coast.
    SURNAMES = "surnames";
    VILLAGES = "villages";
}

fn parse(text: &'static str) -> Vec<&'static str> {
    let mut words = Vec::new();
    for line in text.lines() {
        let (word, weight) = match line.rsplit_once(' ') {
            Some((word, number)) => number.parse().map_or((line, 1), |weight| (word, weight)),
            None => (line, 1),
        };
        words.extend(std::iter::repeat_n(word, weight));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_needs_escaping_in_json() {
        for (file, words) in ALL {
            assert!(words.0.len() > 1, "{file}");
            for word in words.0.iter() {
                assert!(!word.is_empty() && word.trim() == *word, "{file}: {word}");
                assert!(word.chars().all(|c| c != '"' && c != '\\' && !c.is_control()), "{file}: {word}");
            }
        }
    }
}

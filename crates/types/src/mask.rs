//! How a granted field is shown where it is not shown whole.

/// What becomes of the value of a field. A value a mask cannot be put on is left out; null stays null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All but the first and last characters are `*`; all of a text that has no more than those.
    PartlyHidden {
        /// Characters shown at the beginning.
        first: u8,
        /// Characters shown at the end.
        last: u8,
    },
    /// 32 hex digits that are the same for the same value within one agreement, and say nothing of it otherwise.
    KeyedHash,
    /// The year of a date or a time.
    YearOnly,
    /// The field is left out.
    Dropped,
}

impl Mask {
    /// The words of definitions.
    pub const WORDS: &'static [&'static str] = &["partly_hidden", "keyed_hash", "year_only", "dropped"];
    /// Most characters a partly hidden value shows on one side.
    pub const MOST_SHOWN: u32 = 20;

    /// Reads the word; the numbers are those of a partly hidden value and 0 for all others.
    #[must_use]
    pub fn parse(word: &str, first: u32, last: u32) -> Option<Self> {
        let shown = |count: u32| u8::try_from(count).ok().filter(|_| count <= Self::MOST_SHOWN);
        match (word, first, last) {
            ("partly_hidden", first, last) => Some(Self::PartlyHidden { first: shown(first)?, last: shown(last)? }),
            ("keyed_hash", 0, 0) => Some(Self::KeyedHash),
            ("year_only", 0, 0) => Some(Self::YearOnly),
            ("dropped", 0, 0) => Some(Self::Dropped),
            _ => None,
        }
    }

    /// The word of definitions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PartlyHidden { .. } => "partly_hidden",
            Self::KeyedHash => "keyed_hash",
            Self::YearOnly => "year_only",
            Self::Dropped => "dropped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for word in Mask::WORDS {
            assert_eq!(Mask::parse(word, 0, 0).map(Mask::as_str), Some(*word));
        }
        assert_eq!(Mask::parse("partly_hidden", 3, 20), Some(Mask::PartlyHidden { first: 3, last: 20 }));
        for (word, first, last) in [("hidden", 0, 0), ("keyed_hash", 1, 0), ("partly_hidden", 21, 0), ("dropped", 0, 1)]
        {
            assert_eq!(Mask::parse(word, first, last), None, "{word} {first} {last}");
        }
    }
}

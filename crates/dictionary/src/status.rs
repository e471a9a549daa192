//! The life cycle of an element: who may move where, and what schemas may do with it.
//!
//! The national framework has an entry proposed, reviewed, consulted upon, approved and registered (QĐ 2439/QĐ-TTg, as
//! taught to officials; the text itself was not readable, UNCONFIRMED). Deprecated and retired are ours: an entry that
//! schemas are bound to cannot vanish.

use crate::words::ElementStatus;

use ElementStatus::{Consulted, Deprecated, InReview, Proposed, Registered, Retired};

/// What a status says about binding a schema to the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Schemas may bind it.
    Allowed,
    /// Schemas may bind it; whoever does is warned.
    Discouraged,
    /// No new schema version may bind it. Versions that are registered go on.
    Refused,
}

impl ElementStatus {
    /// Where an element may move from here. A new element may begin anywhere: a hub that takes a dictionary over takes
    /// it as it stands.
    #[must_use]
    pub const fn next(self) -> &'static [Self] {
        match self {
            Proposed => &[InReview, Retired],
            InReview => &[Consulted, Proposed, Retired],
            Consulted => &[Registered, InReview, Retired],
            Registered => &[Deprecated],
            Deprecated => &[Retired, Registered],
            Retired => &[],
        }
    }

    /// Whether an element may move from here to there; staying is no move and always permitted.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self == next || self.next().contains(&next)
    }

    /// What a new schema version may do with an element of this status.
    #[must_use]
    pub const fn binding(self) -> Binding {
        match self {
            Registered => Binding::Allowed,
            Deprecated => Binding::Discouraged,
            Proposed | InReview | Consulted | Retired => Binding::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_never_goes_back_behind_its_registration() {
        let mut reached = vec![Registered];
        let mut at = 0;
        while let Some(status) = reached.get(at).copied() {
            for next in status.next() {
                if !reached.contains(next) {
                    reached.push(*next);
                }
            }
            at += 1;
        }
        assert_eq!(reached, [Registered, Deprecated, Retired]);
        assert!(!Proposed.may_become(Registered) && !Registered.may_become(Retired));
        assert!(Retired.may_become(Retired));
    }

    #[test]
    fn docs_dictionary_md_has_the_table_of_moves() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dictionary.md");
        let text = std::fs::read_to_string(path).expect("docs/dictionary.md");
        for status in ElementStatus::ALL {
            let next: Vec<_> = status.next().iter().map(|next| format!("`{}`", next.as_str())).collect();
            let next = if next.is_empty() { "–".to_owned() } else { next.join(", ") };
            let row = format!("| `{}` | {next} |", status.as_str());
            assert!(text.contains(&row), "docs/dictionary.md has no row {row}");
        }
    }
}

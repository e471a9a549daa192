//! Finds a code: most codes are short, and records ask for some ten of them each.

use hashbrown::HashMap;

/// Longest code the table holds, bytes: its first and last eight say all of it.
const SHORT: usize = 16;
/// Most steps of a search in the table. Codes that need more, because too many share a mark, are kept beside it, so no
/// choice of codes makes a list slow.
const MAX_STEPS: usize = 16;

/// Where each code's range is.
pub(super) struct Index {
    /// Open addressing by mark: index into `short` plus one, 0 for none. A power of two, at most half full.
    table: Vec<u32>,
    short: Vec<Short>,
    /// All other codes.
    others: HashMap<Box<str>, (u32, u32)>,
}

struct Short {
    word: Word,
    range: (u32, u32),
}

/// A text of at most [`SHORT`] bytes; equal for equal texts only.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Word {
    first: u64,
    last: u64,
    length: usize,
}

impl Word {
    #[inline]
    fn of(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let length = bytes.len();
        if length > SHORT {
            return None;
        }
        let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
                // First, middle and last are all there are.
                _ => match (bytes.first(), bytes.get(length / 2), bytes.last()) {
                    (Some(first), Some(middle), Some(last)) => {
                        (u64::from(*first) | u64::from(*middle) << 8 | u64::from(*last) << 16, 0)
                    }
                    _ => (0, 0),
                },
            },
        };
        Some(Self { first, last, length })
    }

    #[inline]
    fn mark(self) -> usize {
        let mixed = self.first.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ (self.last ^ self.length as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        (mixed ^ mixed >> 32) as usize
    }
}

impl Index {
    /// Puts codes with their ranges into an index. Codes differ.
    pub(super) fn new(codes: &[(&str, u32, u32)]) -> Self {
        let size = (codes.len() * 2).next_power_of_two();
        let mut index = Self { table: vec![0; size], short: Vec::with_capacity(codes.len()), others: HashMap::new() };
        for &(code, start, end) in codes {
            let free = Word::of(code).and_then(|word| {
                let at = index.steps(word.mark()).find(|at| index.table[*at] == 0)?;
                Some((word, at))
            });
            match free {
                Some((word, at)) => {
                    index.short.push(Short { word, range: (start, end) });
                    index.table[at] = index.short.len() as u32;
                }
                None => {
                    index.others.insert(code.into(), (start, end));
                }
            }
        }
        index
    }

    /// The range of a code.
    #[inline]
    pub(super) fn find(&self, code: &str) -> Option<(u32, u32)> {
        if let Some(word) = Word::of(code) {
            for at in self.steps(word.mark()) {
                let Some(short) = self.table[at].checked_sub(1).map(|at| &self.short[at as usize]) else { break };
                if short.word == word {
                    return Some(short.range);
                }
            }
        }
        if self.others.is_empty() { None } else { self.others.get(code).copied() }
    }

    pub(super) fn len(&self) -> usize {
        self.short.len() + self.others.len()
    }

    fn steps(&self, mark: usize) -> impl Iterator<Item = usize> + use<> {
        let mask = self.table.len() - 1;
        (0..MAX_STEPS).map(move |step| (mark + step) & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(codes: &[String], strangers: &[String]) -> Index {
        let ranges: Vec<_> = (0u32..).zip(codes).map(|(at, code)| (code.as_str(), at, at + 1)).collect();
        let index = Index::new(&ranges);
        assert_eq!(index.len(), codes.len());
        for (code, start, end) in ranges {
            assert_eq!(index.find(code), Some((start, end)), "{code}");
        }
        for stranger in strangers.iter().filter(|stranger| !codes.contains(stranger)) {
            assert_eq!(index.find(stranger), None, "{stranger}");
        }
        index
    }

    #[test]
    fn every_code_is_found_and_no_other() {
        // Texts of every length to 40 over two letters and NUL, at many places: the same ends, prefixes, paddings.
        let mut texts = vec![String::new()];
        for length in 1..40usize {
            for odd in 0..length {
                for other in ["b", "\0", "đ"] {
                    texts.push((0..length).map(|at| if at == odd { other } else { "a" }).collect());
                }
            }
        }
        let (codes, strangers): (Vec<_>, Vec<_>) = texts.iter().cloned().enumerate().partition(|(at, _)| at % 2 == 0);
        let text = |list: Vec<(usize, String)>| list.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let index = check(&text(codes), &text(strangers));
        assert!(!index.others.is_empty() && index.short.len() > 150);
        check(&["a".to_owned()], &texts);
        check(&[], &texts);
        let numbers: Vec<String> = (0..40_000).map(|n| format!("{n:05}")).collect();
        let index = check(&numbers, &["40001".to_owned(), "1".to_owned()]);
        assert!(index.others.len() < 100, "{} numbers stand beside the table", index.others.len());
    }

    #[test]
    fn codes_that_share_a_mark_are_all_found() {
        let codes: Vec<String> = (0..4_000u32).map(|n| format!("{n:x}")).collect();
        // 32 codes have a table of 64, in which these all begin at one place.
        let wanted = Word::of("0").expect("short").mark() % 64;
        let shared: Vec<String> =
            codes.into_iter().filter(|code| Word::of(code).expect("short").mark() % 64 == wanted).take(32).collect();
        let index = check(&shared, &["zz".to_owned()]);
        assert!(!index.others.is_empty(), "more than {MAX_STEPS} share a mark");
    }
}

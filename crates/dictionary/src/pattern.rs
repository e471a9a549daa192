//! Patterns: ECMA 262 syntax as JSON Schema has it, matched in linear time.

use std::fmt;

use regex::{Regex, RegexBuilder};
use regex_automata::{
    Anchored, Input,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson,
};

/// Longest pattern of an element, characters.
pub(crate) const MAX_PATTERN_CHARS: usize = 1_000;
/// Largest compiled program, bytes: room for a class of all letters repeated a hundred times, no more.
pub const MAX_PROGRAM_BYTES: usize = 8 << 20;
/// Largest table, bytes. Patterns of codes and identifiers need a few hundred, a class of all letters some ten thousand;
/// what needs more is matched by the slower engine, so that a thousand schemas stay small.
const MAX_TABLE_BYTES: usize = 64 << 10;
/// Memory for making a table, bytes; bounds the time too.
const MAX_MAKING_BYTES: usize = 512 << 10;
/// Cache of the slower engine, bytes, for each thread that matches at the same time.
const CACHE_BYTES: usize = 2 << 20;

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern {
    engine: Engine,
    /// The pattern as the engine has it, without what anchors a whole one.
    translated: Box<str>,
}

#[derive(Clone)]
enum Engine {
    /// Bytes that may stand at each place, where they do not depend on those before: most codes and identifiers.
    Places(Box<Places>),
    /// A table of all transitions: no cache has to be fetched for a match, which would cost more than the match.
    Table(Box<dense::DFA<Vec<u32>>>, Anchored),
    Lazy(Regex),
}

impl Pattern {
    /// Compiles a pattern that must match the whole text.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern, in English.
    pub fn whole(pattern: &str) -> Result<Self, &'static str> {
        let translated = translate(pattern)?;
        // First alone: a pattern such as `a)(b` must not become valid by our own brackets.
        compile(&translated)?;
        let whole = format!(r"\A(?:{translated})\z");
        let engine = match Engine::of(&whole, compile(&whole)?, Anchored::Yes) {
            Engine::Table(table, anchored) => match Places::of(&table) {
                Some(places) => Engine::Places(Box::new(places)),
                None => Engine::Table(table, anchored),
            },
            lazy => lazy,
        };
        Ok(Self { engine, translated: translated.into() })
    }

    /// Compiles a pattern that may match anywhere in the text, as `pattern` of JSON Schema does.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern, in English.
    pub fn anywhere(pattern: &str) -> Result<Self, &'static str> {
        let translated = translate(pattern)?;
        let engine = Engine::of(&translated, compile(&translated)?, Anchored::No);
        Ok(Self { engine, translated: translated.into() })
    }

    /// Whether `text` matches.
    #[must_use]
    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.engine {
            Engine::Places(places) => places.are_kept(text.as_bytes()),
            Engine::Table(table, anchored) => {
                let input = Input::new(text).anchored(*anchored).earliest(true);
                // No byte makes the table give up: none is configured to, and word boundaries of Unicode have no table.
                matches!(table.try_search_fwd(&input), Ok(Some(_)))
            }
            Engine::Lazy(regex) => regex.is_match(text),
        }
    }

    /// Whether each text this pattern, made by [`whole`](Self::whole), matches is also matched by another that was made
    /// by [`anywhere`](Self::anywhere). Sees it only where the other is the same, perhaps with `^` and `$` around it:
    /// these bind only the outermost alternatives, so they ask for less than this pattern does.
    pub(crate) fn implies(&self, anywhere: &Self) -> bool {
        let other = &*anywhere.translated;
        let bare = other.strip_prefix('^').unwrap_or(other);
        let own = &*self.translated;
        own == other || own == bare || [other, bare].iter().any(|text| text.strip_suffix('$') == Some(own))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.engine {
            Engine::Places(_) => "Pattern(places)",
            Engine::Table(..) => "Pattern(table)",
            Engine::Lazy(_) => "Pattern(lazy)",
        })
    }
}

impl Engine {
    fn of(translated: &str, lazy: Regex, anchored: Anchored) -> Self {
        let start = if anchored == Anchored::Yes { StartKind::Anchored } else { StartKind::Unanchored };
        let limits = dense::Config::new()
            .start_kind(start)
            .dfa_size_limit(Some(MAX_TABLE_BYTES))
            .determinize_size_limit(Some(MAX_MAKING_BYTES));
        let table = dense::Builder::new()
            .configure(limits)
            .thompson(thompson::Config::new().nfa_size_limit(Some(MAX_MAKING_BYTES)))
            .build(translated);
        table.map_or(Self::Lazy(lazy), |table| Self::Table(Box::new(table), anchored))
    }
}

/// A pattern of a whole text that says, for each place, which bytes may stand there, and how long a text may be.
#[derive(Clone)]
struct Places {
    /// For each byte one bit for each place it may stand at.
    permitted: [u64; 256],
    /// One bit for each length.
    lengths: u64,
}

impl Places {
    /// Follows the table from its start as long as every byte that leads on leads to one and the same state.
    fn of(table: &dense::DFA<Vec<u32>>) -> Option<Self> {
        let mut state = table.start_state_forward(&Input::new("").anchored(Anchored::Yes)).ok()?;
        let mut places = Self { permitted: [0; 256], lengths: 0 };
        for place in 0..u64::BITS {
            // The pattern ends with the text, so only there it can match.
            if table.is_match_state(state) || table.is_quit_state(state) {
                return None;
            }
            places.lengths |= u64::from(table.is_match_state(table.next_eoi_state(state))) << place;
            let mut next = None;
            for byte in 0..=u8::MAX {
                let to = table.next_state(state, byte);
                if table.is_dead_state(to) {
                    continue;
                }
                if *next.get_or_insert(to) != to {
                    return None;
                }
                places.permitted[usize::from(byte)] |= 1 << place;
            }
            let Some(to) = next else { return Some(places) };
            state = to;
        }
        None
    }

    #[inline]
    fn are_kept(&self, bytes: &[u8]) -> bool {
        // No step waits for the one before it, as the steps through a table do.
        let permitted = |all: u64, (place, byte): (u32, &u8)| all & self.permitted[usize::from(*byte)] >> place;
        bytes.len() < 64 && self.lengths >> bytes.len() & 1 == 1 && (0u32..).zip(bytes).fold(1, permitted) == 1
    }
}

fn translate(pattern: &str) -> Result<std::borrow::Cow<'_, str>, &'static str> {
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err("it is longer than 1000 characters");
    }
    if !jsonschema_regex::is_valid_ecma_regex(pattern) {
        return Err("it is not an ECMA 262 pattern");
    }
    // The same translation serves the library that checks schemas, so one pattern means the same in both places.
    jsonschema_regex::to_rust_regex(pattern).map_err(|()| "it uses look-around, back references or an unknown class")
}

fn compile(translated: &str) -> Result<Regex, &'static str> {
    RegexBuilder::new(translated).size_limit(MAX_PROGRAM_BYTES).dfa_size_limit(CACHE_BYTES).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => "it is too large when compiled",
            _ => "it uses look-around, back references or an unknown class",
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pattern: &str) -> Pattern {
        Pattern::whole(pattern).expect("compiles")
    }

    #[test]
    fn a_whole_pattern_is_anchored_at_both_ends() {
        let pattern = whole("a|b");
        assert!(pattern.is_match("a") && pattern.is_match("b"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("xa") && !pattern.is_match("b\n"));
    }

    #[test]
    fn classes_mean_what_ecma_262_says() {
        assert!(!whole(r"\d{2}").is_match("٣٣"), "only ASCII digits are digits");
        assert!(whole(r"[\p{L} ]+").is_match("Phường Quy Nhơn"));
        assert!(whole(r"\/[^\/]+").is_match("/x"));
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_is_refused() {
        let long = "a".repeat(1_001);
        let bad = ["(?=a)b", r"(a)\1", "(?<!a)b", "a)(b", "(", "[z-a]", "a{2,1}", &long, "(((a{100}){100}){100}){9}"];
        for bad in bad {
            assert!(Pattern::whole(bad).is_err() && Pattern::anywhere(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tables_and_the_slower_engine_agree() {
        let patterns = [
            r"[0-9]{12}",
            r"^[0-9]{5}$",
            r"[\p{L} '.-]+",
            "^(KS|KH|KT)-[0-9]{5}-[0-9]{4}$",
            "a",
            "^a|b$",
            "(0|\\+84)[0-9]{9}",
            r"\S+",
            r"^\s*$",
            ".",
            "^.{2,3}$",
            "[^a]",
            r"\bx\b",
            "(a|ab)(c|bcd)",
            "",
            "^$",
        ];
        let texts = [
            "",
            "a",
            "b",
            "ab",
            "abcd",
            "064256123456",
            "06425612345",
            "21553",
            "21553\n",
            "Kpă H' Yến",
            "KS-21553-2026",
            " ",
            "\u{a0}",
            "x",
            "-x-",
            "đx",
            "0905123456",
            "+84905123456",
            "\u{1F600}",
            "\u{1F600}\u{1F600}",
        ];
        let mut tables = 0;
        for pattern in patterns {
            let translated = translate(pattern).expect("translates");
            let anywhere = Pattern::anywhere(pattern).expect("compiles");
            let whole = Pattern::whole(pattern).expect("compiles");
            tables += usize::from(matches!(anywhere.engine, Engine::Table(..)));
            let slow_anywhere = compile(&translated).expect("compiles");
            let slow_whole = compile(&format!(r"\A(?:{translated})\z")).expect("compiles");
            for text in texts {
                assert_eq!(anywhere.is_match(text), slow_anywhere.is_match(text), "{pattern} in {text}");
                assert_eq!(whole.is_match(text), slow_whole.is_match(text), "{pattern} is {text}");
            }
        }
        assert!(tables >= 12, "{tables} of {} have a table", patterns.len());
    }

    #[test]
    fn a_pattern_is_implied_by_the_same_without_anchors() {
        let implies = |own: &str, other: &str| whole(own).implies(&Pattern::anywhere(other).expect("compiles"));
        for own in ["[0-9]{5}", r"a\d|bc|d", r"(KS|KH)-\d+", "", r"\$", r"\^", "^a$"] {
            let texts = ["", "a1", "bc", "d", "a1bcd", "KS-1", "KH-12", "21553", "$", "^", "a", "x"];
            for other in [own.to_owned(), format!("^{own}"), format!("{own}$"), format!("^{own}$")] {
                assert!(implies(own, &other), "{own} {other}");
                let anywhere = Pattern::anywhere(&other).expect("compiles");
                for text in texts.iter().filter(|text| whole(own).is_match(text)) {
                    assert!(anywhere.is_match(text), "{own} {other} {text}");
                }
            }
        }
        for (own, other) in [("[0-9]{5}", "^[0-9]{4}$"), ("a", "aa"), ("a", "^^a"), ("a|b", "^(a)$"), ("", "a")] {
            assert!(!implies(own, other), "{own} {other}");
        }
    }

    #[test]
    fn places_and_the_slower_engine_agree() {
        let with_places = [
            "[0-9]{12}",
            "(KS|KH|KT)-[0-9]{5}-[0-9]{4}-[0-9]{7}",
            r"[0-9]{3}\.[0-9]{2}\.[A-Z][0-9]{2}-[0-9]{4,8}",
            "[A-Z]{2} ([0-9]{6}|[0-9]{8})",
            "a?",
            "",
            "^a$",
            "[a-z]{63}",
            "(|ab|abcd)",
        ];
        let without = [r"\bx\b", "[a-z]{64}", "a*", "(84|0)[0-9]", "đ|a", r"\p{L}", "a|bc", "."];
        let mut state = 9u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let seeds = [
            "064256123456",
            "KS-21583-2026-0000142",
            "000.12.34.H21-260101-0001",
            "123.45.A00-12345678",
            "AB 123456",
            "AB 12345678",
            "ab",
            "abcd",
            "x",
            "a",
            "84",
            "đ",
            &"z".repeat(64),
        ];
        let mut texts: Vec<String> = seeds.map(String::from).into();
        texts.extend([String::new(), "z".repeat(62), "z".repeat(63)]);
        for _ in 0..20_000 {
            let mut text: Vec<char> = seeds[random(seeds.len())].chars().collect();
            for _ in 0..=random(2) {
                let other = ['0', '9', 'a', 'Z', '-', '.', ' ', 'đ', '\n', '\0', '\u{1F600}'][random(11)];
                match (random(3), text.len()) {
                    (0, _) | (_, 0) => text.insert(random(text.len() + 1), other),
                    (1, length) => text[random(length)] = other,
                    (_, length) => drop(text.remove(random(length))),
                }
            }
            texts.push(text.into_iter().collect());
        }
        for pattern in with_places.iter().chain(&without) {
            let quick = whole(pattern);
            assert_eq!(matches!(quick.engine, Engine::Places(_)), with_places.contains(pattern), "{pattern}");
            let slow = compile(&format!(r"\A(?:{})\z", translate(pattern).expect("translates"))).expect("compiles");
            for text in &texts {
                assert_eq!(quick.is_match(text), slow.is_match(text), "{pattern} is {text:?}");
            }
        }
    }

    #[test]
    fn a_pattern_too_large_for_a_table_still_matches() {
        let pattern = whole(r"[\p{L}\p{M}]{1,50}");
        assert!(matches!(pattern.engine, Engine::Lazy(_)));
        assert!(pattern.is_match(&"đ".repeat(50)) && !pattern.is_match(&"đ".repeat(51)));
    }
}

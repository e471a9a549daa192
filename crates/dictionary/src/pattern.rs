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
pub struct Pattern(Engine);

#[derive(Clone)]
enum Engine {
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
        Ok(Self(Engine::of(&whole, compile(&whole)?, Anchored::Yes)))
    }

    /// Compiles a pattern that may match anywhere in the text, as `pattern` of JSON Schema does.
    ///
    /// # Errors
    ///
    /// What is wrong with the pattern, in English.
    pub fn anywhere(pattern: &str) -> Result<Self, &'static str> {
        let translated = translate(pattern)?;
        Ok(Self(Engine::of(&translated, compile(&translated)?, Anchored::No)))
    }

    /// Whether `text` matches.
    #[must_use]
    #[inline]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.0 {
            Engine::Table(table, anchored) => {
                let input = Input::new(text).anchored(*anchored).earliest(true);
                // No byte makes the table give up: none is configured to, and word boundaries of Unicode have no table.
                matches!(table.try_search_fwd(&input), Ok(Some(_)))
            }
            Engine::Lazy(regex) => regex.is_match(text),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
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
            tables += usize::from(matches!(anywhere.0, Engine::Table(..)));
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
    fn a_pattern_too_large_for_a_table_still_matches() {
        let pattern = whole(r"[\p{L}\p{M}]{1,50}");
        assert!(matches!(pattern.0, Engine::Lazy(_)));
        assert!(pattern.is_match(&"đ".repeat(50)) && !pattern.is_match(&"đ".repeat(51)));
    }
}

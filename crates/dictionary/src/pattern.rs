//! Patterns of elements: ECMA 262 syntax as JSON Schema has it, matched in linear time, anchored at both ends.

use regex::{Regex, RegexBuilder};

/// Longest pattern, characters.
pub(crate) const MAX_PATTERN_CHARS: usize = 1_000;
/// Largest compiled program, bytes: room for a class of all letters repeated a hundred times, no more.
const MAX_PROGRAM_BYTES: usize = 8 << 20;
/// Cache of the lazy DFA, bytes, for each thread that matches at the same time.
const DFA_CACHE_BYTES: usize = 2 << 20;

/// Compiles `pattern` so that it must match the whole text.
///
/// The same translation from ECMA 262 serves `pattern` in schemas, so one pattern means the same in both places.
pub(crate) fn compile(pattern: &str) -> Result<Regex, &'static str> {
    if pattern.chars().count() > MAX_PATTERN_CHARS {
        return Err("it is longer than 1000 characters");
    }
    if !jsonschema_regex::is_valid_ecma_regex(pattern) {
        return Err("it is not an ECMA 262 pattern");
    }
    let translated = jsonschema_regex::to_rust_regex(pattern)
        .map_err(|()| "it uses look-around, back references or an unknown class")?;
    let build =
        |text: &str| RegexBuilder::new(text).size_limit(MAX_PROGRAM_BYTES).dfa_size_limit(DFA_CACHE_BYTES).build();
    // First alone: a pattern such as `a)(b` must not become valid by our own brackets.
    let reason = |error: regex::Error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled",
        _ => "it uses look-around, back references or an unknown class",
    };
    build(&translated).map_err(reason)?;
    build(&format!(r"\A(?:{translated})\z")).map_err(reason)
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn a_pattern_is_anchored_at_both_ends() {
        let pattern = compile("a|b").expect("compiles");
        assert!(pattern.is_match("a") && pattern.is_match("b"));
        assert!(!pattern.is_match("ab") && !pattern.is_match("xa") && !pattern.is_match("b\n"));
    }

    #[test]
    fn classes_mean_what_ecma_262_says() {
        assert!(!compile(r"\d{2}").expect("compiles").is_match("٣٣"), "only ASCII digits are digits");
        assert!(compile(r"[\p{L} ]+").expect("compiles").is_match("Phường Quy Nhơn"));
        assert!(compile(r"\/[^\/]+").expect("compiles").is_match("/x"));
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_is_refused() {
        for bad in [
            "(?=a)b",
            r"(a)\1",
            "(?<!a)b",
            "a)(b",
            "(",
            "[z-a]",
            "a{2,1}",
            &"a".repeat(1_001),
            "(((a{100}){100}){100}){9}",
        ] {
            assert!(compile(bad).is_err(), "{bad}");
        }
    }
}

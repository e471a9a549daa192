//! The inner loops: strings, escapes and fingerprints of names.

use super::flaw::Flaw;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Index of the first quote, backslash or control character at or after `at`, or the length.
///
/// Eight bytes at a time within a word: strings of records are short, so calls into wider code would cost more.
#[inline]
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = word ^ (ONES * b'"' as u64);
        let backslashes = word ^ (ONES * b'\\' as u64);
        // In each term a wrong bit can only stand above a right one of the same term, so the lowest is right.
        let special = (quotes.wrapping_sub(ONES) & !quotes)
            | (backslashes.wrapping_sub(ONES) & !backslashes)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let special = special & HIGHS;
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| *b != b'"' && *b != b'\\' && *b >= 0x20) {
        at += 1;
    }
    at
}

/// Index of the first byte that is no JSON white space.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// A mark of a name, equal for equal names and cheap to compare: length, first and last eight bytes, mixed.
///
/// Different names may share one, so names are compared whenever marks are equal. Nothing relies on its being hard to
/// collide: lists that an outsider can make long are sorted instead.
#[inline]
pub(crate) fn fingerprint(name: &str) -> u32 {
    fingerprint_of(name.as_bytes())
}

#[inline]
pub(super) fn fingerprint_of(bytes: &[u8]) -> u32 {
    let length = bytes.len();
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
            _ => (bytes.iter().fold(0, |word, b| word << 8 | u64::from(*b)), 0),
        },
    };
    let mixed = (first ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ last.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    (mixed ^ mixed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_shr(32) as u32
}

/// Whether two texts are equal. For names, of which most have 4 to 16 bytes: in place, where `==` calls `memcmp`.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    if let (Some(first), Some(last)) = (one.first_chunk::<8>(), one.last_chunk::<8>()) {
        // The ends overlap, or touch, up to 16 bytes.
        return other.first_chunk() == Some(first)
            && other.last_chunk() == Some(last)
            && (one.len() <= 16 || one == other);
    }
    if let (Some(first), Some(last)) = (one.first_chunk::<4>(), one.last_chunk::<4>()) {
        return other.first_chunk() == Some(first) && other.last_chunk() == Some(last);
    }
    one.iter().eq(other)
}

/// Decodes a string that has escapes into `decoded`. `start` is the index after the opening quote, `at` that of the
/// first backslash. Returns the index of the closing quote.
#[cold]
pub(super) fn decode(text: &str, start: usize, at: usize, decoded: &mut String) -> Result<usize, (Flaw, usize)> {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (start, at);
    loop {
        decoded.push_str(&text[plain..at]);
        match bytes.get(at) {
            None => return Err((Flaw::Ends, at)),
            Some(b'"') => return Ok(at),
            Some(b'\\') => {}
            Some(_) => return Err((Flaw::ControlCharacter, at)),
        }
        let (character, next) = escape(bytes, at)?;
        decoded.push(character);
        plain = next;
        at = string_end(bytes, next);
    }
}

/// The character of the escape whose backslash is at `at`, and the index after it.
fn escape(bytes: &[u8], at: usize) -> Result<(char, usize), (Flaw, usize)> {
    let plain = |c: char| Ok((c, at + 2));
    match bytes.get(at + 1) {
        None => Err((Flaw::Ends, at + 1)),
        Some(b'"') => plain('"'),
        Some(b'\\') => plain('\\'),
        Some(b'/') => plain('/'),
        Some(b'b') => plain('\u{8}'),
        Some(b'f') => plain('\u{c}'),
        Some(b'n') => plain('\n'),
        Some(b'r') => plain('\r'),
        Some(b't') => plain('\t'),
        Some(b'u') => {
            let unit = hex(bytes, at + 2)?;
            if !(0xD800..0xE000).contains(&unit) {
                return Ok((char::from_u32(unit).ok_or((Flaw::Escape, at))?, at + 6));
            }
            if unit >= 0xDC00 || bytes.get(at + 6) != Some(&b'\\') || bytes.get(at + 7) != Some(&b'u') {
                return Err((Flaw::LoneSurrogate, at));
            }
            let low = hex(bytes, at + 8)?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err((Flaw::LoneSurrogate, at));
            }
            let point = 0x1_0000 + ((unit - 0xD800) << 10 | (low - 0xDC00));
            Ok((char::from_u32(point).ok_or((Flaw::Escape, at))?, at + 12))
        }
        Some(_) => Err((Flaw::Escape, at)),
    }
}

fn hex(bytes: &[u8], at: usize) -> Result<u32, (Flaw, usize)> {
    let digits = bytes.get(at..at + 4).ok_or((Flaw::Ends, bytes.len()))?;
    digits.iter().try_fold(0, |value, b| {
        let digit = char::from(*b).to_digit(16).ok_or((Flaw::Escape, at))?;
        Ok(value << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_where_byte_by_byte_says() {
        let mut state = 7u64;
        for length in 0..64usize {
            for _ in 0..200 {
                let bytes: Vec<u8> = (0..length)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let byte = (state >> 56) as u8;
                        // Mostly bytes around the special ones and their neighbours across the high bit.
                        [byte, 0x1F, 0x20, 0x21, 0x23, 0x5B, 0x5D, 0xA2, 0xDC, 0x9F, 0x80, 0xFF]
                            [(state >> 33) as usize % 12]
                    })
                    .collect();
                for start in 0..length {
                    let naive =
                        (start..length).find(|i| matches!(bytes[*i], b'"' | b'\\' | 0..=0x1F)).unwrap_or(length);
                    assert_eq!(string_end(&bytes, start), naive);
                }
            }
        }
    }

    #[test]
    fn same_is_equal() {
        for length in 0..24usize {
            let text: String = (0..length).map(|at| char::from(b'a' + at as u8)).collect();
            let same = |one: &str, other: &str| same(one.as_bytes(), other.as_bytes());
            assert!(same(&text, &text.clone()));
            assert!(!same(&text, &format!("{text}x")) && !same(&format!("x{text}"), &text));
            for at in 0..length {
                let mut other = text.clone();
                other.replace_range(at..=at, "~");
                assert!(!same(&text, &other) && !same(&other, &text), "{text} {other}");
            }
        }
    }

    #[test]
    fn fingerprints_of_ordinary_names_differ() {
        let mut marks: Vec<u32> = (0..20_000).map(|n| fingerprint(&format!("field_{n}"))).collect();
        marks.extend((0..2_000).map(|n| fingerprint(&format!("{n}"))));
        let count = marks.len();
        marks.sort_unstable();
        marks.dedup();
        assert!(count - marks.len() < 5, "{} collisions", count - marks.len());
    }
}

//! Puts a mask on the JSON text of one value.

use std::borrow::Cow;

use ldop_types::Mask;
use ring::hmac;

/// Bytes of a keyed hash that are shown: enough that no two values meet, few enough to be handled as an id.
const HASH_BYTES: usize = 16;

/// What masks of one agreement need.
#[derive(Debug, Clone)]
pub(super) struct Masking {
    pub(super) key: hmac::Key,
}

impl Masking {
    /// Appends what is shown of a value to `out`; false where nothing is, not even that it is there.
    pub(super) fn put(&self, mask: Mask, value: &[u8], out: &mut Vec<u8>) -> bool {
        if mask == Mask::Dropped {
            return false;
        }
        if value == b"null" {
            out.extend_from_slice(value);
            return true;
        }
        // A text, or the digits of a number.
        let Some((text, is_text)) = text_of(value) else { return false };
        match mask {
            Mask::PartlyHidden { first, last } => {
                let length = text.chars().count();
                let (first, last) = (usize::from(first), usize::from(last));
                let hidden = if length > first + last { first..length - last } else { 0..length };
                let masked: String =
                    text.chars().enumerate().map(|(at, c)| if hidden.contains(&at) { '*' } else { c }).collect();
                put_text(&masked, out)
            }
            Mask::KeyedHash => {
                let mut context = hmac::Context::with_key(&self.key);
                context.update(if is_text { b"s" } else { b"n" });
                context.update(text.as_bytes());
                let digest = context.sign();
                out.push(b'"');
                for byte in &digest.as_ref()[..HASH_BYTES] {
                    out.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
                }
                out.push(b'"');
                true
            }
            Mask::YearOnly => {
                let year = text.as_bytes().first_chunk::<4>().filter(|year| year.iter().all(u8::is_ascii_digit));
                let stands_alone = matches!(text.as_bytes().get(4), None | Some(b'-'));
                let Some(year) = year.filter(|_| is_text && stands_alone) else { return false };
                out.push(b'"');
                out.extend_from_slice(year);
                out.push(b'"');
                true
            }
            Mask::Dropped => false,
        }
    }
}

/// The text of a string, or the digits of a number; none of other values.
fn text_of(value: &[u8]) -> Option<(Cow<'_, str>, bool)> {
    match value.first()? {
        b'"' if memchr::memchr(b'\\', value).is_none() => {
            let inner = value.get(1..value.len().checked_sub(1)?)?;
            Some((Cow::Borrowed(std::str::from_utf8(inner).ok()?), true))
        }
        b'"' => Some((Cow::Owned(serde_json::from_slice(value).ok()?), true)),
        b'-' | b'0'..=b'9' => Some((Cow::Borrowed(std::str::from_utf8(value).ok()?), false)),
        _ => None,
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) -> bool {
    let before = out.len();
    let written = serde_json::to_writer(&mut *out, text).is_ok();
    if !written {
        out.truncate(before);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mask: Mask, value: &str) -> Option<String> {
        let masking = Masking { key: hmac::Key::new(hmac::HMAC_SHA256, b"key") };
        let mut out = Vec::new();
        masking.put(mask, value.as_bytes(), &mut out).then(|| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_partly_hidden_value_shows_its_ends_and_its_length_only() {
        let mask = Mask::PartlyHidden { first: 2, last: 3 };
        for (value, expected) in [
            (r#""Nguyễn""#, r#""Ng*yễn""#),
            (r#""0912345678""#, r#""09*****678""#),
            (r#""12345""#, r#""*****""#),
            (r#""""#, r#""""#),
            (r#""a\"b\u0111efg""#, r#""a\"**efg""#),
            ("1234567", r#""12**567""#),
            ("null", "null"),
        ] {
            assert_eq!(shown(mask, value).as_deref(), Some(expected), "{value}");
        }
        for value in ["true", "[1]", r#"{"a":1}"#] {
            assert_eq!(shown(mask, value), None, "{value}");
        }
    }

    #[test]
    fn a_keyed_hash_is_of_the_value_and_not_of_how_it_is_written() {
        let hash = |value| shown(Mask::KeyedHash, value).expect("shown");
        assert_eq!(hash(r#""a""#).len(), 34);
        assert_eq!(hash(r#""a""#), hash(r#""\u0061""#));
        assert_ne!(hash(r#""a""#), hash(r#""b""#));
        assert_ne!(hash(r#""1""#), hash("1"));
        let other = Masking { key: hmac::Key::new(hmac::HMAC_SHA256, b"another") };
        let mut out = Vec::new();
        assert!(other.put(Mask::KeyedHash, br#""a""#, &mut out));
        assert_ne!(out, hash(r#""a""#).into_bytes());
    }

    #[test]
    fn a_year_is_shown_of_what_begins_with_one() {
        for (value, expected) in [
            (r#""1987-05-01""#, Some(r#""1987""#)),
            (r#""1987""#, Some(r#""1987""#)),
            (r#""1987-05-01T10:00:00+07:00""#, Some(r#""1987""#)),
            ("null", Some("null")),
            (r#""19870501""#, None),
            (r#""01/05/1987""#, None),
            (r#""198""#, None),
            ("1987", None),
        ] {
            assert_eq!(shown(Mask::YearOnly, value).as_deref(), expected, "{value}");
        }
        assert_eq!(shown(Mask::Dropped, "null"), None);
    }
}

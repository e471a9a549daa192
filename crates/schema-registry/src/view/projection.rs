//! Reduces a record to the granted fields: one pass over the bytes, no parse, no copy of what is not granted.

use ldop_types::Mask;
use memchr::memchr2;

use super::mask::Masking;

/// A plan made once for each version of an agreement.
#[derive(Debug, Clone)]
pub(super) struct Projection {
    /// Granted top-level fields, in the order records usually have them.
    fields: Vec<Granted>,
    masking: Masking,
}

#[derive(Debug, Clone)]
struct Granted {
    name: Box<[u8]>,
    mask: Option<Mask>,
}

/// The bytes are not one JSON object. Records on the log were admitted, so this means they were altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("payload is not a JSON object")]
pub struct NotAnObject;

impl Projection {
    /// A plan that grants these top-level fields and nothing else.
    pub(super) fn new<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Mask>)>, masking: Masking) -> Self {
        let granted = |(name, mask): (&str, Option<Mask>)| Granted { name: name.as_bytes().into(), mask };
        Self { fields: fields.into_iter().map(granted).collect(), masking }
    }

    /// Appends the reduced record to `out`. Members keep their order and, where they have no mask, their exact bytes.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`]; `out` may then hold a part, which the caller discards.
    pub(super) fn apply(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), NotAnObject> {
        let mut at = skip_space(payload, 0);
        if payload.get(at) != Some(&b'{') {
            return Err(NotAnObject);
        }
        at = skip_space(payload, at + 1);
        out.push(b'{');
        let mut first = true;
        // Records of one schema mostly come with their members in one order: the next granted one is tried first.
        let mut hint = 0;
        if payload.get(at) == Some(&b'}') {
            out.push(b'}');
            return end(payload, at + 1);
        }
        loop {
            let key_start = at;
            let key_end = string_end(payload, at)?;
            let key = &payload[key_start + 1..key_end - 1];
            at = skip_space(payload, key_end);
            if payload.get(at) != Some(&b':') {
                return Err(NotAnObject);
            }
            at = skip_space(payload, at + 1);
            let value_end = value_end(payload, at)?;
            if let Some(mask) = self.grants(key, &mut hint) {
                let before = out.len();
                if !first {
                    out.push(b',');
                }
                out.extend_from_slice(&payload[key_start..key_end]);
                out.push(b':');
                let value = &payload[at..value_end];
                let is_shown = match mask {
                    None => {
                        out.extend_from_slice(value);
                        true
                    }
                    Some(mask) => self.masking.put(mask, value, out),
                };
                if is_shown {
                    first = false;
                } else {
                    out.truncate(before);
                }
            }
            at = skip_space(payload, value_end);
            match payload.get(at) {
                Some(b',') => at = skip_space(payload, at + 1),
                Some(b'}') => {
                    out.push(b'}');
                    return end(payload, at + 1);
                }
                _ => return Err(NotAnObject),
            }
        }
    }

    /// How the field is shown, if it is granted: under a mask, or as it is.
    fn grants(&self, key: &[u8], hint: &mut usize) -> Option<Option<Mask>> {
        if memchr::memchr(b'\\', key).is_some() {
            return self.grants_escaped(key);
        }
        let count = self.fields.len();
        for step in 0..count {
            let at = (*hint + step) % count;
            if *self.fields[at].name == *key {
                *hint = at + 1;
                return Some(self.fields[at].mask);
            }
        }
        None
    }

    /// A key written with escapes is the key it stands for.
    #[cold]
    fn grants_escaped(&self, key: &[u8]) -> Option<Option<Mask>> {
        let key = unescape(key)?;
        self.fields.iter().find(|field| *field.name == *key.as_bytes()).map(|field| field.mask)
    }
}

fn unescape(key: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(key).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let hex =
        |chars: &mut std::str::Chars<'_>| (0..4).try_fold(0u32, |sum, _| Some(sum * 16 + chars.next()?.to_digit(16)?));
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = hex(&mut chars)?;
                if (0xd800..0xdc00).contains(&high) {
                    if (chars.next()?, chars.next()?) != ('\\', 'u') {
                        return None;
                    }
                    let low = hex(&mut chars)?.checked_sub(0xdc00)?;
                    char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)?
                } else {
                    char::from_u32(high)?
                }
            }
            other => other,
        });
    }
    Some(out)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

fn end(bytes: &[u8], at: usize) -> Result<(), NotAnObject> {
    if skip_space(bytes, at) == bytes.len() { Ok(()) } else { Err(NotAnObject) }
}

/// End of the string that begins at `at`, behind its closing quote.
fn string_end(bytes: &[u8], at: usize) -> Result<usize, NotAnObject> {
    if bytes.get(at) != Some(&b'"') {
        return Err(NotAnObject);
    }
    let mut from = at + 1;
    loop {
        let found = from + memchr2(b'"', b'\\', bytes.get(from..).ok_or(NotAnObject)?).ok_or(NotAnObject)?;
        if bytes[found] == b'"' {
            return Ok(found + 1);
        }
        from = found + 2;
    }
}

/// End of the value that begins at `at`. Iterative: depth is a counter.
fn value_end(bytes: &[u8], at: usize) -> Result<usize, NotAnObject> {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (at, 0usize);
            loop {
                match bytes.get(at) {
                    Some(b'{' | b'[') => depth += 1,
                    Some(b'}' | b']') => {
                        depth -= 1;
                        if depth == 0 {
                            return Ok(at + 1);
                        }
                    }
                    Some(b'"') => {
                        at = string_end(bytes, at)?;
                        continue;
                    }
                    Some(_) => {}
                    None => return Err(NotAnObject),
                }
                at += 1;
            }
        }
        Some(_) => {
            let rest = &bytes[at..];
            let length = rest.iter().position(|b| b",}] \t\r\n".contains(b)).ok_or(NotAnObject)?;
            if length == 0 { Err(NotAnObject) } else { Ok(at + length) }
        }
        None => Err(NotAnObject),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masking() -> Masking {
        Masking { key: ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"key") }
    }

    fn project(fields: &[&str], payload: &str) -> Result<String, NotAnObject> {
        masked(&fields.iter().map(|field| (*field, None)).collect::<Vec<_>>(), payload)
    }

    fn masked(fields: &[(&str, Option<Mask>)], payload: &str) -> Result<String, NotAnObject> {
        let mut out = Vec::new();
        Projection::new(fields.iter().copied(), masking()).apply(payload.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).expect("cut at quotes and commas only"))
    }

    #[test]
    fn only_granted_members_remain_byte_for_byte() {
        let record = r#" { "a" : 1.50, "b":{"a":[1,{"x":"}\""}]}, "c":"x\\", "d":null, "e":[] } "#;
        assert_eq!(project(&["a", "c"], record).as_deref(), Ok(r#"{"a":1.50,"c":"x\\"}"#));
        assert_eq!(project(&["d", "b"], record).as_deref(), Ok(r#"{"b":{"a":[1,{"x":"}\""}]},"d":null}"#));
        assert_eq!(project(&["x"], record).as_deref(), Ok("{}"), "a field inside another is not a top-level field");
        assert_eq!(project(&[], "{}").as_deref(), Ok("{}"));
    }

    #[test]
    fn a_key_written_with_escapes_is_the_key_it_stands_for() {
        let record = r#"{"\u0061":1,"b\u002fc":2,"\ud83d\ude00":3}"#;
        assert_eq!(project(&["a", "b/c", "😀"], record).as_deref(), Ok(record));
        assert_eq!(project(&["z"], record).as_deref(), Ok("{}"));
    }

    #[test]
    fn a_mask_is_put_on_its_field_however_its_name_is_written() {
        let fields =
            [("id", Some(Mask::PartlyHidden { first: 0, last: 2 })), ("born", Some(Mask::Dropped)), ("x", None)];
        for (record, expected) in [
            (r#"{"id":"12345","born":"1987","x":1}"#, r#"{"id":"***45","x":1}"#),
            (r#"{"\u0069d":"12345","b\u006frn":"1987"}"#, r#"{"\u0069d":"***45"}"#),
            (r#"{"born":"1987","x":1,"id":[1]}"#, r#"{"x":1}"#),
            (r#"{"born":null}"#, "{}"),
        ] {
            assert_eq!(masked(&fields, record).as_deref(), Ok(expected), "{record}");
        }
    }

    #[test]
    fn what_is_no_object_is_told() {
        for bad in
            ["", "[]", "1", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":\"", "{\"a\":1}x", "{\"a\":[}"]
        {
            assert_eq!(project(&["a"], bad), Err(NotAnObject), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_or_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let fields = [("a", None), ("b", Some(Mask::PartlyHidden { first: 1, last: 1 }))];
            let _ = Projection::new(fields, masking()).apply(&bytes, &mut Vec::new());
        }
    }
}

//! Reduces a record to the granted fields: one pass over the bytes, no parse, no copy of what is not granted.

use memchr::memchr2;

/// A plan made once for each version of an agreement.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Granted top-level fields, in the order records usually have them.
    fields: Vec<Box<[u8]>>,
}

/// The bytes are not one JSON object. Records on the log were admitted, so this means they were altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("payload is not a JSON object")]
pub struct NotAnObject;

impl Projection {
    /// A plan that grants these top-level fields and nothing else.
    #[must_use]
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fields: fields.into_iter().map(|field| field.as_bytes().into()).collect() }
    }

    /// Appends the reduced record to `out`. Members keep their order and their exact bytes.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`]; `out` may then hold a part, which the caller discards.
    pub fn apply(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), NotAnObject> {
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
            if self.grants(key, &mut hint) {
                if !first {
                    out.push(b',');
                }
                first = false;
                out.extend_from_slice(&payload[key_start..key_end]);
                out.push(b':');
                out.extend_from_slice(&payload[at..value_end]);
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

    fn grants(&self, key: &[u8], hint: &mut usize) -> bool {
        if memchr::memchr(b'\\', key).is_some() {
            return self.grants_escaped(key);
        }
        let count = self.fields.len();
        for step in 0..count {
            let at = (*hint + step) % count;
            if *self.fields[at] == *key {
                *hint = at + 1;
                return true;
            }
        }
        false
    }

    /// A key written with escapes is the key it stands for.
    #[cold]
    fn grants_escaped(&self, key: &[u8]) -> bool {
        unescape(key).is_some_and(|key| self.fields.iter().any(|field| **field == *key.as_bytes()))
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

    fn project(fields: &[&str], payload: &str) -> Result<String, NotAnObject> {
        let mut out = Vec::new();
        Projection::new(fields.iter().copied()).apply(payload.as_bytes(), &mut out)?;
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
            let _ = Projection::new(["a", "b"]).apply(&bytes, &mut Vec::new());
        }
    }
}

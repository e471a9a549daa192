//! Where a value stands in a JSON text.

/// The byte offset of the value an RFC 6901 pointer leads to, or of the deepest value on the way when it leads nowhere.
/// The text must be well-formed; for anything else the offset is of no use, but within the text.
pub(crate) fn locate(text: &str, pointer: &str) -> usize {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.space();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let here = scanner.at;
        if !scanner.enter(&token) {
            return here;
        }
    }
    scanner.at.min(text.len())
}

struct Scanner<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Moves from the beginning of a value to that of its member or item.
    fn enter(&mut self, token: &str) -> bool {
        match self.peek() {
            Some(b'{') => self.enter_object(token),
            Some(b'[') => self.enter_array(token),
            _ => false,
        }
    }

    fn enter_object(&mut self, name: &str) -> bool {
        self.at += 1;
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return false;
            }
            let start = self.at;
            self.string();
            let raw = String::from_utf8_lossy(&self.bytes[start..self.at.min(self.bytes.len())]);
            let is_it = serde_json::from_str::<String>(&raw).is_ok_and(|text| text == name);
            self.space();
            self.at += 1; // the colon
            self.space();
            if is_it {
                return true;
            }
            self.value();
            self.space();
            if self.peek() != Some(b',') {
                return false;
            }
            self.at += 1;
        }
    }

    fn enter_array(&mut self, index: &str) -> bool {
        let Ok(index) = index.parse::<usize>() else { return false };
        self.at += 1;
        for _ in 0..index {
            self.space();
            self.value();
            self.space();
            if self.peek() != Some(b',') {
                return false;
            }
            self.at += 1;
        }
        self.space();
        self.peek().is_some_and(|byte| byte != b']')
    }

    /// Skips a value. Brackets are counted rather than followed, so depth costs nothing.
    fn value(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    if depth == 0 {
                        return;
                    }
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => return,
                _ => {}
            }
        }
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_its_value() {
        let text = r#" { "a" : [1, {"b~/c": "}],\"", "d": {"e": null}}, true], "a/b": 3, "ế": [] } "#;
        for (pointer, value) in [
            ("", "{ \"a\""),
            ("/a/0", "1,"),
            ("/a/1/d/e", "null"),
            ("/a/1/b~0~1c", "\"}],"),
            ("/a/2", "true"),
            ("/a~1b", "3,"),
            ("/ế", "[]"),
        ] {
            assert!(text[locate(text, pointer)..].starts_with(value), "{pointer}: {}", &text[locate(text, pointer)..]);
        }
    }

    #[test]
    fn a_pointer_that_leads_nowhere_stops_at_the_last_value_on_the_way() {
        let text = r#"{"a": {"b": 1}}"#;
        assert!(text[locate(text, "/a/x/y")..].starts_with("{\"b\""));
        for broken in ["", "{", "{\"a", "{\"a\":", "[1,", "\"\\"] {
            assert!(locate(broken, "/a/1/b") <= broken.len());
        }
    }
}

//! Writes JSON text straight into one buffer and, for a record an error goes into, notes where each field stands.
//!
//! Why not serde: a benchmark feeds on these records, and planted errors need places in bytes, not values.

use ldop_types::Date;

/// Writes one record after the other into the same buffer. Texts must not need escaping; every table of this crate
/// keeps to that, and a test parses what comes out.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    /// Where the fields stand; kept only while `tracking`.
    fields: Vec<Field>,
    open: Vec<Open>,
    path: String,
    tracking: bool,
}

/// A field of a record that was written.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// RFC 6901 pointer.
    pub(crate) pointer: String,
    /// Where its key begins; for an item of an array, where its value begins.
    pub(crate) start: usize,
    /// Where its value begins.
    pub(crate) value: usize,
    /// Where its value ends.
    pub(crate) end: usize,
}

#[derive(Debug)]
struct Open {
    field: usize,
    path: usize,
    /// Items so far, for arrays.
    items: Option<usize>,
}

impl Writer {
    /// Begins a record; notes places if `tracking`.
    pub(crate) fn begin(&mut self, tracking: bool) {
        self.bytes.clear();
        self.fields.clear();
        self.open.clear();
        self.path.clear();
        self.tracking = tracking;
        self.bytes.push(b'{');
    }

    /// Ends the record.
    pub(crate) fn finish(&mut self) {
        self.bytes.push(b'}');
    }

    /// The record.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The record, to put an error into. The places of fields are of no use any more afterwards.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The field a pointer names, if the record has it.
    pub(crate) fn field(&self, pointer: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.pointer == pointer)
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.texts(key, &[value]);
    }

    /// A text put together from parts.
    pub(crate) fn texts(&mut self, key: &str, parts: &[&str]) {
        let at = self.key(key);
        self.bytes.push(b'"');
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.bytes.push(b'"');
        self.end(at);
    }

    pub(crate) fn date(&mut self, key: &str, date: Date) {
        let at = self.key(key);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(&date_text(date));
        self.bytes.push(b'"');
        self.end(at);
    }

    pub(crate) fn number(&mut self, key: &str, value: u64) {
        let at = self.key(key);
        self.bytes.extend_from_slice(Digits::new(value, 0).as_str().as_bytes());
        self.end(at);
    }

    /// A number with `decimals` digits after the point, given as a whole number of its last digit.
    pub(crate) fn decimal(&mut self, key: &str, value: u64, decimals: u32) {
        let at = self.key(key);
        let unit = 10u64.pow(decimals);
        self.bytes.extend_from_slice(Digits::new(value / unit, 0).as_str().as_bytes());
        self.bytes.push(b'.');
        self.bytes.extend_from_slice(Digits::new(value % unit, decimals as usize).as_str().as_bytes());
        self.end(at);
    }

    /// A number whose text is at hand.
    pub(crate) fn literal(&mut self, key: &str, text: &str) {
        let at = self.key(key);
        self.bytes.extend_from_slice(text.as_bytes());
        self.end(at);
    }

    /// Opens an object, as a field or, with the key "", as an item of an array.
    pub(crate) fn object(&mut self, key: &str) {
        self.enter(key, b'{', None);
    }

    pub(crate) fn array(&mut self, key: &str) {
        self.enter(key, b'[', Some(0));
    }

    /// Closes what was opened last.
    pub(crate) fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        self.bytes.push(if open.items.is_some() { b']' } else { b'}' });
        self.path.truncate(open.path);
        self.end(open.field);
    }

    /// Writes a text item of an array.
    pub(crate) fn item(&mut self, value: &str) {
        self.text("", value);
    }

    fn enter(&mut self, key: &str, bracket: u8, items: Option<usize>) {
        let path = self.path.len();
        let field = self.key(key);
        if self.tracking {
            self.path.clone_from(&self.fields[field].pointer);
        }
        self.bytes.push(bracket);
        self.open.push(Open { field, path, items });
    }

    fn key(&mut self, key: &str) -> usize {
        if !matches!(self.bytes.last(), Some(b'{' | b'[') | None) {
            self.bytes.push(b',');
        }
        let start = self.bytes.len();
        let item = self.open.last_mut().and_then(|open| open.items.as_mut());
        let number = item.map(|items| {
            *items += 1;
            *items - 1
        });
        if number.is_none() {
            self.bytes.push(b'"');
            self.bytes.extend_from_slice(key.as_bytes());
            self.bytes.extend_from_slice(b"\":");
        }
        if !self.tracking {
            return 0;
        }
        let pointer = match number {
            Some(number) => format!("{}/{number}", self.path),
            None => format!("{}/{key}", self.path),
        };
        self.fields.push(Field { pointer, start, value: self.bytes.len(), end: 0 });
        self.fields.len() - 1
    }

    fn end(&mut self, field: usize) {
        if self.tracking {
            self.fields[field].end = self.bytes.len();
        }
    }
}

/// Decimal digits on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    bytes: [u8; 20],
    start: u8,
}

impl Digits {
    /// The digits of `value`, with leading zeros up to `width`.
    pub(crate) fn new(mut value: u64, width: usize) -> Self {
        let mut bytes = [b'0'; 20];
        let mut start = bytes.len();
        while value > 0 {
            start -= 1;
            bytes[start] = b'0' + (value % 10) as u8;
            value /= 10;
        }
        let start = start.min(bytes.len() - width.clamp(1, bytes.len()));
        Self { bytes, start: start as u8 }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start as usize..]).unwrap_or("0")
    }
}

/// `YYYY-MM-DD`.
pub(crate) fn date_text(date: Date) -> [u8; 10] {
    let (year, month, day) = date.ymd();
    let mut text = *b"0000-00-00";
    for (at, value) in [(0, year / 100), (2, year % 100), (5, month), (8, day)] {
        text[at] = b'0' + (value / 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_fields_are_noted() {
        let mut writer = Writer::default();
        writer.begin(true);
        writer.text("a", "x");
        writer.object("b");
        writer.number("c", 120);
        writer.array("d");
        writer.item("y");
        writer.object("");
        writer.decimal("e", 1_050, 2);
        writer.close();
        writer.close();
        writer.close();
        writer.date("f", Date(0));
        writer.finish();
        let text = std::str::from_utf8(writer.bytes()).expect("UTF-8");
        assert_eq!(text, r#"{"a":"x","b":{"c":120,"d":["y",{"e":10.50}]},"f":"1970-01-01"}"#);
        for (pointer, value) in [
            ("/a", r#""x""#),
            ("/b/c", "120"),
            ("/b/d/0", r#""y""#),
            ("/b/d/1/e", "10.50"),
            ("/b/d", r#"["y",{"e":10.50}]"#),
            ("/f", r#""1970-01-01""#),
        ] {
            let field = writer.field(pointer).expect(pointer);
            assert_eq!(&text[field.value..field.end], value, "{pointer}");
        }
    }

    #[test]
    fn digits_fill_up_with_zeros() {
        assert_eq!(Digits::new(0, 0).as_str(), "0");
        assert_eq!(Digits::new(42, 7).as_str(), "0000042");
        assert_eq!(Digits::new(u64::MAX, 3).as_str(), "18446744073709551615");
    }
}

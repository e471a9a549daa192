//! The key of a record: the value of its key fields, as one text.

use ldop_types::{Finding, Rule, Text};

use super::{Document, Value};

/// Stands between the parts of a key of several fields. A part never contains it, so different parts make different
/// keys. U+001F is "unit separator" of ASCII.
pub const KEY_SEPARATOR: char = '\u{1f}';

impl Document<'_> {
    /// Writes the record's key into `key`, which is cleared first: the text of the key fields in the order given,
    /// joined by [`KEY_SEPARATOR`]. Key fields are top-level strings that are not empty, or integers.
    ///
    /// # Errors
    ///
    /// One finding of rule `KEY` for each field that is absent, null, empty, of another type, or a text that contains
    /// the separator. `key` holds nothing then.
    pub fn key(&self, fields: &[impl AsRef<str>], key: &mut Vec<u8>) -> Result<(), Vec<Finding>> {
        key.clear();
        let members = self.root().as_object();
        let mut findings = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                key.push(KEY_SEPARATOR as u8);
            }
            let node = members.and_then(|members| members.get(field.as_ref()));
            match node.map(|node| node.value()) {
                Some(Value::Text(text)) if !text.is_empty() && !text.contains(KEY_SEPARATOR) => {
                    key.extend_from_slice(text.as_bytes());
                }
                Some(Value::Number(number)) => match number.as_integer() {
                    // Written anew, so that 1 and 1.0 are one key.
                    Some(integer) => key.extend_from_slice(integer.to_string().as_bytes()),
                    None => findings.push(finding(field.as_ref())),
                },
                _ => findings.push(finding(field.as_ref())),
            }
        }
        if fields.is_empty() {
            findings.push(finding(""));
        }
        if findings.is_empty() {
            Ok(())
        } else {
            key.clear();
            Err(findings)
        }
    }
}

#[cold]
fn finding(field: &str) -> Finding {
    let mut pointer = String::new();
    if !field.is_empty() {
        crate::pointer::push_name(&mut pointer, field);
    }
    let message = Text::new(
        "trường khóa phải có mặt và là chuỗi không rỗng hoặc số nguyên",
        "a key field must be present and be a string that is not empty, or an integer",
    );
    Finding { pointer, element: None, rule: Rule::Key, message }
}

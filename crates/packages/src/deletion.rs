//! Deletions among the records of a package: their key fields, with one field more that says so.

use std::borrow::Cow;

/// Name of the field, where no granted field has it.
const NAME: &str = "_deletion";

/// A name for the field that none of `fields` has.
pub(crate) fn field(fields: &[String]) -> String {
    let mut name = NAME.to_owned();
    while fields.contains(&name) {
        name.push('_');
    }
    name
}

/// The key of a deletion, a JSON object, with the field that says so as its last.
pub(crate) fn mark(key: &[u8], field: &str) -> Vec<u8> {
    let open = key.trim_ascii_end().strip_suffix(b"}").unwrap_or(key);
    let separator = if open.trim_ascii_end().ends_with(b"{") { "" } else { "," };
    [open, separator.as_bytes(), ending(field).as_bytes()].concat()
}

/// A line as the hub gave it: of a deletion without the field.
pub(crate) fn unmark<'l>(line: &'l [u8], field: Option<&str>) -> Cow<'l, [u8]> {
    match field.and_then(|field| line.strip_suffix(ending(field).as_bytes())) {
        Some(open) => Cow::Owned([open.strip_suffix(b",").unwrap_or(open), b"}"].concat()),
        None => Cow::Borrowed(line),
    }
}

fn ending(field: &str) -> String {
    format!("{field:?}:true}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_unmarked_byte_for_byte() {
        let name = field(&["_deletion".to_owned(), "id".to_owned()]);
        assert_eq!(name, "_deletion_");
        for key in [&br#"{"id":"a","n":1}"#[..], b"{}", br#"{"id":"}"}"#] {
            let marked = mark(key, &name);
            let read: serde_json::Value = serde_json::from_slice(&marked).expect("JSON");
            assert_eq!(read[&name], true);
            assert_eq!(*unmark(&marked, Some(&name)), *key);
            assert_eq!(*unmark(key, Some(&name)), *key, "a record");
            assert_eq!(*unmark(&marked, None), *marked);
        }
    }
}

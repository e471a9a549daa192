//! Which schemas bind an element, and where.

use std::collections::BTreeMap;

use serde_json::Value;

/// The annotation that binds a property to an element.
const ELEMENT_KEYWORD: &str = "x-ldop-element";
/// Deeper than any sensible schema.
const DEEPEST: usize = 64;

/// A schema that binds an element.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use<'a> {
    pub schema: &'a str,
    /// Where the element is bound, such as `/properties/code`.
    pub pointers: Vec<String>,
}

/// The uses of each element, by schema. A schema that is no JSON uses none.
pub(super) fn find(schemas: &[(String, String)]) -> BTreeMap<String, Vec<Use<'_>>> {
    let mut uses: BTreeMap<String, Vec<Use<'_>>> = BTreeMap::new();
    for (name, text) in schemas {
        let mut found = BTreeMap::new();
        if let Ok(schema) = serde_json::from_str(text) {
            visit(&schema, &mut String::new(), 0, &mut found);
        }
        for (element, pointers) in found {
            uses.entry(element).or_default().push(Use { schema: name, pointers });
        }
    }
    uses
}

fn visit(value: &Value, pointer: &mut String, depth: usize, found: &mut BTreeMap<String, Vec<String>>) {
    if depth > DEEPEST {
        return;
    }
    let length = pointer.len();
    let mut each = |key: &str, value: &Value| {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        visit(value, pointer, depth + 1, found);
        pointer.truncate(length);
    };
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| each(key, value));
            if let Some(Value::String(element)) = object.get(ELEMENT_KEYWORD) {
                found.entry(element.clone()).or_default().push(pointer.clone());
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| each(&at.to_string(), value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_found_wherever_they_stand() {
        let text = r#"{"properties":{"a/b":{"x-ldop-element":"a"},"c":{"items":[{"x-ldop-element":"a"}]}}}"#;
        let schemas = [("s".to_owned(), text.to_owned()), ("broken".to_owned(), "{".to_owned())];
        let pointers = vec!["/properties/a~1b".to_owned(), "/properties/c/items/0".to_owned()];
        assert_eq!(find(&schemas).get("a"), Some(&vec![Use { schema: "s", pointers }]));
    }
}

//! Lets the `jsonschema` crate read our documents directly, without a tree of its own.

use std::borrow::Cow;

use jsonschema::{
    JsonType,
    json::{Array, Json, JsonNumber, Node as JsonNode, NodeIdentity, Object, cmp, unique},
};

use crate::document::{Items, Members, Node, Number, Value, fingerprint};

/// The representation of records for `jsonschema`.
pub(crate) struct RecordJson;

/// A property name of a schema with its mark, made once when the schema is compiled.
pub(crate) struct Key {
    name: Box<str>,
    fingerprint: u32,
}

impl Json for RecordJson {
    type Node<'a> = Node<'a>;
    type PreparedKey = Key;
    type StringBuffer = ();

    // A look-up compares marks, which is cheaper than the library's own pass over the names.
    const KEYS_PER_LOOKUP: usize = 0;

    fn prepare_key(key: &str) -> Key {
        Key { name: key.into(), fingerprint: fingerprint(key) }
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        f(Node::of_name(string))
    }
}

impl<'a> JsonNode<'a, RecordJson> for Node<'a> {
    type Object = Members<'a>;
    type Array = Items<'a>;
    type Number = Number<'a>;

    #[inline]
    fn as_object(&self) -> Option<Members<'a>> {
        Node::as_object(self)
    }

    #[inline]
    fn as_array(&self) -> Option<Items<'a>> {
        Node::as_array(self)
    }

    #[inline]
    fn as_string(&self) -> Option<Cow<'a, str>> {
        self.as_str().map(Cow::Borrowed)
    }

    #[inline]
    fn as_number(&self) -> Option<Number<'a>> {
        match self.value() {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    #[inline]
    fn as_boolean(&self) -> Option<bool> {
        match self.value() {
            Value::Boolean(boolean) => Some(boolean),
            _ => None,
        }
    }

    #[inline]
    fn is_null(&self) -> bool {
        matches!(self.value(), Value::Null)
    }

    #[inline]
    fn json_type(&self) -> JsonType {
        match self.value() {
            Value::Null => JsonType::Null,
            Value::Boolean(_) => JsonType::Boolean,
            Value::Number(_) => JsonType::Number,
            Value::Text(_) => JsonType::String,
            Value::Array(_) => JsonType::Array,
            Value::Object(_) => JsonType::Object,
        }
    }

    fn string_length(&self) -> Option<u64> {
        self.as_str().map(|text| if text.is_ascii() { text.len() } else { text.chars().count() } as u64)
    }

    fn equals_value(&self, expected: &serde_json::Value) -> bool {
        equals(*self, expected)
    }

    /// Always null. The library keeps what this returns in its errors; a record's value must have no way into one.
    /// Everything that compares values is implemented here without it.
    fn to_value(&self) -> Cow<'a, serde_json::Value> {
        Cow::Owned(serde_json::Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        let (address, index) = self.identity();
        Some(NodeIdentity::tagged(address, index))
    }
}

impl<'a> Object<'a, RecordJson> for Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = Self;

    #[inline]
    fn len(&self) -> usize {
        ExactSizeIterator::len(self)
    }

    #[inline]
    fn get(&self, key: &Key) -> Option<Node<'a>> {
        self.find(&key.name, key.fingerprint)
    }

    #[inline]
    fn members(&self) -> Self {
        *self
    }
}

impl<'a> Array<'a, RecordJson> for Items<'a> {
    type Node = Node<'a>;
    type ElementsIter = Self;

    #[inline]
    fn len(&self) -> usize {
        ExactSizeIterator::len(self)
    }

    #[inline]
    fn elements(&self) -> Self {
        *self
    }

    fn is_unique(&self) -> bool {
        let items: Vec<_> = self.map(|item| item.to_tree()).collect();
        unique::is_unique(&items)
    }
}

impl JsonNumber for Number<'_> {
    #[inline]
    fn as_u64(&self) -> Option<u64> {
        Number::as_u64(self)
    }

    #[inline]
    fn as_i64(&self) -> Option<i64> {
        Number::as_i64(self)
    }

    #[inline]
    fn as_f64(&self) -> Option<f64> {
        Some(Number::as_f64(self))
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.literal())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(self.to_tree())
    }

    #[inline]
    fn is_integer(&self) -> bool {
        self.is_whole()
    }
}

/// Whether a value of a record is a value of a schema; numbers are compared as numbers.
pub(crate) fn equals(node: Node<'_>, expected: &serde_json::Value) -> bool {
    match (node.value(), expected) {
        (Value::Text(text), serde_json::Value::String(expected)) => text == expected,
        (Value::Array(_), serde_json::Value::Array(_)) | (Value::Object(_), serde_json::Value::Object(_)) => {
            cmp::equal(&node.to_tree(), expected)
        }
        (Value::Number(number), serde_json::Value::Number(expected)) => {
            // A literal such as 1.00000000000000000001 is read as a whole double, but `type` takes it by its digits for a
            // fraction: it must not be the 1 of a schema and no integer at the same time.
            let is_whole = expected.as_f64().is_none_or(|double| double.fract() == 0.0);
            cmp::equal_numbers(&number, expected) && number.is_whole() == is_whole
        }
        (Value::Boolean(boolean), serde_json::Value::Bool(expected)) => boolean == *expected,
        (Value::Null, serde_json::Value::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parser;

    #[test]
    fn a_number_equals_a_constant_only_if_both_are_whole_or_neither() {
        for (literal, expected, is_equal) in [
            ("1", "1", true),
            ("1.0", "1", true),
            ("1e0", "1.0", true),
            ("1.00000000000000000001", "1", false),
            ("0.1", "0.1", true),
            ("0.10000000000000000001", "0.1", true),
            ("18446744073709551617", "18446744073709551616", true),
        ] {
            let mut parser = Parser::default();
            let document = parser.parse(literal.as_bytes()).expect("well-formed");
            let expected: serde_json::Value = serde_json::from_str(expected).expect("well-formed");
            assert_eq!(equals(document.root(), &expected), is_equal, "{literal} {expected}");
        }
    }
}

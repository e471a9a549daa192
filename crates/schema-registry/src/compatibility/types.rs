//! Sets of JSON types, with whole numbers apart from the others.

use super::value::Value;

/// A set of types, one bit for each.
pub(super) type Types = u8;

pub(super) const NULL: Types = 1;
pub(super) const BOOLEAN: Types = 2;
pub(super) const INTEGER: Types = 4;
/// Numbers that are not whole.
pub(super) const FRACTION: Types = 8;
pub(super) const STRING: Types = 16;
pub(super) const ARRAY: Types = 32;
pub(super) const OBJECT: Types = 64;
pub(super) const NUMBER: Types = INTEGER | FRACTION;
/// Everything.
pub(super) const ANY: Types = 127;

/// The types of the keyword `type`; none where its value breaks the meta-schema.
pub(super) fn of_keyword(value: &Value) -> Option<Types> {
    match value {
        Value::Text(word) => of_word(word),
        Value::Array(words) if !words.is_empty() => {
            words.iter().try_fold(0, |types, word| Some(types | of_word(word.as_text()?)?))
        }
        _ => None,
    }
}

fn of_word(word: &str) -> Option<Types> {
    Some(match word {
        "null" => NULL,
        "boolean" => BOOLEAN,
        "integer" => INTEGER,
        "number" => NUMBER,
        "string" => STRING,
        "array" => ARRAY,
        "object" => OBJECT,
        _ => return None,
    })
}

/// The type of a value; both of numbers where it depends on how the number is read.
pub(super) fn of_value(value: &Value) -> Types {
    match value {
        Value::Null => NULL,
        Value::Boolean(_) => BOOLEAN,
        Value::Number(number) => match number.is_whole() {
            Some(true) => INTEGER,
            Some(false) => FRACTION,
            None => NUMBER,
        },
        Value::Text(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// The words of a set, for messages.
pub(super) fn shown(types: Types) -> String {
    if types == ANY {
        return "–".to_owned();
    }
    let number = if types & FRACTION != 0 { "number" } else { "integer" };
    let words = [
        (NULL, "null"),
        (BOOLEAN, "boolean"),
        (NUMBER, number),
        (STRING, "string"),
        (ARRAY, "array"),
        (OBJECT, "object"),
    ];
    let words: Vec<&str> = words.iter().filter(|(bit, _)| types & bit != 0).map(|(_, word)| *word).collect();
    words.join(", ")
}

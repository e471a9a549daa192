//! Columns of a table.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Texts.
    Text,
    /// Integers of 64 bits.
    Integer,
    /// Numbers of up to 15 digits, as floating point of 64 bits.
    Number,
    /// True or false.
    Boolean,
    /// Values as JSON texts: objects, lists, and whatever the schema leaves open.
    Json,
}

/// A column: one top-level field of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the field, and of the column.
    pub name: String,
    /// What its cells hold.
    pub kind: Kind,
}

/// The columns of a table, and the two that make it whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Columns of fields.
    pub columns: Vec<Column>,
    /// Column with the names of the fields that stand in the record and are null, as a JSON list; empty where there are none.
    pub null_fields: String,
    /// Column with the values that do not fit the column of their field, as a JSON object; empty where there are none.
    pub other_values: String,
}

impl Layout {
    /// A column for each field, of the kind that the JSON Schema of the records gives it; of [`Kind::Json`] where it gives none.
    #[must_use]
    pub fn of(fields: &[String], schema: Option<&Value>) -> Self {
        let properties = schema.and_then(|schema| schema.get("properties"));
        let column = |name: &String| {
            let property = properties.and_then(|properties| properties.get(name));
            let property = schema.zip(property).map(|(schema, property)| resolve(schema, property));
            Column { name: name.clone(), kind: property.map_or(Kind::Json, kind_of) }
        };
        let free = |name: &str| {
            let mut name = name.to_owned();
            while fields.contains(&name) {
                name.push('_');
            }
            name
        };
        Self {
            columns: fields.iter().map(column).collect(),
            null_fields: free("_null_fields"),
            other_values: free("_other_values"),
        }
    }

    /// Names of all columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let fields = self.columns.iter().map(|column| column.name.as_str());
        fields.chain([self.null_fields.as_str(), self.other_values.as_str()])
    }
}

/// Follows a `$ref` within the schema, a few steps at most.
fn resolve<'s>(schema: &'s Value, mut at: &'s Value) -> &'s Value {
    const STEPS: usize = 8;
    for _ in 0..STEPS {
        let Some(reference) = at.get("$ref").and_then(Value::as_str) else { break };
        match reference.strip_prefix('#').and_then(|pointer| schema.pointer(pointer)) {
            Some(found) => at = found,
            None => break,
        }
    }
    at
}

/// The kind a property's schema allows, null aside.
fn kind_of(property: &Value) -> Kind {
    let types: Vec<&str> = match property.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    };
    match types[..] {
        ["string"] => Kind::Text,
        ["integer"] => Kind::Integer,
        ["number"] | ["integer", "number"] | ["number", "integer"] => Kind::Number,
        ["boolean"] => Kind::Boolean,
        _ => Kind::Json,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_have_the_kinds_of_the_schema_and_names_of_their_own() {
        let fields = ["a", "b", "c", "d", "e", "_null_fields"].map(str::to_owned);
        let schema = json!({ "$defs": { "name": { "type": "string" } }, "properties": {
            "a": { "$ref": "#/$defs/name" }, "b": { "type": ["null", "integer"] }, "c": { "type": "number" },
            "d": { "type": "boolean" }, "e": { "type": ["string", "integer"] },
        }});
        let layout = Layout::of(&fields, Some(&schema));
        let kinds: Vec<Kind> = layout.columns.iter().map(|column| column.kind).collect();
        assert_eq!(kinds, [Kind::Text, Kind::Integer, Kind::Number, Kind::Boolean, Kind::Json, Kind::Json]);
        assert_eq!((layout.null_fields.as_str(), layout.other_values.as_str()), ("_null_fields_", "_other_values"));
        assert!(Layout::of(&fields, None).columns.iter().all(|column| column.kind == Kind::Json));
    }
}

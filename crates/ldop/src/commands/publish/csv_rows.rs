//! Records from CSV: the header names fields, the dataset's schema says what their values are.

use std::{collections::BTreeMap, io::Read};

use bytes::Bytes;
use csv::{ReaderBuilder, StringRecord};
use ldop_client::{Client, Error as ClientError};
use ldop_contract::{catalog::v1::GetDatasetRequest, registry::v1::GetSchemaRequest};
use ldop_types::DatasetName;
use serde_json::{Map, Value};

use super::input::{Row, Sender};
use crate::failure::Failure;

/// What a schema says of a field's value, as far as CSV needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Boolean,
    /// An object or array: the cell holds JSON.
    Json,
}

/// Turns rows of CSV into records.
pub(super) struct CsvRows {
    schema: Value,
    delimiter: u8,
}

impl CsvRows {
    /// Asks the hub for the schema of the dataset.
    pub(super) async fn of(client: &Client, dataset: &DatasetName, delimiter: u8) -> Result<Self, Failure> {
        let request = GetDatasetRequest { id: dataset.to_string() };
        let found = client.catalog().get_dataset(request).await.map_err(ClientError::from)?.into_inner();
        let name = found.dataset.unwrap_or_default().schema;
        let request = GetSchemaRequest { name, version: 0 };
        let found = client.registry().get_schema(request).await.map_err(ClientError::from)?.into_inner();
        let text = found.schema.unwrap_or_default().text;
        let schema = serde_json::from_str(&text)
            .map_err(|error| Failure::Internal(format!("the hub's schema is not JSON: {error}")))?;
        Ok(Self { schema, delimiter })
    }

    /// Reads rows; returns the bytes read.
    pub(super) fn read(&self, input: Box<dyn Read + Send>, sender: &mut Sender) -> Result<u64, Failure> {
        let mut reader = ReaderBuilder::new().delimiter(self.delimiter).flexible(true).from_reader(input);
        let broken = |error: csv::Error| Failure::Usage(format!("CSV syntax: {error}"));
        let header = reader.headers().map_err(broken)?.clone();
        let columns = columns(&header, &self.schema)?;
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(broken)? {
            let line = record.position().map_or(0, csv::Position::line);
            let (object, unfit) = row(&record, &columns);
            let payload = Bytes::from(Value::Object(object).to_string());
            let row = Row { line, payload, event_time: None, unfit };
            let bytes_read = reader.position().byte();
            if !sender.push(row, bytes_read) {
                return Ok(bytes_read);
            }
        }
        Ok(reader.position().byte())
    }
}

/// A column: the way to its field, and what its value is.
#[derive(Debug)]
struct Column {
    name: String,
    path: Vec<String>,
    kind: Kind,
}

fn columns(header: &StringRecord, schema: &Value) -> Result<Vec<Column>, Failure> {
    let mut columns = Vec::with_capacity(header.len());
    let mut seen = BTreeMap::new();
    for (at, name) in header.iter().enumerate() {
        let name = name.trim().trim_start_matches('\u{feff}').to_owned();
        if name.is_empty() {
            return Err(Failure::Usage(format!("column {} of the CSV header has no name", at + 1)));
        }
        if let Some(first) = seen.insert(name.clone(), at + 1) {
            return Err(Failure::Usage(format!("columns {first} and {} of the CSV header are both {name:?}", at + 1)));
        }
        let path: Vec<String> = name.split('.').map(ToOwned::to_owned).collect();
        let kind = kind_of(schema, &path);
        columns.push(Column { name, path, kind });
    }
    Ok(columns)
}

/// What the schema says of the field. A field it does not know is sent as text: the hub says what is wrong with it.
fn kind_of(schema: &Value, path: &[String]) -> Kind {
    let mut at = schema;
    for name in path {
        match resolve(schema, at).get("properties").and_then(|properties| properties.get(name)) {
            Some(property) => at = property,
            None => return Kind::Text,
        }
    }
    let types = resolve(schema, at).get("type");
    let of = |name: &str| match types {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(many)) => many.iter().any(|one| one == name),
        _ => false,
    };
    // Where several are possible, text is the one that loses nothing.
    if of("string") {
        Kind::Text
    } else if of("integer") || of("number") {
        Kind::Number
    } else if of("boolean") {
        Kind::Boolean
    } else if of("object") || of("array") {
        Kind::Json
    } else {
        Kind::Text
    }
}

/// Follows a `$ref` within the schema, a few steps at most.
fn resolve<'s>(schema: &'s Value, mut at: &'s Value) -> &'s Value {
    const STEPS: usize = 8;
    for _ in 0..STEPS {
        let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return at };
        match reference.strip_prefix('#').and_then(|pointer| schema.pointer(pointer)) {
            Some(found) => at = found,
            None => return at,
        }
    }
    at
}

/// The record of a row, and why it does not fit. A value that does not fit stands in the record as text, to be corrected
/// there.
fn row(record: &StringRecord, columns: &[Column]) -> (Map<String, Value>, Option<String>) {
    let mut unfit = None;
    if record.len() != columns.len() {
        unfit = Some(format!("{} values stand in the row, and {} names in the header", record.len(), columns.len()));
    }
    let mut object = Map::new();
    for (column, cell) in columns.iter().zip(record) {
        if cell.is_empty() {
            continue;
        }
        let value = value(column.kind, cell).unwrap_or_else(|expected| {
            unfit.get_or_insert_with(|| format!("the value of {} is not {expected}", column.name));
            Value::from(cell)
        });
        if place(&mut object, &column.path, value).is_none() {
            unfit.get_or_insert_with(|| format!("{} lies inside of a field that is no object", column.name));
        }
    }
    (object, unfit)
}

/// The value of a cell, or what was expected there.
fn value(kind: Kind, cell: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Text => Ok(Value::from(cell)),
        Kind::Number => serde_json::from_str(cell.trim()).map(Value::Number).map_err(|_| "a number, such as 12.5"),
        Kind::Boolean => serde_json::from_str(cell.trim()).map(Value::Bool).map_err(|_| "true or false"),
        Kind::Json => serde_json::from_str(cell).map_err(|_| "JSON"),
    }
}

/// Puts a value where its path leads, making objects on the way.
fn place(object: &mut Map<String, Value>, path: &[String], value: Value) -> Option<()> {
    let (name, rest) = path.split_first()?;
    if rest.is_empty() {
        return match object.insert(name.clone(), value) {
            None => Some(()),
            Some(_) => None,
        };
    }
    let inner = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
    place(inner.as_object_mut()?, rest, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn convert(header: &[&str], cells: &[&str]) -> Result<String, String> {
        let schema = json!({
            "type": "object",
            "$defs": { "address": { "type": "object", "properties": { "floor": { "type": "integer" } } } },
            "properties": {
                "code": { "type": "string" },
                "area": { "type": ["number", "null"] },
                "urban": { "type": "boolean" },
                "tags": { "type": "array" },
                "address": { "$ref": "#/$defs/address" },
            },
        });
        let columns = columns(&StringRecord::from(header.to_vec()), &schema).map_err(|e| e.to_string())?;
        match row(&StringRecord::from(cells.to_vec()), &columns) {
            (object, None) => Ok(Value::Object(object).to_string()),
            (_, Some(unfit)) => Err(unfit),
        }
    }

    #[test]
    fn the_schema_says_what_a_cell_is() {
        let header = ["\u{feff}code", "area", "urban", "tags", "address.floor", "address.street", "unknown"];
        let record = convert(&header, &["00123", "12.50", "true", "[1]", "3", "Lê Lợi", "7"]);
        let record: Value = serde_json::from_str(&record.expect("fits")).expect("JSON");
        let address = json!({ "floor": 3, "street": "Lê Lợi" });
        let expected =
            json!({ "code": "00123", "area": 12.5, "urban": true, "tags": [1], "address": address, "unknown": "7" });
        assert_eq!(record, expected);
        assert_eq!(convert(&["code", "area"], &["1", ""]), Ok("{\"code\":\"1\"}".to_owned()), "empty is left out");
    }

    #[test]
    fn a_cell_that_does_not_fit_names_its_column_and_not_its_value() {
        for (header, cell) in [("area", "secret"), ("urban", "secret"), ("tags", "secret"), ("area", "NaN")] {
            let error = convert(&[header], &[cell]).expect_err("does not fit");
            assert!(error.contains(header) && !error.contains("secret"), "{error}");
        }
        assert!(convert(&["code", "area"], &["1"]).is_err());
        assert!(convert(&["code", "code"], &["1", "2"]).is_err());
        assert!(convert(&["code", "code.x"], &["1", "2"]).is_err());
    }
}

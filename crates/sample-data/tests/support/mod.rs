//! Reads `schemas/` into a dictionary and compiled schemas, and checks records against them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ldop_dictionary::{CodeDefinition, CodeList, CodeListDefinition, Dictionary, Element, ElementDefinition};
use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::{Rule, TimestampMs};
use toml::{Table, Value};

/// The folder of the sample definitions.
pub fn schemas_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

/// All sample schemas, by name.
pub fn compile_schemas() -> BTreeMap<String, CompiledSchema> {
    let dictionary = dictionary();
    let mut schemas = BTreeMap::new();
    for path in files(&schemas_folder().join("records"), ".schema.json") {
        let text = fs::read_to_string(&path).expect("readable");
        let schema = CompiledSchema::compile(&text, &dictionary)
            .unwrap_or_else(|findings| panic!("{}: {findings:#?}", path.display()));
        schemas.insert(name_of(&path).trim_end_matches(".schema.json").to_owned(), schema);
    }
    schemas
}

/// Everything a record is refused or warned for: pointer and rule, sorted.
pub fn check(
    schema: &CompiledSchema,
    parser: &mut Parser,
    outcome: &mut Outcome,
    record: &[u8],
    event_time: TimestampMs,
) -> Vec<(String, Rule)> {
    match parser.parse(record) {
        Err(finding) => vec![(finding.pointer, finding.rule)],
        Ok(document) => {
            schema.check(&document, event_time.date_in_vietnam(), outcome);
            let mut found: Vec<_> =
                outcome.findings.iter().chain(&outcome.warnings).map(|f| (f.pointer.clone(), f.rule)).collect();
            found.sort();
            found
        }
    }
}

/// The files of a folder whose names end like this, in order.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| name_of(path).ends_with(ending));
    files.sort();
    files
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name")
}

fn dictionary() -> Dictionary {
    let (mut elements, mut lists) = (Vec::new(), Vec::new());
    for folder in ["dictionary", "code-lists"].map(|name| schemas_folder().join(name)) {
        for path in files(&folder, ".toml") {
            let file: Table = fs::read_to_string(&path).expect("readable").parse().expect("TOML");
            for (kind, tables) in file {
                for table in tables.as_array().expect("an array of tables") {
                    let table = table.as_table().expect("a table");
                    match kind.as_str() {
                        "element" => elements.push(element(table)),
                        "code_list" => lists.push(code_list(table, &folder)),
                        other => panic!("{}: {other}", path.display()),
                    }
                }
            }
        }
    }
    Dictionary::default().with_changes(elements, lists).expect("holds together")
}

fn element(table: &Table) -> Element {
    let length = |key: &str| table.get(key).and_then(Value::as_integer).and_then(|length| u32::try_from(length).ok());
    Element::new(ElementDefinition {
        id: text(table, "id"),
        name_vi: text(table, "name_vi"),
        name_en: text(table, "name_en"),
        definition_vi: text(table, "definition_vi"),
        definition_en: text(table, "definition_en"),
        value_type: text(table, "type"),
        min_length: length("min_length"),
        max_length: length("max_length"),
        pattern: text(table, "pattern"),
        format: text(table, "format"),
        minimum: text(table, "minimum"),
        maximum: text(table, "maximum"),
        code_list: text(table, "code_list"),
        identifier: text(table, "identifier"),
        sensitivity: text(table, "sensitivity"),
        unit: text(table, "unit"),
        source: text(table, "source"),
        unconfirmed: table.get("unconfirmed").and_then(Value::as_bool).unwrap_or(false),
        derives_from: text(table, "derives_from"),
        normalisation: table
            .get("normalisation")
            .and_then(Value::as_array)
            .map(|steps| steps.iter().map(|step| step.as_str().expect("a word").to_owned()).collect())
            .unwrap_or_default(),
        normalisation_check: text(table, "normalisation_check"),
        ..ElementDefinition::default()
    })
    .unwrap_or_else(|errors| panic!("{}: {errors:?}", text(table, "id")))
}

fn code_list(table: &Table, folder: &Path) -> CodeList {
    let codes = match table.get("csv").and_then(Value::as_str) {
        Some(file) => csv_codes(&folder.join(file)),
        None => table["codes"]
            .as_array()
            .expect("codes")
            .iter()
            .map(|code| {
                let code = code.as_table().expect("a code");
                CodeDefinition {
                    code: text(code, "code"),
                    label_vi: text(code, "label_vi"),
                    ..CodeDefinition::default()
                }
            })
            .collect(),
    };
    CodeList::new(CodeListDefinition {
        id: text(table, "id"),
        name_vi: text(table, "name_vi"),
        name_en: text(table, "name_en"),
        source: text(table, "source"),
        codes,
        ..CodeListDefinition::default()
    })
    .unwrap_or_else(|errors| panic!("{}: {errors:?}", text(table, "id")))
}

fn csv_codes(file: &Path) -> Vec<CodeDefinition> {
    let mut reader = csv::Reader::from_path(file).expect("readable");
    let columns = reader.headers().expect("a header").clone();
    let code = |row: csv::Result<csv::StringRecord>| {
        let row = row.expect("well-formed");
        let field = |name: &str| {
            columns.iter().position(|column| column == name).map(|at| row[at].to_owned()).unwrap_or_default()
        };
        CodeDefinition {
            code: field("code"),
            label_vi: field("label_vi"),
            valid_from: field("valid_from"),
            valid_to: field("valid_to"),
            ..CodeDefinition::default()
        }
    };
    reader.records().map(code).collect()
}

fn text(table: &Table, key: &str) -> String {
    table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

//! Definitions as definition files: elements in TOML by domain, code lists in TOML with their codes in CSV.
//!
//! The same definitions give the same bytes, whatever they came from.

use std::{collections::BTreeMap, fmt::Write};

use ldop_dictionary::{CodeDefinition, CodeListDefinition, ElementDefinition};

use crate::{
    Definitions,
    columns::{self, Column, Field},
};

/// Editors find the schema of the files by this line, where the folder has it.
const SCHEMA_LINE: &str = "#:schema ../definitions.toml-schema.json\n";
/// Where elements without a domain go.
const NO_DOMAIN: &str = "other";

/// The files of a folder, by path with `/` in it.
#[must_use]
pub fn definition_files(definitions: &Definitions) -> BTreeMap<String, Vec<u8>> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for element in &definitions.elements {
        let domain = if is_file_name(&element.domain) { &element.domain } else { NO_DOMAIN };
        let text = texts.entry(format!("dictionary/{domain}.toml")).or_insert_with(|| SCHEMA_LINE.to_owned());
        write_element(text, element);
    }
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for list in &definitions.code_lists {
        let text = texts.entry("code-lists/lists.toml".to_owned()).or_insert_with(|| SCHEMA_LINE.to_owned());
        let table = codes_table(&list.codes).filter(|_| is_file_name(&list.id));
        write_list(text, list, table.is_none());
        if let Some(table) = table {
            files.insert(format!("code-lists/{}.csv", list.id), table);
        }
    }
    files.extend(texts.into_iter().map(|(name, text)| (name, text.into_bytes())));
    files
}

/// Whether a text can be the name of a file anywhere, and of no hidden one.
fn is_file_name(text: &str) -> bool {
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    !text.is_empty() && text.len() <= 100 && text.chars().all(plain) && !DEVICES.contains(&text)
}

fn write_element(text: &mut String, element: &ElementDefinition) {
    text.push_str("\n[[element]]\n");
    let mut element = element.clone();
    for column in columns::elements() {
        write_value(text, column, &mut element);
    }
}

/// `key = value`, where there is one.
fn write_value<R>(text: &mut String, column: &Column<R>, row: &mut R) {
    let key = column.about.key;
    let value = match &column.field {
        Field::Text(field) if field(row).is_empty() => return,
        Field::Text(field) => quoted(field(row)),
        Field::Count(field) => match field(row) {
            Some(number) => number.to_string(),
            None => return,
        },
        Field::Flag(field) if *field(row) => "true".to_owned(),
        Field::Flag(_) => return,
        Field::Texts(field) if field(row).is_empty() => return,
        Field::Texts(field) => list(field(row)),
        Field::Pairs(field, _) if field(row).is_empty() => return,
        Field::Pairs(field, ':') => {
            let relation = |(kind, element): &(String, String)| {
                format!("{{ kind = {}, element = {} }}", quoted(kind), quoted(element))
            };
            format!("[{}]", field(row).iter().map(relation).collect::<Vec<_>>().join(", "))
        }
        Field::Pairs(field, _) => {
            let pair = |(name, value): &(String, String)| format!("{} = {}", quoted(name), quoted(value));
            format!("{{ {} }}", field(row).iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    };
    put(text, format_args!("{key} = {value}\n"));
}

fn write_list(text: &mut String, definition: &CodeListDefinition, with_codes: bool) {
    text.push_str("\n[[code_list]]\n");
    for (key, value) in [
        ("id", &definition.id),
        ("name_vi", &definition.name_vi),
        ("name_en", &definition.name_en),
        ("source", &definition.source),
    ] {
        if !value.is_empty() {
            put(text, format_args!("{key} = {}\n", quoted(value)));
        }
    }
    if with_codes {
        text.push_str("codes = [\n");
        definition.codes.iter().for_each(|code| write_code(text, code));
        text.push_str("]\n");
    } else {
        put(text, format_args!("csv = {}\n", quoted(&format!("{}.csv", definition.id))));
    }
    for map in &definition.value_maps {
        put(text, format_args!("\n[[code_list.value_maps]]\nto = {}\n", quoted(&map.to)));
        if !map.source.is_empty() {
            put(text, format_args!("source = {}\n", quoted(&map.source)));
        }
        text.push_str("pairs = [\n");
        for pair in &map.pairs {
            put(text, format_args!("  {{ from = {}, to = {} }},\n", quoted(&pair.from), quoted(&pair.to)));
        }
        text.push_str("]\n");
    }
}

fn write_code(text: &mut String, code: &CodeDefinition) {
    put(text, format_args!("  {{ code = {}", quoted(&code.code)));
    for (key, value) in [
        ("label_vi", &code.label_vi),
        ("label_en", &code.label_en),
        ("valid_from", &code.valid_from),
        ("valid_to", &code.valid_to),
        ("parent", &code.parent),
    ] {
        if !value.is_empty() {
            put(text, format_args!(", {key} = {}", quoted(value)));
        }
    }
    if !code.successors.is_empty() {
        put(text, format_args!(", successors = {}", list(&code.successors)));
    }
    text.push_str(" },\n");
}

/// The codes as the CSV file beside the list; `None` where such a file cannot hold them as they are.
fn codes_table(codes: &[CodeDefinition]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    writer.write_record(["code", "label_vi", "label_en", "valid_from", "valid_to", "parent", "successors"]).ok()?;
    for code in codes {
        let successors = code.successors.join(";");
        let cells =
            [&code.code, &code.label_vi, &code.label_en, &code.valid_from, &code.valid_to, &code.parent, &successors];
        // Blanks at the ends of a cell are cut when it is read, and a semicolon ends a code.
        let is_kept =
            cells.iter().all(|cell| cell.trim() == **cell) && !code.successors.iter().any(|c| c.contains(';'));
        if !is_kept {
            return None;
        }
        writer.write_record(cells).ok()?;
    }
    writer.flush().ok()?;
    drop(writer);
    Some(bytes)
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => put(&mut quoted, format_args!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Writing to a text cannot fail.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

//! Workbooks and CSV tables of a dictionary, which agencies keep by hand.

use std::{
    io::{Cursor, Write},
    path::Path,
};

use ldop_dictionary::{CodeDefinition, CodeListDefinition, ElementDefinition};
use ldop_dictionary_sheets::{Definitions, book::Book, columns::Sheet, export, files, import};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Stands between the parts of an input.
const BETWEEN: u8 = 0;
/// An input that begins so is a workbook as it stands.
const WORKBOOK: &[u8] = b"PK";
/// An input that begins so is the XML of a sheet and of the shared texts, from which a workbook is made: changes of a
/// packed one seldom get past its checksums.
const PARTS: &[u8] = b"<";

pub(crate) fn run(data: &[u8]) {
    let parts: Vec<&[u8]> = data.splitn(4, |byte| *byte == BETWEEN).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let name = Path::new("tables");
    let read = if data.starts_with(WORKBOOK) {
        import::workbook(name, data)
    } else if data.starts_with(PARTS) {
        import::workbook(name, &packed(part(0), part(1)))
    } else {
        import::csv_tables(name, Sheet::ALL.into_iter().zip(parts.iter().copied()))
    };
    match read {
        Ok(definitions) => right(&definitions),
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| assert!(!problem.to_string().is_empty()));
        }
    }
}

/// What was accepted can be written in every form, and comes back the same.
fn right(definitions: &Definitions) {
    let tables = export::csv_tables(definitions).expect("tables hold what came from tables");
    let again = import::csv_tables(Path::new("again"), tables.iter().map(|(sheet, bytes)| (*sheet, bytes.as_slice())));
    assert_eq!(again.as_ref(), Ok(definitions));
    assert!(definitions.elements.is_empty() || !files::definition_files(definitions).is_empty());
    let page = Book { title: "", definitions, schemas: &[] }.html();
    assert_eq!(page.matches("<script").count(), 1, "no text becomes a script");
}

fn packed(sheet: &[u8], strings: &[u8]) -> Vec<u8> {
    const WORKBOOK: &[u8] = r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Phần tử" sheetId="1" r:id="rId1"/></sheets></workbook>"#.as_bytes();
    const RELATIONS: &[u8] = br#"<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [
        ("xl/workbook.xml", WORKBOOK),
        ("xl/_rels/workbook.xml.rels", RELATIONS),
        ("xl/worksheets/sheet1.xml", sheet),
        ("xl/sharedStrings.xml", strings),
    ] {
        writer.start_file(name, options).and_then(|()| Ok(writer.write_all(bytes)?)).expect("memory can be written");
    }
    writer.finish().expect("memory can be written").into_inner()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let element = ElementDefinition {
        id: "person.name".to_owned(),
        name_vi: "Họ và tên".to_owned(),
        value_type: "string".to_owned(),
        sensitivity: "none".to_owned(),
        max_length: Some(50),
        synonyms: vec!["họ tên".to_owned(), "HoVaTen".to_owned()],
        relations: vec![("part_of".to_owned(), "person".to_owned())],
        effective_from: "2025-07-01".to_owned(),
        ..ElementDefinition::default()
    };
    let code = |code: &str, successor: &str| CodeDefinition {
        code: code.to_owned(),
        label_vi: "Xã".to_owned(),
        valid_to: if successor.is_empty() { String::new() } else { "2025-06-30".to_owned() },
        successors: if successor.is_empty() { Vec::new() } else { vec![successor.to_owned()] },
        ..CodeDefinition::default()
    };
    let list = CodeListDefinition {
        id: "communes".to_owned(),
        name_vi: "Xã, phường".to_owned(),
        codes: vec![code("01", "02"), code("02", "")],
        ..CodeListDefinition::default()
    };
    let definitions = Definitions::new(vec![element], vec![list]);
    let tables = export::csv_tables(&definitions).expect("tables hold it");
    let tables: Vec<Vec<u8>> = tables.into_iter().map(|(_, bytes)| bytes).collect();
    let sheet = r#"<worksheet><dimension ref="A1:D2"/><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>name_vi</t></is></c><c r="C1" t="str"><v>type</v></c><c t="str"><v>max_length</v></c></row><row r="2"><c r="A2" t="s"><v>1</v></c><c r="B2" t="b"><v>1</v></c><c r="C2" t="e"><v>#REF!</v></c><c r="D2"><f>1+1</f><v>2</v></c></row></sheetData><mergeCells count="1"><mergeCell ref="A5:B6"/></mergeCells></worksheet>"#;
    let strings =
        "<sst count=\"2\" uniqueCount=\"2\"><si><t>id</t></si><si><r><t>person.</t></r><r><t>name</t></r></si></sst>";
    vec![
        tables.join(&BETWEEN),
        export::workbook(&definitions).expect("a workbook holds it"),
        [sheet.as_bytes(), strings.as_bytes()].join(&BETWEEN),
    ]
}

//! What goes out comes in again: workbook, CSV tables and definition files hold the same dictionary.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ldop_definitions::{References, load};
use ldop_dictionary::{CodeDefinition, CodeListDefinition, CodePairDefinition, ElementDefinition, ValueMapDefinition};
use ldop_dictionary_sheets::{Definitions, export, files, import};
use proptest::prelude::*;

fn published() -> Definitions {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    read(&folder)
}

fn read(folder: &Path) -> Definitions {
    let loaded = load(&[folder.to_owned()], References::Within)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()));
    Definitions::new(loaded.elements, loaded.code_lists)
}

fn from_workbook(bytes: &[u8]) -> Definitions {
    import::workbook(Path::new("tu-dien.xlsx"), bytes)
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()))
}

fn from_tables(definitions: &Definitions) -> Definitions {
    let tables = export::csv_tables(definitions).expect("tables hold it");
    import::csv_tables(Path::new("tu-dien"), tables.iter().map(|(sheet, bytes)| (*sheet, bytes.as_slice())))
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()))
}

/// Writes definition files and reads them as the hub's tools do.
fn through_files(definitions: &Definitions) -> Definitions {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files::definition_files(definitions) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().map(PathBuf::from).expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    read(folder.path())
}

#[test]
fn the_published_dictionary_goes_through_a_workbook_unchanged() {
    let definitions = published();
    assert!(definitions.elements.len() > 200 && definitions.code_lists.len() > 20);
    let workbook = export::workbook(&definitions).expect("a workbook holds it");
    let read = from_workbook(&workbook);
    assert_eq!(read.elements, definitions.elements);
    assert_eq!(read.code_lists, definitions.code_lists);
    assert!(export::workbook(&read).expect("again") == workbook, "the same bytes");
}

#[test]
fn the_published_dictionary_goes_through_csv_tables_unchanged() {
    let definitions = published();
    assert_eq!(from_tables(&definitions), definitions);
}

#[test]
fn definition_files_hold_what_was_imported_and_are_always_the_same() {
    let definitions = published();
    let read = through_files(&definitions);
    assert_eq!(read.elements, definitions.elements);
    assert_eq!(read.code_lists, definitions.code_lists);
    assert_eq!(files::definition_files(&read), files::definition_files(&definitions));
}

/// Text that spreadsheets, CSV, TOML and XML each have their own ideas about.
fn hostile() -> impl Strategy<Value = String> {
    "[a-cĐệ0-9=+@'\"\\\\<>&;,:#{}_\\[\\]x-]{0,3}( |\n|_x000D_|\\\\n|]]>)?[a-cữ0-9=;'\"\\\\]{1,4}"
        .prop_map(|text| text.trim().to_owned())
}

fn element() -> impl Strategy<Value = ElementDefinition> {
    let texts = || prop::collection::vec(hostile(), 0..3);
    let lengths = (prop::option::of(0u32..9), prop::option::of(9u32..99));
    ((hostile(), hostile(), hostile(), hostile()), (texts(), texts()), lengths, any::<bool>(), texts()).prop_map(
        |(
            (name_vi, definition_vi, source, group),
            (synonyms, related_terms),
            (min_length, max_length),
            unconfirmed,
            rules,
        )| {
            let mut attributes: Vec<_> =
                rules.iter().enumerate().map(|(n, rule)| (format!("a.{n}"), rule.clone())).collect();
            attributes.sort();
            ElementDefinition {
                id: "person.some-name".to_owned(),
                name_vi,
                definition_vi,
                source,
                group,
                value_type: "string".to_owned(),
                sensitivity: "none".to_owned(),
                min_length,
                max_length,
                unconfirmed,
                synonyms,
                related_terms,
                technical_attributes: attributes,
                relations: vec![("part_of".to_owned(), "person.some-name-2".to_owned())],
                validation_rules: rules,
                ..ElementDefinition::default()
            }
        },
    )
}

fn code_list() -> impl Strategy<Value = CodeListDefinition> {
    let code = ("[0-9;=+@'-]{1,3}", hostile(), any::<bool>());
    (prop::collection::btree_map("[0-9a-z;=+@'\\\\-]{1,4}", code, 1..5), hostile()).prop_map(|(codes, source)| {
        let all: Vec<String> = codes.keys().cloned().collect();
        let code = |(code, (_, label, ended)): (&String, &(String, String, bool))| CodeDefinition {
            code: code.clone(),
            label_vi: label.clone(),
            label_en: String::new(),
            valid_from: String::new(),
            valid_to: if *ended { "2025-06-30".to_owned() } else { String::new() },
            parent: String::new(),
            successors: if *ended { all.clone() } else { Vec::new() },
        };
        let pairs = all.iter().map(|code| CodePairDefinition { from: code.clone(), to: "0".to_owned() }).collect();
        CodeListDefinition {
            id: "codes".to_owned(),
            name_vi: "Mã".to_owned(),
            codes: codes.iter().map(code).collect(),
            value_maps: vec![ValueMapDefinition { to: "others".to_owned(), source: source.clone(), pairs }],
            name_en: String::new(),
            source,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back_as_it_was(element in element(), list in code_list()) {
        let others = CodeListDefinition {
            id: "others".to_owned(),
            name_vi: "Mã khác".to_owned(),
            codes: vec![CodeDefinition { code: "0".to_owned(), label_vi: "Không".to_owned(), ..CodeDefinition::default() }],
            ..CodeListDefinition::default()
        };
        let second = ElementDefinition { id: "person.some-name-2".to_owned(), relations: Vec::new(), ..element.clone() };
        let definitions = Definitions::new(vec![element, second], vec![list, others]);
        prop_assert_eq!(&from_workbook(&export::workbook(&definitions).expect("a workbook")), &definitions);
        prop_assert_eq!(&from_tables(&definitions), &definitions);
        prop_assert_eq!(&through_files(&definitions), &definitions);
    }
}

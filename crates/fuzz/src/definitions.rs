//! Definition files (TOML, CSV, schemas) and the forms of the configuration, which people write by hand.

use std::{cell::RefCell, fs, path::PathBuf};

use ldop_definitions::{
    References,
    reading::{Problems, Source, Table, duration, size, unsigned},
};

use crate::world::schemas_folder;

/// Stands between the TOML file and the CSV file of an input.
const BETWEEN: u8 = 0;

thread_local! {
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().expect("a temporary folder"));
}

pub(crate) fn run(data: &[u8]) {
    let cut = data.iter().position(|b| *b == BETWEEN).unwrap_or(data.len());
    let (toml, csv) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let folder = FOLDER.with_borrow(|folder| folder.path().to_owned());
    fs::write(folder.join("definitions.toml"), toml).expect("the folder is ours");
    fs::write(folder.join("codes.csv"), csv).expect("the folder is ours");
    match ldop_definitions::load(&[folder], References::Elsewhere) {
        Ok(loaded) => assert_eq!(loaded.examples, 0),
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.to_string().is_empty());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(toml) {
        read(text);
    }
}

/// As the configuration is read: sections, forms, unknown keys.
fn read(text: &str) {
    let source = Source::new("ldop.toml", text);
    let problems = Problems::default();
    if let Some(document) = source.parse_toml(&problems) {
        let root = Table::root(&source, &document, &problems);
        let limits = root.table("limits");
        limits.optional("record_bytes", "a size", size);
        limits.optional("idempotency_window", "a duration", duration);
        limits.optional("connections", "a whole number", unsigned);
        limits.finish();
        let log = root.table("log");
        log.list("bootstrap", "a text", |value| value.as_str().map(str::to_owned));
        log.required("engine", "a text", |value| value.as_str().map(str::to_owned));
        root.finish();
    }
    for problem in problems.into_sorted() {
        assert!(!problem.to_string().is_empty());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let files = [
        "dictionary/land.toml",
        "dictionary/residence.toml",
        "catalog/agencies.toml",
        "catalog/systems.toml",
        "catalog/datasets.toml",
        "agreements/personal.toml",
    ];
    let mut seeds: Vec<Vec<u8>> = files
        .map(|file| {
            let path: PathBuf = schemas_folder().join(file);
            let mut seed = fs::read(path).expect("a sample file");
            // A few tables are enough.
            seed.truncate(1_500);
            seed
        })
        .to_vec();
    let list = "[[code_list]]\nid = \"xa\"\nname_vi = \"Xã\"\ncsv = \"codes.csv\"\n\0code,label_vi,label_en,valid_from,\
                valid_to,successor\n21583,Phường Quy Nhơn,Quy Nhon Ward,2025-07-01,,\n21550,\"Phường, cũ\",,,2025-06-30,21583\n";
    seeds.push(list.as_bytes().to_vec());
    let several = "[[code_list]]\nid = \"a\"\nname_vi = \"A\"\ncsv = \"codes.csv\"\n[[code_list.value_maps]]\nto = \"b\"\n\
                   pairs = [{ from = \"1\", to = \"2\" }]\n\0code,label_vi,parent,successors,valid_to\n1,Một,,,\n\
                   12,Hai,1,1;3,2025-06-30\n3,Ba,1,,\n";
    seeds.push(several.as_bytes().to_vec());
    let configuration = "[limits]\nrecord_bytes = \"2MiB\"\nidempotency_window = \"7d\"\nconnections = 1_024\n[log]\n\
                         engine = \"kafka\"\nbootstrap = [\"kafka-1:9092\", \"[::1]:9092\"]\n";
    seeds.push(configuration.as_bytes().to_vec());
    seeds
}

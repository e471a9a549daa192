//! Which table a sheet holds.

use ldop_definitions::reading::suggestion;

use super::row::clean;
use crate::columns::{GUIDE, Sheet};

/// What a sheet is, by its name.
pub(super) enum Found {
    Sheet(Sheet),
    /// The one that explains the others.
    Guide,
    /// None of them; what is expected.
    Unknown(String),
}

/// Finds the table by the name of the sheet, whatever its case, or by that of the CSV file.
pub(super) fn find(name: &str) -> Found {
    let name = clean(name).to_lowercase();
    if name == GUIDE.to_lowercase() {
        return Found::Guide;
    }
    let is = |sheet: &&Sheet| sheet.title().to_lowercase() == name || sheet.file().trim_end_matches(".csv") == name;
    if let Some(sheet) = Sheet::ALL.iter().find(is) {
        return Found::Sheet(*sheet);
    }
    let titles: Vec<String> = Sheet::ALL.iter().map(|sheet| sheet.title().to_lowercase()).collect();
    let near = suggestion(&name, titles.iter().map(String::as_str));
    let near = near.and_then(|near| Sheet::ALL.iter().find(|sheet| sheet.title().to_lowercase() == near));
    Found::Unknown(match near {
        Some(near) => format!("a known sheet; did you mean {:?}?", near.title()),
        None => {
            let known: Vec<_> = Sheet::ALL.iter().map(|sheet| format!("{:?}", sheet.title())).collect();
            format!("one of {}; hide a sheet that is not to be read", known.join(", "))
        }
    })
}

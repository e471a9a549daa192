//! The data dictionary as agencies keep it: a workbook, CSV tables, and a book to read.
//!
//! People who answer for elements and code lists work in spreadsheets. This crate turns definitions into a workbook that
//! explains itself, and takes a workbook back: every bad cell is told at once, by sheet, row and column. The definition
//! files it writes are those `ldop-definitions` reads; whether they fit together as a folder is asked there.
//!
//! Pure: bytes in, bytes out. No files are read or written here, nothing is fetched, macros are never looked at.
//!
//! - [`columns`]: the four tables (elements, code lists, codes, value maps) and what each column holds. Reading, writing
//!   and the guide sheet all follow this one description.
//! - [`export`]: definitions to a workbook, or to CSV tables.
//! - [`import`]: a workbook or CSV tables to definitions. Hostile files meet bounds before they are unpacked.
//! - [`files`]: definitions to definition files, the same bytes for the same definitions.
//! - [`book`]: the dictionary as one HTML file, for people without any tool.
//! - [`figures`]: the figures of a report as a workbook or a CSV table. It stands here because workbooks are written here.
//!
//! What a table cannot hold is not kept: comments of definition files, and which file an element stood in.

pub mod book;
mod cell;
pub mod columns;
pub mod export;
pub mod figures;
pub mod files;
mod grid;
pub mod import;

use ldop_dictionary::{CodeListDefinition, ElementDefinition};

/// A dictionary as it is written: elements and code lists, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Elements.
    pub elements: Vec<ElementDefinition>,
    /// Code lists with their codes and value maps.
    pub code_lists: Vec<CodeListDefinition>,
}

impl Definitions {
    /// Puts definitions in order.
    #[must_use]
    pub fn new(mut elements: Vec<ElementDefinition>, mut code_lists: Vec<CodeListDefinition>) -> Self {
        elements.sort_by(|a, b| a.id.cmp(&b.id));
        code_lists.sort_by(|a, b| a.id.cmp(&b.id));
        Self { elements, code_lists }
    }
}

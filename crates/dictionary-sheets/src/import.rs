//! From a workbook or CSV tables to definitions.

mod assemble;
mod csv_tables;
mod row;
mod sheets;
mod workbook;

use std::path::Path;

use ldop_definitions::reading::Problem;

pub(crate) use assemble::predecessors;

use crate::{
    Definitions,
    columns::Sheet,
    grid::{Grid, Notes},
};

/// Largest workbook or CSV table, bytes.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Most that the parts of a workbook may unpack to, bytes.
pub const MAX_UNPACKED_BYTES: u64 = 128 << 20;
/// Most text in the cells of a dictionary, bytes: a workbook may name one long text many times.
pub const MAX_TEXT_BYTES: usize = 64 << 20;
/// Most cells that are not empty.
pub const MAX_CELLS: usize = 2_000_000;

/// Reads a workbook. `file` is how problems name it.
///
/// Sheets that are hidden, and the guide, are not read. Of formulas the value counts that was kept with them.
///
/// # Errors
///
/// Everything that is wrong, by sheet, row and column.
pub fn workbook(file: &Path, bytes: &[u8]) -> Result<Definitions, Vec<Problem>> {
    let notes = Notes::default();
    let tables = workbook::read(file, bytes, &notes);
    finish(tables, file, notes)
}

/// Reads CSV tables: for each its name within `folder`, and its bytes. `folder` is how problems name it.
///
/// # Errors
///
/// Everything that is wrong, by file, line and column.
pub fn csv_tables<'t>(
    folder: &Path,
    tables: impl IntoIterator<Item = (Sheet, &'t [u8])>,
) -> Result<Definitions, Vec<Problem>> {
    let notes = Notes::default();
    let mut budget = Budget::default();
    let mut grids = Vec::new();
    for (position, (sheet, bytes)) in tables.into_iter().enumerate() {
        let file = folder.join(sheet.file());
        if let Some(grid) = csv_tables::read(&file, bytes, position, &mut budget, &notes) {
            grids.push((sheet, grid));
        }
    }
    finish(grids, folder, notes)
}

fn finish(tables: Vec<(Sheet, Grid)>, file: &Path, notes: Notes) -> Result<Definitions, Vec<Problem>> {
    if tables.is_empty() && notes.is_empty() {
        let known: Vec<_> = Sheet::ALL.iter().map(|sheet| format!("{:?} ({})", sheet.title(), sheet.file())).collect();
        notes.file(file, "holds no table of a dictionary", format!("at least one of {}", known.join(", ")));
    }
    let definitions = assemble::assemble(&tables, &notes);
    if notes.is_empty() { Ok(definitions) } else { Err(notes.into_sorted()) }
}

/// What may still be read.
#[derive(Debug)]
struct Budget {
    cells: usize,
    text: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cells: MAX_CELLS, text: MAX_TEXT_BYTES }
    }
}

impl Budget {
    /// Takes a cell with a text of so many bytes; `false` when there is no room for it.
    fn take(&mut self, bytes: usize) -> bool {
        match (self.cells.checked_sub(1), self.text.checked_sub(bytes)) {
            (Some(cells), Some(text)) => {
                (self.cells, self.text) = (cells, text);
                true
            }
            _ => false,
        }
    }

    /// What to say then.
    fn expected() -> String {
        format!("at most {MAX_CELLS} cells with {} MiB of text", MAX_TEXT_BYTES >> 20)
    }
}

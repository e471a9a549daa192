//! From definitions to a workbook or CSV tables. The same definitions give the same bytes.

use rust_xlsxwriter::{
    Color, DataValidation, DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet,
    XlsxError,
};

use crate::{
    Definitions, cell,
    columns::{self, CodeRow, Column, Field, Form, GUIDE, MapRow, Sheet},
    import::predecessors,
};

/// Why definitions cannot be put into a table.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A bound of workbooks, such as 32,767 characters in a cell.
    #[error("a workbook cannot hold {what}")]
    Workbook {
        /// Which part of the definitions.
        what: String,
        /// The cause.
        source: XlsxError,
    },
    /// A CSV table could not be put together.
    #[error("write a CSV table")]
    Csv(#[source] csv::Error),
}

/// Rows below the last one that still get the lists of words to choose from.
const ROWS_TO_COME: u32 = 1_000;
const LAST_ROW: u32 = 1_048_575;

/// A workbook of four tables and a guide.
///
/// # Errors
///
/// A text that is longer than a cell may be, more codes than a sheet has rows.
pub fn workbook(definitions: &Definitions) -> Result<Vec<u8>, ExportError> {
    let mut book = Workbook::new();
    let made = |source| ExportError::Workbook { what: "its properties".to_owned(), source };
    // Not the time of day: the same definitions give the same bytes.
    let created = ExcelDateTime::from_ymd(2026, 1, 1).map_err(made)?;
    book.set_properties(&DocProperties::new().set_title("Từ điển dữ liệu").set_creation_datetime(&created));
    let rows = Rows::new(definitions);
    sheet(book.add_worksheet(), Sheet::Elements, columns::elements(), rows.elements)?;
    sheet(book.add_worksheet(), Sheet::Lists, columns::lists(), rows.lists)?;
    sheet(book.add_worksheet(), Sheet::Codes, columns::codes(), rows.codes)?;
    sheet(book.add_worksheet(), Sheet::Maps, columns::maps(), rows.maps)?;
    guide(book.add_worksheet()).map_err(|source| ExportError::Workbook { what: "the guide".to_owned(), source })?;
    book.save_to_buffer().map_err(|source| ExportError::Workbook { what: "the dictionary".to_owned(), source })
}

/// CSV tables, each with the name of its file. UTF-8 with a byte order mark, by which spreadsheets know it.
///
/// # Errors
///
/// A table that could not be put together.
pub fn csv_tables(definitions: &Definitions) -> Result<Vec<(Sheet, Vec<u8>)>, ExportError> {
    let rows = Rows::new(definitions);
    Ok(vec![
        (Sheet::Elements, table(columns::elements(), rows.elements)?),
        (Sheet::Lists, table(columns::lists(), rows.lists)?),
        (Sheet::Codes, table(columns::codes(), rows.codes)?),
        (Sheet::Maps, table(columns::maps(), rows.maps)?),
    ])
}

/// The rows of each table.
struct Rows {
    elements: Vec<ldop_dictionary::ElementDefinition>,
    lists: Vec<ldop_dictionary::CodeListDefinition>,
    codes: Vec<CodeRow>,
    maps: Vec<MapRow>,
}

impl Rows {
    fn new(definitions: &Definitions) -> Self {
        let (mut codes, mut maps) = (Vec::new(), Vec::new());
        for list in &definitions.code_lists {
            for (code, before) in list.codes.iter().zip(predecessors(&list.codes)) {
                let predecessors = before.into_iter().map(ToOwned::to_owned).collect();
                codes.push(CodeRow { list: list.id.clone(), code: code.clone(), predecessors });
            }
            for map in &list.value_maps {
                maps.extend(map.pairs.iter().map(|pair| MapRow {
                    list: list.id.clone(),
                    to: map.to.clone(),
                    source: map.source.clone(),
                    from_code: pair.from.clone(),
                    to_code: pair.to.clone(),
                }));
            }
        }
        Self { elements: definitions.elements.clone(), lists: definitions.code_lists.clone(), codes, maps }
    }
}

/// What a cell holds; empty: nothing.
fn shown<R>(column: &Column<R>, row: &mut R) -> String {
    match &column.field {
        Field::Text(field) => field(row).clone(),
        Field::Count(field) => field(row).map_or_else(String::new, |number| number.to_string()),
        Field::Flag(field) if *field(row) => "true".to_owned(),
        Field::Flag(_) => String::new(),
        Field::Texts(field) => cell::join(field(row).iter().map(String::as_str), column.form != Form::Free),
        Field::Pairs(field, between) => {
            let pairs: Vec<String> = field(row).iter().map(|(name, value)| format!("{name}{between}{value}")).collect();
            cell::join(pairs.iter().map(String::as_str), false)
        }
    }
}

fn table<R>(columns: &[Column<R>], rows: Vec<R>) -> Result<Vec<u8>, ExportError> {
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    writer.write_record(columns.iter().map(Column::header)).map_err(ExportError::Csv)?;
    for mut row in rows {
        let cells = columns.iter().map(|column| match (shown(column, &mut row), column.form) {
            (text, Form::Decimal) => text,
            (text, _) => cell::guard(text),
        });
        writer.write_record(cells.collect::<Vec<_>>()).map_err(ExportError::Csv)?;
    }
    writer.flush().map_err(|error| ExportError::Csv(error.into()))?;
    drop(writer);
    Ok(bytes)
}

pub(crate) fn header_format() -> Format {
    Format::new()
        .set_bold()
        .set_background_color(Color::RGB(0x00D9_E7F5))
        .set_border(FormatBorder::Thin)
        .set_align(FormatAlign::Top)
        .set_text_wrap()
}

/// Cells as text, so that no leading zero is ever lost.
pub(crate) fn text_format() -> Format {
    Format::new().set_num_format("@").set_align(FormatAlign::Top).set_text_wrap()
}

fn sheet<R>(page: &mut Worksheet, sheet: Sheet, columns: &[Column<R>], rows: Vec<R>) -> Result<(), ExportError> {
    let failed = |what: String| move |source| ExportError::Workbook { what, source };
    let outline = || failed(format!("the sheet {:?}", sheet.title()));
    let (header, text) = (header_format(), text_format());
    page.set_name(sheet.title()).map_err(outline())?;
    page.set_freeze_panes(1, 2).map_err(outline())?;
    let height = u32::try_from(rows.len()).unwrap_or(LAST_ROW);
    for (at, column) in (0u16..).zip(columns) {
        page.set_column_width(at, width(column)).map_err(outline())?;
        page.set_column_format(at, &text).map_err(outline())?;
        page.write_string_with_format(0, at, column.header(), &header).map_err(outline())?;
        if let Some(words) = column.closed() {
            let choice = DataValidation::new().allow_list_strings(words).map_err(outline())?;
            let last = height.saturating_add(ROWS_TO_COME).min(LAST_ROW);
            page.add_data_validation(1, at, last, at, &choice).map_err(outline())?;
        }
    }
    let last = u16::try_from(columns.len().saturating_sub(1)).unwrap_or_default();
    page.autofilter(0, 0, height.max(1), last).map_err(outline())?;
    for (number, mut row) in (1u32..).zip(rows) {
        for (at, column) in (0u16..).zip(columns) {
            let failed = || failed(format!("{} of row {} of {:?}", column.about.key, number + 1, sheet.title()));
            if let Field::Count(field) = &column.field {
                if let Some(count) = *field(&mut row) {
                    page.write_number_with_format(number, at, count, &text).map_err(failed())?;
                }
                continue;
            }
            let shown = shown(column, &mut row);
            if !shown.is_empty() {
                page.write_string_with_format(number, at, shown, &text).map_err(failed())?;
            }
        }
    }
    Ok(())
}

/// Width in characters.
fn width<R>(column: &Column<R>) -> f64 {
    match (&column.field, column.form) {
        (Field::Count(_) | Field::Flag(_), _) => 11.0,
        (_, Form::Day | Form::Decimal) => 14.0,
        (_, Form::Code | Form::Word(_)) => 24.0,
        (Field::Texts(_) | Field::Pairs(..), Form::Free) => 30.0,
        (Field::Text(_), Form::Free) => 36.0,
    }
}

/// The sheet that explains the others.
fn guide(page: &mut Worksheet) -> Result<(), XlsxError> {
    let (header, text) = (header_format(), text_format());
    page.set_name(GUIDE)?;
    page.set_freeze_panes(1, 0)?;
    let titles = ["Trang", "Cột", "Khóa (key)", "Bắt buộc", "Giá trị cho phép", "Ý nghĩa", "Meaning"];
    for (at, (title, width)) in (0u16..).zip(titles.into_iter().zip([14.0, 28.0, 24.0, 10.0, 40.0, 60.0, 60.0])) {
        page.set_column_width(at, width)?;
        page.write_string_with_format(0, at, title, &header)?;
    }
    let mut row = 1;
    guide_rows(page, &mut row, Sheet::Elements, columns::elements(), &text)?;
    guide_rows(page, &mut row, Sheet::Lists, columns::lists(), &text)?;
    guide_rows(page, &mut row, Sheet::Codes, columns::codes(), &text)?;
    guide_rows(page, &mut row, Sheet::Maps, columns::maps(), &text)
}

fn guide_rows<R>(
    page: &mut Worksheet,
    row: &mut u32,
    sheet: Sheet,
    columns: &[Column<R>],
    text: &Format,
) -> Result<(), XlsxError> {
    for column in columns {
        let words = column.words().map(|words| words.join("\n")).unwrap_or_default();
        let needed = if column.needed { "có" } else { "" };
        let about = column.about;
        for (at, cell) in (0u16..).zip([sheet.title(), about.title, about.key, needed, &words, about.vi, about.en]) {
            page.write_string_with_format(*row, at, cell, text)?;
        }
        *row += 1;
    }
    Ok(())
}

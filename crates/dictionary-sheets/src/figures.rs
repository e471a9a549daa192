//! The figures of a report: a workbook with a sheet of totals and one of rows, or the rows as a CSV table.
//!
//! Numbers are numbers and days are days, so that a spreadsheet can add and sort them. The same figures give the same bytes.

use ldop_types::{Date, TimestampMs};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};

use crate::{
    cell,
    export::{ExportError, header_format, text_format},
};

/// Title of the sheet of totals.
pub const TOTALS: &str = "Tổng hợp";
/// Title of the sheet of rows.
pub const ROWS: &str = "Số liệu";
/// The greatest number a cell holds exactly, and one more.
const EXACT: u64 = 1 << 53;
const UTC_PLUS_7_MS: i64 = 7 * 3_600_000;
const DAY_MS: i64 = 86_400_000;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A text; empty: nothing.
    Text(String),
    /// A number.
    Number(u64),
    /// A day.
    Day(Date),
    /// A moment, shown in Việt Nam's time.
    Moment(TimestampMs),
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// What it is: the name of the workbook.
    pub title: String,
    /// What it is of, line by line: period, hub, totals.
    pub facts: Vec<(String, Cell)>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// A cell for each column.
    pub rows: Vec<Vec<Cell>>,
}

/// A workbook of totals and rows.
///
/// # Errors
///
/// A text that is longer than a cell may be, more rows than a sheet has.
pub fn workbook(figures: &Figures, made: TimestampMs) -> Result<Vec<u8>, ExportError> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| ExportError::Workbook { what, source }
    };
    let mut book = Workbook::new();
    let created = moment(made).map_err(failed("its properties"))?;
    book.set_properties(&DocProperties::new().set_title(&figures.title).set_creation_datetime(&created));
    totals(book.add_worksheet(), figures).map_err(failed("the totals"))?;
    rows(book.add_worksheet(), figures).map_err(failed("the rows"))?;
    book.save_to_buffer().map_err(failed("the report"))
}

/// The rows as a CSV table. UTF-8 with a byte order mark, by which spreadsheets know it.
///
/// # Errors
///
/// The table could not be put together.
pub fn csv_table(figures: &Figures) -> Result<Vec<u8>, ExportError> {
    let mut bytes = "\u{feff}".as_bytes().to_vec();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    writer.write_record(&figures.columns).map_err(ExportError::Csv)?;
    for row in &figures.rows {
        let cells = row.iter().map(|held| match held {
            Cell::Text(text) => cell::guard(text.clone()),
            Cell::Number(number) => number.to_string(),
            Cell::Day(day) => day.to_string(),
            Cell::Moment(time) => local(*time),
        });
        writer.write_record(cells.collect::<Vec<_>>()).map_err(ExportError::Csv)?;
    }
    writer.flush().map_err(|error| ExportError::Csv(error.into()))?;
    drop(writer);
    Ok(bytes)
}

/// How cells are shown.
struct Formats {
    header: Format,
    text: Format,
    number: Format,
    day: Format,
    moment: Format,
}

impl Formats {
    fn new() -> Self {
        let shown = |form: &str| Format::new().set_num_format(form).set_align(FormatAlign::Top);
        Self {
            header: header_format(),
            text: text_format(),
            number: shown("#,##0"),
            day: shown("yyyy-mm-dd"),
            moment: shown("yyyy-mm-dd hh:mm:ss"),
        }
    }

    fn write(&self, page: &mut Worksheet, row: u32, column: u16, held: &Cell) -> Result<(), XlsxError> {
        match held {
            Cell::Text(text) if text.is_empty() => {}
            Cell::Text(text) => {
                page.write_string_with_format(row, column, text, &self.text)?;
            }
            Cell::Number(number) if *number < EXACT => {
                #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
                page.write_number_with_format(row, column, *number as f64, &self.number)?;
            }
            Cell::Number(number) => {
                page.write_string_with_format(row, column, number.to_string(), &self.text)?;
            }
            Cell::Day(date) => {
                page.write_datetime_with_format(row, column, &day(*date)?, &self.day)?;
            }
            Cell::Moment(time) => {
                page.write_datetime_with_format(row, column, &moment(*time)?, &self.moment)?;
            }
        }
        Ok(())
    }
}

fn totals(page: &mut Worksheet, figures: &Figures) -> Result<(), XlsxError> {
    let formats = Formats::new();
    page.set_name(TOTALS)?;
    page.set_column_width(0, 44)?;
    page.set_column_width(1, 40)?;
    page.write_string_with_format(0, 0, &figures.title, &formats.header)?;
    page.write_string_with_format(0, 1, "", &formats.header)?;
    page.set_freeze_panes(1, 0)?;
    for (row, (name, held)) in (1u32..).zip(&figures.facts) {
        page.write_string_with_format(row, 0, name, &formats.text)?;
        formats.write(page, row, 1, held)?;
    }
    Ok(())
}

fn rows(page: &mut Worksheet, figures: &Figures) -> Result<(), XlsxError> {
    let formats = Formats::new();
    page.set_name(ROWS)?;
    page.set_freeze_panes(1, 0)?;
    // On paper; `&` begins a command there.
    page.set_header(format!("&L{}", figures.title.replace('&', "&&")));
    for (column, name) in (0u16..).zip(&figures.columns) {
        page.set_column_width(column, 24)?;
        page.write_string_with_format(0, column, name, &formats.header)?;
    }
    for (row, cells) in (1u32..).zip(&figures.rows) {
        for (column, held) in (0u16..).zip(cells) {
            formats.write(page, row, column, held)?;
        }
    }
    let height = u32::try_from(figures.rows.len()).unwrap_or(u32::MAX);
    let last = u16::try_from(figures.columns.len().saturating_sub(1)).unwrap_or_default();
    page.autofilter(0, 0, height.max(1), last)?;
    Ok(())
}

fn day(date: Date) -> Result<ExcelDateTime, XlsxError> {
    let (year, month, day) = date.ymd();
    let small = |number: i32| u8::try_from(number).unwrap_or_default();
    ExcelDateTime::from_ymd(u16::try_from(year).unwrap_or_default(), small(month), small(day))
}

/// Hours, minutes and seconds of a moment in Việt Nam.
fn clock(time: TimestampMs) -> (u16, u8, u8) {
    let seconds = time.0.saturating_add(UTC_PLUS_7_MS).rem_euclid(DAY_MS) / 1_000;
    let small = |number: i64| u8::try_from(number).unwrap_or_default();
    (u16::from(small(seconds / 3_600)), small(seconds / 60 % 60), small(seconds % 60))
}

fn moment(time: TimestampMs) -> Result<ExcelDateTime, XlsxError> {
    let (hours, minutes, seconds) = clock(time);
    day(time.date_in_vietnam())?.and_hms(hours, minutes, f64::from(seconds))
}

fn local(time: TimestampMs) -> String {
    let (hours, minutes, seconds) = clock(time);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}+07:00", time.date_in_vietnam())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};

    use super::*;

    fn figures() -> Figures {
        Figures {
            title: "Báo cáo & số liệu".into(),
            // 2026-03-01 00:00 in Việt Nam.
            facts: vec![
                ("Từ".into(), Cell::Moment(TimestampMs(1_772_298_000_000))),
                ("Trung tâm".into(), Cell::Text("ba726b95".into())),
                ("Lượt".into(), Cell::Number(12_345)),
            ],
            columns: vec!["Kỳ".into(), "Bộ dữ liệu".into(), "Bản ghi".into()],
            rows: vec![
                vec![
                    Cell::Day(Date::from_ymd(2026, 3, 1).expect("a day")),
                    Cell::Text("communes".into()),
                    Cell::Number(7),
                ],
                vec![Cell::Day(Date(0)), Cell::Text("=1+1".into()), Cell::Number(EXACT + 1)],
            ],
        }
    }

    #[test]
    fn numbers_are_numbers_and_days_are_days() {
        let bytes = workbook(&figures(), TimestampMs(0)).expect("made");
        assert_eq!(bytes, workbook(&figures(), TimestampMs(0)).expect("made"), "the same bytes");
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).expect("a workbook");
        assert_eq!(book.sheet_names(), [TOTALS, ROWS]);
        let totals = book.worksheet_range(TOTALS).expect("there");
        assert_eq!(totals.get_value((0, 0)), Some(&Data::String("Báo cáo & số liệu".into())));
        let Some(Data::DateTime(from)) = totals.get_value((1, 1)) else { panic!("a moment") };
        assert_eq!(from.as_f64(), 46_082.0, "2026-03-01 00:00");
        assert_eq!(totals.get_value((3, 1)), Some(&Data::Float(12_345.0)));
        let rows = book.worksheet_range(ROWS).expect("there");
        assert_eq!(rows.get_value((0, 1)), Some(&Data::String("Bộ dữ liệu".into())));
        assert!(matches!(rows.get_value((1, 0)), Some(Data::DateTime(day)) if day.as_f64() == 46_082.0));
        assert_eq!(rows.get_value((1, 2)), Some(&Data::Float(7.0)));
        assert_eq!(rows.get_value((2, 1)), Some(&Data::String("=1+1".into())), "no formula");
        assert_eq!(rows.get_value((2, 2)), Some(&Data::String((EXACT + 1).to_string())), "not rounded");
    }

    #[test]
    fn a_csv_table_holds_the_rows() {
        let text = String::from_utf8(csv_table(&figures()).expect("made")).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["\u{feff}Kỳ,Bộ dữ liệu,Bản ghi", "2026-03-01,communes,7"]);
        assert!(!lines[2].contains(",=1+1,"), "{}", lines[2]);
    }
}

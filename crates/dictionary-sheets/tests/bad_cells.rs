//! Every bad cell is told at once, by sheet, row and column; hostile files meet bounds.

use std::{
    io::{Cursor, Write},
    path::Path,
};

use ldop_dictionary_sheets::{columns::Sheet, import};
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook, Worksheet};
use zip::{ZipWriter, write::SimpleFileOptions};

fn problems(mut book: Workbook) -> Vec<String> {
    told(&book.save_to_buffer().expect("a workbook"))
}

fn told(bytes: &[u8]) -> Vec<String> {
    let problems = import::workbook(Path::new("tu-dien.xlsx"), bytes).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

fn sheet<'b>(book: &'b mut Workbook, name: &str, rows: &[&[&str]]) -> &'b mut Worksheet {
    let sheet = book.add_worksheet();
    sheet.set_name(name).expect("a name");
    for (row, cells) in (0u32..).zip(rows) {
        for (column, cell) in (0u16..).zip(*cells) {
            if !cell.is_empty() {
                sheet.write_string(row, column, *cell).expect("written");
            }
        }
    }
    sheet
}

const ELEMENTS: &[&str] =
    &["id", "name_vi", "type", "sensitivity", "Độ dài nhỏ nhất", "Độ dài lớn nhất (max_length)", "effective_from"];

#[test]
fn every_bad_cell_is_told_with_its_place() {
    let mut book = Workbook::new();
    sheet(
        &mut book,
        "Phần tử",
        &[
            ELEMENTS,
            &["a.one", "Một", "string", "none", "1", "ba mươi", "2025-13-01"],
            &[],
            &["a.one", "Hai", "strnig", "nonee", "-1", "2.5", "01/07/2025"],
            &["A B", "", "", "none"],
            &["a.four", "Bốn", "integer", "none", "3", "2"],
            &["a.five", "Năm", "STRING", "None", "9", "2", "", "lạc"],
        ],
    );
    let expected = [
        r#"tu-dien.xlsx: sheet "Phần tử" row 2 column F (max_length): "ba mươi" stands here; expected a whole number from 0"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 2 column G (effective_from): "2025-13-01" stands here; expected a day as YYYY-MM-DD, or a date cell"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column A (id): "a.one" stands in row 2 already; expected an id of its own"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column C (type): "strnig" stands here; expected one of "string", "integer", "number", "boolean", "object", "array"; did you mean "string"?"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column D (sensitivity): "nonee" stands here; expected one of "none", "basic_personal", "sensitive_personal"; did you mean "none"?"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column E (min_length): "-1" stands here; expected a whole number from 0"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column F (max_length): "2.5" stands here; expected a whole number from 0"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 4 column G (effective_from): "01/07/2025" stands here; expected a day as YYYY-MM-DD; did you mean "2025-07-01"?"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 5 column A (id): not an element id; expected 1-100 chars of a-z, 0-9 and inner '.', '_', '-'"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 5 column B (name_vi): the cell is empty; expected Vietnamese name, 1-300 characters"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 5 column C (type): none of the permitted words; expected one of string, integer, number, boolean, object, array"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 6 column E (min_length): for strings only; expected empty, or type = "string""#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 6 column F (max_length): less than min_length; expected a length not less than min_length"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 7 column F (max_length): less than min_length; expected a length not less than min_length"#,
        r#"tu-dien.xlsx: sheet "Phần tử" row 7 column H: "lạc" stands here under no header; expected an empty cell, or a header above it"#,
    ];
    assert_eq!(problems(book), expected);
}

#[test]
fn headers_and_sheets_that_are_not_known_are_refused_with_a_suggestion() {
    let mut book = Workbook::new();
    sheet(&mut book, "Phần từ", &[&["id"]]);
    sheet(&mut book, "Ghi chú", &[&["gì cũng được"]]);
    sheet(&mut book, "Danh mục", &[&["Mã danh mục (id)", "name_v", "Nguồn", "source", "xyz"]]);
    sheet(&mut book, "code_lists", &[&["id"]]);
    sheet(&mut book, "Nháp", &[&["không đọc"]]).set_hidden(true);
    sheet(&mut book, "Mã", &[]);
    let problems = problems(book);
    let expected = [
        r#"tu-dien.xlsx: sheet "Phần từ": unknown sheet; expected a known sheet; did you mean "Phần tử"?"#,
        r#"tu-dien.xlsx: sheet "Danh mục" row 1 (name_vi): the column is missing; expected a header "Tên (name_vi)""#,
        r#"tu-dien.xlsx: sheet "Danh mục" row 1 column B: unknown column: "name_v" stands here; expected a known column; did you mean "name_vi"?"#,
        r#"tu-dien.xlsx: sheet "Danh mục" row 1 column D (source): the column stands twice; expected it once"#,
        r#"tu-dien.xlsx: sheet "Danh mục" row 1 column E: unknown column: "xyz" stands here; expected one of id, name_vi, name_en, source"#,
        r#"tu-dien.xlsx: sheet "code_lists": the table "Danh mục" stands in another sheet already; expected it once"#,
    ];
    for line in expected {
        assert!(problems.iter().any(|problem| problem == line), "{line}\nnot among\n{}", problems.join("\n"));
    }
    assert!(problems.iter().any(|p| p.contains(r#"sheet "Ghi chú": unknown sheet"#) && p.contains("hide a sheet")));
    assert!(problems.iter().any(|p| p.contains(r#"sheet "Mã": the table is empty"#)));
    assert!(!problems.iter().any(|p| p.contains("Nháp")), "hidden sheets are not read");
}

#[test]
fn numbers_dates_formulas_and_merged_cells_are_taken_or_told() {
    let mut book = Workbook::new();
    sheet(&mut book, "Danh mục", &[&["id", "name_vi"], &["communes", "Xã, phường"]]);
    let date = Format::new().set_num_format("dd/mm/yyyy");
    let codes = sheet(
        &mut book,
        "Mã",
        &[
            &["code_list", "code", "label_vi", "valid_from", "successors"],
            &["communes", "", "Một"],
            &["communes", "02", "Hai"],
            &["communes", "03", "Ba"],
            &["commune", "04", "Bốn", "", "02;99"],
            &["communes", "05", "Năm", "", "02;99"],
        ],
    );
    codes.write_number(1, 1, 1).expect("written");
    codes.write_with_format(2, 3, ExcelDateTime::from_ymd(2025, 7, 1).expect("a day"), &date).expect("written");
    codes
        .write_with_format(3, 3, ExcelDateTime::parse_from_str("2025-07-01T08:30:00").expect("a time"), &date)
        .expect("written");
    codes.write_formula(4, 3, Formula::new("1/0").set_result("#DIV/0!")).expect("written");
    codes.merge_range(6, 0, 8, 0, "communes", &Format::new()).expect("merged");
    let expected = [
        r#"tu-dien.xlsx: sheet "Mã" row 2 column B (code): the number 1 stands here; expected text: as a number it may have lost leading zeros; format the column as text and enter it again"#,
        r#"tu-dien.xlsx: sheet "Mã" row 4 column D (valid_from): a date with a time of day stands here; expected a day as YYYY-MM-DD, or a date cell"#,
        r##"tu-dien.xlsx: sheet "Mã" row 5 column A (code_list): "commune" stands here; expected the id of a list of the sheet "Danh mục"; did you mean "communes"?"##,
        r#"tu-dien.xlsx: sheet "Mã" row 6 column E (successors): the list does not have the successor 99; expected a code of the same list"#,
        r#"tu-dien.xlsx: sheet "Mã" row 7 column A: the cell is merged with those up to A9; expected one value in each cell: unmerge them"#,
    ];
    let problems = problems(book);
    for line in expected {
        assert!(problems.iter().any(|problem| problem == line), "{line}\nnot among\n{}", problems.join("\n"));
    }
    assert!(problems.iter().any(|p| p.contains("row 5 column D")), "{problems:?}");
    assert!(!problems.iter().any(|p| p.contains("row 3 ")), "a date cell is a day: {problems:?}");
}

#[test]
fn what_spreadsheets_do_to_values_is_undone() {
    let mut book = Workbook::new();
    // "Tên" decomposed, blanks at the ends, a number stored as text and one stored as number.
    let page = sheet(&mut book, "PHẦN TỬ", &[ELEMENTS, &["a.one", " Te\u{302}n\r\n", "String", "none", "07"]]);
    page.write_number(1, 5, 30.0).expect("written");
    page.write_formula(1, 6, Formula::new("TEXT(TODAY(),\"yyyy\")").set_result("2025-07-01")).expect("written");
    let bytes = book.save_to_buffer().expect("a workbook");
    let read = import::workbook(Path::new("x.xlsx"), &bytes).unwrap_or_else(|problems| panic!("{problems:?}"));
    let element = &read.elements[0];
    assert_eq!((&*element.name_vi, &*element.value_type), ("Tên", "string"));
    assert_eq!((element.min_length, element.max_length), (Some(7), Some(30)));
    assert_eq!(element.effective_from, "2025-07-01");
}

#[test]
fn csv_tables_are_told_by_line_and_column() {
    let elements =
        "\u{feff}id;name_vi;type;sensitivity;max_length\na.one;Một;string;none;nhiều\na.two;Hai;string;none;'=1\n";
    let tables = [(Sheet::Elements, elements.as_bytes()), (Sheet::Lists, b"id,name_vi\nx,\xff\n".as_slice())];
    let problems = import::csv_tables(Path::new("bang"), tables).expect_err("wrong");
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            r#"bang/elements.csv:2: max_length (column 5): "nhiều" stands here; expected a whole number from 0"#,
            r#"bang/elements.csv:3: max_length (column 5): "=1" stands here; expected a whole number from 0"#,
            r#"bang/code_lists.csv:2: not UTF-8; expected text in UTF-8: in the spreadsheet, save as "CSV UTF-8""#,
        ]
    );
}

#[test]
fn predecessors_are_computed_and_may_not_be_otherwise() {
    let lists = b"id,name_vi\nx,X\n".as_slice();
    let good = "code_list,code,label_vi,valid_to,successors,predecessors\nx,1,a,2025-06-30,2,\nx,2,b,,,1\n";
    let bad = good.replace(",,,1", ",,,7");
    let read =
        |codes: &str| import::csv_tables(Path::new("bang"), [(Sheet::Lists, lists), (Sheet::Codes, codes.as_bytes())]);
    assert!(read(good).is_ok());
    let problems = read(&bad).expect_err("wrong");
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].to_string().starts_with(
            r#"bang/codes.csv:3: predecessors (column 6): "7" stands here; expected "1" or an empty cell"#
        )
    );
}

#[test]
fn a_file_that_is_no_workbook_is_refused() {
    for bytes in [b"".as_slice(), b"PK\x03\x04", b"id,name_vi\n", &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]] {
        let told = told(bytes);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("tu-dien.xlsx: not a workbook"), "{told:?}");
    }
    let told = told(&zip(&[("readme.txt", b"no sheets")]));
    assert!(told.len() == 1 && told[0].contains("cannot be read as a workbook"), "{told:?}");
}

#[test]
fn a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read() {
    let zeros = vec![b' '; 80 << 20];
    let told = told(&zip(&[("xl/workbook.xml", &zeros), ("xl/sharedStrings.xml", &zeros)]));
    assert!(told.len() == 1 && told[0].contains("unpacks to more than 128 MiB"), "{told:?}");
}

#[test]
fn a_long_text_named_by_many_cells_is_counted_each_time() {
    let mut book = Workbook::new();
    let page = sheet(&mut book, "Phần tử", &[ELEMENTS]);
    let long = "dài".repeat(8_000);
    for row in 1..4_000 {
        page.write_string(row, 1, &long).expect("written");
    }
    let told = problems(book);
    assert!(told.iter().any(|p| p.contains("the workbook is too large from here on")), "{told:?}");
}

#[test]
fn a_cell_in_the_last_row_costs_no_more_than_one_in_the_first() {
    let mut book = Workbook::new();
    let page = sheet(&mut book, "Phần tử", &[ELEMENTS]);
    page.write_string(1_048_575, 16_383, "xa").expect("written");
    let told = problems(book);
    assert!(told.iter().any(|problem| problem.contains("row 1048576 column XFD")), "{told:?}");
}

#[test]
fn not_every_problem_of_a_ruined_table_is_told() {
    let mut book = Workbook::new();
    let page = sheet(&mut book, "Phần tử", &[ELEMENTS]);
    for row in 1..2_000 {
        page.write_string(row, 2, "x").expect("written");
    }
    let told = problems(book);
    assert_eq!(told.len(), 1_001);
    assert!(told[1_000].contains("more problems are not shown"), "{}", told[1_000]);
}

fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        writer.start_file(*name, SimpleFileOptions::default()).expect("begun");
        writer.write_all(bytes).expect("written");
    }
    writer.finish().expect("ended").into_inner()
}

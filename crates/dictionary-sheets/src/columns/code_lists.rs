//! Columns of code lists, codes and value maps.

use std::sync::LazyLock;

use ldop_dictionary::{CodeDefinition, CodeListDefinition};

use super::{Column, Columns, Field, Form};

/// A row of the codes of all lists.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeRow {
    pub list: String,
    pub code: CodeDefinition,
    /// Codes that name this one as successor: computed, for whoever reads.
    pub predecessors: Vec<String>,
}

/// A row of the pairs of all value maps.
#[derive(Debug, Clone, Default)]
pub(crate) struct MapRow {
    pub list: String,
    pub to: String,
    pub source: String,
    pub from_code: String,
    pub to_code: String,
}

const OF_LIST: (&str, &str) = ("Mã của một danh mục ở trang Danh mục", "Id of a list of the sheet Danh mục");
const LABEL_VI: (&str, &str) = ("Nhãn tiếng Việt, 1-500 ký tự", "Vietnamese label, 1-500 characters");

pub(crate) fn lists() -> &'static [Column<CodeListDefinition>] {
    static COLUMNS: Columns<CodeListDefinition> = LazyLock::new(|| {
        let id = ("1-100 ký tự a-z 0-9 . _ -", "1-100 of a-z 0-9 . _ -");
        let name = ("Tên tiếng Việt, 1-300 ký tự", "Vietnamese name, 1-300 characters");
        let source = ("Văn bản hoặc danh mục gốc, có vị trí", "Law or list, with place");
        vec![
            Column::new("id", "Mã danh mục", id, Field::Text(|l: &mut CodeListDefinition| &mut l.id))
                .form(Form::Code)
                .needed(),
            Column::new("name_vi", "Tên", name, Field::Text(|l: &mut CodeListDefinition| &mut l.name_vi)).needed(),
            Column::new(
                "name_en",
                "Tên tiếng Anh",
                ("Tối đa 300 ký tự", "English name"),
                Field::Text(|l| &mut l.name_en),
            ),
            Column::new("source", "Nguồn", source, Field::Text(|l| &mut l.source)),
        ]
    });
    &COLUMNS
}

pub(crate) fn codes() -> &'static [Column<CodeRow>] {
    static COLUMNS: Columns<CodeRow> = LazyLock::new(|| {
        let code = ("Kiểu văn bản, giữ số 0 ở đầu", "Text, leading zeros kept");
        let from = ("Ngày đầu có hiệu lực; để trống là từ trước đến nay", "First day; empty means always was");
        let to = ("Ngày cuối còn hiệu lực; để trống là còn hiệu lực", "Last day; empty means still is");
        let parent = ("Mã cấp trên, cùng danh mục", "Code of the same list it is a part of");
        let successors = ("Mã thay thế, mỗi dòng một mã", "Codes that take its place, one on each line");
        let before =
            ("Mã trước đó; được tính ra, có thể để trống", "Codes it takes the place of: computed, may be left empty");
        vec![
            Column::new("code_list", "Mã danh mục", OF_LIST, Field::Text(|r: &mut CodeRow| &mut r.list))
                .form(Form::Code)
                .needed(),
            Column::new("code", "Mã", code, Field::Text(|r: &mut CodeRow| &mut r.code.code)).form(Form::Code).needed(),
            Column::new("label_vi", "Nhãn", LABEL_VI, Field::Text(|r: &mut CodeRow| &mut r.code.label_vi)).needed(),
            Column::new(
                "label_en",
                "Nhãn tiếng Anh",
                ("Tối đa 500 ký tự", "English label"),
                Field::Text(|r| &mut r.code.label_en),
            ),
            Column::new("valid_from", "Hiệu lực từ", from, Field::Text(|r: &mut CodeRow| &mut r.code.valid_from))
                .form(Form::Day),
            Column::new("valid_to", "Hiệu lực đến", to, Field::Text(|r: &mut CodeRow| &mut r.code.valid_to))
                .form(Form::Day),
            Column::new("parent", "Mã cấp trên", parent, Field::Text(|r: &mut CodeRow| &mut r.code.parent))
                .form(Form::Code),
            Column::new(
                "successors",
                "Mã thay thế",
                successors,
                Field::Texts(|r: &mut CodeRow| &mut r.code.successors),
            )
            .form(Form::Code),
            Column::new("predecessors", "Mã trước đó", before, Field::Texts(|r: &mut CodeRow| &mut r.predecessors))
                .form(Form::Code),
        ]
    });
    &COLUMNS
}

pub(crate) fn maps() -> &'static [Column<MapRow>] {
    static COLUMNS: Columns<MapRow> = LazyLock::new(|| {
        let to = ("Mã danh mục đích", "Id of the other code list");
        let source = (
            "Nguồn của bảng chuyển đổi; giống nhau ở mọi dòng của bảng",
            "Source of the map; the same on all its rows",
        );
        let from_code = ("Mã của danh mục này", "A code of this list");
        let to_code = ("Mã của danh mục đích", "A code of the other list");
        vec![
            Column::new("code_list", "Mã danh mục", OF_LIST, Field::Text(|r: &mut MapRow| &mut r.list))
                .form(Form::Code)
                .needed(),
            Column::new("to", "Danh mục đích", to, Field::Text(|r: &mut MapRow| &mut r.to)).form(Form::Code).needed(),
            Column::new("from_code", "Từ mã", from_code, Field::Text(|r: &mut MapRow| &mut r.from_code))
                .form(Form::Code)
                .needed(),
            Column::new("to_code", "Sang mã", to_code, Field::Text(|r: &mut MapRow| &mut r.to_code))
                .form(Form::Code)
                .needed(),
            Column::new("source", "Nguồn", source, Field::Text(|r: &mut MapRow| &mut r.source)),
        ]
    });
    &COLUMNS
}

//! Columns of elements: one for each attribute.

use std::sync::LazyLock;

use ldop_dictionary::{
    ElementDefinition, ElementStatus, IdentifierRule, NormalisationCheck, NormalisationStep, ValueFormat, ValueType,
};
use ldop_types::Sensitivity;

use super::{Column, Columns, Field, Form};

const SENSITIVITIES: &[&str] =
    &[Sensitivity::None.as_str(), Sensitivity::BasicPersonal.as_str(), Sensitivity::SensitivePersonal.as_str()];

/// The columns, in their order.
pub(crate) fn elements() -> &'static [Column<ElementDefinition>] {
    static COLUMNS: Columns<ElementDefinition> = LazyLock::new(|| {
        let mut columns = business();
        columns.extend(technical());
        columns
    });
    &COLUMNS
}

macro_rules! column {
    ($key:literal $title:literal, $vi:literal, $en:literal, $kind:ident $field:ident $(, $separator:literal)?) => {
        Column::new($key, $title, ($vi, $en), Field::$kind(|e: &mut ElementDefinition| &mut e.$field $(, $separator)?))
    };
}

fn business() -> Vec<Column<ElementDefinition>> {
    vec![
        column!("id" "Mã phần tử", "1-100 ký tự a-z 0-9 . _ -; không bao giờ đổi", "1-100 of a-z 0-9 . _ -; never changes", Text id)
            .form(Form::Code)
            .needed(),
        column!("name_vi" "Tên", "Tên tiếng Việt, 1-300 ký tự", "Vietnamese name, 1-300 characters", Text name_vi).needed(),
        column!("name_en" "Tên tiếng Anh", "Tối đa 300 ký tự", "English name, at most 300 characters", Text name_en),
        column!("definition_vi" "Định nghĩa", "Tối đa 4.000 ký tự", "Vietnamese definition, at most 4,000 characters", Text definition_vi),
        column!("definition_en" "Định nghĩa tiếng Anh", "Tối đa 4.000 ký tự", "English definition, at most 4,000 characters", Text definition_en),
        column!("domain" "Miền dữ liệu", "Mã của danh mục dictionary-domains", "A code of the code list dictionary-domains", Text domain)
            .form(Form::Code),
        column!("group" "Nhóm", "Nhóm trường thông tin", "Group of fields", Text group),
        column!("entity" "Thực thể", "Thực thể được mô tả, như Person", "Entity described, such as Person", Text entity),
        column!("derives_from" "Kế thừa từ", "Mã phần tử cấp trên; những gì để trống thì kế thừa", "Id of the parent element; what is left empty is inherited", Text derives_from)
            .form(Form::Code),
        column!("status" "Trạng thái", "Bước trong vòng đời; để trống là registered", "Step of the life cycle; empty means registered", Text status)
            .form(Form::Word(ElementStatus::WORDS)),
        column!("effective_from" "Áp dụng từ ngày", "YYYY-MM-DD hoặc ô kiểu ngày; để trống là mọi ngày", "YYYY-MM-DD or a date cell; empty means all days", Text effective_from)
            .form(Form::Day),
        column!("sensitivity" "Độ nhạy cảm", "Loại dữ liệu cá nhân; bắt buộc trừ khi kế thừa", "How personal; needed unless inherited", Text sensitivity)
            .form(Form::Word(SENSITIVITIES)),
        column!("owning_unit" "Đơn vị chủ quản", "Chịu trách nhiệm về định nghĩa", "Unit that answers for the definition", Text owning_unit),
        column!("creating_unit" "Đơn vị lập", "Đơn vị lập định nghĩa", "Unit that made the definition", Text creating_unit),
        column!("legal_basis" "Căn cứ pháp lý", "Văn bản, điều khoản", "Law, with article", Text legal_basis),
        column!("source" "Nguồn", "Văn bản, tiêu chuẩn hoặc danh mục, có vị trí", "Law, standard or list, with place", Text source),
        column!("unconfirmed" "Chưa kiểm chứng", "true khi chưa đọc được nguồn gốc", "True where no readable primary source was found", Flag unconfirmed),
        column!("usage_vi" "Phạm vi sử dụng", "Dùng ở đâu, để làm gì", "Where and for what it is used, Vietnamese", Text usage_vi),
        column!("usage_en" "Phạm vi sử dụng (tiếng Anh)", "Dùng ở đâu, để làm gì", "Where and for what it is used, English", Text usage_en),
        column!("language" "Ngôn ngữ", "BCP 47, như vi", "BCP 47, such as vi", Text language),
        column!("synonyms" "Tên gọi khác", "Mỗi dòng một tên", "One name on each line of the cell", Texts synonyms),
        column!("related_terms" "Thuật ngữ liên quan", "Mỗi dòng một thuật ngữ", "One term on each line of the cell", Texts related_terms),
        column!("business_attributes" "Thuộc tính nghiệp vụ", "Mỗi dòng một cặp tên=giá trị", "One name=value on each line of the cell", Pairs business_attributes, '='),
    ]
}

fn technical() -> Vec<Column<ElementDefinition>> {
    vec![
        column!("technical_name" "Tên kỹ thuật", "Như Person.fullName", "Such as Person.fullName", Text technical_name),
        column!("type" "Kiểu", "Bắt buộc trừ khi kế thừa", "Needed unless inherited", Text value_type)
            .form(Form::Word(ValueType::WORDS)),
        column!("min_length" "Độ dài nhỏ nhất", "Số nguyên từ 0; chỉ với string", "A whole number from 0; strings only", Count min_length),
        column!("max_length" "Độ dài lớn nhất", "Số nguyên từ 1; chỉ với string", "A whole number from 1; strings only", Count max_length),
        column!("pattern" "Mẫu", "Biểu thức chính quy ECMA 262, khớp toàn bộ giá trị", "ECMA 262 pattern over the whole value", Text pattern),
        column!("format" "Định dạng", "Chỉ với string", "Strings only", Text format).form(Form::Word(ValueFormat::WORDS)),
        column!("minimum" "Giá trị nhỏ nhất", "Số thập phân; chỉ với kiểu số", "A decimal number; numbers only", Text minimum)
            .form(Form::Decimal),
        column!("maximum" "Giá trị lớn nhất", "Số thập phân; chỉ với kiểu số", "A decimal number; numbers only", Text maximum)
            .form(Form::Decimal),
        column!("code_list" "Danh mục", "Mã danh mục mà giá trị phải thuộc về", "Id of the code list values are of", Text code_list)
            .form(Form::Code),
        column!("identifier" "Quy tắc định danh", "Quy tắc mà trung tâm kiểm tra", "Rule of an identifier the hub checks", Text identifier)
            .form(Form::Word(IdentifierRule::WORDS)),
        column!("unit" "Đơn vị đo", "Mã UCUM", "UCUM code", Text unit),
        column!("semantic_type" "Kiểu ngữ nghĩa", "Như xsd:date", "Such as xsd:date", Text semantic_type),
        column!("relations" "Quan hệ", "Mỗi dòng một cặp loại:mã phần tử (part_of, refers_to, replaced_by, computed_from, related_to)", "One kind:element on each line (part_of, refers_to, replaced_by, computed_from, related_to)", Pairs relations, ':'),
        column!("technical_attributes" "Thuộc tính kỹ thuật", "Mỗi dòng một cặp tên=giá trị", "One name=value on each line of the cell", Pairs technical_attributes, '='),
        column!("normalisation" "Chuẩn hóa", "Mỗi dòng một bước", "One step on each line of the cell", Texts normalisation)
            .form(Form::Word(NormalisationStep::WORDS)),
        column!("normalisation_check" "Khi chưa chuẩn hóa", "Từ chối hoặc cảnh báo; để trống là refuse", "Refuse or warn; empty means refuse", Text normalisation_check)
            .form(Form::Word(NormalisationCheck::WORDS)),
        column!("api_access" "Truy cập qua API", "Ai được hỏi, bằng lời", "Who may ask for it, in words", Text api_access),
        column!("mappings" "Ánh xạ quốc tế", "Mỗi dòng một tên, như schema:name", "One name on each line, such as schema:name", Texts mappings),
        column!("validation_rules" "Quy tắc kiểm tra", "Mỗi dòng một quy tắc, bằng lời", "One rule in words on each line", Texts validation_rules),
    ]
}

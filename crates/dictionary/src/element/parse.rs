//! From a definition to an element: every bad field at once.

use std::sync::Arc;

use ldop_types::{CodeListId, Date, ElementId, Sensitivity};

use super::{Bound, Element, ElementDefinition, Inner, Rules};
use crate::{
    definition::{DefinitionError, Errors},
    normal_form::NormalForm,
    pattern::Pattern,
    words::{
        ElementStatus, IdentifierRule, NormalisationCheck, NormalisationStep, RelationKind, ValueFormat, ValueType,
    },
};

/// Largest `min_length` and `max_length`, code points.
pub const MAX_LENGTH: u32 = 1_000_000;
/// Most synonyms, related terms, relations, attributes, mappings or rules of one element.
pub const MAX_ITEMS: usize = 100;

impl Element {
    /// Parses a definition; `definition` is `written` with what it inherits from `parent`.
    pub(super) fn parse(
        written: Arc<ElementDefinition>,
        definition: Arc<ElementDefinition>,
        parent: Option<Self>,
    ) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let d = &*definition;
        let id = ElementId::parse(&d.id);
        if id.is_err() {
            errors.add("id", "mã phần tử không hợp lệ", "not an element id", ElementId::EXPECTED);
        }
        // What is not stated comes from the parent, once there is one.
        let waits = parent.is_none() && !d.derives_from.is_empty();
        errors.text("name_vi", &d.name_vi, 300, true);
        let value_type = word_or(&mut errors, "type", &d.value_type, ValueType::parse, ValueType::WORDS, waits);
        let words = Sensitivity::ALL.map(Sensitivity::as_str);
        let sensitivity = word_or(&mut errors, "sensitivity", &d.sensitivity, Sensitivity::parse, &words, waits);
        let format = word(&mut errors, "format", &d.format, ValueFormat::parse, ValueFormat::WORDS);
        let identifier = word(&mut errors, "identifier", &d.identifier, IdentifierRule::parse, IdentifierRule::WORDS);
        let code_list = code_list(&mut errors, &d.code_list);
        let pattern = compile(&mut errors, &d.pattern);
        let minimum = bound(&mut errors, "minimum", &d.minimum);
        let maximum = bound(&mut errors, "maximum", &d.maximum);
        let normal_form = normal_form(&mut errors, d);
        let status = word(&mut errors, "status", &d.status, ElementStatus::parse, ElementStatus::WORDS);
        let effective_from = day(&mut errors, "effective_from", &d.effective_from);
        let derives_from = parent_id(&mut errors, d);
        check_texts(&mut errors, d);
        check_lists(&mut errors, d);
        check_limits(&mut errors, d, minimum, maximum);
        if let Some(value_type) = value_type {
            check_fit(&mut errors, d, value_type);
        }
        let value_type = value_type.or(waits.then_some(ValueType::String));
        let sensitivity = sensitivity.or(waits.then_some(Sensitivity::None));
        match (id, value_type, sensitivity) {
            (Ok(id), Some(value_type), Some(sensitivity)) if errors.0.is_empty() => {
                let rules = Rules {
                    value_type,
                    min_length: d.min_length.unwrap_or(0),
                    max_length: d.max_length.unwrap_or(u32::MAX),
                    pattern,
                    format,
                    minimum,
                    maximum,
                    identifier,
                    normal_form,
                };
                let status = status.unwrap_or(ElementStatus::Registered);
                Ok(Self(Arc::new(Inner {
                    written,
                    id,
                    derives_from,
                    parent,
                    status,
                    effective_from,
                    sensitivity,
                    code_list,
                    rules,
                    definition,
                })))
            }
            _ => Err(errors.0),
        }
    }
}

fn word<T>(errors: &mut Errors, field: &str, text: &str, parse: fn(&str) -> Option<T>, words: &[&str]) -> Option<T> {
    word_or(errors, field, text, parse, words, true)
}

/// A word of a list, that may be left out if `optional`.
fn word_or<T>(
    errors: &mut Errors,
    field: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    words: &[&str],
    optional: bool,
) -> Option<T> {
    let value = parse(text);
    if value.is_none() && !(optional && text.is_empty()) {
        errors.add(
            field,
            "không thuộc các giá trị cho phép",
            "none of the permitted words",
            format!("one of {}", words.join(", ")),
        );
    }
    value
}

fn code_list(errors: &mut Errors, text: &str) -> Option<CodeListId> {
    if text.is_empty() {
        return None;
    }
    let id = CodeListId::parse(text);
    if id.is_err() {
        errors.add("code_list", "mã danh mục không hợp lệ", "not a code list id", CodeListId::EXPECTED);
    }
    id.ok()
}

fn parent_id(errors: &mut Errors, definition: &ElementDefinition) -> Option<ElementId> {
    let text = &definition.derives_from;
    if text.is_empty() {
        return None;
    }
    let id = ElementId::parse(text).ok();
    if id.is_none() || *text == definition.id {
        errors.add(
            "derives_from",
            "không phải mã của một phần tử khác",
            "not the id of another element",
            ElementId::EXPECTED,
        );
    }
    id
}

fn compile(errors: &mut Errors, text: &str) -> Option<Pattern> {
    if text.is_empty() {
        return None;
    }
    match Pattern::whole(text) {
        Ok(pattern) => Some(pattern),
        Err(reason) => {
            errors.add(
                "pattern",
                "mẫu không dùng được",
                format!("the pattern cannot be used: {reason}"),
                "ECMA 262 without look-around and back references, at most 1000 characters",
            );
            None
        }
    }
}

fn bound(errors: &mut Errors, field: &str, text: &str) -> Option<Bound> {
    if text.is_empty() {
        return None;
    }
    let plain = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    match text.parse::<f64>() {
        Ok(float) if plain => Some(Bound { whole: text.parse().ok(), float }),
        _ => {
            errors.add(
                field,
                "không phải số thập phân",
                "not a decimal number",
                "digits with an optional sign and point, such as -12.5",
            );
            None
        }
    }
}

fn day(errors: &mut Errors, field: &str, text: &str) -> Option<Date> {
    let date = Date::parse(text);
    if date.is_none() && !text.is_empty() {
        errors.add(field, "không phải ngày có thật", "not a day that exists", "YYYY-MM-DD, or empty");
    }
    date
}

fn normal_form(errors: &mut Errors, definition: &ElementDefinition) -> Option<NormalForm> {
    let mut steps = Vec::new();
    for (at, text) in definition.normalisation.iter().enumerate() {
        let field = format!("normalisation[{at}]");
        let step = word_or(errors, &field, text, NormalisationStep::parse, NormalisationStep::WORDS, false);
        steps.extend(step);
    }
    if steps.contains(&NormalisationStep::UpperCase) && steps.contains(&NormalisationStep::LowerCase) {
        errors.add(
            "normalisation",
            "không thể vừa viết hoa vừa viết thường",
            "no text is in upper and in lower case",
            "one of upper_case and lower_case",
        );
    }
    let text = &definition.normalisation_check;
    let check = word(errors, "normalisation_check", text, NormalisationCheck::parse, NormalisationCheck::WORDS);
    NormalForm::new(&steps, check.unwrap_or(NormalisationCheck::Refuse))
}

fn check_texts(errors: &mut Errors, d: &ElementDefinition) {
    for (field, text, max) in [
        ("name_en", &d.name_en, 300),
        ("definition_vi", &d.definition_vi, 4_000),
        ("definition_en", &d.definition_en, 4_000),
        ("unit", &d.unit, 64),
        ("source", &d.source, 1_000),
        ("domain", &d.domain, 64),
        ("group", &d.group, 200),
        ("entity", &d.entity, 100),
        ("usage_vi", &d.usage_vi, 2_000),
        ("usage_en", &d.usage_en, 2_000),
        ("creating_unit", &d.creating_unit, 300),
        ("owning_unit", &d.owning_unit, 300),
        ("legal_basis", &d.legal_basis, 1_000),
        ("api_access", &d.api_access, 1_000),
    ] {
        errors.text(field, text, max, false);
    }
    let words = |text: &str, between: char| text.len() <= 100 && text.split(between).all(is_name);
    let language =
        |text: &str| text.len() <= 35 && text.split('-').all(|part| !part.is_empty() && is_alphanumeric(part));
    for (field, text, fits, expected) in [
        (
            "technical_name",
            &d.technical_name,
            words(&d.technical_name, '.'),
            "names joined by points, such as Person.fullName",
        ),
        ("semantic_type", &d.semantic_type, is_term(&d.semantic_type), "a prefixed name, such as xsd:date"),
        ("language", &d.language, language(&d.language), "a BCP 47 language tag, such as vi"),
    ] {
        if !text.is_empty() && !fits {
            errors.add(field, "không đúng dạng", "not of the form", expected);
        }
    }
}

fn check_lists(errors: &mut Errors, d: &ElementDefinition) {
    for (field, texts, max) in [
        ("synonyms", &d.synonyms, 200),
        ("related_terms", &d.related_terms, 200),
        ("mappings", &d.mappings, 200),
        ("validation_rules", &d.validation_rules, 1_000),
    ] {
        count(errors, field, texts.len());
        for (at, text) in texts.iter().enumerate() {
            errors.text(&format!("{field}[{at}]"), text, max, true);
        }
    }
    for (at, mapping) in d.mappings.iter().enumerate().filter(|(_, mapping)| !is_term(mapping)) {
        let found = (format!("{mapping} không đúng dạng"), format!("{mapping} is not of the form"));
        errors.add(format!("mappings[{at}]"), found.0, found.1, "a prefixed name, such as schema:name");
    }
    for (field, attributes) in
        [("business_attributes", &d.business_attributes), ("technical_attributes", &d.technical_attributes)]
    {
        count(errors, field, attributes.len());
        for (at, (name, value)) in attributes.iter().enumerate().take(MAX_ITEMS) {
            let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
                errors.add(
                    format!("{field}[{at}]"),
                    "tên thuộc tính không hợp lệ",
                    "not a name of an attribute",
                    "1-64 characters of [a-z0-9_.-]",
                );
            } else if attributes[..at].iter().any(|(other, _)| other == name) {
                errors.add(
                    format!("{field}[{at}]"),
                    "thuộc tính xuất hiện hai lần",
                    "the attribute stands twice",
                    "it once",
                );
            }
            errors.text(&format!("{field}[{at}]"), value, 1_000, false);
        }
    }
    count(errors, "relations", d.relations.len());
    for (at, (kind, element)) in d.relations.iter().enumerate() {
        word_or(errors, &format!("relations[{at}].kind"), kind, RelationKind::parse, RelationKind::WORDS, false);
        if ElementId::parse(element).is_err() || *element == d.id {
            errors.add(
                format!("relations[{at}].element"),
                "không phải mã của một phần tử khác",
                "not the id of another element",
                ElementId::EXPECTED,
            );
        }
    }
}

fn count(errors: &mut Errors, field: &str, length: usize) {
    if length > MAX_ITEMS {
        errors.add(field, "có quá nhiều mục", "too many items", format!("at most {MAX_ITEMS}"));
    }
}

fn is_alphanumeric(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `prefix:name`
fn is_term(text: &str) -> bool {
    text.split_once(':').is_some_and(|(prefix, name)| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
        is_name(prefix) && !name.is_empty() && name.len() <= 100 && name.bytes().all(is_plain)
    })
}

fn check_limits(errors: &mut Errors, definition: &ElementDefinition, minimum: Option<Bound>, maximum: Option<Bound>) {
    for (field, length) in [("min_length", definition.min_length), ("max_length", definition.max_length)] {
        if length.is_some_and(|length| length > MAX_LENGTH) {
            errors.add(field, "độ dài quá lớn", "the length is too large", format!("0-{MAX_LENGTH}"));
        }
    }
    if matches!((definition.min_length, definition.max_length), (Some(min), Some(max)) if min > max) {
        errors.add("max_length", "nhỏ hơn min_length", "less than min_length", "a length not less than min_length");
    }
    if matches!((minimum, maximum), (Some(min), Some(max)) if min.float > max.float) {
        errors.add("maximum", "nhỏ hơn minimum", "less than minimum", "a number not less than minimum");
    }
}

/// Rules of strings on strings only, rules of numbers on numbers only.
fn check_fit(errors: &mut Errors, definition: &ElementDefinition, value_type: ValueType) {
    let strings = [
        ("min_length", definition.min_length.is_some()),
        ("max_length", definition.max_length.is_some()),
        ("pattern", !definition.pattern.is_empty()),
        ("format", !definition.format.is_empty()),
        ("code_list", !definition.code_list.is_empty()),
        ("identifier", !definition.identifier.is_empty()),
        ("normalisation", !definition.normalisation.is_empty()),
    ];
    let numbers = [("minimum", !definition.minimum.is_empty()), ("maximum", !definition.maximum.is_empty())];
    let is_number = matches!(value_type, ValueType::Integer | ValueType::Number);
    let misplaced = |fields: &[(&'static str, bool)], fits: bool| -> Vec<&'static str> {
        fields.iter().filter(|(_, present)| *present && !fits).map(|(field, _)| *field).collect()
    };
    for field in misplaced(&strings, value_type == ValueType::String) {
        errors.add(field, "chỉ dùng cho kiểu string", "for strings only", "empty, or type = \"string\"");
    }
    for field in misplaced(&numbers, is_number) {
        errors.add(field, "chỉ dùng cho kiểu số", "for numbers only", "empty, or type = \"integer\" or \"number\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_field_is_reported_at_once() {
        let errors = Element::new(ElementDefinition {
            id: "Person".into(),
            value_type: "text".into(),
            min_length: Some(5),
            max_length: Some(4),
            pattern: "(?=a)".into(),
            format: "datetime".into(),
            minimum: "1e3".into(),
            maximum: "x".into(),
            code_list: "A B".into(),
            identifier: "cccd".into(),
            sensitivity: "secret".into(),
            ..ElementDefinition::default()
        })
        .expect_err("bad definition");
        let mut fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        fields.sort_unstable();
        let expected = [
            "code_list",
            "format",
            "id",
            "identifier",
            "max_length",
            "maximum",
            "minimum",
            "name_vi",
            "pattern",
            "sensitivity",
            "type",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn rules_go_with_the_type() {
        let errors = Element::new(ElementDefinition {
            id: "a".into(),
            name_vi: "A".into(),
            value_type: "integer".into(),
            max_length: Some(4),
            identifier: "tax_id".into(),
            minimum: "3".into(),
            maximum: "2.5".into(),
            sensitivity: "none".into(),
            ..ElementDefinition::default()
        })
        .expect_err("bad definition");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["maximum", "max_length", "identifier"]);
    }
}

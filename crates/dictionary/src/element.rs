//! Data elements: definitions as operators write them, and elements that can be checked.

use std::{fmt, sync::Arc};

use ldop_types::{CodeListId, ElementId, Sensitivity};

use crate::{
    definition::{DefinitionError, Errors},
    pattern::Pattern,
};

/// Largest `min_length` and `max_length`, code points.
pub const MAX_LENGTH: u32 = 1_000_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The words of all values, for messages.
            pub const WORDS: &'static [&'static str] = &[$($word,)*];

            /// The word in definitions, lower case.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $word,)* } }

            /// Parses what [`as_str`](Self::as_str) writes.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|value| value.as_str() == text) }
        }
    };
}

words! {
    /// JSON type of an element.
    ValueType {
        /// A text.
        String = "string",
        /// A whole number of at most 64 bits, signed or unsigned.
        Integer = "integer",
        /// A number.
        Number = "number",
        /// True or false.
        Boolean = "boolean",
        /// A group of fields.
        Object = "object",
        /// A list.
        Array = "array",
    }
}

words! {
    /// Format of a string element.
    ValueFormat {
        /// RFC 3339 full-date, `YYYY-MM-DD`.
        Date = "date",
        /// RFC 3339 date-time.
        DateTime = "date_time",
        /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
        PartialDate = "partial_date",
    }
}

words! {
    /// Rule of an identifier that a program can check; see [`identifier`](crate::identifier).
    IdentifierRule {
        /// 12-digit personal id.
        PersonalId = "personal_id",
        /// Tax code.
        TaxId = "tax_id",
        /// GeoHash land parcel id.
        LandParcel = "land_parcel",
    }
}

/// An element as an operator writes it; mirrors `ldop.registry.v1.Element`. Enums are their lower-case words, and an
/// empty text means none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElementDefinition {
    /// Element id, such as `person.personal-id`.
    pub id: String,
    /// Name, Vietnamese.
    pub name_vi: String,
    /// Name, English.
    pub name_en: String,
    /// Definition, Vietnamese.
    pub definition_vi: String,
    /// Definition, English.
    pub definition_en: String,
    /// A word of [`ValueType`].
    pub value_type: String,
    /// Shortest value in code points; strings only.
    pub min_length: Option<u32>,
    /// Longest value in code points; strings only.
    pub max_length: Option<u32>,
    /// ECMA 262 pattern without look-around and back references, anchored at both ends by the hub; strings only.
    pub pattern: String,
    /// A word of [`ValueFormat`], or empty.
    pub format: String,
    /// Smallest value, a decimal number; numbers only; empty when none.
    pub minimum: String,
    /// Largest value, a decimal number; numbers only; empty when none.
    pub maximum: String,
    /// Code list the value must be of; strings only; empty when none.
    pub code_list: String,
    /// A word of [`IdentifierRule`], or empty; strings only.
    pub identifier: String,
    /// A word of [`Sensitivity`].
    pub sensitivity: String,
    /// Unit, UCUM code; empty when none.
    pub unit: String,
    /// Source: law, standard or list, with place.
    pub source: String,
    /// True where no readable primary source was found.
    pub unconfirmed: bool,
}

/// An element whose definition holds together. Cheap to clone.
#[derive(Clone)]
pub struct Element(Arc<Inner>);

struct Inner {
    definition: ElementDefinition,
    id: ElementId,
    sensitivity: Sensitivity,
    code_list: Option<CodeListId>,
    rules: Rules,
}

/// The rules of an element in the form they are checked in.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) value_type: ValueType,
    pub(crate) min_length: u32,
    pub(crate) max_length: u32,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<ValueFormat>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) identifier: Option<IdentifierRule>,
}

/// A limit of a number, exact where it is whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) whole: Option<i128>,
    pub(crate) float: f64,
}

impl Element {
    /// Parses a definition.
    ///
    /// # Errors
    ///
    /// Every bad field at once: words that are not of the closed lists, rules that do not go with the type, limits that
    /// contradict each other, patterns that cannot be matched in linear time.
    pub fn new(definition: ElementDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let id = ElementId::parse(&definition.id);
        if id.is_err() {
            errors.add("id", "mã phần tử không hợp lệ", "not an element id", ElementId::EXPECTED);
        }
        errors.text("name_vi", &definition.name_vi, 300, true);
        errors.text("name_en", &definition.name_en, 300, false);
        errors.text("definition_vi", &definition.definition_vi, 4_000, false);
        errors.text("definition_en", &definition.definition_en, 4_000, false);
        errors.text("unit", &definition.unit, 64, false);
        errors.text("source", &definition.source, 1_000, false);
        let value_type = required_word(&mut errors, "type", &definition.value_type, ValueType::parse, ValueType::WORDS);
        let words = Sensitivity::ALL.map(Sensitivity::as_str);
        let sensitivity =
            required_word(&mut errors, "sensitivity", &definition.sensitivity, Sensitivity::parse, &words);
        let format = word(&mut errors, "format", &definition.format, ValueFormat::parse, ValueFormat::WORDS);
        let identifier =
            word(&mut errors, "identifier", &definition.identifier, IdentifierRule::parse, IdentifierRule::WORDS);
        let code_list = code_list(&mut errors, &definition.code_list);
        let pattern = compile(&mut errors, &definition.pattern);
        let minimum = bound(&mut errors, "minimum", &definition.minimum);
        let maximum = bound(&mut errors, "maximum", &definition.maximum);
        check_limits(&mut errors, &definition, minimum, maximum);
        if let Some(value_type) = value_type {
            check_fit(&mut errors, &definition, value_type);
        }
        match (id, value_type, sensitivity) {
            (Ok(id), Some(value_type), Some(sensitivity)) if errors.0.is_empty() => {
                let rules = Rules {
                    value_type,
                    min_length: definition.min_length.unwrap_or(0),
                    max_length: definition.max_length.unwrap_or(u32::MAX),
                    pattern,
                    format,
                    minimum,
                    maximum,
                    identifier,
                };
                Ok(Self(Arc::new(Inner { definition, id, sensitivity, code_list, rules })))
            }
            _ => Err(errors.0),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ElementId {
        &self.0.id
    }

    /// What the operator wrote.
    #[must_use]
    pub fn definition(&self) -> &ElementDefinition {
        &self.0.definition
    }

    /// JSON type of its values.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        self.0.rules.value_type
    }

    /// Format, of string elements.
    #[must_use]
    pub fn format(&self) -> Option<ValueFormat> {
        self.0.rules.format
    }

    /// Identifier rule, of string elements.
    #[must_use]
    pub fn identifier(&self) -> Option<IdentifierRule> {
        self.0.rules.identifier
    }

    /// The code list its values are of.
    #[must_use]
    pub fn code_list(&self) -> Option<&CodeListId> {
        self.0.code_list.as_ref()
    }

    /// How personal its values are.
    #[must_use]
    pub fn sensitivity(&self) -> Sensitivity {
        self.0.sensitivity
    }

    /// Whether texts that keep the element's own pattern are known to match `other` somewhere.
    #[must_use]
    pub fn keeps_pattern(&self, other: &Pattern) -> bool {
        self.0.rules.pattern.as_ref().is_some_and(|own| own.implies(other))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", self.0.id)
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.definition == other.0.definition
    }
}

fn word<T>(errors: &mut Errors, field: &str, text: &str, parse: fn(&str) -> Option<T>, words: &[&str]) -> Option<T> {
    if text.is_empty() { None } else { required_word(errors, field, text, parse, words) }
}

fn required_word<T>(
    errors: &mut Errors,
    field: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    words: &[&str],
) -> Option<T> {
    let value = parse(text);
    if value.is_none() {
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

    #[test]
    fn words_parse_what_they_write() {
        for value in ValueType::ALL {
            assert_eq!(ValueType::parse(value.as_str()), Some(*value));
        }
        for value in ValueFormat::ALL {
            assert_eq!(ValueFormat::parse(value.as_str()), Some(*value));
        }
        for value in IdentifierRule::ALL {
            assert_eq!(IdentifierRule::parse(value.as_str()), Some(*value));
        }
        assert_eq!(ValueType::parse(""), None);
    }
}

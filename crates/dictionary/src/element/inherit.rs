//! Inheritance: what an element takes over from the one it derives from, and where it would widen it.
//!
//! Whatever a derived element accepts its parent accepts too, so that a provincial record is a national one as well.
//! What cannot be shown to be narrower counts as wider.

use std::cmp::Ordering;

use super::{Bound, Element, ElementDefinition};
use crate::{
    code_list::CodeList,
    definition::{DefinitionError, Errors},
    words::{NormalisationCheck, ValueFormat, ValueType},
};

/// The definition with what it does not state taken from its parent: all of what is technical, and how personal it is.
pub(super) fn merged(own: &ElementDefinition, parent: &ElementDefinition) -> ElementDefinition {
    let text = |own: &String, parent: &String| if own.is_empty() { parent.clone() } else { own.clone() };
    let inherits_form = own.normalisation.is_empty();
    ElementDefinition {
        value_type: text(&own.value_type, &parent.value_type),
        min_length: own.min_length.or(parent.min_length),
        max_length: own.max_length.or(parent.max_length),
        pattern: text(&own.pattern, &parent.pattern),
        format: text(&own.format, &parent.format),
        minimum: text(&own.minimum, &parent.minimum),
        maximum: text(&own.maximum, &parent.maximum),
        code_list: text(&own.code_list, &parent.code_list),
        identifier: text(&own.identifier, &parent.identifier),
        sensitivity: text(&own.sensitivity, &parent.sensitivity),
        unit: text(&own.unit, &parent.unit),
        semantic_type: text(&own.semantic_type, &parent.semantic_type),
        language: text(&own.language, &parent.language),
        normalisation: if inherits_form { parent.normalisation.clone() } else { own.normalisation.clone() },
        normalisation_check: text(&own.normalisation_check, &parent.normalisation_check),
        ..own.clone()
    }
}

/// Every place where `own`, which has what it inherits, would accept more than `parent`, with how to mend it. The code
/// lists are those of the two elements.
pub(crate) fn widenings(
    own: &Element,
    parent: &Element,
    own_codes: Option<&CodeList>,
    parent_codes: Option<&CodeList>,
) -> Vec<DefinitionError> {
    let mut errors = Errors::default();
    let (rules, wider) = (own.rules(), parent.rules());
    let (mine, theirs) = (own.definition(), parent.definition());
    let mut add = |field: &str, what: (String, String), remedy: String| {
        let id = parent.id();
        errors.add(
            field,
            format!("rộng hơn phần tử gốc {id}: {}", what.0),
            format!("wider than {id}, which it derives from: {}", what.1),
            format!("{remedy}, or leave {field} out to inherit it"),
        );
    };
    let stated = |own: &str, parent: &str| (format!("{own} so với {parent}"), format!("{own} against {parent}"));

    let narrows_type = rules.value_type == wider.value_type
        || (rules.value_type == ValueType::Integer && wider.value_type == ValueType::Number);
    if !narrows_type {
        let (own, parent) = (rules.value_type.as_str(), wider.value_type.as_str());
        add("type", stated(own, parent), format!("\"{parent}\""));
        // Rules of another type cannot be compared.
        return errors.0;
    }
    if rules.min_length < wider.min_length {
        let (own, parent) = (rules.min_length.to_string(), wider.min_length.to_string());
        add("min_length", stated(&own, &parent), format!("{parent} or more"));
    }
    if rules.max_length > wider.max_length {
        let (own, parent) = (rules.max_length.to_string(), wider.max_length.to_string());
        add("max_length", stated(&own, &parent), format!("{parent} or less"));
    }
    if let Some(pattern) = &wider.pattern
        && mine.pattern != theirs.pattern
    {
        let stray = own_codes.map(|codes| codes.codes().find(|code| !pattern.is_match(code)));
        let parent = &theirs.pattern;
        let remedy = format!("the same pattern {parent}, or a code list whose codes all match it");
        match stray {
            Some(None) => {}
            Some(Some(code)) => {
                let vi = format!("mã {code} không theo mẫu {parent}");
                add("pattern", (vi, format!("the code {code} does not match {parent}")), remedy);
            }
            None => {
                let vi = format!("không thể chứng minh mẫu {} hẹp hơn {parent}", mine.pattern);
                add("pattern", (vi, format!("{} cannot be shown to be narrower than {parent}", mine.pattern)), remedy);
            }
        }
    }
    let narrows_format = match (rules.format, wider.format) {
        (_, None) | (Some(ValueFormat::Date), Some(ValueFormat::PartialDate)) => true,
        (own, parent) => own == parent,
    };
    if !narrows_format {
        add("format", stated(&mine.format, &theirs.format), format!("\"{}\"", theirs.format));
    }
    if let Some(parent) = wider.minimum
        && rules.minimum.is_none_or(|own| own.order(parent) == Ordering::Less)
    {
        add("minimum", stated(&mine.minimum, &theirs.minimum), format!("{} or more", theirs.minimum));
    }
    if let Some(parent) = wider.maximum
        && rules.maximum.is_none_or(|own| own.order(parent) == Ordering::Greater)
    {
        add("maximum", stated(&mine.maximum, &theirs.maximum), format!("{} or less", theirs.maximum));
    }
    if let (Some(own_codes), Some(parent_codes)) = (own_codes, parent_codes)
        && own_codes.id() != parent_codes.id()
        && let Some(code) = own_codes.first_beyond(parent_codes)
    {
        let list = parent_codes.id();
        let vi = format!("danh mục {list} không có mã {code} trong toàn bộ thời gian mã có hiệu lực");
        let en = format!("{list} does not have the code {code} on all days it is valid");
        add("code_list", (vi, en), format!("{list}, or a list whose codes it has"));
    }
    if wider.identifier.is_some() && rules.identifier != wider.identifier {
        add("identifier", stated(&mine.identifier, &theirs.identifier), format!("\"{}\"", theirs.identifier));
    }
    if own.sensitivity() < parent.sensitivity() {
        let (own, parent) = (own.sensitivity().as_str(), parent.sensitivity().as_str());
        add("sensitivity", stated(own, parent), format!("\"{parent}\" or more"));
    }
    if !theirs.unit.is_empty() && mine.unit != theirs.unit {
        add("unit", stated(&mine.unit, &theirs.unit), format!("\"{}\"", theirs.unit));
    }
    if let Some(parent) = wider.normal_form {
        let steps = theirs.normalisation.join(", ");
        match rules.normal_form {
            Some(own) if own.covers(parent) => {
                if own.check == NormalisationCheck::Warn && parent.check == NormalisationCheck::Refuse {
                    add("normalisation_check", stated("warn", "refuse"), "\"refuse\"".to_owned());
                }
            }
            _ => add("normalisation", stated(&mine.normalisation.join(", "), &steps), format!("at least {steps}")),
        }
    }
    errors.0
}

impl Bound {
    fn order(self, other: Self) -> Ordering {
        match (self.whole, other.whole) {
            (Some(own), Some(other)) => own.cmp(&other),
            // Bounds are finite.
            _ => self.float.total_cmp(&other.float),
        }
    }
}

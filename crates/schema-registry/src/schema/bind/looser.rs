//! What a schema states of a bound property beside its element must not be looser than the element.
//!
//! Records are held to both, so nothing looser would ever be accepted; but whoever reads the schema alone would believe
//! it. What is not stated is the element's. A pattern of the schema's own stands beside the element's, so it can only
//! narrow it; whether it does cannot be decided, and nothing depends on it.
//!
//! A version that is registered goes on when its element becomes narrower.

use std::cmp::Ordering;

use ldop_dictionary::{CodeList, Element, Scalar, ValueFormat};
use ldop_types::{Rule, Sensitivity, Text, TimestampMs};
use serde_json::Value;

use super::{Binder, Bound, SchemaFinding, SchemaRule, Site, Strength};
use crate::{pointer::push_index, schema::SENSITIVITY_KEYWORD};

impl<'s> Binder<'s, '_> {
    /// Compares everything the sites state with the element.
    pub(super) fn compare(&mut self, sites: &[&Site<'s>], element: &Element, codes: Option<&CodeList>) {
        for site in sites {
            if self.sites.refers_only(site.schema) {
                continue;
            }
            self.compare_lengths(site, element);
            self.compare_range(site, element);
            self.compare_format(site, element);
            self.compare_values(site, element, codes);
        }
    }

    /// The most personal of what the sites state, by [`SENSITIVITY_KEYWORD`]. It may only add to the element's.
    pub(super) fn stated_sensitivity(&mut self, sites: &[Site<'s>], bound: Option<&Bound>) -> Sensitivity {
        let mut most = Sensitivity::None;
        for site in sites.iter().filter(|site| site.strength != Strength::Condition) {
            let Some(word) = site.keyword(SENSITIVITY_KEYWORD).filter(|_| !self.sites.refers_only(site.schema)) else {
                continue;
            };
            let Some(stated) = word.as_str().and_then(Sensitivity::parse) else {
                self.unknown_sensitivity(site);
                continue;
            };
            most = most.max(stated);
            if let Some(bound) = bound.filter(|bound| stated < bound.element.sensitivity()) {
                let own = bound.element.sensitivity().as_str();
                self.looser(site, SENSITIVITY_KEYWORD, &bound.element, stated.as_str(), own);
            }
        }
        most
    }

    fn unknown_sensitivity(&mut self, site: &Site<'s>) {
        let words = Sensitivity::ALL.map(Sensitivity::as_str).join(", ");
        self.add(
            &site.pointer_to(&[SENSITIVITY_KEYWORD]),
            SchemaRule::MetaSchema,
            Text::new(
                format!("{SENSITIVITY_KEYWORD} không phải một mức nhạy cảm"),
                format!("{SENSITIVITY_KEYWORD} is no sensitivity"),
            ),
            Text::new(format!("ghi một trong: {words}"), format!("write one of: {words}")),
        );
    }

    fn compare_lengths(&mut self, site: &Site<'s>, element: &Element) {
        let own = element.definition();
        let stated = |keyword| site.keyword(keyword).and_then(Value::as_u64);
        if let (Some(stated), Some(most)) = (stated("maxLength"), own.max_length)
            && stated > u64::from(most)
        {
            self.looser(site, "maxLength", element, &stated.to_string(), &format!("maxLength {most}"));
        }
        if let (Some(stated), Some(least)) = (stated("minLength"), own.min_length)
            && stated < u64::from(least)
        {
            self.looser(site, "minLength", element, &stated.to_string(), &format!("minLength {least}"));
        }
    }

    fn compare_range(&mut self, site: &Site<'s>, element: &Element) {
        let own = element.definition();
        let ends = [
            (["minimum", "exclusiveMinimum"], own.minimum.as_str(), Ordering::Less),
            (["maximum", "exclusiveMaximum"], own.maximum.as_str(), Ordering::Greater),
        ];
        for (keywords, limit, looser) in ends {
            for keyword in keywords {
                if let Some(Value::Number(stated)) = site.keyword(keyword)
                    && order(&stated.to_string(), limit) == Some(looser)
                {
                    self.looser(site, keyword, element, &stated.to_string(), &format!("{} {limit}", keywords[0]));
                }
            }
        }
    }

    fn compare_format(&mut self, site: &Site<'s>, element: &Element) {
        if let (Some(Value::String(stated)), Some(format)) = (site.keyword("format"), element.format()) {
            let expected = match format {
                ValueFormat::DateTime => "date-time",
                ValueFormat::Date | ValueFormat::PartialDate => "date",
            };
            if stated != expected {
                self.looser(site, "format", element, stated, &format!("format {expected}"));
            }
        }
    }

    /// Values a schema lists must be ones the element takes, on some day.
    fn compare_values(&mut self, site: &Site<'s>, element: &Element, codes: Option<&CodeList>) {
        let listed = site.keyword("enum").and_then(Value::as_array);
        let listed = listed.into_iter().flatten().enumerate().map(|(index, value)| {
            let mut pointer = site.pointer_to(&["enum"]);
            push_index(&mut pointer, index);
            (pointer, value)
        });
        let only = site.keyword("const").map(|value| (site.pointer_to(&["const"]), value));
        let strange: Vec<(String, &Value)> =
            listed.chain(only).filter(|(_, value)| !is_taken(value, element, codes)).collect();
        for (pointer, value) in strange {
            let own = match codes {
                Some(codes) => Text::new(format!("mã của {}", codes.id()), format!("codes of {}", codes.id())),
                None => Text::new("giá trị mà phần tử chấp nhận", "values the element takes"),
            };
            self.refuse(pointer, element, &value.to_string(), &own);
        }
    }

    fn looser(&mut self, site: &Site<'s>, keyword: &str, element: &Element, stated: &str, own: &str) {
        self.refuse(site.pointer_to(&[keyword]), element, stated, &Text::new(own.to_owned(), own.to_owned()));
    }

    fn refuse(&mut self, pointer: String, element: &Element, stated: &str, own: &Text) {
        let id = element.id();
        // Schemas are public; a pattern may be long all the same.
        let stated: String = stated.chars().take(200).collect();
        self.looser.push(SchemaFinding {
            pointer,
            element: Some(id.to_string()),
            rule: SchemaRule::ElementLooser,
            message: Text::new(
                format!("{stated} rộng hơn hoặc khác phần tử {id}, vốn yêu cầu {}", own.vi),
                format!("{stated} is looser than the element {id}, or other, which asks for {}", own.en),
            ),
            remedy: Text::new(
                "bỏ từ khóa này để dùng quy tắc của phần tử, hoặc ghi giá trị chặt hơn",
                "leave the keyword out to have the element's rule, or state something narrower",
            ),
        });
    }
}

fn is_taken(value: &Value, element: &Element, codes: Option<&CodeList>) -> bool {
    // Without its codes an element is the same on all days.
    let any_day = TimestampMs(0).date_in_vietnam();
    let scalar = match value {
        Value::Null => return true,
        Value::Bool(value) => Scalar::Boolean(*value),
        Value::String(text) => Scalar::Text(text),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Scalar::Integer(whole.into()),
            (None, Some(float)) => Scalar::Number(float),
            (None, None) => return false,
        },
        Value::Array(_) | Value::Object(_) => return true,
    };
    // What is of another type is told by its type, or can never be.
    if element.check(scalar, any_day, None).contains(Rule::Type) {
        return true;
    }
    let in_list = match (value, codes) {
        (Value::String(code), Some(codes)) => codes.contains(code),
        _ => true,
    };
    in_list && element.check(scalar, any_day, None).is_empty()
}

/// How a stated number stands to a limit of the element, a decimal; none where there is no limit.
fn order(stated: &str, limit: &str) -> Option<Ordering> {
    match (stated.parse::<i128>(), limit.parse::<i128>()) {
        (Ok(stated), Ok(limit)) => Some(stated.cmp(&limit)),
        _ => stated.parse::<f64>().ok()?.partial_cmp(&limit.parse::<f64>().ok()?),
    }
}

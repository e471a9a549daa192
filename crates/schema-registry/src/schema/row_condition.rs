//! Conditions on whole records, in the language of rules across fields: which of them a consumer may see.

use std::fmt;

use ldop_dictionary::{Dictionary, Element, IdentifierRule, ValueFormat, ValueType};
use ldop_types::{Mask, Text};
use serde_json::{Value as Tree, json};

use super::{
    CompiledSchema, RULES_KEYWORD, bind,
    plan::Plan,
    rules::{MAX_RECORD_STEPS, Ruling},
};
use crate::document::{Document, Value};

/// A condition that has been checked against a schema. What cannot be decided of a record does not hold.
pub struct RowCondition {
    /// The places of the schema; the condition is the only rule of the record itself.
    plan: Plan,
}

impl fmt::Debug for RowCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.reads()).finish()
    }
}

impl CompiledSchema {
    /// Compiles a condition in CEL, such as `this.commune_code in ["23602", "23605"]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it: syntax, a field the schema does not have, an optional field that is read without `has()`, types
    /// that cannot be compared, too much work.
    pub fn row_condition(&self, expression: &str, dictionary: &Dictionary) -> Result<RowCondition, Vec<Text>> {
        let source = &self.0.source;
        let mut tree = source.tree.clone();
        let Tree::Object(root) = &mut tree else {
            return Err(vec![Text::new("lược đồ không có trường nào", "the schema has no fields")]);
        };
        let rule = json!([{"id": "row-condition", "rule": expression, "message": {"vi": "-", "en": "-"}}]);
        root.insert(RULES_KEYWORD.to_owned(), rule);
        let mut findings = Vec::new();
        let plan = bind::bind(&tree, source.draft, dictionary, &mut findings);
        match plan {
            Some(plan) if findings.is_empty() && !plan.place(0).rules.is_empty() => Ok(RowCondition { plan }),
            _ => Err(findings.into_iter().map(|finding| finding.message).collect()),
        }
    }

    /// Why a mask cannot be put on a property of the record itself, if so. One that the schema does not have fits every mask.
    #[must_use]
    pub fn unfit_mask(&self, field: &str, mask: Mask) -> Option<Text> {
        let plan = &self.0.plan;
        let place = plan.place(plan.place(0).fields.get(field)?);
        let element: Option<&Element> = place.element.as_ref().map(|bound| &bound.element);
        let has_day = element.is_some_and(|element| {
            let formats = [ValueFormat::Date, ValueFormat::DateTime, ValueFormat::PartialDate];
            element.format().is_some_and(|format| formats.contains(&format))
        });
        let is_text_or_number = element.is_some_and(|element| {
            matches!(element.value_type(), ValueType::String | ValueType::Integer | ValueType::Number)
        });
        let (fits, vi, en) = match mask {
            Mask::Dropped => return None,
            Mask::YearOnly => {
                (has_day, "trường không phải ngày hay thời điểm", "the field is neither a date nor a time")
            }
            // The first and last digits of a personal id tell sex, year of birth and place of registration.
            Mask::PartlyHidden { first, .. }
                if first > 0 && element.is_some_and(|e| e.identifier() == Some(IdentifierRule::PersonalId)) =>
            {
                (false, "số định danh chỉ được để lộ các chữ số cuối", "of a personal id only last digits may be shown")
            }
            Mask::PartlyHidden { .. } | Mask::KeyedHash => {
                (is_text_or_number, "trường không phải chuỗi hay số", "the field is neither a text nor a number")
            }
        };
        (!fits).then(|| Text::new(vi, en))
    }
}

impl RowCondition {
    /// Whether it holds for a record. Work is bounded; what cannot be decided does not hold.
    #[must_use]
    pub fn holds(&self, document: &Document<'_>) -> bool {
        let Value::Object(members) = document.root().value() else { return false };
        let mut steps = MAX_RECORD_STEPS;
        self.plan.place(0).rules.iter().all(|rule| rule.judge(&self.plan, members, None, &mut steps) == Ruling::Holds)
    }

    /// The properties of the record itself it reads.
    pub fn reads(&self) -> impl Iterator<Item = &str> {
        self.plan.place(0).rules.iter().flat_map(|rule| rule.read_names())
    }
}

//! `x-ldop-checks`: which fields of an object a personal id is compared with.
//!
//! A record may tell of several people, each with an id, a sex and a birth date, so the element ids alone do not say
//! which belong together. The schema does, beside `properties`:
//! `"x-ldop-checks": [{"personal-id": "mother_id", "sex": "mother_sex", "birth-date": "mother_birth_date"}]`.

use ldop_dictionary::{IdentifierRule, ValueFormat, ValueType};
use ldop_types::Text;
use serde_json::Value;

use super::Binder;
use crate::schema::{
    SchemaRule,
    plan::{Bound, Check, FieldName, PlaceId},
};

impl Binder<'_, '_> {
    /// Turns the comparisons written in the schema into those of the plan, once every place has its element.
    pub(super) fn resolve_checks(&mut self) {
        for (place, pointer, value) in std::mem::take(&mut self.checks) {
            let checks = value.as_array().map(|list| list.iter().map(|entry| self.check(place, entry)));
            match checks.and_then(Iterator::collect::<Option<Vec<_>>>) {
                Some(checks) => self.places[place as usize].checks.extend(checks),
                None => self.refuse_checks(&pointer),
            }
        }
    }

    fn check(&self, place: PlaceId, entry: &Value) -> Option<Check> {
        let entry = entry.as_object()?;
        let known = ["personal-id", "sex", "birth-date"];
        if entry.len() < 2 || entry.keys().any(|key| !known.contains(&key.as_str())) {
            return None;
        }
        let is_id = |bound: &Bound| bound.element.identifier() == Some(IdentifierRule::PersonalId);
        let is_sex = |bound: &Bound| bound.element.value_type() == ValueType::String;
        let is_date =
            |bound: &Bound| matches!(bound.element.format(), Some(ValueFormat::Date | ValueFormat::PartialDate));
        let field = |key: &str, fits: &dyn Fn(&Bound) -> bool| match entry.get(key) {
            None => Some(None),
            Some(name) => self.fitting_field(place, name.as_str()?, fits).map(Some),
        };
        Some(Check {
            personal_id: field("personal-id", &is_id)??,
            sex: field("sex", &is_sex)?,
            birth_date: field("birth-date", &is_date)?,
        })
    }

    fn fitting_field(&self, place: PlaceId, name: &str, fits: &dyn Fn(&Bound) -> bool) -> Option<FieldName> {
        let field = self.places[place as usize].fields.get(name)?;
        let bound = self.places[field as usize].element.as_ref()?;
        fits(bound).then(|| FieldName::new(name))
    }

    fn refuse_checks(&mut self, pointer: &str) {
        self.add(
            pointer,
            SchemaRule::Checks,
            Text::new(
                "không đúng dạng, hoặc nêu trường không có hay không hợp kiểu",
                "not well-formed, or it names fields that are missing or unfit",
            ),
            Text::new(
                "ghi [{\"personal-id\": \"<trường số định danh>\", \"sex\": \"<trường giới tính>\", \"birth-date\": \"<trường ngày sinh>\"}]",
                "write [{\"personal-id\": \"<personal id field>\", \"sex\": \"<sex field>\", \"birth-date\": \"<birth date field>\"}]",
            ),
        );
    }
}

//! Values of a record as the library wants them. Texts are borrowed.

use std::collections::HashMap;

use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString},
    value::Val,
};
use ldop_dictionary::ValueType;

use super::cost::Size;
use crate::{
    document::{Node, Value},
    schema::plan::{PlaceId, Plan},
};

/// The value at a place, without the members the schema does not name; `None` if it is too large.
pub(super) fn value<'d>(plan: &'d Plan, place: PlaceId, node: Node<'d>, size: &mut Size) -> Option<Box<dyn Val + 'd>> {
    size.value()?;
    let at = plan.place(place);
    Some(match node.value() {
        Value::Null => Box::new(CelNull),
        Value::Boolean(boolean) => Box::new(CelBool::from(boolean)),
        Value::Text(text) => {
            size.text(text.len())?;
            Box::new(CelString::from(text))
        }
        Value::Number(number) => {
            let is_integer = at.element.as_ref().is_some_and(|bound| bound.element.value_type() == ValueType::Integer);
            let integer = number.as_integer().and_then(|integer| i64::try_from(integer).ok());
            match integer.filter(|_| is_integer) {
                Some(integer) => Box::new(CelInt::from(integer)),
                None => Box::new(CelDouble::from(number.as_f64())),
            }
        }
        Value::Array(items) => {
            let mut list = Vec::new();
            for (index, item) in items.enumerate() {
                if let Some(place) = at.item(index) {
                    list.push(value(plan, place, item, size)?);
                }
            }
            size.list(list.len());
            Box::new(CelList::from(list))
        }
        Value::Object(members) => {
            let mut map = HashMap::new();
            for (name, member) in members {
                if let Some(place) = at.fields.get(name) {
                    map.insert(CelMapKey::from(name), value(plan, place, member, size)?);
                }
            }
            Box::new(CelMap::from(map))
        }
    })
}

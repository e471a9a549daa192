//! What kind of value an expression has, as far as schema and dictionary tell.

use std::{collections::BTreeSet, fmt};

use ldop_dictionary::{IdentifierRule, ValueFormat, ValueType};
use ldop_types::{Date, Text};

use crate::schema::{
    bind::types::{ARRAY, NULL, OBJECT},
    plan::{Place, PlaceId},
};

/// The places of a schema, as rules see them.
pub(in crate::schema) struct Shape<'b> {
    pub(in crate::schema) places: &'b [Place],
    /// What each place may hold, as far as is known.
    pub(in crate::schema) permitted: &'b [u8],
    /// The members that are there in every object of each place.
    pub(in crate::schema) required: &'b [BTreeSet<String>],
}

/// The kind of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Boolean,
    Integer,
    /// A number that need not be whole.
    Number,
    Text(Form),
    Null,
    Object(PlaceId),
    /// An array of the record, and the place of its items.
    Array(PlaceId),
    /// A list that is written out, and the kind of its items; none if it is empty.
    List(Option<Box<Kind>>),
}

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Any,
    PersonalId,
    Date,
    PartialDate,
    DateTime,
    /// A text in the rule itself that is a day.
    Day,
}

impl Form {
    pub(super) fn of_literal(text: &str) -> Self {
        if Date::parse(text).is_some() { Self::Day } else { Self::Any }
    }

    /// Whether its order is that of its letters, and means the same on both sides.
    pub(super) fn is_ordered_like(self, other: Self) -> bool {
        let is_plain = |form| matches!(form, Self::Any | Self::PersonalId | Self::Day);
        let is_day = |form| matches!(form, Self::Date | Self::Day);
        (is_plain(self) && is_plain(other)) || (is_day(self) && is_day(other))
    }
}

impl Kind {
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Number)
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// Whether values of the two can be equal. Objects and arrays are not compared as a whole.
    pub(super) fn is_comparable_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_) | Self::Array(_) | Self::List(_), Self::Null)
            | (Self::Null, Self::Object(_) | Self::Array(_) | Self::List(_)) => true,
            (Self::Object(_) | Self::Array(_) | Self::List(_), _)
            | (_, Self::Object(_) | Self::Array(_) | Self::List(_)) => false,
            (Self::Null, _) | (_, Self::Null) | (Self::Boolean, Self::Boolean) | (Self::Text(_), Self::Text(_)) => true,
            (a, b) => a.is_number() && b.is_number(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text(Form::Date) => "date",
            Self::Text(Form::PartialDate) => "partial-date",
            Self::Text(Form::DateTime) => "date-time",
            Self::Text(_) => "string",
            Self::Null => "null",
            Self::Object(_) => "object",
            Self::Array(_) | Self::List(_) => "array",
        })
    }
}

impl Shape<'_> {
    /// The kind of the values at a place, and whether null may stand there.
    pub(super) fn kind(&self, id: PlaceId) -> Option<(Kind, bool)> {
        let place = self.places.get(id as usize)?;
        let permitted = *self.permitted.get(id as usize)?;
        let value_type = match &place.element {
            Some(bound) => bound.element.value_type(),
            None if permitted & ARRAY == 0 && permitted & OBJECT != 0 => ValueType::Object,
            None if permitted & OBJECT == 0 && permitted & ARRAY != 0 => ValueType::Array,
            None => return None,
        };
        let kind = match value_type {
            ValueType::Boolean => Kind::Boolean,
            ValueType::Integer => Kind::Integer,
            ValueType::Number => Kind::Number,
            ValueType::String => Kind::Text(self.form(id)),
            ValueType::Object => Kind::Object(id),
            ValueType::Array => Kind::Array(place.items.filter(|_| place.prefix.is_empty())?),
        };
        Some((kind, permitted & NULL != 0))
    }

    fn form(&self, id: PlaceId) -> Form {
        let Some(bound) = &self.places[id as usize].element else { return Form::Any };
        match bound.element.format() {
            Some(ValueFormat::Date) => Form::Date,
            Some(ValueFormat::PartialDate) => Form::PartialDate,
            Some(ValueFormat::DateTime) => Form::DateTime,
            _ if bound.element.identifier() == Some(IdentifierRule::PersonalId) => Form::PersonalId,
            _ => Form::Any,
        }
    }

    pub(super) fn is_required(&self, id: PlaceId, name: &str) -> bool {
        self.required.get(id as usize).is_some_and(|names| names.contains(name))
    }

    /// The member of an object at a place.
    ///
    /// # Errors
    ///
    /// The schema does not have it.
    pub(super) fn member(&self, id: PlaceId, name: &str) -> Result<PlaceId, Text> {
        let known = self.places.get(id as usize).and_then(|place| place.fields.get(name));
        known.ok_or_else(|| {
            Text::new(
                format!("lược đồ không có trường `{name}` ở đây"),
                format!("the schema has no field `{name}` here"),
            )
        })
    }
}

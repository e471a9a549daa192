//! What the dictionary asks of each place of a record: compiled once, walked for every record.

use ldop_dictionary::{
    CodeList, Element, IdentifierRule, Scalar,
    identifier::{PersonalId, Sex},
};
use ldop_types::Date;

use crate::document::{Members, Node, Number, Value, fingerprint};

/// Index of a place in [`Plan::places`].
pub(crate) type PlaceId = u32;

/// Every place records of a schema can have. A place may contain itself, through `$ref`.
pub(crate) struct Plan {
    /// The root is the first.
    pub(crate) places: Vec<Place>,
    /// Known prefixes of personal ids, if the dictionary has the list.
    pub(crate) prefixes: Option<CodeList>,
}

/// One place of a record.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) element: Option<Bound>,
    pub(crate) fields: Fields,
    /// Members that are not among the fields.
    pub(crate) rest: Option<PlaceId>,
    /// The first items of an array, one by one.
    pub(crate) prefix: Vec<PlaceId>,
    /// All other items.
    pub(crate) items: Option<PlaceId>,
    /// Comparisons among the fields.
    pub(crate) checks: Vec<Check>,
}

/// An element with its code list at hand.
pub(crate) struct Bound {
    pub(crate) element: Element,
    pub(crate) codes: Option<CodeList>,
}

/// Compares a personal id with other fields of the same object. Names are those of fields.
pub(crate) struct Check {
    pub(crate) personal_id: FieldName,
    pub(crate) sex: Option<FieldName>,
    pub(crate) birth_date: Option<FieldName>,
}

/// A name with its mark.
#[derive(Clone)]
pub(crate) struct FieldName {
    pub(crate) name: Box<str>,
    pub(crate) fingerprint: u32,
}

impl FieldName {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), fingerprint: fingerprint(name) }
    }

    fn find<'d>(&self, members: Members<'d>) -> Option<Node<'d>> {
        members.find(&self.name, self.fingerprint)
    }
}

/// The named members of an object, found by the marks of their names.
#[derive(Default)]
pub(crate) struct Fields {
    fields: Vec<(FieldName, PlaceId)>,
    /// Open addressing by mark: index into `fields` plus one, 0 for none. A power of two, at most half full.
    table: Vec<u16>,
}

impl Fields {
    /// Most fields of one place.
    pub(crate) const MAX: usize = 10_000;

    /// Puts fields together; there are at most [`Fields::MAX`], with different names.
    pub(crate) fn new(fields: Vec<(FieldName, PlaceId)>) -> Self {
        let size = (fields.len() * 2).next_power_of_two();
        let mut table = vec![0u16; size];
        for (number, (name, _)) in (1u16..).zip(&fields) {
            let mut at = name.fingerprint as usize & (size - 1);
            while table[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            table[at] = number;
        }
        Self { fields, table }
    }

    #[inline]
    pub(crate) fn find(&self, name: &str, fingerprint: u32) -> Option<PlaceId> {
        let mask = self.table.len().checked_sub(1)?;
        let mut at = fingerprint as usize & mask;
        loop {
            let number = *self.table.get(at)?;
            let (field, place) = self.fields.get(usize::from(number).checked_sub(1)?)?;
            if field.fingerprint == fingerprint && *field.name == *name {
                return Some(*place);
            }
            at = (at + 1) & mask;
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<PlaceId> {
        self.find(name, fingerprint(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, PlaceId)> {
        self.fields.iter().map(|(name, place)| (&*name.name, *place))
    }

    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }
}

impl Place {
    /// The place of a member.
    #[inline]
    pub(crate) fn member(&self, name: &str, fingerprint: u32) -> Option<PlaceId> {
        self.fields.find(name, fingerprint).or(self.rest)
    }

    /// The place of an item.
    pub(crate) fn item(&self, index: usize) -> Option<PlaceId> {
        self.prefix.get(index).copied().or(self.items)
    }
}

/// What a walk without notes says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No rule is broken and nothing looks wrong.
    Clean,
    /// No rule is broken, but a warning is due.
    Warned,
    /// A rule is broken.
    Broken,
}

impl Plan {
    /// Walks a record without allocating. Recurses as deep as the record, which the parser bounds.
    pub(crate) fn verdict(&self, node: Node<'_>, on: Date) -> Verdict {
        let mut walk = Walk { plan: self, on, warned: false };
        match walk.fits(0, node) {
            false => Verdict::Broken,
            true if walk.warned => Verdict::Warned,
            true => Verdict::Clean,
        }
    }

    pub(crate) fn place(&self, place: PlaceId) -> &Place {
        &self.places[place as usize]
    }

    /// Whether the prefix of a personal id is in none of the known ones.
    pub(crate) fn doubts_prefix(&self, bound: &Bound, text: &str) -> bool {
        bound.element.identifier() == Some(IdentifierRule::PersonalId)
            && self
                .prefixes
                .as_ref()
                .is_some_and(|prefixes| PersonalId::parse(text).is_some_and(|id| !prefixes.contains(id.prefix())))
    }
}

struct Walk<'p> {
    plan: &'p Plan,
    on: Date,
    warned: bool,
}

impl Walk<'_> {
    fn fits(&mut self, place: PlaceId, node: Node<'_>) -> bool {
        let plan = self.plan;
        let place = plan.place(place);
        match node.value() {
            Value::Object(mut members) => {
                if place.element.as_ref().is_some_and(|bound| !bound.is_object()) {
                    return false;
                }
                let all = members;
                while let Some((mark, name, value)) = members.next_marked() {
                    if let Some(member) = place.member(name, mark)
                        && !self.fits(member, value)
                    {
                        return false;
                    }
                }
                self.warned |= place.checks.iter().any(|check| check.doubts(all).any());
                true
            }
            Value::Array(items) => {
                if place.element.as_ref().is_some_and(|bound| !bound.is_array()) {
                    return false;
                }
                items.enumerate().all(|(index, item)| place.item(index).is_none_or(|place| self.fits(place, item)))
            }
            // Whether null may stand there is for the schema to say.
            Value::Null => true,
            scalar => {
                let Some(bound) = &place.element else { return true };
                if let Value::Text(text) = scalar {
                    self.warned |= plan.doubts_prefix(bound, text);
                }
                bound.check(scalar, self.on).is_empty()
            }
        }
    }
}

impl Bound {
    /// The rules a scalar breaks.
    #[inline]
    pub(crate) fn check(&self, value: Value<'_>, on: Date) -> ldop_dictionary::RuleSet {
        let scalar = match value {
            Value::Text(text) => Scalar::Text(text),
            Value::Number(number) => scalar_of(number),
            Value::Boolean(boolean) => Scalar::Boolean(boolean),
            Value::Null | Value::Object(_) | Value::Array(_) => return ldop_dictionary::RuleSet::EMPTY,
        };
        self.element.check(scalar, on, self.codes.as_ref())
    }

    pub(crate) fn is_object(&self) -> bool {
        self.element.value_type() == ldop_dictionary::ValueType::Object
    }

    pub(crate) fn is_array(&self) -> bool {
        self.element.value_type() == ldop_dictionary::ValueType::Array
    }
}

fn scalar_of<'a>(number: Number<'_>) -> Scalar<'a> {
    number.as_integer().map_or_else(|| Scalar::Number(number.as_f64()), Scalar::Integer)
}

/// Which parts of a personal id do not agree with the other fields.
#[derive(Clone, Copy, Default)]
pub(crate) struct Doubts {
    pub(crate) sex: bool,
    pub(crate) birth_year: bool,
}

impl Doubts {
    pub(crate) fn any(self) -> bool {
        self.sex || self.birth_year
    }
}

impl Check {
    /// Compares, as far as the fields are there and well-formed.
    pub(crate) fn doubts(&self, members: Members<'_>) -> Doubts {
        let text = |field: &FieldName| field.find(members).and_then(|node| node.as_str());
        let Some(id) = text(&self.personal_id).and_then(PersonalId::parse) else { return Doubts::default() };
        let sex = self.sex.as_ref().and_then(text).and_then(Sex::parse_code);
        let year = self.birth_date.as_ref().and_then(text).and_then(ldop_dictionary::format::year);
        Doubts {
            sex: sex.is_some_and(|sex| sex != id.sex()),
            birth_year: year.is_some_and(|year| year != id.birth_year()),
        }
    }
}

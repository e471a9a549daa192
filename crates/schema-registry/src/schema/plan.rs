//! What the dictionary asks of each place of a record: compiled once, walked for every record.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU16, Ordering},
};

use ldop_dictionary::{
    CodeList, Element, IdentifierRule, Scalar,
    identifier::{PersonalId, Sex},
};
use ldop_types::{Date, Sensitivity};

use super::{
    bind::types,
    quick::{self, Test},
    rules::{FieldRule, MAX_RECORD_STEPS, Ruling},
};
use crate::document::{Members, Node, Number, Value, fingerprint, same};

/// Index of a place in [`Plan::places`].
pub(crate) type PlaceId = u32;

/// Every place records of a schema can have. A place may contain itself, through `$ref`.
pub(crate) struct Plan {
    /// The root is the first.
    pub(crate) places: Vec<Place>,
    /// Known prefixes of personal ids, if the dictionary has the list.
    pub(crate) prefixes: Option<CodeList>,
    /// Whether the shortcut knows every keyword of the schema.
    pub(crate) is_quick: bool,
    /// Every binding: pointer to the keyword, and the element.
    pub(crate) bindings: Vec<(String, Element)>,
    /// What the schema states and is looser than its element.
    pub(crate) looser: Vec<super::SchemaFinding>,
    /// Fields that every record has.
    pub(crate) required: BTreeSet<String>,
}

/// One place of a record.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) element: Option<Bound>,
    /// How personal the schema says it is.
    pub(crate) stated: Sensitivity,
    /// Whether the schema names the types and null is one of them.
    pub(crate) names_null: bool,
    pub(crate) fields: Fields,
    /// Members that are not among the fields.
    pub(crate) rest: Option<PlaceId>,
    /// The first items of an array, one by one.
    pub(crate) prefix: Vec<PlaceId>,
    /// All other items.
    pub(crate) items: Option<PlaceId>,
    /// Comparisons among the fields.
    pub(crate) checks: Vec<Check>,
    /// What the fields must be to each other.
    pub(crate) rules: Vec<FieldRule>,
    /// Types the schema permits. All scalars are among them where the element's own type decides.
    pub(crate) types: u8,
    /// What else the schema asks of the value, members and items left out.
    pub(crate) tests: Vec<Test>,
    /// Whether the schema forbids members that are not among the fields.
    pub(crate) is_closed: bool,
    /// Number of members the schema requires.
    pub(crate) required: usize,
}

/// What the shortcut knows of a place while it is compiled.
#[derive(Default)]
pub(crate) struct Shortcut {
    pub(crate) types: u8,
    pub(crate) tests: Vec<Test>,
    /// Names of members that must be there.
    pub(crate) required: BTreeSet<String>,
    /// Names of members that must not be there.
    pub(crate) forbidden: BTreeSet<String>,
    /// For each subschema that permits no other members: those it names.
    pub(crate) closed: Vec<BTreeSet<String>>,
}

impl Shortcut {
    pub(crate) fn permits(&self, name: &str) -> bool {
        !self.forbidden.contains(name) && self.closed.iter().all(|names| names.contains(name))
    }
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
    /// Where [`Noted`] has the member, for names that are asked for once its object has been walked.
    note: Option<u8>,
}

impl FieldName {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), fingerprint: fingerprint(name), note: None }
    }

    /// The member of this name. `noted` is of the same members.
    #[inline]
    pub(crate) fn find<'d>(&self, members: Members<'d>, noted: Option<&Noted>) -> Option<Node<'d>> {
        match (self.note, noted) {
            (Some(note), Some(noted)) => members.noted(noted.0[usize::from(note)]),
            _ => members.find(&self.name, self.fingerprint),
        }
    }
}

/// Most members noted of one object; the others are searched for.
const MAX_NOTES: usize = 16;

/// Where the members are that tests and comparisons of an object ask for: noted while it is walked, as indexes within
/// the document, so that nobody has to search for them. 0, which is the record itself, for those that are not there.
#[derive(Default)]
pub(crate) struct Noted([u32; MAX_NOTES]);

/// A named member.
pub(crate) struct Field {
    pub(crate) name: FieldName,
    pub(crate) place: PlaceId,
    pub(crate) is_required: bool,
    /// Whether it may be there at all.
    pub(crate) is_permitted: bool,
}

/// The named members of an object, found by the marks of their names.
#[derive(Default)]
pub(crate) struct Fields {
    fields: Vec<Field>,
    /// Open addressing by mark: index into `fields` plus one, 0 for none. A power of two, at most a quarter full.
    table: Vec<u16>,
    /// Which field stood behind each field in the first record that had it: index plus one, 0 while none is known. The
    /// first entry is that of the beginning. Records of one schema mostly come with their members in one order, so this
    /// is where the next is looked for first.
    followers: Vec<AtomicU16>,
    /// Number of fields that are noted.
    notes: u8,
}

impl Fields {
    /// Most fields of one place.
    pub(crate) const MAX: usize = 10_000;

    /// Puts fields together; there are at most [`Fields::MAX`], with different names.
    pub(crate) fn new(fields: Vec<Field>) -> Self {
        let size = (fields.len() * 4).next_power_of_two();
        let mut table = vec![0u16; size];
        for (number, field) in (1u16..).zip(&fields) {
            let mut at = field.name.fingerprint as usize & (size - 1);
            while table[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            table[at] = number;
        }
        let followers = std::iter::repeat_with(AtomicU16::default).take(fields.len() + 1).collect();
        Self { fields, table, followers, notes: 0 }
    }

    /// The field of this name. `behind` is the field found before, 0 at the beginning, and is this one then.
    #[inline]
    fn find_behind(&self, behind: &mut u16, name: &[u8], fingerprint: u32) -> Option<&Field> {
        let follower = self.followers.get(usize::from(*behind))?;
        let number = follower.load(Ordering::Relaxed);
        if let Some(field) = self.fields.get(usize::from(number).wrapping_sub(1))
            && field.name.fingerprint == fingerprint
            && same(field.name.name.as_bytes(), name)
        {
            *behind = number;
            return Some(field);
        }
        let found = self.number(name, fingerprint)?;
        if number == 0 {
            follower.store(found, Ordering::Relaxed);
        }
        *behind = found;
        self.fields.get(usize::from(found) - 1)
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8], fingerprint: u32) -> Option<&Field> {
        self.fields.get(usize::from(self.number(name, fingerprint)?) - 1)
    }

    /// Index of a field plus one.
    fn number(&self, name: &[u8], fingerprint: u32) -> Option<u16> {
        let mask = self.table.len().checked_sub(1)?;
        let mut at = fingerprint as usize & mask;
        loop {
            let number = *self.table.get(at)?;
            let field = self.fields.get(usize::from(number).checked_sub(1)?)?;
            if field.name.fingerprint == fingerprint && same(field.name.name.as_bytes(), name) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Has the field of this name noted, if there is one and there is room.
    fn take_note(&mut self, name: &mut FieldName) {
        let field = self.fields.iter_mut().find(|field| field.name.name == name.name);
        let Some(field) = field else { return };
        if field.name.note.is_none() && usize::from(self.notes) < MAX_NOTES {
            field.name.note = Some(self.notes);
            self.notes += 1;
        }
        name.note = field.name.note;
    }

    pub(crate) fn get(&self, name: &str) -> Option<PlaceId> {
        self.find(name.as_bytes(), fingerprint(name)).map(|field| field.place)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, PlaceId)> {
        self.fields.iter().map(|field| (&*field.name.name, field.place))
    }

    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }
}

impl Place {
    /// Whether the schema permits a value of this type, the element's rules aside.
    #[inline]
    fn permits_type_of(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Null => self.types & types::NULL != 0,
            Value::Object(_) => self.types & types::OBJECT != 0,
            Value::Array(_) => self.types & types::ARRAY != 0,
            scalar => self.types & types::SCALARS == types::SCALARS || self.types & quick::type_of(scalar) != 0,
        }
    }

    /// Has the fields noted that tests and comparisons of this place ask for.
    pub(crate) fn take_notes(&mut self) {
        let fields = &mut self.fields;
        quick::each_name(&mut self.tests, &mut |name| fields.take_note(name));
        for check in &mut self.checks {
            let others = check.sex.iter_mut().chain(&mut check.birth_date);
            others.chain([&mut check.personal_id]).for_each(|name| fields.take_note(name));
        }
        for rule in &mut self.rules {
            rule.each_name(&mut |name| fields.take_note(name));
        }
    }

    /// The place of an item.
    pub(crate) fn item(&self, index: usize) -> Option<PlaceId> {
        self.prefix.get(index).copied().or(self.items)
    }
}

/// What a walk without notes says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// A rule of the dictionary is broken; the walk ended there.
    pub(crate) is_broken: bool,
    /// A warning is due, or a rule across fields does not hold.
    pub(crate) is_warned: bool,
    /// The shortcut knows that the schema is kept. If not, the library is to be asked.
    pub(crate) is_valid: bool,
}

impl Plan {
    /// Walks a record without allocating. Recurses as deep as the record, which the parser bounds.
    pub(crate) fn verdict(&self, node: Node<'_>, on: Date) -> Verdict {
        let mut walk = Walk { plan: self, on, is_warned: false, is_valid: self.is_quick, steps: MAX_RECORD_STEPS };
        let fits = walk.fits(0, node);
        Verdict { is_broken: !fits, is_warned: walk.is_warned, is_valid: fits && walk.is_valid }
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
    is_warned: bool,
    is_valid: bool,
    /// Steps left to rules across fields.
    steps: u64,
}

impl Walk<'_> {
    /// Whether the dictionary's rules are kept, here and below.
    fn fits(&mut self, place: PlaceId, node: Node<'_>) -> bool {
        let plan = self.plan;
        let place = plan.place(place);
        let value = node.value();
        self.is_valid &= place.permits_type_of(&value);
        if !matches!(value, Value::Object(_)) {
            self.test(place, node, &value, None);
        }
        match value {
            Value::Object(members) => {
                let mut noted = Noted::default();
                if !place.element.as_ref().is_none_or(Bound::is_object) || !self.members_fit(place, members, &mut noted)
                {
                    return false;
                }
                self.test(place, node, &value, Some(&noted));
                self.is_warned |= place.checks.iter().any(|check| check.doubts(members, Some(&noted)).any());
                for rule in &place.rules {
                    self.is_warned |= rule.judge(plan, members, Some(&noted), &mut self.steps) != Ruling::Holds;
                }
                true
            }
            Value::Array(items) => {
                place.element.as_ref().is_none_or(Bound::is_array)
                    && items
                        .enumerate()
                        .all(|(index, item)| place.item(index).is_none_or(|place| self.fits(place, item)))
            }
            // Whether null may stand there is for the schema to say.
            Value::Null => true,
            scalar => {
                let Some(bound) = &place.element else { return true };
                if let Value::Text(text) = scalar {
                    self.is_warned |= plan.doubts_prefix(bound, text) || bound.element.doubts_form(text);
                }
                bound.check(scalar, self.on).is_empty()
            }
        }
    }

    /// Asks what the schema asks, unless the library is to be asked anyway.
    #[inline]
    fn test(&mut self, place: &Place, node: Node<'_>, value: &Value<'_>, noted: Option<&Noted>) {
        if self.is_valid && !place.tests.is_empty() {
            self.is_valid = quick::all(&place.tests, node, value, noted) == Some(true);
        }
    }

    fn members_fit(&mut self, place: &Place, members: Members<'_>, noted: &mut Noted) -> bool {
        let (mut required, mut behind) = (0, 0);
        let mut left = members;
        while let Some((mark, name, value)) = left.next_marked() {
            match place.fields.find_behind(&mut behind, name, mark) {
                Some(field) => {
                    required += usize::from(field.is_required);
                    self.is_valid &= field.is_permitted;
                    if let Some(note) = field.name.note {
                        noted.0[usize::from(note)] = value.index();
                    }
                    if !self.fits(field.place, value) {
                        return false;
                    }
                }
                None => {
                    self.is_valid &= !place.is_closed;
                    if place.rest.is_some_and(|rest| !self.fits(rest, value)) {
                        return false;
                    }
                }
            }
        }
        // Names are different, so as many as are required are those that are required. A required name that is no
        // field is never counted, and the library is asked.
        self.is_valid &= required == place.required;
        true
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
    pub(crate) fn doubts(&self, members: Members<'_>, noted: Option<&Noted>) -> Doubts {
        let text = |field: &FieldName| field.find(members, noted).and_then(|node| node.as_str());
        let Some(id) = text(&self.personal_id).and_then(PersonalId::parse) else { return Doubts::default() };
        let sex = self.sex.as_ref().and_then(text).and_then(Sex::parse_code);
        let year = self.birth_date.as_ref().and_then(text).and_then(ldop_dictionary::format::year);
        Doubts {
            sex: sex.is_some_and(|sex| sex != id.sex()),
            birth_year: year.is_some_and(|year| year != id.birth_year()),
        }
    }
}

//! Finds where values of certain elements stand in records: for reports, not for admission.

use std::fmt;

use ldop_dictionary::Element;

use super::{CompiledSchema, plan::PlaceId};
use crate::{
    document::{Document, Node, Value, fingerprint},
    pointer,
};

/// Stands in a pointer for an item of an array, and for a name the schema does not have.
const ANY: &str = "*";

/// Finds the values bound to certain elements in records of a schema.
#[derive(Clone)]
pub struct Finder {
    schema: CompiledSchema,
    /// Whether the place itself is meant, by place.
    meant: Vec<bool>,
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finder({:?})", self.schema)
    }
}

impl CompiledSchema {
    /// What finds values of the elements of which `is_meant` holds; none where the schema binds no such element.
    #[must_use]
    pub fn finder(&self, is_meant: impl Fn(&Element) -> bool) -> Option<Finder> {
        let places = self.0.plan.places.iter();
        let meant: Vec<bool> =
            places.map(|place| place.element.as_ref().is_some_and(|bound| is_meant(&bound.element))).collect();
        meant.contains(&true).then(|| Finder { schema: self.clone(), meant })
    }
}

impl Finder {
    /// Gives each text of the record at a meant place for which `is_wanted` holds, with an RFC 6901 pointer to it. Items
    /// of arrays, and names the schema does not have, are `*` there: a name may itself be personal data.
    pub fn find<'d>(
        &self,
        document: &'d Document<'_>,
        is_wanted: impl Fn(&str) -> bool,
        found: impl FnMut(String, &'d str),
    ) {
        Walk { finder: self, is_wanted, found, path: Vec::new() }.visit(0, document.root());
    }
}

struct Walk<'f, W, F> {
    finder: &'f Finder,
    is_wanted: W,
    found: F,
    path: Vec<&'f str>,
}

impl<'f, 'd, W: Fn(&str) -> bool, F: FnMut(String, &'d str)> Walk<'f, W, F> {
    /// Recurses as deep as the record, which the parser bounds.
    fn visit(&mut self, id: PlaceId, node: Node<'d>) {
        let finder = self.finder;
        let place = finder.schema.0.plan.place(id);
        match node.value() {
            Value::Object(members) => {
                for (name, value) in members {
                    match place.fields.find(name.as_bytes(), fingerprint(name)) {
                        Some(field) => self.step(&field.name.name, field.place, value),
                        None => place.rest.into_iter().for_each(|rest| self.step(ANY, rest, value)),
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.enumerate() {
                    place.item(index).into_iter().for_each(|place| self.step(ANY, place, item));
                }
            }
            Value::Text(text) if finder.meant[id as usize] && (self.is_wanted)(text) => {
                let mut pointer = String::new();
                self.path.iter().for_each(|name| pointer::push_name(&mut pointer, name));
                (self.found)(pointer, text);
            }
            Value::Text(_) | Value::Null | Value::Boolean(_) | Value::Number(_) => {}
        }
    }

    fn step(&mut self, name: &'f str, place: PlaceId, node: Node<'d>) {
        self.path.push(name);
        self.visit(place, node);
        self.path.pop();
    }
}

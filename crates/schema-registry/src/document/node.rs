//! Walking a document.

use super::{Document, Kind, Number, Slot, fingerprint, number::Form, same};

/// One value of a document. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Node<'d>(Place<'d>);

#[derive(Clone, Copy)]
enum Place<'d> {
    Slot(&'d Document<'d>, u32),
    /// A member's name as a value of its own, for `propertyNames`.
    Name(&'d str),
}

/// What a node holds.
#[derive(Clone, Copy)]
pub enum Value<'d> {
    /// null
    Null,
    /// true or false
    Boolean(bool),
    /// A number.
    Number(Number<'d>),
    /// A string, escapes decoded.
    Text(&'d str),
    /// An array.
    Array(Items<'d>),
    /// An object.
    Object(Members<'d>),
}

impl<'d> Document<'d> {
    /// The record itself.
    #[must_use]
    pub fn root(&'d self) -> Node<'d> {
        Node(Place::Slot(self, 0))
    }
}

impl<'d> Node<'d> {
    /// A node that holds a name.
    pub(crate) fn of_name(name: &'d str) -> Self {
        Self(Place::Name(name))
    }

    /// What it holds.
    #[must_use]
    #[inline(always)] // Else the value takes a way through memory before its kind is looked at.
    pub fn value(&self) -> Value<'d> {
        let (document, index) = match self.0 {
            Place::Slot(document, index) => (document, index),
            Place::Name(name) => return Value::Text(name),
        };
        let slot = document.slot(index);
        match slot.kind {
            Kind::Null => Value::Null,
            Kind::False => Value::Boolean(false),
            Kind::True => Value::Boolean(true),
            Kind::Unsigned | Kind::Negative | Kind::Large | Kind::Float => Value::Number(number(document, slot)),
            Kind::Plain => Value::Text(&document.text[slot.start as usize + 1..slot.end as usize - 1]),
            Kind::Escaped => {
                let (start, length) = (slot.payload as u32 as usize, (slot.payload >> 32) as usize);
                Value::Text(&document.decoded[start..start + length])
            }
            Kind::Array => Value::Array(Items { document, at: index + 1, left: slot.children() }),
            Kind::Object => Value::Object(Members { document, at: index + 1, left: slot.children() }),
        }
    }

    /// The string it holds, escapes decoded.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> Option<&'d str> {
        match self.value() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The object it holds.
    #[must_use]
    #[inline]
    pub fn as_object(&self) -> Option<Members<'d>> {
        match self.value() {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The array it holds.
    #[must_use]
    #[inline]
    pub fn as_array(&self) -> Option<Items<'d>> {
        match self.value() {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The value as it was sent, quotes and brackets included: what projection copies.
    #[must_use]
    pub fn raw(&self) -> &'d str {
        match self.0 {
            Place::Slot(document, index) => {
                let slot = document.slot(index);
                &document.text[slot.start as usize..slot.end as usize]
            }
            Place::Name(name) => name,
        }
    }

    /// The value as a tree of `serde_json`, for callers that are in no hurry.
    #[must_use]
    pub fn to_tree(&self) -> serde_json::Value {
        // Recurses at most as deep as the parser's limit allows.
        match self.value() {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(boolean) => boolean.into(),
            Value::Number(number) => serde_json::Value::Number(number.to_tree()),
            Value::Text(text) => text.into(),
            Value::Array(items) => items.map(|item| item.to_tree()).collect(),
            Value::Object(members) => members.map(|(name, value)| (name.to_owned(), value.to_tree())).collect(),
        }
    }

    /// Index within the document; 0 for the record itself, and for names.
    #[inline]
    pub(crate) fn index(&self) -> u32 {
        match self.0 {
            Place::Slot(_, index) => index,
            Place::Name(_) => 0,
        }
    }

    /// Address of the document and index within it; a name's own address.
    pub(crate) fn identity(&self) -> (usize, u32) {
        match self.0 {
            Place::Slot(document, index) => (std::ptr::from_ref(document) as usize, index),
            Place::Name(name) => (name.as_ptr() as usize, 0),
        }
    }
}

fn number<'d>(document: &'d Document<'d>, slot: &Slot) -> Number<'d> {
    let form = match slot.kind {
        Kind::Unsigned => Form::Unsigned(slot.payload),
        Kind::Negative => Form::Negative(slot.payload as i64),
        Kind::Large => Form::Large(f64::from_bits(slot.payload)),
        _ => Form::Float(f64::from_bits(slot.payload)),
    };
    Number { literal: &document.text[slot.start as usize..slot.end as usize], form }
}

/// The members of an object, in the order of the text: iterates over names and values.
#[derive(Clone, Copy)]
pub struct Members<'d> {
    document: &'d Document<'d>,
    at: u32,
    left: u32,
}

impl<'d> Members<'d> {
    /// The value of a member.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Node<'d>> {
        self.find(name, fingerprint(name))
    }

    /// The value of a member whose name's [`fingerprint`] is known.
    #[inline]
    pub(crate) fn find(&self, name: &str, fingerprint: u32) -> Option<Node<'d>> {
        let mut at = self.at;
        for _ in 0..self.left {
            let slot = self.document.slot(at);
            if slot.fingerprint == fingerprint && same(self.document.name_bytes(slot), name.as_bytes()) {
                return Some(Node(Place::Slot(self.document, at)));
            }
            at = slot.next(at);
        }
        None
    }

    /// The member whose [`index`](Node::index) was noted; none for 0.
    #[inline]
    pub(crate) fn noted(&self, index: u32) -> Option<Node<'d>> {
        (index != 0).then_some(Node(Place::Slot(self.document, index)))
    }

    /// The next member with the mark of its name.
    #[inline]
    pub(crate) fn next_marked(&mut self) -> Option<(u32, &'d [u8], Node<'d>)> {
        let (slot, node) = self.step()?;
        Some((slot.fingerprint, self.document.name_bytes(slot), node))
    }

    #[inline]
    fn step(&mut self) -> Option<(&'d Slot, Node<'d>)> {
        self.left = self.left.checked_sub(1)?;
        let slot = self.document.slot(self.at);
        let node = Node(Place::Slot(self.document, self.at));
        self.at = slot.next(self.at);
        Some((slot, node))
    }
}

impl<'d> Iterator for Members<'d> {
    type Item = (&'d str, Node<'d>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.step().map(|(slot, node)| (self.document.name(slot), node))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Members<'_> {}

/// The items of an array.
#[derive(Clone, Copy)]
pub struct Items<'d> {
    document: &'d Document<'d>,
    at: u32,
    left: u32,
}

impl<'d> Iterator for Items<'d> {
    type Item = Node<'d>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let node = Node(Place::Slot(self.document, self.at));
        self.at = self.document.slot(self.at).next(self.at);
        Some(node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

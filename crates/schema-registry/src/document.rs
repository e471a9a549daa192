//! A strict JSON document, parsed once and borrowed from the record's bytes.
//!
//! Validator, key extraction, projection and reader must see the same record, so whatever two parsers could read
//! differently is refused: a key that stands twice (also when written with other escapes), a lone surrogate, invalid
//! UTF-8, a number no double can hold, a byte order mark. RFC 8259 otherwise, no extensions.
//!
//! Values lie in one flat list in the order of the text, kept by the [`Parser`] from record to record, so a record
//! costs no allocation. Nothing recurses, so no nesting can overflow the stack.

mod flaw;
mod key;
mod node;
mod number;
mod parser;
mod scan;

pub use key::KEY_SEPARATOR;
pub use node::{Items, Members, Node, Value};
pub use number::Number;
pub use parser::{Limits, Parser};
pub(crate) use scan::{fingerprint, same};

/// A parsed record. Borrows the record's bytes and the parser's lists. Prints nothing of the record.
#[derive(Clone, Copy)]
pub struct Document<'d> {
    text: &'d str,
    slots: &'d [Slot],
    decoded: &'d str,
}

impl<'d> Document<'d> {
    /// The record as it was sent.
    #[must_use]
    pub fn text(&self) -> &'d str {
        self.text
    }

    /// Number of values, containers included.
    #[must_use]
    pub fn value_count(&self) -> usize {
        self.slots.len()
    }

    fn slot(&self, index: u32) -> &'d Slot {
        &self.slots[index as usize]
    }

    /// The name of the member whose value is `slot`.
    fn name(&self, slot: &Slot) -> &'d str {
        let source = if slot.name_is_decoded { self.decoded } else { self.text };
        &source[slot.name_range()]
    }

    /// The same as bytes, which needs no look at where characters begin.
    #[inline]
    fn name_bytes(&self, slot: &Slot) -> &'d [u8] {
        let source = if slot.name_is_decoded { self.decoded } else { self.text };
        &source.as_bytes()[slot.name_range()]
    }
}

impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({} bytes, {} values)", self.text.len(), self.slots.len())
    }
}

/// One value. Members carry their names, so an object is a run of slots.
#[derive(Clone, Copy)]
struct Slot {
    /// Where the value stands in the text, quotes and brackets included.
    start: u32,
    end: u32,
    /// The member's name, without quotes: in the text, or in the decoded texts when it has escapes.
    name_start: u32,
    name_length: u32,
    /// [`fingerprint`] of the name; 0 for items and the root.
    fingerprint: u32,
    kind: Kind,
    name_is_decoded: bool,
    /// Containers: index past the last value within, and the number of direct children (low and high half).
    /// Decoded texts: where they stand in `decoded`, start and length. Numbers: their bits.
    payload: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    False,
    True,
    /// An integer literal that fits `u64`; payload is the value.
    Unsigned,
    /// A negative integer literal that fits `i64`; payload is the value's bits.
    Negative,
    /// An integer literal that fits neither; payload is the bits of the nearest `f64`.
    Large,
    /// A literal with a fraction or exponent; payload is the bits of the nearest `f64`.
    Float,
    /// A string without escapes.
    Plain,
    /// A string with escapes.
    Escaped,
    Array,
    Object,
}

impl Slot {
    #[inline]
    fn name_range(&self) -> std::ops::Range<usize> {
        let start = self.name_start as usize;
        start..start + self.name_length as usize
    }

    /// Index of the value after this one and all it contains.
    fn next(&self, index: u32) -> u32 {
        match self.kind {
            Kind::Array | Kind::Object => self.payload as u32,
            _ => index + 1,
        }
    }

    /// Number of direct children of a container.
    fn children(&self) -> u32 {
        (self.payload >> 32) as u32
    }
}

fn pack(low: usize, high: usize) -> u64 {
    // Both are bounded by the limit on bytes, which fits 32 bits.
    (low as u64 & 0xFFFF_FFFF) | (high as u64) << 32
}

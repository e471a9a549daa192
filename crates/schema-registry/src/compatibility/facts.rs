//! What is known of a value: subschemas it is valid under, some it is not valid under, and the types it may have.

use super::{
    tree::{Id, Node, SchemaTree},
    types::{self, Types},
};

/// Most subschemas that are kept in mind at once. Forgetting one proves less, never more.
const MAX_FACTS: usize = 48;

/// A subschema of one of the two trees, and whether it is read as the lenient policy has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    /// No place of any tree.
    pub(super) const NOWHERE: Self = Self(u32::MAX);

    pub(super) fn new(side: usize, id: Id, is_lenient: bool) -> Self {
        Self(id << 2 | (side as u32 & 1) << 1 | u32::from(is_lenient))
    }

    pub(super) fn id(self) -> Id {
        self.0 >> 2
    }

    /// Which of the two trees.
    pub(super) fn side(self) -> usize {
        (self.0 >> 1 & 1) as usize
    }

    pub(super) fn is_lenient(self) -> bool {
        self.0 & 1 == 1
    }

    /// Another subschema of the same tree.
    pub(super) fn other(self, id: Id, is_lenient: bool) -> Self {
        Self::new(self.side(), id, is_lenient)
    }

    pub(super) fn strictly(self) -> Self {
        Self(self.0 & !1)
    }
}

/// The two schemas that are compared.
#[derive(Clone, Copy)]
pub(super) struct Trees<'s>(pub(super) [&'s SchemaTree; 2]);

impl<'s> Trees<'s> {
    pub(super) fn node(self, place: Place) -> &'s Node {
        self.0[place.side()].node(place.id())
    }

    pub(super) fn tree(self, place: Place) -> &'s SchemaTree {
        self.0[place.side()]
    }

    /// Follows subschemas that say nothing but where to look, and reads the last one leniently only if that is plain.
    pub(super) fn follow(self, mut place: Place) -> Place {
        // A circle of references leads nowhere; any place on it will do.
        for _ in 0..64 {
            let node = self.node(place);
            match node.reference.filter(|_| node.only_refers && node.local.element.is_none()) {
                Some(target) => place = place.other(target, place.is_lenient()),
                None => return if node.is_plain || node.only_refers { place } else { place.strictly() },
            }
        }
        place.strictly()
    }
}

/// What is known of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    /// None left: there is no such value.
    pub(super) types: Types,
    /// Subschemas it is valid under, in order; with each everything that it asks always.
    pub(super) kept: Vec<Place>,
    /// Subschemas it is not valid under, in order.
    pub(super) broken: Vec<Place>,
}

impl Facts {
    pub(super) fn none() -> Self {
        Self { types: types::ANY, kept: Vec::new(), broken: Vec::new() }
    }

    pub(super) fn of(trees: Trees<'_>, place: Place) -> Self {
        Self::none().with(trees, place)
    }

    /// There is no such value.
    pub(super) fn rule_out(&mut self) {
        self.types = 0;
    }

    pub(super) fn with(mut self, trees: Trees<'_>, place: Place) -> Self {
        self.keep(trees, place);
        self
    }

    pub(super) fn without(mut self, trees: Trees<'_>, place: Place) -> Self {
        self.refuse(trees, place);
        self
    }

    /// Adds that the value is valid under a subschema.
    pub(super) fn keep(&mut self, trees: Trees<'_>, place: Place) {
        let node = trees.node(place);
        let own = if node.is_plain { place } else { place.strictly() };
        if node.accepts_all {
            return;
        }
        let Err(at) = self.kept.binary_search(&own) else { return };
        let local = &node.local;
        self.types &= if local.refuses_all { 0 } else { local.types };
        for choice in [&local.enumeration, &local.constant].into_iter().flatten() {
            self.types &= choice.types;
        }
        if self.kept.len() >= MAX_FACTS {
            return;
        }
        self.kept.insert(at, own);
        if let Some(target) = node.reference {
            self.keep(trees, place.other(target, place.is_lenient() && node.only_refers));
        }
        for branch in &node.all_of {
            self.keep(trees, place.other(*branch, false));
        }
        if let Some(not) = node.not {
            self.refuse(trees, place.other(not, false));
        }
    }

    /// Adds that the value is not valid under a subschema.
    pub(super) fn refuse(&mut self, trees: Trees<'_>, place: Place) {
        if trees.node(place).accepts_all {
            return self.rule_out();
        }
        if let Err(at) = self.broken.binary_search(&place)
            && self.broken.len() < MAX_FACTS
        {
            self.broken.insert(at, place);
        }
    }
}

//! Tells that two subschemas say the same, word for word, with everything they refer to.

use hashbrown::{HashMap, HashSet};

use super::{
    budget::Budget,
    facts::{Place, Trees},
    tree::{Id, Node},
};

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Depth {
    /// What says something of values.
    Meaning,
    /// Annotations, too.
    Words,
}

/// Remembers what is the same.
pub(super) struct Same<'s> {
    trees: Trees<'s>,
    known: HashMap<(Place, Place, Depth), bool>,
}

impl<'s> Same<'s> {
    pub(super) fn new(trees: Trees<'s>) -> Self {
        Self { trees, known: HashMap::new() }
    }

    /// Whether two subschemas accept the same values because they are written alike. Two that refer back to themselves
    /// are the same if they are so as long as the references are taken to be.
    pub(super) fn are_same(&mut self, a: Place, b: Place, budget: &mut Budget) -> bool {
        self.compare(a, b, Depth::Meaning, budget)
    }

    /// Whether nothing at all differs.
    pub(super) fn are_identical(&mut self, a: Place, b: Place, budget: &mut Budget) -> bool {
        self.compare(a, b, Depth::Words, budget)
    }

    /// Whether two lists have the same subschemas in the same order.
    pub(super) fn are_lists_same(&mut self, a: &[Place], b: &[Place], budget: &mut Budget) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| self.are_same(*a, *b, budget))
    }

    fn compare(&mut self, a: Place, b: Place, depth: Depth, budget: &mut Budget) -> bool {
        let (a, b) = (a.strictly(), b.strictly());
        if a == b {
            return true;
        }
        let (first, second) = (self.trees.node(a), self.trees.node(b));
        if first.mark != second.mark {
            return false;
        }
        let is_long = first.local.enumeration.as_ref().is_some_and(|choice| choice.values.len() > 8);
        if first.is_leaf && second.is_leaf && depth == Depth::Words {
            return first.annotations == second.annotations && self.compare(a, b, Depth::Meaning, budget);
        }
        if first.is_leaf && second.is_leaf && !is_long {
            return budget.spend(1) && alike(first, second, depth);
        }
        if let Some(known) = self.known.get(&(a, b, depth)) {
            return *known;
        }
        let question = (a, b, depth);
        let mut assumed: HashSet<(Place, Place)> = HashSet::new();
        let mut left = vec![(a, b)];
        while let Some((a, b)) = left.pop() {
            if a == b || self.known.get(&(a, b, depth)) == Some(&true) {
                continue;
            }
            let (first, second) = (self.trees.node(a), self.trees.node(b));
            let is_alike = budget.spend(1) && first.mark == second.mark && alike(first, second, depth);
            if is_alike && !assumed.insert((a, b)) {
                continue;
            }
            let children = is_alike.then(|| children(first, second)).flatten();
            match children {
                Some(pairs) => left.extend(pairs.into_iter().map(|(x, y)| (a.other(x, false), b.other(y, false)))),
                None => {
                    self.known.insert(question, false);
                    return false;
                }
            }
        }
        self.known.extend(assumed.into_iter().map(|(a, b)| ((a, b, depth), true)));
        true
    }
}

fn alike(a: &Node, b: &Node, depth: Depth) -> bool {
    // The same words of another draft may mean something else, and so may a way that is followed at run time.
    a.draft == b.draft
        && !a.is_dynamic
        && !b.is_dynamic
        && a.local == b.local
        && (depth == Depth::Meaning || a.annotations == b.annotations)
}

/// The subschemas of both in pairs, if both have the same ones.
fn children(a: &Node, b: &Node) -> Option<Vec<(Id, Id)>> {
    let mut pairs = Vec::new();
    let one = |a: Option<Id>, b: Option<Id>, pairs: &mut Vec<(Id, Id)>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            pairs.push((a, b));
            true
        }
        _ => false,
    };
    let singles = |node: &Node| {
        [
            node.additional_properties,
            node.property_names,
            node.items,
            node.contains,
            node.not,
            node.condition,
            node.consequence,
            node.alternative,
            node.reference,
            node.unevaluated_properties,
            node.unevaluated_items,
        ]
    };
    if !singles(a).into_iter().zip(singles(b)).all(|(a, b)| one(a, b, &mut pairs)) {
        return None;
    }
    for (a, b) in [(&a.prefix_items, &b.prefix_items), (&a.all_of, &b.all_of)] {
        if a.len() != b.len() {
            return None;
        }
        pairs.extend(a.iter().copied().zip(b.iter().copied()));
    }
    for (a, b) in [(&a.any_of, &b.any_of), (&a.one_of, &b.one_of)] {
        match (a, b) {
            (None, None) => {}
            (Some(a), Some(b)) if a.len() == b.len() => pairs.extend(a.iter().copied().zip(b.iter().copied())),
            _ => return None,
        }
    }
    for (a, b) in [(&a.properties, &b.properties), (&a.dependent_schemas, &b.dependent_schemas)] {
        if a.len() != b.len() || !a.iter().zip(b).all(|(a, b)| a.0 == b.0) {
            return None;
        }
        pairs.extend(a.iter().zip(b).map(|(a, b)| (a.1, b.1)));
    }
    let (a, b) = (&a.pattern_properties, &b.pattern_properties);
    if a.len() != b.len() || !a.iter().zip(b).all(|(a, b)| a.0 == b.0) {
        return None;
    }
    pairs.extend(a.iter().zip(b).map(|(a, b)| (a.1, b.1)));
    Some(pairs)
}

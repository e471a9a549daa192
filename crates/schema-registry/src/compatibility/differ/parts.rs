//! Keywords of arrays, and those that join subschemas.

use super::{Differ, Doubt, Pair, Standing};
use crate::compatibility::{
    DifferenceKind::{self, *},
    Severity,
    facts::Place,
    prove::Family,
    tree::Id,
};

impl<'s> Differ<'_, 's> {
    pub(super) fn parts(&mut self, pair: &Pair<'s>) {
        self.items(pair);
        self.contains(pair);
        let all_of = [pair.old, pair.new].map(|node| {
            let list: Vec<Id> = node.all_of.iter().copied().chain(node.reference).collect();
            (!list.is_empty()).then_some(list)
        });
        let kinds = [AllOfAdded, AllOfRemoved, AllOfExtended, AllOfReduced];
        self.branches(pair, "allOf", kinds, Family::AllOf, [all_of[0].as_deref(), all_of[1].as_deref()], Doubt::None);
        let kinds = [AnyOfAdded, AnyOfRemoved, AnyOfExtended, AnyOfReduced];
        let lists = [pair.old.any_of.as_deref(), pair.new.any_of.as_deref()];
        self.branches(pair, "anyOf", kinds, Family::AnyOf, lists, Doubt::Branch);
        let kinds = [OneOfAdded, OneOfRemoved, OneOfExtended, OneOfReduced];
        let lists = [pair.old.one_of.as_deref(), pair.new.one_of.as_deref()];
        self.branches(pair, "oneOf", kinds, Family::OneOf, lists, Doubt::Both);
        match (pair.old.not, pair.new.not) {
            (Some(old), Some(new)) => {
                let places = [pair.places[0].other(old, false), pair.places[1].other(new, false)];
                let standing = Standing { is_flipped: !pair.standing.is_flipped, ..pair.standing };
                self.walk(places, standing);
            }
            (None, Some(_)) => self.note(pair, NotAdded, &["not"], Family::Not, ""),
            (Some(_), None) => self.note(pair, NotRemoved, &["not"], Family::Not, ""),
            (None, None) => {}
        }
        self.condition(pair);
        let rest = [pair.old.unevaluated_properties, pair.new.unevaluated_properties];
        self.rest(pair, UnevaluatedPropertiesChanged, "unevaluatedProperties", Family::UnevaluatedProperties, rest);
        let rest = [pair.old.unevaluated_items, pair.new.unevaluated_items];
        self.rest(pair, UnevaluatedItemsChanged, "unevaluatedItems", Family::UnevaluatedItems, rest);
    }

    fn items(&mut self, pair: &Pair<'s>) {
        let (old, new) = (pair.old, pair.new);
        let lenient = pair.places.map(Place::is_lenient);
        let both = |own: &mut Self, a: Id, b: Id| {
            let places = [pair.places[0].other(a, lenient[0]), pair.places[1].other(b, lenient[1])];
            own.walk(places, pair.standing);
        };
        for index in 0..old.prefix_items.len().max(new.prefix_items.len()) {
            let path = ["prefixItems", &index.to_string()];
            match (old.prefix_items.get(index), new.prefix_items.get(index)) {
                (Some(a), Some(b)) => both(self, *a, *b),
                (None, _) => self.note(pair, PrefixItemAdded, &path, Family::Items, ""),
                (_, None) => self.note(pair, PrefixItemRemoved, &path, Family::Items, ""),
            }
        }
        match (old.items, new.items) {
            (Some(a), Some(b)) => both(self, a, b),
            (None, Some(_)) => self.note(pair, ItemsAdded, &["items"], Family::Items, ""),
            (Some(_), None) => self.note(pair, ItemsRemoved, &["items"], Family::Items, ""),
            (None, None) => {}
        }
    }

    fn contains(&mut self, pair: &Pair<'s>) {
        let (old, new) = (pair.old, pair.new);
        let (a, b) = match (old.contains, new.contains) {
            (Some(a), Some(b)) => (a, b),
            (None, None) => return,
            (None, Some(_)) => return self.note(pair, ContainsAdded, &["contains"], Family::Contains, ""),
            (Some(_), None) => return self.note(pair, ContainsRemoved, &["contains"], Family::Contains, ""),
        };
        let counts_at_most = old.local.max_contains.or(new.local.max_contains).is_some();
        self.below(pair, a, b, if counts_at_most { Doubt::Both } else { Doubt::Branch });
        let least = (old.local.min_contains, new.local.min_contains);
        if least.0 != least.1 {
            let kind = if least.0 < least.1 { MinContainsIncreased } else { MinContainsDecreased };
            self.note(pair, kind, &["minContains"], Family::Contains, &format!("{} → {}", least.0, least.1));
        }
        let most = [old, new].map(|node| node.local.max_contains.unwrap_or(u64::MAX));
        if most[0] != most[1] {
            let kind = if most[0] < most[1] { MaxContainsIncreased } else { MaxContainsDecreased };
            self.note(pair, kind, &["maxContains"], Family::Contains, "");
        }
    }

    fn branches(
        &mut self,
        pair: &Pair<'s>,
        keyword: &str,
        [added, removed, extended, reduced]: [DifferenceKind; 4],
        family: Family,
        lists: [Option<&[Id]>; 2],
        doubt: Doubt,
    ) {
        let (old, new) = match lists {
            [None, None] => return,
            [None, Some(_)] => return self.note(pair, added, &[keyword], family, ""),
            [Some(_), None] => return self.note(pair, removed, &[keyword], family, ""),
            [Some(old), Some(new)] => (old, new),
        };
        let at = |side: usize, id: Id| pair.places[side].other(id, false);
        // Branches that are the same belong together; what is left over is paired in order.
        let mut left: Vec<(usize, Id)> = new.iter().copied().enumerate().collect();
        let mut alone: Vec<(usize, Id)> = Vec::new();
        for (index, id) in old.iter().copied().enumerate() {
            let same = left
                .iter()
                .position(|(_, other)| self.prover.same.are_same(at(0, id), at(1, *other), &mut self.prover.budget));
            match same {
                Some(position) => {
                    let (_, other) = left.remove(position);
                    self.below(pair, id, other, doubt);
                }
                None => alone.push((index, id)),
            }
        }
        let paired = alone.len().min(left.len());
        for ((_, old), (_, new)) in alone.iter().zip(&left) {
            self.below(pair, *old, *new, doubt);
        }
        for (index, _) in &left[paired..] {
            self.note(pair, extended, &[keyword, &index.to_string()], family, "");
        }
        for (index, _) in &alone[paired..] {
            self.note(pair, reduced, &[keyword, &index.to_string()], family, "");
        }
    }

    fn condition(&mut self, pair: &Pair<'s>) {
        let (old, new) = (pair.old, pair.new);
        match (old.condition, new.condition) {
            (None, None) => {}
            (None, Some(_)) => self.note(pair, ConditionAdded, &["if"], Family::Condition, ""),
            (Some(_), None) => self.note(pair, ConditionRemoved, &["if"], Family::Condition, ""),
            (Some(a), Some(b)) => {
                let places = [pair.places[0].other(a, false), pair.places[1].other(b, false)];
                if !self.prover.same.are_same(places[0], places[1], &mut self.prover.budget) {
                    self.note(pair, ConditionChanged, &["if"], Family::Condition, "");
                }
                self.below(pair, a, b, Doubt::Both);
                for (keyword, branches) in
                    [("then", [old.consequence, new.consequence]), ("else", [old.alternative, new.alternative])]
                {
                    match branches {
                        [Some(a), Some(b)] => self.below(pair, a, b, Doubt::Branch),
                        [None, None] => {}
                        _ => self.note(pair, ConditionChanged, &[keyword], Family::Condition, ""),
                    }
                }
            }
        }
    }

    fn rest(&mut self, pair: &Pair<'s>, kind: DifferenceKind, keyword: &str, family: Family, rest: [Option<Id>; 2]) {
        match rest {
            [None, None] => {}
            [Some(old), Some(new)] => {
                let places = [pair.places[0].other(old, false), pair.places[1].other(new, false)];
                let is_same = self.prover.same.are_same(places[0], places[1], &mut self.prover.budget);
                let severity = self.severity(pair, kind, |prover, facts, goal| prover.follows(facts, goal, family));
                // The same words may ask more of a value that other subschemas evaluate less of.
                if !is_same || severity != Severity::Compatible {
                    self.note_as(pair, kind, &[keyword], severity, "");
                }
            }
            _ => self.note(pair, kind, &[keyword], family, ""),
        }
    }
}

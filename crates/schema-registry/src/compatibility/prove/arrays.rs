//! Keywords of arrays.

use super::Prover;
use crate::compatibility::{
    facts::{Facts, Place},
    types::ARRAY,
};

impl Prover<'_> {
    /// What is known of the item at an index, if it is there.
    pub(in crate::compatibility) fn facts_of_item(&mut self, facts: &Facts, index: usize) -> Facts {
        let trees = self.trees;
        let mut item = Facts::none();
        for place in &facts.kept {
            let node = trees.node(*place);
            if node.local.items.most.is_some_and(|most| most <= index as u64) {
                item.rule_out();
            }
            if let Some(id) = node.prefix_items.get(index).copied().or(node.items) {
                item.keep(trees, place.other(id, place.is_lenient()));
            } else if let Some(rest) = node.unevaluated_items
                && let Some(covers) = self.may_evaluate(*place)
                && covers.iter().all(|cover| trees.node(*cover).prefix_items.len() <= index)
            {
                item.keep(trees, place.other(rest, false));
            }
        }
        item
    }

    /// Number of first items that some fact looks at apart from the others.
    fn longest_prefix(&self, facts: &Facts) -> usize {
        let trees = self.trees;
        let own = |place: &Place| {
            let node = trees.node(*place);
            let covers = node.unevaluated_items.and_then(|_| self.may_evaluate(*place)).unwrap_or_default();
            let longest = covers.iter().map(|cover| trees.node(*cover).prefix_items.len()).max();
            node.prefix_items.len().max(longest.unwrap_or(0))
        };
        facts.kept.iter().map(own).max().unwrap_or(0)
    }

    /// Whether each item from an index on is as `goal` asks for its index.
    pub(super) fn items_follow(&mut self, facts: &Facts, from: usize, goal: impl Fn(usize) -> Option<Place>) -> bool {
        // From there on all items are alike.
        let alike = self.longest_prefix(facts).max(from);
        (from..=alike).all(|index| {
            let Some(goal) = goal(index) else { return true };
            if !self.budget.spend(1) {
                return false;
            }
            let item = self.facts_of_item(facts, index);
            item.types == 0 || self.prove_of_part(&item, goal)
        })
    }

    pub(super) fn items(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        if facts.types & ARRAY == 0 || (node.prefix_items.is_empty() && node.items.is_none()) {
            return true;
        }
        let own = node.prefix_items.len();
        let at = |index: usize| {
            let id = node.prefix_items.get(index).copied().or(node.items)?;
            Some(goal.other(id, goal.is_lenient()))
        };
        (0..own).all(|index| self.item_follows(facts, index, at(index))) && self.items_follow(facts, own, at)
    }

    fn item_follows(&mut self, facts: &Facts, index: usize, goal: Option<Place>) -> bool {
        let Some(goal) = goal else { return true };
        let item = self.facts_of_item(facts, index);
        item.types == 0 || self.prove_of_part(&item, goal)
    }

    pub(super) fn contains(&mut self, facts: &Facts, goal: Place) -> bool {
        let trees = self.trees;
        let node = trees.node(goal);
        let Some(contains) = node.contains.filter(|_| facts.types & ARRAY != 0) else { return true };
        let wanted = goal.other(contains, false);
        let (least, most) = (node.local.min_contains, node.local.max_contains);
        self.contains_at_least(facts, wanted, least)
            && most.is_none_or(|most| self.contains_at_most(facts, wanted, most))
    }

    /// Whether at least so many items are valid under `wanted`.
    pub(in crate::compatibility) fn contains_at_least(&mut self, facts: &Facts, wanted: Place, least: u64) -> bool {
        if least == 0 {
            return true;
        }
        let trees = self.trees;
        let with_contains = facts.kept.iter().filter_map(|place| {
            let node = trees.node(*place);
            (node.local.min_contains >= least).then_some(place.other(node.contains?, false))
        });
        if with_contains.collect::<Vec<_>>().into_iter().any(|own| {
            let item = Facts::of(trees, own);
            self.prove_of_part(&item, wanted)
        }) {
            return true;
        }
        let has_items = facts.kept.iter().any(|place| trees.node(*place).local.items.least >= Some(least));
        has_items && self.items_follow(facts, 0, |_| Some(wanted))
    }

    /// Whether at most so many items are valid under `wanted`.
    pub(in crate::compatibility) fn contains_at_most(&mut self, facts: &Facts, wanted: Place, most: u64) -> bool {
        let trees = self.trees;
        let is_short = |place: &Place| trees.node(*place).local.items.most.is_some_and(|own| own <= most);
        if facts.kept.iter().any(is_short) {
            return true;
        }
        let with_contains = facts.kept.iter().filter_map(|place| {
            let node = trees.node(*place);
            let own = node.local.max_contains.filter(|own| *own <= most);
            own.and(node.contains).map(|id| place.other(id, false))
        });
        with_contains.collect::<Vec<_>>().into_iter().any(|own| {
            // What is counted by the goal must have been counted before.
            let item = Facts::of(trees, wanted);
            self.prove_of_part(&item, own)
        })
    }
}

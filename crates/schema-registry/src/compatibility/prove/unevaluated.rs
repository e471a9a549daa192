//! `unevaluatedProperties` and `unevaluatedItems`, where other subschemas look at the same value.
//!
//! Which members such a subschema looks at depends on which branches hold. Two bounds are enough: what is evaluated
//! whatever the value (the subschema itself, its references, each of its `allOf`), and what may be evaluated at all. A goal
//! is asked of everything outside of the first; a fact is used for what is outside of the second.

use super::{Prover, objects::Cover};
use crate::compatibility::{
    facts::{Facts, Place},
    types::{ARRAY, OBJECT},
};

/// Most subschemas at one place that are looked at together.
const MAX_REACH: usize = 256;

impl Prover<'_> {
    /// Subschemas that evaluate members of every value that is valid under `place`.
    pub(super) fn evaluates(&self, place: Place) -> Vec<Place> {
        self.reach(place, |node| node.all_of.iter().copied().chain(node.reference).collect())
    }

    /// Subschemas that may evaluate members; none where they may evaluate any member.
    pub(super) fn may_evaluate(&self, place: Place) -> Option<Vec<Place>> {
        let all = self.reach(place, |node| node.in_place().chain(node.reference).collect());
        if all.len() >= MAX_REACH {
            return None;
        }
        let is_bounded = |cover: &Place| {
            let node = self.trees.node(*cover);
            let is_own = *cover == place.strictly();
            !node.is_dynamic
                && node.additional_properties.is_none()
                && node.items.is_none()
                && node.contains.is_none()
                && (is_own || (node.unevaluated_properties.is_none() && node.unevaluated_items.is_none()))
        };
        all.iter().all(is_bounded).then_some(all)
    }

    fn reach(&self, place: Place, next: fn(&crate::compatibility::tree::Node) -> Vec<u32>) -> Vec<Place> {
        let mut all = vec![place.strictly()];
        let mut at = 0;
        while at < all.len() && all.len() < MAX_REACH {
            for id in next(self.trees.node(all[at])) {
                let other = place.other(id, false);
                if !all.contains(&other) {
                    all.push(other);
                }
            }
            at += 1;
        }
        all
    }

    pub(super) fn unevaluated_properties(&mut self, facts: &Facts, goal: Place) -> bool {
        let trees = self.trees;
        let node = trees.node(goal);
        let Some(rest) = node.unevaluated_properties.filter(|_| facts.types & OBJECT != 0) else { return true };
        let rest = goal.other(rest, false);
        let covers = self.evaluates(goal);
        let takes_all = |cover: &Place| {
            let node = trees.node(*cover);
            node.additional_properties.is_some() || (*cover != goal.strictly() && node.unevaluated_properties.is_some())
        };
        if covers.iter().any(takes_all) || !self.budget.spend(covers.len() as u64) {
            return !self.budget.is_exceeded;
        }
        let names = self.names(facts, goal);
        let is_covered = |name: &str| {
            covers.iter().any(|cover| {
                let cover = Cover::of(trees.node(*cover), name);
                cover.declared.is_some() || !cover.by_pattern.is_empty()
            })
        };
        let named = names.into_iter().filter(|name| !is_covered(name)).collect::<Vec<_>>();
        let named_follow = named.into_iter().all(|name| {
            let member = self.facts_of_member(facts, name);
            self.prove_of_part(&member, rest)
        });
        let excluded: Vec<&str> = covers
            .iter()
            .flat_map(|cover| &trees.node(*cover).pattern_properties)
            .map(|(pattern, _)| &*pattern.text)
            .collect();
        named_follow && self.unnamed_follow(facts, rest, None, &excluded)
    }

    pub(super) fn unevaluated_items(&mut self, facts: &Facts, goal: Place) -> bool {
        let trees = self.trees;
        let Some(rest) = trees.node(goal).unevaluated_items.filter(|_| facts.types & ARRAY != 0) else { return true };
        let covers = self.evaluates(goal);
        let takes_all = |cover: &Place| {
            let node = trees.node(*cover);
            node.items.is_some() || (*cover != goal.strictly() && node.unevaluated_items.is_some())
        };
        if covers.iter().any(takes_all) {
            return true;
        }
        let covered = covers.iter().map(|cover| trees.node(*cover).prefix_items.len()).max().unwrap_or(0);
        let rest = goal.other(rest, false);
        self.items_follow(facts, covered, |_| Some(rest))
    }
}

//! Facts that contradict each other.

use super::Prover;
use crate::compatibility::{
    facts::{Facts, Place},
    tree::Sizes,
    types::{ARRAY, NUMBER, OBJECT, STRING, Types},
    value::Number,
};

/// First items that are looked at for one that cannot be.
const FIRST_ITEMS: usize = 8;

impl Prover<'_> {
    /// The types for which the facts do not contradict each other, as far as that is seen.
    pub(super) fn possible_types(&mut self, facts: &Facts) -> Types {
        let mut types = facts.types;
        if types & NUMBER != 0 && self.has_no_number(facts) {
            types &= !NUMBER;
        }
        if types & STRING != 0 && self.cross(facts, |place, own| own.trees.node(place).local.length) {
            types &= !STRING;
        }
        if types & ARRAY != 0
            && (self.cross(facts, |place, own| own.trees.node(place).local.items) || self.has_no_array(facts))
        {
            types &= !ARRAY;
        }
        if types & OBJECT != 0
            && (self.cross(facts, |place, own| own.trees.node(place).local.properties) || self.has_no_object(facts))
        {
            types &= !OBJECT;
        }
        types
    }

    /// Whether something that does not hold follows from what holds.
    pub(super) fn contradicts(&mut self, facts: &Facts) -> bool {
        if facts.broken.is_empty() {
            return false;
        }
        let kept = Facts { broken: Vec::new(), ..facts.clone() };
        facts.broken.iter().any(|place| self.prove(&kept, *place))
    }

    fn cross(&self, facts: &Facts, sizes: fn(Place, &Self) -> Sizes) -> bool {
        let all = || facts.kept.iter().map(|place| sizes(*place, self));
        let least = all().filter_map(|sizes| sizes.least).max();
        let most = all().filter_map(|sizes| sizes.most).min();
        least.zip(most).is_some_and(|(least, most)| least > most)
    }

    fn has_no_number(&self, facts: &Facts) -> bool {
        let limits = || facts.kept.iter().map(|place| &self.trees.node(*place).local.numbers);
        let lower: Vec<(&Number, bool)> = limits()
            .flat_map(|own| [own.minimum.as_ref().zip(Some(false)), own.exclusive_minimum.as_ref().zip(Some(true))])
            .flatten()
            .collect();
        let upper: Vec<(&Number, bool)> = limits()
            .flat_map(|own| [own.maximum.as_ref().zip(Some(false)), own.exclusive_maximum.as_ref().zip(Some(true))])
            .flatten()
            .collect();
        lower.iter().any(|(low, low_excluded)| {
            upper.iter().any(|(high, high_excluded)| {
                high.below(low) || ((*low_excluded || *high_excluded) && high.at_most(low))
            })
        })
    }

    fn has_no_array(&mut self, facts: &Facts) -> bool {
        let least = facts.kept.iter().filter_map(|place| self.trees.node(*place).local.items.least).max().unwrap_or(0);
        let seen = usize::try_from(least).unwrap_or(usize::MAX).min(FIRST_ITEMS);
        (0..seen).any(|index| {
            let item = self.facts_of_item(facts, index);
            self.is_part_impossible(&item)
        })
    }

    fn has_no_object(&mut self, facts: &Facts) -> bool {
        let trees = self.trees;
        let most = facts.kept.iter().filter_map(|place| trees.node(*place).local.properties.most).min();
        let mut names: Vec<&str> =
            facts.kept.iter().flat_map(|place| &trees.node(*place).local.required).map(|name| &**name).collect();
        names.sort_unstable();
        names.dedup();
        if most.is_some_and(|most| most < names.len() as u64) {
            return true;
        }
        names.into_iter().any(|name| {
            let member = self.facts_of_member(facts, name);
            self.is_part_impossible(&member)
        })
    }
}

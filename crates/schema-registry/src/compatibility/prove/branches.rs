//! Keywords that join subschemas.

use super::Prover;
use crate::compatibility::{
    facts::{Facts, Place},
    types,
};

impl Prover<'_> {
    pub(super) fn all_of(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        let reference = node.reference.map(|id| goal.other(id, goal.is_lenient() && node.only_refers));
        reference.is_none_or(|goal| self.prove(facts, goal))
            && node.all_of.iter().all(|id| self.prove(facts, goal.other(*id, false)))
    }

    pub(super) fn any_of(&mut self, facts: &Facts, goal: Place) -> bool {
        match &self.trees.node(goal).any_of {
            None => true,
            Some(branches) => branches.iter().any(|id| self.prove(facts, goal.other(*id, false))),
        }
    }

    /// One branch holds, and no other can.
    pub(super) fn one_of(&mut self, facts: &Facts, goal: Place) -> bool {
        let Some(branches) = &self.trees.node(goal).one_of else { return true };
        branches.iter().enumerate().any(|(index, id)| {
            self.prove(facts, goal.other(*id, false))
                && branches.iter().enumerate().all(|(other, id)| {
                    other == index || {
                        let both = facts.clone().with(self.trees, goal.other(*id, false));
                        self.is_impossible(&both)
                    }
                })
        })
    }

    pub(super) fn not(&mut self, facts: &Facts, goal: Place) -> bool {
        let Some(not) = self.trees.node(goal).not else { return true };
        let both = facts.clone().with(self.trees, goal.other(not, false));
        self.is_impossible(&both)
    }

    pub(super) fn condition(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        let Some(condition) = node.condition else { return true };
        let condition = goal.other(condition, false);
        let kept = node.consequence.is_none_or(|id| {
            let facts = facts.clone().with(self.trees, condition);
            self.prove(&facts, goal.other(id, false))
        });
        kept && node.alternative.is_none_or(|id| {
            let facts = facts.clone().without(self.trees, condition);
            self.prove(&facts, goal.other(id, false))
        })
    }

    /// Whether the goal is reached in each case that the facts leave.
    pub(super) fn by_cases(&mut self, facts: &Facts, goal: Option<Place>) -> bool {
        for place in &facts.kept {
            if let Some(cases) = self.cases(facts, *place) {
                return cases.iter().all(|case| match goal {
                    Some(goal) => self.prove(case, goal),
                    None => self.is_impossible(case),
                });
            }
        }
        // A goal with branches may have one for each type.
        let Some(goal) = goal else { return false };
        let node = self.trees.node(goal);
        let has_branches = node.any_of.is_some() || node.one_of.is_some() || node.condition.is_some();
        if !has_branches || facts.types.count_ones() < 2 || facts.types == types::NUMBER {
            return false;
        }
        let mut singles = [types::NULL, types::BOOLEAN, types::NUMBER, types::STRING, types::ARRAY, types::OBJECT]
            .into_iter()
            .map(|one| facts.types & one)
            .filter(|one| *one != 0);
        singles.all(|types| self.prove(&Facts { types, ..facts.clone() }, goal))
    }

    /// The cases of the first disjunction of a subschema that is not decided by the facts already.
    fn cases(&mut self, facts: &Facts, place: Place) -> Option<Vec<Facts>> {
        let trees = self.trees;
        let node = trees.node(place);
        let at = |id: &u32| place.other(*id, false);
        let is_kept = |id: &u32| facts.kept.binary_search(&at(id)).is_ok() || trees.node(at(id)).accepts_all;
        let is_broken = |id: &u32| facts.broken.binary_search(&at(id)).is_ok();
        if let Some(branches) = &node.any_of
            && !branches.iter().any(is_kept)
        {
            return Some(branches.iter().map(|id| facts.clone().with(trees, at(id))).collect());
        }
        if let Some(branches) = &node.one_of
            && !branches.iter().enumerate().any(|(index, id)| {
                is_kept(id) && branches.iter().enumerate().all(|(other, id)| other == index || is_broken(id))
            })
        {
            let case = |chosen: usize| {
                let mut case = facts.clone();
                for (index, id) in branches.iter().enumerate() {
                    if index == chosen {
                        case.keep(trees, at(id));
                    } else {
                        case.refuse(trees, at(id));
                    }
                }
                case
            };
            return Some((0..branches.len()).map(case).collect());
        }
        let condition = node.condition?;
        let has_both = node.consequence.or(node.alternative).is_some();
        if !has_both || is_kept(&condition) || is_broken(&condition) {
            return None;
        }
        let mut kept = facts.clone().with(trees, at(&condition));
        node.consequence.iter().for_each(|id| kept.keep(trees, at(id)));
        let mut broken = facts.clone().without(trees, at(&condition));
        node.alternative.iter().for_each(|id| broken.keep(trees, at(id)));
        Some(vec![kept, broken])
    }
}

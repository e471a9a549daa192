//! Keywords that join subschemas.

use super::Prover;
use crate::compatibility::{
    budget::Budget,
    facts::{Facts, Place, Trees},
    same::Same,
    tree::{Id, Node},
    types,
};

impl<'s> Prover<'s> {
    pub(super) fn all_of(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        let reference = node.reference.map(|id| goal.other(id, goal.is_lenient() && node.only_refers));
        reference.is_none_or(|goal| self.prove(facts, goal))
            && node.all_of.iter().all(|id| self.prove(facts, goal.other(*id, false)))
    }

    pub(super) fn any_of(&mut self, facts: &Facts, goal: Place) -> bool {
        match &self.trees.node(goal).any_of {
            None => true,
            Some(branches) => {
                self.has_same(facts, goal, branches, |node| node.any_of.as_deref())
                    || branches.iter().any(|id| self.prove(facts, goal.other(*id, false)))
            }
        }
    }

    /// Whether some fact has the same list of subschemas under a keyword.
    fn has_same(&mut self, facts: &Facts, goal: Place, ids: &[Id], of: fn(&Node) -> Option<&[Id]>) -> bool {
        let goals: Vec<Place> = ids.iter().map(|id| goal.other(*id, false)).collect();
        facts.kept.iter().any(|place| {
            of(self.trees.node(*place)).is_some_and(|own| {
                let own: Vec<Place> = own.iter().map(|id| place.other(*id, false)).collect();
                self.same.are_lists_same(&own, &goals, &mut self.budget)
            })
        })
    }

    /// One branch holds, and no other can.
    pub(super) fn one_of(&mut self, facts: &Facts, goal: Place) -> bool {
        let Some(branches) = &self.trees.node(goal).one_of else { return true };
        if self.has_same(facts, goal, branches, |node| node.one_of.as_deref()) {
            return true;
        }
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
        if self.has_same(facts, goal, &[not], |node| node.not.as_slice().into()) {
            return true;
        }
        let both = facts.clone().with(self.trees, goal.other(not, false));
        self.is_impossible(&both)
    }

    pub(super) fn condition(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        let Some(condition) = node.condition else { return true };
        let trees = self.trees;
        let is_asked = facts.kept.iter().any(|place| {
            let own = trees.node(*place);
            let pair = |a: Option<Id>, b: Option<Id>, same: &mut Same<'s>, budget: &mut Budget| match (a, b) {
                (_, None) => true,
                (Some(a), Some(b)) => same.are_same(place.other(a, false), goal.other(b, false), budget),
                (None, Some(_)) => false,
            };
            own.condition.is_some()
                && pair(own.condition, node.condition, &mut self.same, &mut self.budget)
                && pair(own.consequence, node.consequence, &mut self.same, &mut self.budget)
                && pair(own.alternative, node.alternative, &mut self.same, &mut self.budget)
        });
        if is_asked {
            return true;
        }
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
            if let Some(choice) = self.undecided(facts, *place) {
                return (0..choice.count()).all(|index| {
                    // A case is made of all branches.
                    if !self.budget.spend(choice.count() as u64 / 8) {
                        return false;
                    }
                    let case = choice.case(self.trees, facts, *place, index);
                    match goal {
                        Some(goal) => self.prove(&case, goal),
                        None => self.is_impossible(&case),
                    }
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

    /// The first disjunction of a subschema that is not decided by the facts already.
    fn undecided(&self, facts: &Facts, place: Place) -> Option<Disjunction<'s>> {
        let node = self.trees.node(place);
        let at = |id: &Id| place.other(*id, false);
        let is_kept = |id: &Id| facts.kept.binary_search(&at(id)).is_ok() || self.trees.node(at(id)).accepts_all;
        let is_broken = |id: &Id| facts.broken.binary_search(&at(id)).is_ok();
        if let Some(branches) = &node.any_of
            && !branches.iter().any(is_kept)
        {
            return Some(Disjunction::Any(branches));
        }
        if let Some(branches) = &node.one_of
            && !branches.iter().enumerate().any(|(index, id)| {
                is_kept(id) && branches.iter().enumerate().all(|(other, id)| other == index || is_broken(id))
            })
        {
            return Some(Disjunction::One(branches));
        }
        let condition = node.condition.filter(|_| node.consequence.or(node.alternative).is_some())?;
        let is_decided = is_kept(&condition) || is_broken(&condition);
        (!is_decided).then_some(Disjunction::If(condition, [node.consequence, node.alternative]))
    }
}

/// Branches of which one must hold.
enum Disjunction<'s> {
    Any(&'s [Id]),
    One(&'s [Id]),
    /// A condition, and what follows if it holds and if it does not.
    If(Id, [Option<Id>; 2]),
}

impl Disjunction<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Any(branches) | Self::One(branches) => branches.len(),
            Self::If(..) => 2,
        }
    }

    /// The facts in one of the cases.
    fn case(&self, trees: Trees<'_>, facts: &Facts, place: Place, chosen: usize) -> Facts {
        let at = |id: Id| place.other(id, false);
        let mut case = facts.clone();
        match self {
            Self::Any(branches) => case.keep(trees, at(branches[chosen])),
            Self::One(branches) => {
                for (index, id) in branches.iter().enumerate() {
                    if index == chosen {
                        case.keep(trees, at(*id));
                    } else {
                        case.refuse(trees, at(*id));
                    }
                }
            }
            Self::If(condition, follows) => {
                if chosen == 0 {
                    case.keep(trees, at(*condition));
                } else {
                    case.refuse(trees, at(*condition));
                }
                follows[chosen].iter().for_each(|id| case.keep(trees, at(*id)));
            }
        }
        case
    }
}

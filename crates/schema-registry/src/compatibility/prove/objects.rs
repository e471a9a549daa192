//! Keywords of objects.

use super::Prover;
use crate::compatibility::{
    evaluate::{Judge, Passed},
    facts::{Facts, Place},
    tree::{Id, Node},
    types::{OBJECT, STRING},
};

/// What a subschema says of a member of a certain name.
pub(in crate::compatibility) struct Cover {
    pub(in crate::compatibility) declared: Option<Id>,
    pub(in crate::compatibility) by_pattern: Vec<Id>,
    /// Of a pattern it could not be told whether it matches.
    pub(in crate::compatibility) is_unclear: bool,
}

impl Cover {
    pub(in crate::compatibility) fn of(node: &Node, name: &str) -> Self {
        let mut cover = Self { declared: node.property(name), by_pattern: Vec::new(), is_unclear: false };
        for (pattern, id) in &node.pattern_properties {
            match pattern.is_match(name) {
                Some(true) => cover.by_pattern.push(*id),
                Some(false) => {}
                None => cover.is_unclear = true,
            }
        }
        cover
    }

    /// No subschema but the additional one looks at it.
    fn is_additional(&self) -> bool {
        self.declared.is_none() && self.by_pattern.is_empty() && !self.is_unclear
    }

    /// Exactly the declared subschema looks at it.
    pub(in crate::compatibility) fn is_declared_only(&self) -> bool {
        self.declared.is_some() && self.by_pattern.is_empty() && !self.is_unclear
    }
}

impl<'s> Prover<'s> {
    /// What is known of the member of a certain name, if it is there.
    pub(in crate::compatibility) fn facts_of_member(&mut self, facts: &Facts, name: &str) -> Facts {
        let mut member = Facts::none();
        for place in &facts.kept {
            let node = self.trees.node(*place);
            self.budget.spend(node.pattern_properties.len() as u64);
            let cover = Cover::of(node, name);
            let is_lenient = place.is_lenient() && cover.is_declared_only();
            if let Some(id) = cover.declared {
                member.keep(self.trees, place.other(id, is_lenient));
            }
            for id in &cover.by_pattern {
                member.keep(self.trees, place.other(*id, false));
            }
            if cover.is_additional() {
                self.keep_additional(&mut member, *place);
            }
            if let Some(rest) = node.unevaluated_properties
                && let Some(covers) = self.may_evaluate(*place)
                && covers.iter().all(|cover| Cover::of(self.trees.node(*cover), name).is_additional())
            {
                member.keep(self.trees, place.other(rest, false));
            }
        }
        member
    }

    /// Adds what is known of a member that nothing else of the subschema looks at.
    fn keep_additional(&self, member: &mut Facts, place: Place) {
        match self.trees.node(place).additional_properties {
            _ if self.is_closed(place) => member.rule_out(),
            Some(rest) => member.keep(self.trees, place.other(rest, place.is_lenient())),
            None => {}
        }
    }

    /// Subschemas of the goal that look at the member of a certain name.
    fn goals_of_member(&self, goal: Place, name: &str) -> Vec<Place> {
        let node = self.trees.node(goal);
        let cover = Cover::of(node, name);
        let is_lenient = goal.is_lenient() && cover.is_declared_only();
        let mut goals: Vec<Place> = cover.declared.iter().map(|id| goal.other(*id, is_lenient)).collect();
        goals.extend(cover.by_pattern.iter().map(|id| goal.other(*id, false)));
        if cover.is_unclear {
            goals.extend(node.pattern_properties.iter().map(|(_, id)| goal.other(*id, false)));
        }
        if cover.declared.is_none() && cover.by_pattern.is_empty() {
            goals.extend(self.goal_of_additional(goal));
        }
        goals
    }

    /// The subschema of the goal that looks at members nothing else looks at. A lenient reader drops them where it is
    /// closed.
    fn goal_of_additional(&self, goal: Place) -> Option<Place> {
        let rest = goal.other(self.trees.node(goal).additional_properties?, goal.is_lenient());
        (!(goal.is_lenient() && self.trees.node(rest).local.refuses_all)).then_some(rest)
    }

    /// Whether the member of a certain name, if it is there, is as the goal asks.
    pub(in crate::compatibility) fn member_follows(&mut self, facts: &Facts, goal: Place, name: &str) -> bool {
        if !self.budget.spend(1 + self.trees.node(goal).pattern_properties.len() as u64) {
            return false;
        }
        let goals = self.goals_of_member(goal, name);
        if goals.is_empty() {
            return true;
        }
        let member = self.facts_of_member(facts, name);
        goals.into_iter().all(|goal| self.prove_of_part(&member, goal))
    }

    /// Whether a member whose name no schema declares is as the goal's additional subschema asks.
    pub(in crate::compatibility) fn others_follow(&mut self, facts: &Facts, goal: Place) -> bool {
        let Some(rest) = self.goal_of_additional(goal) else { return true };
        // It matches none of the goal's patterns.
        let excluded: Vec<&str> =
            self.trees.node(goal).pattern_properties.iter().map(|(pattern, _)| &*pattern.text).collect();
        self.unnamed_follow(facts, rest, None, &excluded)
    }

    /// Whether a member whose name matches a pattern of the goal, and which no schema declares, is as it asks.
    fn matching_follow(&mut self, facts: &Facts, goal: Place, pattern: &str) -> bool {
        let node = self.trees.node(goal);
        let all = node.pattern_properties.iter().filter(|(own, _)| &*own.text == pattern);
        let goals: Vec<Place> = all.map(|(_, id)| goal.other(*id, false)).collect();
        goals.into_iter().all(|goal| self.unnamed_follow(facts, goal, Some(pattern), &[]))
    }

    /// The same for a member whose name is known to match one pattern, and to match none of others.
    pub(super) fn unnamed_follow(
        &mut self,
        facts: &Facts,
        goal: Place,
        matches: Option<&str>,
        excluded: &[&str],
    ) -> bool {
        let trees = self.trees;
        let mut certain = Facts::none();
        let mut unclear: Vec<(Place, Vec<Place>)> = Vec::new();
        for place in &facts.kept {
            let node = trees.node(*place);
            let mut possible: Vec<Place> = Vec::new();
            let mut is_matched = false;
            for (pattern, id) in &node.pattern_properties {
                if matches == Some(&*pattern.text) {
                    is_matched = true;
                    certain.keep(trees, place.other(*id, false));
                } else if !excluded.contains(&&*pattern.text) {
                    possible.push(place.other(*id, false));
                }
            }
            if let Some(rest) = node.unevaluated_properties
                && let Some(covers) = self.may_evaluate(*place)
                && covers.iter().all(|cover| trees.node(*cover).pattern_properties.is_empty())
            {
                certain.keep(trees, place.other(rest, false));
            }
            if is_matched {
                continue;
            }
            if possible.is_empty() {
                self.keep_additional(&mut certain, *place);
            } else {
                unclear.push((*place, possible));
            }
        }
        if self.prove_of_part(&certain, goal) {
            return true;
        }
        // One of the patterns looks at it, or none does: one subschema for which each case suffices is enough.
        unclear.into_iter().any(|(place, possible)| {
            let mut additional = certain.clone();
            self.keep_additional(&mut additional, place);
            self.prove_of_part(&additional, goal)
                && possible.into_iter().all(|case| {
                    let case = certain.clone().with(trees, case);
                    self.prove_of_part(&case, goal)
                })
        })
    }

    /// Names that are declared on either side: all others are alike.
    pub(super) fn names(&self, facts: &Facts, goal: Place) -> Vec<&'s str> {
        let trees = self.trees;
        let lists = facts.kept.iter().chain([&goal]).map(|place| &trees.node(*place).properties);
        let mut names: Vec<&'s str> = lists.flatten().map(|(name, _)| &**name).collect();
        for place in facts.kept.iter().chain([&goal]) {
            if trees.node(*place).unevaluated_properties.is_some() {
                let covers = self.may_evaluate(*place).unwrap_or_default().into_iter().chain(self.evaluates(*place));
                names.extend(covers.flat_map(|cover| &trees.node(cover).properties).map(|(name, _)| &**name));
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) fn properties(&mut self, facts: &Facts, goal: Place) -> bool {
        let node = self.trees.node(goal);
        let asks_nothing =
            node.properties.is_empty() && node.pattern_properties.is_empty() && node.additional_properties.is_none();
        if asks_nothing || facts.types & OBJECT == 0 {
            return true;
        }
        self.names(facts, goal).into_iter().all(|name| self.member_follows(facts, goal, name))
            && node.pattern_properties.iter().all(|(pattern, _)| self.matching_follow(facts, goal, &pattern.text))
            && self.others_follow(facts, goal)
    }

    pub(super) fn required(&mut self, facts: &Facts, goal: Place) -> bool {
        facts.types & OBJECT == 0
            || self.trees.node(goal).local.required.iter().all(|name| self.is_required(facts, goal, name))
    }

    /// Whether a member is there: because a fact asks for it, or because a lenient reader fills it in.
    pub(in crate::compatibility) fn is_required(&mut self, facts: &Facts, goal: Place, name: &str) -> bool {
        let trees = self.trees;
        let requires = |place: &Place, name: &str| {
            trees.node(*place).local.required.binary_search_by(|own| (**own).cmp(name)).is_ok()
        };
        let asks = |name: &str| facts.kept.iter().any(|place| requires(place, name));
        let follows = |name: &str| {
            facts.kept.iter().any(|place| {
                let dependent = &trees.node(*place).local.dependent_required;
                dependent.iter().any(|(when, names)| asks(when) && names.iter().any(|own| **own == *name))
            })
        };
        // A lenient reader that is closed drops what it does not declare, even if it asks for it.
        let is_dropped = goal.is_lenient()
            && Cover::of(trees.node(goal), name).is_additional()
            && trees
                .node(goal)
                .additional_properties
                .is_some_and(|id| trees.node(goal.other(id, false)).local.refuses_all);
        !is_dropped && (asks(name) || follows(name) || (goal.is_lenient() && self.has_good_default(goal, name)))
    }

    /// Whether a lenient reader has a default for a member that it accepts itself.
    pub(in crate::compatibility) fn has_good_default(&mut self, goal: Place, name: &str) -> bool {
        let node = self.trees.node(goal);
        let cover = Cover::of(node, name);
        let Some(id) = cover.declared.filter(|_| cover.is_declared_only()) else { return false };
        let Some(default) = &self.trees.node(goal.other(id, false)).default else { return false };
        let mut judge = Judge { tree: self.trees.tree(goal), budget: &mut self.budget, passed: Passed::Elements };
        judge.judge(default, id, 0) == Some(true)
    }

    pub(super) fn dependent_required(&mut self, facts: &Facts, goal: Place) -> bool {
        if facts.types & OBJECT == 0 {
            return true;
        }
        let dependent = &self.trees.node(goal).local.dependent_required;
        dependent.iter().all(|(when, names)| self.dependency_follows(facts, when, names))
    }

    /// Whether the members `names` are there whenever `when` is.
    pub(in crate::compatibility) fn dependency_follows(
        &mut self,
        facts: &Facts,
        when: &str,
        names: &[Box<str>],
    ) -> bool {
        let trees = self.trees;
        let is_given = |name: &str| {
            facts.kept.iter().any(|place| {
                let local = &trees.node(*place).local;
                let asked = local.required.iter().any(|own| **own == *name);
                let dependent = local.dependent_required.iter().filter(|(own, _)| **own == *when);
                asked || dependent.flat_map(|(_, names)| names).any(|own| **own == *name)
            })
        };
        if names.iter().all(|name| **name == *when || is_given(name)) {
            return true;
        }
        let member = self.facts_of_member(facts, when);
        self.is_part_impossible(&member)
    }

    pub(super) fn dependent_schemas(&mut self, facts: &Facts, goal: Place) -> bool {
        if facts.types & OBJECT == 0 {
            return true;
        }
        let trees = self.trees;
        trees.node(goal).dependent_schemas.iter().all(|(when, id)| {
            let goal = goal.other(*id, false);
            let mut present = facts.clone();
            for place in &facts.kept {
                let own = trees.node(*place).dependent_schemas.iter().filter(|(name, _)| name == when);
                own.for_each(|(_, id)| present.keep(trees, place.other(*id, false)));
            }
            if self.prove(&present, goal) {
                return true;
            }
            let member = self.facts_of_member(facts, when);
            self.is_part_impossible(&member)
        })
    }

    pub(super) fn property_names(&mut self, facts: &Facts, goal: Place) -> bool {
        let trees = self.trees;
        let Some(names) = trees.node(goal).property_names.filter(|_| facts.types & OBJECT != 0) else { return true };
        let goal = goal.other(names, false);
        let mut name = Facts { types: STRING, ..Facts::none() };
        for place in &facts.kept {
            if let Some(names) = trees.node(*place).property_names {
                name.keep(trees, place.other(names, false));
            }
        }
        if self.prove_of_part(&name, goal) {
            return true;
        }
        // Where only declared names may stand, each of them is asked.
        facts.kept.iter().any(|place| {
            let node = trees.node(*place);
            self.is_closed(*place)
                && node.pattern_properties.is_empty()
                && node.properties.iter().all(|(name, id)| {
                    let name = crate::compatibility::value::Value::Text(name.clone());
                    let mut judge = Judge { tree: trees.tree(goal), budget: &mut self.budget, passed: Passed::Nothing };
                    trees.node(place.other(*id, false)).local.refuses_all
                        || judge.judge(&name, goal.id(), 0) == Some(true)
                })
        })
    }
}

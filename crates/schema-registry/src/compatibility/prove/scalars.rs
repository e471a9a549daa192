//! Keywords that look at the value as a whole, and those of numbers and texts.

use super::{Family, Prover};
use crate::compatibility::{
    facts::{Facts, Place},
    tree::{AcrossFields, Local, Node, Sizes},
    types::{ARRAY, FRACTION, NUMBER, OBJECT, STRING},
    value::Number,
};

/// What is greater: the limit of a fact must reach the one of the goal.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Least,
    Most,
}

/// Whether some fact is as a closure asks.
type Any<'a> = dyn Fn(&dyn Fn(&Node) -> bool) -> bool + 'a;

impl Prover<'_> {
    pub(super) fn scalar(&mut self, facts: &Facts, goal: Place, family: Family) -> bool {
        let trees = self.trees;
        let node = trees.node(goal);
        let local = &node.local;
        let any = |is_enough: &dyn Fn(&Node) -> bool| facts.kept.iter().any(|place| is_enough(trees.node(*place)));
        let has = |types: u8| facts.types & types != 0;
        match family {
            Family::Types => facts.types & !local.types == 0,
            Family::Enumeration | Family::Constant => {
                let of = |local: &'_ Local| match family {
                    Family::Enumeration => local.enumeration.is_none(),
                    _ => local.constant.is_none(),
                };
                of(local) || self.is_chosen(facts, goal, family)
            }
            Family::Minimum => !has(NUMBER) || least(local.numbers.minimum.as_ref(), facts, &any, false),
            Family::ExclusiveMinimum => {
                !has(NUMBER) || least(local.numbers.exclusive_minimum.as_ref(), facts, &any, true)
            }
            Family::Maximum => !has(NUMBER) || most(local.numbers.maximum.as_ref(), facts, &any, false),
            Family::ExclusiveMaximum => {
                !has(NUMBER) || most(local.numbers.exclusive_maximum.as_ref(), facts, &any, true)
            }
            Family::MultipleOf => {
                let Some(goal) = local.numbers.multiple_of.as_ref().filter(|_| has(NUMBER)) else { return true };
                let is_whole = !has(FRACTION) && goal.small_integer() == Some(1);
                is_whole
                    || any(&|fact| fact.local.numbers.multiple_of.as_ref().is_some_and(|of| of.is_multiple_of(goal)))
            }
            Family::MinLength => !has(STRING) || reaches(local.length, End::Least, &any, &|fact| fact.local.length),
            Family::MaxLength => !has(STRING) || reaches(local.length, End::Most, &any, &|fact| fact.local.length),
            Family::MinProperties => {
                let required = || facts.kept.iter().map(|place| trees.node(*place).local.required.len()).max();
                !has(OBJECT)
                    || reaches(local.properties, End::Least, &any, &|fact| fact.local.properties)
                    || local.properties.least <= required().map(|count| count as u64)
            }
            Family::MaxProperties => {
                let closed = |node: &Node| node.pattern_properties.is_empty().then_some(node.properties.len() as u64);
                !has(OBJECT)
                    || reaches(local.properties, End::Most, &any, &|fact| fact.local.properties)
                    || facts.kept.iter().filter(|place| self.is_closed(**place)).any(|place| {
                        closed(trees.node(*place)).is_some_and(|count| local.properties.most >= Some(count))
                    })
            }
            Family::MinItems => !has(ARRAY) || reaches(local.items, End::Least, &any, &|fact| fact.local.items),
            Family::MaxItems => {
                !has(ARRAY)
                    || reaches(local.items, End::Most, &any, &|fact| fact.local.items)
                    || any(&|fact| {
                        let is_closed = |place: &Place, id| trees.node(place.other(id, false)).local.refuses_all;
                        let own = facts.kept.iter().find(|place| std::ptr::eq(trees.node(**place), fact));
                        own.zip(fact.items).is_some_and(|(place, rest)| is_closed(place, rest))
                            && local.items.most >= Some(fact.prefix_items.len() as u64)
                    })
            }
            Family::UniqueItems => {
                !local.unique_items
                    || !has(ARRAY)
                    || any(&|fact| fact.local.unique_items || fact.local.items.most.is_some_and(|most| most <= 1))
            }
            Family::Pattern => {
                let Some(goal) = local.pattern.as_ref().filter(|_| has(STRING)) else { return true };
                any(&|fact| fact.local.pattern.as_ref().is_some_and(|pattern| pattern == goal))
            }
            Family::Format => {
                let Some(goal) = local.format.as_ref().filter(|_| has(STRING)) else { return true };
                any(&|fact| fact.local.format.as_ref() == Some(goal) && same_format(fact, node))
            }
            Family::Content => {
                !has(STRING)
                    || (0..2).all(|which| {
                        let goal = local.content[which].as_ref();
                        goal.is_none() || any(&|fact| fact.local.content[which].as_ref() == goal)
                    })
            }
            Family::Element => {
                local.element.is_none() || any(&|fact| fact.local.element.as_ref() == local.element.as_ref())
            }
            Family::Checks => {
                local.checks.is_none() || any(&|fact| fact.local.checks.as_ref() == local.checks.as_ref())
            }
            Family::Rules => {
                let is_asked =
                    |goal: &AcrossFields| any(&|fact| fact.local.rules.iter().any(|own| own.asks == goal.asks));
                !has(OBJECT) || local.rules.iter().all(is_asked)
            }
            Family::Unknown => local.unknown.iter().all(|unknown| any(&|fact| fact.local.unknown.contains(unknown))),
            Family::Dynamic => !node.is_dynamic,
            _ => false,
        }
    }

    /// Whether each value the facts leave is one of the goal's.
    fn is_chosen(&mut self, facts: &Facts, goal: Place, family: Family) -> bool {
        let local = &self.trees.node(goal).local;
        let choice = if family == Family::Enumeration { &local.enumeration } else { &local.constant };
        let Some(choice) = choice else { return true };
        // Often all of them are, also those that other facts rule out.
        if let Some((own, _)) = self.smallest_choice(facts)
            && self.budget.spend(own.values.len() as u64 / 8 * (1 + choice.compounds))
            && own.values.iter().all(|value| choice.contains(value) == Some(true))
        {
            return true;
        }
        let Some(values) = self.values(facts) else { return false };
        self.budget.spend(values.len() as u64 * (1 + choice.compounds))
            && values.iter().all(|value| choice.contains(value) == Some(true))
    }

    /// Whether no member but the declared ones may stand in an object that is valid under `place`: because it says so, or
    /// because that is how the lenient policy takes an object that declares members.
    pub(super) fn is_closed(&self, place: Place) -> bool {
        let node = self.trees.node(place);
        let declares = !node.properties.is_empty() || !node.pattern_properties.is_empty();
        match node.additional_properties {
            Some(rest) => {
                let rest = self.trees.node(place.other(rest, false));
                rest.local.refuses_all || (place.is_lenient() && declares && rest.accepts_all)
            }
            None => place.is_lenient() && declares,
        }
    }

    /// Whether every keyword that is not known and holds for a part is asked by the goal, too: nobody can say what
    /// becomes of one that is dropped.
    pub(in crate::compatibility) fn keeps_unknown(&mut self, facts: &Facts, goal: Place) -> bool {
        let trees = self.trees;
        let unknown = facts.kept.iter().flat_map(|place| &trees.node(*place).local.unknown);
        let unknown: Vec<_> = unknown.collect();
        if unknown.is_empty() || trees.node(trees.follow(goal)).accepts_all {
            return true;
        }
        let mut seen = vec![goal.strictly()];
        let mut at = 0;
        while at < seen.len() && self.budget.spend(seen.len() as u64 / 64 + 1) {
            let node = trees.node(seen[at]);
            for id in node.in_place().chain(node.reference) {
                let place = goal.other(id, false);
                if !seen.contains(&place) {
                    seen.push(place);
                }
            }
            at += 1;
        }
        unknown.iter().all(|known| seen.iter().any(|place| trees.node(*place).local.unknown.contains(known)))
    }
}

/// The drafts supported here know the same formats, but for two that came with 2019-09.
fn same_format(fact: &Node, goal: &Node) -> bool {
    fact.draft == goal.draft || !matches!(goal.local.format.as_deref(), Some("duration" | "uuid"))
}

/// Whether no number of the facts is below (or at) the goal's limit.
fn least(goal: Option<&Number>, facts: &Facts, any: &Any<'_>, strictly: bool) -> bool {
    let Some(goal) = goal else { return true };
    let whole = facts.types & FRACTION == 0;
    any(&|fact| {
        let numbers = &fact.local.numbers;
        let next = |own: &Number| Some(own.small_integer()? + 1 - i64::from(strictly));
        let skips = |own: &Number| whole && next(own) >= goal.small_integer() && goal.small_integer().is_some();
        let inclusive = |own: &Number| if strictly { goal.below(own) } else { goal.at_most(own) };
        numbers.minimum.as_ref().is_some_and(inclusive)
            || numbers.exclusive_minimum.as_ref().is_some_and(|own| goal.at_most(own) || skips(own))
    })
}

/// Whether no number of the facts is above (or at) the goal's limit.
fn most(goal: Option<&Number>, facts: &Facts, any: &Any<'_>, strictly: bool) -> bool {
    let Some(goal) = goal else { return true };
    let whole = facts.types & FRACTION == 0;
    any(&|fact| {
        let numbers = &fact.local.numbers;
        let next = |own: &Number| Some(own.small_integer()? - 1 + i64::from(strictly));
        let skips = |own: &Number| whole && next(own).zip(goal.small_integer()).is_some_and(|(own, goal)| own <= goal);
        let inclusive = |own: &Number| if strictly { own.below(goal) } else { own.at_most(goal) };
        numbers.maximum.as_ref().is_some_and(inclusive)
            || numbers.exclusive_maximum.as_ref().is_some_and(|own| own.at_most(goal) || skips(own))
    })
}

/// Whether a size of a fact reaches the goal's.
fn reaches(goal: Sizes, end: End, any: &Any<'_>, of: &dyn Fn(&Node) -> Sizes) -> bool {
    match (end, goal.least, goal.most) {
        (End::Least, None, _) | (End::Most, _, None) => true,
        (End::Least, Some(goal), _) => any(&|fact| of(fact).least.is_some_and(|least| least >= goal)),
        (End::Most, _, Some(goal)) => any(&|fact| of(fact).most.is_some_and(|most| most <= goal)),
    }
}

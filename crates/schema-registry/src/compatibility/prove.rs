//! Proves that whatever is known of a value makes it valid under a subschema.
//!
//! A question is a pair: facts about a value, and a goal. The answer yes is a proof for every value; the answer no only
//! says that none was found, and nothing is ever concluded from it. Each rule below is sound on its own:
//!
//! - *directly*: each keyword of the goal follows from the facts (`scalars`, `objects`, `arrays`, `branches`);
//! - *emptiness*: the facts contradict each other, so that there is no such value (`emptiness`);
//! - *one by one*: the facts leave finitely many values, and the goal accepts each;
//! - *by cases*: of the branches of an `anyOf`, `oneOf` or `if` among the facts one must hold, and each one suffices.
//!
//! A question that comes up again while it is being answered may be taken as answered, provided that it is by now about a
//! part of the value it was first about: values are finite, so that is induction on their size. An answer that leans on
//! such a question is not kept for later before that question is answered itself.

mod arrays;
mod branches;
mod emptiness;
mod objects;
mod scalars;
mod unevaluated;

use hashbrown::HashMap;

pub(super) use objects::Cover;

use super::{
    budget::{Budget, MAX_DEPTH},
    evaluate::{Judge, Passed},
    facts::{Facts, Place, Trees},
    same::Same,
    tree::Choice,
    types,
    value::Value,
};

/// A part of what a subschema asks. A goal is reached when each of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Types,
    Enumeration,
    Constant,
    Minimum,
    Maximum,
    ExclusiveMinimum,
    ExclusiveMaximum,
    MultipleOf,
    MinLength,
    MaxLength,
    Pattern,
    Format,
    Content,
    Required,
    MinProperties,
    MaxProperties,
    DependentRequired,
    DependentSchemas,
    PropertyNames,
    Properties,
    UnevaluatedProperties,
    MinItems,
    MaxItems,
    UniqueItems,
    Items,
    UnevaluatedItems,
    Contains,
    AllOf,
    AnyOf,
    OneOf,
    Not,
    Condition,
    Dynamic,
    Element,
    Checks,
    Rules,
    Unknown,
}

impl Family {
    /// All of them, cheap ones first.
    const ALL: [Self; 37] = [
        Self::Types,
        Self::Element,
        Self::Checks,
        Self::Rules,
        Self::Unknown,
        Self::Dynamic,
        Self::Enumeration,
        Self::Constant,
        Self::Minimum,
        Self::Maximum,
        Self::ExclusiveMinimum,
        Self::ExclusiveMaximum,
        Self::MultipleOf,
        Self::MinLength,
        Self::MaxLength,
        Self::Pattern,
        Self::Format,
        Self::Content,
        Self::Required,
        Self::MinProperties,
        Self::MaxProperties,
        Self::DependentRequired,
        Self::MinItems,
        Self::MaxItems,
        Self::UniqueItems,
        Self::PropertyNames,
        Self::Properties,
        Self::UnevaluatedProperties,
        Self::Items,
        Self::UnevaluatedItems,
        Self::Contains,
        Self::DependentSchemas,
        Self::AllOf,
        Self::AnyOf,
        Self::OneOf,
        Self::Not,
        Self::Condition,
    ];
}

/// What is known of a question.
#[derive(Clone, Copy)]
enum Answer {
    Proven,
    Open,
    /// Being answered: how many questions wait, and how far within the value it is.
    Asked {
        index: u32,
        level: u32,
    },
}

/// Answers questions about two schemas, and remembers.
pub(super) struct Prover<'s> {
    pub(super) trees: Trees<'s>,
    pub(super) budget: Budget,
    pub(super) same: Same<'s>,
    answers: HashMap<(Facts, Option<Place>), Answer>,
    /// Questions that wait for the present one.
    waiting: u32,
    /// How far within the value the present question is.
    level: u32,
    /// The first of the waiting questions that the present answer leans on.
    leans_on: u32,
}

impl<'s> Prover<'s> {
    pub(super) fn new(trees: Trees<'s>) -> Self {
        Self {
            trees,
            budget: Budget::default(),
            same: Same::new(trees),
            answers: HashMap::new(),
            waiting: 0,
            level: 0,
            leans_on: u32::MAX,
        }
    }

    /// Whether each value of which `facts` hold is valid under `goal`.
    pub(super) fn prove(&mut self, facts: &Facts, goal: Place) -> bool {
        let goal = self.trees.follow(goal);
        let node = self.trees.node(goal);
        if facts.types == 0 || node.accepts_all {
            return true;
        }
        if node.local.refuses_all {
            return self.ask(facts, None);
        }
        if !self.budget.spend(1) {
            return false;
        }
        let is_known = |place: &Place| place.strictly() == goal.strictly();
        if facts.kept.iter().any(is_known) {
            return true;
        }
        for place in &facts.kept {
            if self.same.are_same(*place, goal, &mut self.budget) {
                return true;
            }
        }
        self.ask(facts, Some(goal))
    }

    /// Whether there is no value of which `facts` hold.
    pub(super) fn is_impossible(&mut self, facts: &Facts) -> bool {
        facts.types == 0 || self.ask(facts, None)
    }

    /// The same question about a part of the value.
    fn prove_of_part(&mut self, facts: &Facts, goal: Place) -> bool {
        self.level += 1;
        let is_proven = self.prove(facts, goal) && self.keeps_unknown(facts, goal);
        self.level -= 1;
        is_proven
    }

    fn is_part_impossible(&mut self, facts: &Facts) -> bool {
        self.level += 1;
        let is_impossible = self.is_impossible(facts);
        self.level -= 1;
        is_impossible
    }

    fn ask(&mut self, facts: &Facts, goal: Option<Place>) -> bool {
        if self.waiting >= MAX_DEPTH {
            self.budget.is_exceeded = true;
        }
        // A question is copied and compared with others, fact by fact.
        if !self.budget.spend(1 + (facts.kept.len() + facts.broken.len()) as u64 / 4) {
            return false;
        }
        let question = (facts.clone(), goal);
        match self.answers.get(&question) {
            Some(Answer::Proven) => return true,
            Some(Answer::Open) => return false,
            Some(Answer::Asked { index, level }) => {
                let is_of_part = self.level > *level;
                if is_of_part {
                    self.leans_on = self.leans_on.min(*index);
                }
                return is_of_part;
            }
            None => {}
        }
        let index = self.waiting;
        self.answers.insert(question.clone(), Answer::Asked { index, level: self.level });
        let outer = std::mem::replace(&mut self.leans_on, u32::MAX);
        self.waiting += 1;
        let is_proven = self.attempt(facts, goal);
        self.waiting -= 1;
        if !is_proven {
            self.answers.insert(question, Answer::Open);
            self.leans_on = outer;
        } else if self.leans_on >= index {
            self.answers.insert(question, Answer::Proven);
            self.leans_on = outer;
        } else {
            self.answers.remove(&question);
            self.leans_on = self.leans_on.min(outer);
        }
        is_proven
    }

    fn attempt(&mut self, facts: &Facts, goal: Option<Place>) -> bool {
        if goal.is_some_and(|goal| Family::ALL.iter().all(|family| self.follows(facts, goal, *family))) {
            return true;
        }
        let possible = self.possible_types(facts);
        if possible == 0 || self.contradicts(facts) {
            return true;
        }
        if possible != facts.types {
            return self.ask(&Facts { types: possible, ..facts.clone() }, goal);
        }
        if let Some(values) = self.values(facts) {
            return match goal {
                Some(goal) => self.accepts_each(facts, &values, goal),
                None => values.is_empty(),
            };
        }
        self.by_cases(facts, goal)
    }

    /// Whether one family of the goal's keywords follows from the facts.
    pub(super) fn follows(&mut self, facts: &Facts, goal: Place, family: Family) -> bool {
        match family {
            Family::Required => self.required(facts, goal),
            Family::DependentRequired => self.dependent_required(facts, goal),
            Family::DependentSchemas => self.dependent_schemas(facts, goal),
            Family::PropertyNames => self.property_names(facts, goal),
            Family::Properties => self.properties(facts, goal),
            Family::UnevaluatedProperties => self.unevaluated_properties(facts, goal),
            Family::Items => self.items(facts, goal),
            Family::UnevaluatedItems => self.unevaluated_items(facts, goal),
            Family::Contains => self.contains(facts, goal),
            Family::AllOf => self.all_of(facts, goal),
            Family::AnyOf => self.any_of(facts, goal),
            Family::OneOf => self.one_of(facts, goal),
            Family::Not => self.not(facts, goal),
            Family::Condition => self.condition(facts, goal),
            _ => self.scalar(facts, goal, family),
        }
    }

    /// The values of which the facts may hold, where there are finitely many. Ones that cannot be judged are kept.
    fn values(&mut self, facts: &Facts) -> Option<Vec<&'s Value>> {
        static TRUTHS: [Value; 3] = [Value::Null, Value::Boolean(false), Value::Boolean(true)];
        let (values, from): (&'s [Value], _) = match self.smallest_choice(facts) {
            Some((choice, place)) => (&choice.values, Some(place)),
            None if facts.types & !(types::NULL | types::BOOLEAN) == 0 => (&TRUTHS, None),
            None => return None,
        };
        // The subschema that gives the values need not be asked of them again, if it says nothing else.
        let asked: Vec<Place> = facts.kept.iter().copied().filter(|place| Some(*place) != from).collect();
        let mut possible = Vec::with_capacity(values.len());
        for value in values {
            let is_broken = |own: &mut Self, place: Place, refused: bool| {
                let mut judge =
                    Judge { tree: own.trees.tree(place), budget: &mut own.budget, passed: Passed::Elements };
                judge.judge(value, place.id(), 0) == Some(!refused)
            };
            let is_possible = types::of_value(value) & facts.types != 0
                && !asked.iter().any(|place| is_broken(self, *place, true))
                && !facts.broken.iter().any(|place| is_broken(self, *place, false));
            if is_possible {
                possible.push(value);
            }
        }
        Some(possible)
    }

    /// The fewest values that a fact leaves, and the subschema that does so if it says nothing else.
    fn smallest_choice(&self, facts: &Facts) -> Option<(&'s Choice, Place)> {
        let choices = facts.kept.iter().flat_map(|place| {
            let node = self.trees.node(*place);
            let both = node.local.enumeration.is_some() && node.local.constant.is_some();
            let from = if node.only_chooses && !both { *place } else { Place::NOWHERE };
            [&node.local.enumeration, &node.local.constant].into_iter().flatten().map(move |choice| (choice, from))
        });
        choices.min_by_key(|(choice, _)| choice.values.len())
    }

    /// Whether the goal accepts each of the values.
    fn accepts_each(&mut self, facts: &Facts, values: &[&Value], goal: Place) -> bool {
        let known = [Family::Element, Family::Checks, Family::Rules, Family::Format, Family::Content];
        let is_known = known.iter().all(|family| self.scalar(facts, goal, *family));
        let passed = if is_known { Passed::Known(goal.id()) } else { Passed::Nothing };
        let mut judge = Judge { tree: self.trees.tree(goal), budget: &mut self.budget, passed };
        values.iter().all(|value| judge.judge(value, goal.id(), 0) == Some(true))
    }
}

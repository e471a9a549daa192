//! `x-ldop-rules`: what the fields of one object must be to each other, said in CEL.
//!
//! A rule is read, checked against the schema and bounded once, when the schema is compiled, so that most of what could go
//! wrong with it goes wrong before its author has left: a field the schema does not have, an optional field that is read
//! without `has()`, texts compared with numbers. What is left to go wrong with a record makes the rule undecided, and an
//! undecided rule never passes.
//!
//! The `cel` crate is the judge. Comparisons of the usual shapes are answered without it ([`quick`]), since it allocates
//! for every one of them; a property test holds the two to the same answers.

mod check;
mod cost;
mod functions;
mod kind;
mod language;
mod quick;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::HashMap, sync::Arc};

use cel::{
    Context, IdedExpr, Value,
    common::types::{CelBool, CelMap, CelMapKey},
};
use ldop_types::Text;

use super::plan::{FieldName, Noted, PlaceId, Plan};
use crate::document::Members;

pub(super) use kind::Shape;

use check::Checker;
use cost::{Cost, Size};
use quick::Quick;

/// Most steps one rule may take on one object.
const MAX_STEPS: u64 = 100_000;
/// Most steps the rules may take on one record, those answered at once not counted.
pub(crate) const MAX_RECORD_STEPS: u64 = 500_000;

/// A rule that has been checked.
pub(crate) struct FieldRule {
    pub(crate) head: Head,
    when: Option<Condition>,
    rule: Condition,
    /// The members of the object the rule reads.
    reads: Vec<Read>,
    cost: Cost,
}

/// What a rule says of itself.
pub(crate) struct Head {
    pub(crate) id: Box<str>,
    pub(crate) severity: Severity,
    /// Pointer from the object to the field that is told.
    pub(crate) at: String,
    /// The place of that field.
    pub(crate) place: PlaceId,
    pub(crate) message: Text,
}

/// What follows if a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    Refuse,
    Warn,
}

/// What a rule says of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// It holds, or does not apply.
    Holds,
    Broken,
    /// It could not be evaluated.
    Undecided,
    /// It would have taken too many steps.
    TooCostly,
}

/// An expression that is true or false.
struct Condition {
    expression: IdedExpr,
    /// The same, if it is of a usual shape.
    quick: Option<Quick>,
}

/// A member a rule reads.
struct Read {
    name: FieldName,
    place: PlaceId,
}

impl FieldRule {
    /// Compiles a rule that stands beside the members of `place`.
    ///
    /// # Errors
    ///
    /// What is wrong, each with the keyword it is wrong with: `when` or `rule`.
    pub(super) fn compile(
        shape: &Shape<'_>,
        place: PlaceId,
        head: Head,
        when: Option<&str>,
        rule: &str,
    ) -> Result<Self, Vec<(&'static str, Text)>> {
        let mut checker = Checker::new(shape, place);
        let mut problems = Vec::new();
        let mut condition = |keyword: &'static str, source: &str| {
            let read = language::parse(source).and_then(|expression| {
                checker.condition(&expression)?;
                Ok(Condition { quick: Quick::of(shape, place, &expression), expression })
            });
            read.map_err(|problem| problems.push((keyword, problem))).ok()
        };
        let when = when.map(|source| condition("when", source));
        let rule = condition("rule", rule);
        let (when, rule) = match (when, rule) {
            (None, Some(rule)) => (None, rule),
            (Some(Some(when)), Some(rule)) => (Some(when), rule),
            _ => return Err(problems),
        };
        let fields = &shape.places[place as usize].fields;
        let read = |name: &String| fields.get(name).map(|place| Read { name: FieldName::new(name), place });
        let reads = checker.reads.iter().filter_map(read).collect();
        Ok(Self { head, when, rule, reads, cost: checker.cost })
    }

    /// Judges an object. `noted` is of the same members; `steps` are those left for the record.
    #[inline]
    pub(crate) fn judge(&self, plan: &Plan, members: Members<'_>, noted: Option<&Noted>, steps: &mut u64) -> Ruling {
        let answer = |condition: &Condition| condition.quick.as_ref().and_then(|quick| quick.holds(members, noted));
        match self.when.as_ref().map_or(Some(true), answer) {
            Some(false) => return Ruling::Holds,
            Some(true) => match answer(&self.rule) {
                Some(true) => return Ruling::Holds,
                Some(false) => return Ruling::Broken,
                None => {}
            },
            None => {}
        }
        self.evaluate(plan, members, steps)
    }

    /// Asks the library.
    #[cold]
    fn evaluate(&self, plan: &Plan, members: Members<'_>, steps: &mut u64) -> Ruling {
        let limit = MAX_STEPS.min(*steps);
        let mut size = Size::within(limit);
        let mut this = HashMap::with_capacity(self.reads.len());
        for read in &self.reads {
            let Some(node) = read.name.find(members, None) else { continue };
            let Some(value) = values::value(plan, read.place, node, &mut size) else { return Ruling::TooCostly };
            this.insert(CelMapKey::from(&*read.name.name), value);
        }
        let needed = self.cost.steps(&size);
        if needed > limit {
            return Ruling::TooCostly;
        }
        *steps -= needed;
        let mut context = Context::with_env(Arc::clone(&functions::ENVIRONMENT));
        context.add_variable_as_val(language::THIS, Box::new(CelMap::from(this)));
        // What the library says of an error may hold values of the record, so nobody is told.
        let holds = |condition: &Condition| {
            let value = Value::resolve_val(&condition.expression, &context).ok()?;
            value.downcast_ref::<CelBool>().map(|holds| *holds.inner())
        };
        match self.when.as_ref().map_or(Some(true), holds) {
            None => Ruling::Undecided,
            Some(false) => Ruling::Holds,
            Some(true) => match holds(&self.rule) {
                None => Ruling::Undecided,
                Some(true) => Ruling::Holds,
                Some(false) => Ruling::Broken,
            },
        }
    }

    /// The object's own members that are read.
    pub(crate) fn read_names(&self) -> impl Iterator<Item = &str> {
        self.reads.iter().map(|read| &*read.name.name)
    }

    /// Visits the names of the object's own members that are asked for at once.
    pub(crate) fn each_name(&mut self, visit: &mut dyn FnMut(&mut FieldName)) {
        let conditions = self.when.iter_mut().chain([&mut self.rule]);
        conditions.filter_map(|condition| condition.quick.as_mut()).for_each(|quick| quick.each_name(visit));
    }
}

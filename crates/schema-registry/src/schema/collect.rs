//! The slow walk: writes down what the quick one saw. Only records that are refused or warned come here.

use ldop_dictionary::message::plain;
use ldop_types::{Date, Finding, Rule, Text};

use super::{
    plan::{Bound, Check, Place, PlaceId, Plan},
    rules::{FieldRule, MAX_RECORD_STEPS, Ruling, Severity},
};
use crate::{
    document::{Members, Node, Value},
    outcome::{MAX_FINDINGS, Outcome},
    pointer,
};

/// Writes down every rule of the dictionary a record breaks, and every warning.
pub(super) fn collect(plan: &Plan, root: Node<'_>, on: Date, outcome: &mut Outcome) {
    let mut walk = Collect { plan, on, outcome, pointer: String::new(), steps: MAX_RECORD_STEPS };
    walk.visit(0, root);
}

struct Collect<'p> {
    plan: &'p Plan,
    on: Date,
    outcome: &'p mut Outcome,
    /// Of the value being visited. Members without a name in the schema stand under their parent's.
    pointer: String,
    /// Steps left to rules across fields.
    steps: u64,
}

impl Collect<'_> {
    fn visit(&mut self, id: PlaceId, node: Node<'_>) {
        let plan = self.plan;
        let place = plan.place(id);
        match node.value() {
            Value::Object(members) => {
                self.check_container(place, Bound::is_object);
                let before = self.outcome.findings.len();
                self.visit_members(place, members);
                for check in &place.checks {
                    self.warn_of(place, check, members);
                }
                for rule in &place.rules {
                    // What is refused itself is not compared as well.
                    if !self.is_refused(rule, before) {
                        self.judge(rule, members);
                    }
                }
            }
            Value::Array(items) => {
                self.check_container(place, Bound::is_array);
                for (index, item) in items.enumerate() {
                    if let Some(place) = place.item(index) {
                        let length = self.pointer.len();
                        pointer::push_index(&mut self.pointer, index);
                        self.visit(place, item);
                        self.pointer.truncate(length);
                    }
                }
            }
            scalar => self.visit_scalar(place, scalar),
        }
    }

    fn visit_members(&mut self, place: &Place, members: Members<'_>) {
        for (name, value) in members {
            let length = self.pointer.len();
            if let Some(field) = place.fields.get(name) {
                pointer::push_name(&mut self.pointer, name);
                self.visit(field, value);
            } else if let Some(rest) = place.rest {
                self.visit(rest, value);
            }
            self.pointer.truncate(length);
        }
    }

    fn visit_scalar(&mut self, place: &Place, value: Value<'_>) {
        let Some(bound) = &place.element else { return };
        for rule in bound.check(value, self.on).iter() {
            self.refuse(bound, rule);
        }
        let Value::Text(text) = value else { return };
        if self.plan.doubts_prefix(bound, text) {
            self.warn(self.pointer.clone(), bound, Rule::PrefixUnknown, plain(Rule::PrefixUnknown));
        }
        if bound.element.doubts_form(text) {
            let message = bound.element.message(Rule::Normalisation);
            self.warn(self.pointer.clone(), bound, Rule::Normalisation, message);
        }
    }

    fn check_container(&mut self, place: &Place, fits: fn(&Bound) -> bool) {
        if let Some(bound) = place.element.as_ref().filter(|bound| !fits(bound)) {
            self.refuse(bound, Rule::Type);
        }
    }

    fn warn_of(&mut self, place: &Place, check: &Check, members: Members<'_>) {
        let doubts = check.doubts(members, None);
        let field = place.fields.get(&check.personal_id.name);
        let Some(bound) = field.and_then(|field| self.plan.place(field).element.as_ref()) else { return };
        let mut pointer = self.pointer.clone();
        pointer::push_name(&mut pointer, &check.personal_id.name);
        if doubts.sex {
            self.warn(pointer.clone(), bound, Rule::SexMismatch, plain(Rule::SexMismatch));
        }
        if doubts.birth_year {
            self.warn(pointer, bound, Rule::BirthYearMismatch, plain(Rule::BirthYearMismatch));
        }
    }

    /// Whether a rule reads a field of the object that is refused; the findings since `before` are those within the object.
    fn is_refused(&self, rule: &FieldRule, before: usize) -> bool {
        let is_within = |pointer: &str, name: &str| {
            let mut field = self.pointer.clone();
            pointer::push_name(&mut field, name);
            pointer.strip_prefix(&field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.outcome.findings.get(before..).unwrap_or_default();
        let mut own = found.iter().filter(|f| !matches!(f.rule, Rule::AcrossFields | Rule::AcrossFieldsUndecided));
        own.any(|finding| rule.read_names().any(|name| is_within(&finding.pointer, name)))
    }

    fn judge(&mut self, rule: &FieldRule, members: Members<'_>) {
        let head = &rule.head;
        let (word, why) = match rule.judge(self.plan, members, None, &mut self.steps) {
            Ruling::Holds => return,
            Ruling::Broken => (Rule::AcrossFields, head.message.clone()),
            Ruling::Undecided => (Rule::AcrossFieldsUndecided, plain(Rule::AcrossFieldsUndecided)),
            Ruling::TooCostly => (
                Rule::AcrossFieldsUndecided,
                Text::new(
                    "xét quy tắc giữa các trường cần quá nhiều bước",
                    "the rule across fields takes too many steps",
                ),
            ),
        };
        let message = Text::new(format!("{} ({})", why.vi, head.id), format!("{} ({})", why.en, head.id));
        let element = self.plan.place(head.place).element.as_ref().map(|bound| bound.element.id().clone());
        let finding = Finding { pointer: format!("{}{}", self.pointer, head.at), element, rule: word, message };
        match head.severity {
            Severity::Refuse => self.outcome.findings.push(finding),
            Severity::Warn if self.outcome.warnings.len() < MAX_FINDINGS => self.outcome.warnings.push(finding),
            Severity::Warn => {}
        }
    }

    fn refuse(&mut self, bound: &Bound, rule: Rule) {
        let message = bound.element.message(rule);
        self.outcome.findings.push(finding(self.pointer.clone(), bound, rule, message));
    }

    fn warn(&mut self, pointer: String, bound: &Bound, rule: Rule, message: Text) {
        if self.outcome.warnings.len() < MAX_FINDINGS {
            self.outcome.warnings.push(finding(pointer, bound, rule, message));
        }
    }
}

fn finding(pointer: String, bound: &Bound, rule: Rule, message: Text) -> Finding {
    Finding { pointer, element: Some(bound.element.id().clone()), rule, message }
}

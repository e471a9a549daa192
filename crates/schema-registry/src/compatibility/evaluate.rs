//! Judges a value by a schema, and says when it cannot.

use super::{
    budget::Budget,
    tree::{Id, Node, SchemaTree, Sizes},
    types,
    value::Value,
};

/// Deepest chain of subschemas that is followed.
const MAX_DEPTH: u32 = 64;

/// Whether a value is accepted; none where that cannot be told here.
pub(super) type Judgement = Option<bool>;

/// A judge of values for one tree.
pub(super) struct Judge<'s, 'b> {
    pub(super) tree: &'s SchemaTree,
    pub(super) budget: &'b mut Budget,
    /// What need not be asked here.
    pub(super) passed: Passed,
}

/// What a judge passes over.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Passed {
    Nothing,
    /// Elements: the dictionary asks them and not the schema.
    Elements,
    /// Element, rules across fields, format and content of one subschema, which are known to be kept.
    Known(Id),
}

/// Both must hold.
fn both(a: Judgement, b: Judgement) -> Judgement {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn every(parts: impl Iterator<Item = Judgement>) -> Judgement {
    let mut whole = Some(true);
    for part in parts {
        whole = both(whole, part);
        if whole == Some(false) {
            break;
        }
    }
    whole
}

fn within(size: usize, sizes: Sizes) -> Judgement {
    let size = size as u64;
    Some(sizes.least.is_none_or(|least| size >= least) && sizes.most.is_none_or(|most| size <= most))
}

/// Judges a value by what a subschema says of it without other subschemas.
fn local(value: &Value, node: &Node, knows_format: bool) -> Judgement {
    let local = &node.local;
    let types = types::of_value(value);
    if local.refuses_all || types & local.types == 0 {
        return Some(false);
    }
    let typed = (types & !local.types == 0).then_some(true);
    let chosen = [&local.enumeration, &local.constant].into_iter().flatten().map(|choice| choice.contains(value));
    let by_type = match value {
        Value::Number(_) => numbers(value, node),
        Value::Text(text) => {
            let length =
                if local.length == Sizes::default() { Some(true) } else { within(text.chars().count(), local.length) };
            let pattern = local.pattern.as_ref().map_or(Some(true), |pattern| pattern.is_match(text));
            // Which texts a format has is for the validator to say.
            let rest = (knows_format || (local.format.is_none() && local.content == [None, None])).then_some(true);
            every([length, pattern, rest].into_iter())
        }
        Value::Array(items) => both(within(items.len(), local.items), unique(items, local.unique_items)),
        Value::Object(members) => {
            let has = |name: &str| value.get(name).is_some();
            let required = local.required.iter().all(|name| has(name));
            let dependent =
                local.dependent_required.iter().all(|(name, names)| !has(name) || names.iter().all(|name| has(name)));
            both(within(members.len(), local.properties), Some(required && dependent))
        }
        Value::Null | Value::Boolean(_) => Some(true),
    };
    let known = local.unknown.is_empty().then_some(true);
    every(chosen.chain([typed, by_type, known]))
}

fn numbers(value: &Value, node: &Node) -> Judgement {
    let Value::Number(number) = value else { return Some(true) };
    let limits = &node.local.numbers;
    let compared = |limit: &Option<super::value::Number>, is_kept: fn(std::cmp::Ordering) -> bool| match limit {
        None => Some(true),
        Some(limit) => number.compare(limit).map(is_kept),
    };
    let multiple = match &limits.multiple_of {
        None => Some(true),
        Some(of) if number.is_multiple_of(of) => Some(true),
        Some(of) => match (number.small_integer(), of.small_integer()) {
            (Some(number), Some(of)) if of > 0 => Some(number % of == 0),
            _ => None,
        },
    };
    every(
        [
            compared(&limits.minimum, std::cmp::Ordering::is_ge),
            compared(&limits.maximum, std::cmp::Ordering::is_le),
            compared(&limits.exclusive_minimum, std::cmp::Ordering::is_gt),
            compared(&limits.exclusive_maximum, std::cmp::Ordering::is_lt),
            multiple,
        ]
        .into_iter(),
    )
}

fn unique(items: &[Value], is_asked: bool) -> Judgement {
    if !is_asked {
        return Some(true);
    }
    // Values of schemas are few; more than this is not worth the time.
    if items.len() > 256 {
        return None;
    }
    let mut whole = Some(true);
    for (index, item) in items.iter().enumerate() {
        for other in &items[..index] {
            whole = both(whole, item.equals(other).map(|same| !same));
        }
    }
    whole
}

impl Judge<'_, '_> {
    /// Judges a value by a subschema.
    pub(super) fn judge(&mut self, value: &Value, id: Id, depth: u32) -> Judgement {
        let tree = self.tree;
        let node = tree.node(id);
        let compounds = [&node.local.enumeration, &node.local.constant].into_iter().flatten();
        let cost = 1 + compounds.map(|choice| choice.compounds).sum::<u64>();
        if depth > MAX_DEPTH || !self.budget.spend(cost) {
            return None;
        }
        if node.accepts_all {
            return Some(true);
        }
        let knows = depth == 0 && self.passed == Passed::Known(id);
        let mut whole = local(value, node, knows);
        if node.is_dynamic || node.unevaluated_items.is_some() || node.unevaluated_properties.is_some() {
            whole = both(whole, None);
        }
        let binds = node.local.element.is_some() || node.local.checks.is_some();
        if binds && !knows && self.passed != Passed::Elements {
            whole = both(whole, None);
        }
        // Rules are asked of objects alone, and not here.
        if !node.local.rules.is_empty() && !knows && matches!(value, Value::Object(_)) {
            whole = both(whole, None);
        }
        for part in [Self::branches, Self::members, Self::items] {
            if whole == Some(false) {
                break;
            }
            whole = both(whole, part(self, value, node, depth + 1));
        }
        whole
    }

    fn all(&mut self, value: &Value, ids: impl Iterator<Item = Id>, depth: u32) -> Judgement {
        let mut whole = Some(true);
        for id in ids {
            if whole != Some(false) {
                whole = both(whole, self.judge(value, id, depth));
            }
        }
        whole
    }

    fn branches(&mut self, value: &Value, node: &Node, depth: u32) -> Judgement {
        let mut whole = self.all(value, node.all_of.iter().copied().chain(node.reference), depth);
        if let Some(branches) = &node.any_of {
            let (kept, unknown) = self.count(value, branches, depth);
            whole = both(whole, if kept > 0 { Some(true) } else { (unknown == 0).then_some(false) });
        }
        if let Some(branches) = &node.one_of {
            let (kept, unknown) = self.count(value, branches, depth);
            whole = both(whole, if kept > 1 { Some(false) } else { (unknown == 0).then_some(kept == 1) });
        }
        if let Some(not) = node.not {
            whole = both(whole, self.judge(value, not, depth).map(|accepted| !accepted));
        }
        if let Some(condition) = node.condition.filter(|_| node.consequence.or(node.alternative).is_some()) {
            let chosen = |id: Option<Id>, own: &mut Self| id.map_or(Some(true), |id| own.judge(value, id, depth));
            let judged = match self.judge(value, condition, depth) {
                Some(true) => chosen(node.consequence, self),
                Some(false) => chosen(node.alternative, self),
                None => {
                    let (a, b) = (chosen(node.consequence, self), chosen(node.alternative, self));
                    a.filter(|_| a == b)
                }
            };
            whole = both(whole, judged);
        }
        whole
    }

    /// How many branches accept the value, and of how many that cannot be told.
    fn count(&mut self, value: &Value, branches: &[Id], depth: u32) -> (usize, usize) {
        let (mut kept, mut unknown) = (0, 0);
        for branch in branches {
            match self.judge(value, *branch, depth) {
                Some(true) => kept += 1,
                Some(false) => {}
                None => unknown += 1,
            }
        }
        (kept, unknown)
    }

    fn members(&mut self, value: &Value, node: &Node, depth: u32) -> Judgement {
        let Value::Object(members) = value else { return Some(true) };
        let mut whole = Some(true);
        for (name, member) in members {
            let declared = node.property(name);
            let mut is_covered = declared.map_or(Some(false), |_| Some(true));
            whole = both(whole, self.all(member, declared.into_iter(), depth));
            for (pattern, id) in &node.pattern_properties {
                match pattern.is_match(name) {
                    Some(true) => {
                        is_covered = Some(true);
                        whole = both(whole, self.judge(member, *id, depth));
                    }
                    Some(false) => {}
                    None => {
                        is_covered = is_covered.filter(|covered| *covered);
                        whole = both(whole, None);
                    }
                }
            }
            if let Some(id) = node.additional_properties {
                match is_covered {
                    Some(true) => {}
                    Some(false) => whole = both(whole, self.judge(member, id, depth)),
                    None => whole = both(whole, None),
                }
            }
            if let Some(names) = node.property_names {
                whole = both(whole, self.judge(&Value::Text(name.clone()), names, depth));
            }
            if let Some(id) = super::tree::find(&node.dependent_schemas, name) {
                // Further ones of the same name stand beside it.
                let same = node.dependent_schemas.iter().filter(|(key, other)| key == name && other != id);
                let ids: Vec<Id> = same.map(|(_, id)| *id).chain([*id]).collect();
                whole = both(whole, self.all(value, ids.into_iter(), depth));
            }
        }
        whole
    }

    fn items(&mut self, value: &Value, node: &Node, depth: u32) -> Judgement {
        let Value::Array(items) = value else { return Some(true) };
        let mut whole = Some(true);
        for (index, item) in items.iter().enumerate() {
            let id = node.prefix_items.get(index).copied().or(node.items);
            whole = both(whole, self.all(item, id.into_iter(), depth));
        }
        if let Some(contains) = node.contains {
            let (mut kept, mut unknown) = (0, 0);
            for item in items {
                match self.judge(item, contains, depth) {
                    Some(true) => kept += 1,
                    Some(false) => {}
                    None => unknown += 1,
                }
            }
            let (least, most) = (node.local.min_contains, node.local.max_contains.unwrap_or(u64::MAX));
            let is_kept = kept >= least && kept + unknown <= most;
            let is_broken = kept > most || kept + unknown < least;
            whole = both(whole, if is_kept { Some(true) } else { is_broken.then_some(false) });
        }
        whole
    }
}

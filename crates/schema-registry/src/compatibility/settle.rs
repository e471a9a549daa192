//! What is told of a subschema once all of them are read.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::tree::{Choice, Id, Local, Node, Sizes};

pub(super) fn settle(nodes: &mut [Node]) {
    for node in nodes.iter_mut() {
        evaluate_rest(node);
        let has_parts = node.in_place().next().is_some() || node.parts().next().is_some();
        let says_more = has_parts || node.is_dynamic || node.one_of.is_some() || node.any_of.is_some();
        let only_element = Local { element: node.local.element.clone(), ..Local::default() };
        node.accepts_all = node.local == Local::default() && !says_more && node.reference.is_none();
        node.only_refers = node.local == only_element && !says_more && node.reference.is_some();
        node.is_leaf = !says_more && node.reference.is_none();
        node.only_chooses = node.is_leaf && {
            let local = &mut node.local;
            let (enumeration, constant) = (local.enumeration.take(), local.constant.take());
            let is_quiet = *local == Local { types: local.types, element: local.element.clone(), ..Local::default() };
            (local.enumeration, local.constant) = (enumeration, constant);
            is_quiet
        };
        node.is_plain = is_plain(node);
    }
    // A lenient reader drops members and fills in defaults, at any depth, and a rule would be asked of what it has made.
    if nodes.iter().any(|node| !node.local.rules.is_empty()) {
        nodes.iter_mut().for_each(|node| node.is_plain = false);
    }
    let mut marks = vec![None; nodes.len()];
    for index in 0..nodes.len() {
        mark(nodes, &mut marks, index as Id);
    }
    for (node, mark) in nodes.iter_mut().zip(marks) {
        node.mark = mark.unwrap_or_default();
    }
}

/// Where nothing else looks at the value, what is left unevaluated is what is additional.
fn evaluate_rest(node: &mut Node) {
    if node.in_place().next().is_some() || node.reference.is_some() || node.is_dynamic {
        return;
    }
    if let Some(rest) = node.unevaluated_properties.take() {
        node.additional_properties.get_or_insert(rest);
    }
    if node.items.is_some() {
        node.unevaluated_items = None;
    } else if node.contains.is_none() {
        node.items = node.unevaluated_items.take();
    }
}

fn is_plain(node: &Node) -> bool {
    let local = &node.local;
    let is_quiet = |choice: &Option<Choice>| choice.is_none();
    is_quiet(&local.enumeration)
        && is_quiet(&local.constant)
        && !local.unique_items
        && local.properties == Sizes::default()
        && local.dependent_required.is_empty()
        && local.unknown.is_empty()
        && node.in_place().next().is_none()
        && node.any_of.is_none()
        && node.one_of.is_none()
        && node.reference.is_none()
        && !node.is_dynamic
        && node.contains.is_none()
        && node.property_names.is_none()
        && node.unevaluated_properties.is_none()
        && node.unevaluated_items.is_none()
}

/// Recurses at most as deep as the text: references are not followed.
fn mark(nodes: &[Node], marks: &mut [Option<u64>], id: Id) -> u64 {
    let index = id as usize;
    if let Some(known) = marks[index] {
        return known;
    }
    let node = &nodes[index];
    let mut hasher = DefaultHasher::new();
    node.shallow_mark().hash(&mut hasher);
    for child in node.in_place().chain(node.parts()) {
        mark(nodes, marks, child).hash(&mut hasher);
    }
    let own = hasher.finish();
    marks[index] = Some(own);
    own
}

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
        node.is_plain = is_plain(node);
    }
    let mut marks = vec![None; nodes.len()];
    for index in 0..nodes.len() {
        mark(nodes, &mut marks, index as Id);
    }
    for (node, marks) in nodes.iter_mut().zip(marks) {
        let Marks { short, full, reaches_reference } = marks.unwrap_or_default();
        (node.mark, node.full_mark, node.reaches_reference) = (short, full, reaches_reference);
    }
}

/// What is gathered from a subschema and all below it, references not followed.
#[derive(Clone, Copy, Default)]
struct Marks {
    short: u64,
    full: u64,
    reaches_reference: bool,
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
fn mark(nodes: &[Node], marks: &mut [Option<Marks>], id: Id) -> Marks {
    let index = id as usize;
    if let Some(known) = marks[index] {
        return known;
    }
    let node = &nodes[index];
    let (mut short, mut full) = (DefaultHasher::new(), DefaultHasher::new());
    node.shallow_mark().hash(&mut short);
    (node.shallow_mark(), &node.annotations).hash(&mut full);
    let mut reaches_reference = node.reference.is_some();
    for child in node.in_place().chain(node.parts()) {
        let below = mark(nodes, marks, child);
        below.short.hash(&mut short);
        below.full.hash(&mut full);
        reaches_reference |= below.reaches_reference;
    }
    let own = Marks { short: short.finish(), full: full.finish(), reaches_reference };
    marks[index] = Some(own);
    own
}

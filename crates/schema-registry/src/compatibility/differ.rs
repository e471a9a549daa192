//! Lists what differs. It explains the verdict and has no part in it.

mod keywords;
mod objects;
mod parts;

use hashbrown::HashSet;
use ldop_types::Text;

use super::{
    Difference, DifferenceKind, Direction, Severity,
    facts::{Facts, Place},
    prove::{Family, Prover},
    tree::Node,
};
use crate::pointer::push_name;

/// Most pairs of subschemas that are looked at. A list that long is read by no one.
const MAX_PAIRS: usize = 20_000;
/// Deepest pair that is looked at; the same reason as for the prover.
const MAX_DEPTH: u32 = 100;

/// Most characters of a message that repeat what a schema says.
const MAX_DETAIL: usize = 200;

/// What a difference at a place means for the whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Standing {
    /// Something that holds this place was proven, so nothing in it does harm.
    is_proven: bool,
    /// What accepts more here makes the whole accept less: within `not`.
    is_flipped: bool,
    doubt: Doubt,
}

/// How sure it is that something refused here is refused by the whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Doubt {
    /// It is.
    None,
    /// Another branch may accept it.
    Branch,
    /// Accepting more here may be as bad as accepting less.
    Both,
}

impl Standing {
    fn doubted(self, doubt: Doubt) -> Self {
        Self { doubt: self.doubt.max(doubt), ..self }
    }
}

/// Two subschemas, the earlier and the later, at places that belong together.
pub(super) struct Pair<'s> {
    old: &'s Node,
    new: &'s Node,
    places: [Place; 2],
    standing: Standing,
    /// What is known of a value that was written, and what the reader asks.
    facts: Facts,
    goal: Place,
}

/// Walks two schemas side by side.
pub(super) struct Differ<'p, 's> {
    prover: &'p mut Prover<'s>,
    version: u32,
    direction: Direction,
    is_proven: bool,
    depth: u32,
    seen: HashSet<(Place, Place, Standing)>,
    pub(super) differences: Vec<Difference>,
}

impl<'p, 's> Differ<'p, 's> {
    pub(super) fn new(prover: &'p mut Prover<'s>, version: u32, direction: Direction, is_proven: bool) -> Self {
        Self { prover, version, direction, is_proven, depth: 0, seen: HashSet::new(), differences: Vec::new() }
    }

    /// Lists what differs between two schemas.
    pub(super) fn roots(&mut self, roots: [Place; 2]) {
        let drafts = [0, 1].map(|side| self.prover.trees.0[side].draft);
        let standing = Standing { is_proven: self.is_proven, is_flipped: false, doubt: Doubt::None };
        if drafts[0] != drafts[1] {
            let severity = if self.is_proven { Severity::Compatible } else { Severity::Undecided };
            self.put("/$schema".to_owned(), DifferenceKind::DraftChanged, severity, "");
        }
        self.walk(roots, standing);
    }

    fn walk(&mut self, places: [Place; 2], mut standing: Standing) {
        if self.depth >= MAX_DEPTH
            || self.seen.len() >= MAX_PAIRS
            || !self.seen.insert((places[0], places[1], standing))
        {
            return;
        }
        let trees = self.prover.trees;
        let written = places.map(|place| trees.node(place));
        self.annotations(written[0], written[1]);
        let places = places.map(|place| trees.follow(place));
        let [old, new] = places.map(|place| trees.node(place));
        if self.prover.same.are_identical(places[0], places[1], &mut self.prover.budget) {
            return;
        }
        let is_same = self.prover.same.are_same(places[0], places[1], &mut self.prover.budget);
        let is_reversed = (self.direction == Direction::Forward) != standing.is_flipped;
        let [writer, reader] = if is_reversed { [places[1], places[0]] } else { places };
        let facts = Facts::of(trees, writer);
        if !standing.is_proven && standing.doubt == Doubt::None {
            standing.is_proven =
                is_same || self.prover.prove(&facts, reader) && self.prover.keeps_unknown(&facts, reader);
        }
        if !std::ptr::eq(old, written[0]) && !std::ptr::eq(new, written[1]) {
            self.annotations(old, new);
        }
        let pair = Pair { old, new, places, standing, facts, goal: reader };
        if old.local.refuses_all != new.local.refuses_all {
            let kind = if new.local.refuses_all { DifferenceKind::SchemaClosed } else { DifferenceKind::SchemaOpened };
            let severity = self.severity(&pair, kind, |prover, facts, goal| prover.prove(facts, goal));
            self.put(new.pointer.clone(), kind, severity, "");
            return;
        }
        self.depth += 1;
        self.keywords(&pair);
        self.objects(&pair);
        self.parts(&pair);
        self.depth -= 1;
    }

    /// What a difference means: proven here or around here, or as its kind has it.
    fn severity(
        &mut self,
        pair: &Pair<'s>,
        kind: DifferenceKind,
        follows: impl FnOnce(&mut Prover<'s>, &Facts, Place) -> bool,
    ) -> Severity {
        let is_compatible = pair.standing.is_proven
            || (pair.standing.doubt != Doubt::Both && follows(self.prover, &pair.facts, pair.goal));
        match pair.standing.doubt {
            _ if is_compatible => Severity::Compatible,
            Doubt::None if kind.is_refuted() => Severity::Incompatible,
            _ => Severity::Undecided,
        }
    }

    /// Notes a difference of a keyword.
    fn note(&mut self, pair: &Pair<'s>, kind: DifferenceKind, path: &[&str], family: Family, detail: &str) {
        let severity = self.severity(pair, kind, |prover, facts, goal| prover.follows(facts, goal, family));
        self.note_as(pair, kind, path, severity, detail);
    }

    /// Notes a difference whose meaning is known. It stands in the later schema unless something was removed.
    fn note_as(&mut self, pair: &Pair<'s>, kind: DifferenceKind, path: &[&str], severity: Severity, detail: &str) {
        let is_removed = kind.as_str().contains("_REMOVED") || kind.as_str().ends_with("_REDUCED");
        let mut pointer = if is_removed { pair.old.pointer.clone() } else { pair.new.pointer.clone() };
        path.iter().for_each(|name| push_name(&mut pointer, name));
        self.put(pointer, kind, severity, detail);
    }

    fn put(&mut self, pointer: String, kind: DifferenceKind, severity: Severity, detail: &str) {
        self.differences.push(difference(self.version, self.direction, pointer, kind, severity, detail));
    }

    fn annotations(&mut self, old: &Node, new: &Node) {
        if old.annotations == new.annotations {
            return;
        }
        // Of rules, what is not told as a difference of its own: messages, warnings.
        let is_told = |name: &str| name == "x-ldop-rules" && old.local.rules != new.local.rules;
        let differs = |(name, value): &&(Box<str>, super::value::Value), others: &Node| {
            others.annotations.iter().find(|(other, _)| other == name).is_none_or(|(_, other)| other != value)
        };
        let changed = new.annotations.iter().filter(|own| differs(own, old)).map(|(name, _)| (new, name));
        let removed = old.annotations.iter().filter(|(name, _)| new.annotations.iter().all(|(own, _)| own != name));
        let all: Vec<_> = changed.chain(removed.map(|(name, _)| (old, name))).collect();
        for (node, name) in all.into_iter().filter(|(_, name)| !is_told(name)) {
            let mut pointer = node.pointer.clone();
            push_name(&mut pointer, name);
            self.put(pointer, DifferenceKind::AnnotationChanged, Severity::Compatible, "");
        }
    }
}

/// Makes a difference, with its words.
pub(super) fn difference(
    version: u32,
    direction: Direction,
    pointer: String,
    kind: DifferenceKind,
    severity: Severity,
    detail: &str,
) -> Difference {
    let (vi, en) = kind.describe();
    let cut = detail.char_indices().nth(MAX_DETAIL).map(|(at, _)| format!("{}…", &detail[..at]));
    let detail = cut.as_deref().unwrap_or(detail);
    let message = if detail.is_empty() {
        Text::new(vi, en)
    } else {
        Text::new(format!("{vi}: {detail}"), format!("{en}: {detail}"))
    };
    Difference { version, direction, pointer, kind, severity, message }
}

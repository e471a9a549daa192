//! Keywords of objects.

use super::{Differ, Doubt, Pair};
use crate::compatibility::{
    DifferenceKind::{self, *},
    facts::Place,
    prove::{Cover, Family},
    tree::{Id, Node, find},
};

/// What a subschema says of members it does not declare.
#[derive(Clone, Copy, PartialEq)]
enum Openness {
    Open,
    Closed,
    Partial,
}

impl<'s> Differ<'_, 's> {
    pub(super) fn objects(&mut self, pair: &Pair<'s>) {
        self.required(pair);
        self.properties(pair);
        self.patterns(pair);
        self.additional(pair);
        match (pair.old.property_names, pair.new.property_names) {
            (Some(old), Some(new)) => self.below(pair, old, new, Doubt::None),
            (None, Some(_)) => self.note(pair, PropertyNamesAdded, &["propertyNames"], Family::PropertyNames, ""),
            (Some(_), None) => self.note(pair, PropertyNamesRemoved, &["propertyNames"], Family::PropertyNames, ""),
            (None, None) => {}
        }
        self.dependencies(pair);
    }

    /// Two subschemas below a pair, read leniently only where both are reached so.
    pub(super) fn below(&mut self, pair: &Pair<'s>, old: Id, new: Id, doubt: Doubt) {
        let places = [pair.places[0].other(old, false), pair.places[1].other(new, false)];
        self.walk(places, pair.standing.doubted(doubt));
    }

    fn required(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local.required, &pair.new.local.required);
        for name in new.iter().filter(|name| !old.contains(name)) {
            let declared = pair.new.property(name).map(|id| self.node(pair.places[1], id));
            let has_default = declared.is_some_and(|node| node.default.is_some());
            let kind = if has_default { RequiredAddedWithDefault } else { RequiredAdded };
            self.note_required(pair, kind, name);
        }
        for name in old.iter().filter(|name| !new.contains(name)) {
            self.note_required(pair, RequiredRemoved, name);
        }
    }

    fn note_required(&mut self, pair: &Pair<'s>, kind: DifferenceKind, name: &str) {
        let severity = self.severity(pair, kind, |prover, facts, goal| {
            let is_asked = prover.trees.node(goal).local.required.iter().any(|own| **own == *name);
            !is_asked || prover.is_required(facts, goal, name)
        });
        self.note_as(pair, kind, &["required"], severity, name);
    }

    fn node(&self, place: Place, id: Id) -> &'s Node {
        self.prover.trees.node(place.other(id, false))
    }

    fn openness(&self, node: &Node, place: Place, name: &str) -> Openness {
        let cover = Cover::of(node, name);
        let rest = node.additional_properties.map(|id| self.node(place, id));
        if !cover.by_pattern.is_empty() || cover.is_unclear {
            return Openness::Partial;
        }
        match rest {
            None => Openness::Open,
            Some(rest) if rest.accepts_all => Openness::Open,
            Some(rest) if rest.local.refuses_all => Openness::Closed,
            Some(_) => Openness::Partial,
        }
    }

    fn properties(&mut self, pair: &Pair<'s>) {
        for (name, id) in &pair.new.properties {
            if let Some(old) = pair.old.property(name) {
                let lenient =
                    |node: &Node, place: Place| place.is_lenient() && Cover::of(node, name).is_declared_only();
                let places = [
                    pair.places[0].other(old, lenient(pair.old, pair.places[0])),
                    pair.places[1].other(*id, lenient(pair.new, pair.places[1])),
                ];
                self.walk(places, pair.standing);
                continue;
            }
            let kind = match self.openness(pair.old, pair.places[0], name) {
                Openness::Open => PropertyAddedToOpen,
                Openness::Closed => PropertyAddedToClosed,
                Openness::Partial => PropertyAddedToPartial,
            };
            self.note_member(pair, kind, name);
        }
        for (name, _) in pair.old.properties.iter().filter(|(name, _)| pair.new.property(name).is_none()) {
            let kind = match self.openness(pair.new, pair.places[1], name) {
                Openness::Open => PropertyRemovedFromOpen,
                Openness::Closed => PropertyRemovedFromClosed,
                Openness::Partial => PropertyRemovedFromPartial,
            };
            self.note_member(pair, kind, name);
        }
    }

    fn note_member(&mut self, pair: &Pair<'s>, kind: DifferenceKind, name: &str) {
        let severity = self.severity(pair, kind, |prover, facts, goal| prover.member_follows(facts, goal, name));
        self.note_as(pair, kind, &["properties", name], severity, "");
    }

    fn patterns(&mut self, pair: &Pair<'s>) {
        let has = |node: &'s Node, text: &str| {
            node.pattern_properties.iter().find(|(pattern, _)| *pattern.text == *text).map(|(_, id)| *id)
        };
        for (pattern, id) in &pair.new.pattern_properties {
            match has(pair.old, &pattern.text) {
                Some(old) => self.below(pair, old, *id, Doubt::None),
                None => {
                    let path = ["patternProperties", &*pattern.text];
                    self.note(pair, PatternPropertyAdded, &path, Family::Properties, "");
                }
            }
        }
        for (pattern, _) in pair.old.pattern_properties.iter().filter(|(own, _)| has(pair.new, &own.text).is_none()) {
            let path = ["patternProperties", &*pattern.text];
            self.note(pair, PatternPropertyRemoved, &path, Family::Properties, "");
        }
    }

    fn additional(&mut self, pair: &Pair<'s>) {
        let rest = |node: &Node, place: Place| {
            let rest = node.additional_properties.map(|id| self.node(place, id));
            match rest {
                None => Openness::Open,
                Some(rest) if rest.accepts_all => Openness::Open,
                Some(rest) if rest.local.refuses_all => Openness::Closed,
                Some(_) => Openness::Partial,
            }
        };
        let kind = match (rest(pair.old, pair.places[0]), rest(pair.new, pair.places[1])) {
            (Openness::Open, Openness::Open) | (Openness::Closed, Openness::Closed) => return,
            (Openness::Partial, Openness::Partial) => {
                if let (Some(old), Some(new)) = (pair.old.additional_properties, pair.new.additional_properties) {
                    let lenient = pair.places.map(Place::is_lenient);
                    let places = [pair.places[0].other(old, lenient[0]), pair.places[1].other(new, lenient[1])];
                    self.walk(places, pair.standing);
                }
                return;
            }
            (_, Openness::Closed) => AdditionalPropertiesClosed,
            (Openness::Closed, _) => AdditionalPropertiesOpened,
            (Openness::Open, Openness::Partial) => AdditionalPropertiesNarrowed,
            (Openness::Partial, Openness::Open) => AdditionalPropertiesWidened,
        };
        let severity = self.severity(pair, kind, |prover, facts, goal| prover.others_follow(facts, goal));
        self.note_as(pair, kind, &["additionalProperties"], severity, "");
    }

    fn dependencies(&mut self, pair: &Pair<'s>) {
        let (old, new) = (&pair.old.local.dependent_required, &pair.new.local.dependent_required);
        let empty = Vec::new();
        for (when, names) in new {
            let before = find(old, when).unwrap_or(&empty);
            if names.iter().any(|name| !before.contains(name)) {
                let path = ["dependentRequired", &**when];
                self.note(pair, DependentRequiredAdded, &path, Family::DependentRequired, "");
            }
        }
        for (when, names) in old {
            let after = find(new, when).unwrap_or(&empty);
            if names.iter().any(|name| !after.contains(name)) {
                let path = ["dependentRequired", &**when];
                self.note(pair, DependentRequiredRemoved, &path, Family::DependentRequired, "");
            }
        }
        let (old, new) = (&pair.old.dependent_schemas, &pair.new.dependent_schemas);
        for (when, id) in new {
            match find(old, when) {
                Some(before) => self.below(pair, *before, *id, Doubt::Branch),
                None => {
                    let path = ["dependentSchemas", &**when];
                    self.note(pair, DependentSchemaAdded, &path, Family::DependentSchemas, "");
                }
            }
        }
        for (when, _) in old.iter().filter(|(when, _)| find(new, when).is_none()) {
            let path = ["dependentSchemas", &**when];
            self.note(pair, DependentSchemaRemoved, &path, Family::DependentSchemas, "");
        }
    }
}

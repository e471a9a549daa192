//! What a change of a code list touches: told before it is made, so that it can be reviewed.
//!
//! It looks at definitions only. Which of the codes that stop being valid stand in records is for the exchange to count:
//! [`Impact::stopping`] says which codes to look for, and from which day.

use std::collections::{BTreeMap, BTreeSet};

use ldop_dictionary::{
    CodeDefinition, CodeList, Element, IdentifierRule, dictionary::DOMAINS, identifier::PREFIX_LIST,
};
use ldop_types::{AgreementId, CodeListId, DatasetName, ElementId, SubjectName};

use crate::state::ControlState;

/// What happens to one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeChangeKind {
    /// It is new.
    Added,
    /// The list does not have it any more, on no day.
    Removed,
    /// It ends, and nothing takes its place.
    Ended,
    /// It ends, and one other code, or another meaning of the same, takes its place.
    Replaced,
    /// It ends, and together with others goes into one code.
    Merged,
    /// It ends, and several codes take its place.
    Split,
    /// It had ended and goes on.
    Reopened,
    /// It is a part of another code.
    Moved,
    /// Its days are others.
    PeriodChanged,
    /// Its label, or another word about it, is another.
    Relabelled,
}

impl CodeChangeKind {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Ended => "ended",
            Self::Replaced => "replaced",
            Self::Merged => "merged",
            Self::Split => "split",
            Self::Reopened => "reopened",
            Self::Moved => "moved",
            Self::PeriodChanged => "period_changed",
            Self::Relabelled => "relabelled",
        }
    }

    /// Whether records that carry the code may become wrong.
    #[must_use]
    pub const fn stops(self) -> bool {
        match self {
            Self::Removed | Self::Ended | Self::Replaced | Self::Merged | Self::Split | Self::PeriodChanged => true,
            Self::Added | Self::Reopened | Self::Moved | Self::Relabelled => false,
        }
    }
}

/// A change of one code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChange {
    /// The code.
    pub code: String,
    /// Its label in Vietnamese: as it is now, or as it was where it is removed.
    pub label: String,
    /// What happens to it.
    pub kind: CodeChangeKind,
    /// Last day it is valid, `YYYY-MM-DD`; empty: none.
    pub valid_to: String,
    /// Codes that take its place.
    pub successors: Vec<String>,
}

/// A schema and the places where it is bound to what is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaUse {
    /// Schema.
    pub schema: SubjectName,
    /// Version.
    pub version: u32,
    /// RFC 6901 pointers to the bindings.
    pub pointers: Vec<String>,
}

/// An agreement and the fields it grants that are touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementUse {
    /// Agreement.
    pub agreement: AgreementId,
    /// Fields of the record, by name.
    pub fields: Vec<String>,
}

/// What a change of a code list touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impact {
    /// The code list.
    pub code_list: CodeListId,
    /// What happens to its codes, by code.
    pub changes: Vec<CodeChange>,
    /// Elements whose values are codes of it, or that are described by them.
    pub elements: Vec<ElementId>,
    /// Versions of schemas in use bound to these elements.
    pub schemas: Vec<SchemaUse>,
    /// Datasets of these schemas.
    pub datasets: Vec<DatasetName>,
    /// Agreements that grant a field with such an element.
    pub agreements: Vec<AgreementUse>,
    /// Lists whose value maps map to or from it.
    pub mapped_lists: Vec<CodeListId>,
}

impl Impact {
    /// What would be touched if `list` took its place in the state; none where no code changes.
    #[must_use]
    pub fn of(state: &ControlState, list: &CodeList) -> Option<Self> {
        let known = state.dictionary.code_list(list.id().as_str());
        let changes = code_changes(known, list);
        if changes.is_empty() {
            return None;
        }
        let changed: BTreeSet<&str> = changes.iter().map(|change| change.code.as_str()).collect();
        let is_touched = |element: &Element| is_touched(element, list.id(), &changed);
        let elements = state.dictionary.elements().filter(|e| is_touched(e)).map(|e| e.id().clone()).collect();
        let mut schemas = Vec::new();
        let mut fields: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, in_use) in &state.schemas {
            for schema in in_use.each() {
                // One that does not compile is reported where it is used.
                let Ok(compiled) = schema.get() else { continue };
                let bindings = compiled.bindings().filter(|(_, element)| is_touched(element));
                let mut pointers: Vec<String> = bindings.map(|(at, _)| at.to_owned()).collect();
                if pointers.is_empty() {
                    continue;
                }
                pointers.sort();
                pointers.dedup();
                schemas.push(SchemaUse { schema: name.clone(), version: schema.version, pointers });
                let known = fields.entry(name.as_str()).or_default();
                let touched = compiled.fields_with(is_touched);
                known.extend(
                    touched
                        .into_iter()
                        .filter(|field| !known.iter().any(|f| f == field))
                        .map(str::to_owned)
                        .collect::<Vec<_>>(),
                );
            }
        }
        let touched_fields = |dataset: &DatasetName| {
            state.catalog.datasets.get(dataset).and_then(|dataset| fields.get(dataset.value.schema.as_str()))
        };
        let datasets = state.catalog.datasets.keys().filter(|name| touched_fields(name).is_some()).cloned().collect();
        let mut agreements = Vec::new();
        for (id, agreement) in &state.catalog.agreements {
            let agreement = &agreement.value;
            let touched = touched_fields(&agreement.dataset).into_iter().flatten();
            let granted: Vec<String> =
                touched.filter(|field| agreement.definition.granted_fields.contains(field)).cloned().collect();
            if !granted.is_empty() && !agreement.definition.ended {
                agreements.push(AgreementUse { agreement: id.clone(), fields: granted });
            }
        }
        let maps = |from: &CodeList, to: &CodeListId| from.definition().value_maps.iter().any(|m| m.to == to.as_str());
        let others = state.dictionary.code_lists().filter(|other| other.id() != list.id());
        let mapped_lists = others
            .filter(|other| maps(other, list.id()) || maps(list, other.id()))
            .map(|other| other.id().clone())
            .collect();
        Some(Self { code_list: list.id().clone(), changes, elements, schemas, datasets, agreements, mapped_lists })
    }

    /// The changes by which records that carry the code may become wrong: of the codes to look for in live data, each
    /// with the last day it is valid.
    pub fn stopping(&self) -> impl Iterator<Item = &CodeChange> {
        self.changes.iter().filter(|change| change.kind.stops())
    }
}

fn is_touched(element: &Element, list: &CodeListId, changed: &BTreeSet<&str>) -> bool {
    element.code_list() == Some(list)
        || (list.as_str() == DOMAINS && changed.contains(element.definition().domain.as_str()))
        || (list.as_str() == PREFIX_LIST && element.identifier() == Some(IdentifierRule::PersonalId))
}

/// What happens to each code between two states of a list, by code.
fn code_changes(before: Option<&CodeList>, after: &CodeList) -> Vec<CodeChange> {
    let old = before.map(rows_by_code).unwrap_or_default();
    let new = rows_by_code(after);
    let codes: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut merging: BTreeMap<&str, usize> = BTreeMap::new();
    for (code, rows) in &new {
        let last = rows.last().filter(|_| old.get(code).is_some_and(|old| is_open(old)) && !is_open(rows));
        for successor in last.iter().flat_map(|row| &row.successors) {
            *merging.entry(successor.as_str()).or_default() += 1;
        }
    }
    let mut changes = Vec::new();
    for code in codes {
        let (then, now) = (old.get(code), new.get(code));
        let kind = match (then, now) {
            (None, Some(_)) => CodeChangeKind::Added,
            (Some(_), None) => CodeChangeKind::Removed,
            (Some(then), Some(now)) => match changed(then, now, |into| {
                // Together with others, or into one that was there.
                merging.get(into).is_some_and(|count| *count > 1) || (into != code && old.contains_key(into))
            }) {
                Some(kind) => kind,
                None => continue,
            },
            (None, None) => continue,
        };
        // A code that stands for something else from some day on ends there as what it was.
        let row = match kind {
            CodeChangeKind::Replaced => now.and_then(|rows| rows.iter().rev().find(|row| !row.valid_to.is_empty())),
            _ => now.or(then).and_then(|rows| rows.last()),
        };
        let (label, valid_to, successors) =
            row.map(|row| (row.label_vi.clone(), row.valid_to.clone(), row.successors.clone())).unwrap_or_default();
        changes.push(CodeChange { code: code.to_owned(), label, kind, valid_to, successors });
    }
    changes
}

/// Rows of each code, the earliest first.
fn rows_by_code(list: &CodeList) -> BTreeMap<&str, Vec<&CodeDefinition>> {
    let mut rows: BTreeMap<&str, Vec<&CodeDefinition>> = BTreeMap::new();
    for code in &list.definition().codes {
        rows.entry(code.code.as_str()).or_default().push(code);
    }
    for rows in rows.values_mut() {
        rows.sort_by(|a, b| a.valid_from.cmp(&b.valid_from));
    }
    rows
}

fn is_open(rows: &[&CodeDefinition]) -> bool {
    rows.last().is_some_and(|row| row.valid_to.is_empty())
}

fn changed(then: &[&CodeDefinition], now: &[&CodeDefinition], merges: impl Fn(&str) -> bool) -> Option<CodeChangeKind> {
    if then == now {
        return None;
    }
    let days = |rows: &[&CodeDefinition]| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.valid_from.clone(), row.valid_to.clone())).collect()
    };
    let kind = match (is_open(then), is_open(now)) {
        (true, false) => match now.last().map(|row| row.successors.as_slice()) {
            Some([]) | None => CodeChangeKind::Ended,
            Some([one]) if merges(one) => CodeChangeKind::Merged,
            Some([_]) => CodeChangeKind::Replaced,
            Some(_) => CodeChangeKind::Split,
        },
        (false, true) => CodeChangeKind::Reopened,
        _ if now.len() > then.len() && is_open(now) => CodeChangeKind::Replaced,
        _ if days(then) != days(now) => CodeChangeKind::PeriodChanged,
        _ if then.iter().zip(now).any(|(then, now)| then.parent != now.parent) => CodeChangeKind::Moved,
        _ => CodeChangeKind::Relabelled,
    };
    Some(kind)
}

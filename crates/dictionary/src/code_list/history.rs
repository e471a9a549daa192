//! How codes follow one another, and how they contain one another.

use std::collections::HashMap;

use ldop_types::Date;

use super::{CodeDefinition, CodeList, CodeListDefinition, Period};
use crate::definition::Errors;

/// Successors and parents must be of the list, and parents must not lead in a circle.
pub(super) fn check(definition: &CodeListDefinition, has: impl Fn(&str) -> bool, errors: &mut Errors) {
    let mut parents: HashMap<&str, &str> = HashMap::new();
    for (index, code) in definition.codes.iter().enumerate() {
        for (at, successor) in code.successors.iter().enumerate().filter(|(_, code)| !has(code)) {
            errors.add(
                format!("codes[{index}].successors[{at}]"),
                format!("danh mục không có mã thay thế {successor}"),
                format!("the list does not have the successor {successor}"),
                "a code of the same list",
            );
        }
        if code.parent.is_empty() {
            continue;
        }
        if !has(&code.parent) {
            errors.add(
                format!("codes[{index}].parent"),
                format!("danh mục không có mã cấp trên {}", code.parent),
                format!("the list does not have the parent {}", code.parent),
                "a code of the same list, or empty",
            );
        } else if parents.insert(&code.code, &code.parent).is_some_and(|other| other != code.parent) {
            errors.add(
                format!("codes[{index}].parent"),
                format!("mã {} có hai cấp trên", code.code),
                format!("the code {} has two parents", code.code),
                "the same parent in every row of a code",
            );
        }
    }
    // A code whose way up was followed to its end leads in no circle.
    let mut ends: HashMap<&str, ()> = HashMap::new();
    for (index, code) in definition.codes.iter().enumerate() {
        let mut way = vec![code.code.as_str()];
        while let Some(parent) = parents.get(way[way.len() - 1]).copied().filter(|parent| !ends.contains_key(parent)) {
            if way.len() > parents.len() {
                errors.add(
                    format!("codes[{index}].parent"),
                    format!("cấp trên của mã {} tạo thành vòng", code.code),
                    format!("the parents of the code {} lead in a circle", code.code),
                    "a parent that is not below the code itself",
                );
                return;
            }
            way.push(parent);
        }
        ends.extend(way.into_iter().map(|code| (code, ())));
    }
}

impl CodeList {
    /// The code this one is a part of.
    #[must_use]
    pub fn parent(&self, code: &str) -> Option<&str> {
        let (start, _) = self.0.codes.find(code)?;
        let parent = self.row(start).parent.as_str();
        (!parent.is_empty()).then_some(parent)
    }

    /// The rows that take the place of what `code` stood for on a day; several where it was split. The same code may
    /// follow itself, when a unit keeps its number and becomes another.
    #[must_use]
    pub fn successors(&self, code: &str, on: Date) -> Vec<&CodeDefinition> {
        let Some(at) = self.find_on(code, on) else { return Vec::new() };
        let ended = self.0.periods[at as usize].last;
        let follower = |code: &String| self.first_after(code, ended).map(|at| self.row(at));
        self.row(at).successors.iter().filter_map(follower).collect()
    }

    /// The rows whose place `code`, as it stands on a day, has taken; several where units were merged.
    #[must_use]
    pub fn predecessors(&self, code: &str, on: Date) -> Vec<&CodeDefinition> {
        let Some(own) = self.find_on(code, on) else { return Vec::new() };
        let all = 0u32..self.0.rows.len() as u32;
        let leads_here = |at: &u32| {
            let ended = self.0.periods[*at as usize].last;
            self.row(*at).successors.iter().any(|next| next == code) && self.first_after(code, ended) == Some(own)
        };
        all.filter(leads_here).map(|at| self.row(at)).collect()
    }

    fn find_on(&self, code: &str, on: Date) -> Option<u32> {
        let (start, end) = self.0.codes.find(code)?;
        (start..end).find(|at| self.0.periods[*at as usize].contains(on))
    }

    /// The first row of a code that is valid after a day; the one valid then, where it has not ended by that day.
    fn first_after(&self, code: &str, day: Date) -> Option<u32> {
        let (start, end) = self.0.codes.find(code)?;
        (start..end).find(|at| self.0.periods[*at as usize].last > day)
    }

    /// The first code that the other list does not have, or not on all days it is valid here.
    pub(crate) fn first_beyond(&self, other: &Self) -> Option<&str> {
        let is_covered = |code: &str, period: Period| {
            let Some((start, end)) = other.0.codes.find(code) else { return false };
            let mut from = period.first;
            for theirs in &other.0.periods[start as usize..end as usize] {
                if theirs.first <= from && from <= theirs.last {
                    if theirs.last >= period.last {
                        return true;
                    }
                    from = Date(theirs.last.0 + 1);
                }
            }
            false
        };
        (0..self.0.rows.len() as u32)
            .find(|at| !is_covered(&self.row(*at).code, self.0.periods[*at as usize]))
            .map(|at| self.row(at).code.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str, from: &str, to: &str, successors: &[&str]) -> CodeDefinition {
        CodeDefinition {
            code: code.into(),
            label_vi: format!("{code} {from}"),
            valid_from: from.into(),
            valid_to: to.into(),
            successors: successors.iter().map(ToString::to_string).collect(),
            ..CodeDefinition::default()
        }
    }

    fn list(codes: Vec<CodeDefinition>) -> CodeList {
        let definition =
            CodeListDefinition { id: "xa".into(), name_vi: "Xã".into(), codes, ..CodeListDefinition::default() };
        CodeList::new(definition).expect("good list")
    }

    fn labels(rows: Vec<&CodeDefinition>) -> Vec<&str> {
        rows.into_iter().map(|row| row.label_vi.as_str()).collect()
    }

    fn day(text: &str) -> Date {
        Date::parse(text).expect("good date")
    }

    #[test]
    fn units_that_merge_split_and_keep_their_code_can_be_followed_both_ways() {
        let list = list(vec![
            code("1", "", "2025-06-30", &["1"]),
            code("2", "", "2025-06-30", &["1", "3"]),
            code("1", "2025-07-01", "2027-12-31", &["4"]),
            code("3", "2025-07-01", "", &[]),
            code("4", "2028-01-01", "", &[]),
        ]);
        let (before, after) = (day("2025-01-01"), day("2026-01-01"));
        assert_eq!(labels(list.successors("1", before)), ["1 2025-07-01"]);
        assert_eq!(labels(list.successors("2", before)), ["1 2025-07-01", "3 2025-07-01"]);
        assert_eq!(labels(list.successors("1", after)), ["4 2028-01-01"]);
        assert_eq!(labels(list.predecessors("1", after)), ["1 ", "2 "]);
        assert_eq!(labels(list.predecessors("3", after)), ["2 "]);
        assert_eq!(labels(list.predecessors("4", day("2028-01-01"))), ["1 2025-07-01"]);
        assert!(list.predecessors("1", before).is_empty() && list.successors("9", before).is_empty());
        assert_eq!(list.codes().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        assert_eq!(list.entry("1", after).map(|row| &*row.valid_to), Some("2027-12-31"));
    }

    #[test]
    fn parents_are_of_the_list_and_lead_in_no_circle() {
        let under = |own: &str, parent: &str| CodeDefinition { parent: parent.into(), ..code(own, "", "", &[]) };
        let good = list(vec![under("01", ""), under("011", "01"), under("0111", "011")]);
        assert_eq!((good.parent("0111"), good.parent("01")), (Some("011"), None));
        for (codes, field) in [
            (vec![under("a", "b"), under("b", "c"), under("c", "b")], "codes[0].parent"),
            (vec![under("a", "a")], "codes[0].parent"),
            (vec![under("a", "x")], "codes[0].parent"),
        ] {
            let definition =
                CodeListDefinition { id: "xa".into(), name_vi: "Xã".into(), codes, ..CodeListDefinition::default() };
            let errors = CodeList::new(definition).expect_err("bad parents");
            assert_eq!(errors.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), [field]);
        }
    }

    #[test]
    fn a_list_is_within_another_when_it_has_each_code_on_all_its_days() {
        let all = list(vec![
            code("1", "", "2025-06-30", &[]),
            code("1", "2025-07-01", "", &[]),
            code("2", "2025-07-01", "", &[]),
        ]);
        for (codes, beyond) in [
            (vec![code("1", "", "", &[])], None),
            (vec![code("1", "2020-01-01", "2026-01-01", &[]), code("2", "2025-07-01", "", &[])], None),
            (vec![code("2", "", "", &[])], Some("2")),
            (vec![code("1", "", "", &[]), code("3", "", "", &[])], Some("3")),
        ] {
            assert_eq!(list(codes).first_beyond(&all), beyond);
        }
    }
}

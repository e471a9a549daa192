//! Code lists: which codes there are, and when each was in force.

use std::{fmt, sync::Arc};

use ldop_types::{CodeListId, Date};

use crate::definition::{DefinitionError, Errors};

mod history;
mod index;
mod value_map;

use index::Index;

pub use value_map::{CodePairDefinition, MappedCode, ValueMapDefinition};

/// Most codes of one list. The country has 3,321 communes.
pub const MAX_CODES: usize = 200_000;
/// Longest code, code points.
pub const MAX_CODE_CHARS: usize = 64;

/// A code list as an operator writes it; mirrors `ldop.registry.v1.CodeList`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeListDefinition {
    /// Code list id.
    pub id: String,
    /// Name, Vietnamese.
    pub name_vi: String,
    /// Name, English; empty when none.
    pub name_en: String,
    /// Source: law, standard or list, with place.
    pub source: String,
    /// Codes, in any order; the same code may stand several times when the periods do not overlap.
    pub codes: Vec<CodeDefinition>,
    /// Maps of these codes to those of other lists.
    pub value_maps: Vec<ValueMapDefinition>,
}

/// One code of a list as an operator writes it; mirrors `ldop.registry.v1.Code`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeDefinition {
    /// The code, text, leading zeros kept.
    pub code: String,
    /// Label, Vietnamese.
    pub label_vi: String,
    /// Label, English; empty when none.
    pub label_en: String,
    /// First day it is valid, YYYY-MM-DD; empty: always was.
    pub valid_from: String,
    /// Last day it is valid, YYYY-MM-DD; empty: still is.
    pub valid_to: String,
    /// Code of the same list this one is a part of; empty when none.
    pub parent: String,
    /// Codes that take its place after `valid_to`: one where it was renamed or merged, several where it was split.
    pub successors: Vec<String>,
}

/// What a list knows of a code on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeStatus {
    /// The code is valid that day.
    InForce,
    /// The list has the code, but not for that day.
    NotInForce,
    /// The list does not have the code.
    Unknown,
}

/// A code list that can be asked. Cheap to clone.
#[derive(Clone)]
pub struct CodeList(Arc<Inner>);

struct Inner {
    id: CodeListId,
    definition: CodeListDefinition,
    /// Where the periods of a code begin and end in `periods`.
    codes: Index,
    periods: Vec<Period>,
    /// For each of `periods`, the row of the definition it comes from.
    rows: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Period {
    first: Date,
    last: Date,
}

impl Period {
    fn contains(self, day: Date) -> bool {
        self.first <= day && day <= self.last
    }
}

impl CodeList {
    /// Parses a definition.
    ///
    /// # Errors
    ///
    /// Every bad field at once: id, texts, codes that are empty or too long, dates that do not exist, periods that
    /// overlap for one code, successors and parents the list does not have, parents that lead in a circle, value maps
    /// that map codes the list does not have.
    pub fn new(definition: CodeListDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let id = CodeListId::parse(&definition.id);
        if id.is_err() {
            errors.add("id", "mã danh mục không hợp lệ", "not a code list id", CodeListId::EXPECTED);
        }
        errors.text("name_vi", &definition.name_vi, 300, true);
        errors.text("name_en", &definition.name_en, 300, false);
        errors.text("source", &definition.source, 1_000, false);
        if definition.codes.is_empty() || definition.codes.len() > MAX_CODES {
            errors.add(
                "codes",
                "danh mục trống hoặc có quá nhiều mã",
                "the list is empty or has too many codes",
                format!("1-{MAX_CODES} codes"),
            );
        }
        let mut rows: Vec<(usize, Period)> = Vec::with_capacity(definition.codes.len());
        for (index, code) in definition.codes.iter().enumerate() {
            rows.extend(check_code(index, code, &mut errors).map(|period| (index, period)));
        }
        let code_of = |index: usize| definition.codes[index].code.as_str();
        rows.sort_unstable_by(|a, b| (code_of(a.0), a.1, a.0).cmp(&(code_of(b.0), b.1, b.0)));
        let mut ranges: Vec<(&str, u32, u32)> = Vec::with_capacity(rows.len());
        let mut periods: Vec<Period> = Vec::with_capacity(rows.len());
        for (at, (index, period)) in (0u32..).zip(&rows) {
            let is_new = ranges.last().is_none_or(|(code, ..)| *code != code_of(*index));
            if is_new {
                ranges.push((code_of(*index), at, at));
            } else if periods.last().is_some_and(|before| before.last >= period.first) {
                errors.add(
                    format!("codes[{index}]"),
                    format!("mã {} có hai thời kỳ hiệu lực chồng nhau", code_of(*index)),
                    format!("two periods of code {} overlap", code_of(*index)),
                    "periods of one code that do not overlap",
                );
            }
            if let Some((_, _, end)) = ranges.last_mut() {
                *end = at + 1;
            }
            periods.push(*period);
        }
        let codes = Index::new(&ranges);
        let has = |code: &str| codes.find(code).is_some();
        history::check(&definition, has, &mut errors);
        value_map::check(&definition, has, &mut errors);
        let rows = rows.iter().map(|(index, _)| *index as u32).collect();
        match id {
            Ok(id) if errors.0.is_empty() => Ok(Self(Arc::new(Inner { id, definition, codes, periods, rows }))),
            _ => Err(errors.0),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &CodeListId {
        &self.0.id
    }

    /// What the operator wrote.
    #[must_use]
    pub fn definition(&self) -> &CodeListDefinition {
        &self.0.definition
    }

    /// What the list knows of `code` on a day. Does not allocate.
    #[must_use]
    #[inline]
    pub fn status(&self, code: &str, on: Date) -> CodeStatus {
        let Some((start, end)) = self.0.codes.find(code) else { return CodeStatus::Unknown };
        let periods = &self.0.periods[start as usize..end as usize];
        if periods.iter().any(|period| period.contains(on)) { CodeStatus::InForce } else { CodeStatus::NotInForce }
    }

    /// Whether the list has the code at all, on whatever day.
    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.0.codes.find(code).is_some()
    }

    /// Every different code, in the order of their text.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        let inner = &*self.0;
        let code = |row: &u32| inner.definition.codes[*row as usize].code.as_str();
        let mut last = None;
        inner.rows.iter().map(code).filter(move |code| last.replace(*code) != Some(*code))
    }

    /// The row of `code` that is valid on a day.
    #[must_use]
    pub fn entry(&self, code: &str, on: Date) -> Option<&CodeDefinition> {
        let (start, end) = self.0.codes.find(code)?;
        let at = (start..end).find(|at| self.0.periods[*at as usize].contains(on))?;
        Some(self.row(at))
    }

    /// Number of different codes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.codes.len()
    }

    fn row(&self, at: u32) -> &CodeDefinition {
        &self.0.definition.codes[self.0.rows[at as usize] as usize]
    }

    /// Never true: an empty list is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for CodeList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodeList({}, {} codes)", self.0.id, self.len())
    }
}

impl PartialEq for CodeList {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.definition == other.0.definition
    }
}

fn check_code(index: usize, code: &CodeDefinition, errors: &mut Errors) -> Option<Period> {
    let field = |name: &str| format!("codes[{index}].{name}");
    let length = code.code.chars().count();
    if length == 0
        || length > MAX_CODE_CHARS
        || code.code.trim() != code.code
        || code.code.chars().any(char::is_control)
    {
        errors.add(
            field("code"),
            "mã trống, quá dài hoặc có khoảng trắng ở đầu, cuối",
            "the code is empty, too long or has blanks around it",
            format!("1-{MAX_CODE_CHARS} characters without blanks around them"),
        );
    }
    errors.text(&field("label_vi"), &code.label_vi, 500, true);
    errors.text(&field("label_en"), &code.label_en, 500, false);
    let mut day = |name: &str, text: &str, default: Date| {
        if text.is_empty() {
            return Some(default);
        }
        let date = Date::parse(text);
        if date.is_none() {
            errors.add(field(name), "không phải ngày có thật", "not a day that exists", "YYYY-MM-DD, or empty");
        }
        date
    };
    let first = day("valid_from", &code.valid_from, Date(i32::MIN));
    let last = day("valid_to", &code.valid_to, Date(i32::MAX));
    let period = Period { first: first?, last: last? };
    if period.first > period.last {
        errors.add(
            field("valid_to"),
            "ngày hết hiệu lực trước ngày bắt đầu",
            "the last day is before the first",
            "a day not before valid_from",
        );
        return None;
    }
    Some(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str, from: &str, to: &str) -> CodeDefinition {
        CodeDefinition {
            code: code.into(),
            label_vi: "Nhãn".into(),
            valid_from: from.into(),
            valid_to: to.into(),
            ..CodeDefinition::default()
        }
    }

    fn list(codes: Vec<CodeDefinition>) -> Result<CodeList, Vec<DefinitionError>> {
        CodeList::new(CodeListDefinition {
            id: "gialai-communes".into(),
            name_vi: "Xã, phường".into(),
            codes,
            ..CodeListDefinition::default()
        })
    }

    fn day(text: &str) -> Date {
        Date::parse(text).expect("good date")
    }

    #[test]
    fn a_code_is_in_force_within_its_periods_both_ends_included() {
        let list = list(vec![
            code("21550", "", "2025-06-30"),
            code("21550", "2026-01-01", ""),
            code("21553", "2025-07-01", "2025-12-31"),
            code("00001", "", ""),
        ])
        .expect("good list");
        assert_eq!(list.len(), 3);
        for (text, on, expected) in [
            ("21550", "1900-01-01", CodeStatus::InForce),
            ("21550", "2025-06-30", CodeStatus::InForce),
            ("21550", "2025-07-01", CodeStatus::NotInForce),
            ("21550", "2026-01-01", CodeStatus::InForce),
            ("21553", "2025-06-30", CodeStatus::NotInForce),
            ("21553", "2025-07-01", CodeStatus::InForce),
            ("21553", "2025-12-31", CodeStatus::InForce),
            ("21553", "2026-01-01", CodeStatus::NotInForce),
            ("00001", "9999-12-31", CodeStatus::InForce),
            ("1", "2025-07-01", CodeStatus::Unknown),
            ("", "2025-07-01", CodeStatus::Unknown),
        ] {
            assert_eq!(list.status(text, day(on)), expected, "{text} on {on}");
        }
    }

    #[test]
    fn every_bad_code_is_reported() {
        let mut successor = code("c", "", "");
        successor.successors = vec!["a".into(), "zz".into()];
        let errors = list(vec![
            code("a", "", "2025-06-30"),
            code("a", "2025-06-30", ""),
            code("b", "2025-02-29", "x"),
            code(" d", "", ""),
            code("e", "2025-07-02", "2025-07-01"),
            successor,
        ])
        .expect_err("bad list");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "codes[2].valid_from",
                "codes[2].valid_to",
                "codes[3].code",
                "codes[4].valid_to",
                "codes[1]",
                "codes[5].successors[1]"
            ]
        );
    }

    #[test]
    fn an_empty_list_or_a_bad_id_is_refused() {
        let errors = CodeList::new(CodeListDefinition { id: "X Y".into(), ..CodeListDefinition::default() })
            .expect_err("bad list");
        let fields: Vec<_> = errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["id", "name_vi", "codes"]);
    }
}

//! The closed lists that sharing agreements take their purposes and legal bases from.
//!
//! They are code lists like any other, under ids that are kept for them. A dictionary that has neither asks for neither.

use ldop_types::{Date, Text};

use crate::{
    code_list::{CodeList, CodeStatus},
    dictionary::Dictionary,
};

/// The code list the purposes of agreements are codes of.
pub const PURPOSES: &str = "sharing-purposes";
/// The code list the legal bases of agreements are codes of.
pub const LEGAL_BASES: &str = "legal-bases";

/// How alike two codes are where one was meant for the other.
const LIKENESS: f64 = 0.8;

/// A code of an agreement that its list does not have, or not on the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// `purpose`, `legal_bases` or `legal_bases[2]`.
    pub field: String,
    /// What is wrong.
    pub found: Text,
    /// What is expected there.
    pub expected: Text,
}

impl Dictionary {
    /// What is wrong with the purpose and the legal bases of an agreement on a day. Where the dictionary has such a list, one
    /// of its codes must be named.
    #[must_use]
    pub fn sharing_misfits(&self, purpose: &str, legal_bases: &[String], on: Date) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        if let Some(list) = self.code_list(PURPOSES) {
            if purpose.is_empty() {
                misfits.push(none_named("purpose", list, on));
            } else {
                misfits.extend(misfit("purpose".to_owned(), purpose, list, on));
            }
        }
        if let Some(list) = self.code_list(LEGAL_BASES) {
            if legal_bases.is_empty() {
                misfits.push(none_named("legal_bases", list, on));
            }
            for (at, code) in legal_bases.iter().enumerate() {
                misfits.extend(misfit(format!("legal_bases[{at}]"), code, list, on));
            }
        }
        misfits
    }

    /// Codes of an agreement that their list does not have any more, on whatever day.
    #[must_use]
    pub fn sharing_codes_gone(&self, purpose: &str, legal_bases: &[String]) -> Vec<Misfit> {
        let is_gone = |list: Option<&CodeList>, code: &str| list.is_some_and(|list| !list.contains(code));
        let mut misfits = Vec::new();
        if !purpose.is_empty() && is_gone(self.code_list(PURPOSES), purpose) {
            misfits.push(unknown("purpose".to_owned(), purpose, PURPOSES, None));
        }
        for (at, code) in legal_bases.iter().enumerate() {
            if is_gone(self.code_list(LEGAL_BASES), code) {
                misfits.push(unknown(format!("legal_bases[{at}]"), code, LEGAL_BASES, None));
            }
        }
        misfits
    }
}

fn none_named(field: &str, list: &CodeList, on: Date) -> Misfit {
    let (id, some) = (list.id(), some_codes(list, on));
    Misfit {
        field: field.to_owned(),
        found: Text::new("thỏa thuận không nêu mã nào", "the agreement names no code"),
        expected: Text::new(
            format!("một mã của danh mục {id}, như {some}"),
            format!("a code of the list {id}, such as {some}"),
        ),
    }
}

fn some_codes(list: &CodeList, on: Date) -> String {
    let valid = list.codes().filter(|code| list.status(code, on) == CodeStatus::InForce);
    valid.take(3).collect::<Vec<_>>().join(", ")
}

fn misfit(field: String, code: &str, list: &CodeList, on: Date) -> Option<Misfit> {
    match list.status(code, on) {
        CodeStatus::InForce => None,
        CodeStatus::NotInForce => Some(not_in_force(field, code, list, on)),
        CodeStatus::Unknown => Some(unknown(field, code, list.id().as_str(), near(code, list, on))),
    }
}

fn unknown(field: String, code: &str, list: &str, near: Option<&str>) -> Misfit {
    let meant = |before: &str| near.map_or_else(String::new, |near| format!("; {before} \"{near}\"?"));
    Misfit {
        field,
        found: Text::new(
            format!("danh mục {list} không có mã {code:?}"),
            format!("the list {list} does not have the code {code:?}"),
        ),
        expected: Text::new(
            format!("một mã của danh mục {list}{}", meant("ý là")),
            format!("a code of the list {list}{}", meant("did you mean")),
        ),
    }
}

fn not_in_force(field: String, code: &str, list: &CodeList, on: Date) -> Misfit {
    let id = list.id();
    let rows = list.definition().codes.iter().filter(|row| row.code == code);
    let mut successors: Vec<&str> = rows.flat_map(|row| &row.successors).map(String::as_str).collect();
    successors.retain(|successor| list.status(successor, on) == CodeStatus::InForce);
    successors.dedup();
    let in_place = |before: &str| match successors.as_slice() {
        [] => String::new(),
        several => format!("; {before} {}", several.join(", ")),
    };
    Misfit {
        field,
        found: Text::new(
            format!("mã {code:?} của danh mục {id} không có hiệu lực ngày {on}"),
            format!("the code {code:?} of the list {id} is not valid on {on}"),
        ),
        expected: Text::new(
            format!("một mã có hiệu lực{}", in_place("được thay bằng")),
            format!("a code that is valid{}", in_place("in its place")),
        ),
    }
}

/// The code that may have been meant.
fn near<'l>(code: &str, list: &'l CodeList, on: Date) -> Option<&'l str> {
    let valid = list.codes().filter(|known| list.status(known, on) == CodeStatus::InForce);
    valid
        .map(|known| (strsim::jaro_winkler(&code.to_lowercase(), known), known))
        .filter(|(likeness, _)| *likeness > LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CodeDefinition, CodeListDefinition};

    fn list(id: &str, codes: &[(&str, &str, &str)]) -> CodeList {
        let day = |text: &str| if text.is_empty() { String::new() } else { text.to_owned() };
        let code = |(code, valid_to, successor): &(&str, &str, &str)| CodeDefinition {
            code: (*code).into(),
            label_vi: "Nhãn".into(),
            valid_to: day(valid_to),
            successors: Some((*successor).to_owned()).filter(|s| !s.is_empty()).into_iter().collect(),
            ..Default::default()
        };
        let codes = codes.iter().map(code).collect();
        CodeList::new(CodeListDefinition { id: id.into(), name_vi: "Mẫu".into(), codes, ..Default::default() })
            .expect("good")
    }

    fn told(dictionary: &Dictionary, purpose: &str, bases: &[&str]) -> Vec<(String, String, String)> {
        let bases: Vec<String> = bases.iter().map(|base| (*base).to_owned()).collect();
        let on = Date::parse("2026-01-01").expect("a day");
        let misfits = dictionary.sharing_misfits(purpose, &bases, on);
        misfits.into_iter().map(|m| (m.field, m.found.en.into_owned(), m.expected.en.into_owned())).collect()
    }

    #[test]
    fn a_dictionary_without_the_lists_asks_for_no_codes() {
        assert!(told(&Dictionary::default(), "", &[]).is_empty());
        assert!(told(&Dictionary::default(), "whatever", &["else"]).is_empty());
    }

    #[test]
    fn codes_are_judged_on_the_day_and_the_near_one_is_told() {
        let lists = [
            list(PURPOSES, &[("statistics", "", ""), ("taxes", "", "")]),
            list(LEGAL_BASES, &[("decree-47-2020", "2025-10-21", "decree-278-2025"), ("decree-278-2025", "", "")]),
        ];
        let dictionary = Dictionary::default().with_changes([], lists).expect("good");
        assert!(told(&dictionary, "taxes", &["decree-278-2025"]).is_empty());
        let fields = |found: Vec<(String, String, String)>| found.into_iter().map(|found| found.0).collect::<Vec<_>>();
        assert_eq!(fields(told(&dictionary, "", &[])), ["purpose", "legal_bases"]);
        let found = told(&dictionary, "Statistic", &["decree-278-2025", "decree-47-2020"]);
        assert_eq!(found[0].2, "a code of the list sharing-purposes; did you mean \"statistics\"?");
        assert_eq!(found[1].0, "legal_bases[1]");
        assert_eq!(found[1].2, "a code that is valid; in its place decree-278-2025");
        // A code that has ended has not gone; one that the list lacks has.
        let gone = |purpose: &str, base: &str| dictionary.sharing_codes_gone(purpose, &[base.to_owned()]).len();
        assert_eq!((gone("taxes", "decree-47-2020"), gone("other", "decree-13-2023"), gone("", "x")), (0, 2, 1));
    }
}

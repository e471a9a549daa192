//! Maps between schemes: the same fact has other codes elsewhere, such as the sex of a person, which is 1 and 2 in one
//! scheme, 1 and 0 in another. The hub maps nothing by itself; whoever brings data in asks here.

use std::collections::HashSet;

use super::{CodeList, CodeListDefinition};
use crate::definition::Errors;

/// A map of the codes of a list to those of another, as an operator writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueMapDefinition {
    /// Code list mapped to.
    pub to: String,
    /// Source of the map.
    pub source: String,
    /// Pairs; a code may stand in several, and is then ambiguous.
    pub pairs: Vec<CodePairDefinition>,
}

/// A code and what it is in another list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodePairDefinition {
    /// Code of the list that has the map.
    pub from: String,
    /// Code of the other list.
    pub to: String,
}

/// What a code is in another list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MappedCode<'a> {
    /// One code, which is the answer.
    One(&'a str),
    /// Several codes, in the order of the map: a person has to decide.
    Ambiguous(Vec<&'a str>),
    /// The map does not have the code, which its list does have.
    Missing,
    /// The list does not have the code.
    Unknown,
    /// Neither list has a map to the other, or a list is not there.
    NoMap,
}

/// Each map leads to another list, maps codes the list has, and says each pair once.
pub(super) fn check(definition: &CodeListDefinition, has: impl Fn(&str) -> bool, errors: &mut Errors) {
    for (index, map) in definition.value_maps.iter().enumerate() {
        let field = |name: &str| format!("value_maps[{index}].{name}");
        let is_second = definition.value_maps[..index].iter().any(|other| other.to == map.to);
        if map.to == definition.id || is_second || ldop_types::CodeListId::parse(&map.to).is_err() {
            errors.add(
                field("to"),
                "không phải một danh mục khác, hoặc đã có bảng chuyển đổi",
                "not another code list, or one with a map already",
                "the id of another code list, once",
            );
        }
        errors.text(&field("source"), &map.source, 1_000, false);
        if map.pairs.is_empty() {
            errors.add(field("pairs"), "bảng chuyển đổi trống", "the map is empty", "at least one pair");
        }
        let mut seen = HashSet::new();
        for (at, pair) in map.pairs.iter().enumerate() {
            if !has(&pair.from) {
                errors.add(
                    field(&format!("pairs[{at}].from")),
                    format!("danh mục không có mã {}", pair.from),
                    format!("the list does not have the code {}", pair.from),
                    "a code of the list",
                );
            }
            if !seen.insert((&pair.from, &pair.to)) {
                errors.add(
                    field(&format!("pairs[{at}]")),
                    "cặp mã xuất hiện hai lần",
                    "the pair stands twice",
                    "it once",
                );
            }
        }
    }
}

impl CodeList {
    /// The map of this list to another.
    pub(crate) fn map_to(&self, list: &str) -> Option<&ValueMapDefinition> {
        self.definition().value_maps.iter().find(|map| map.to == list)
    }

    /// What `code` is in `other`, by the map one of the two lists has.
    pub(crate) fn mapped<'a>(&'a self, code: &str, other: &'a Self) -> MappedCode<'a> {
        let found: Vec<&str> = if let Some(map) = self.map_to(other.id().as_str()) {
            map.pairs.iter().filter(|pair| pair.from == code).map(|pair| &*pair.to).collect()
        } else if let Some(map) = other.map_to(self.id().as_str()) {
            map.pairs.iter().filter(|pair| pair.to == code).map(|pair| &*pair.from).collect()
        } else {
            return MappedCode::NoMap;
        };
        match *found {
            [] if self.contains(code) => MappedCode::Missing,
            [] => MappedCode::Unknown,
            [one] => MappedCode::One(one),
            _ => MappedCode::Ambiguous(found),
        }
    }
}

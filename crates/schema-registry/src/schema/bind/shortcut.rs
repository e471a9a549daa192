//! Compiles the shortcut of a place; see [`quick`](crate::schema::quick).

use serde_json::Value;

use super::{
    sites::{Site, Sites, Strength},
    types::{ANY, SCALARS, of_element},
};
use crate::schema::{
    plan::{Bound, Shortcut},
    quick::{Test, keyword_tests},
};

/// Deeper branches are left to the library.
const MAX_DEPTH: usize = 12;

impl Shortcut {
    /// The shortcut of a place, or `None` if a keyword is not one of those known.
    pub(super) fn of(sites: &Sites<'_>, looking: &[Site<'_>], bound: Option<&Bound>) -> Option<Self> {
        let mut shortcut = Self::default();
        for site in looking.iter().filter(|site| site.strength == Strength::Always) {
            shortcut.add(sites, site)?;
        }
        shortcut.settle_types(bound);
        if let Some(bound) = bound {
            let tests = std::mem::take(&mut shortcut.tests);
            shortcut.tests = tests.into_iter().filter_map(|test| test.beside(&bound.element)).collect();
        }
        Some(shortcut)
    }

    /// Takes what `type` says out of the tests. Scalars that keep the element's rules are of the element's type.
    fn settle_types(&mut self, bound: Option<&Bound>) {
        self.types = ANY;
        self.tests.retain(|test| match test {
            Test::Types(types) => {
                self.types &= types;
                false
            }
            _ => true,
        });
        if bound.is_some_and(|bound| of_element(bound.element.value_type()) & !self.types == 0) {
            self.types |= SCALARS;
        }
    }

    /// Adds what one subschema asks. Its `properties` and items are places of their own.
    fn add(&mut self, sites: &Sites<'_>, site: &Site<'_>) -> Option<()> {
        let map = site.schema.as_object()?;
        if map.get("$ref").is_some_and(|uri| !sites.target(uri).is_some_and(Value::is_object)) {
            return None;
        }
        if sites.refers_only(site.schema) {
            return Some(());
        }
        for (keyword, value) in map {
            match keyword.as_str() {
                // These are seen as sites of the same place.
                "$ref" | "then" | "else" => {}
                "allOf" => value.as_array()?.iter().all(Value::is_object).then_some(())?,
                "properties" => {
                    let fields = value.as_object()?;
                    self.forbidden
                        .extend(fields.iter().filter(|(_, f)| **f == Value::Bool(false)).map(|(n, _)| n.clone()));
                }
                "additionalProperties" => match value {
                    Value::Bool(true) => {}
                    Value::Bool(false) => {
                        let fields = map.get("properties").and_then(Value::as_object);
                        self.closed.push(fields.into_iter().flatten().map(|(name, _)| name.clone()).collect());
                    }
                    _ => return None,
                },
                "items" if value.is_object() => {}
                "prefixItems" | "items" if value.as_array()?.iter().all(Value::is_object) => {}
                "required" => {
                    for name in value.as_array()? {
                        self.required.insert(name.as_str()?.to_owned());
                    }
                }
                keyword => self.tests.extend(tests_of_keyword(sites, map, keyword, value, 0)?),
            }
        }
        Some(())
    }
}

/// The tests of a branch: a subschema that is looked at as a whole, members included.
fn tests_of(sites: &Sites<'_>, schema: &Value, depth: usize) -> Option<Vec<Test>> {
    let map = match schema {
        Value::Bool(true) => return Some(Vec::new()),
        Value::Bool(false) => return Some(vec![Test::Never]),
        Value::Object(map) if depth < MAX_DEPTH => map,
        _ => return None,
    };
    let mut tests = Vec::new();
    if let Some(uri) = map.get("$ref") {
        tests.extend(tests_of(sites, sites.target(uri)?, depth + 1)?);
        if sites.refers_only(schema) {
            return Some(tests);
        }
    }
    for (keyword, value) in map {
        match keyword.as_str() {
            "$ref" | "then" | "else" => {}
            "allOf" => {
                for branch in value.as_array()? {
                    tests.extend(tests_of(sites, branch, depth + 1)?);
                }
            }
            "properties" => {
                for (name, schema) in value.as_object()? {
                    let member = tests_of(sites, schema, depth + 1)?;
                    tests.push(Test::Member(crate::schema::plan::FieldName::new(name), member));
                }
            }
            keyword => tests.extend(tests_of_keyword(sites, map, keyword, value, depth)?),
        }
    }
    Some(tests)
}

fn tests_of_keyword(
    sites: &Sites<'_>,
    map: &serde_json::Map<String, Value>,
    keyword: &str,
    value: &Value,
    depth: usize,
) -> Option<Vec<Test>> {
    let branches = || -> Option<Vec<Vec<Test>>> {
        value.as_array()?.iter().map(|branch| tests_of(sites, branch, depth + 1)).collect()
    };
    let branch = |keyword: &str| map.get(keyword).map_or(Some(Vec::new()), |schema| tests_of(sites, schema, depth + 1));
    let test = match keyword {
        "anyOf" => Test::Any(branches()?),
        "oneOf" => Test::One(branches()?),
        "not" => Test::Not(tests_of(sites, value, depth + 1)?),
        "if" => {
            Test::If { when: tests_of(sites, value, depth + 1)?, then: branch("then")?, otherwise: branch("else")? }
        }
        _ => return keyword_tests(keyword, value),
    };
    Some(vec![test])
}

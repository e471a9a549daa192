//! Cases as data: earlier schemas, a new one, the directions in which it is compatible under each policy, and the kinds of
//! differences that are told. Each case is asked in all seven modes.
//!
//! A schema is given as JSON or, where the text matters, as `{"raw": "..."}`. `transitive` has the directions for the
//! transitive modes where they are others, `lenient_kinds` the kinds that
//! only the lenient policy tells. `references` are schemas by name; `new_references` where the new one has others.

use std::{collections::BTreeSet, fs, path::Path};

use ldop_schema_registry::compatibility::{
    CompatibilityMode, CompatibilityPolicy, Difference, DifferenceKind, Direction, SchemaTree, Severity, check,
};
use serde_json::Value;

pub struct Case {
    pub name: String,
    earlier: Vec<SchemaTree>,
    new: SchemaTree,
    expected: Value,
    /// The texts, to see which keywords differ.
    texts: Vec<String>,
}

pub fn all() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compatibility");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the folder of cases").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let files = paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let mut cases = Vec::new();
    for path in files {
        let list: Value = serde_json::from_slice(&fs::read(&path).expect("readable")).expect("well-formed");
        for case in list.as_array().expect("cases") {
            let file = path.file_stem().expect("a name").to_string_lossy();
            let name = format!("{file}: {}", case["name"].as_str().expect("a name"));
            cases.push(Case::read(name, case));
        }
    }
    cases
}

impl Case {
    fn read(name: String, case: &Value) -> Self {
        let text = |schema: &Value| schema["raw"].as_str().map_or_else(|| schema.to_string(), str::to_owned);
        let references = |key: &str| -> Vec<(String, String)> {
            let map = case[key].as_object().or(case["references"].as_object());
            map.into_iter().flatten().map(|(name, schema)| (name.clone(), text(schema))).collect()
        };
        let (old, new) = (references("references"), references("new_references"));
        let tree = |schema: &Value, references: &[(String, String)]| {
            let references: Vec<(&str, &str)> = references.iter().map(|(name, text)| (&**name, &**text)).collect();
            SchemaTree::parse(&text(schema), &references).unwrap_or_else(|findings| panic!("{name}: {findings:?}"))
        };
        let earlier = case["earlier"].as_array().expect("a list");
        let texts =
            earlier.iter().chain([&case["new"]]).map(text).chain(old.iter().chain(&new).map(|(_, text)| text.clone()));
        Self {
            earlier: earlier.iter().map(|schema| tree(schema, &old)).collect(),
            new: tree(&case["new"], &new),
            expected: case.clone(),
            texts: texts.collect(),
            name,
        }
    }

    /// The differences to the last version in both directions.
    pub fn differences(&self, policy: CompatibilityPolicy) -> Vec<Difference> {
        check(&self.new, &self.versions(), CompatibilityMode::Full, policy).differences
    }

    fn versions(&self) -> Vec<(u32, &SchemaTree)> {
        (1..).zip(&self.earlier).collect()
    }

    fn expects(&self, mode: CompatibilityMode, policy: CompatibilityPolicy) -> bool {
        let key = policy.as_str().to_lowercase();
        let transitive = self.expected["transitive"].get(&key).filter(|_| mode.is_transitive());
        let directions = transitive.unwrap_or(&self.expected[&key]).as_str().expect("directions");
        assert!(["both", "backward", "forward", "neither"].contains(&directions), "{}: {directions}", self.name);
        let holds = |direction: &Direction| directions == "both" || directions == direction.as_str().to_lowercase();
        mode.directions().iter().all(holds)
    }

    fn kinds(&self, policy: CompatibilityPolicy) -> &Value {
        let lenient = self.expected.get("lenient_kinds").filter(|_| policy == CompatibilityPolicy::Lenient);
        lenient.unwrap_or(&self.expected["kinds"])
    }

    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for policy in CompatibilityPolicy::ALL {
            for mode in CompatibilityMode::ALL {
                let verdict = check(&self.new, &self.versions(), mode, policy);
                let expected = self.expects(mode, policy);
                if verdict.is_compatible != expected {
                    let (policy, mode) = (policy.as_str(), mode.as_str());
                    failures.push(format!("{}: {policy} {mode}: expected {expected}: {verdict:#?}", self.name));
                }
                let harmless = verdict.differences.iter().all(|d| d.severity == Severity::Compatible);
                assert_eq!(verdict.is_compatible, harmless, "{}: {verdict:#?}", self.name);
                for difference in &verdict.differences {
                    assert!(!difference.message.vi.is_empty() && !difference.message.en.is_empty());
                    assert!(!difference.to_string().is_empty());
                }
            }
            let found: BTreeSet<&str> = self.differences(policy).iter().map(|d| d.kind.as_str()).collect();
            let expected: BTreeSet<&str> = self
                .kinds(policy)
                .as_array()
                .expect("kinds")
                .iter()
                .map(|kind| kind.as_str().expect("a word"))
                .collect();
            if found != expected {
                failures.push(format!("{}: expected kinds {expected:?}, found {found:?}", self.name));
            }
        }
        failures
    }
}

#[test]
fn each_case_has_the_verdict_and_the_differences_expected() {
    let failures: Vec<String> = all().iter().flat_map(Case::failures).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_kind_of_difference_has_a_case() {
    let mut told: BTreeSet<DifferenceKind> =
        all().iter().flat_map(|case| case.differences(CompatibilityPolicy::Strict)).map(|d| d.kind).collect();
    // Its schemas are too large for a file: hostile.rs.
    told.insert(DifferenceKind::BudgetExceeded);
    let missing: Vec<&str> =
        DifferenceKind::ALL.iter().filter(|kind| !told.contains(kind)).map(|k| k.as_str()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Every keyword that the three drafts and we ourselves give a meaning.
const KEYWORDS: [&str; 64] = [
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "x-ldop-checks",
    "x-ldop-element",
    "x-ldop-rules",
];

#[test]
fn every_keyword_has_a_case() {
    let texts: Vec<String> = all().into_iter().flat_map(|case| case.texts).collect();
    let has = |keyword: &&&str| !texts.iter().any(|text| text.contains(&format!("\"{keyword}\"")));
    let missing: Vec<&&str> = KEYWORDS.iter().filter(has).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

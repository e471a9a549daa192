//! Two schemas and what stands between them.

use ldop_schema_registry::{
    Parser,
    compatibility::{CompatibilityMode, CompatibilityPolicy, DifferenceKind, SchemaTree, Severity, check},
};

use crate::schema;

/// What stands between two schemas; no schema holds it outside of a text.
const SEPARATOR: u8 = 0x1e;

/// Parses both, compares them in both directions under both policies. A verdict holds together, a schema follows itself, and
/// a verdict "compatible" under STRICT is one under LENIENT.
pub(crate) fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == SEPARATOR);
    let mut tree = || std::str::from_utf8(parts.next()?).ok().map(|text| (text, SchemaTree::parse(text, &[])));
    let Some((text, Ok(old))) = tree() else { return };
    assert!(Parser::default().parse(text.as_bytes()).is_ok(), "what is a schema is a document");
    let again = SchemaTree::parse(text, &[]).expect("what was parsed parses again");
    let same = check(&again, &[(1, &old)], CompatibilityMode::Full, CompatibilityPolicy::Strict);
    assert!(same.is_compatible && same.differences.is_empty());
    let Some((_, Ok(new))) = tree() else { return };
    for mode in [CompatibilityMode::Backward, CompatibilityMode::Forward] {
        let mut is_exceeded = false;
        let [strict, lenient] = CompatibilityPolicy::ALL.map(|policy| {
            let verdict = check(&new, &[(1, &old)], mode, policy);
            let is_harmless = verdict.differences.iter().all(|difference| difference.severity == Severity::Compatible);
            assert_eq!(verdict.is_compatible, is_harmless, "a refusal says why");
            is_exceeded |= verdict.differences.iter().any(|d| d.kind == DifferenceKind::BudgetExceeded);
            verdict.is_compatible
        });
        assert!(lenient || !strict || is_exceeded, "what every reader takes a lenient one takes");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let changed = [
        (r#"{"type":"string","maxLength":5}"#, r#"{"type":["string","null"],"maxLength":9}"#),
        (
            r#"{"properties":{"a":{"const":1}},"required":["a"],"additionalProperties":false}"#,
            r#"{"properties":{"a":{"enum":[1,2.0]},"b":{"default":"x","type":"string"}},"required":["a","b"]}"#,
        ),
        (
            r##"{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"n":{"$ref":"#/$defs/n"}},"minProperties":1}}}"##,
            r##"{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"n":{"$ref":"#/$defs/n"}}}}}"##,
        ),
        (
            r#"{"oneOf":[{"type":"string"},{"items":{"minimum":1},"type":"array"}],"if":{"minLength":2},"then":{"pattern":"^a"}}"#,
            r#"{"anyOf":[{"type":"string"},{"items":{"minimum":0.5},"contains":true}],"not":{"type":"null"}}"#,
        ),
        (
            r#"{"$schema":"http://json-schema.org/draft-07/schema#","items":[{"format":"date"}],"dependencies":{"a":["b"]}}"#,
            r#"{"prefixItems":[{}],"unevaluatedItems":false,"patternProperties":{"^x":{"multipleOf":2}}}"#,
        ),
    ];
    let pair = |old: &[u8], new: &[u8]| [old, &[SEPARATOR], new].concat();
    let mut seeds: Vec<Vec<u8>> = changed.iter().map(|(old, new)| pair(old.as_bytes(), new.as_bytes())).collect();
    let schemas = schema::seeds();
    seeds.extend(schemas.iter().zip(schemas.iter().skip(1)).map(|(old, new)| pair(old, new)));
    seeds.extend(schemas.iter().map(|schema| pair(schema, schema)));
    seeds
}

//! A search for a verdict that is false: schemas from a seed, one changed into the other, and values that are valid under
//! one of them. Where the verdict is "compatible", each must be valid under the other.
//!
//! `LDOP_COMPATIBILITY_PAIRS=1000000 cargo test -p ldop-schema-registry --release --test compatibility property -- --nocapture`
//! makes it long; `LDOP_COMPATIBILITY_SEED` begins elsewhere.

use jsonschema::{Draft, PatternOptions, Validator};
use ldop_schema_registry::compatibility::{CompatibilityMode, CompatibilityPolicy, SchemaTree, check};
use serde_json::{Map, Value, json};

use crate::{generate::Generator, lenient::Schema};

/// Pairs of the short run.
const SHORT: u64 = 5_000;
/// Values judged for each pair and direction.
const VALUES: usize = 24;
/// Seeds for which a verdict was false once.
const KEPT: &[u64] = &[45, 1_015_952, 10_374_772, 20_283_299];

#[derive(Default)]
struct Count {
    pairs: u64,
    verdicts: u64,
    compatible: u64,
    judged: u64,
}

#[expect(clippy::disallowed_methods, reason = "a knob of the test run, not configuration of the hub")]
fn knob(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn validator(schema: &Value, draft: usize) -> Option<Validator> {
    let draft = [Draft::Draft7, Draft::Draft201909, Draft::Draft202012][draft];
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
        .ok()
}

/// Judges a default by a subschema of `root`.
fn accepts(root: &Value, draft: usize, default: &Value, schema: &Value) -> bool {
    let mut alone = Map::new();
    for key in ["$schema", "$defs"] {
        alone.extend(root.get(key).map(|value| (key.to_owned(), value.clone())));
    }
    alone.insert("allOf".into(), json!([schema]));
    validator(&alone.into(), draft).is_some_and(|validator| validator.is_valid(default))
}

struct Side {
    schema: Value,
    draft: usize,
    tree: SchemaTree,
    validator: Validator,
}

impl Side {
    fn new(schema: Value, draft: usize) -> Option<Self> {
        let tree =
            SchemaTree::parse(&schema.to_string(), &[]).unwrap_or_else(|findings| panic!("{schema}: {findings:?}"));
        let validator = validator(&schema, draft)?;
        Some(Self { schema, draft, tree, validator })
    }
}

/// Whether a schema refers to itself at the same place without end; no validator has an answer for such a one.
fn circles(root: &Value) -> bool {
    fn reaches(root: &Value, schema: &Value, goal: &str, depth: usize) -> bool {
        let Some(map) = schema.as_object() else { return false };
        if depth == 0 {
            return true;
        }
        let lists = ["allOf", "anyOf", "oneOf"].iter().filter_map(|key| map.get(*key)?.as_array()).flatten();
        let singles = ["not", "if", "then", "else"].iter().filter_map(|key| map.get(*key));
        let dependent = ["dependentSchemas", "dependencies"].iter().filter_map(|key| map.get(*key)?.as_object());
        let target = map.get("$ref").and_then(Value::as_str);
        target.is_some_and(|target| {
            target == goal || root.pointer(&target[1..]).is_some_and(|schema| reaches(root, schema, goal, depth - 1))
        }) || lists
            .chain(singles)
            .chain(dependent.flat_map(|map| map.values()))
            .any(|schema| reaches(root, schema, goal, depth - 1))
    }
    ["#/$defs/n", "#/$defs/m"]
        .iter()
        .any(|goal| root.pointer(&goal[1..]).is_some_and(|schema| reaches(root, schema, goal, 16)))
}

fn search(seed: u64, count: &mut Count) {
    let mut generator = Generator::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let draft = generator.below(3);
    let old = generator.schema(draft);
    let (new, new_draft) = match generator.below(20) {
        0 => (generator.schema(draft), draft),
        _ => (generator.changed(&old, draft), draft),
    };
    if circles(&old) || circles(&new) {
        return;
    }
    let (Some(old), Some(new)) = (Side::new(old, draft), Side::new(new, new_draft)) else { return };
    count.pairs += 1;
    for (writer, reader) in [(&old, &new), (&new, &old)] {
        let verdicts = CompatibilityPolicy::ALL.map(|policy| {
            let verdict = check(&reader.tree, &[(1, &writer.tree)], CompatibilityMode::Backward, policy);
            let is_explained = verdict.differences.iter().all(|d| d.severity.as_str() == "COMPATIBLE");
            assert_eq!(verdict.is_compatible, is_explained, "seed {seed}: {verdict:?}");
            verdict.is_compatible
        });
        count.verdicts += 2;
        count.compatible += u64::from(verdicts[0]) + u64::from(verdicts[1]);
        assert!(verdicts[1] || !verdicts[0], "seed {seed}: strict but not lenient");
        if verdicts == [false, false] {
            continue;
        }
        judge(seed, &mut generator, writer, reader, verdicts, count);
    }
}

fn judge(
    seed: u64,
    generator: &mut Generator,
    writer: &Side,
    reader: &Side,
    [strict, lenient]: [bool; 2],
    count: &mut Count,
) {
    let (writes, reads) =
        (Schema { root: &writer.schema, draft: writer.draft }, Schema { root: &reader.schema, draft: reader.draft });
    let mut last = Value::Null;
    for number in 0..VALUES {
        let value = match number % 4 {
            0 | 1 => generator.value(&writer.schema, &writer.schema, 4),
            2 => generator.changed_instance(&last),
            _ => generator.value(&reader.schema, &reader.schema, 4),
        };
        last = value.clone();
        if !writer.validator.is_valid(&value) {
            continue;
        }
        count.judged += 1;
        let tell = |policy: &str| {
            format!("seed {seed}, {policy}: {value}\nwritten with {}\nread with    {}", writer.schema, reader.schema)
        };
        assert!(!strict || reader.validator.is_valid(&value), "{}", tell("STRICT"));
        if lenient && writes.is_declared(&value, writes.root) {
            let accepts = |default: &Value, schema: &Value| accepts(&reader.schema, reader.draft, default, schema);
            let read = reads.read(&value, reads.root, &accepts);
            assert!(reader.validator.is_valid(&read), "{}\nread as {read}", tell("LENIENT"));
        }
    }
}

#[test]
fn a_verdict_compatible_is_never_false() {
    let mut count = Count::default();
    KEPT.iter().for_each(|seed| search(*seed, &mut count));
    let (first, pairs) = (knob("LDOP_COMPATIBILITY_SEED", 0), knob("LDOP_COMPATIBILITY_PAIRS", SHORT));
    let mut seed = first;
    while count.pairs < pairs {
        search(seed, &mut count);
        seed += 1;
    }
    let share = count.compatible * 100 / count.verdicts;
    println!(
        "{} pairs (seeds {first} to {seed}), {} verdicts, {share} % compatible, {} values judged, none false",
        count.pairs, count.verdicts, count.judged
    );
    assert!(share > 20, "{share} % compatible verdicts say little");
    assert!(count.judged > count.pairs, "{} values judged say little", count.judged);
}

//! docs/rules.md names every rule, with the words of `Rule::describe`, and no other.

use std::{fs, path::Path};

use ldop_schema_registry::SchemaRule;
use ldop_types::Rule;

#[test]
fn the_table_of_rules_is_complete_and_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    let text = fs::read_to_string(path).expect("docs/rules.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|row| !row[0].is_empty() && row[0].bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .collect();
    let (schema, record): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row[0].starts_with("SCHEMA_"));

    let expected: Vec<Vec<&str>> = Rule::ALL
        .iter()
        .map(|rule| {
            let (vi, en) = rule.describe();
            let warns = matches!(rule, Rule::PrefixUnknown | Rule::SexMismatch | Rule::BirthYearMismatch);
            vec![rule.as_str(), if warns { "no" } else { "yes" }, vi, en]
        })
        .collect();
    let found: Vec<Vec<&str>> = record.iter().map(|row| vec![row[0], row[1], row[3], row[4]]).collect();
    assert_eq!(found, expected);

    let found: Vec<&str> = schema.iter().map(|row| row[0]).collect();
    assert_eq!(found, SchemaRule::ALL.map(SchemaRule::as_str));
}

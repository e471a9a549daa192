//! docs/compatibility.md says what the code does: its table is made of the cases.
//!
//! `LDOP_WRITE_TABLE=1 cargo test -p ldop-schema-registry --test compatibility table` writes it.

use std::{collections::BTreeSet, fs, path::Path};

use ldop_schema_registry::compatibility::{CompatibilityPolicy, DifferenceKind, Direction, Severity};

use crate::cases;

const BEGIN: &str = "<!-- table: made of the cases, see tests/compatibility/table.rs -->\n";
const END: &str = "<!-- end of the table -->\n";

/// What kinds of differences meant in all cases.
type Found = BTreeSet<(DifferenceKind, CompatibilityPolicy, Direction, Severity)>;

fn found() -> Found {
    let mut found = Found::new();
    for case in cases::all() {
        for policy in CompatibilityPolicy::ALL {
            found.extend(case.differences(policy).into_iter().map(|d| (d.kind, policy, d.direction, d.severity)));
        }
    }
    // The schemas for it are too large for a case; that it refuses is shown by hostile.rs.
    for policy in CompatibilityPolicy::ALL {
        for direction in [Direction::Backward, Direction::Forward] {
            found.insert((DifferenceKind::BudgetExceeded, policy, direction, Severity::Undecided));
        }
    }
    found
}

fn table() -> String {
    let found = found();
    let mut table = String::from(
        "| Kind | Vietnamese | English | STRICT backward | STRICT forward | LENIENT backward | LENIENT forward |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let words = [(Severity::Compatible, "yes"), (Severity::Incompatible, "no"), (Severity::Undecided, "undecided")];
    for kind in DifferenceKind::ALL {
        let (vi, en) = kind.describe();
        let mut row = vec![kind.as_str().to_owned(), vi.to_owned(), en.to_owned()];
        for policy in CompatibilityPolicy::ALL {
            for direction in [Direction::Backward, Direction::Forward] {
                let meant = words.iter().filter(|(severity, _)| found.contains(&(*kind, policy, direction, *severity)));
                row.push(meant.map(|(_, word)| *word).collect::<Vec<_>>().join(" / "));
            }
        }
        table += &format!("| {} |\n", row.join(" | "));
    }
    table
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a knob of the test run, not configuration of the hub")]
fn the_published_table_is_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let text = fs::read_to_string(&path).expect("docs/compatibility.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (published, after) = rest.split_once(END).expect("where the table ends");
    let table = table();
    if std::env::var("LDOP_WRITE_TABLE").is_ok() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("writable");
        return;
    }
    assert!(published == table, "docs/compatibility.md is not what the code does; see tests/compatibility/table.rs");
    let word = |kind: &DifferenceKind| format!("`{}`", kind.as_str());
    let (words, refused) =
        (DifferenceKind::ALL.iter().map(word).collect::<BTreeSet<_>>(), after.split('`').skip(1).step_by(2));
    for name in refused.filter(|name| name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')) {
        assert!(words.contains(&format!("`{name}`")), "{name} is no kind of difference");
    }
}

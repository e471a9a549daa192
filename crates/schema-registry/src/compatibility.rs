//! Decides whether one version of a schema may follow another.
//!
//! Pure, and bounded whatever the schemas say. The one promise that stands above all others: **a verdict "compatible" is
//! never false**. It is a proof over all values; where none is found the verdict says so, with the place, and refuses.
//!
//! - [`SchemaTree`]: a schema, parsed once: draft-07, 2019-09 and 2020-12 brought to one form, references resolved.
//! - [`check`]: a version against earlier ones in one of the seven [modes](CompatibilityMode), under a
//!   [policy](CompatibilityPolicy).
//! - [`Verdict`]: the answer, and every [`Difference`], compatible ones too: where, what kind, a sentence in two languages.
//!
//! What is compared are values as our validator judges them: formats are asserted, numbers are compared exactly, and the
//! element a member is bound to is part of what it may be. What the validator does not know - a keyword of someone else -
//! must not change. docs/compatibility.md has a table of every kind of difference with its verdicts.
//!
//! ```
//! use ldop_schema_registry::compatibility::{CompatibilityMode, CompatibilityPolicy, SchemaTree, check};
//!
//! let tree = |text| SchemaTree::parse(text, &[]).expect("a good schema");
//! let earlier = tree(r#"{"properties": {"name": {"type": "string", "maxLength": 50}}}"#);
//! let new = tree(r#"{"properties": {"name": {"type": "string", "maxLength": 20}}}"#);
//!
//! let verdict = check(&new, &[(1, &earlier)], CompatibilityMode::Backward, CompatibilityPolicy::Strict);
//! assert!(!verdict.is_compatible);
//! assert_eq!(verdict.differences[0].pointer, "/properties/name/maxLength");
//! assert_eq!(verdict.differences[0].kind.as_str(), "MAX_LENGTH_DECREASED");
//!
//! let verdict = check(&new, &[(1, &earlier)], CompatibilityMode::Forward, CompatibilityPolicy::Strict);
//! assert!(verdict.is_compatible, "a reader of version 1 can read what is written now");
//! ```

mod budget;
mod differ;
mod evaluate;
mod facts;
mod kind;
mod prove;
mod reading;
mod references;
mod same;
mod settle;
mod tree;
mod types;
mod value;

use std::fmt;

use ldop_types::Text;

pub use kind::DifferenceKind;
pub use tree::{Draft, SchemaTree};

use differ::Differ;
use facts::{Facts, Place, Trees};
use prove::Prover;

/// Most steps of one comparison of two schemas in one direction, twice: once for the proof, once for the differences.
pub const MAX_STEPS: u64 = budget::MAX_STEPS;

/// Which of reader and writer may be behind, and by how many versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompatibilityMode {
    /// Nothing is asked.
    None,
    /// Who reads with the new schema can read what was written with the last one.
    Backward,
    /// The same, with every earlier one.
    BackwardTransitive,
    /// Who reads with the last schema can read what is written with the new one.
    Forward,
    /// The same, with every earlier one.
    ForwardTransitive,
    /// Backward and forward.
    Full,
    /// The same, with every earlier one.
    FullTransitive,
}

impl CompatibilityMode {
    /// Every mode.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Backward,
        Self::BackwardTransitive,
        Self::Forward,
        Self::ForwardTransitive,
        Self::Full,
        Self::FullTransitive,
    ];

    /// The word in configuration and over REST.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    /// Reads the word, in upper or lower case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether every earlier version is asked, and not only the last.
    #[must_use]
    pub const fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// The directions that are asked.
    #[must_use]
    pub const fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward | Self::BackwardTransitive => &[Direction::Backward],
            Self::Forward | Self::ForwardTransitive => &[Direction::Forward],
            Self::Full | Self::FullTransitive => &[Direction::Backward, Direction::Forward],
        }
    }
}

/// What is asked of values with members that no schema declares, and of required members with a default.
///
/// **Strict**: every value that is valid under the writer's schema is valid under the reader's.
///
/// **Lenient**: every value that is valid under the writer's schema *and holds declared members only* is valid under the
/// reader's *once the reader has read it*. Both are about objects at *plain places*: the root, and from a plain place
/// whose own subschema is plain, the members that `properties` declares and no `patternProperties` matches, the members
/// left to `additionalProperties`, and the items. A subschema is plain if it says nothing but `type`, `properties`,
/// `patternProperties`, `additionalProperties`, `required`, `items` and `prefixItems` (`additionalItems`), `minItems`,
/// `maxItems`, keywords of texts and numbers, our own keywords and annotations; or if it only refers (`$ref`) to one
/// that is.
///
/// - A member is *declared* if the object's subschema has it under `properties`, if a pattern of `patternProperties`
///   matches it, or if `additionalProperties` is a schema that says something. A keyword that asks nothing, such as
///   `minLength: 0`, counts as one that is not there. A subschema without `properties` and
///   `patternProperties` does not tell which members there are; under it every member counts as declared.
/// - A reader whose subschema has `additionalProperties: false` drops the members that it does not declare. Then it fills
///   in each required member that is absent, is declared under `properties` only, and has there a `default` which that
///   subschema accepts (its element not asked).
///
/// Everywhere else both policies ask the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CompatibilityPolicy {
    /// Every value.
    Strict,
    /// Values with declared members, read with tolerance.
    Lenient,
}

impl CompatibilityPolicy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Lenient];

    /// The word in configuration and over REST.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "STRICT",
            Self::Lenient => "LENIENT",
        }
    }

    /// Reads the word, in upper or lower case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str().eq_ignore_ascii_case(word))
    }
}

/// Who reads what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// The new schema reads what was written with the earlier one.
    Backward,
    /// The earlier schema reads what is written with the new one.
    Forward,
}

impl Direction {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
        }
    }
}

/// What a difference means for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Proven to do no harm.
    Compatible,
    /// Asks for more than before.
    Incompatible,
    /// Not proven to do no harm; refused for that.
    Undecided,
}

impl Severity {
    /// The word in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "COMPATIBLE",
            Self::Incompatible => "INCOMPATIBLE",
            Self::Undecided => "UNDECIDED",
        }
    }
}

/// One difference between two versions, as it counts in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The earlier version.
    pub version: u32,
    /// Who reads what.
    pub direction: Direction,
    /// RFC 6901 pointer into the new schema, or into the earlier one where something was removed; "" for the whole. Within
    /// a referenced schema its name and `#` stand before the pointer.
    pub pointer: String,
    /// What kind of difference.
    pub kind: DifferenceKind,
    /// What it means.
    pub severity: Severity,
    /// The same in words, with what stood there and what stands there now.
    pub message: Text,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "(root)" } else { &self.pointer };
        let (direction, severity) = (self.direction.as_str(), self.severity.as_str());
        write!(
            f,
            "version {}, {direction}: {place}: {}: {severity}: {}",
            self.version,
            self.kind.as_str(),
            self.message.en
        )
    }
}

/// The answer of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the new version may follow. Proven, if true.
    pub is_compatible: bool,
    /// Every difference to each version that was asked, by version, direction and pointer. One that is not compatible is
    /// among them where the verdict refuses.
    pub differences: Vec<Difference>,
    /// Steps of work it took.
    pub steps: u64,
}

/// Checks a new version against earlier ones, the oldest first. Modes that are not transitive ask the last one only;
/// without an earlier version everything is compatible.
#[must_use]
pub fn check(
    new: &SchemaTree,
    earlier: &[(u32, &SchemaTree)],
    mode: CompatibilityMode,
    policy: CompatibilityPolicy,
) -> Verdict {
    let mut verdict = Verdict { is_compatible: true, differences: Vec::new(), steps: 0 };
    let from = if mode.is_transitive() { 0 } else { earlier.len().saturating_sub(1) };
    for (version, old) in &earlier[from..] {
        // The same words are the same schema, whatever they say.
        if new.documents == old.documents {
            continue;
        }
        for direction in mode.directions() {
            compare(Trees([old, new]), *version, *direction, policy, &mut verdict);
        }
    }
    verdict
}

fn compare(trees: Trees<'_>, version: u32, direction: Direction, policy: CompatibilityPolicy, verdict: &mut Verdict) {
    let roots = [0, 1].map(|side| Place::new(side, trees.0[side].root, policy == CompatibilityPolicy::Lenient));
    let [writer, reader] = match direction {
        Direction::Backward => roots,
        Direction::Forward => [roots[1], roots[0]],
    };
    let mut prover = Prover::new(trees);
    let facts = Facts::of(trees, trees.follow(writer));
    let is_static = trees.0.iter().all(|tree| !tree.is_dynamic);
    let is_proven = is_static && prover.prove(&facts, reader) && prover.keeps_unknown(&facts, reader);
    let (spent, is_exceeded) = (prover.budget.spent, prover.budget.is_exceeded);
    // What was not proven for want of steps is looked at place by place with as many again.
    prover.budget = budget::Budget::default();
    let mut differ = Differ::new(&mut prover, version, direction, is_proven);
    differ.roots(roots);
    let mut differences = differ.differences;
    let is_explained = differences.iter().any(|difference| difference.severity != Severity::Compatible);
    if !is_proven && (is_exceeded || !is_explained) {
        let kind = if is_exceeded { DifferenceKind::BudgetExceeded } else { DifferenceKind::NotDecided };
        differences.push(differ::difference(version, direction, String::new(), kind, Severity::Undecided, ""));
    }
    differences.sort_by(|a, b| (&a.pointer, a.kind, a.severity).cmp(&(&b.pointer, b.kind, b.severity)));
    differences.dedup();
    verdict.is_compatible &= is_proven;
    verdict.steps += spent + prover.budget.spent;
    verdict.differences.extend(differences);
}

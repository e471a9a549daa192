//! Lints schemas: everything [`load`](crate::load) finds wrong, and advice on what is right and could be better.
//!
//! Few rules, each with a word that keeps its meaning ([`AdviceRule`]), a sentence and a remedy in two languages. Every
//! schema is compiled once.

mod advice;

use std::{collections::BTreeMap, path::PathBuf};

use ldop_schema_registry::SchemaRule;
use ldop_types::Text;

use crate::{References, examine, reading::Place};

pub use advice::AdviceRule;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The hub refuses it.
    Error,
    /// Advice.
    Warning,
}

impl Level {
    /// The word in reports, as SARIF has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The rule of what is wrong with a definition other than a schema: form, references, examples.
pub const DEFINITION_RULE: &str = "DEFINITION";

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LintFinding {
    /// Where.
    pub place: Place,
    /// The key, or the pointer within a schema.
    pub key: String,
    /// Word of the rule: of [`SchemaRule`], of [`AdviceRule`], or [`DEFINITION_RULE`].
    pub rule: &'static str,
    /// How much it weighs.
    pub level: Level,
    /// What is the matter.
    pub message: Text,
    /// How to mend it; none where the message says it.
    pub remedy: Option<Text>,
}

/// What a rule is about, in English.
#[must_use]
pub fn describe(rule: &str) -> &'static str {
    match AdviceRule::ALL.into_iter().find(|advice| advice.as_str() == rule) {
        Some(advice) => advice.describe(),
        None if SchemaRule::ALL.iter().any(|known| known.as_str() == rule) => {
            "A schema has to be one the hub can compile and bind to the dictionary."
        }
        None => "A definition has to be well-formed and to hold together with the others.",
    }
}

/// The findings of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linted {
    /// By file and line.
    pub findings: Vec<LintFinding>,
    /// Schemas read.
    pub schemas: usize,
}

/// Lints folders, taken together.
#[must_use]
pub fn lint(folders: &[PathBuf], references: References) -> Linted {
    let examined = examine(folders, references);
    let mut findings = advice::advice(&examined);
    // What the compiler found is known with its rule and in both languages; the problem it became is not told again.
    let told: BTreeMap<_, _> =
        examined.checked.findings.iter().map(|(problem, finding)| (problem.clone(), finding)).collect();
    let errors = examined.problems.into_sorted().into_iter().map(|problem| (Level::Error, problem));
    let warnings = examined.warnings.into_sorted().into_iter().map(|problem| (Level::Warning, problem));
    for (level, problem) in errors.chain(warnings) {
        let (rule, message, remedy) = match told.get(&problem) {
            Some(finding) => (finding.rule.as_str(), finding.message.clone(), Some(finding.remedy.clone())),
            None => {
                let mut text = problem.found;
                if !problem.expected.is_empty() {
                    text = format!("{text}; expected {}", problem.expected);
                }
                (DEFINITION_RULE, Text::new(format!("định nghĩa sai: {text}"), text), None)
            }
        };
        findings.push(LintFinding { place: problem.place, key: problem.key, rule, level, message, remedy });
    }
    findings.sort_by(|a, b| (&a.place, &a.key, a.rule).cmp(&(&b.place, &b.key, b.rule)));
    Linted { findings, schemas: examined.folder.schemas.len() }
}

//! What checking a record found.

use ldop_types::{Finding, Rule};

/// Most findings shown of one record; `ldop.exchange.v1.Refusal` shows as many.
pub const MAX_FINDINGS: usize = 100;

/// What checking a record found. Kept and cleared from record to record.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the record is refused; at most [`MAX_FINDINGS`], by pointer and rule. Empty: it is accepted.
    pub findings: Vec<Finding>,
    /// Findings beyond those shown. What breaks rules of the schema more than 1,000 times may be counted twice.
    pub omitted: usize,
    /// What looks wrong but does not refuse the record; at most [`MAX_FINDINGS`].
    pub warnings: Vec<Finding>,
}

impl Outcome {
    /// Whether nothing refuses the record.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.findings.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.findings.clear();
        self.warnings.clear();
        self.omitted = 0;
    }

    /// Sorts, removes what is said twice of one field, and cuts to what is shown.
    pub(crate) fn settle(&mut self) {
        // The dictionary's findings carry the element and come first where both say the same.
        let order = |a: &Finding, b: &Finding| {
            (&a.pointer, a.rule, a.element.is_none()).cmp(&(&b.pointer, b.rule, b.element.is_none()))
        };
        for list in [&mut self.findings, &mut self.warnings] {
            list.sort_by(order);
            list.dedup_by(|later, first| {
                let is_across = matches!(later.rule, Rule::AcrossFields | Rule::AcrossFieldsUndecided);
                let is_same = later.pointer == first.pointer && later.rule == first.rule;
                // Rules across fields are many under one word, each with a message of its own.
                is_same && (!is_across || later.message == first.message)
            });
        }
        self.omitted += self.findings.len().saturating_sub(MAX_FINDINGS);
        self.findings.truncate(MAX_FINDINGS);
        self.warnings.truncate(MAX_FINDINGS);
    }
}

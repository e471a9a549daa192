//! Figures of agreements, declared once. docs/metrics.md lists them for operators.

use prometheus::{IntGaugeVec, Opts, Registry};

/// Figures of agreements.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Agreements by where they stand; one with a version in force and one that waits counts twice.
    pub states: IntGaugeVec,
    /// What is due, by occasion.
    pub due: IntGaugeVec,
}

impl Metrics {
    /// Declares the metrics in a registry.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let states =
            IntGaugeVec::new(Opts::new("ldop_agreements", "Versions of agreements, by where they stand."), &["state"])?;
        let due = IntGaugeVec::new(
            Opts::new("ldop_agreements_due", "Agreements that somebody has to see to, by occasion."),
            &["occasion"],
        )?;
        registry.register(Box::new(states.clone()))?;
        registry.register(Box::new(due.clone()))?;
        Ok(Self { states, due })
    }
}

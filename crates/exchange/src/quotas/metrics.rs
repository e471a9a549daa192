//! Figures of quotas, declared once. docs/metrics.md lists them for operators.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::Quota;

/// Figures of quotas.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Refusals by the quota that was met.
    pub refusals: IntCounterVec,
    /// Records given today, of agreements that limit them.
    pub used: IntGaugeVec,
    /// Records they grant in a day.
    pub granted: IntGaugeVec,
}

impl Metrics {
    /// Declares the metrics in a registry.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Calls refused and streams ended for a quota of their agreement.";
        let refusals = IntCounterVec::new(Opts::new("ldop_quota_refusals_total", help), &["quota"])?;
        let gauges = |name: &str, help: &str| -> Result<IntGaugeVec, prometheus::Error> {
            let made = IntGaugeVec::new(Opts::new(name, help), &["agreement"])?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        registry.register(Box::new(refusals.clone()))?;
        // From zero, so that the first one is an increase.
        for quota in Quota::ALL {
            refusals.with_label_values(&[quota.as_str()]);
        }
        Ok(Self {
            refusals,
            used: gauges("ldop_quota_used_records", "Records given today, of agreements that limit them.")?,
            granted: gauges("ldop_quota_records_per_day", "Records an agreement grants in a day.")?,
        })
    }
}

//! Metrics of look-ups. docs/metrics.md lists them for operators.

use std::time::Duration;

use ldop_types::{DatasetName, Stage};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters and histograms of look-ups.
#[derive(Debug, Clone)]
pub struct Metrics {
    calls: IntCounterVec,
    keys: IntCounterVec,
    dropped: IntCounterVec,
    seconds: HistogramVec,
    serving: IntGaugeVec,
    pub(crate) journal_bytes: IntGauge,
}

impl Metrics {
    /// Declares the metrics in a registry.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry, buckets: &[f64]) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let seconds = HistogramVec::new(
            HistogramOpts::new("ldop_look_up_duration_seconds", "Time a look-up takes, by part.")
                .buckets(buckets.to_vec()),
            &["part"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        let serving = IntGaugeVec::new(
            Opts::new("ldop_look_up_providers", "Open streams that answer look-ups."),
            &["dataset", "stage"],
        )?;
        registry.register(Box::new(serving.clone()))?;
        let journal_bytes = IntGauge::new("ldop_look_up_journal_bytes", "Bytes of the files of the intent journal.")?;
        registry.register(Box::new(journal_bytes.clone()))?;
        let dropped = counters(
            "ldop_look_up_answers_dropped_total",
            "Answers of providers that nobody waited for, by cause.",
            &["cause"],
        )?;
        // From zero, so that the first one is an increase.
        for cause in ["late", "repeated", "never_asked"] {
            dropped.with_label_values(&[cause]);
        }
        for part in ["provider", "journal", "whole"] {
            seconds.with_label_values(&[part]);
        }
        Ok(Self {
            calls: counters(
                "ldop_look_ups_total",
                "Look-ups by dataset, stage and result.",
                &["dataset", "stage", "result"],
            )?,
            keys: counters(
                "ldop_look_up_keys_total",
                "Keys looked up by dataset, stage and outcome.",
                &["dataset", "stage", "outcome"],
            )?,
            dropped,
            seconds,
            serving,
            journal_bytes,
        })
    }

    pub(super) fn call(&self, dataset: &str, stage: &str, result: &str) {
        self.calls.with_label_values(&[dataset, stage, result]).inc();
    }

    pub(super) fn keys(&self, dataset: &DatasetName, stage: Stage, outcome: &str, keys: u32) {
        if keys > 0 {
            self.keys.with_label_values(&[dataset.as_str(), stage.as_str(), outcome]).inc_by(keys.into());
        }
    }

    pub(super) fn dropped(&self, cause: &str) {
        self.dropped.with_label_values(&[cause]).inc();
    }

    pub(super) fn took(&self, part: &str, took: Duration) {
        self.seconds.with_label_values(&[part]).observe(took.as_secs_f64());
    }

    pub(super) fn serving(&self, dataset: &DatasetName, stage: Stage) -> IntGauge {
        self.serving.with_label_values(&[dataset.as_str(), stage.as_str()])
    }
}

//! The exchange's metrics, declared once. docs/metrics.md lists them for operators.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Buckets from 50 µs to 10 s: the interesting waits are fsyncs and broker round trips.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Counters and histograms of one node.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Records by dataset result: `accepted`, `repeated`, or the refusal's reason.
    pub admissions: IntCounterVec,
    /// Payload bytes accepted.
    pub admitted_bytes: IntCounter,
    /// Seconds by stage: `check` (a batch through parse, schema and dictionary), `settle` (batch handed to the log until its
    /// outcome is known).
    pub stage_seconds: HistogramVec,
    /// Seconds from append to acknowledgement of a batch.
    pub append_seconds: Histogram,
    /// Records delivered.
    pub delivered: IntCounter,
    /// Records that a row condition keeps from its consumer.
    pub withheld: IntCounter,
    /// Record keys erased by order.
    pub erasures: IntCounter,
    /// Payload bytes delivered, after projection.
    pub delivered_bytes: IntCounter,
    /// Open subscriptions.
    pub subscriptions: IntGauge,
    /// Log entries not acknowledged, by subscription.
    pub backlog: IntGaugeVec,
    /// Age of the oldest entry not acknowledged, by subscription.
    pub backlog_age: IntGaugeVec,
    /// Subscriptions ended by the hub, by reason.
    pub subscriptions_ended: IntCounterVec,
    /// Exchange ids in memory.
    pub index_ids: IntGauge,
    /// Records in current copies, by dataset and stage.
    pub copy_records: IntGaugeVec,
    /// Log entries that are not in a current copy yet.
    pub copy_lag: IntGaugeVec,
    /// Whether a current copy answers.
    pub copy_ready: IntGaugeVec,
    /// Current copies made, by cause.
    pub copy_rebuilds: IntCounterVec,
    /// Changes and exports that are over, by mode and result: `finished`, `caller_gone`, or the reason the hub ended it for.
    pub transfers: IntCounterVec,
    /// Records given by changes and exports, by mode.
    pub transferred_records: IntCounterVec,
    /// Agreements.
    pub agreements: crate::occasions::metrics::Metrics,
    /// Quotas.
    pub quotas: crate::quotas::metrics::Metrics,
    /// Look-ups.
    pub look_ups: crate::look_up::metrics::Metrics,
}

impl Metrics {
    /// Declares the metrics in a registry.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let made = IntCounter::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let made = IntGauge::new(name, help)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
            let made = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok(made)
        };
        let stage_seconds = HistogramVec::new(
            HistogramOpts::new(
                "ldop_stage_duration_seconds",
                "Time a batch of records spends in a stage of admission.",
            )
            .buckets(SECONDS.to_vec()),
            &["stage"],
        )?;
        registry.register(Box::new(stage_seconds.clone()))?;
        let append_seconds = Histogram::with_opts(
            HistogramOpts::new("ldop_log_append_duration_seconds", "Time from append to acknowledgement by the log.")
                .buckets(SECONDS.to_vec()),
        )?;
        registry.register(Box::new(append_seconds.clone()))?;
        let by_subscription = ["system", "agreement", "subscription"];
        let transfers = counters(
            "ldop_transfers_total",
            "Calls for changes and exports that are over, by result.",
            &["mode", "result"],
        )?;
        let transferred_records =
            counters("ldop_transferred_records_total", "Records given by changes and exports.", &["mode"])?;
        // There from the start, so that dashboards and alerts see a zero.
        for mode in ["changes", "export"] {
            transfers.with_label_values(&[mode, "finished"]);
            transferred_records.with_label_values(&[mode]);
        }
        Ok(Self {
            admissions: counters(
                "ldop_admissions_total",
                "Records by dataset, stage and result.",
                &["dataset", "stage", "result"],
            )?,
            admitted_bytes: counter("ldop_admitted_bytes_total", "Payload bytes of accepted records.")?,
            stage_seconds,
            append_seconds,
            delivered: counter("ldop_delivered_records_total", "Records sent to subscribers, repeats included.")?,
            withheld: counter("ldop_withheld_records_total", "Records a row condition kept from a consumer.")?,
            erasures: counter("ldop_erasures_total", "Record keys erased by order.")?,
            delivered_bytes: counter("ldop_delivered_bytes_total", "Payload bytes sent to subscribers.")?,
            subscriptions: gauge("ldop_subscriptions", "Open subscription streams.")?,
            backlog: gauges(
                "ldop_subscription_backlog_records",
                "Log entries a subscription has not acknowledged.",
                &by_subscription,
            )?,
            backlog_age: gauges(
                "ldop_subscription_backlog_age_seconds",
                "Age of the oldest log entry a subscription has not acknowledged.",
                &by_subscription,
            )?,
            subscriptions_ended: counters(
                "ldop_subscriptions_ended_total",
                "Subscription streams ended by the hub, by reason.",
                &["reason"],
            )?,
            copy_records: gauges(
                "ldop_copy_records",
                "Records in the current copy of a dataset and stage.",
                &["dataset", "stage"],
            )?,
            copy_lag: gauges(
                "ldop_copy_lag_records",
                "Log entries that are not in the current copy yet.",
                &["dataset", "stage"],
            )?,
            copy_ready: gauges(
                "ldop_copy_ready",
                "Whether the current copy answers: 1, or 0 while it is made.",
                &["dataset", "stage"],
            )?,
            copy_rebuilds: counters(
                "ldop_copy_rebuilds_total",
                "Current copies made from the log, by cause.",
                &["dataset", "stage", "cause"],
            )?,
            index_ids: gauge("ldop_exchange_index_ids", "Exchange ids held in memory.")?,
            transfers,
            transferred_records,
            agreements: crate::occasions::metrics::Metrics::new(registry)?,
            quotas: crate::quotas::metrics::Metrics::new(registry)?,
            look_ups: crate::look_up::metrics::Metrics::new(registry, SECONDS)?,
        })
    }
}

impl Metrics {
    pub(crate) fn check_seconds(&self, took: std::time::Duration) {
        self.stage_seconds.with_label_values(&["check"]).observe(took.as_secs_f64());
    }

    pub(crate) fn settle_seconds(&self, took: std::time::Duration) {
        self.stage_seconds.with_label_values(&["settle"]).observe(took.as_secs_f64());
    }
}

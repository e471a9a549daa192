//! The gateway's metrics, declared once. docs/metrics.md lists them for operators.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Counters of one node's door.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Open connections.
    pub connections: IntGauge,
    /// Connections refused, by why: `tls`, `timeout`, `limit`.
    pub refused: IntCounterVec,
    /// Connections cut off because their certificate is not trusted any more.
    pub cut_off: IntCounter,
    /// When a new revocation list is due, seconds since 1970; not there without one.
    pub crl_next_update: IntGaugeVec,
    /// Whether the files of `[tls]` were taken when they last changed.
    pub files_taken: IntGauge,
    /// Calls by method and result: `OK` or the reason.
    pub calls: IntCounterVec,
    /// Requests of the registry's REST interface by method, path and status.
    pub registry_requests: IntCounterVec,
    /// When certificates end, seconds since 1970: `server`, `ca`.
    pub certificate_not_after: IntGaugeVec,
}

impl Metrics {
    /// Declares the metrics in a registry, with build info.
    ///
    /// # Errors
    ///
    /// A name is taken.
    pub fn new(registry: &Registry, version: &str, engine: &str) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            connections: IntGauge::new("ldop_connections", "Open connections, gRPC and registry.")?,
            refused: IntCounterVec::new(
                Opts::new("ldop_connections_refused_total", "Connections refused before any call, by cause."),
                &["cause"],
            )?,
            cut_off: IntCounter::new(
                "ldop_connections_cut_off_total",
                "Open connections cut off because their certificate was revoked or has expired.",
            )?,
            crl_next_update: IntGaugeVec::new(
                Opts::new(
                    "ldop_crl_next_update_timestamp_seconds",
                    "When a new revocation list is due, Unix time; not there without tls.crl.",
                ),
                &[],
            )?,
            files_taken: IntGauge::new(
                "ldop_tls_files_taken",
                "1 while the files of [tls] are in force as they are; 0 after a change that could not be taken.",
            )?,
            calls: IntCounterVec::new(
                Opts::new("ldop_calls_total", "Calls by method and result: OK, or the reason of the refusal."),
                &["method", "result"],
            )?,
            registry_requests: IntCounterVec::new(
                Opts::new(
                    "ldop_registry_requests_total",
                    "Requests of the registry's REST interface by method, path and HTTP status.",
                ),
                &["method", "path", "status"],
            )?,
            certificate_not_after: IntGaugeVec::new(
                Opts::new(
                    "ldop_certificate_not_after_timestamp_seconds",
                    "When the hub's certificates end, Unix time.",
                ),
                &["certificate"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.cut_off.clone()))?;
        registry.register(Box::new(metrics.crl_next_update.clone()))?;
        registry.register(Box::new(metrics.files_taken.clone()))?;
        metrics.files_taken.set(1);
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.registry_requests.clone()))?;
        registry.register(Box::new(metrics.certificate_not_after.clone()))?;
        let build =
            IntGaugeVec::new(Opts::new("ldop_build_info", "Build and engine; always 1."), &["version", "engine"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[version, engine]).set(1);
        // There from the start, so that dashboards and alerts see a zero.
        metrics.registry_requests.with_label_values(&["GET", "/subjects", "200"]);
        for cause in ["tls", "timeout", "limit"] {
            metrics.refused.with_label_values(&[cause]);
        }
        Ok(metrics)
    }
}

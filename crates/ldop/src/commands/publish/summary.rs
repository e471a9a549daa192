//! What became of a whole input.

use std::{collections::BTreeMap, path::Path, time::Duration};

use hdrhistogram::Histogram;
use ldop_client::{Outcome, Refusal};
use ldop_types::Rule;
use serde_json::{Value, json};

use super::refusals::NOT_SENT;
use crate::output::{self, Output};

/// Counts of a run.
pub(super) struct Summary {
    pub accepted: u64,
    pub repeated: u64,
    pub refused: u64,
    pub warnings: u64,
    /// Reason, rule ("" without one) and how often.
    reasons: BTreeMap<(String, String), u64>,
    /// Vietnamese of each reason.
    messages: BTreeMap<String, String>,
    /// Microseconds.
    latency: Histogram<u64>,
}

impl Summary {
    pub(super) fn new() -> Self {
        // Up to an hour with three digits; what is longer counts as an hour.
        let latency = Histogram::new_with_max(3_600_000_000, 3).expect("an hour and three digits are in its range");
        Self {
            accepted: 0,
            repeated: 0,
            refused: 0,
            warnings: 0,
            reasons: BTreeMap::new(),
            messages: BTreeMap::new(),
            latency,
        }
    }

    /// Counts an outcome.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        self.latency.saturating_record(u64::try_from(outcome.latency.as_micros()).unwrap_or(u64::MAX));
        match &outcome.result {
            Ok(receipt) => {
                self.accepted += 1;
                self.repeated += u64::from(receipt.repeated);
                self.warnings += receipt.warnings.len() as u64;
            }
            Err(refusal) => self.count_refusal(refusal),
        }
    }

    /// Counts a record that was not sent.
    pub(super) fn count_not_sent(&mut self) {
        self.refused += 1;
        *self.reasons.entry((NOT_SENT.to_owned(), String::new())).or_default() += 1;
    }

    fn count_refusal(&mut self, refusal: &Refusal) {
        self.refused += 1;
        let message = refusal.message.clone().unwrap_or_default();
        self.messages.entry(refusal.reason.clone()).or_insert(message.vi);
        let mut count = |rule: &str| *self.reasons.entry((refusal.reason.clone(), rule.to_owned())).or_default() += 1;
        if refusal.violations.is_empty() {
            count("");
        }
        refusal.violations.iter().for_each(|violation| count(&violation.rule));
    }

    /// Whether nothing has happened.
    pub(super) fn is_empty(&self) -> bool {
        self.accepted == 0 && self.refused == 0
    }

    /// Whether some record was refused because its id is too old.
    pub(super) fn has_expired_ids(&self) -> bool {
        self.reasons.keys().any(|(reason, _)| reason == "EXCHANGE_ID_EXPIRED")
    }

    /// Writes the summary to standard output.
    pub(super) fn tell(&self, output: Output, elapsed: Duration, refusals: Option<&Path>) {
        match output {
            Output::Text => self.text(elapsed, refusals),
            Output::Json => output::json(&self.to_json(elapsed, refusals)),
        }
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        (self.accepted + self.refused) as f64 / elapsed.as_secs_f64().max(0.001)
    }

    fn percentile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1_000.0
    }

    fn text(&self, elapsed: Duration, refusals: Option<&Path>) {
        output::line(format_args!(
            "{} accepted ({} of them before), {} refused, {} warnings",
            self.accepted, self.repeated, self.refused, self.warnings
        ));
        output::line(format_args!(
            "{:.1} s, {:.0} records/s, latency p50 {:.1} ms, p99 {:.1} ms",
            elapsed.as_secs_f64(),
            self.rate(elapsed),
            self.percentile(0.5),
            self.percentile(0.99)
        ));
        if !self.reasons.is_empty() {
            let mut table = output::table(&["times", "reason", "rule", ""]);
            for ((reason, rule), count) in &self.reasons {
                table.add_row([&count.to_string(), reason, rule, self.describe(reason, rule)]);
            }
            output::line(table);
        }
        if let Some(file) = refusals {
            output::line(format_args!(
                "refused records stand in {}: correct them and publish that file",
                file.display()
            ));
        }
        if self.has_expired_ids() {
            output::line("the file was first published too long ago; --again sends everything under new ids");
        }
    }

    /// What a rule or reason says, in Vietnamese.
    fn describe(&self, reason: &str, rule: &str) -> &str {
        match Rule::ALL.iter().find(|known| known.as_str() == rule) {
            Some(rule) => rule.describe().0,
            None if reason == NOT_SENT => "không gửi được; xem tệp",
            None => self.messages.get(reason).map_or("", |vi| vi),
        }
    }

    fn to_json(&self, elapsed: Duration, refusals: Option<&Path>) -> Value {
        let reasons: Vec<Value> = self
            .reasons
            .iter()
            .map(|((reason, rule), count)| json!({ "reason": reason, "rule": rule, "count": count }))
            .collect();
        json!({
            "accepted": self.accepted,
            "repeated": self.repeated,
            "refused": self.refused,
            "warnings": self.warnings,
            "seconds": elapsed.as_secs_f64(),
            "records_per_second": self.rate(elapsed),
            "latency_ms": { "p50": self.percentile(0.5), "p99": self.percentile(0.99) },
            "reasons": reasons,
            "refusals_file": refusals,
        })
    }
}

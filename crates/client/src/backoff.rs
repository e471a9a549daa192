//! How long to wait before the next try, and when a stream that was lost is opened again.

use std::time::Duration;

use ldop_types::Reason;
use tokio::time::{Instant, sleep_until};

use crate::{Error, RetryPolicy};

/// A hub may ask for patience, but not for longer than this at a time.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Counts failures since the last success, and tells how long to wait after each.
#[derive(Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    failing_since: Option<Instant>,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, failing_since: None }
    }

    /// Something worked.
    pub fn succeeded(&mut self) {
        self.failures = 0;
        self.failing_since = None;
    }

    /// The time to wait after a failure.
    ///
    /// # Errors
    ///
    /// The error itself when another try cannot help, [`Error::GaveUp`] when there were enough.
    pub fn wait_after(&mut self, error: Error) -> Result<Duration, Error> {
        if !error.is_transient() {
            return Err(error);
        }
        let now = Instant::now();
        let since = *self.failing_since.get_or_insert(now);
        let wait = self.jittered(rand::random()).max(error.retry_after().unwrap_or_default().min(LONGEST_ASKED));
        if let Some(give_up) = self.policy.give_up
            && now + wait > since + give_up
        {
            return Err(Error::GaveUp { after: now - since, last: Box::new(error) });
        }
        self.failures = self.failures.saturating_add(1);
        Ok(wait)
    }

    /// Half of the wait is fixed, half random, so that many clients do not come back at the same moment.
    fn jittered(&self, random: f64) -> Duration {
        let doubled = self.policy.first.saturating_mul(1u32 << self.failures.min(20));
        doubled.min(self.policy.longest).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

/// When a stream that was lost is opened again, and whether at all.
#[derive(Debug)]
pub(crate) struct Reopening {
    backoff: Backoff,
    /// No try before this.
    not_before: Option<Instant>,
    /// Why there is none any more.
    failed: Option<Error>,
}

impl Reopening {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        Self { backoff: Backoff::new(policy), not_before: None, failed: None }
    }

    /// The error that no try helps against, once there is one.
    pub(crate) fn failed(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Waits until the stream may be opened. Safe to drop.
    pub(crate) async fn turn(&mut self) {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
            self.not_before = None;
        }
    }

    /// Something came.
    pub(crate) fn succeeded(&mut self) {
        self.backoff.succeeded();
    }

    /// The stream was lost, or could not be opened. Tells how long the next [`turn`](Self::turn) takes.
    ///
    /// # Errors
    ///
    /// Those of [`Backoff::wait_after`]; from then on also of [`failed`](Self::failed).
    pub(crate) fn lost(&mut self, error: Error) -> Result<Duration, Error> {
        let at_once = error.reason() == Some(Reason::AgreementChanged);
        let waited = self.backoff.wait_after(error).inspect_err(|error| self.failed = Some(error.clone()))?;
        // An agreement that changed is compiled anew and open at once.
        let wait = if at_once { Duration::ZERO } else { waited };
        self.not_before = (!at_once).then(|| Instant::now() + wait);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Error {
        Error::Lost { source: std::sync::Arc::new(tonic::Status::unavailable("gone")) }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_the_cap_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(RetryPolicy::default());
        let waits: Vec<_> = (0..12).map(|_| backoff.wait_after(lost()).expect("never gives up")).collect();
        assert!(waits[0] >= Duration::from_millis(50) && waits[0] <= Duration::from_millis(100));
        assert!(waits[11] >= Duration::from_secs(5) && waits[11] <= Duration::from_secs(10));
        backoff.succeeded();
        assert!(backoff.wait_after(lost()).expect("never gives up") <= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_in_time_and_on_what_cannot_be_mended() {
        let policy = RetryPolicy { give_up: Some(Duration::from_secs(3)), ..RetryPolicy::default() };
        let mut backoff = Backoff::new(policy);
        let started = Instant::now();
        let error = loop {
            match backoff.wait_after(lost()) {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::GaveUp { .. }));
        assert!(started.elapsed() <= Duration::from_secs(3));
        assert!(matches!(backoff.wait_after(Error::Closed), Err(Error::Closed)));
    }
}

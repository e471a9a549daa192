//! Waiting for a condition.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// How often a condition is asked.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// A condition did not come true in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("not so within {after:?}; last seen: {last}")]
pub struct TimedOut {
    /// How long it was waited for.
    pub after: Duration,
    /// What the condition said last.
    pub last: String,
}

/// Asks `condition` every 20 ms until it answers `Ok`, and gives its value.
///
/// # Errors
///
/// [`TimedOut`] with the last `Err` of the condition, once `within` has passed.
pub async fn wait_until<T, E, F>(within: Duration, mut condition: F) -> Result<T, TimedOut>
where
    E: Debug,
    F: AsyncFnMut() -> Result<T, E>,
{
    let start = Instant::now();
    loop {
        match condition().await {
            Ok(value) => return Ok(value),
            Err(status) if start.elapsed() >= within => {
                return Err(TimedOut { after: within, last: format!("{status:?}") });
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_the_value_once_the_condition_holds() {
        let mut asked = 0;
        let seen = wait_until(Duration::from_secs(5), async || {
            asked += 1;
            if asked == 3 { Ok(asked) } else { Err("not yet") }
        });
        assert_eq!(seen.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn tells_what_it_saw_last_when_time_is_up() {
        let never = wait_until(Duration::from_millis(30), async || Err::<(), _>("still two brokers"));
        assert!(never.await.unwrap_err().to_string().contains("still two brokers"));
    }
}

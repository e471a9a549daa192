//! The hub's clock: the system's, but it does not run backwards.
//!
//! Exchange ids carry their callers' time. Were the hub's clock set back by an hour, every id would seem to lie ahead and
//! be refused. So within a process time goes on at least as fast as the monotonic clock does, and a start takes up
//! where the records on the log left off.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use ldop_types::TimestampMs;
use tokio::sync::watch;

/// A record further ahead of the system clock than this was accepted under a wrong clock and is no guide. Well below the
/// idempotency window, so that following a wrong guide would not make good ids expire.
const BELIEVABLE_MS: i64 = 24 * 3_600_000;

/// The clock of one node.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Time at `start`, raised by what was observed.
    base: AtomicI64,
    /// What it stands at, where it is moved by hand.
    standing: Option<watch::Sender<TimestampMs>>,
}

/// A wait longer than this is looked at again: the system's clock may have been set forward meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(60);

impl Clock {
    /// Starts from the system clock.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), base: AtomicI64::new(TimestampMs::now().0), standing: None }
    }

    /// A clock that stands until it is [moved](Self::move_to), for whoever tries out what happens at midnight.
    #[must_use]
    pub fn standing(at: TimestampMs) -> Self {
        Self { standing: Some(watch::Sender::new(at)), ..Self::new() }
    }

    /// Moves a clock that stands forward to a time; one that runs, and one that is further, stays as it is.
    pub fn move_to(&self, time: TimestampMs) {
        if let Some(standing) = &self.standing {
            standing.send_if_modified(|at| {
                let is_forward = time > *at;
                *at = time.max(*at);
                is_forward
            });
        }
    }

    /// Resolves once it is so late. Safe to drop.
    pub async fn reached(&self, time: TimestampMs) {
        if let Some(standing) = &self.standing {
            // The sender lives as long as this does.
            let _ = standing.subscribe().wait_for(|at| *at >= time).await;
            return;
        }
        while let Some(left) = u64::try_from(time.0.saturating_sub(self.now().0)).ok().filter(|left| *left > 0) {
            tokio::time::sleep(Duration::from_millis(left).min(LOOK_EVERY)).await;
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> TimestampMs {
        if let Some(standing) = &self.standing {
            return *standing.borrow();
        }
        self.at(TimestampMs::now(), self.elapsed())
    }

    /// Learns that something happened then.
    pub fn observe(&self, time: TimestampMs) {
        self.observe_at(time, TimestampMs::now(), self.elapsed());
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn at(&self, system: TimestampMs, elapsed: i64) -> TimestampMs {
        system.max(TimestampMs(self.base.load(Ordering::Relaxed).saturating_add(elapsed)))
    }

    fn observe_at(&self, time: TimestampMs, system: TimestampMs, elapsed: i64) {
        if time > self.at(system, elapsed) && time.0.saturating_sub(system.0) < BELIEVABLE_MS {
            self.base.fetch_max(time.0 - elapsed, Ordering::Relaxed);
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_stands_goes_where_it_is_moved_and_tells_who_waits() {
        let clock = Clock::standing(TimestampMs(5));
        clock.reached(TimestampMs(5)).await;
        let waits = clock.reached(TimestampMs(9));
        let moves = async {
            clock.move_to(TimestampMs(8));
            tokio::task::yield_now().await;
            clock.move_to(TimestampMs(7));
            assert_eq!(clock.now(), TimestampMs(8), "it does not run backwards");
            clock.move_to(TimestampMs(9));
        };
        tokio::join!(waits, moves);
        assert_eq!(clock.now(), TimestampMs(9));
    }

    #[test]
    fn time_goes_on_when_the_system_clock_is_set_back() {
        let clock = Clock { start: Instant::now(), base: AtomicI64::new(10_000_000), standing: None };
        assert_eq!(clock.at(TimestampMs(10_000_500), 500), TimestampMs(10_000_500));
        assert_eq!(clock.at(TimestampMs(6_400_500), 900), TimestampMs(10_000_900), "an hour back");
        assert_eq!(clock.at(TimestampMs(13_600_500), 1_000), TimestampMs(13_600_500), "forward is followed");
    }

    #[test]
    fn a_start_takes_up_where_the_log_left_off_unless_that_is_beyond_belief() {
        let clock = Clock { start: Instant::now(), base: AtomicI64::new(10_000_000), standing: None };
        let system = TimestampMs(10_000_000);
        clock.observe_at(TimestampMs(13_600_000), system, 0);
        assert_eq!(clock.at(system, 5), TimestampMs(13_600_005));
        clock.observe_at(TimestampMs(10_000_000 + 400 * BELIEVABLE_MS), system, 5);
        assert_eq!(clock.at(system, 5), TimestampMs(13_600_005));
    }
}

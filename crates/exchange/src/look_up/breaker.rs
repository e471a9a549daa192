//! Stops asking a provider that fails again and again, and tries it again after a while.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 8;
/// How long it stays open the first time.
const FIRST_REST: Duration = Duration::from_secs(1);
/// How long it stays open at most: doubled with each try that fails.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What is known of a provider.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    rest: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One question is out to see whether it answers again.
    Trying,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, rest: FIRST_REST }
    }
}

impl Breaker {
    /// Whether a question may go out; if not, when to look again.
    pub fn may_ask(&self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until } if now >= until => Ok(()),
            State::Open { until } => Err(until - now),
            State::Trying => Err(self.rest),
        }
    }

    /// A question goes out, if it may. Its end must be told.
    pub fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        self.may_ask(now)?;
        if matches!(self.state, State::Open { .. }) {
            self.state = State::Trying;
        }
        Ok(())
    }

    /// It answered as it should.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It did not answer, or wrongly. Tells whether that opened it.
    pub fn failed(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures < FAILURES {
                    return false;
                }
            }
            State::Trying => self.rest = (self.rest * 2).min(LONGEST_REST),
            // A question from before it opened.
            State::Open { .. } => return false,
        }
        self.state = State::Open { until: now + self.rest };
        true
    }

    /// Nothing was learnt.
    pub fn learnt_nothing(&mut self, now: Instant) {
        if self.state == State::Trying {
            self.state = State::Open { until: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_question_try() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.failed(start));
        }
        breaker.succeeded();
        for _ in 0..FAILURES - 1 {
            assert!(!breaker.failed(start));
        }
        assert_eq!(breaker.ask(start), Ok(()));
        assert!(breaker.failed(start));
        assert_eq!(breaker.ask(start), Err(FIRST_REST));
        assert!(!breaker.failed(start), "a question from before counts no more");
        let later = start + FIRST_REST;
        assert_eq!(breaker.ask(later), Ok(()));
        breaker.ask(later).expect_err("one at a time");
        breaker.learnt_nothing(later);
        assert_eq!(breaker.ask(later), Ok(()));
        assert!(breaker.failed(later));
        assert_eq!(breaker.ask(later), Err(FIRST_REST * 2), "longer each time");
        assert_eq!(breaker.ask(later + FIRST_REST * 2), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.ask(later), breaker.ask(later)), (Ok(()), Ok(())));
    }
}

//! Connected providers, by dataset and stage: who is asked next, and when nobody is asked at all.
//!
//! A provider has so many questions out at a time and no more ([`CREDIT`]), over all its connections. Whoever comes then
//! waits in line, where the system with the fewest out is served first, unless the line is longer than the caller has time: that is told at once, with the time to come again.
//! A provider that fails again and again is left alone for a while ([`Breaker`]). All of this belongs to one provider of
//! one dataset in one stage, so a slow one holds nobody else up.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use ldop_types::{DatasetName, Reason, Stage, SystemId};
use parking_lot::Mutex;
use tracing::warn;

use super::{
    Refused,
    breaker::Breaker,
    connection::{Connection, Heard, Question},
};
use crate::fair::{self, Places, Share};

/// Questions out at one provider.
pub const CREDIT: usize = 64;
/// Callers in line for one provider; more are refused.
const WAITERS: usize = 1_024;
/// Streams of one provider for one dataset and stage; more are refused.
const CONNECTIONS: usize = 16;
/// A question that had less time than this tells nothing when it is not answered: callers without patience must not make
/// others believe that a provider is gone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Told to a caller when the line is full and nothing better is known.
const RETRY: Duration = Duration::from_secs(1);

/// Of one dataset in one stage. Systems that may provide it, so there are few.
type Providers = Vec<Arc<Provider>>;

/// Providers that are or were connected.
#[derive(Debug, Default)]
pub struct Router {
    datasets: Mutex<HashMap<(Stage, DatasetName), Providers>>,
}

/// A system that serves one dataset in one stage.
#[derive(Debug)]
pub struct Provider {
    system: SystemId,
    credit: Arc<Places>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    breaker: Breaker,
    /// How long an answer takes, averaged over the last few.
    pace: Duration,
    connections: Vec<Arc<Connection>>,
}

/// What a question taught about its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// It answers.
    Good,
    /// It does not answer, or wrongly.
    Bad,
}

impl Router {
    /// Adds a connection of a provider.
    ///
    /// # Errors
    ///
    /// [`Reason::Overloaded`]: it has too many.
    pub fn connect(
        &self,
        stage: Stage,
        dataset: &DatasetName,
        system: &SystemId,
        connection: Arc<Connection>,
    ) -> Result<Arc<Provider>, Reason> {
        let mut datasets = self.datasets.lock();
        let providers = datasets.entry((stage, dataset.clone())).or_default();
        let provider = match providers.iter().find(|provider| provider.system == *system) {
            Some(provider) => Arc::clone(provider),
            None => {
                let provider = Arc::new(Provider::new(system.clone()));
                providers.push(Arc::clone(&provider));
                provider
            }
        };
        let mut state = provider.state.lock();
        if state.connections.len() >= CONNECTIONS {
            return Err(Reason::Overloaded);
        }
        state.connections.push(connection);
        drop(state);
        Ok(provider)
    }

    /// A place at the provider that answers soonest. Waits in line, up to the deadline. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Reason::LookUpNotServed`]: nobody is connected, or whoever is is being left alone. [`Reason::Overloaded`]: the
    /// line is longer than the time left.
    pub async fn reserve(
        &self,
        caller: &SystemId,
        stage: Stage,
        dataset: &DatasetName,
        deadline: Instant,
    ) -> Result<Permit, Refused> {
        let provider = self.choose(stage, dataset)?;
        provider.reserve(caller, deadline).await
    }

    fn choose(&self, stage: Stage, dataset: &DatasetName) -> Result<Arc<Provider>, Refused> {
        let now = Instant::now();
        let datasets = self.datasets.lock();
        let providers = datasets.get(&(stage, dataset.clone())).map(Vec::as_slice).unwrap_or_default();
        let mut retry_after: Option<Duration> = None;
        let mut best: Option<(Duration, &Arc<Provider>)> = None;
        for provider in providers {
            let state = provider.state.lock();
            if state.connections.is_empty() {
                continue;
            }
            match state.breaker.may_ask(now) {
                Err(rest) => retry_after = Some(retry_after.map_or(rest, |known| known.min(rest))),
                Ok(()) => {
                    let wait = provider.expected_wait(state.pace) + state.pace;
                    if best.is_none_or(|(known, _)| wait < known) {
                        best = Some((wait, provider));
                    }
                }
            }
        }
        match best {
            Some((_, provider)) => Ok(Arc::clone(provider)),
            None => Err(Refused::Reason { reason: Reason::LookUpNotServed, retry_after }),
        }
    }
}

impl Provider {
    fn new(system: SystemId) -> Self {
        Self {
            system,
            credit: Places::new(CREDIT, Share::FewestFirst),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// Takes a connection away.
    pub fn disconnect(&self, connection: &Arc<Connection>) {
        self.state.lock().connections.retain(|known| !Arc::ptr_eq(known, connection));
    }

    /// How long whoever comes now stands in line.
    fn expected_wait(&self, pace: Duration) -> Duration {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting == 0 && self.credit.is_free() {
            return Duration::ZERO;
        }
        line(waiting, pace)
    }

    async fn reserve(self: Arc<Self>, caller: &SystemId, deadline: Instant) -> Result<Permit, Refused> {
        let overloaded = |retry_after| Refused::Reason { reason: Reason::Overloaded, retry_after: Some(retry_after) };
        let pace = self.state.lock().pace;
        let wait = if self.credit.is_free() { Duration::ZERO } else { line(self.credit.ahead_of(caller), pace) };
        if Instant::now() + wait > deadline {
            return Err(overloaded(wait));
        }
        let place = match Place::take(&self) {
            Some(place) => place,
            None => return Err(overloaded(wait.max(RETRY))),
        };
        let credit = tokio::time::timeout_at(deadline.into(), self.credit.take(caller, 1)).await;
        drop(place);
        let credit = match credit {
            Ok(credit) => credit,
            Err(_) => {
                return Err(overloaded(line(self.waiting.load(Ordering::Relaxed), self.state.lock().pace).max(RETRY)));
            }
        };
        let now = Instant::now();
        if let Err(rest) = self.state.lock().breaker.ask(now) {
            return Err(Refused::Reason { reason: Reason::LookUpNotServed, retry_after: Some(rest) });
        }
        Ok(Permit { provider: self, _credit: credit, asked: None, lesson: None })
    }
}

/// How long a line of so many takes, with one more in it.
fn line(waiting: usize, pace: Duration) -> Duration {
    let ahead = u32::try_from(waiting + 1).unwrap_or(u32::MAX);
    pace.saturating_mul(ahead) / u32::try_from(CREDIT).unwrap_or(u32::MAX)
}

/// A place in line, left when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(provider: &'a Provider) -> Option<Self> {
        let waiting = &provider.waiting;
        let more = |waiting| (waiting < WAITERS).then_some(waiting + 1);
        waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to ask one question. What it taught is noted when it goes.
#[derive(Debug)]
pub struct Permit {
    provider: Arc<Provider>,
    _credit: fair::Place,
    /// When the question went out, and how long it took to be answered or given up.
    asked: Option<(Instant, Option<Duration>)>,
    lesson: Option<Lesson>,
}

impl Permit {
    /// The system that is asked.
    #[must_use]
    pub fn source(&self) -> &SystemId {
        &self.provider.system
    }

    /// Asks over the connection with the fewest questions out, and waits for the answer up to the deadline.
    pub async fn ask(&mut self, question: Question) -> Heard {
        let started = Instant::now();
        self.asked = Some((started, None));
        let deadline = question.deadline;
        let connection = {
            let state = self.provider.state.lock();
            state.connections.iter().min_by_key(|connection| connection.out()).cloned()
        };
        let heard = match connection {
            Some(connection) => connection.ask(question).await,
            None => Heard::Lost,
        };
        match &heard {
            Heard::Answer(_) => self.asked = Some((started, Some(started.elapsed()))),
            Heard::TimedOut => {
                self.asked = Some((started, Some(started.elapsed())));
                if deadline.saturating_duration_since(started) >= PATIENCE {
                    self.lesson = Some(Lesson::Bad);
                }
            }
            Heard::Lost => self.lesson = Some(Lesson::Bad),
        }
        heard
    }

    /// Notes what the answer was worth.
    pub fn learn(&mut self, lesson: Lesson) {
        self.lesson = Some(lesson);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.provider.state.lock();
        if let Some((_, Some(took))) = self.asked {
            state.pace = if state.pace.is_zero() { took } else { (state.pace * 7 + took) / 8 };
        }
        let now = Instant::now();
        match self.lesson {
            Some(Lesson::Good) => state.breaker.succeeded(),
            Some(Lesson::Bad) => {
                if state.breaker.failed(now) {
                    warn!(system = %self.provider.system, "a provider fails its look-ups again and again; it is left alone for a while");
                }
            }
            None => state.breaker.learnt_nothing(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> SystemId {
        SystemId::parse("so-y-te/his").expect("a name")
    }

    fn provider() -> Arc<Provider> {
        Arc::new(Provider::new(SystemId::parse("so-tu-phap/ho-tich").expect("id")))
    }

    #[tokio::test]
    async fn whoever_has_less_time_than_the_line_is_refused_at_once() {
        let provider = provider();
        provider.state.lock().pace = Duration::from_secs(640);
        let soon = Instant::now() + Duration::from_secs(5);
        let mut permits = Vec::new();
        for _ in 0..CREDIT {
            permits.push(Arc::clone(&provider).reserve(&caller(), soon).await.expect("there is credit"));
        }
        // One is answered every ten seconds.
        let refused = Arc::clone(&provider).reserve(&caller(), soon).await.expect_err("ten seconds are more than five");
        let expected = Refused::Reason { reason: Reason::Overloaded, retry_after: Some(Duration::from_secs(10)) };
        assert_eq!(refused, expected);
        permits.pop();
        Arc::clone(&provider).reserve(&caller(), soon).await.expect("there is credit again");
    }

    #[tokio::test]
    async fn a_line_that_does_not_move_ends_at_the_deadline() {
        let provider = provider();
        let mut permits = Vec::new();
        for _ in 0..CREDIT {
            let soon = Instant::now() + Duration::from_secs(5);
            permits.push(Arc::clone(&provider).reserve(&caller(), soon).await.expect("there is credit"));
        }
        let at_once = Instant::now() + Duration::from_millis(20);
        let refused = Arc::clone(&provider).reserve(&caller(), at_once).await.expect_err("nobody leaves");
        assert!(matches!(refused, Refused::Reason { reason: Reason::Overloaded, retry_after: Some(_) }), "{refused:?}");
        assert_eq!(provider.waiting.load(Ordering::Relaxed), 0, "whoever gives up leaves the line");
    }
}

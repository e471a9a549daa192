//! Quotas of agreements, kept at every exit: the one place that knows how much of them is used.
//!
//! - A call takes one from the agreement's bucket (`Quotas::call`); buckets are empty when the process starts.
//! - Records are reserved before they are cut and given back where they were not given (`Meter::reserve`), so that streams of
//!   one agreement that are open at the same time do not give more than its day allows together.
//! - Records are counted for each agreement, with quotas or without: one that gets a quota at noon has it from the midnight before.
//! - What earlier processes gave today is read from the events of `ldop.exchanges` (`earlier`), which are what is accounted
//!   for: there is no other file that could disagree.
//!
//! Days and hours are those of Việt Nam, by the hub's clock.

mod earlier;
pub mod metrics;

use std::{collections::HashMap, num::NonZeroU64, sync::Arc, time::Duration};

use ldop_catalog::{
    Agreement, Mode,
    quotas::{CallRate, Hours, Quotas as Granted},
};
use ldop_types::{AgreementId, Date, Reason, TimestampMs};
use parking_lot::Mutex;

pub(crate) use self::earlier::Earlier;
use self::metrics::Metrics;
use crate::{Exchange, clock::Clock};

/// One refusal of an agreement, mode and reason is an event of its own in so long; the others are counted in the next.
const TELL_EVERY_MS: i64 = 60_000;
/// A call, in thousandths, so that what comes back in a millisecond is a whole number.
const CALL: u64 = 1_000;

/// How long it is until then.
fn until(then: TimestampMs, now: TimestampMs) -> Duration {
    Duration::from_millis(u64::try_from(then.0.saturating_sub(now.0)).unwrap_or(0))
}

/// Which quota of an agreement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quota {
    Calls,
    Records,
    Hours,
}

impl Quota {
    pub(crate) const ALL: [Self; 3] = [Self::Calls, Self::Records, Self::Hours];

    /// The word of metrics, as definitions have it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls_per_second",
            Self::Records => "records_per_day",
            Self::Hours => "allowed_hours",
        }
    }
}

/// A quota that is met, and when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) quota: Quota,
    pub(crate) retry_after: Duration,
}

impl Met {
    pub(crate) fn reason(self) -> Reason {
        match self.quota {
            Quota::Calls | Quota::Records => Reason::QuotaExceeded,
            Quota::Hours => Reason::OutsideAllowedHours,
        }
    }
}

/// Why a call is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A quota.
    Met(Met),
    /// What was given today cannot be read.
    Unknown(Reason),
}

/// The quotas of all agreements.
pub(crate) struct Quotas {
    clock: Arc<Clock>,
    started: TimestampMs,
    earlier: Earlier,
    meters: Mutex<HashMap<AgreementId, Arc<Meter>>>,
    metrics: Metrics,
}

/// What is used of one agreement's quotas, whatever its version.
pub(crate) struct Meter {
    clock: Arc<Clock>,
    state: Mutex<State>,
}

struct State {
    /// What `given` and `before` are about.
    day: Date,
    /// Records given and reserved by this process.
    given: u64,
    /// Records given by earlier processes; none until that was asked for.
    before: Option<u64>,
    bucket: Bucket,
    told: HashMap<(Mode, Reason), Told>,
}

/// Calls that may be made, in thousandths, at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: u64,
    at: TimestampMs,
}

/// When a refusal was an event last, and how many were none since.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: TimestampMs,
    more: u32,
}

impl Bucket {
    fn fill(&mut self, rate: CallRate, now: TimestampMs) {
        let gone = u64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(0);
        let more = gone.saturating_mul(rate.per_second.get().into());
        self.level = self.level.saturating_add(more).min(u64::from(rate.burst.get()) * CALL);
        self.at = self.at.max(now);
    }

    /// Takes one call, or tells how long until there is one.
    fn take(&mut self, rate: CallRate, now: TimestampMs) -> Result<(), Duration> {
        self.fill(rate, now);
        match self.level.checked_sub(CALL) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(self.wait(rate)),
        }
    }

    fn wait(self, rate: CallRate) -> Duration {
        Duration::from_millis(CALL.saturating_sub(self.level).div_ceil(rate.per_second.get().into()))
    }
}

impl State {
    /// Begins a new day where one has begun. The clock does not run backwards.
    fn turn(&mut self, now: TimestampMs) {
        let today = now.date_in_vietnam();
        if today > self.day {
            (self.day, self.given, self.before) = (today, 0, Some(0));
        }
    }

    fn used(&self) -> u64 {
        self.given.saturating_add(self.before.unwrap_or(0))
    }

    fn left(&self, most: NonZeroU64) -> u64 {
        most.get().saturating_sub(self.used())
    }
}

impl Quotas {
    pub(crate) fn new(clock: Arc<Clock>, earlier: Earlier, metrics: Metrics) -> Self {
        Self { started: clock.now(), clock, earlier, meters: Mutex::default(), metrics }
    }

    fn meter(&self, agreement: &AgreementId) -> Arc<Meter> {
        let mut meters = self.meters.lock();
        if let Some(meter) = meters.get(agreement) {
            return Arc::clone(meter);
        }
        let day = self.started.date_in_vietnam();
        let state =
            State { day, given: 0, before: None, bucket: Bucket { level: 0, at: self.started }, told: HashMap::new() };
        let meter = Arc::new(Meter { clock: Arc::clone(&self.clock), state: Mutex::new(state) });
        meters.insert(agreement.clone(), Arc::clone(&meter));
        meter
    }

    /// Lets one call in: it is within the allowed hours, the day has records left, and the bucket has a call.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing was taken.
    pub(crate) async fn call(&self, agreement: &Agreement) -> Result<Arc<Meter>, Refused> {
        let (meter, granted) = (self.meter(&agreement.id), &agreement.quotas);
        self.hours(granted).map_err(Refused::Met)?;
        if granted.records_per_day.is_some() {
            self.look_back(&agreement.id, &meter).await.map_err(Refused::Unknown)?;
        }
        let now = self.clock.now();
        let mut state = meter.state.lock();
        state.turn(now);
        if granted.records_per_day.is_some_and(|most| state.left(most) == 0) {
            return Err(Refused::Met(state.day_is_over(now)));
        }
        if let Some(rate) = granted.calls {
            let taken = state.bucket.take(rate, now);
            taken.map_err(|retry_after| Refused::Met(Met { quota: Quota::Calls, retry_after }))?;
        }
        drop(state);
        Ok(meter)
    }

    /// Whether something is given at this hour; tells until when, if that ends.
    ///
    /// # Errors
    ///
    /// It is not.
    pub(crate) fn hours(&self, granted: &Granted) -> Result<Option<TimestampMs>, Met> {
        let now = self.clock.now();
        match granted.hours_at(now) {
            Hours::Open { until } => Ok(until),
            Hours::Closed { until: then } => Err(Met { quota: Quota::Hours, retry_after: until(then, now) }),
        }
    }

    /// Learns what earlier processes gave today.
    async fn look_back(&self, agreement: &AgreementId, meter: &Meter) -> Result<(), Reason> {
        {
            let mut state = meter.state.lock();
            state.turn(self.clock.now());
            if state.before.is_some() {
                return Ok(());
            }
        }
        let before = self.earlier.given(agreement).await?;
        let mut state = meter.state.lock();
        // Midnight may have passed meanwhile.
        state.before.get_or_insert(before);
        Ok(())
    }

    /// When a caller is to come again who was refused for a quota just now.
    fn retry_after(&self, agreement: &Agreement, reason: Reason) -> Option<Duration> {
        match reason {
            Reason::OutsideAllowedHours => self.hours(&agreement.quotas).err().map(|met| met.retry_after),
            Reason::QuotaExceeded => {
                let (now, meter) = (self.clock.now(), self.meter(&agreement.id));
                let mut state = meter.state.lock();
                state.turn(now);
                let is_over = agreement.quotas.records_per_day.is_some_and(|most| state.left(most) == 0);
                if is_over {
                    return Some(state.day_is_over(now).retry_after);
                }
                agreement.quotas.calls.map(|rate| {
                    state.bucket.fill(rate, now);
                    state.bucket.wait(rate)
                })
            }
            _ => None,
        }
    }

    /// Records given today, where that is known.
    pub(crate) async fn used(&self, agreement: &AgreementId) -> Result<u64, Reason> {
        let meter = self.meter(agreement);
        self.look_back(agreement, &meter).await?;
        let state = meter.state.lock();
        Ok(state.used())
    }
}

impl State {
    fn day_is_over(&self, now: TimestampMs) -> Met {
        Met { quota: Quota::Records, retry_after: until(Date(self.day.0.saturating_add(1)).start_in_vietnam(), now) }
    }
}

impl Meter {
    /// Reserves up to so many records of the day; at least one.
    ///
    /// # Errors
    ///
    /// None is left, or fewer than `least`.
    pub(crate) fn reserve(self: &Arc<Self>, granted: &Granted, least: u64, most: u64) -> Result<Reserved, Met> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.turn(now);
        let left = granted.records_per_day.map_or(u64::MAX, |of_day| state.left(of_day));
        if left < least.max(1) {
            return Err(state.day_is_over(now));
        }
        let held = most.min(left);
        state.given = state.given.saturating_add(held);
        Ok(Reserved { meter: Arc::clone(self), day: state.day, held, given: 0 })
    }

    /// That the day's records are given.
    pub(crate) fn day_is_over(&self) -> Met {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.turn(now);
        state.day_is_over(now)
    }

    /// Whether a refusal is to be an event of its own, and how many before it were none.
    fn tell(&self, mode: Mode, reason: Reason) -> Option<u32> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        match state.told.get_mut(&(mode, reason)) {
            Some(told) if now.0.saturating_sub(told.at.0) < TELL_EVERY_MS => {
                told.more = told.more.saturating_add(1);
                None
            }
            told => {
                let more = told.map_or(0, |told| told.more);
                state.told.insert((mode, reason), Told { at: now, more: 0 });
                Some(more)
            }
        }
    }

    /// The event was not written: the next refusal is one, and counts it.
    fn not_told(&self, mode: Mode, reason: Reason, more: u32) {
        let mut state = self.state.lock();
        let told = state.told.entry((mode, reason)).or_insert(Told { at: TimestampMs(0), more: 0 });
        told.at = TimestampMs(i64::MIN);
        told.more = told.more.saturating_add(more).saturating_add(1);
    }
}

/// Records that may be given. Those that are not are given back when it goes.
pub(crate) struct Reserved {
    meter: Arc<Meter>,
    day: Date,
    held: u64,
    given: u64,
}

impl Reserved {
    /// How many they are.
    pub(crate) fn records(&self) -> usize {
        usize::try_from(self.held).unwrap_or(usize::MAX)
    }

    /// So many were given.
    pub(crate) fn give(&mut self, records: usize) {
        self.given = self.given.saturating_add(records as u64);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.meter.state.lock();
        if state.day == self.day {
            state.given = state.given.saturating_sub(self.held.saturating_sub(self.given));
        }
    }
}

impl Exchange {
    /// When a caller is to come again who was refused under an agreement just now, for a reason that is one of its quotas.
    #[must_use]
    pub fn retry_after(&self, agreement: &AgreementId, reason: Reason) -> Option<Duration> {
        let state = self.control.state();
        let found = state.catalog.agreements.get(agreement)?;
        self.quotas.retry_after(&found.value, reason)
    }

    /// Accounts for a call that a quota refuses. Tells what the system is to hear: the reason, once it is accounted for.
    pub(crate) async fn refuse_for(&self, agreement: &Agreement, mode: Mode, met: Met) -> Reason {
        self.quotas.metrics.refusals.with_label_values(&[met.quota.as_str()]).inc();
        let (meter, reason) = (self.quotas.meter(&agreement.id), met.reason());
        let Some(more) = meter.tell(mode, reason) else { return reason };
        let told = crate::exit::account_for(self, &agreement.consumer, &agreement.id, mode, reason, more).await;
        if told != reason {
            meter.not_told(mode, reason, more);
        }
        told
    }

    /// Reads what was given today, where an agreement limits it, before somebody waits for that.
    pub(crate) async fn know_quotas(self: Arc<Self>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.refresh_quota_metrics() => {}
        }
    }

    pub(crate) async fn refresh_quota_metrics(&self) {
        let (state, metrics) = (self.control.state(), &self.quotas.metrics);
        let limited = state.catalog.agreements.iter();
        let limited: Vec<_> =
            limited.filter_map(|(id, found)| Some((id, found.value.quotas.records_per_day?))).collect();
        metrics.used.reset();
        metrics.granted.reset();
        for (id, most) in limited {
            // Logged where it failed.
            if let Ok(used) = self.quotas.used(id).await {
                let number = |records: u64| i64::try_from(records).unwrap_or(i64::MAX);
                metrics.used.with_label_values(&[id.as_str()]).set(number(used));
                metrics.granted.with_label_values(&[id.as_str()]).set(number(most.get()));
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Look-ups: single records by key, answered by whoever holds them.
//!
//! The way of a call ([`look_up`]):
//! 1. The agreement is held against the caller; the keys are read with the parser that reads records.
//! 2. [`answerer`]: somebody with room is chosen; [`router`] and [`breaker`] know the connected providers. Up to here
//!    nothing has happened, and a caller that goes away leaves nothing behind.
//! 3. A task of its own takes over, which no caller can end. The asking goes to the [`journal`] and the question to the
//!    provider at the same time.
//! 4. **When both are there, and not before, the answer goes to the caller**: [checked](answers) against the key and the
//!    schema in use, reduced to the granted fields, under an agreement that still stands.
//! 5. The outcome goes to the journal. A task of its own takes both to `ldop.exchanges`, where [`hashes`] stand for keys, officer and
//!    case, and a salted hash for the answer.
//!
//! [`find`] goes the same way by secondary keys; the current copy alone answers.
//!
//! Not found, not permitted and not answered are three things, each an answer of its own for a key; a call that no agreement
//! grants is refused as a whole.

pub mod answerer;
pub mod answers;
pub mod breaker;
pub mod connection;
pub mod find;
pub mod hashes;
pub mod journal;
pub mod metrics;
pub mod router;
pub mod serving;
mod ship;
mod views;

use std::{
    collections::HashSet,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_catalog::{Agreement, Mode, state::Versioned};
use ldop_contract::control::v1::{LookUpAnswered, LookUpAsked, LookUpOutcome};
use ldop_log::Offset;
use ldop_schema_registry::{Limits, Parser};
use ldop_types::{AgreementId, ExchangeId, Reason, SystemId, TimestampMs};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::answerer::Source;
use self::{
    answerer::Answerer,
    answers::{Check, Checked},
    connection::{Heard, Question},
    hashes::Hashes,
    journal::{Asking, Journal, Unshipped},
    router::{Lesson, Router},
    views::Views,
};
use crate::{
    Exchange,
    clock::Clock,
    copy::{self, Ask},
    events::Events,
    exit::{account_for, grant},
    fair::{Place, Places, Share},
    header::Salt,
    publish::KEY_BYTES,
    quotas::{self, Reserved},
    secret::Secret,
};

/// Most keys of one call.
pub const MOST_KEYS: usize = 100;
/// Longest text of a key, bytes.
pub const KEY_TEXT_BYTES: usize = 4 << 10;
/// How often it is looked whether the log has what the journal had.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
/// Time of a call that tells none.
pub const DEFAULT_TIME: Duration = Duration::from_secs(10);
/// Most time of a call.
pub const MOST_TIME: Duration = Duration::from_secs(30);

/// Look-ups answered from copies at the same time. Enough for one write of the journal and one read of a copy to do for many, and few
/// enough for one that comes beside a flood to be served soon: it is the next.
const READING: usize = 64;
/// When a system is to come again that has so many look-ups in flight that the others would have no room.
const COME_AGAIN: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Clone)]
pub struct LookUp {
    /// Agreement.
    pub agreement: AgreementId,
    /// 1-[`MOST_KEYS`] keys, each a JSON object with the key fields.
    pub keys: Vec<Bytes>,
    /// Who asks, in the calling system; may be empty.
    pub officer_id: String,
    /// For which case; may be empty.
    pub case_number: String,
    /// What held at this time, from the history of the current copy; none: what holds now.
    pub as_of: Option<TimestampMs>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The exchange it is accounted for under.
    pub exchange_id: ExchangeId,
    /// Version of the agreement.
    pub agreement_version: u32,
    /// One for each key.
    pub answers: Vec<KeyAnswer>,
    /// What the commitment of the event is salted with.
    pub salt: Salt,
    /// Where the current copy stood, if it has answered.
    pub copy: Option<CopyState>,
}

/// Where a current copy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyState {
    /// By partition, the next log entry that is not in it.
    pub positions: Vec<(u32, Offset)>,
    /// What was accepted up to then is in it.
    pub followed: TimestampMs,
}

/// What is known of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyAnswer {
    /// The record.
    Found(Found),
    /// There is none.
    NotFound {
        /// Who says so.
        source: Source,
    },
    /// There is one that the agreement's row condition withholds.
    NotPermitted {
        /// Who has it.
        source: Source,
    },
    /// Nothing is known.
    NotAnswered(Reason),
}

impl std::fmt::Debug for KeyAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Found(found) => write!(f, "Found({} bytes)", found.payload.len()),
            Self::NotFound { source } => write!(f, "NotFound({source})"),
            Self::NotPermitted { source } => write!(f, "NotPermitted({source})"),
            Self::NotAnswered(reason) => write!(f, "NotAnswered({})", reason.as_str()),
        }
    }
}

/// A record that was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// The granted fields.
    pub payload: Bytes,
    /// Version of the schema it was checked against.
    pub schema_version: u32,
    /// Who answered.
    pub source: Source,
    /// When the stated fact came about, as far as told.
    pub event_time: Option<TimestampMs>,
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// As a whole.
    Reason {
        /// Reason.
        reason: Reason,
        /// When to come again, where that is known.
        retry_after: Option<Duration>,
    },
    /// Keys that are none.
    Keys(Vec<BadKey>),
    /// What the agreement asks of each look-up and this one does not tell: fields of the request.
    Missing(Vec<&'static str>),
    /// Fields that are searched by, and not shown or shown under a mask.
    NotGranted(Vec<String>),
}

impl Refused {
    fn of(reason: Reason) -> Self {
        Self::Reason { reason, retry_after: None }
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Reason { reason, .. } => *reason,
            Self::Keys(_) | Self::Missing(_) => Reason::RequestInvalid,
            Self::NotGranted(_) => Reason::FieldNotGranted,
        }
    }
}

/// A key that is none. Never holds what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    /// Its place in the call.
    pub at: usize,
    /// What is expected there.
    pub expected: String,
}

/// What look-ups need, for as long as the exchange is open.
pub(crate) struct LookUps {
    pub(crate) router: Router,
    /// Look-ups in flight.
    places: Arc<Places>,
    /// Those of them that are answered from copies.
    reading: Arc<Places>,
    journal: Arc<Journal>,
    pub(crate) hashes: Hashes,
    views: Views,
    shipping: TaskTracker,
    stop_shipping: CancellationToken,
}

impl LookUps {
    /// Opens the journal, and begins to ship what is in it.
    /// Also what an earlier process left in the journal, which the log may not have yet.
    pub(crate) fn open(
        data_dir: &Path,
        secret: &Secret,
        clock: Arc<Clock>,
        events: Arc<Events>,
        most: usize,
    ) -> io::Result<(Self, Vec<Unshipped>)> {
        let dir = data_dir.join("look-ups");
        let journal = Arc::new(Journal::open(journal::Config::new(dir, clock))?);
        let (hashes, left) = (Hashes::new(secret), journal.unshipped(usize::MAX));
        let (shipping, stop_shipping) = (TaskTracker::new(), CancellationToken::new());
        shipping.spawn(ship::ship(Arc::clone(&journal), events, stop_shipping.clone()));
        let look_ups = Self {
            router: Router::default(),
            places: Places::new(most, Share::HalfIsLeft),
            reading: Places::new(READING, Share::FewestFirst),
            journal,
            hashes,
            views: Views::default(),
            shipping,
            stop_shipping,
        };
        Ok((look_ups, left))
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal.bytes()
    }

    /// Waits until what was told so far is on the log, and no longer than `most`.
    pub(crate) async fn settled(&self, most: Duration) {
        let journal = Arc::clone(&self.journal);
        let settling = tokio::task::spawn_blocking(move || {
            journal.settle();
            journal.unshipped_places()
        });
        let deadline = Instant::now() + most;
        let Ok(Ok(Some((_, newest)))) = tokio::time::timeout_at(deadline.into(), settling).await else { return };
        while self.journal.unshipped_places().is_some_and(|(oldest, _)| oldest <= newest) && Instant::now() < deadline {
            tokio::time::sleep(SETTLE_EVERY).await;
        }
    }

    /// Ships what is left and ends the journal. Calls have ended before.
    pub(crate) async fn close(&self) {
        let journal = Arc::clone(&self.journal);
        // Only a runtime that ends keeps it from running, and then nothing is to be done here.
        let _ = tokio::task::spawn_blocking(move || journal.settle()).await;
        self.stop_shipping.cancel();
        self.shipping.close();
        self.shipping.wait().await;
        let journal = Arc::clone(&self.journal);
        let _ = tokio::task::spawn_blocking(move || journal.close()).await;
    }
}

/// Looks records up for the calling system. Dropped, it drops the answer, never the outcome.
///
/// # Errors
///
/// [`Refused`]: nothing was given. The reasons an agreement grants nothing for, [`Reason::LookUpNotServed`],
/// [`Reason::LookUpNotRecorded`], [`Reason::Overloaded`], or keys that are none.
pub async fn look_up(
    exchange: &Arc<Exchange>,
    system: &SystemId,
    request: LookUp,
    deadline: Instant,
) -> Result<Answered, Refused> {
    let prepared = prepare(exchange, system, &request, deadline).await;
    let (call, answerer) =
        prepared.inspect_err(|refused| count_refused(exchange, system, &request.agreement, refused.reason()))?;
    let (tell, answered) = oneshot::channel();
    exchange.tasks.spawn(call.run(answerer, tell));
    answered.await.unwrap_or(Err(Refused::of(Reason::Internal)))
}

/// Counts a call that is refused before anybody is asked.
fn count_refused(exchange: &Exchange, system: &SystemId, agreement: &AgreementId, reason: Reason) {
    let state = exchange.control.state();
    let agreement = state.catalog.agreements.get(agreement);
    // Whoever is not its consumer puts nothing under the agreement's dataset.
    let known = agreement.filter(|agreement| agreement.value.consumer == *system);
    let labels = known.map_or(("none", "none"), |known| (known.value.dataset.as_str(), known.value.stage.as_str()));
    exchange.metrics.look_ups.call(labels.0, labels.1, reason.as_str());
}

/// What a call has been let in with.
struct Admitted {
    agreement: Arc<Versioned<Agreement>>,
    /// Its place among those in flight.
    place: Place,
    meter: Arc<quotas::Meter>,
}

/// Whether the calling system may ask under the agreement now, and tells what the agreement asks with it.
async fn admit(
    exchange: &Exchange,
    system: &SystemId,
    agreement: &AgreementId,
    officer_id: &str,
    case_number: &str,
) -> Result<Admitted, Refused> {
    if exchange.draining.load(Ordering::Acquire) {
        return Err(Refused::of(Reason::ShuttingDown));
    }
    if *exchange.shared.fenced.borrow() {
        return Err(Refused::of(Reason::Fenced));
    }
    let agreement = match grant(exchange, system, agreement, Mode::LookUp, None) {
        Ok(agreement) => agreement,
        Err(reason) => {
            return Err(Refused::of(account_for(exchange, system, agreement, Mode::LookUp, reason, 0).await));
        }
    };
    // Before a call of the quota is spent.
    let place = exchange.look_ups.places.try_take(system, 1);
    let place = place.ok_or(Refused::Reason { reason: Reason::Overloaded, retry_after: Some(COME_AGAIN) })?;
    let meter = match exchange.quotas.call(&agreement.value).await {
        Ok(meter) => meter,
        Err(quotas::Refused::Met(met)) => return Err(refused_for(exchange, &agreement.value, met).await),
        Err(quotas::Refused::Unknown(reason)) => return Err(Refused::of(reason)),
    };
    let definition = &agreement.value.definition;
    let missing: Vec<&'static str> = [
        ("officer_id", definition.officer_required && officer_id.trim().is_empty()),
        ("case_number", definition.case_number_required && case_number.trim().is_empty()),
    ]
    .into_iter()
    .filter_map(|(field, is_missing)| is_missing.then_some(field))
    .collect();
    if missing.is_empty() { Ok(Admitted { agreement, place, meter }) } else { Err(Refused::Missing(missing)) }
}

/// What is told alike of every asking: who asks under which agreement, why, which officer for which case.
fn asked_by(
    hashes: &Hashes,
    id: ExchangeId,
    system: &SystemId,
    agreement: &Versioned<Agreement>,
    (officer_id, case_number): (&str, &str),
) -> LookUpAsked {
    let (version, agreement) = (agreement.version, &agreement.value);
    LookUpAsked {
        exchange_id: id.as_bytes().to_vec(),
        system: system.to_string(),
        agreement: agreement.id.to_string(),
        agreement_version: version,
        dataset: agreement.dataset.to_string(),
        stage: agreement.stage.to_string(),
        purpose: agreement.definition.purpose_vi.clone(),
        purpose_code: agreement.definition.purpose.clone(),
        officer_hash: hashes.of_told("officer", system.as_str(), officer_id),
        case_hash: hashes.of_told("case", system.as_str(), case_number),
        ..LookUpAsked::default()
    }
}

/// Waits until an asking is durable.
async fn durable(exchange: &Exchange, asking: &mut Asking, deadline: Instant) -> Result<(), Reason> {
    let started = Instant::now();
    let durable = tokio::time::timeout_at(deadline.into(), asking.durable()).await;
    exchange.metrics.look_ups.took("journal", started.elapsed());
    match durable {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Reason::LookUpNotRecorded),
    }
}

/// A call that is about to be made.
struct Call {
    exchange: Arc<Exchange>,
    system: SystemId,
    request: LookUp,
    deadline: Instant,
    started: Instant,
    agreement: Arc<Versioned<Agreement>>,
    /// The keys as they stand on records.
    keys: Vec<Vec<u8>>,
    /// How old a current copy may be.
    max_age: Option<Duration>,
    check: Check,
    /// A record of the day for each key.
    reserved: Reserved,
    _place: Place,
}

async fn prepare(
    exchange: &Arc<Exchange>,
    system: &SystemId,
    request: &LookUp,
    deadline: Instant,
) -> Result<(Call, Answerer), Refused> {
    let started = Instant::now();
    let LookUp { officer_id, case_number, .. } = request;
    let admitted = admit(exchange, system, &request.agreement, officer_id, case_number).await?;
    let Admitted { agreement, place, meter } = admitted;
    let state = exchange.control.state();
    let (dataset, stage) = (&agreement.value.dataset, agreement.value.stage);
    let found = state.dataset(dataset).ok_or(Refused::of(Reason::DatasetUnknown))?;
    let key_fields = found.value.definition.key_fields.clone();
    let keys = read_keys(&request.keys, &key_fields).map_err(Refused::Keys)?;
    let count = keys.len() as u64;
    let reserved = match meter.reserve(&agreement.value.quotas, count, count) {
        Ok(reserved) => reserved,
        Err(met) => return Err(refused_for(exchange, &agreement.value, met).await),
    };
    let schema = state.schema(found.value.schema.as_str(), stage).ok_or(Refused::of(Reason::SchemaNotApproved))?;
    let view = exchange.look_ups.views.of(exchange, &state, &agreement).map_err(Refused::of)?;
    if !exchange.look_ups.journal.takes() {
        return Err(Refused::of(Reason::LookUpNotRecorded));
    }
    let compiled = schema.get().map_err(Refused::of)?;
    let answerer = match request.as_of {
        None => Answerer::choose(exchange, system, stage, &found.value, deadline).await?,
        Some(_) => Answerer::historian(exchange, system, stage, &found.value, deadline).await?,
    };
    let max_age = found.value.definition.current_copy.as_ref().map_or(0, |copy| copy.max_age_seconds);
    let check = Check {
        schema_version: schema.version,
        schema: compiled,
        key_fields,
        view,
        limits: Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT },
        source: answerer.source(),
        now: exchange.now(),
    };
    let (exchange, system, request) = (Arc::clone(exchange), system.clone(), request.clone());
    let max_age = (max_age > 0).then(|| Duration::from_secs(max_age.into()));
    Ok((
        Call { exchange, system, request, deadline, started, agreement, keys, max_age, check, reserved, _place: place },
        answerer,
    ))
}

/// What a caller hears whom a quota refuses, once that is accounted for.
async fn refused_for(exchange: &Exchange, agreement: &Agreement, met: quotas::Met) -> Refused {
    let reason = exchange.refuse_for(agreement, Mode::LookUp, met).await;
    Refused::Reason { reason, retry_after: (reason == met.reason()).then_some(met.retry_after) }
}

/// Reads keys as they stand on records.
pub(crate) fn read_keys(keys: &[Bytes], key_fields: &[String]) -> Result<Vec<Vec<u8>>, Vec<BadKey>> {
    let shape = || format!("a JSON object with {} and nothing else", key_fields.join(", "));
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(vec![BadKey { at: 0, expected: format!("1-{MOST_KEYS} keys, each {}", shape()) }]);
    }
    let mut parser = Parser::new(Limits { bytes: KEY_TEXT_BYTES, ..Limits::DEFAULT });
    let (mut read, mut bad, mut seen) = (Vec::with_capacity(keys.len()), Vec::new(), HashSet::new());
    for (at, text) in keys.iter().enumerate() {
        let mut key = Vec::new();
        let fits = parser.parse(text).is_ok_and(|document| {
            document.root().as_object().is_some_and(|members| members.len() == key_fields.len())
                && document.key(key_fields, &mut key).is_ok()
                && key.len() <= KEY_BYTES
        });
        if !fits {
            bad.push(BadKey { at, expected: shape() });
        } else if !seen.insert(key.clone()) {
            bad.push(BadKey { at, expected: "a key that is not asked for already".to_owned() });
        }
        read.push(key);
    }
    if bad.is_empty() { Ok(read) } else { Err(bad) }
}

impl Call {
    /// Asks, answers and accounts for it, to the end.
    async fn run(mut self, mut answerer: Answerer, tell: oneshot::Sender<Result<Answered, Refused>>) {
        let id = ExchangeId::new();
        let now = self.exchange.now();
        let mut asking = self.exchange.look_ups.journal.ask(id, now, self.asked(id));
        let durable = durable(&self.exchange, &mut asking, self.deadline);
        let (durable, heard) = futures::future::join(durable, self.ask(&mut answerer)).await;
        let (mut hold, mut copy) = (None, None);
        let checked = match heard {
            Said::Provider(Heard::Answer(answer)) => {
                hold = answer.hold;
                Some(self.check.all(&self.keys, answer.replies).await)
            }
            Said::Provider(Heard::TimedOut | Heard::Lost) | Said::Copy(None) => None,
            Said::Copy(Some(answer)) => {
                copy = Some(CopyState { positions: answer.positions, followed: answer.followed });
                Some(self.check.copied(answer.records).await)
            }
        };
        if let Some(checked) = &checked {
            answerer.learn(if checked.is_right() { Lesson::Good } else { Lesson::Bad });
        }
        drop(answerer);
        let checked = checked.unwrap_or_else(|| {
            let answers = vec![KeyAnswer::NotAnswered(Reason::LookUpNotAnswered); self.keys.len()];
            Checked { answers, astray: 0 }
        });
        let counts = Counts::of(&checked.answers);
        self.count_keys(&counts);
        let (agreement, held) = (&self.request.agreement, Some(&self.agreement));
        let permitted = durable.and_then(|()| grant(&self.exchange, &self.system, agreement, Mode::LookUp, held));
        self.exchange.metrics.look_ups.took("whole", self.started.elapsed());
        if let Err(reason) = permitted {
            self.count_call(reason.as_str());
            asking.close(|outcome| {
                outcome.set_outcome(LookUpOutcome::Refused);
                reason.as_str().clone_into(&mut outcome.reason);
                counts.fill(outcome);
            });
            let _ = tell.send(Err(Refused::of(reason)));
            return;
        }
        let salt: Salt = rand::random();
        let commitment = (counts.found > 0).then(|| commit(&salt, &checked.answers));
        let agreement_version = self.agreement.version;
        let answered = Answered { exchange_id: id, agreement_version, answers: checked.answers, salt, copy };
        let is_given = tell.send(Ok(answered)).is_ok();
        drop(hold);
        if is_given {
            self.reserved.give(counts.found as usize);
        }
        self.count_call(if is_given { "answered" } else { "caller_gone" });
        asking.close(|outcome| {
            outcome.set_outcome(if is_given { LookUpOutcome::Answered } else { LookUpOutcome::CallerGone });
            counts.fill(outcome);
            if is_given && let Some(commitment) = commitment {
                outcome.commitment = commitment.to_vec();
            }
        });
    }

    async fn ask(&self, answerer: &mut Answerer) -> Said {
        let started = Instant::now();
        let question = Question {
            keys: self.request.keys.as_slice().into(),
            deadline: self.deadline,
            agreement: Arc::clone(&self.agreement),
        };
        if let Some(heard) = answerer.ask(question).await {
            self.exchange.metrics.look_ups.took("provider", started.elapsed());
            return Said::Provider(heard);
        }
        let (dataset, stage) = (&self.agreement.value.dataset, self.agreement.value.stage);
        let keys = self.keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
        let ask = match self.request.as_of {
            None => Ask::Keys(keys),
            Some(time) => Ask::AsOf { keys, time },
        };
        let reading = self.exchange.copies.look_up(dataset, stage, &ask, self.max_age);
        let read = tokio::time::timeout_at(self.deadline.into(), reading).await;
        self.exchange.metrics.look_ups.took("copy", started.elapsed());
        // It tells in the log what is wrong with it; to the caller nobody has answered.
        Said::Copy(read.ok().and_then(Result::ok))
    }

    fn asked(&self, id: ExchangeId) -> LookUpAsked {
        let (hashes, dataset) = (&self.exchange.look_ups.hashes, self.agreement.value.dataset.as_str());
        let LookUp { officer_id, case_number, .. } = &self.request;
        LookUpAsked {
            key_hashes: self.keys.iter().map(|key| hashes.of("key", dataset, key)).collect(),
            source: self.check.source.to_string(),
            as_of_ms: self.request.as_of.map(|time| time.0),
            ..asked_by(hashes, id, &self.system, &self.agreement, (officer_id, case_number))
        }
    }

    fn count_call(&self, result: &str) {
        let agreement = &self.agreement.value;
        self.exchange.metrics.look_ups.call(agreement.dataset.as_str(), agreement.stage.as_str(), result);
    }

    fn count_keys(&self, counts: &Counts) {
        let (dataset, stage) = (&self.agreement.value.dataset, self.agreement.value.stage);
        let metrics = &self.exchange.metrics.look_ups;
        metrics.keys(dataset, stage, "found", counts.found);
        metrics.keys(dataset, stage, "not_found", counts.not_found);
        metrics.keys(dataset, stage, "not_permitted", counts.not_permitted);
        metrics.keys(dataset, stage, "not_answered", counts.not_answered);
        metrics.keys(dataset, stage, "invalid", counts.invalid);
    }
}

/// What came back.
enum Said {
    /// From a provider.
    Provider(Heard),
    /// From the current copy; none where it does not answer.
    Copy(Option<copy::Answer>),
}

/// Keys by what became of them.
#[derive(Debug, Default)]
struct Counts {
    found: u32,
    not_found: u32,
    not_permitted: u32,
    not_answered: u32,
    invalid: u32,
}

impl Counts {
    fn of(answers: &[KeyAnswer]) -> Self {
        let mut counts = Self::default();
        for answer in answers {
            *match answer {
                KeyAnswer::Found(_) => &mut counts.found,
                KeyAnswer::NotFound { .. } => &mut counts.not_found,
                KeyAnswer::NotPermitted { .. } => &mut counts.not_permitted,
                KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid) => &mut counts.invalid,
                KeyAnswer::NotAnswered(_) => &mut counts.not_answered,
            } += 1;
        }
        counts
    }

    fn fill(&self, outcome: &mut LookUpAnswered) {
        outcome.found = self.found;
        outcome.not_found = self.not_found;
        outcome.not_permitted = self.not_permitted;
        outcome.not_answered = self.not_answered;
        outcome.invalid = self.invalid;
    }
}

/// SHA-256(salt || for each record found, in order: its length as 8 bytes, big endian, || its payload).
#[must_use]
pub fn commit(salt: &Salt, answers: &[KeyAnswer]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    for answer in answers {
        if let KeyAnswer::Found(found) = answer {
            hash.update((found.payload.len() as u64).to_be_bytes());
            hash.update(&found.payload);
        }
    }
    hash.finalize().into()
}

//! Admission: a provider's records, checked, made durable, answered.
//!
//! A [`Publisher`] serves one system, dataset and stage. [`submit`](Publisher::submit) checks a batch and hands it to
//! the writer in the order given; the [`Ticket`] resolves with a verdict for each record once the log has answered.
//! Tickets may be awaited while further batches are submitted, so the log is never idle for a round trip.

use std::{
    collections::HashMap,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_catalog::{Dataset, WireFormat, state::Versioned};
use ldop_contract::control::v1::{BrokenRule, RecordRefused, exchange_event::Kind};
use ldop_log::{Entry, LogError, Offset, Partition};
use ldop_schema_registry::{CompiledSchema, Limits, Outcome, Parser};
use ldop_types::{DatasetName, ExchangeId, Finding, Reason, Rule, Stage, SystemId, Text, TimestampMs};
use prometheus::IntCounter;
use tokio::{sync::oneshot, task::JoinHandle};
use tracing::warn;

use crate::{
    Exchange,
    cipher::Cipher,
    frame::{self, Frame, Framing},
    header::{self, Attributes, Commitment, Content, RecordMeta, Salt, Scope, Stamp, partition_of},
    index::{Index, Key, Place, Reserved, Settled},
    writer::{Batch, Outgoing, Submitted, TopicWriter},
};

/// Most findings told about one record.
pub const MOST_FINDINGS: usize = 100;
/// How far an exchange id may lie ahead of the hub's clock.
pub const FUTURE_SKEW: Duration = Duration::from_secs(5 * 60);
/// Records checked before other tasks get their turn.
const YIELD_EVERY: usize = 64;
/// Pause before a batch is offered to a full log again.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Longest record key, bytes. Keys stand beside the payload on the log and have to fit its entry limit.
pub const KEY_BYTES: usize = 1_024;
/// Room set aside for a record's key; longer ones take more.
const KEY_GUESS: usize = 32;
/// Bytes read at once to compare repeats with what was accepted.
const REPEAT_BYTES: usize = 256 << 10;

/// A record as it came.
#[derive(Clone)]
pub struct Incoming {
    /// Exchange id, 16 bytes if it is one.
    pub exchange_id: Bytes,
    /// Payload; behind a [frame] if the dataset takes any.
    pub payload: Bytes,
    /// When the stated fact came about; `None`: now.
    pub event_time: Result<Option<TimestampMs>, NoSuchTime>,
    /// Whether what has the key is no more; the payload is that key, a JSON object with the dataset's key fields.
    pub is_deletion: bool,
}

/// The record names an event time that no calendar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchTime;

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Durable on the log.
    Accepted(Receipt),
    /// Not on the log but for the fact of the refusal.
    Refused(Refusal),
}

/// Proof that the log holds a record durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: Offset,
    /// What the hub knows of it.
    pub meta: RecordMeta,
    /// SHA-256(salt || payload).
    pub commitment: Commitment,
    /// The id had been accepted before.
    pub repeated: bool,
    /// Worth a look.
    pub warnings: Vec<Finding>,
}

/// Why a record was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Reason.
    pub reason: Reason,
    /// Bad fields, at most [`MOST_FINDINGS`].
    pub findings: Vec<Finding>,
    /// Findings beyond those.
    pub omitted: usize,
}

impl Refusal {
    fn of(reason: Reason) -> Self {
        Self { reason, findings: Vec::new(), omitted: 0 }
    }

    fn invalid(mut findings: Vec<Finding>) -> Self {
        let omitted = findings.len().saturating_sub(MOST_FINDINGS);
        findings.truncate(MOST_FINDINGS);
        Self { reason: Reason::RecordInvalid, findings, omitted }
    }
}

/// Everything admission needs about a dataset; made anew when the control state changes.
struct Plan {
    sequence: u64,
    dataset: Arc<Versioned<Dataset>>,
    schema_version: u32,
    schema: Arc<CompiledSchema>,
    /// Of a dataset of the Confluent wire format.
    framing: Option<Framing>,
    cipher: Arc<Cipher>,
    /// Whether payloads are encrypted.
    encrypts: bool,
    writer: Arc<TopicWriter>,
}

/// Admits one system's records of one dataset in one stage.
pub struct Publisher {
    exchange: Arc<Exchange>,
    system: SystemId,
    dataset: DatasetName,
    stage: Stage,
    scope: Scope,
    attributes: Attributes,
    plan: Plan,
    accepted: IntCounter,
    parser: Parser,
    outcome: Outcome,
    record_key: Vec<u8>,
}

/// Records whose ids are reserved and that are not handed over yet. What is left when it goes, also because the caller
/// went away, is free to be sent again.
struct Lanes {
    index: Arc<Index>,
    batches: Vec<Batch>,
}

/// What checking found out about a record, before its id is looked up.
enum Checked {
    /// Its id or its frame is no good.
    Unfit { id: Option<ExchangeId>, reason: Reason },
    /// It has an id, and this is what its payload came to.
    Read { id: ExchangeId, event_time: TimestampMs, payload: Result<Fit, Vec<Finding>> },
}

/// A payload that may go on the log.
struct Fit {
    lane: usize,
    /// Where its key on the log stands in the keys of the batch.
    log_key: Range<usize>,
    warnings: Vec<Finding>,
}

impl Lanes {
    fn new(index: Arc<Index>, partitions: u32, records: usize, keys: &Bytes) -> Self {
        // Keys fall evenly, give or take.
        let each = if records == 1 { 0 } else { records / partitions.max(1) as usize * 5 / 4 };
        let batch = || Batch { records: Vec::with_capacity(each), keys: keys.clone() };
        let batches = (0..partitions).map(|_| batch()).collect();
        Self { index, batches }
    }

    /// Puts a record into its lane; tells its place there.
    fn push(&mut self, lane: usize, record: Outgoing) -> usize {
        let records = &mut self.batches[lane].records;
        records.push(record);
        records.len() - 1
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        for record in self.batches.iter().flat_map(|batch| &batch.records) {
            self.index.release(&record.key, Reason::LogUnavailable);
        }
    }
}

enum Slot {
    Ready(Box<Verdict>),
    /// In this lane's batch, at this place.
    Written {
        lane: usize,
        at: usize,
        meta: RecordMeta,
        commitment: Commitment,
        bytes: usize,
        warnings: Vec<Finding>,
    },
    /// Someone else's record with the same id is on its way; to be compared.
    Attached {
        outcome: oneshot::Receiver<Settled>,
        repeat: Repeat,
    },
    /// Accepted before; to be compared.
    Taken {
        place: Place,
        repeat: Repeat,
    },
}

/// A record with an id that was there before.
struct Repeat {
    key: Key,
    payload: Bytes,
    is_deletion: bool,
}

/// Verdicts to come for one batch.
pub struct Ticket {
    exchange: Arc<Exchange>,
    topic: TopicOf,
    slots: Vec<Slot>,
    /// One for each lane.
    waits: Vec<Option<Submitted>>,
    refusals: Option<JoinHandle<Result<(), Reason>>>,
    deadline: Instant,
    started: Instant,
    accepted: IntCounter,
}

#[derive(Clone)]
struct TopicOf {
    system: SystemId,
    dataset: DatasetName,
    stage: Stage,
    scope: Scope,
    schema_version: u32,
}

impl Publisher {
    /// Opens a session, checking that the system may provide the dataset in the stage.
    ///
    /// # Errors
    ///
    /// [`Reason::SystemUnknown`], [`Reason::SystemSuspended`], [`Reason::DatasetUnknown`], [`Reason::NotAProvider`].
    pub fn open(exchange: Arc<Exchange>, system: SystemId, dataset: DatasetName, stage: Stage) -> Result<Self, Reason> {
        let plan = plan(&exchange, &system, &dataset, stage)?;
        let accepted = exchange.metrics.admissions.with_label_values(&[dataset.as_str(), stage.as_str(), "accepted"]);
        let limits = Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT };
        Ok(Self {
            scope: Scope::of(&system, stage, &dataset),
            attributes: Attributes::new(&system, stage, &dataset),
            exchange,
            system,
            dataset,
            stage,
            plan,
            accepted,
            parser: Parser::new(limits),
            outcome: Outcome::default(),
            record_key: Vec::new(),
        })
    }

    /// Checks a batch and hands it to the log, in order. Waits while the log is full, up to the deadline.
    ///
    /// # Errors
    ///
    /// A reason that concerns the session, not a record: nothing of the batch, or only a part of it, was handed over;
    /// the caller sends it again under the same exchange ids when the reason is retryable.
    pub async fn submit(&mut self, records: Vec<Incoming>) -> Result<Ticket, Reason> {
        let started = Instant::now();
        let deadline = started + self.exchange.config.append_deadline;
        // A client that was cut sends again on a new stream while the old one may still be at work here. Were another batch
        // let in between reserving ids and handing over, its later records could pass earlier ones of the same key. So
        // that is one turn; checking, which takes the time, is not part of it.
        let (checked, keys, _turn) = loop {
            if self.exchange.control.state().head.sequence != self.plan.sequence {
                self.plan = plan(&self.exchange, &self.system, &self.dataset, self.stage)?;
            }
            let ready = self.plan.writer.ready();
            tokio::time::timeout_at(deadline.into(), ready).await.map_err(|_| Reason::LogUnavailable)??;
            let (checked, keys) = self.check_all(&records).await;
            let turn = tokio::time::timeout_at(deadline.into(), self.plan.writer.turn()).await;
            let turn = turn.map_err(|_| Reason::LogUnavailable)?;
            if self.exchange.control.state().head.sequence == self.plan.sequence {
                break (checked, keys, turn);
            }
        };
        let partitions = self.plan.writer.partitions();
        let mut reserved = Lanes::new(Arc::clone(&self.exchange.index), partitions, records.len(), &keys);
        let mut events = Vec::new();
        let now = self.exchange.now();
        let admitted = records.into_iter().zip(checked);
        let slots = admitted
            .map(|(record, found)| self.admit(record, found, now, &keys, &mut reserved, &mut events))
            .collect::<Result<_, _>>()?;

        let topic = TopicOf {
            system: self.system.clone(),
            dataset: self.dataset.clone(),
            stage: self.stage,
            scope: self.scope,
            schema_version: self.plan.schema_version,
        };
        let refusals = (!events.is_empty()).then(|| record_refusals(Arc::clone(&self.exchange), events));
        let mut waits = Vec::with_capacity(reserved.batches.len());
        for lane in 0..partitions {
            waits.push(self.hand_over(lane, &mut reserved, deadline).await?);
        }
        let accepted = self.accepted.clone();
        Ok(Ticket { exchange: Arc::clone(&self.exchange), topic, slots, waits, refusals, deadline, started, accepted })
    }

    /// Checks records one by one; the keys of all stand in one run of bytes.
    async fn check_all(&mut self, records: &[Incoming]) -> (Vec<Checked>, Bytes) {
        let started = Instant::now();
        let now = self.exchange.now();
        let mut keys = Vec::with_capacity(records.len() * KEY_GUESS);
        let mut checked = Vec::with_capacity(records.len());
        for (at, record) in records.iter().enumerate() {
            if at % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            checked.push(self.look_at(record, now, &mut keys));
        }
        self.exchange.metrics.check_seconds(started.elapsed());
        (checked, Bytes::from(keys))
    }

    async fn hand_over(&self, lane: u32, reserved: &mut Lanes, deadline: Instant) -> Result<Option<Submitted>, Reason> {
        loop {
            let batch = std::mem::take(&mut reserved.batches[lane as usize]);
            if batch.records.is_empty() {
                return Ok(None);
            }
            match self.plan.writer.submit(lane, &self.attributes, batch) {
                Ok(submitted) => return Ok(Some(submitted)),
                Err((reason, back)) => {
                    reserved.batches[lane as usize] = back;
                    if reason != Reason::Overloaded {
                        return Err(reason);
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(Reason::LogUnavailable);
            }
            // Full: the engine's buffer is the back pressure. It empties in milliseconds, or not before the deadline.
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    fn look_at(&mut self, record: &Incoming, now: TimestampMs, keys: &mut Vec<u8>) -> Checked {
        let window = i64::try_from(self.exchange.config.idempotency_window.as_millis()).unwrap_or(i64::MAX);
        let skew = i64::try_from(FUTURE_SKEW.as_millis()).unwrap_or(i64::MAX);
        let Ok(id) = ExchangeId::parse(&record.exchange_id) else {
            return Checked::Unfit { id: None, reason: Reason::ExchangeIdInvalid };
        };
        let unfit = |reason| Checked::Unfit { id: Some(id), reason };
        if id.time().0 > now.0.saturating_add(skew) {
            return unfit(Reason::ExchangeIdInvalid);
        }
        if id.time().0 < now.0.saturating_sub(window) {
            return unfit(Reason::ExchangeIdExpired);
        }
        let Ok(event_time) = record.event_time else {
            return unfit(Reason::EventTimeInvalid);
        };
        let behind;
        let (frame, payload) = match &self.plan.framing {
            // The key of a deletion has no frame.
            Some(_) if !record.is_deletion => {
                let (frame, payload) = frame::split(record.payload.clone());
                behind = payload;
                (frame, &behind)
            }
            _ => (Frame::None, &record.payload),
        };
        if payload.len() > self.exchange.config.record_bytes {
            return unfit(Reason::RecordTooLarge);
        }
        let event_time = event_time.unwrap_or(now);
        let checked = if record.is_deletion {
            self.check_deletion(payload).map(|()| Vec::new())
        } else {
            self.check(&frame, payload, event_time)
        };
        let payload = checked.map(|warnings| {
            let start = keys.len();
            if self.plan.dataset.value.definition.hashed_keys {
                keys.extend_from_slice(&self.plan.cipher.hash(&self.record_key));
            } else {
                keys.extend_from_slice(&self.record_key);
            }
            let lane = partition_of(&keys[start..], self.plan.writer.partitions()) as usize;
            Fit { lane, log_key: start..keys.len(), warnings }
        });
        Checked::Read { id, event_time, payload }
    }

    /// Looks the id up, before anything else decides, so that a repeat is answered as the first time whatever has
    /// changed since.
    fn admit(
        &self,
        record: Incoming,
        checked: Checked,
        now: TimestampMs,
        keys: &[u8],
        lanes: &mut Lanes,
        events: &mut Vec<Refused>,
    ) -> Result<Slot, Reason> {
        let (id, event_time, found) = match checked {
            Checked::Unfit { id, reason } => return Ok(self.refuse(id, None, Refusal::of(reason), events)),
            Checked::Read { id, event_time, payload } => (id, event_time, payload),
        };
        let is_deletion = record.is_deletion;
        let payload = match &self.plan.framing {
            Some(_) if !is_deletion => frame::split(record.payload).1,
            _ => record.payload,
        };
        let key = Key { id, scope: self.scope };
        match self.exchange.index.reserve(key) {
            Reserved::New => {}
            Reserved::Taken(place) => return Ok(Slot::Taken { place, repeat: Repeat { key, payload, is_deletion } }),
            Reserved::Pending(outcome) => {
                return Ok(Slot::Attached { outcome, repeat: Repeat { key, payload, is_deletion } });
            }
        }
        let salt: Salt = rand::random();
        let commitment = header::commit(&salt, &payload);
        match found {
            Ok(Fit { lane, log_key, warnings }) => {
                let mut meta = RecordMeta {
                    epoch: 0,
                    exchange_id: id,
                    scope: self.scope,
                    salt,
                    event_time,
                    accepted_time: now,
                    schema_version: self.plan.schema_version,
                    dataset_version: self.plan.dataset.version,
                    // Nobody but the hub reads what is encrypted.
                    framed: self.plan.framing.is_some() && !self.plan.encrypts && !is_deletion,
                    is_deletion,
                    is_sealed: self.plan.encrypts,
                    key_generation: 0,
                };
                let bytes = payload.len();
                let value = match &self.plan.framing {
                    _ if meta.is_sealed => {
                        let sealed = self.plan.cipher.seal(&mut meta, &keys[log_key.clone()], &payload);
                        sealed.inspect_err(|reason| self.exchange.index.release(&key, *reason))?
                    }
                    Some(framing) if meta.framed => framing.value(&payload),
                    _ => payload,
                };
                let content = if is_deletion { Content::Deletion(value) } else { Content::Value(value) };
                let at = lanes.push(lane, Outgoing { key, meta, log_key, content });
                Ok(Slot::Written { lane, at, meta, commitment, bytes, warnings })
            }
            Err(findings) => {
                self.exchange.index.release(&key, Reason::RecordInvalid);
                Ok(self.refuse(Some(id), Some(commitment), Refusal::invalid(findings), events))
            }
        }
    }

    /// Checks what was sent; leaves the key of a good payload in `self.record_key`.
    fn check(&mut self, frame: &Frame, payload: &[u8], event_time: TimestampMs) -> Result<Vec<Finding>, Vec<Finding>> {
        let checked = self.check_payload(payload, event_time);
        match self.plan.framing.as_ref().and_then(|framing| framing.finding(frame)) {
            None => checked,
            // What is cut short is no payload.
            Some(finding) if *frame == Frame::Cut => Err(vec![finding]),
            Some(finding) => Err([finding].into_iter().chain(checked.err().unwrap_or_default()).collect()),
        }
    }

    fn check_payload(&mut self, payload: &[u8], event_time: TimestampMs) -> Result<Vec<Finding>, Vec<Finding>> {
        let document = self.parser.parse(payload).map_err(|finding| vec![frame::told(finding, payload)])?;
        self.outcome.clear();
        self.plan.schema.check(&document, event_time.date_in_vietnam(), &mut self.outcome);
        if self.outcome.is_accepted() {
            let key_fields = &self.plan.dataset.value.definition.key_fields;
            document.key(key_fields, &mut self.record_key)?;
            if self.record_key.len() > KEY_BYTES {
                return Err(vec![long_key(key_fields)]);
            }
            return Ok(std::mem::take(&mut self.outcome.warnings));
        }
        let mut findings = std::mem::take(&mut self.outcome.findings);
        if let Err(key_findings) = document.key(&self.plan.dataset.value.definition.key_fields, &mut self.record_key) {
            // A missing key field is usually told already, by the schema.
            let news = key_findings.into_iter().filter(|f| findings.iter().all(|told| told.pointer != f.pointer));
            let news: Vec<_> = news.collect();
            findings.extend(news);
        }
        Err(findings)
    }

    /// Checks that the key of a deletion is one; leaves it in `self.record_key`.
    fn check_deletion(&mut self, payload: &[u8]) -> Result<(), Vec<Finding>> {
        let key_fields = &self.plan.dataset.value.definition.key_fields;
        let document = self.parser.parse(payload).map_err(|finding| vec![finding])?;
        document.key(key_fields, &mut self.record_key)?;
        if document.root().as_object().is_none_or(|members| members.len() != key_fields.len()) {
            return Err(vec![not_a_key(key_fields)]);
        }
        if self.record_key.len() > KEY_BYTES {
            return Err(vec![long_key(key_fields)]);
        }
        Ok(())
    }

    fn refuse(
        &self,
        id: Option<ExchangeId>,
        commitment: Option<Commitment>,
        refusal: Refusal,
        events: &mut Vec<Refused>,
    ) -> Slot {
        let topic = [self.dataset.as_str(), self.stage.as_str(), refusal.reason.as_str()];
        self.exchange.metrics.admissions.with_label_values(&topic).inc();
        let key = id.map(|id| Key { id, scope: self.scope });
        let event = refused_event(
            &self.system,
            &self.dataset,
            self.stage,
            self.scope,
            self.plan.schema_version,
            id,
            commitment,
            &refusal,
        );
        events.push(Refused { key, reason: refusal.reason, event });
        Slot::Ready(Box::new(Verdict::Refused(refusal)))
    }
}

#[cold]
fn not_a_key(key_fields: &[String]) -> Finding {
    let fields = key_fields.join(", ");
    let message = Text::new(
        format!("thông báo xóa chỉ gồm các trường khóa: {fields}"),
        format!("a deletion holds the key fields and nothing else: {fields}"),
    );
    Finding { pointer: String::new(), element: None, rule: Rule::Key, message }
}

#[cold]
fn long_key(key_fields: &[String]) -> Finding {
    let message = Text::new(
        format!("khóa của bản ghi dài quá {KEY_BYTES} byte"),
        format!("the record's key is longer than {KEY_BYTES} bytes"),
    );
    let pointer = match key_fields {
        [field] => format!("/{}", field.replace('~', "~0").replace('/', "~1")),
        _ => String::new(),
    };
    Finding { pointer, element: None, rule: Rule::Key, message }
}

struct Refused {
    key: Option<Key>,
    reason: Reason,
    event: RecordRefused,
}

#[expect(clippy::too_many_arguments, reason = "one place that names every field of the event")]
fn refused_event(
    system: &SystemId,
    dataset: &DatasetName,
    stage: Stage,
    scope: Scope,
    schema_version: u32,
    id: Option<ExchangeId>,
    commitment: Option<Commitment>,
    refusal: &Refusal,
) -> RecordRefused {
    let rule = |finding: &Finding| BrokenRule {
        pointer: finding.pointer.clone(),
        element: finding.element.as_ref().map(ToString::to_string).unwrap_or_default(),
        rule: finding.rule.as_str().to_owned(),
    };
    RecordRefused {
        exchange_id: id.map(|id| id.as_bytes().to_vec()).unwrap_or_default(),
        system: system.to_string(),
        dataset: dataset.to_string(),
        stage: stage.to_string(),
        reason: refusal.reason.as_str().to_owned(),
        broken_rules: refusal.findings.iter().map(rule).collect(),
        commitment: commitment.map(|c| c.to_vec()).unwrap_or_default(),
        schema_version,
        scope: scope.0,
    }
}

/// Writes refusals in a task of its own: a caller that goes away drops the answer, never the event.
fn record_refusals(exchange: Arc<Exchange>, refused: Vec<Refused>) -> JoinHandle<Result<(), Reason>> {
    tokio::spawn(async move {
        let keys: Vec<_> = refused.iter().map(|r| (r.key, r.reason)).collect();
        let events = refused
            .into_iter()
            .map(|r| (Bytes::copy_from_slice(&r.event.exchange_id), Kind::RecordRefused(r.event)))
            .collect();
        let places = exchange.events.append(events).await?;
        for ((key, reason), place) in keys.into_iter().zip(places) {
            if let Some(key) = key.filter(|_| reason != Reason::ExchangeIdReused) {
                exchange.index.settle(key, place);
            }
        }
        Ok(())
    })
}

impl Ticket {
    /// Records in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Waits for the log, up to the deadline, and gives a verdict for each record, in order. Dropping it drops the
    /// answers only.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::OutcomeUnknown`], [`Reason::Fenced`]: no verdict for some records. Send
    /// the batch again with the same exchange ids.
    pub async fn verdicts(self) -> Result<Vec<Verdict>, Reason> {
        let deadline = self.deadline;
        match tokio::time::timeout_at(deadline.into(), self.resolve()).await {
            Ok(verdicts) => verdicts,
            Err(_) => Err(Reason::OutcomeUnknown),
        }
    }

    async fn resolve(self) -> Result<Vec<Verdict>, Reason> {
        let mut offsets = Vec::with_capacity(self.waits.len());
        for wait in self.waits {
            offsets.push(match wait {
                // A settler that is gone was aborted with the runtime.
                Some(wait) => wait.await.map_err(|_| Reason::ShuttingDown)??,
                None => Vec::new(),
            });
        }
        if let Some(refusals) = self.refusals {
            refusals.await.map_err(|_| Reason::Internal)??;
        }
        self.exchange.metrics.settle_seconds(self.started.elapsed());
        let mut verdicts = Vec::with_capacity(self.slots.len());
        let mut repeats = Vec::new();
        let (mut accepted, mut admitted_bytes) = (0, 0);
        for (index, slot) in self.slots.into_iter().enumerate() {
            verdicts.push(match slot {
                Slot::Ready(verdict) => *verdict,
                Slot::Written { lane, at, meta, commitment, bytes, warnings } => {
                    accepted += 1;
                    admitted_bytes += bytes as u64;
                    Verdict::Accepted(Receipt {
                        partition: u32::try_from(lane).unwrap_or(u32::MAX),
                        offset: offsets[lane][at],
                        meta,
                        commitment,
                        repeated: false,
                        warnings,
                    })
                }
                Slot::Attached { outcome, repeat } => {
                    match outcome.await.map_err(|_| Reason::ShuttingDown)? {
                        Ok(place) => repeats.push((index, place, repeat)),
                        Err(reason) if reason.is_retryable() => return Err(reason),
                        Err(reason) => {
                            verdicts.push(Verdict::Refused(Refusal::of(reason)));
                            continue;
                        }
                    }
                    // Replaced below.
                    Verdict::Refused(Refusal::of(Reason::ExchangeIdReused))
                }
                Slot::Taken { place, repeat } => {
                    repeats.push((index, place, repeat));
                    // Replaced below.
                    Verdict::Refused(Refusal::of(Reason::ExchangeIdReused))
                }
            });
        }
        self.accepted.inc_by(accepted);
        self.exchange.metrics.admitted_bytes.inc_by(admitted_bytes);
        if !repeats.is_empty() {
            compare_repeats(&self.exchange, &self.topic, repeats, &mut verdicts).await?;
        }
        Ok(verdicts)
    }
}

/// Compares repeats with the records accepted under their ids, reading neighbouring ones together.
async fn compare_repeats(
    exchange: &Arc<Exchange>,
    topic: &TopicOf,
    mut repeats: Vec<(usize, Place, Repeat)>,
    verdicts: &mut [Verdict],
) -> Result<(), Reason> {
    repeats.sort_by_key(|(_, place, _)| (place.partition, place.offset));
    let mut read: HashMap<(u32, Offset), (RecordMeta, Bytes)> = HashMap::new();
    let mut reused = Vec::new();
    for (index, place, Repeat { key, payload, is_deletion }) in repeats {
        let at = (place.partition, place.offset);
        if !read.contains_key(&at) {
            read = read_around(exchange, topic, place).await?;
        }
        verdicts[index] = match read.get(&at) {
            Some((meta, stored)) if meta.exchange_id == key.id => {
                // A repeat may come with a frame or without, and the dataset may have changed its format in between.
                let is_same = *stored == payload || *stored == frame::split(payload).1;
                if is_same && meta.is_deletion == is_deletion {
                    let counter = [topic.dataset.as_str(), topic.stage.as_str(), "repeated"];
                    exchange.metrics.admissions.with_label_values(&counter).inc();
                    Verdict::Accepted(Receipt {
                        partition: place.partition,
                        offset: place.offset,
                        meta: *meta,
                        commitment: header::commit(&meta.salt, stored),
                        repeated: true,
                        warnings: Vec::new(),
                    })
                } else {
                    let counter = [topic.dataset.as_str(), topic.stage.as_str(), Reason::ExchangeIdReused.as_str()];
                    exchange.metrics.admissions.with_label_values(&counter).inc();
                    let refusal = Refusal::of(Reason::ExchangeIdReused);
                    let event = refused_event(
                        &topic.system,
                        &topic.dataset,
                        topic.stage,
                        topic.scope,
                        topic.schema_version,
                        Some(key.id),
                        None,
                        &refusal,
                    );
                    reused.push(Refused { key: Some(key), reason: refusal.reason, event });
                    Verdict::Refused(refusal)
                }
            }
            // Compacted or past retention: whether the content was the same cannot be told any more.
            _ => Verdict::Refused(Refusal::of(Reason::ExchangeIdExpired)),
        };
    }
    if !reused.is_empty() {
        record_refusals(Arc::clone(exchange), reused).await.map_err(|_| Reason::Internal)??;
    }
    Ok(())
}

/// Records around a place, with their payloads without frames, or of a deletion its key.
async fn read_around(
    exchange: &Exchange,
    topic: &TopicOf,
    place: Place,
) -> Result<HashMap<(u32, Offset), (RecordMeta, Bytes)>, Reason> {
    let partition = Partition { topic: header::dataset_topic(topic.stage, &topic.dataset), index: place.partition };
    match exchange.log.fetch(&partition, place.offset, REPEAT_BYTES, Duration::ZERO).await {
        Ok(fetched) => {
            let cipher = exchange.shared.ciphers.of(&partition.topic);
            let mut room = Vec::new();
            let mut read = |entry: Entry| {
                let Ok(Stamp::Record(meta)) = header::stamp(&entry) else { return None };
                let payload = Bytes::copy_from_slice(cipher.read(&meta, &entry, &mut room).text()?);
                Some(((place.partition, entry.offset), (meta, payload)))
            };
            Ok(fetched.entries.into_iter().filter_map(&mut read).collect())
        }
        Err(LogError::OutOfRange { .. }) => Ok(HashMap::new()),
        Err(error) => {
            warn!(%error, "repeat not compared");
            Err(Reason::LogUnavailable)
        }
    }
}

fn plan(exchange: &Exchange, system: &SystemId, dataset: &DatasetName, stage: Stage) -> Result<Plan, Reason> {
    let state = exchange.control.state();
    let (found, schema) = exchange.may_provide(&state, system, dataset, stage)?;
    let framing = match found.value.wire_format {
        WireFormat::Json => None,
        WireFormat::Confluent => Some(Framing::of(&state, found.value.schema.as_str(), stage, schema.id())),
    };
    Ok(Plan {
        sequence: state.head.sequence,
        dataset: Arc::clone(found),
        schema_version: schema.version,
        schema: schema.get()?,
        framing,
        cipher: exchange.shared.ciphers.of(&header::dataset_topic(stage, dataset)),
        encrypts: exchange.encrypts(&state, &found.value),
        writer: exchange.writer(stage, dataset)?,
    })
}

/// What became of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// On its way to the log.
    Pending,
    /// Durable.
    Accepted(Receipt),
    /// Refused.
    Refused(Refusal),
}

/// Looks an exchange of a system up.
///
/// # Errors
///
/// [`Reason::ExchangeNotFound`], [`Reason::DatasetUnknown`], [`Reason::LogUnavailable`].
pub async fn status(
    exchange: &Arc<Exchange>,
    system: &SystemId,
    dataset: &DatasetName,
    stage: Stage,
    id: ExchangeId,
) -> Result<Status, Reason> {
    let state = exchange.control.state();
    exchange.known_system(&state, system)?;
    if state.dataset(dataset).is_none() {
        return Err(Reason::DatasetUnknown);
    }
    exchange.writer(stage, dataset)?.ready().await?;
    exchange.events.index_refusals().await?;
    let scope = Scope::of(system, stage, dataset);
    let key = Key { id, scope };
    if exchange.index.is_pending(&key) {
        return Ok(Status::Pending);
    }
    let place = exchange.index.find(&key).ok_or(Reason::ExchangeNotFound)?;
    if place.accepted {
        let topic = TopicOf { system: system.clone(), dataset: dataset.clone(), stage, scope, schema_version: 0 };
        let read = read_around(exchange, &topic, place).await?;
        return match read.get(&(place.partition, place.offset)) {
            Some((meta, payload)) if meta.exchange_id == id => Ok(Status::Accepted(Receipt {
                partition: place.partition,
                offset: place.offset,
                meta: *meta,
                commitment: header::commit(&meta.salt, payload),
                repeated: false,
                warnings: Vec::new(),
            })),
            _ => Err(Reason::ExchangeNotFound),
        };
    }
    let event = exchange.events.read(place).await?;
    match event.kind {
        Some(Kind::RecordRefused(refused)) => {
            let reason = Reason::ALL.iter().copied().find(|r| r.as_str() == refused.reason).unwrap_or(Reason::Internal);
            let findings = refused.broken_rules.iter().filter_map(finding_of).collect();
            Ok(Status::Refused(Refusal { reason, findings, omitted: 0 }))
        }
        _ => Err(Reason::ExchangeNotFound),
    }
}

fn finding_of(broken: &BrokenRule) -> Option<Finding> {
    let rule = Rule::ALL.into_iter().find(|rule| rule.as_str() == broken.rule)?;
    let (vi, en) = rule.describe();
    Some(Finding {
        pointer: broken.pointer.clone(),
        element: ldop_types::ElementId::parse(&broken.element).ok(),
        rule,
        message: Text::new(vi, en),
    })
}

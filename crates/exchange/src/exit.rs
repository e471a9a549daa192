//! What every exit that streams records shares: the agreement it stands under, held against the caller again and again, and
//! the one place where entries of the log become what their consumer may see.
//!
//! - `grant`, `view`: whether an agreement grants a way out, and what it shows.
//! - `Exit`: both, for as long as a stream is open.
//! - `turns`: of whoever reads far behind the end.
//! - `lanes`: the partitions of a dataset, read a chunk ahead.

pub(crate) mod lanes;
pub(crate) mod turns;

use std::sync::Arc;

use bytes::Bytes;
use ldop_catalog::{Agreement, Mode, definition::Validity, life::State, state::Versioned};
use ldop_contract::control::v1::{AccessRefused, exchange_event::Kind};
use ldop_control::{ControlState, chain::Head, grant_of};
use ldop_log::Offset;
use ldop_schema_registry::{Limits, Parser, View};
use ldop_types::{AgreementId, ExchangeId, Reason, SystemId, TimestampMs};
use tokio::sync::watch;
use tracing::warn;

use self::{lanes::Lane, turns::Turn};
use crate::{
    Exchange,
    cipher::Said,
    header,
    index::Position,
    quotas::{Met, Meter, Refused, Reserved},
};

/// Records in one message to a consumer.
pub(crate) const BATCH_RECORDS: usize = 512;
/// Payload bytes in one message to a consumer.
pub(crate) const BATCH_BYTES: usize = 512 << 10;

/// One record as its consumer receives it. `Debug` shows no payload: it may be personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Position.
    pub offset: Offset,
    /// Exchange id.
    pub exchange_id: ExchangeId,
    /// Granted fields only.
    pub payload: Bytes,
    /// When the stated fact came about.
    pub event_time: TimestampMs,
    /// When the hub accepted it.
    pub accepted_time: TimestampMs,
    /// Schema version it was checked against.
    pub schema_version: u32,
    /// What has this key is no more; the payload holds granted key fields only.
    pub is_deletion: bool,
}

impl std::fmt::Debug for Delivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivered({}, {}, {} bytes)", self.offset, self.exchange_id, self.payload.len())
    }
}

/// What a message has room for. One record may go beyond the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Records.
    pub(crate) records: usize,
    /// Bytes of payload.
    pub(crate) bytes: usize,
}

impl Room {
    /// A full message.
    pub(crate) const FULL: Self = Self { records: BATCH_RECORDS, bytes: BATCH_BYTES };
}

/// What was cut from a lane.
pub(crate) struct Cut {
    /// What is shown.
    pub(crate) records: Vec<Delivered>,
    /// Bytes of their payloads.
    pub(crate) bytes: usize,
    /// Records that the row condition keeps back.
    pub(crate) withheld: u64,
    /// Behind what was cut.
    pub(crate) position: Position,
}

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// For a reason.
    Reason(Reason),
    /// For a quota of its agreement, which is [accounted for](Exit::ended) before its caller hears of it.
    Quota(Met),
}

impl From<Reason> for Ended {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<Met> for Ended {
    fn from(met: Met) -> Self {
        Self::Quota(met)
    }
}

/// A way out that is open under an agreement.
pub(crate) struct Exit {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) system: SystemId,
    pub(crate) agreement: Arc<Versioned<Agreement>>,
    mode: Mode,
    view: View,
    parser: Parser,
    control: watch::Receiver<Head>,
    /// What the view was compiled at.
    head: Head,
    fenced: watch::Receiver<bool>,
    meter: Arc<Meter>,
}

impl Exit {
    /// Holds the agreement against the caller and compiles what it shows.
    ///
    /// # Errors
    ///
    /// The reasons an agreement grants nothing for; [`Reason::LogUnavailable`] where that cannot be accounted for.
    pub(crate) async fn open(
        exchange: Arc<Exchange>,
        system: SystemId,
        agreement: &AgreementId,
        mode: Mode,
    ) -> Result<Self, Reason> {
        let mut control = exchange.control.changes();
        let head = *control.borrow_and_update();
        let agreement = match grant(&exchange, &system, agreement, mode, None) {
            Ok(agreement) => agreement,
            Err(reason) => return Err(account_for(&exchange, &system, agreement, mode, reason, 0).await),
        };
        let meter = match exchange.quotas.call(&agreement.value).await {
            Ok(meter) => meter,
            Err(Refused::Met(met)) => return Err(exchange.refuse_for(&agreement.value, mode, met).await),
            Err(Refused::Unknown(reason)) => return Err(reason),
        };
        let view = view(&exchange, &exchange.control.state(), &agreement.value)?;
        let parser = Parser::new(Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT });
        let fenced = exchange.fenced();
        Ok(Self { exchange, system, agreement, mode, view, parser, control, head, fenced, meter })
    }

    /// Whether more may leave. Asked before each message.
    ///
    /// # Errors
    ///
    /// The reason the stream ends for.
    pub(crate) fn check(&mut self) -> Result<(), Ended> {
        if *self.fenced.borrow_and_update() {
            return Err(Reason::Fenced.into());
        }
        let head = *self.control.borrow_and_update();
        grant(&self.exchange, &self.system, &self.agreement.value.id, self.mode, Some(&self.agreement))?;
        self.exchange.quotas.hours(&self.agreement.value.quotas)?;
        if head != self.head {
            if self.view.has_condition() {
                // It is of a version of the schema.
                self.view = view(&self.exchange, &self.exchange.control.state(), &self.agreement.value)?;
            }
            self.head = head;
        }
        Ok(())
    }

    /// Resolves when it is to be [checked](Self::check) again although nothing was read. Safe to drop.
    pub(crate) async fn moved(&mut self) {
        let valid_until = self.agreement.value.definition.valid_until;
        let hours_until = self.exchange.quotas.hours(&self.agreement.value.quotas).ok().flatten();
        let until = valid_until.into_iter().chain(hours_until).min();
        let clock = Arc::clone(&self.exchange.shared.clock);
        tokio::select! {
            // Both senders live as long as the exchange that this holds.
            _ = self.control.changed() => {}
            _ = self.fenced.changed() => {}
            () = clock.reached(until.unwrap_or_default()), if until.is_some() => {}
        }
    }

    /// Appends what is shown of a record; false, and nothing appended, where it is withheld.
    ///
    /// # Errors
    ///
    /// [`Reason::RecordAltered`]: it is no JSON object.
    pub(crate) fn show(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<bool, Reason> {
        self.view.show(&mut self.parser, payload, out).map_err(|_| {
            tracing::error!(agreement = %self.agreement.value.id, "accepted record is no JSON object any more");
            Reason::RecordAltered
        })
    }

    /// Waits for a turn to cut what lies behind the end. Safe to drop.
    pub(crate) async fn turn(&self) -> Turn {
        self.exchange.turns.cut().await
    }

    /// Reserves records of the day, at most so many, and at least one.
    ///
    /// # Errors
    ///
    /// None is left.
    pub(crate) fn reserve(&self, most: usize) -> Result<Reserved, Met> {
        self.meter.reserve(&self.agreement.value.quotas, 1, most as u64)
    }

    /// That the day's records are given.
    pub(crate) fn day_is_over(&self) -> Met {
        self.meter.day_is_over()
    }

    /// The reason a stream ends for, once it is accounted for that a quota ends it. Safe to drop.
    pub(crate) async fn ended(&self, ended: Ended) -> Reason {
        match ended {
            Ended::Reason(reason) => reason,
            Ended::Quota(met) => self.exchange.refuse_for(&self.agreement.value, self.mode, met).await,
        }
    }

    /// Counts what was kept back; nobody but the operator hears of it.
    pub(crate) fn count_withheld(&self, withheld: u64) {
        self.exchange.metrics.withheld.inc_by(withheld);
    }

    /// Cuts the next message from a lane's buffer: entries that count, as they are shown.
    ///
    /// # Errors
    ///
    /// [`Reason::RecordAltered`]; the day's records are given.
    pub(crate) fn cut(&mut self, lane: &mut Lane, room: Room) -> Result<Cut, Ended> {
        let mut reserved = self.reserve(room.records)?;
        let room = Room { records: reserved.records(), ..room };
        let mut records = Vec::with_capacity(lane.buffer.len().min(room.records));
        let (mut bytes, mut withheld) = (0, 0);
        // All payloads of a message share one allocation.
        let mut projected = Vec::with_capacity(BATCH_BYTES / 4);
        let mut cuts = Vec::with_capacity(records.capacity());
        let mut next = lane.buffer_next;
        let cipher = self.exchange.shared.ciphers.of(&lane.partition.topic);
        let mut opened = Vec::new();
        while let Some(entry) = lane.buffer.front() {
            if records.len() >= room.records || bytes >= room.bytes {
                next = entry.offset;
                break;
            }
            let entry = lane.buffer.pop_front().expect("there is a front");
            let Ok(stamp) = header::stamp(&entry) else {
                warn!(partition = %lane.partition, offset = entry.offset, "foreign entry passed over");
                continue;
            };
            let Some(meta) = lane.reign.admits(&stamp).copied() else { continue };
            let from = projected.len();
            let payload = match cipher.read(&meta, &entry, &mut opened) {
                Said::Text(payload) => payload,
                Said::Erased => continue,
                Said::Altered => {
                    tracing::error!(partition = %lane.partition, offset = entry.offset, "record was altered, or encrypted under another secret");
                    return Err(Reason::RecordAltered.into());
                }
                Said::Unknown => return Err(Reason::LogUnavailable.into()),
            };
            if !self.show(payload, &mut projected)? {
                withheld += 1;
                continue;
            }
            bytes += projected.len() - from;
            cuts.push(from..projected.len());
            records.push(Delivered {
                offset: entry.offset,
                exchange_id: meta.exchange_id,
                payload: Bytes::new(),
                event_time: meta.event_time,
                accepted_time: meta.accepted_time,
                schema_version: meta.schema_version,
                is_deletion: meta.is_deletion,
            });
        }
        let projected = Bytes::from(projected);
        for (record, cut) in records.iter_mut().zip(cuts) {
            record.payload = projected.slice(cut);
        }
        self.count_withheld(withheld);
        reserved.give(records.len());
        Ok(Cut { records, bytes, withheld, position: Position { next, epoch: lane.reign.epoch } })
    }
}

/// What the agreement shows of records of its dataset.
pub(crate) fn view(exchange: &Exchange, state: &ControlState, agreement: &Agreement) -> Result<View, Reason> {
    let dataset = &state.dataset(&agreement.dataset).ok_or(Reason::DatasetUnknown)?.value;
    let grant = grant_of(agreement, dataset);
    let condition = if agreement.definition.row_condition.is_empty() {
        None
    } else {
        let schema = state.schema(dataset.schema.as_str(), agreement.stage).ok_or(Reason::AgreementUnfit)?.get()?;
        grant.condition(&schema, &state.dictionary).map_err(|problems| {
            for problem in problems {
                warn!(agreement = %agreement.id, problem = %problem.en, "row condition does not fit the schema");
            }
            Reason::AgreementUnfit
        })?
    };
    Ok(grant.view(condition, &exchange.secret.key("mask", agreement.id.as_str())))
}

/// Makes a refusal durable on the log, and how many like it before have no event of their own. Tells what the system is to hear: the reason, once it is accounted for.
pub(crate) async fn account_for(
    exchange: &Exchange,
    system: &SystemId,
    agreement: &AgreementId,
    mode: Mode,
    reason: Reason,
    more: u32,
) -> Reason {
    let refused = AccessRefused {
        system: system.to_string(),
        agreement: agreement.to_string(),
        mode: mode.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        more,
    };
    // Those of one system stay in order.
    let key = Bytes::copy_from_slice(system.as_str().as_bytes());
    exchange.events.append(vec![(key, Kind::AccessRefused(refused))]).await.map_or_else(|failed| failed, |_| reason)
}

/// Whether the agreement grants the system this way out now; `held` is the version a stream or a call began under.
pub(crate) fn grant(
    exchange: &Exchange,
    system: &SystemId,
    agreement: &AgreementId,
    mode: Mode,
    held: Option<&Arc<Versioned<Agreement>>>,
) -> Result<Arc<Versioned<Agreement>>, Reason> {
    let state = exchange.control.state();
    exchange.known_system(&state, system)?;
    let Some(found) = state.catalog.agreements.get(agreement) else {
        let waiting = state.catalog.waiting.get(agreement).ok_or(Reason::AgreementUnknown)?;
        return Err(match state.catalog.states.get(agreement) {
            _ if waiting.value.consumer != *system => Reason::NotTheConsumer,
            Some(State::Ended) => Reason::AgreementEnded,
            _ => Reason::AgreementNotLive,
        });
    };
    if found.value.consumer != *system {
        return Err(Reason::NotTheConsumer);
    }
    match state.catalog.states.get(agreement) {
        Some(State::Suspended) => return Err(Reason::AgreementSuspended),
        Some(State::Ended) => return Err(Reason::AgreementEnded),
        Some(stands) if !stands.grants(found.value.stage) => return Err(Reason::AgreementNotLive),
        Some(_) | None => {}
    }
    match found.value.validity(exchange.now()) {
        Validity::Valid { .. } => {}
        Validity::NotYet => return Err(Reason::AgreementNotYetValid),
        Validity::Ended => return Err(Reason::AgreementEnded),
    }
    if !found.value.grants(mode) {
        return Err(Reason::ModeNotGranted);
    }
    if held.is_some_and(|held| held.version != found.version) {
        return Err(Reason::AgreementChanged);
    }
    Ok(Arc::clone(found))
}

//! What the events on `ldop.exchanges` tell, each counted once.
//!
//! An event may stand twice: a journal of look-ups that a hub left behind is shipped again, an append that was not
//! acknowledged is tried again. Look-ups and transfers are known by their exchange ids, refused records by id and reason,
//! deliveries by the range of the log they acknowledge. Ids of one partition are never those of another, so what is
//! remembered goes with each partition.

use std::collections::HashMap;

use bytes::Bytes;
use ldop_catalog::Catalog;
use ldop_contract::control::v1::{
    AccessRefused, ExchangeEvent, LookUpAnswered, LookUpAsked, LookUpOutcome, RecordErased, RecordRefused,
    RecordsDelivered, TransferBegun, TransferEnded, TransferOutcome, exchange_event::Kind,
};
use ldop_log::Entry;
use ldop_types::{Reason, TimestampMs};
use prost::Message as _;

use super::{
    PassedOver,
    dimension::Dimension,
    tally::{Fact, Figures, Key, Tally, TooManyRows},
    window::{Lanes, MOST_SEEN, Window},
};

/// Most calls that are remembered as begun and not ended; of more, those that come last are not told if they never end.
const MOST_OPEN: usize = 1 << 20;

/// Agency of a system, `<agency>/<system>`.
pub(super) fn agency_of(system: &str) -> Option<&str> {
    system.split_once('/').map(|(agency, _)| agency)
}

/// What the catalogue says of what events name.
struct Known {
    /// Owner by dataset.
    owners: HashMap<String, String>,
    /// Dataset and stage by agreement, for events that do not tell them.
    agreements: HashMap<String, (String, &'static str)>,
}

/// A call that has begun.
struct Open {
    /// The row it belongs to if it never ends; none outside the period.
    row: Option<Key>,
    mode: &'static str,
}

/// Reads events.
pub(super) struct Events {
    known: Known,
    answered: Window,
    ended: Window,
    refused: Window,
    lanes: Lanes,
    open: HashMap<u128, Open>,
    passed_over: PassedOver,
}

impl Events {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let datasets = catalog.datasets.iter();
        let owners = datasets.map(|(name, dataset)| (name.to_string(), dataset.value.owning_agency.to_string()));
        // Behind those that wait, so that of two versions the one in force holds.
        let agreements = catalog.waiting.iter().chain(&catalog.agreements).map(|(id, agreement)| {
            (id.to_string(), (agreement.value.dataset.to_string(), agreement.value.stage.as_str()))
        });
        Self {
            known: Known { owners: owners.collect(), agreements: agreements.collect() },
            answered: Window::new(MOST_SEEN),
            ended: Window::new(MOST_SEEN),
            refused: Window::new(MOST_SEEN),
            lanes: Lanes::default(),
            open: HashMap::new(),
            passed_over: PassedOver::default(),
        }
    }

    pub(super) fn passed_over(&self) -> PassedOver {
        self.passed_over
    }

    /// Takes the next entry of a partition.
    pub(super) fn take(&mut self, entry: &Entry, tally: &mut Tally) -> Result<(), TooManyRows> {
        let Ok(event) = ExchangeEvent::decode(entry.value.clone().unwrap_or_default()) else {
            self.passed_over.unreadable += u64::from(tally.is_in(entry.timestamp));
            return Ok(());
        };
        let time = TimestampMs(event.time_ms);
        match event.kind {
            Some(Kind::RecordRefused(refused)) => self.record_refused(&refused, time, tally),
            Some(Kind::RecordsDelivered(delivered)) => self.delivered(entry.key.as_ref(), &delivered, time, tally),
            Some(Kind::LookUpAsked(asked)) => {
                self.look_up_asked(&asked, time, tally);
                Ok(())
            }
            Some(Kind::LookUpAnswered(answered)) => self.look_up_answered(&answered, time, tally),
            Some(Kind::TransferBegun(begun)) => {
                self.transfer_begun(&begun, time, tally);
                Ok(())
            }
            Some(Kind::TransferEnded(ended)) => self.transfer_ended(&ended, time, tally),
            Some(Kind::AccessRefused(refused)) => self.access_refused(&refused, time, tally),
            Some(Kind::RecordErased(erased)) => self.record_erased(&erased, time, tally),
            // Somebody has to see to an agreement: nothing was exchanged.
            Some(Kind::AgreementNotice(_)) => Ok(()),
            None => {
                self.passed_over.newer_kind += u64::from(tally.is_in(time));
                Ok(())
            }
        }
    }

    /// Counts the calls that have begun and not ended; what is remembered goes.
    pub(super) fn end_partition(&mut self, tally: &mut Tally) -> Result<(), TooManyRows> {
        for (_, open) in self.open.drain() {
            if let Some(row) = open.row {
                tally.add(row, Figures { calls: 1, ..Figures::default() })?;
            }
        }
        self.answered.clear();
        self.ended.clear();
        self.refused.clear();
        self.lanes.clear();
        Ok(())
    }

    fn repeated(&mut self, time: TimestampMs, tally: &Tally) {
        self.passed_over.repeated += u64::from(tally.is_in(time));
    }

    fn record_refused(
        &mut self,
        event: &RecordRefused,
        time: TimestampMs,
        tally: &mut Tally,
    ) -> Result<(), TooManyRows> {
        // Other content under an id that is taken is an exchange of its own each time.
        let is_own = event.reason == Reason::ExchangeIdReused.as_str();
        if let Some(id) = id_of(&event.exchange_id).filter(|_| !is_own)
            && !self.refused.is_new(id ^ u128::from(event.scope) ^ (u128::from(name_hash(&event.reason)) << 64))
        {
            self.repeated(time, tally);
            return Ok(());
        }
        let mut fact = Fact::new(time, Figures { calls: 1, records: 0, refusals: 1 });
        fact.set(Dimension::Dataset, &event.dataset);
        fact.set(Dimension::Stage, &event.stage);
        fact.set(Dimension::ProviderSystem, &event.system);
        fact.set(Dimension::ProviderAgency, agency_of(&event.system).unwrap_or_default());
        fact.set(Dimension::Mode, "publish");
        fact.set(Dimension::Outcome, "refused");
        fact.set(Dimension::Reason, &event.reason);
        tally.take(&fact)
    }

    fn delivered(
        &mut self,
        key: Option<&Bytes>,
        event: &RecordsDelivered,
        time: TimestampMs,
        tally: &mut Tally,
    ) -> Result<(), TooManyRows> {
        let lane = key.map(|key| &key[..]).unwrap_or_default();
        let records = self.lanes.news(lane, event.from_offset, event.to_offset, event.records);
        if records == 0 {
            self.repeated(time, tally);
            return Ok(());
        }
        let mut fact = Fact::new(time, Figures { calls: 0, records, refusals: 0 });
        let (dataset, stage) = self.known.dataset(&event.dataset, &event.stage, &event.agreement);
        self.known.shared(&mut fact, dataset, stage, &event.agreement, &event.system);
        fact.set(Dimension::Purpose, &event.purpose_code);
        fact.set(Dimension::Mode, "subscribe");
        fact.set(Dimension::Outcome, "delivered");
        tally.take(&fact)
    }

    fn look_up_asked(&mut self, event: &LookUpAsked, time: TimestampMs, tally: &mut Tally) {
        let Some(id) = id_of(&event.exchange_id) else { return };
        if self.answered.contains(id) || self.open.contains_key(&id) {
            return;
        }
        let mut fact = Fact::new(time, Figures::default());
        self.known.shared(&mut fact, &event.dataset, &event.stage, &event.agreement, &event.system);
        answered_by(&mut fact, &event.source);
        fact.set(Dimension::Purpose, &event.purpose_code);
        fact.set(Dimension::Mode, "look_up");
        fact.set(Dimension::Outcome, "not_ended");
        let row = tally.key(&fact);
        self.remember(id, Open { row, mode: "look_up" });
    }

    fn look_up_answered(
        &mut self,
        event: &LookUpAnswered,
        time: TimestampMs,
        tally: &mut Tally,
    ) -> Result<(), TooManyRows> {
        if let Some(id) = id_of(&event.exchange_id) {
            if !self.answered.is_new(id) {
                self.repeated(time, tally);
                return Ok(());
            }
            self.open.remove(&id);
        }
        let outcome = match LookUpOutcome::try_from(event.outcome) {
            Ok(LookUpOutcome::Answered) => "answered",
            Ok(LookUpOutcome::CallerGone) => "caller_gone",
            Ok(LookUpOutcome::Refused) => "refused",
            Ok(LookUpOutcome::Unknown) => "unknown",
            Ok(LookUpOutcome::Unspecified) | Err(_) => "newer",
        };
        let refusals = u64::from(outcome == "refused");
        // To a caller that had gone nothing was given.
        let records = if outcome == "answered" { u64::from(event.found) } else { 0 };
        let mut fact = Fact::new(time, Figures { calls: 1, records, refusals });
        self.known.shared(&mut fact, &event.dataset, &event.stage, &event.agreement, &event.system);
        answered_by(&mut fact, &event.source);
        fact.set(Dimension::Purpose, &event.purpose_code);
        fact.set(Dimension::Mode, "look_up");
        fact.set(Dimension::Outcome, outcome);
        fact.set(Dimension::Reason, &event.reason);
        tally.take(&fact)
    }

    fn transfer_begun(&mut self, event: &TransferBegun, time: TimestampMs, tally: &mut Tally) {
        let Some(id) = id_of(&event.exchange_id) else { return };
        if self.ended.contains(id) || self.open.contains_key(&id) {
            return;
        }
        let mode = mode_word(&event.mode);
        let mut fact = Fact::new(time, Figures::default());
        self.known.shared(&mut fact, &event.dataset, &event.stage, &event.agreement, &event.system);
        fact.set(Dimension::Purpose, &event.purpose_code);
        fact.set(Dimension::Mode, mode);
        fact.set(Dimension::Outcome, "not_ended");
        let row = tally.key(&fact);
        self.remember(id, Open { row, mode });
    }

    fn transfer_ended(
        &mut self,
        event: &TransferEnded,
        time: TimestampMs,
        tally: &mut Tally,
    ) -> Result<(), TooManyRows> {
        let mut begun_as = "";
        if let Some(id) = id_of(&event.exchange_id) {
            if !self.ended.is_new(id) {
                self.repeated(time, tally);
                return Ok(());
            }
            begun_as = self.open.remove(&id).map_or("", |open| open.mode);
        }
        let outcome = match TransferOutcome::try_from(event.outcome) {
            Ok(TransferOutcome::Finished) => "finished",
            Ok(TransferOutcome::CallerGone) => "caller_gone",
            Ok(TransferOutcome::Refused) => "refused",
            Ok(TransferOutcome::Unspecified) | Err(_) => "newer",
        };
        let refusals = u64::from(outcome == "refused");
        let mut fact = Fact::new(time, Figures { calls: 1, records: event.records, refusals });
        self.known.shared(&mut fact, &event.dataset, &event.stage, &event.agreement, &event.system);
        fact.set(Dimension::Purpose, &event.purpose_code);
        fact.set(Dimension::Mode, if event.mode.is_empty() { begun_as } else { mode_word(&event.mode) });
        fact.set(Dimension::Outcome, outcome);
        fact.set(Dimension::Reason, &event.reason);
        tally.take(&fact)
    }

    fn access_refused(&self, event: &AccessRefused, time: TimestampMs, tally: &mut Tally) -> Result<(), TooManyRows> {
        // Those like it that have no event of their own are told with it.
        let calls = 1 + u64::from(event.more);
        let mut fact = Fact::new(time, Figures { calls, records: 0, refusals: calls });
        // What is no agreement is the caller's text.
        let agreement =
            if self.known.agreements.contains_key(&event.agreement) { event.agreement.as_str() } else { "" };
        let (dataset, stage) = self.known.dataset("", "", agreement);
        self.known.shared(&mut fact, dataset, stage, agreement, &event.system);
        fact.set(Dimension::Mode, mode_word(&event.mode));
        fact.set(Dimension::Outcome, "refused");
        fact.set(Dimension::Reason, &event.reason);
        tally.take(&fact)
    }

    fn record_erased(&self, event: &RecordErased, time: TimestampMs, tally: &mut Tally) -> Result<(), TooManyRows> {
        let mut fact = Fact::new(time, Figures { calls: 1, ..Figures::default() });
        fact.set(Dimension::Dataset, &event.dataset);
        fact.set(Dimension::Stage, &event.stage);
        fact.set(Dimension::ProviderAgency, self.known.owners.get(&event.dataset).map_or("", String::as_str));
        fact.set(Dimension::Mode, "erase");
        fact.set(Dimension::Outcome, "erased");
        tally.take(&fact)
    }

    fn remember(&mut self, id: u128, open: Open) {
        if self.open.len() < MOST_OPEN {
            self.open.insert(id, open);
        }
    }
}

impl Known {
    /// Dataset and stage as an event tells them, else as the agreement it names has them.
    fn dataset<'a>(&'a self, dataset: &'a str, stage: &'a str, agreement: &str) -> (&'a str, &'a str) {
        if !dataset.is_empty() {
            return (dataset, stage);
        }
        self.agreements.get(agreement).map_or(("", ""), |(dataset, stage)| (dataset.as_str(), *stage))
    }

    /// What is told alike of everything that is shared under an agreement.
    fn shared<'a>(
        &'a self,
        fact: &mut Fact<'a>,
        dataset: &'a str,
        stage: &'a str,
        agreement: &'a str,
        system: &'a str,
    ) {
        fact.set(Dimension::Dataset, dataset);
        fact.set(Dimension::Stage, stage);
        fact.set(Dimension::ProviderAgency, self.owners.get(dataset).map_or("", String::as_str));
        fact.set(Dimension::ConsumerSystem, system);
        fact.set(Dimension::ConsumerAgency, agency_of(system).unwrap_or_default());
        fact.set(Dimension::Agreement, agreement);
    }
}

/// A department system, or the hub's current copy.
fn answered_by<'a>(fact: &mut Fact<'a>, source: &'a str) {
    fact.set(Dimension::ProviderSystem, source);
}

/// Of a newer release: a mode that this one does not know.
fn mode_word(word: &str) -> &'static str {
    ldop_catalog::Mode::parse(word).map_or("newer", ldop_catalog::Mode::as_str)
}

fn id_of(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// FNV-1a: tells reasons apart, of which there are few.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;

//! What earlier processes gave in the day this one started, by agreement: read from the events on `ldop.exchanges`, and from what
//! the journal of look-ups held that the log may not have yet.
//!
//! Read once, when it is asked for first: at a start where an agreement limits records, else when one does. What has no event -
//! records a subscription was sent and did not acknowledge, a transfer or a look-up in the middle of which a process died - is not in it.
//! An event that stands on the log twice after a crash counts twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use ldop_contract::control::v1::{ExchangeEvent, LookUpOutcome, exchange_event::Kind};
use ldop_log::Offset;
use ldop_types::{AgreementId, Reason, TimestampMs};
use prost::Message as _;
use tokio::sync::OnceCell;

use crate::{events::Events, look_up::journal::Unshipped};

type Given = HashMap<AgreementId, u64>;

/// What earlier processes gave.
pub(crate) struct Earlier {
    events: Arc<Events>,
    /// First moment of the day.
    since: TimestampMs,
    /// Where the log ended when this process started.
    ends: Vec<Offset>,
    /// What the journal held.
    left: Left,
    given: OnceCell<Given>,
}

/// Look-ups of the day whose outcome the log may not have had.
#[derive(Default)]
struct Left {
    exchanges: HashSet<Vec<u8>>,
    given: Given,
}

/// Records an event says were given under an agreement, and the exchange of a look-up.
fn records(event: ExchangeEvent) -> Option<(String, u64, Vec<u8>)> {
    match event.kind? {
        Kind::RecordsDelivered(delivered) => Some((delivered.agreement, delivered.records, Vec::new())),
        Kind::TransferEnded(ended) => Some((ended.agreement, ended.records, Vec::new())),
        Kind::LookUpAnswered(answered) if answered.outcome() == LookUpOutcome::Answered => {
            Some((answered.agreement, answered.found.into(), answered.exchange_id))
        }
        _ => None,
    }
}

fn add(given: &mut Given, agreement: &str, records: u64) {
    if let Ok(agreement) = AgreementId::parse(agreement) {
        let sum = given.entry(agreement).or_default();
        *sum = sum.saturating_add(records);
    }
}

impl Earlier {
    /// Of the day of `now`, with the events up to `ends` and those a journal held then.
    pub(crate) fn new(events: Arc<Events>, ends: Vec<Offset>, journal: &[Unshipped], now: TimestampMs) -> Self {
        let since = now.date_in_vietnam().start_in_vietnam();
        let mut left = Left::default();
        for unshipped in journal {
            if let Ok(event) = ExchangeEvent::decode(unshipped.event.clone())
                && event.time_ms >= since.0
                && let Some((agreement, records, exchange)) = records(event)
            {
                left.exchanges.insert(exchange);
                add(&mut left.given, &agreement, records);
            }
        }
        Self { events, since, ends, left, given: OnceCell::new() }
    }

    /// What they gave under an agreement.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]: it is not known now.
    pub(crate) async fn given(&self, agreement: &AgreementId) -> Result<u64, Reason> {
        let given = self.given.get_or_try_init(|| self.read()).await?;
        Ok(given.get(agreement).copied().unwrap_or(0))
    }

    async fn read(&self) -> Result<Given, Reason> {
        let mut given = self.left.given.clone();
        let take = |value: Bytes| {
            if let Ok(event) = ExchangeEvent::decode(value)
                && event.time_ms >= self.since.0
                && let Some((agreement, records, exchange)) = records(event)
                && !self.left.exchanges.contains(&exchange)
            {
                add(&mut given, &agreement, records);
            }
        };
        self.events.since(self.since, &self.ends, take).await?;
        Ok(given)
    }
}

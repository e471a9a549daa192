//! Compares what publishers were told with what subscribers read.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use ldop_client::{Client, Event, Start, SubscriberConfig};
use ldop_types::{AgreementId, ExchangeId, SubscriptionName};

use crate::{
    load::{Sent, field},
    world::RETRY,
};

/// How long everything may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(90);

/// A record as a subscriber received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub exchange_id: ExchangeId,
    /// Partition.
    pub partition: u32,
    /// Offset.
    pub offset: u64,
    /// Its key.
    pub key: String,
    /// Its revision.
    pub revision: u64,
}

/// Reads everything from the earliest record under a subscription that nobody used before, until the head of the log
/// and at least `wanted` records.
///
/// # Errors
///
/// It does not come within 90 s, or the stream ends.
pub async fn read_all(client: &Client, agreement: &str, wanted: usize) -> anyhow::Result<Vec<Received>> {
    let name = SubscriptionName::parse(&format!("audit-{:08x}", rand::random::<u32>()))?;
    let config = SubscriberConfig { start: Start::Earliest, retry: RETRY, ..SubscriberConfig::default() };
    let mut subscriber = client.subscriber(AgreementId::parse(agreement)?, name, config);
    let mut received = Vec::new();
    let until = Instant::now() + ARRIVAL;
    loop {
        let event = tokio::time::timeout_at(until.into(), subscriber.next())
            .await
            .with_context(|| format!("{} of {wanted} records after {ARRIVAL:?}", received.len()))??;
        match event {
            Event::Opened(opened) if opened.again => bail!("the stream of the audit was lost"),
            Event::Opened(_) => {}
            Event::Batch(batch) => {
                received.extend(taken(&batch)?);
                subscriber.ack(&batch);
            }
            Event::CaughtUp(_) if received.len() >= wanted => {
                subscriber.close().await?;
                return Ok(received);
            }
            Event::CaughtUp(_) => {}
        }
    }
}

/// The records of a batch.
///
/// # Errors
///
/// A record has no id or revision.
pub fn taken(batch: &ldop_client::DeliveredBatch) -> anyhow::Result<Vec<Received>> {
    batch
        .records
        .iter()
        .map(|record| {
            let text = std::str::from_utf8(&record.payload)?;
            Ok(Received {
                exchange_id: ExchangeId::parse(&record.exchange_id)?,
                partition: batch.partition,
                offset: record.offset,
                key: field(text, "\"register_no\":\"", "\"").to_owned(),
                revision: field(text, "\"revision\":", ",").parse().context("revision")?,
            })
        })
        .collect()
}

/// Holds what a fresh subscriber read against what publishers were told: each acknowledged record is there, once, where
/// its receipt says; nothing else is; and each key's revisions grow.
///
/// # Errors
///
/// What does not hold, counted.
pub fn compare(sent: &[Vec<Sent>], received: &[Received]) -> anyhow::Result<()> {
    let mut by_id: HashMap<ExchangeId, &Received> = HashMap::new();
    let (mut doubled, mut lost, mut moved, mut disordered) = (0, 0, 0, 0);
    for one in received {
        doubled += u32::from(by_id.insert(one.exchange_id, one).is_some());
    }
    let mut acknowledged = 0;
    for one in sent.iter().flatten() {
        acknowledged += 1;
        match by_id.remove(&one.exchange_id) {
            None => lost += 1,
            Some(there) => {
                let same = there.partition == one.receipt.partition
                    && there.offset == one.receipt.offset
                    && there.key == one.key
                    && there.revision == one.revision;
                moved += u32::from(!same);
            }
        }
    }
    let mut log: Vec<_> = received.iter().collect();
    log.sort_by_key(|one| (one.partition, one.offset));
    let mut heads: BTreeMap<&str, u64> = BTreeMap::new();
    for one in log {
        let head = heads.insert(&one.key, one.revision);
        disordered += u32::from(head.is_some_and(|head| head >= one.revision));
    }
    ensure!(
        (lost, doubled, moved, disordered, by_id.len()) == (0, 0, 0, 0, 0),
        "of {acknowledged} acknowledged records {lost} lost, {doubled} doubled, {moved} not where the receipt says, \
         {disordered} out of order, {} nobody was told of",
        by_id.len()
    );
    Ok(())
}

//! Publishers that keep sending through anything and remember each answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use ldop_client::{Client, NewRecord, PublisherConfig, Receipt};
use ldop_sample_data::Dataset;
use ldop_types::{DatasetName, ExchangeId, Stage, TimestampMs};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::world::{DATASET, RETRY};

/// Keys a publisher writes again and again, so that order within a key can be broken.
const KEYS: u64 = 20;

/// A record that was sent, with its receipt once there is one.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its id.
    pub exchange_id: ExchangeId,
    /// Its key.
    pub key: String,
    /// Grows with each record of the publisher, and so within each key.
    pub revision: u64,
    /// What the hub said.
    pub receipt: Receipt,
}

/// Publishers at work.
#[derive(Debug)]
pub struct Load {
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    publishers: Vec<JoinHandle<anyhow::Result<Vec<Sent>>>>,
}

/// Writes the record of a publisher: a real civil status entry with a key and revision of our own.
#[must_use]
pub fn record(publisher: u64, revision: u64) -> (String, Bytes, TimestampMs) {
    let sample = ldop_sample_data::record(Dataset::CivilStatus, publisher, revision / 16 * 16, 0.0);
    let text = String::from_utf8_lossy(&sample.payload).into_owned();
    let number = field(&text, "\"register_no\":\"", "\"").to_owned();
    let key = format!("KS-23602-2026-{publisher:03}{:04}", revision % KEYS);
    let old = field(&text, "\"revision\":", ",");
    let text = text
        .replacen(&format!("\"register_no\":\"{number}\""), &format!("\"register_no\":\"{key}\""), 1)
        .replacen(&format!("\"revision\":{old},"), &format!("\"revision\":{revision},"), 1);
    (key, Bytes::from(text), sample.event_time)
}

/// What stands between two texts; empty when either is missing.
#[must_use]
pub fn field<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or("", |(field, _)| field)
}

impl Load {
    /// Starts publishers that send until [`finish`](Self::finish), at most `each` records each.
    #[must_use]
    pub fn start(clients: Vec<Client>, each: u64) -> Self {
        Self::start_with(
            clients,
            each,
            PublisherConfig { batch_records: 32, in_flight: 512, retry: RETRY, ..PublisherConfig::default() },
        )
    }

    /// The same with batches and windows of one's own.
    #[must_use]
    pub fn start_with(clients: Vec<Client>, each: u64, config: PublisherConfig) -> Self {
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let publishers = clients
            .into_iter()
            .zip(0..)
            .map(|(client, number)| {
                let publishing =
                    publish(client, number, each, config.clone(), Arc::clone(&stop), Arc::clone(&answered));
                tokio::spawn(publishing)
            })
            .collect();
        Self { answered, stop, publishers }
    }

    /// Answers received.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether a publisher has ended, which before [`finish`](Self::finish) means that it failed or was done.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.publishers.iter().any(JoinHandle::is_finished)
    }

    /// Whether all publishers have ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.publishers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all records have been sent and answered.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub async fn done(self) -> anyhow::Result<Vec<Vec<Sent>>> {
        let mut all = Vec::new();
        for publisher in self.publishers {
            all.push(publisher.await??);
        }
        Ok(all)
    }

    /// Stops sending and waits until everything sent has an answer. One list for each publisher, in the order sent.
    ///
    /// # Errors
    ///
    /// A record was refused, has two answers, or a receipt does not commit to what was sent.
    pub async fn finish(self) -> anyhow::Result<Vec<Vec<Sent>>> {
        self.stop.store(true, Ordering::Relaxed);
        self.done().await
    }
}

async fn publish(
    client: Client,
    number: u64,
    each: u64,
    config: PublisherConfig,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> anyhow::Result<Vec<Sent>> {
    let (publisher, mut outcomes) = client.publisher(DatasetName::parse(DATASET)?, Stage::Live, config);
    let sending = tokio::spawn(async move {
        let mut sent = Vec::new();
        for revision in 1..=each {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let (key, payload, event_time) = record(number, revision);
            let exchange_id = ExchangeId::new();
            publisher.send(NewRecord { exchange_id, event_time: Some(event_time), ..NewRecord::new(&payload) }).await?;
            sent.push((exchange_id, key, revision, payload));
        }
        anyhow::Ok(sent)
    });
    let mut receipts = Vec::new();
    while let Some(chunk) = outcomes.next().await {
        for outcome in chunk? {
            let at = usize::try_from(outcome.ordinal)?;
            let receipt = match outcome.result {
                Ok(receipt) => receipt,
                Err(refusal) => bail!("record {at} of publisher {number} refused: {refusal:?}"),
            };
            if receipts.len() <= at {
                receipts.resize(at + 1, None);
            }
            ensure!(receipts[at].replace(receipt).is_none(), "record {at} of publisher {number} has two answers");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    let sent = sending.await??;
    ensure!(sent.len() == receipts.len(), "{} records sent, {} answered", sent.len(), receipts.len());
    sent.into_iter()
        .zip(receipts)
        .map(|((exchange_id, key, revision, payload), receipt)| {
            let receipt = receipt.context("a record without an answer")?;
            let mut hash = Sha256::new();
            hash.update(&receipt.salt);
            hash.update(&payload);
            ensure!(hash.finalize()[..] == receipt.commitment[..], "{exchange_id}: the receipt commits to other bytes");
            ensure!(receipt.exchange_id[..] == exchange_id.as_bytes()[..], "{exchange_id}: the receipt of another");
            Ok(Sent { exchange_id, key, revision, receipt })
        })
        .collect()
}

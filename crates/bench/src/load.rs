//! The load on the hub, through the client that departments use.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ldop_client::{Client, Event, NewRecord, PublisherConfig, Start, SubscriberConfig};
use ldop_types::{AgreementId, DatasetName, ExchangeId, Stage, SubscriptionName};
use tokio::task::JoinSet;

use crate::corpus::{Corpus, Record};

/// Time without any event after which a subscription has failed.
const SILENCE: Duration = Duration::from_secs(60);

/// Publishes all records, each dataset over its own connection and stream, and waits for every receipt.
///
/// # Errors
///
/// A record is refused, or a stream fails.
pub async fn publish(clients: &[Client], corpus: &Corpus) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut streams = JoinSet::new();
    for (client, flow) in clients.iter().zip(&corpus.flows) {
        let dataset = DatasetName::parse(flow.dataset.id())?;
        streams.spawn(stream(client.clone(), dataset, Arc::clone(&flow.records), 0..flow.records.len()));
    }
    while let Some(ended) = streams.join_next().await {
        ended??;
    }
    Ok(started.elapsed())
}

/// Publishes some records over one stream and waits for every receipt.
///
/// # Errors
///
/// A record is refused, or the stream fails.
pub async fn stream(
    client: Client,
    dataset: DatasetName,
    records: Arc<[Record]>,
    range: std::ops::Range<usize>,
) -> anyhow::Result<()> {
    let count = range.len();
    let (publisher, mut outcomes) = client.publisher(dataset, Stage::Live, PublisherConfig::default());
    let sending = tokio::spawn(async move {
        for record in &records[range] {
            let (payload, event_time) = (&record.payload[..], Some(record.event_time));
            publisher.send(NewRecord { event_time, ..NewRecord::new(payload) }).await?;
        }
        anyhow::Ok(())
    });
    let mut accepted = 0;
    while let Some(some) = outcomes.next().await {
        for outcome in some.context("publish")? {
            if let Err(refusal) = outcome.result {
                bail!("a right record was refused: {}", refusal.reason);
            }
            accepted += 1;
        }
    }
    sending.await??;
    if accepted != count {
        bail!("{accepted} receipts for {count} records");
    }
    Ok(())
}

/// Reads an agreement from the earliest record on until it has `count` records, acknowledging each batch.
///
/// # Errors
///
/// The subscription fails or falls silent.
pub async fn read(client: &Client, agreement: &str, count: usize) -> anyhow::Result<Duration> {
    let name = SubscriptionName::parse(&format!("bench-{}", ExchangeId::new()))?;
    let config = SubscriberConfig { start: Start::Earliest, ..SubscriberConfig::default() };
    let started = Instant::now();
    let mut subscriber = client.subscriber(AgreementId::parse(agreement)?, name, config);
    let (mut records, mut bytes) = (0, 0);
    while records < count {
        let event = tokio::time::timeout(SILENCE, subscriber.next()).await.context("the subscription is silent")??;
        if let Event::Batch(batch) = event {
            records += batch.records.len();
            bytes += batch.records.iter().map(|record| record.payload.len()).sum::<usize>();
            subscriber.ack(&batch);
        }
    }
    let took = started.elapsed();
    if bytes < records * 100 {
        bail!("{bytes} bytes in {records} records");
    }
    subscriber.close().await.context("close the subscription")?;
    Ok(took)
}

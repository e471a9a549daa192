//! Erasure: by an order, everything the log holds of a record key becomes unreadable, wherever copies of the log may be.
//!
//! In this order, under the topic's turn, so that no record is encrypted in between:
//! 1. A deletion is appended: consumers hear that what has the key is no more, and current copies forget it. Its acknowledgement
//!    also shows that this node is still the one that writes.
//! 2. The event is durable: who ordered what, with a keyed hash of the key.
//! 3. The key of the records is [forgotten](crate::cipher).
//!
//! Whatever ends it before, it is done again with the same command. Records that come later under the key are encrypted with a new one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_contract::control::v1::{RecordErased, exchange_event::Kind};
use ldop_log::Offset;
use ldop_types::{DatasetName, ExchangeId, Reason, Stage, TimestampMs};
use tracing::info;

use crate::{
    Exchange,
    header::{self, Attributes, Content, RecordMeta, Scope},
    index::{Key, Reserved},
    look_up,
    writer::{Batch, Outgoing},
};

/// Longest text of an order, bytes.
pub const ORDER_BYTES: usize = 500;
/// Behind which segments of the log with forgotten keys are ended: they may be compacted from then on.
const NUDGE_AFTER: Duration = Duration::from_secs(90);

/// What is to be erased.
pub struct Erase {
    /// Dataset.
    pub dataset: DatasetName,
    /// Stage.
    pub stage: Stage,
    /// Record key, a JSON object with the dataset's key fields.
    pub key: Bytes,
    /// By which order: a decision's number, date and office.
    pub order: String,
    /// Who does it.
    pub person: String,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The exchange it is accounted for under.
    pub exchange_id: ExchangeId,
    /// When.
    pub time: TimestampMs,
    /// Partition of the deletion.
    pub partition: u32,
    /// Its position.
    pub offset: Offset,
}

/// Why nothing was erased, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// A reason.
    Reason(Reason),
    /// The key is none; what is expected.
    Key(String),
    /// The order is none.
    Order,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

/// Erases what is known under a record key. Dropped, it goes on to its end.
///
/// # Errors
///
/// [`Refused`]; with a reason that is retryable it is to be done again.
pub async fn erase(exchange: &Arc<Exchange>, request: Erase) -> Result<Erased, Refused> {
    if request.order.trim().is_empty() || request.order.len() > ORDER_BYTES {
        return Err(Refused::Order);
    }
    let work = exchange.tasks.spawn(run(Arc::clone(exchange), request));
    work.await.map_err(|_| Reason::ShuttingDown)?
}

async fn run(exchange: Arc<Exchange>, request: Erase) -> Result<Erased, Refused> {
    let Erase { dataset, stage, key, order, person } = request;
    let state = exchange.control.state();
    let found = state.dataset(&dataset).ok_or(Reason::DatasetUnknown)?;
    if !found.value.definition.hashed_keys {
        return Err(Reason::DatasetNotEncrypted.into());
    }
    let key_fields = &found.value.definition.key_fields;
    let mut keys = look_up::read_keys(std::slice::from_ref(&key), key_fields)
        .map_err(|bad| Refused::Key(bad.into_iter().next().map(|bad| bad.expected).unwrap_or_default()))?;
    let record_key = keys.remove(0);
    let topic = header::dataset_topic(stage, &dataset);
    let cipher = exchange.shared.ciphers.of(&topic);
    let log_key = Bytes::copy_from_slice(&cipher.hash(&record_key));
    let writer = exchange.writer(stage, &dataset)?;
    let deadline = exchange.config.append_deadline;
    let in_time = |_| Reason::LogUnavailable;
    tokio::time::timeout(deadline, writer.ready()).await.map_err(in_time)??;
    let _turn = tokio::time::timeout(deadline, writer.turn()).await.map_err(in_time)?;

    let (id, now) = (ExchangeId::new(), exchange.now());
    let mut meta = RecordMeta {
        epoch: 0,
        exchange_id: id,
        scope: Scope::of_hub(stage, &dataset),
        salt: rand::random(),
        event_time: now,
        accepted_time: now,
        schema_version: state.schema(found.value.schema.as_str(), stage).map_or(0, |schema| schema.version),
        dataset_version: found.version,
        framed: false,
        is_deletion: true,
        is_sealed: true,
        key_generation: 0,
    };
    let content = Content::Deletion(cipher.seal(&mut meta, &log_key, &key)?);
    let reserved = Key { id, scope: meta.scope };
    if !matches!(exchange.index.reserve(reserved), Reserved::New) {
        return Err(Reason::Internal.into());
    }
    let lane = header::partition_of(&log_key, writer.partitions());
    let outgoing = Outgoing { key: reserved, meta, log_key: 0..log_key.len(), content };
    let batch = Batch { records: vec![outgoing], keys: log_key.clone() };
    let submitted = writer.submit(lane, &Attributes::of_hub(stage, &dataset), batch);
    let submitted = submitted.map_err(|(reason, _)| {
        exchange.index.release(&reserved, reason);
        reason
    })?;
    let settled = tokio::time::timeout(deadline, submitted).await.map_err(|_| Reason::OutcomeUnknown)?;
    let offset = settled.map_err(|_| Reason::ShuttingDown)??[0];

    let event = RecordErased {
        exchange_id: id.as_bytes().to_vec(),
        dataset: dataset.to_string(),
        stage: stage.to_string(),
        key_hash: exchange.look_ups.hashes.of("key", dataset.as_str(), &record_key),
        order,
        person,
    };
    exchange.events.append(vec![(Bytes::copy_from_slice(id.as_bytes()), Kind::RecordErased(event))]).await?;
    cipher.forget(&log_key).await?;
    exchange.metrics.erasures.inc();
    info!(%dataset, %stage, exchange = %id, "records of a key erased by order");
    let again = Arc::clone(&exchange);
    exchange.tasks.spawn(async move {
        tokio::select! {
            () = again.stop.cancelled() => {}
            () = tokio::time::sleep(NUDGE_AFTER) => again.shared.ciphers.nudge().await,
        }
    });
    Ok(Erased { exchange_id: id, time: now, partition: lane, offset })
}

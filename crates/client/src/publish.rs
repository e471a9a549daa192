//! Publishing many records.
//!
//! A [`Publisher`] writes each record straight into the bytes of the next batch; no message object is made for it. A
//! batch goes to a driver task when it is full or has waited long enough. The driver owns the stream: it sends batches,
//! matches results to records, and keeps what has no result, so that it can send that again on the next stream.
//!
//! ```text
//!  send() ──▶ open batch ──▶ queue (2 batches) ──▶ driver: in flight ──▶ hub
//!                                                      │ results
//!                                   Outcomes ◀─────────┘
//! ```
//!
//! Bounds: one open batch, two queued, `in_flight` records and `in_flight_bytes`, and 64 chunks of outcomes. When
//! outcomes are not taken the driver stops reading results, the window fills, and `send` waits.

mod batch;
mod codec;
mod driver;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ldop_contract::exchange::v1::{Receipt, Refusal};
use ldop_types::{DatasetName, ExchangeId, Stage, TimestampMs};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::{Client, Error, RetryPolicy};
use batch::{Batch, OpenBatch};

/// Batches between callers and driver. Two keep the driver supplied while it hands one over.
const QUEUED_BATCHES: usize = 2;
/// Chunks of outcomes the driver may be ahead of whoever takes them.
const OUTCOME_CHUNKS: usize = 64;
/// A message beyond this is refused by any hub; its record limit is far lower.
const RECORD_LIMIT: usize = 32 << 20;

/// How a publisher batches and how much it keeps.
#[derive(Debug, Clone)]
pub struct PublisherConfig {
    /// Most records in a batch, 1-1,000. Default 256.
    pub batch_records: usize,
    /// A batch is full with this many bytes. Default 512 KiB. A larger record goes alone.
    pub batch_bytes: usize,
    /// How long a batch that is not full waits for more. Default 2 ms; zero sends at once.
    pub linger: Duration,
    /// Most records sent and without a result. Default 8,192.
    pub in_flight: usize,
    /// Most bytes of records sent and without a result. Default 16 MiB. One record may always be sent.
    pub in_flight_bytes: usize,
    /// Time without any result, while some are due, after which the connection counts as lost. Default 60 s.
    pub result_timeout: Duration,
    /// When a lost stream is opened again. Default: for ever.
    pub retry: RetryPolicy,
}

impl Default for PublisherConfig {
    fn default() -> Self {
        Self {
            batch_records: 256,
            batch_bytes: 512 << 10,
            linger: Duration::from_millis(2),
            in_flight: 8_192,
            in_flight_bytes: 16 << 20,
            result_timeout: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}

/// A record to publish. `Debug` does not show the payload.
#[derive(Clone, Copy)]
pub struct NewRecord<'a> {
    /// Its id; keep it with the record, and give the same one when the record is published again.
    pub exchange_id: ExchangeId,
    /// One JSON object in UTF-8; behind a frame of the Confluent wire format if the dataset takes any.
    pub payload: &'a [u8],
    /// When the fact the record states came about; `None`: when the hub receives it.
    pub event_time: Option<TimestampMs>,
    /// What has the key is no more; the payload is that key, a JSON object with exactly the dataset's key fields.
    pub is_deletion: bool,
}

impl<'a> NewRecord<'a> {
    /// A record with a new id and no time of its own.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { exchange_id: ExchangeId::new(), payload, event_time: None, is_deletion: false }
    }

    /// Says that what has this key is no more: a JSON object with exactly the dataset's key fields.
    #[must_use]
    pub fn deletion(key: &'a [u8]) -> Self {
        Self { is_deletion: true, ..Self::new(key) }
    }
}

impl fmt::Debug for NewRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewRecord({}, {} bytes)", self.exchange_id, self.payload.len())
    }
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What [`Publisher::send`] returned for the record.
    pub ordinal: u64,
    /// Its exchange id.
    pub exchange_id: ExchangeId,
    /// Receipt or refusal.
    pub result: Result<Receipt, Refusal>,
    /// Time since the record's batch was begun; a little more than the record itself waited.
    pub latency: Duration,
}

/// Takes records for one dataset and stage. Cheap to clone; clones share batches and order.
///
/// When the last clone is dropped what was taken is still sent, and [`Outcomes`] ends once everything has a result.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Batch>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher(..)")
    }
}

/// Gives what became of the records of a [`Publisher`]. Dropping it ends the publisher.
#[derive(Debug)]
pub struct Outcomes {
    chunks: mpsc::Receiver<Chunk>,
    shared: Arc<Shared>,
    ended: bool,
}

#[derive(Debug)]
enum Chunk {
    Outcomes(Vec<Outcome>),
    /// Everything has its result. Told apart from a channel that just closes, which means the driver is gone.
    End,
}

struct Shared {
    open: Mutex<OpenBatch>,
    /// Wakes the driver when the open batch is begun, so that it minds the linger.
    begun: Notify,
    failure: OnceLock<Error>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

impl Client {
    /// Opens a publisher for one dataset and stage. Must be called within a tokio runtime, which runs its driver.
    ///
    /// Take the outcomes while sending, from another task or by turns: their number on hold is bounded.
    #[must_use]
    pub fn publisher(&self, dataset: DatasetName, stage: Stage, config: PublisherConfig) -> (Publisher, Outcomes) {
        let (queue, queued) = mpsc::channel(QUEUED_BATCHES);
        let (outcomes, chunks) = mpsc::channel(OUTCOME_CHUNKS);
        let shared = Arc::new(Shared {
            open: Mutex::new(OpenBatch::new(config.batch_records.clamp(1, 1_000), config.batch_bytes)),
            begun: Notify::new(),
            failure: OnceLock::new(),
        });
        let driver = driver::Driver::new(self.clone(), dataset, stage, config, shared.clone(), queued, outcomes);
        // Its owner is `Outcomes`: the driver ends when that is dropped, and `next` notices when it is gone.
        tokio::spawn(driver.run());
        (Publisher { shared: shared.clone(), queue }, Outcomes { chunks, shared, ended: false })
    }
}

impl Publisher {
    /// Takes a record and returns its ordinal: 0 for the first record of this publisher, then dense. Waits while the
    /// window is full. Returning does not mean the hub has it: the [`Outcome`] of this ordinal tells.
    ///
    /// Safe to drop before it returns: then the record was not taken.
    ///
    /// # Errors
    ///
    /// [`Error::RecordTooLarge`]; what ended the publisher, when it has ended.
    pub async fn send(&self, record: NewRecord<'_>) -> Result<u64, Error> {
        if record.payload.len() > RECORD_LIMIT {
            return Err(Error::RecordTooLarge { bytes: record.payload.len(), limit: RECORD_LIMIT });
        }
        loop {
            {
                let mut open = self.shared.open.lock();
                if let Some(ordinal) = open.push(&record) {
                    if open.is_full() {
                        // No room in the queue is no matter here: the next record finds the batch full and waits.
                        if let Ok(slot) = self.queue.try_reserve() {
                            slot.send(open.take());
                        }
                    } else if open.len() == 1 {
                        self.shared.begun.notify_one();
                    }
                    return Ok(ordinal);
                }
            }
            let slot = self.queue.reserve().await.map_err(|_| self.ended())?;
            let mut open = self.shared.open.lock();
            if !open.accepts(&record) {
                // Under the lock, so batches enter the queue in the order their records were taken.
                slot.send(open.take());
            }
        }
    }

    /// Sends what was taken without waiting for the linger.
    ///
    /// # Errors
    ///
    /// What ended the publisher, when it has ended.
    pub async fn flush(&self) -> Result<(), Error> {
        let slot = self.queue.reserve().await.map_err(|_| self.ended())?;
        let mut open = self.shared.open.lock();
        if open.len() > 0 {
            slot.send(open.take());
        }
        Ok(())
    }

    fn ended(&self) -> Error {
        self.shared.failure.get().cloned().unwrap_or(Error::Closed)
    }
}

impl Outcomes {
    /// The next outcomes, some at a time, each record's once. `None` once every publisher is dropped and everything has
    /// a result. Safe to drop before it returns.
    ///
    /// # Errors
    ///
    /// What ended the publisher. Records without an outcome may or may not have been accepted: publish them again with
    /// the same exchange ids.
    pub async fn next(&mut self) -> Option<Result<Vec<Outcome>, Error>> {
        if self.ended {
            return None;
        }
        match self.chunks.recv().await {
            Some(Chunk::Outcomes(outcomes)) => Some(Ok(outcomes)),
            Some(Chunk::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(self.shared.failure.get().cloned().unwrap_or(Error::Closed)))
            }
        }
    }
}

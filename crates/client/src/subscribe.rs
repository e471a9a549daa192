//! Receiving the records of an agreement.
//!
//! A [`Subscriber`] has no task of its own: [`Subscriber::next`] reads the stream, so what is on its way is bounded by
//! the credit, and a caller that does not ask does not receive. Credit for what was handed out goes back to the hub
//! when the caller asks for more. After a lost connection the stream is opened at the acknowledged positions, or where
//! it first started; batches that were not acknowledged come again.

use std::{collections::BTreeMap, time::Duration};

use ldop_contract::{
    convert::{stage_from_wire, timestamp_to_wire},
    exchange::v1::{
        Ack, Credit, DeliveredBatch, Earliest, Latest, PartitionPosition, Positions, SubscribeOpen, SubscribeOpened,
        SubscribeRequest, SubscribeResponse, subscribe_open, subscribe_request, subscribe_response,
    },
};
use ldop_types::{AgreementId, Stage, SubscriptionName, TimestampMs};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::warn;

use crate::{Client, Error, RetryPolicy, backoff::Reopening, connection::Node};

/// Credits and acknowledgements the connection may be behind. When it is full they are put together with the next.
const REQUESTS_AHEAD: usize = 16;
/// How long a hub may take to answer the opening.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a hub may take to make the last acknowledgement durable when a subscriber is closed.
const GOODBYE: Duration = Duration::from_secs(10);

/// Where a subscription starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Start {
    /// At the acknowledged position, or at the earliest record when there is none.
    #[default]
    Acknowledged,
    /// At the earliest record held.
    Earliest,
    /// At the next record to be accepted.
    Latest,
    /// At the first record accepted at or after this time.
    Time(TimestampMs),
    /// At these positions.
    Positions(Vec<PartitionPosition>),
}

/// How a subscriber receives.
#[derive(Debug, Clone)]
pub struct SubscriberConfig {
    /// Where to start.
    pub start: Start,
    /// Most records sent and not yet taken, 1-1,000,000. Default 10,000.
    pub credit_records: u32,
    /// Most bytes of payload sent and not yet taken, up to 256 MiB. Default 8 MiB. One record may overdraw it.
    pub credit_bytes: u64,
    /// When a lost stream is opened again. Default: for ever.
    pub retry: RetryPolicy,
}

impl Default for SubscriberConfig {
    fn default() -> Self {
        Self { start: Start::default(), credit_records: 10_000, credit_bytes: 8 << 20, retry: RetryPolicy::default() }
    }
}

/// What a subscription is for, as the hub tells when it is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Agreement version, from 1.
    pub agreement_version: u32,
    /// Dataset name.
    pub dataset: String,
    /// Stage.
    pub stage: Option<Stage>,
    /// Top-level fields that records are reduced to.
    pub granted_fields: Vec<String>,
    /// Where each partition starts.
    pub positions: Vec<PartitionPosition>,
    /// True when the stream was lost and is open again: batches that were not acknowledged come again.
    pub again: bool,
}

/// What a subscriber receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The stream is open.
    Opened(Opened),
    /// Consecutive records of one partition.
    Batch(DeliveredBatch),
    /// Everything accepted up to now has been handed out.
    CaughtUp(Vec<PartitionPosition>),
}

/// Receives the records of one agreement under one subscription name.
#[derive(Debug)]
pub struct Subscriber {
    client: Client,
    agreement: AgreementId,
    subscription: SubscriptionName,
    config: SubscriberConfig,
    reopening: Reopening,
    stream: Option<Stream>,
    opened_before: bool,
    /// Where to open again: what the hub said at first, moved on by acknowledgements.
    resume: BTreeMap<u32, u64>,
    /// Acknowledged and not yet handed to the connection.
    unsent: BTreeMap<u32, u64>,
}

#[derive(Debug)]
struct Stream {
    node: Node,
    requests: mpsc::Sender<SubscribeRequest>,
    responses: Streaming<SubscribeResponse>,
    /// Handed out, and not yet given back as credit.
    taken_records: u32,
    taken_bytes: u64,
}

impl Client {
    /// Prepares a subscription; it is opened by the first [`Subscriber::next`].
    #[must_use]
    pub fn subscriber(
        &self,
        agreement: AgreementId,
        subscription: SubscriptionName,
        config: SubscriberConfig,
    ) -> Subscriber {
        Subscriber {
            client: self.clone(),
            agreement,
            subscription,
            reopening: Reopening::new(config.retry),
            config,
            stream: None,
            opened_before: false,
            resume: BTreeMap::new(),
            unsent: BTreeMap::new(),
        }
    }
}

impl Subscriber {
    /// The next event. Opens the stream, and opens it again when it is lost. Safe to drop before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when the hub refuses for good, such as an agreement that has ended or a subscription taken over by
    /// another stream; [`Error::GaveUp`]. The same error comes again from then on.
    pub async fn next(&mut self) -> Result<Event, Error> {
        self.reopening.failed()?;
        loop {
            self.reopening.turn().await;
            let step = match &mut self.stream {
                Some(stream) => {
                    let read = stream.read(&self.config, &mut self.unsent).await;
                    read.map_err(|error| stream.node.refine(error))
                }
                None => self.open().await.map(|opened| Some(Event::Opened(opened))),
            };
            match step {
                Ok(Some(event)) => {
                    self.reopening.succeeded();
                    return Ok(event);
                }
                Ok(None) => {}
                Err(error) => self.retry_after(error)?,
            }
        }
    }

    /// Acknowledges everything of a batch, and of those before it in its partition.
    pub fn ack(&mut self, batch: &DeliveredBatch) {
        self.ack_position(batch.partition, batch.next_offset);
    }

    /// Acknowledges everything below an offset of a partition. Sent with the next call of [`next`](Self::next) at the
    /// latest; durable at the hub about a second later, or after [`close`](Self::close).
    pub fn ack_position(&mut self, partition: u32, next_offset: u64) {
        let resume = self.resume.entry(partition).or_default();
        if next_offset < *resume {
            return;
        }
        *resume = next_offset;
        self.unsent.insert(partition, next_offset);
        if let Some(stream) = &self.stream {
            stream.send_acks(&mut self.unsent);
        }
    }

    /// Ends the subscription and waits until the hub has made the last acknowledgement durable.
    ///
    /// # Errors
    ///
    /// The connection broke first, or the hub did not end the stream in time; records acknowledged last may come again.
    pub async fn close(mut self) -> Result<(), Error> {
        let Some(mut stream) = self.stream.take() else { return Ok(()) };
        let goodbye = async {
            if !self.unsent.is_empty() {
                let acks = acks(&std::mem::take(&mut self.unsent));
                stream.requests.send(acks).await.map_err(|_| Status::unavailable("the connection ended"))?;
            }
            drop(stream.requests);
            while stream.responses.message().await?.is_some() {}
            Ok::<(), Status>(())
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(done) => done.map_err(Error::from),
            Err(_) => Err(Status::unavailable("the hub did not end the stream in time").into()),
        }
    }

    fn retry_after(&mut self, error: Error) -> Result<(), Error> {
        if let Some(stream) = self.stream.take() {
            self.client.failed(&stream.node);
        }
        let wait = self.reopening.lost(error.clone())?;
        warn!(agreement = %self.agreement, subscription = %self.subscription, %error, ?wait, "subscription lost");
        Ok(())
    }

    async fn open(&mut self) -> Result<Opened, Error> {
        let node = self.client.node();
        let (requests, ahead) = mpsc::channel(REQUESTS_AHEAD);
        let open = subscribe_request::Message::Open(SubscribeOpen {
            agreement: self.agreement.to_string(),
            subscription: self.subscription.to_string(),
            credit: Some(Credit { records: self.config.credit_records, bytes: self.config.credit_bytes }),
            start: self.start(),
        });
        // The channel is new and has room for it.
        let _ = requests.try_send(SubscribeRequest { message: Some(open) });
        let mut exchange = self.client.exchange(&node);
        let opening = async {
            let mut responses = exchange.subscribe(ReceiverStream::new(ahead)).await?.into_inner();
            let first = responses.message().await?;
            Ok::<_, Status>((responses, first))
        };
        let opened = match timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => opened.map_err(Error::from),
            Err(_) => Err(Status::unavailable("the hub did not open the subscription in time").into()),
        };
        let (responses, first) = opened.map_err(|error| {
            self.client.failed(&node);
            node.refine(error)
        })?;
        let Some(subscribe_response::Message::Opened(opened)) = first.and_then(|response| response.message) else {
            return Err(Status::internal("the hub did not begin with `opened`").into());
        };
        // What was acknowledged while there was no stream stands in `resume`, and so in the opening.
        self.unsent.clear();
        self.stream = Some(Stream { node, requests, responses, taken_records: 0, taken_bytes: 0 });
        Ok(self.note_opened(opened))
    }

    fn start(&self) -> Option<subscribe_open::Start> {
        if self.opened_before {
            return Some(subscribe_open::Start::Positions(Positions { positions: positions(&self.resume) }));
        }
        match &self.config.start {
            Start::Acknowledged => None,
            Start::Earliest => Some(subscribe_open::Start::Earliest(Earliest {})),
            Start::Latest => Some(subscribe_open::Start::Latest(Latest {})),
            Start::Time(time) => Some(subscribe_open::Start::Time(timestamp_to_wire(*time))),
            Start::Positions(positions) => {
                Some(subscribe_open::Start::Positions(Positions { positions: positions.clone() }))
            }
        }
    }

    fn note_opened(&mut self, opened: SubscribeOpened) -> Opened {
        for position in &opened.positions {
            self.resume.insert(position.partition, position.offset);
        }
        Opened {
            agreement_version: opened.agreement_version,
            dataset: opened.dataset,
            stage: stage_from_wire(opened.stage),
            granted_fields: opened.granted_fields,
            positions: opened.positions,
            again: std::mem::replace(&mut self.opened_before, true),
        }
    }
}

impl Stream {
    /// Reads one message. `None` for a message of no interest.
    async fn read(
        &mut self,
        config: &SubscriberConfig,
        unsent: &mut BTreeMap<u32, u64>,
    ) -> Result<Option<Event>, Error> {
        self.send_acks(unsent);
        self.give_credit(config);
        let response = self.responses.message().await?;
        let response = response.ok_or_else(|| Status::unavailable("the hub ended the stream"))?;
        Ok(match response.message {
            Some(subscribe_response::Message::Batch(batch)) => {
                let bytes: usize = batch.records.iter().map(|record| record.payload.len()).sum();
                self.taken_bytes += bytes as u64;
                self.taken_records =
                    self.taken_records.saturating_add(u32::try_from(batch.records.len()).unwrap_or(u32::MAX));
                Some(Event::Batch(batch))
            }
            Some(subscribe_response::Message::CaughtUp(caught_up)) => Some(Event::CaughtUp(caught_up.positions)),
            Some(subscribe_response::Message::Opened(_)) | None => None,
        })
    }

    /// Gives credit back once half of it is used, so that the hub never stands still and few messages are needed.
    fn give_credit(&mut self, config: &SubscriberConfig) {
        if self.taken_records < config.credit_records.div_ceil(2) && self.taken_bytes < config.credit_bytes.div_ceil(2)
        {
            return;
        }
        let credit = Credit { records: self.taken_records, bytes: self.taken_bytes };
        let request = SubscribeRequest { message: Some(subscribe_request::Message::Credit(credit)) };
        // When the connection is behind, the credit goes with the next message.
        if self.requests.try_send(request).is_ok() {
            self.taken_records = 0;
            self.taken_bytes = 0;
        }
    }

    fn send_acks(&self, unsent: &mut BTreeMap<u32, u64>) {
        if !unsent.is_empty() && self.requests.try_send(acks(unsent)).is_ok() {
            unsent.clear();
        }
    }
}

fn acks(positions_by_partition: &BTreeMap<u32, u64>) -> SubscribeRequest {
    let ack = Ack { positions: positions(positions_by_partition) };
    SubscribeRequest { message: Some(subscribe_request::Message::Ack(ack)) }
}

fn positions(by_partition: &BTreeMap<u32, u64>) -> Vec<PartitionPosition> {
    by_partition
        .iter()
        .map(|(partition, offset)| PartitionPosition { partition: *partition, offset: *offset })
        .collect()
}

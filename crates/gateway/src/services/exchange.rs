//! Publish, subscribe, look up, changes and exports, and what became of an exchange.

mod look_up;
mod transfer;

use std::{collections::HashMap, pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use ldop_contract::{
    convert::{finding_to_wire, stage_from_wire, stage_to_wire, timestamp_from_wire, timestamp_to_wire},
    exchange::v1 as wire,
};
use ldop_exchange::{
    Exchange as Core,
    fair::{Place, Places, Share},
    publish::{self, Incoming, NoSuchTime, Publisher, Receipt, Refusal, Ticket, Verdict},
    subscribe::{Delivery, OpenSubscription, Start, Subscription},
};
use ldop_types::{AgreementId, DatasetName, ExchangeId, IdError, Reason, Stage, SubscriptionName, SystemId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming};
use tracing::debug;

use super::{counted, identity};
use crate::{
    metrics::Metrics,
    status::{self, BadField, Room},
};

/// Batches of one stream on their way to the log; the stream is not read further while they are. With the window of
/// the connection that is what a publish stream can hold.
const STREAM_BATCHES: usize = 32;
/// Most records of a batch.
const BATCH_RECORDS: usize = 1_000;
/// Publishers of unary calls kept for reuse, for each system, dataset and stage.
const IDLE_PUBLISHERS: usize = 64;
/// Credit of a subscription that names none.
const DEFAULT_CREDIT: wire::Credit = wire::Credit { records: 1_000, bytes: 4 << 20 };
/// The budget of bytes is counted in units of this many.
const BUDGET_UNIT: usize = 1 << 10;

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Idle = HashMap<(SystemId, DatasetName, Stage), Vec<Publisher>>;

/// Bytes of records between reception and the log's answer, over all callers; one system takes half of what the others leave.
#[derive(Clone)]
pub struct Budget {
    places: Arc<Places>,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { places: Places::new(bytes / BUDGET_UNIT, Share::HalfIsLeft) }
    }

    /// Waits for room. One batch larger than the whole budget takes all of it.
    async fn take(&self, system: &SystemId, bytes: usize) -> Place {
        self.places.take(system, bytes.div_ceil(BUDGET_UNIT)).await
    }

    /// Room now, or a refusal with a retry time.
    fn try_take(&self, system: &SystemId, bytes: usize) -> Result<Place, Status> {
        let taken = self.places.try_take(system, bytes.div_ceil(BUDGET_UNIT));
        taken.ok_or_else(|| status::of_reason(Reason::Overloaded))
    }
}

/// The exchange service.
pub struct Exchange {
    core: Arc<Core>,
    metrics: Arc<Metrics>,
    budget: Budget,
    idle: Mutex<Idle>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Exchange {
    /// Serves an exchange. Streams end with `SHUTTING_DOWN` once `stop` is cancelled.
    #[must_use]
    pub fn new(
        core: Arc<Core>,
        metrics: Arc<Metrics>,
        budget: Budget,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self { core, metrics, budget, idle: Mutex::new(HashMap::new()), tasks, stop }
    }

    async fn publish_one(&self, request: Request<wire::PublishRequest>) -> Result<wire::PublishResponse, Status> {
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let room = Room::of(&request);
        let request = request.into_inner();
        let (dataset, stage) = target(&request.dataset, request.stage)?;
        let record = request.record.ok_or_else(|| bad("record", "a record"))?;
        let _room = self.budget.try_take(&system, record.payload.len())?;
        let record = incoming(record);
        let key = (system, dataset, stage);
        let idle = self.idle.lock().get_mut(&key).and_then(Vec::pop);
        let mut publisher = match idle {
            Some(publisher) => publisher,
            None => Publisher::open(Arc::clone(&self.core), key.0.clone(), key.1.clone(), stage)
                .map_err(status::of_reason)?,
        };
        let submitted = publisher.submit(vec![record]).await;
        if submitted.is_ok() {
            let mut idle = self.idle.lock();
            let idle = idle.entry(key).or_default();
            if idle.len() < IDLE_PUBLISHERS {
                idle.push(publisher);
            }
        }
        let ticket = submitted.map_err(status::of_reason)?;
        match ticket.verdicts().await.map_err(status::of_reason)?.into_iter().next() {
            Some(Verdict::Accepted(receipt)) => Ok(wire::PublishResponse { receipt: Some(receipt_to_wire(receipt)) }),
            Some(Verdict::Refused(refusal)) => Err(status::of_refusal(&refusal, room)),
            None => Err(status::of_reason(Reason::Internal)),
        }
    }

    async fn get_one(&self, request: Request<wire::GetExchangeRequest>) -> Result<wire::GetExchangeResponse, Status> {
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let request = request.into_inner();
        let (dataset, stage) = target(&request.dataset, request.stage)?;
        let id = parsed("exchange_id", ExchangeId::parse(&request.exchange_id))?;
        let found = publish::status(&self.core, &system, &dataset, stage, id).await.map_err(status::of_reason)?;
        let mut response = wire::GetExchangeResponse::default();
        response.set_state(match &found {
            publish::Status::Pending => wire::ExchangeState::Pending,
            publish::Status::Accepted(_) => wire::ExchangeState::Accepted,
            publish::Status::Refused(_) => wire::ExchangeState::Refused,
        });
        match found {
            publish::Status::Pending => {}
            publish::Status::Accepted(receipt) => response.receipt = Some(receipt_to_wire(receipt)),
            publish::Status::Refused(refusal) => response.refusal = Some(refusal_to_wire(refusal)),
        }
        Ok(response)
    }

    /// The status of a call refused under an agreement; of one that a quota refuses, with the time to come again.
    fn refused(&self, agreement: &AgreementId, reason: Reason) -> Status {
        status::of_reason_after(reason, self.core.retry_after(agreement, reason))
    }

    async fn open_publisher(
        &self,
        system: SystemId,
        inbound: &mut Streaming<wire::PublishStreamRequest>,
    ) -> Result<Publisher, Status> {
        use wire::publish_stream_request::Message;
        match inbound.message().await?.and_then(|request| request.message) {
            Some(Message::Open(open)) => {
                let (dataset, stage) = target(&open.dataset, open.stage)?;
                Publisher::open(Arc::clone(&self.core), system, dataset, stage).map_err(status::of_reason)
            }
            Some(Message::Batch(_)) | None => Err(bad("message", "open as the first message")),
        }
    }

    async fn open_subscription(
        &self,
        system: SystemId,
        inbound: &mut Streaming<wire::SubscribeRequest>,
    ) -> Result<Subscription, Status> {
        use wire::subscribe_request::Message;
        let open = match inbound.message().await?.and_then(|request| request.message) {
            Some(Message::Open(open)) => open,
            Some(Message::Credit(_) | Message::Ack(_)) | None => {
                return Err(bad("message", "open as the first message"));
            }
        };
        let credit = open.credit.unwrap_or(DEFAULT_CREDIT);
        let open = open_from_wire(open)?;
        let agreement = open.agreement.clone();
        let opened = Subscription::open(Arc::clone(&self.core), system, open).await;
        let mut subscription = opened.map_err(|reason| self.refused(&agreement, reason))?;
        subscription.add_credit(credit.records, credit.bytes);
        Ok(subscription)
    }
}

#[tonic::async_trait]
impl wire::exchange_service_server::ExchangeService for Exchange {
    async fn publish(&self, request: Request<wire::PublishRequest>) -> Result<Response<wire::PublishResponse>, Status> {
        let result = self.publish_one(request).await.map(Response::new);
        counted(&self.metrics, "Publish", result)
    }

    type PublishStreamStream = Out<wire::PublishStreamResponse>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<wire::PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let opening = async {
            let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
            let mut inbound = request.into_inner();
            let publisher = self.open_publisher(system.clone(), &mut inbound).await?;
            Ok((system, publisher, inbound))
        };
        let (system, publisher, inbound) = counted(&self.metrics, "PublishStream", opening.await)?;
        let (submitted, tickets) = mpsc::channel(STREAM_BATCHES);
        let reader = Reader { system, publisher, inbound, budget: self.budget.clone(), next_sequence: 0 };
        let stop = self.stop.clone();
        // Ends with the caller's side of the stream, or when the answering side is dropped.
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = reader.run(&submitted) => ended,
                () = stop.cancelled() => Err(status::of_reason(Reason::ShuttingDown)),
                () = submitted.closed() => return,
            };
            if let Err(status) = ended {
                debug!(reason = status::reason_of(&status), "publish stream ended");
                // The caller has gone when this fails.
                let _ = submitted.send(Err(status)).await;
            }
        });
        let answers = futures::stream::unfold(Some(tickets), |tickets| async {
            let mut tickets = tickets?;
            let answer = match tickets.recv().await? {
                Ok(batch) => batch.answer().await,
                Err(status) => Err(status),
            };
            // A status ends the stream.
            let rest = answer.is_ok().then_some(tickets);
            Some((answer, rest))
        });
        Ok(Response::new(Box::pin(answers)))
    }

    type SubscribeStream = Out<wire::SubscribeResponse>;

    async fn subscribe(
        &self,
        request: Request<Streaming<wire::SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let opening = async {
            let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
            let mut inbound = request.into_inner();
            let subscription = self.open_subscription(system, &mut inbound).await?;
            Ok((subscription, inbound))
        };
        let (subscription, inbound) = counted(&self.metrics, "Subscribe", opening.await)?;
        let feed = Feed {
            opened: Some(opened_to_wire(&subscription)),
            subscription,
            inbound: Some(inbound),
            stop: self.stop.clone(),
            core: Arc::clone(&self.core),
        };
        let deliveries = futures::stream::unfold(Some(feed), |feed| async {
            let mut feed = feed?;
            match feed.next().await {
                Some(Ok(response)) => Some((Ok(response), Some(feed))),
                Some(Err(status)) => Some((Err(status), None)),
                None => None,
            }
        });
        Ok(Response::new(Box::pin(deliveries)))
    }

    async fn look_up(&self, request: Request<wire::LookUpRequest>) -> Result<Response<wire::LookUpResponse>, Status> {
        let result = self.look_up_one(request).await.map(Response::new);
        counted(&self.metrics, "LookUp", result)
    }

    async fn find(&self, request: Request<wire::FindRequest>) -> Result<Response<wire::FindResponse>, Status> {
        let result = self.find_one(request).await.map(Response::new);
        counted(&self.metrics, "Find", result)
    }

    type ServeStream = Out<wire::ServeResponse>;

    async fn serve(
        &self,
        request: Request<Streaming<wire::ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        let result = self.serve_one(request).await.map(Response::new);
        counted(&self.metrics, "Serve", result)
    }

    type ReadChangesStream = Out<wire::ReadChangesResponse>;

    async fn read_changes(
        &self,
        request: Request<wire::ReadChangesRequest>,
    ) -> Result<Response<Self::ReadChangesStream>, Status> {
        let result = self.changes_of(request).await.map(Response::new);
        counted(&self.metrics, "ReadChanges", result)
    }

    type ExportStream = Out<wire::ExportResponse>;

    async fn export(&self, request: Request<wire::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let result = self.export_of(request).await.map(Response::new);
        counted(&self.metrics, "Export", result)
    }

    async fn get_exchange(
        &self,
        request: Request<wire::GetExchangeRequest>,
    ) -> Result<Response<wire::GetExchangeResponse>, Status> {
        let result = self.get_one(request).await.map(Response::new);
        counted(&self.metrics, "GetExchange", result)
    }
}

/// The caller's side of a publish stream.
struct Reader {
    system: SystemId,
    publisher: Publisher,
    inbound: Streaming<wire::PublishStreamRequest>,
    budget: Budget,
    next_sequence: u64,
}

/// A batch handed to the log, with its place in the budget.
struct Batch {
    first_sequence: u64,
    ticket: Ticket,
    _room: Place,
}

impl Reader {
    async fn run(mut self, submitted: &mpsc::Sender<Result<Batch, Status>>) -> Result<(), Status> {
        use wire::publish_stream_request::Message;
        while let Some(request) = self.inbound.message().await? {
            let batch = match request.message {
                Some(Message::Batch(batch)) => batch,
                Some(Message::Open(_)) | None => return Err(bad("message", "a batch, after the first message")),
            };
            if batch.first_sequence != self.next_sequence {
                return Err(bad("batch.first_sequence", &format!("{}: sequences are dense", self.next_sequence)));
            }
            if batch.records.is_empty() || batch.records.len() > BATCH_RECORDS {
                return Err(bad("batch.records", &format!("1-{BATCH_RECORDS} records")));
            }
            let bytes = batch.records.iter().map(|record| record.payload.len()).sum();
            let room = self.budget.take(&self.system, bytes).await;
            let count = batch.records.len() as u64;
            let records = batch.records.into_iter().map(incoming).collect();
            let ticket = self.publisher.submit(records).await.map_err(status::of_reason)?;
            let batch = Batch { first_sequence: self.next_sequence, ticket, _room: room };
            self.next_sequence += count;
            if submitted.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Batch {
    async fn answer(self) -> Result<wire::PublishStreamResponse, Status> {
        let verdicts = self.ticket.verdicts().await.map_err(status::of_reason)?;
        // One allocation for the byte fields of all receipts.
        let mut fixed = Vec::with_capacity(verdicts.len() * RECEIPT_BYTES);
        for verdict in &verdicts {
            if let Verdict::Accepted(receipt) = verdict {
                put_receipt_bytes(receipt, &mut fixed);
            }
        }
        let mut fixed = Bytes::from(fixed);
        let results = verdicts
            .into_iter()
            .zip(self.first_sequence..)
            .map(|(verdict, sequence)| {
                use wire::publish_result::Outcome;
                let outcome = match verdict {
                    Verdict::Accepted(receipt) => {
                        Outcome::Receipt(receipt_with_bytes(receipt, &fixed.split_to(RECEIPT_BYTES)))
                    }
                    Verdict::Refused(refusal) => Outcome::Refusal(refusal_to_wire(refusal)),
                };
                wire::PublishResult { sequence, outcome: Some(outcome) }
            })
            .collect();
        Ok(wire::PublishStreamResponse { results })
    }
}

/// One subscriber's stream. It advances only while the connection takes what it gives.
struct Feed {
    opened: Option<wire::SubscribeOpened>,
    subscription: Subscription,
    /// `None` once the caller has closed its side; it then receives what its credit allows.
    inbound: Option<Streaming<wire::SubscribeRequest>>,
    stop: CancellationToken,
    core: Arc<Core>,
}

impl Feed {
    async fn next(&mut self) -> Option<Result<wire::SubscribeResponse, Status>> {
        use wire::subscribe_response::Message;
        if let Some(opened) = self.opened.take() {
            return Some(Ok(wire::SubscribeResponse { message: Some(Message::Opened(opened)) }));
        }
        loop {
            // What the subscriber says comes first: acknowledgements free what deliveries need.
            let said = tokio::select! {
                biased;
                said = async { self.inbound.as_mut().expect("guarded").message().await }, if self.inbound.is_some() => said,
                () = self.stop.cancelled() => return Some(Err(status::of_reason(Reason::ShuttingDown))),
                delivery = self.subscription.next() => {
                    return Some(match delivery {
                        Ok(delivery) => Ok(delivery_to_wire(delivery)),
                        Err(reason) => {
                            self.core.metrics.subscriptions_ended.with_label_values(&[reason.as_str()]).inc();
                            let retry_after = self.core.retry_after(&self.subscription.agreement().value.id, reason);
                            Err(status::of_reason_after(reason, retry_after))
                        }
                    });
                }
            };
            match said {
                Ok(Some(request)) => {
                    if let Err(status) = self.hear(request) {
                        return Some(Err(status));
                    }
                }
                // The caller is done: nothing more to say, and nothing more to send it.
                Ok(None) => return None,
                Err(status) => {
                    debug!(code = ?status.code(), "subscriber has gone");
                    return None;
                }
            }
        }
    }

    fn hear(&mut self, request: wire::SubscribeRequest) -> Result<(), Status> {
        use wire::subscribe_request::Message;
        match request.message {
            Some(Message::Credit(credit)) => {
                self.subscription.add_credit(credit.records, credit.bytes);
                Ok(())
            }
            Some(Message::Ack(ack)) => {
                for position in ack.positions {
                    self.subscription.acknowledge(position.partition, position.offset).map_err(status::of_reason)?;
                }
                Ok(())
            }
            Some(Message::Open(_)) | None => Err(bad("message", "credit or ack, after the first message")),
        }
    }
}

pub(super) fn bad(field: &str, expected: &str) -> Status {
    status::of_bad_fields(vec![BadField { field: field.to_owned(), expected: expected.to_owned() }])
}

fn parsed<T>(field: &str, parsed: Result<T, IdError>) -> Result<T, Status> {
    parsed.map_err(|error| bad(field, error.expected))
}

pub(super) fn target(dataset: &str, stage: i32) -> Result<(DatasetName, Stage), Status> {
    let dataset = DatasetName::parse(dataset);
    let stage = stage_from_wire(stage);
    let mut fields = Vec::new();
    if let Err(error) = &dataset {
        fields.push(BadField { field: "dataset".into(), expected: error.expected.into() });
    }
    if stage.is_none() {
        fields.push(BadField { field: "stage".into(), expected: "STAGE_TESTING or STAGE_LIVE".into() });
    }
    match (dataset, stage) {
        (Ok(dataset), Some(stage)) => Ok((dataset, stage)),
        _ => Err(status::of_bad_fields(fields)),
    }
}

fn incoming(record: wire::Record) -> Incoming {
    let event_time = record.event_time.as_ref().map(|time| timestamp_from_wire(time).ok_or(NoSuchTime)).transpose();
    Incoming { exchange_id: record.exchange_id, payload: record.payload, event_time, is_deletion: record.deletion }
}

fn open_from_wire(open: wire::SubscribeOpen) -> Result<OpenSubscription, Status> {
    use wire::subscribe_open::Start as Wire;
    let agreement = AgreementId::parse(&open.agreement);
    let name = if open.subscription.is_empty() { "default" } else { &open.subscription };
    let name = SubscriptionName::parse(name);
    let start = match open.start {
        None => Some(Start::Resume),
        Some(Wire::Earliest(_)) => Some(Start::Earliest),
        Some(Wire::Latest(_)) => Some(Start::Latest),
        Some(Wire::Time(time)) => timestamp_from_wire(&time).map(Start::Time),
        Some(Wire::Positions(all)) => {
            Some(Start::Positions(all.positions.iter().map(|p| (p.partition, p.offset)).collect()))
        }
    };
    let mut fields = Vec::new();
    let mut bad_field = |field: &str, expected: &str| {
        fields.push(BadField { field: field.to_owned(), expected: expected.to_owned() });
    };
    if let Err(error) = &agreement {
        bad_field("open.agreement", error.expected);
    }
    if let Err(error) = &name {
        bad_field("open.subscription", error.expected);
    }
    if start.is_none() {
        bad_field("open.time", "a time between the years 1 and 9999");
    }
    match (agreement, name, start) {
        (Ok(agreement), Ok(name), Some(start)) => Ok(OpenSubscription { agreement, name, start }),
        _ => Err(status::of_bad_fields(fields)),
    }
}

/// Bytes a receipt carries: exchange id, commitment, salt.
const RECEIPT_BYTES: usize = 16 + 32 + 16;

fn receipt_to_wire(receipt: Receipt) -> wire::Receipt {
    let mut fixed = Vec::with_capacity(RECEIPT_BYTES);
    put_receipt_bytes(&receipt, &mut fixed);
    receipt_with_bytes(receipt, &Bytes::from(fixed))
}

fn put_receipt_bytes(receipt: &Receipt, out: &mut Vec<u8>) {
    out.extend_from_slice(receipt.meta.exchange_id.as_bytes());
    out.extend_from_slice(&receipt.commitment);
    out.extend_from_slice(&receipt.meta.salt);
}

fn receipt_with_bytes(receipt: Receipt, fixed: &Bytes) -> wire::Receipt {
    let meta = &receipt.meta;
    wire::Receipt {
        exchange_id: fixed.slice(0..16),
        partition: receipt.partition,
        offset: receipt.offset,
        commitment: fixed.slice(16..48),
        salt: fixed.slice(48..64),
        accepted_time: Some(timestamp_to_wire(meta.accepted_time)),
        schema_version: meta.schema_version,
        repeated: receipt.repeated,
        warnings: receipt.warnings.iter().map(finding_to_wire).collect(),
    }
}

fn refusal_to_wire(refusal: Refusal) -> wire::Refusal {
    let (vi, en) = refusal.reason.message();
    wire::Refusal {
        reason: refusal.reason.as_str().to_owned(),
        message: Some(wire::LocalizedText { vi: vi.to_owned(), en: en.to_owned() }),
        violations: refusal.findings.iter().map(finding_to_wire).collect(),
        violations_omitted: u32::try_from(refusal.omitted).unwrap_or(u32::MAX),
        retryable: refusal.reason.is_retryable(),
    }
}

fn positions_to_wire(positions: Vec<(u32, u64)>) -> Vec<wire::PartitionPosition> {
    positions.into_iter().map(|(partition, offset)| wire::PartitionPosition { partition, offset }).collect()
}

fn opened_to_wire(subscription: &Subscription) -> wire::SubscribeOpened {
    let agreement = subscription.agreement();
    wire::SubscribeOpened {
        agreement: agreement.value.id.to_string(),
        agreement_version: agreement.version,
        dataset: agreement.value.dataset.to_string(),
        stage: stage_to_wire(agreement.value.stage).into(),
        granted_fields: agreement.value.definition.granted_fields.clone(),
        positions: positions_to_wire(subscription.positions()),
    }
}

fn delivery_to_wire(delivery: Delivery) -> wire::SubscribeResponse {
    use wire::subscribe_response::Message;
    let message = match delivery {
        Delivery::Batch { partition, records, next } => {
            let records = transfer::delivered_to_wire(records.into_iter());
            Message::Batch(wire::DeliveredBatch { partition, records, next_offset: next })
        }
        Delivery::CaughtUp(positions) => Message::CaughtUp(wire::CaughtUp { positions: positions_to_wire(positions) }),
    };
    wire::SubscribeResponse { message: Some(message) }
}

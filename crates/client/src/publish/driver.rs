//! The task that owns the publish stream.

use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use ldop_contract::{
    convert::stage_to_wire,
    exchange::v1::{PublishOpen, PublishResult, PublishStreamResponse, Receipt, publish_result},
};
use ldop_types::{DatasetName, Stage};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming, client::Grpc, codegen::http::uri::PathAndQuery};
use tracing::{debug, warn};

use super::{
    Batch, Chunk, Outcome, PublisherConfig, Shared,
    codec::{Frame, PublishCodec},
};
use crate::{Client, Error, backoff::Backoff, connection::MESSAGE_LIMIT};

/// Batches handed to the connection ahead of what it can send. More would only sit there.
const FRAMES_AHEAD: usize = 2;
/// How long a hub may take to end a stream that was used up.
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) struct Driver {
    client: Client,
    dataset: DatasetName,
    stage: Stage,
    config: PublisherConfig,
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Batch>,
    outcomes: mpsc::Sender<Chunk>,
    backoff: Backoff,
    window: Window,
    queue_closed: bool,
}

/// What is in flight, oldest first.
#[derive(Default)]
struct Window {
    batches: VecDeque<InFlight>,
    records: usize,
    bytes: usize,
    /// Index of the first batch not sent on this stream.
    next: usize,
    /// Sequence of the next record on this stream.
    sequence: u64,
    /// Since when the next result is due; `None` while nothing is.
    waiting_since: Option<Instant>,
}

struct InFlight {
    batch: Batch,
    /// Sequence of its first record on this stream; meaningful once sent.
    first_sequence: u64,
}

/// Why a stream is over.
enum Ended {
    /// Everything has its result and nothing more can come, or nobody wants to know.
    Done,
    /// It broke, or the hub ended it.
    Broken(Error),
}

impl Driver {
    pub(super) fn new(
        client: Client,
        dataset: DatasetName,
        stage: Stage,
        config: PublisherConfig,
        shared: Arc<Shared>,
        queue: mpsc::Receiver<Batch>,
        outcomes: mpsc::Sender<Chunk>,
    ) -> Self {
        let backoff = Backoff::new(config.retry);
        let window = Window::default();
        Self { client, dataset, stage, config, shared, queue, outcomes, backoff, window, queue_closed: false }
    }

    pub(super) async fn run(mut self) {
        loop {
            let node = self.client.node();
            let ended = match self.open(&node.channel).await {
                Ok((frames, results)) => self.stream(frames, results).await,
                Err(error) => Ended::Broken(error),
            };
            let error = match ended {
                Ended::Done => break,
                Ended::Broken(error) => node.refine(error),
            };
            self.client.failed(&node);
            self.window.rewind();
            match self.backoff.wait_after(error.clone()) {
                Ok(wait) => {
                    warn!(dataset = %self.dataset, %error, ?wait, due = self.window.records, "publish stream lost");
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = self.outcomes.closed() => return,
                    }
                }
                Err(error) => {
                    // Set before the channels close, so that whoever notices finds it.
                    let _ = self.shared.failure.set(error);
                    return;
                }
            }
        }
        let _ = self.outcomes.send(Chunk::End).await;
    }

    async fn open(
        &self,
        channel: &tonic::transport::Channel,
    ) -> Result<(mpsc::Sender<Frame>, Streaming<PublishStreamResponse>), Error> {
        let (frames, ahead) = mpsc::channel(FRAMES_AHEAD);
        let open = PublishOpen { dataset: self.dataset.to_string(), stage: stage_to_wire(self.stage).into() };
        // The channel is new and has room for it.
        let _ = frames.try_send(Frame::Open(open));
        let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(MESSAGE_LIMIT);
        let opening = async {
            grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
            let path = PathAndQuery::from_static("/ldop.exchange.v1.ExchangeService/PublishStream");
            grpc.streaming(Request::new(ReceiverStream::new(ahead)), path, PublishCodec).await
        };
        match timeout(self.config.result_timeout, opening).await {
            Ok(Ok(response)) => {
                debug!(dataset = %self.dataset, "publish stream open");
                Ok((frames, response.into_inner()))
            }
            Ok(Err(status)) => Err(status.into()),
            Err(_) => Err(Status::unavailable("the hub did not open the stream in time").into()),
        }
    }

    /// Carries records until the stream is over. Every branch of the select is safe to drop: what a branch has taken
    /// is put into the window before anything else is awaited.
    async fn stream(&mut self, frames: mpsc::Sender<Frame>, mut results: Streaming<PublishStreamResponse>) -> Ended {
        self.window.restart_waiting();
        loop {
            if self.queue_closed && self.window.records == 0 && !self.take_open(true) {
                drop(frames);
                let _ = timeout(GOODBYE, async { while let Ok(Some(_)) = results.message().await {} }).await;
                return Ended::Done;
            }
            let has_room = self.window.has_room(&self.config);
            let linger = if has_room { self.linger_ends() } else { None };
            let due_by = self.window.waiting_since.map(|since| since + self.config.result_timeout);
            tokio::select! {
                message = results.message() => match message {
                    Ok(Some(message)) => {
                        self.backoff.succeeded();
                        let outcomes = match self.window.settle(message.results, Instant::now()) {
                            Ok(outcomes) => outcomes,
                            Err(status) => return Ended::Broken(status.into()),
                        };
                        if self.outcomes.send(Chunk::Outcomes(outcomes)).await.is_err() {
                            return Ended::Done;
                        }
                    }
                    Ok(None) => return Ended::Broken(Status::unavailable("the hub ended the stream").into()),
                    Err(status) => return Ended::Broken(status.into()),
                },
                permit = frames.reserve(), if self.window.next < self.window.batches.len() => match permit {
                    Ok(permit) => permit.send(self.window.send_next()),
                    // The connection let go of the request; the reason comes with the results.
                    Err(_) => {
                        let status = match timeout(GOODBYE, results.message()).await {
                            Ok(Err(status)) => status,
                            _ => Status::unavailable("the connection ended"),
                        };
                        return Ended::Broken(status.into());
                    }
                },
                batch = self.queue.recv(), if has_room && !self.queue_closed => match batch {
                    Some(batch) => self.window.push(batch),
                    None => self.queue_closed = true,
                },
                () = self.shared.begun.notified(), if has_room => {}
                () = until(linger) => {
                    self.take_open(false);
                }
                () = until(due_by) => {
                    return Ended::Broken(Status::unavailable("no result came in time").into());
                }
                () = self.outcomes.closed() => return Ended::Done,
            }
        }
    }

    /// When the open batch has waited long enough, if there is one.
    fn linger_ends(&self) -> Option<Instant> {
        self.shared.open.lock().begun().map(|begun| begun + self.config.linger)
    }

    /// Takes the open batch over when nothing is queued before it. Returns whether there was one.
    fn take_open(&mut self, closed: bool) -> bool {
        let mut open = self.shared.open.lock();
        // Batches enter the queue under this lock, so an empty queue means the open batch is next.
        if open.len() == 0 || !(closed || self.queue.is_empty()) {
            return false;
        }
        self.window.push(open.take());
        true
    }
}

impl Window {
    fn has_room(&self, config: &PublisherConfig) -> bool {
        self.records == 0 || (self.records < config.in_flight && self.bytes < config.in_flight_bytes)
    }

    fn push(&mut self, batch: Batch) {
        self.waiting_since.get_or_insert_with(Instant::now);
        self.records += batch.len();
        self.bytes += batch.bytes();
        self.batches.push_back(InFlight { batch, first_sequence: 0 });
    }

    fn send_next(&mut self) -> Frame {
        let flight = &mut self.batches[self.next];
        flight.first_sequence = self.sequence;
        self.sequence += flight.batch.len() as u64;
        self.next += 1;
        Frame::Batch { first_sequence: flight.first_sequence, body: flight.batch.body().clone() }
    }

    /// Prepares for another stream: what has its result is left out, and nothing counts as sent.
    fn rewind(&mut self) {
        for flight in &mut self.batches {
            flight.batch.keep_due();
        }
        self.records = self.batches.iter().map(|flight| flight.batch.len()).sum();
        self.bytes = self.batches.iter().map(|flight| flight.batch.bytes()).sum();
        self.next = 0;
        self.sequence = 0;
    }

    /// Gives the hub the whole time again for its next result.
    fn restart_waiting(&mut self) {
        self.waiting_since = (self.records > 0).then(Instant::now);
    }

    /// Matches results to records. A batch leaves the window once all its records have theirs.
    fn settle(&mut self, results: Vec<PublishResult>, now: Instant) -> Result<Vec<Outcome>, Status> {
        let mut outcomes = Vec::with_capacity(results.len());
        let mut at = 0;
        for result in results {
            let sequence = result.sequence;
            at = self.find(sequence, at).ok_or_else(|| broken("a result for a record that was not sent"))?;
            let flight = &mut self.batches[at];
            let index = usize::try_from(sequence - flight.first_sequence).unwrap_or(usize::MAX);
            let (ordinal, exchange_id) =
                flight.batch.settle(index).ok_or_else(|| broken("a second result for a record"))?;
            let latency = now - flight.batch.begun();
            let result = match result.outcome {
                Some(publish_result::Outcome::Receipt(receipt)) => Ok(checked(receipt, exchange_id.as_bytes())?),
                Some(publish_result::Outcome::Refusal(refusal)) => Err(refusal),
                None => return Err(broken("a result without an outcome")),
            };
            outcomes.push(Outcome { ordinal, exchange_id, result, latency });
            if flight.batch.due() == 0 {
                self.records -= flight.batch.len();
                self.bytes -= flight.batch.bytes();
                self.batches.remove(at);
                self.next -= 1;
                at = at.saturating_sub(1);
            }
        }
        self.waiting_since = (self.records > 0).then_some(now);
        Ok(outcomes)
    }

    /// The index of the sent batch that holds the sequence; `hint` is where the result before was found.
    fn find(&self, sequence: u64, hint: usize) -> Option<usize> {
        let holds = |at: usize| {
            let flight = &self.batches[at];
            at < self.next
                && (flight.first_sequence..flight.first_sequence + flight.batch.len() as u64).contains(&sequence)
        };
        if hint < self.next && holds(hint) {
            return Some(hint);
        }
        // What is not sent yet has no sequence on this stream, and lies behind what is.
        let (mut low, mut high) = (0, self.next);
        while low < high {
            let middle = (low + high) / 2;
            if self.batches[middle].first_sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1).filter(|at| holds(*at))
    }
}

/// A receipt must be for the record it answers; anything else would be an error in matching, and no proof.
fn checked(receipt: Receipt, exchange_id: &[u8; 16]) -> Result<Receipt, Status> {
    if receipt.exchange_id[..] == exchange_id[..] { Ok(receipt) } else { Err(broken("a receipt for another record")) }
}

/// The hub broke the protocol. Not worth another try on this stream; a new one sends again what has no result.
fn broken(what: &str) -> Status {
    Status::internal(format!("the hub sent {what}"))
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;

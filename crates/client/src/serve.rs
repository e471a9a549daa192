//! Answering look-ups.
//!
//! A [`Provider`] has no task of its own: [`Provider::next`] reads the stream. A [`Question`] carries its way back, so it
//! may be answered from any task, in any order. After a lost connection the stream is opened again; the answer to a
//! question of the lost one goes nowhere, and whoever asked has been told.

use std::{fmt, time::Duration};

use bytes::Bytes;
use ldop_contract::{
    convert::{stage_to_wire, timestamp_to_wire},
    exchange::v1::{
        KeyAnswer, NoRecord, Question as WireQuestion, ServeAnswer, ServeOpen, ServeOpened, ServeRequest,
        ServeResponse, ServedRecord, Unable, key_answer, serve_request, serve_response,
    },
};
use ldop_types::{DatasetName, Stage, TimestampMs};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::warn;

use crate::{Client, Error, RetryPolicy, backoff::Reopening, connection::Node};

/// Answers the connection may be behind; whoever answers then waits.
const ANSWERS_AHEAD: usize = 64;
/// How long a hub may take to answer the opening.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is known of a key.
#[derive(Clone, PartialEq)]
pub enum Reply {
    /// The whole record; the hub reduces it to what is granted.
    Record {
        /// One JSON object that fits the dataset's schema and has the key asked for.
        payload: Bytes,
        /// When the stated fact came about; code lists are judged at this date. `None`: now.
        event_time: Option<TimestampMs>,
    },
    /// There is no record with this key.
    NoRecord,
    /// It cannot be told now.
    Unable,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { payload, .. } => write!(f, "Record({} bytes)", payload.len()),
            Self::NoRecord => f.write_str("NoRecord"),
            Self::Unable => f.write_str("Unable"),
        }
    }
}

/// A question. Printing it shows no key.
pub struct Question {
    /// Keys, each a JSON object with the key fields.
    pub keys: Vec<Bytes>,
    /// An answer after this is dropped.
    pub time_left: Duration,
    /// Agreement it is asked under.
    pub agreement: String,
    /// System that asks.
    pub consumer: String,
    /// Purpose of the agreement, Vietnamese and English.
    pub purpose: (String, String),
    ask_id: u64,
    answers: mpsc::Sender<ServeRequest>,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Question");
        shown.field("ask_id", &self.ask_id).field("agreement", &self.agreement).field("keys", &self.keys.len());
        shown.finish_non_exhaustive()
    }
}

impl Question {
    /// Answers, one reply for each key in order. A key without a reply counts as not answered. Waits while the connection
    /// is behind.
    pub async fn answer(self, replies: Vec<Reply>) {
        let answers = replies.into_iter().zip(0..).map(|(reply, key)| {
            let outcome = Some(match reply {
                Reply::Record { payload, event_time } => {
                    let event_time = event_time.map(timestamp_to_wire);
                    key_answer::Outcome::Record(ServedRecord { payload, event_time })
                }
                Reply::NoRecord => key_answer::Outcome::NoRecord(NoRecord {}),
                Reply::Unable => key_answer::Outcome::Unable(Unable {}),
            });
            KeyAnswer { key, outcome }
        });
        let answer = ServeAnswer { ask_id: self.ask_id, answers: answers.collect() };
        let message = Some(serve_request::Message::Answer(answer));
        // A stream that has ended has told its askers so.
        let _ = self.answers.send(ServeRequest { message }).await;
    }
}

/// What a provider hears.
#[derive(Debug)]
pub enum Served {
    /// The stream is open: questions come.
    Opened(ServeOpened),
    /// A question.
    Question(Question),
}

/// Answers the look-ups of one dataset in one stage.
#[derive(Debug)]
pub struct Provider {
    client: Client,
    dataset: DatasetName,
    stage: Stage,
    reopening: Reopening,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    node: Node,
    answers: mpsc::Sender<ServeRequest>,
    questions: Streaming<ServeResponse>,
}

impl Client {
    /// Prepares to answer look-ups; the stream is opened by the first [`Provider::next`].
    #[must_use]
    pub fn provider(&self, dataset: DatasetName, stage: Stage, retry: RetryPolicy) -> Provider {
        let client = self.clone();
        Provider { client, dataset, stage, reopening: Reopening::new(retry), stream: None }
    }
}

impl Provider {
    /// The next question. Opens the stream, and opens it again when it is lost. Safe to drop before it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Hub`] when the hub refuses for good, such as NOT_A_PROVIDER; [`Error::GaveUp`]. The same error comes again
    /// from then on.
    pub async fn next(&mut self) -> Result<Served, Error> {
        self.reopening.failed()?;
        loop {
            self.reopening.turn().await;
            let step = match &mut self.stream {
                Some(stream) => stream.read().await.map_err(|error| stream.node.refine(error)),
                None => self.open().await.map(|opened| Some(Served::Opened(opened))),
            };
            match step {
                Ok(Some(served)) => {
                    self.reopening.succeeded();
                    return Ok(served);
                }
                Ok(None) => {}
                Err(error) => self.retry_after(error)?,
            }
        }
    }

    fn retry_after(&mut self, error: Error) -> Result<(), Error> {
        if let Some(stream) = self.stream.take() {
            self.client.failed(&stream.node);
        }
        let wait = self.reopening.lost(error.clone())?;
        warn!(dataset = %self.dataset, %error, ?wait, "stream of look-ups lost");
        Ok(())
    }

    async fn open(&mut self) -> Result<ServeOpened, Error> {
        let node = self.client.node();
        let (answers, ahead) = mpsc::channel(ANSWERS_AHEAD);
        let open = ServeOpen { dataset: self.dataset.to_string(), stage: stage_to_wire(self.stage).into() };
        // The channel is new and has room for it.
        let _ = answers.try_send(ServeRequest { message: Some(serve_request::Message::Open(open)) });
        let mut exchange = self.client.exchange(&node);
        let opening = async {
            let mut questions = exchange.serve(ReceiverStream::new(ahead)).await?.into_inner();
            let first = questions.message().await?;
            Ok::<_, Status>((questions, first))
        };
        let opened = match timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => opened.map_err(Error::from),
            Err(_) => Err(Status::unavailable("the hub did not open the stream in time").into()),
        };
        let (questions, first) = opened.map_err(|error| {
            self.client.failed(&node);
            node.refine(error)
        })?;
        let Some(serve_response::Message::Opened(opened)) = first.and_then(|response| response.message) else {
            return Err(Status::internal("the hub did not begin with `opened`").into());
        };
        self.stream = Some(Stream { node, answers, questions });
        Ok(opened)
    }
}

impl Stream {
    /// Reads one message. `None` for a message of no interest.
    async fn read(&mut self) -> Result<Option<Served>, Error> {
        let response = self.questions.message().await?;
        let response = response.ok_or_else(|| Status::unavailable("the hub ended the stream"))?;
        Ok(match response.message {
            Some(serve_response::Message::Question(question)) => Some(Served::Question(self.question(question))),
            Some(serve_response::Message::Opened(_)) | None => None,
        })
    }

    fn question(&self, question: WireQuestion) -> Question {
        let purpose = question.purpose.unwrap_or_default();
        Question {
            keys: question.keys,
            time_left: question.time_left.and_then(|left| left.try_into().ok()).unwrap_or_default(),
            agreement: question.agreement,
            consumer: question.consumer,
            purpose: (purpose.vi, purpose.en),
            ask_id: question.ask_id,
            answers: self.answers.clone(),
        }
    }
}

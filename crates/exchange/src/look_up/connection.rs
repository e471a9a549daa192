//! One stream of a provider: questions out, answers in, each answer to its question.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use ldop_catalog::{Agreement, state::Versioned};
use ldop_types::TimestampMs;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::router::CREDIT;

/// Questions that nobody waits for any more, remembered to tell a late answer from one never asked for.
const EXPIRED: usize = 1_024;

/// A question as its provider receives it.
#[derive(Debug, Clone)]
pub struct Question {
    /// Keys, each a JSON object as the caller wrote it.
    pub keys: Arc<[Bytes]>,
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// The agreement it is asked under.
    pub agreement: Arc<Versioned<Agreement>>,
}

/// An answer as its provider gave it.
pub struct Answer {
    /// For each key, as far as told.
    pub replies: Vec<Reply>,
    /// What has to be held while its bytes are in memory.
    pub hold: Option<Box<dyn Send>>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("replies", &self.replies.len()).finish_non_exhaustive()
    }
}

/// What a provider says of one key.
pub struct Reply {
    /// Place of the key in the question.
    pub key: u32,
    /// What it says.
    pub said: Said,
}

/// What a provider says.
pub enum Said {
    /// This is the record.
    Record {
        /// The whole record.
        payload: Bytes,
        /// When the stated fact came about.
        event_time: Option<TimestampMs>,
    },
    /// There is none.
    NoRecord,
    /// It cannot tell now.
    Unable,
    /// Nothing that can be understood.
    Nonsense,
}

/// What became of a question.
#[derive(Debug)]
pub enum Heard {
    /// Answered.
    Answer(Answer),
    /// Not in time.
    TimedOut,
    /// The connection ended, or takes no questions.
    Lost,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Handed to whoever waits for it.
    Taken,
    /// Nobody waits any more.
    Late,
    /// It had been answered.
    Repeated,
    /// There was no such question.
    NeverAsked,
}

impl Fate {
    /// The word in metrics; none for one that is taken.
    #[must_use]
    pub const fn cause(self) -> Option<&'static str> {
        match self {
            Self::Taken => None,
            Self::Late => Some("late"),
            Self::Repeated => Some("repeated"),
            Self::NeverAsked => Some("never_asked"),
        }
    }
}

/// A provider's stream, as the hub sees it.
#[derive(Debug)]
pub struct Connection {
    questions: mpsc::Sender<(u64, Question)>,
    asks: Mutex<Asks>,
}

#[derive(Debug, Default)]
struct Asks {
    last: u64,
    out: HashMap<u64, oneshot::Sender<Answer>>,
    expired: VecDeque<u64>,
    is_closed: bool,
}

impl Connection {
    /// A connection, and the questions that are to be sent over it.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<(u64, Question)>) {
        // More than the credit, as questions may be given up while they lie here; a stream that takes none of so many does
        // not answer.
        let (questions, taken) = mpsc::channel(2 * CREDIT);
        (Arc::new(Self { questions, asks: Mutex::default() }), taken)
    }

    /// Questions that wait for their answers.
    pub fn out(&self) -> usize {
        self.asks.lock().out.len()
    }

    /// Asks. Must not be dropped before it ends: the question would stay out for as long as the connection lasts.
    pub async fn ask(&self, question: Question) -> Heard {
        let deadline = question.deadline;
        let (id, answer) = {
            let mut asks = self.asks.lock();
            if asks.is_closed {
                return Heard::Lost;
            }
            asks.last += 1;
            let id = asks.last;
            if self.questions.try_send((id, question)).is_err() {
                return Heard::Lost;
            }
            let (tell, answer) = oneshot::channel();
            asks.out.insert(id, tell);
            (id, answer)
        };
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(answer)) => Heard::Answer(answer),
            Ok(Err(_)) => Heard::Lost,
            Err(_) => {
                let mut asks = self.asks.lock();
                if asks.out.remove(&id).is_some() {
                    if asks.expired.len() == EXPIRED {
                        asks.expired.pop_front();
                    }
                    asks.expired.push_back(id);
                }
                Heard::TimedOut
            }
        }
    }

    /// Takes an answer.
    pub fn answer(&self, id: u64, answer: Answer) -> Fate {
        let mut asks = self.asks.lock();
        if let Some(waiting) = asks.out.remove(&id) {
            // Whoever waited may have given up in this moment.
            return if waiting.send(answer).is_ok() { Fate::Taken } else { Fate::Late };
        }
        if let Some(at) = asks.expired.iter().position(|expired| *expired == id) {
            asks.expired.remove(at);
            return Fate::Late;
        }
        if id == 0 || id > asks.last { Fate::NeverAsked } else { Fate::Repeated }
    }

    /// Ends it: whoever waits hears so at once.
    pub fn close(&self) {
        let mut asks = self.asks.lock();
        asks.is_closed = true;
        asks.out.clear();
    }
}

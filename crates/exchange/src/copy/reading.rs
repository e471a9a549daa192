//! Questions to a copy, read together.
//!
//! A read costs more than what is read: a thread to wake, a transaction, a look at whether the files are still those that
//! are open. So whoever asks puts the question into a queue, and a reader takes as many as wait and answers them from one
//! state of the file. Alone, a question is read at once; a second reader comes only where one is behind.

use std::{collections::VecDeque, mem, sync::Arc};

use ldop_types::TimestampMs;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Ask, MOST_FOUND, MOST_KEYS, NoAnswer, Plan, Shown,
    seal::Name,
    store::{Answered, Fault, READERS, Store},
};

/// Most questions of one read.
const TOGETHER: usize = 64;

/// A look-up, with names for its keys.
pub(super) enum Question {
    Names(Vec<Name>),
    /// A secondary key.
    Secondary {
        name: Name,
        /// Most records to find.
        most: usize,
        /// Of those that may be shown; none: of all.
        shown: Option<Arc<Shown>>,
    },
    /// What held at a time.
    AsOf {
        names: Vec<Name>,
        time: TimestampMs,
    },
}

impl Question {
    pub(super) fn new(plan: &Plan, store: &Store, ask: &Ask, shown: Option<&Arc<Shown>>) -> Result<Self, NoAnswer> {
        match ask {
            Ask::Keys(keys) | Ask::AsOf { keys, .. } if keys.len() > MOST_KEYS => {
                Err(NoAnswer::TooMuch { most: MOST_KEYS })
            }
            Ask::Keys(keys) => Ok(Self::Names(keys.iter().map(|key| store.sealer.name(0, key)).collect())),
            Ask::AsOf { .. } if !plan.shape.history => Err(NoAnswer::NoHistory),
            Ask::AsOf { keys, time } => {
                Ok(Self::AsOf { names: keys.iter().map(|key| store.sealer.name(0, key)).collect(), time: *time })
            }
            Ask::Secondary { most, .. } if *most > MOST_FOUND => Err(NoAnswer::TooMuch { most: MOST_FOUND }),
            Ask::Secondary { fields, key, most } => {
                let at = plan.secondary.iter().position(|known| known == fields).ok_or(NoAnswer::NoSuchKey)?;
                let of = u8::try_from(at + 1).map_err(|_| NoAnswer::NoSuchKey)?;
                Ok(Self::Secondary { name: store.sealer.name(of, key), most: *most, shown: shown.cloned() })
            }
        }
    }
}

struct Waiting {
    store: Arc<Store>,
    question: Question,
    tell: oneshot::Sender<Result<Answered, Fault>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    readers: usize,
}

/// The questions of one copy.
#[derive(Default)]
pub(super) struct Reading(Mutex<State>);

impl Reading {
    /// Reads the answer to a question. Dropped, it is not read, or not told.
    pub(super) async fn answer(self: &Arc<Self>, store: Arc<Store>, question: Question) -> Result<Answered, Fault> {
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.0.lock();
            state.waiting.push_back(Waiting { store, question, tell });
            let is_behind = state.waiting.len() > TOGETHER && state.readers < READERS;
            if state.readers == 0 || is_behind {
                state.readers += 1;
                let reader = Reader(Arc::clone(self));
                tokio::task::spawn_blocking(move || reader.read());
            }
        }
        // Without an answer the runtime is ending, or the reader has panicked.
        told.await.unwrap_or(Err(Fault::Stopped))
    }
}

/// One that reads until nothing waits. Counted in [`State::readers`].
struct Reader(Arc<Reading>);

impl Reader {
    fn read(self) {
        while let Some((store, waiting)) = self.next() {
            let (questions, tell): (Vec<_>, Vec<_>) =
                waiting.into_iter().map(|waiting| (waiting.question, waiting.tell)).unzip();
            match store.answer(&questions) {
                Ok(answered) => {
                    for (tell, answered) in tell.into_iter().zip(answered) {
                        let _ = tell.send(Ok(answered));
                    }
                }
                Err(fault) => {
                    for tell in tell {
                        let _ = tell.send(Err(fault.clone()));
                    }
                }
            }
        }
        // It counted itself out when it found nothing.
        mem::forget(self);
    }

    /// The questions that wait for one file, but for those whose caller has gone.
    fn next(&self) -> Option<(Arc<Store>, Vec<Waiting>)> {
        let mut state = self.0.0.lock();
        state.waiting.retain(|waiting| !waiting.tell.is_closed());
        let Some(store) = state.waiting.front().map(|first| Arc::clone(&first.store)) else {
            state.readers -= 1;
            return None;
        };
        let is_of_it = |waiting: &&Waiting| Arc::ptr_eq(&waiting.store, &store);
        let many = state.waiting.iter().take(TOGETHER).take_while(is_of_it).count();
        Some((store, state.waiting.drain(..many).collect()))
    }
}

/// Only where it could not begin, or panicked: whoever waits hears that nobody reads, rather than nothing.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.readers -= 1;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }
}

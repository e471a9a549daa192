//! A batch on its way, and what its reports add up to.

use std::sync::{Arc, atomic::Ordering};

use parking_lot::Mutex;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot;

use super::{Course, Room};
use crate::port::{Appended, LogError, Offset};

/// What became of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Written at this offset.
    Written(Offset),
    /// Refused by client or broker for what it is; it is not on the log and never will be.
    Refused(String),
    /// Too large for the topic; not on the log.
    TooLarge,
    /// May or may not be on the log.
    Unclear(String),
}

impl Fate {
    /// An acknowledgement. Without an offset it says only "written once before" (duplicate sequence number).
    pub(super) fn acknowledged(offset: i64) -> Self {
        match Offset::try_from(offset) {
            Ok(offset) => Self::Written(offset),
            Err(_) => Self::Unclear("acknowledged without an offset".into()),
        }
    }

    /// A failure. Only what a broker refuses for the entry itself, at the first try as at any other, is surely not on
    /// the log: whether an earlier try of anything else was written, librdkafka's binding does not tell.
    pub(super) fn failed(error: &KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => Self::TooLarge,
            Some(
                RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation,
            ) => Self::Refused(error.to_string()),
            _ => Self::Unclear(error.to_string()),
        }
    }
}

/// A batch on its way. Every entry holds it; the last report answers the caller.
#[derive(Debug)]
pub(super) struct Batch {
    course: Arc<Course>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Reports to come.
    left: usize,
    offsets: Vec<Offset>,
    /// The first failure.
    failure: Option<Fate>,
    /// Whether some entry may be on the log.
    written: bool,
    done: Option<oneshot::Sender<Result<Appended, LogError>>>,
    room: Option<Room>,
}

impl Batch {
    pub(super) fn new(
        entries: usize,
        course: Arc<Course>,
        room: Room,
    ) -> (Arc<Self>, oneshot::Receiver<Result<Appended, LogError>>) {
        let (done, answer) = oneshot::channel();
        let offsets = Vec::with_capacity(entries);
        let state = State { left: entries, offsets, failure: None, written: false, done: Some(done), room: Some(room) };
        (Arc::new(Self { course, state: Mutex::new(state) }), answer)
    }

    /// One entry's report.
    pub(super) fn report(&self, fate: Fate) {
        let mut state = self.state.lock();
        state.left -= 1;
        self.note(&mut state, fate);
    }

    /// The client took no more: the last `unsent` entries have not left.
    pub(super) fn cut_short(&self, unsent: usize, error: &KafkaError) {
        let mut state = self.state.lock();
        state.left -= unsent;
        self.note(&mut state, Fate::Refused(error.to_string()));
    }

    fn note(&self, state: &mut State, fate: Fate) {
        match fate {
            Fate::Written(offset) => {
                state.written = true;
                state.offsets.push(offset);
            }
            failure => {
                state.written |= matches!(failure, Fate::Unclear(_));
                // At once, not when the batch is complete: the next append must not overtake.
                self.course.failed.store(true, Ordering::Release);
                state.failure.get_or_insert(failure);
            }
        }
        if state.left == 0 {
            let answer = self.answer(state);
            state.room = None;
            if let Some(done) = state.done.take() {
                // Nobody waits any more when the caller gave up.
                drop(done.send(answer));
            }
        }
    }

    fn answer(&self, state: &mut State) -> Result<Appended, LogError> {
        let unknown = |detail: String| Err(LogError::Unknown { detail });
        match state.failure.take() {
            None => {}
            Some(failure) if state.written => {
                return match failure {
                    Fate::Refused(detail) | Fate::Unclear(detail) => unknown(detail),
                    Fate::TooLarge | Fate::Written(_) => {
                        unknown("a part of the batch is too large for the topic".into())
                    }
                };
            }
            Some(Fate::TooLarge) => {
                let detail = "too large for the topic: raise its max.message.bytes".into();
                return Err(LogError::Unavailable { detail });
            }
            Some(Fate::Refused(detail) | Fate::Unclear(detail)) => return Err(LogError::Unavailable { detail }),
            Some(Fate::Written(_)) => {}
        }
        let mut offsets = std::mem::take(&mut state.offsets);
        // The partition keeps the order of sending, so offsets in order belong to the entries in order. Reports come in
        // order too; this costs one pass and makes the promise independent of it.
        offsets.sort_unstable();
        if let Some(last) = offsets.last() {
            self.course.line.reach(last + 1);
        }
        if offsets.is_sorted_by(|a, b| a < b) && !self.course.failed.load(Ordering::Acquire) {
            return Ok(Appended { offsets });
        }
        unknown("an earlier batch of this appender failed while this one was on its way".into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::{super::InFlight, *};

    struct Case {
        batch: Arc<Batch>,
        answer: oneshot::Receiver<Result<Appended, LogError>>,
        course: Arc<Course>,
        in_flight: Arc<InFlight>,
    }

    fn case(entries: usize) -> Case {
        let in_flight = Arc::new(InFlight { limit: 10, taken: AtomicUsize::new(0), empty: tokio::sync::Notify::new() });
        let course = Arc::new(Course { failed: AtomicBool::new(false), line: Arc::default() });
        let room = in_flight.take(10).unwrap();
        let (batch, answer) = Batch::new(entries, Arc::clone(&course), room);
        Case { batch, answer, course, in_flight }
    }

    fn refused() -> KafkaError {
        KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed)
    }

    #[test]
    fn the_last_report_answers_and_gives_room_back() {
        let mut case = case(2);
        assert!(matches!(case.in_flight.take(1), Err(LogError::Full)));
        case.batch.report(Fate::acknowledged(7));
        assert!(case.answer.try_recv().is_err(), "answered too early");
        case.batch.report(Fate::acknowledged(9));
        assert_eq!(case.answer.try_recv().unwrap().unwrap().offsets, [7, 9]);
        assert_eq!(case.course.line.end(), 10);
        case.in_flight.take(1).unwrap();
    }

    #[test]
    fn an_acknowledgement_without_an_offset_is_unknown() {
        let mut case = case(2);
        case.batch.report(Fate::acknowledged(7));
        case.batch.report(Fate::acknowledged(-1001));
        assert!(matches!(case.answer.try_recv().unwrap(), Err(LogError::Unknown { .. })));
        assert!(case.course.failed.load(Ordering::Relaxed));
    }

    #[test]
    fn refused_as_a_whole_is_unavailable_and_in_part_unknown() {
        let mut whole = case(2);
        whole.batch.report(Fate::failed(&refused()));
        whole.batch.report(Fate::failed(&refused()));
        assert!(matches!(whole.answer.try_recv().unwrap(), Err(LogError::Unavailable { .. })));

        let mut part = case(2);
        part.batch.report(Fate::acknowledged(1));
        part.batch.report(Fate::failed(&refused()));
        assert!(matches!(part.answer.try_recv().unwrap(), Err(LogError::Unknown { .. })));

        let purged = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight);
        let mut unclear = case(1);
        unclear.batch.report(Fate::failed(&purged));
        assert!(matches!(unclear.answer.try_recv().unwrap(), Err(LogError::Unknown { .. })));
    }

    #[test]
    fn a_batch_the_client_took_in_part_is_unknown_and_not_at_all_unavailable() {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        let mut part = case(3);
        part.batch.cut_short(2, &full);
        part.batch.report(Fate::acknowledged(4));
        assert!(matches!(part.answer.try_recv().unwrap(), Err(LogError::Unknown { .. })));

        let mut none = case(3);
        none.batch.cut_short(3, &full);
        assert!(matches!(none.answer.try_recv().unwrap(), Err(LogError::Unavailable { .. })));
    }

    #[test]
    fn a_batch_behind_a_failed_one_is_unknown_although_written() {
        let mut case = case(1);
        case.course.failed.store(true, Ordering::Relaxed);
        case.batch.report(Fate::acknowledged(7));
        assert!(matches!(case.answer.try_recv().unwrap(), Err(LogError::Unknown { .. })));
    }
}

//! Asking brokers where partitions begin and end.
//!
//! Hundreds of readers may ask at the same moment, so questions of one kind go out together: those that arrive while a
//! request is under way share the next one.

use std::{
    collections::HashMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ldop_types::TimestampMs;
use parking_lot::{Condvar, Mutex};
use rdkafka::{
    Offset as Place, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio::sync::oneshot;

use super::context::Context;
use crate::port::{LogError, Offset, Partition, Watermarks};

/// One thread may wait for a partition without a leader while the others go on.
const THREADS: usize = 3;
/// Pause before a question is asked again.
const RETRY: Duration = Duration::from_millis(50);

/// What is asked about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Question {
    Start,
    End,
    /// First entry at or after a time.
    At(TimestampMs),
}

impl Question {
    /// As the request has it.
    fn place(self) -> Place {
        match self {
            Self::Start => Place::Beginning,
            Self::End => Place::End,
            // Negative numbers mean other questions, and Kafka has no time before 1970.
            Self::At(time) => Place::Offset(time.0.max(0)),
        }
    }
}

type Answer = Result<Option<Offset>, LogError>;
/// Questions of one kind, by partition, with everybody who asked.
type Asks = HashMap<Partition, (Question, Vec<oneshot::Sender<Answer>>)>;

struct Ask {
    partition: Partition,
    question: Question,
    reply: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Desk {
    asks: Mutex<Option<Vec<Ask>>>,
    bell: Condvar,
}

/// Answers questions about offsets.
pub(super) struct Offsets {
    desk: Arc<Desk>,
}

impl Offsets {
    pub(super) fn start(consumer: &Arc<BaseConsumer<Context>>, timeout: Duration) -> std::io::Result<Self> {
        let desk = Arc::new(Desk { asks: Mutex::new(Some(Vec::new())), bell: Condvar::new() });
        for _ in 0..THREADS {
            let (desk, consumer) = (Arc::clone(&desk), Arc::clone(consumer));
            thread::Builder::new().name("kafka-offsets".into()).spawn(move || {
                while let Some(asks) = desk.next() {
                    ask(&consumer, asks, timeout);
                }
            })?;
        }
        Ok(Self { desk })
    }

    /// Start of a partition.
    pub(super) async fn start_of(&self, partition: &Partition) -> Result<Offset, LogError> {
        Ok(self.ask(partition, Question::Start).await?.unwrap_or_default())
    }

    /// End of a partition.
    pub(super) async fn end_of(&self, partition: &Partition) -> Result<Offset, LogError> {
        Ok(self.ask(partition, Question::End).await?.unwrap_or_default())
    }

    /// Both ends of a partition.
    pub(super) async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, LogError> {
        let (start, end) = tokio::try_join!(self.start_of(partition), self.end_of(partition))?;
        // Two requests: retention may have moved the start past an end that was read before.
        Ok(Watermarks { start, end: end.max(start) })
    }

    /// First entry at or after `time`, if there is one.
    pub(super) async fn at(&self, partition: &Partition, time: TimestampMs) -> Result<Option<Offset>, LogError> {
        self.ask(partition, Question::At(time)).await
    }

    /// Waits until all of these partitions answer, as often as the timeout passes.
    pub(super) async fn wait_for(&self, mut partitions: Vec<Partition>, rounds: u32) -> Result<(), LogError> {
        let mut last = Ok(());
        for _ in 0..rounds {
            let asked: Vec<_> = partitions.iter().map(|p| self.submit(p.clone(), Question::End)).collect();
            let mut silent = Vec::new();
            for (partition, answer) in partitions.into_iter().zip(asked) {
                match answer.await.unwrap_or(Err(LogError::Closed)) {
                    Ok(_) => {}
                    Err(LogError::Closed) => return Err(LogError::Closed),
                    Err(error) => {
                        last = Err(error);
                        silent.push(partition);
                    }
                }
            }
            if silent.is_empty() {
                return Ok(());
            }
            partitions = silent;
        }
        last
    }

    async fn ask(&self, partition: &Partition, question: Question) -> Answer {
        self.submit(partition.clone(), question).await.unwrap_or(Err(LogError::Closed))
    }

    /// Puts a question. Dropped unanswered when the desk is closed.
    fn submit(&self, partition: Partition, question: Question) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        if let Some(asks) = &mut *self.desk.asks.lock() {
            asks.push(Ask { partition, question, reply });
        }
        self.desk.bell.notify_one();
        answer
    }

    /// Ends the threads; questions still open are answered with `Closed`.
    pub(super) fn stop(&self) {
        *self.desk.asks.lock() = None;
        self.desk.bell.notify_all();
    }
}

impl Drop for Offsets {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    /// Waits for questions and takes those that fit in one request: all of one kind, and one time for each partition.
    fn next(&self) -> Option<Asks> {
        let mut asks = self.asks.lock();
        let open = loop {
            match asks.as_mut() {
                None => return None,
                Some(open) if open.is_empty() => self.bell.wait(&mut asks),
                Some(open) => break open,
            }
        };
        let kind = std::mem::discriminant(&open[0].question);
        let mut taken = Asks::new();
        let mut left = Vec::new();
        for ask in open.drain(..) {
            let together = std::mem::discriminant(&ask.question) == kind
                && taken.get(&ask.partition).is_none_or(|(question, _)| *question == ask.question);
            if together {
                taken.entry(ask.partition).or_insert((ask.question, Vec::new())).1.push(ask.reply);
            } else {
                left.push(ask);
            }
        }
        *open = left;
        if !open.is_empty() {
            self.bell.notify_one();
        }
        Some(taken)
    }
}

/// Asks and answers. What fails because a partition is just moving is asked again until `timeout` has passed.
fn ask(consumer: &BaseConsumer<Context>, mut asks: Asks, timeout: Duration) {
    let start = Instant::now();
    loop {
        let left = timeout.saturating_sub(start.elapsed());
        let answers = ask_once(consumer, &asks, left.max(RETRY));
        for (partition, answer) in answers {
            if answer.as_ref().is_err_and(is_passing) && left > RETRY {
                continue;
            }
            let answer = answer.map_err(|error| failed(&partition, &error));
            for reply in asks.remove(&partition).into_iter().flat_map(|(_, replies)| replies) {
                // Nobody waits any more when the caller gave up.
                drop(reply.send(answer.clone()));
            }
        }
        let Some(partition) = asks.keys().next() else { return };
        thread::park_timeout(RETRY);
        // The leader, or its epoch, is another now; librdkafka learns it from metadata.
        let left = timeout.saturating_sub(start.elapsed());
        drop(consumer.fetch_metadata(Some(partition.topic.as_str()), left.max(RETRY)));
    }
}

/// Sends one request for each leader concerned.
fn ask_once(
    consumer: &BaseConsumer<Context>,
    asks: &Asks,
    timeout: Duration,
) -> Vec<(Partition, KafkaResult<Option<Offset>>)> {
    let mut list = TopicPartitionList::with_capacity(asks.len());
    let mut set = Ok(());
    for (partition, (question, _)) in asks {
        let index = i32::try_from(partition.index).unwrap_or(i32::MAX);
        set = set.and(list.add_partition_offset(partition.topic.as_str(), index, question.place()));
    }
    let found = set.and_then(|()| consumer.offsets_for_times(list, timeout));
    let answer = |partition: &Partition| {
        let list = found.as_ref().map_err(KafkaError::clone)?;
        let missing = KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition);
        let element = list.find_partition(partition.topic.as_str(), partition.index as i32).ok_or(missing)?;
        element.error()?;
        match element.offset() {
            Place::Offset(offset) => Ok(Offset::try_from(offset).ok()),
            _ => Ok(None),
        }
    };
    asks.keys().map(|partition| (partition.clone(), answer(partition))).collect()
}

/// Whether an error comes from a partition moving to another leader or a connection just lost. Brokers that have just
/// started may not know a topic yet, so that it is unknown must be heard until the time is up.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerNotAvailable
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::FencedLeaderEpoch
                | RDKafkaErrorCode::LeaderNotAvailable
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::OffsetNotAvailable
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::ReplicaNotAvailable
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::UnknownLeaderEpoch
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}

/// A failed question about a partition in the port's words.
pub(super) fn failed(partition: &Partition, error: &KafkaError) -> LogError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition,
        ) => LogError::UnknownPartition { partition: partition.clone() },
        _ => LogError::Unavailable { detail: format!("{partition}: {error}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::TopicName;

    fn ask(topic: &str, question: Question) -> Ask {
        let partition = Partition { topic: TopicName::parse(topic).unwrap(), index: 0 };
        Ask { partition, question, reply: oneshot::channel().0 }
    }

    #[test]
    fn questions_of_one_kind_go_together_and_a_partition_has_one_time() {
        use Question::{At, End, Start};
        let asks = vec![
            ask("a", End),
            ask("b", Start),
            ask("b", End),
            ask("a", End),
            ask("a", At(TimestampMs(5))),
            ask("a", At(TimestampMs(6))),
        ];
        let desk = Desk { asks: Mutex::new(Some(asks)), bell: Condvar::new() };
        let sizes = std::iter::from_fn(|| {
            if desk.asks.lock().as_ref().unwrap().is_empty() {
                return None;
            }
            desk.next().map(|taken| taken.values().map(|(_, replies)| replies.len()).collect::<Vec<_>>())
        });
        let mut sizes: Vec<_> = sizes.collect();
        sizes.iter_mut().for_each(|s| s.sort_unstable());
        assert_eq!(sizes, [vec![1, 2], vec![1], vec![1], vec![1]]);
    }
}

//! Asking brokers where partitions begin and end.
//!
//! Hundreds of readers may ask at the same moment, so questions of one kind go out together: those that arrive while a
//! request is under way share the next one. librdkafka answers a request as a whole, so one partition without a leader,
//! or one dead broker, would hold up all the others: what failed is asked again apart, by leader.

use std::{
    collections::{HashMap, HashSet},
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
    metadata::Metadata,
};
use tokio::sync::oneshot;

use super::context::Context;
use crate::port::{LogError, Offset, Partition, Watermarks};

/// Some threads may wait for a dead broker or a partition without a leader while another goes on.
const THREADS: usize = 4;
/// How long one request may take. A question is asked again until its own time is up.
const ATTEMPT: Duration = Duration::from_secs(1);
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

struct Ask {
    partition: Partition,
    question: Question,
    reply: oneshot::Sender<Answer>,
    deadline: Instant,
}

/// Leader of a partition whose last question failed; [`NO_LEADER`] when it has none or nobody says.
type Suspicion = i32;
const NO_LEADER: Suspicion = -1;

/// Questions waiting for a thread.
#[derive(Default)]
struct Waiting {
    asks: Vec<Ask>,
    /// Partitions whose last question failed.
    suspects: HashMap<Partition, Suspicion>,
    /// Suspicions being asked about: one thread each at most, so that the others stay free.
    busy: HashSet<Suspicion>,
    closed: bool,
}

#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

/// Questions for one request: of one kind, for partitions of one suspicion, each partition once.
struct Round {
    asks: HashMap<Partition, (Question, Vec<Ask>)>,
    suspicion: Option<Suspicion>,
}

/// Answers questions about offsets.
pub(super) struct Offsets {
    desk: Arc<Desk>,
    timeout: Duration,
}

impl Offsets {
    pub(super) fn start(consumer: &Arc<BaseConsumer<Context>>, timeout: Duration) -> std::io::Result<Self> {
        let desk = Arc::new(Desk::default());
        for _ in 0..THREADS {
            let (desk, consumer) = (Arc::clone(&desk), Arc::clone(consumer));
            thread::Builder::new().name("kafka-offsets".into()).spawn(move || {
                while let Some(round) = desk.next() {
                    serve(&desk, &consumer, round);
                }
            })?;
        }
        Ok(Self { desk, timeout })
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
        let deadline = Instant::now() + self.timeout;
        let mut waiting = self.desk.waiting.lock();
        if !waiting.closed {
            waiting.asks.push(Ask { partition, question, reply, deadline });
        }
        drop(waiting);
        self.desk.bell.notify_one();
        answer
    }

    /// Ends the threads; questions still open are answered with `Closed`.
    pub(super) fn stop(&self) {
        let mut waiting = self.desk.waiting.lock();
        waiting.closed = true;
        waiting.asks.clear();
        drop(waiting);
        self.desk.bell.notify_all();
    }
}

impl Drop for Offsets {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Desk {
    /// Waits for questions and takes those that fit in one request. `None` when closed.
    fn next(&self) -> Option<Round> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(round) = waiting.take() {
                if !waiting.asks.is_empty() {
                    self.bell.notify_one();
                }
                return Some(round);
            }
            self.bell.wait(&mut waiting);
        }
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Round> {
        let Self { asks, suspects, busy, .. } = self;
        let suspicion_of = |ask: &Ask| suspects.get(&ask.partition).copied();
        let free = |ask: &&Ask| suspicion_of(ask).is_none_or(|suspicion| !busy.contains(&suspicion));
        // Partitions nothing is held against first.
        let first = asks.iter().filter(free).min_by_key(|ask| suspicion_of(ask).is_some())?;
        let (kind, suspicion) = (std::mem::discriminant(&first.question), suspicion_of(first));
        busy.extend(suspicion);
        let mut round = Round { asks: HashMap::new(), suspicion };
        for ask in std::mem::take(asks) {
            let fits = std::mem::discriminant(&ask.question) == kind
                && suspicion_of(&ask) == suspicion
                && round.asks.get(&ask.partition).is_none_or(|(question, _)| *question == ask.question);
            if fits {
                let entry = round.asks.entry(ask.partition.clone()).or_insert((ask.question, Vec::new()));
                entry.1.push(ask);
            } else {
                asks.push(ask);
            }
        }
        Some(round)
    }
}

/// Asks, answers, and puts back what may be answered another time.
fn serve(desk: &Desk, consumer: &BaseConsumer<Context>, round: Round) {
    let Round { mut asks, suspicion } = round;
    let answers = ask(consumer, &asks);
    let mut settled = Vec::new();
    for (partition, answer) in answers {
        let passing = answer.as_ref().is_err_and(is_passing);
        let Some((_, some)) = asks.get_mut(&partition) else { continue };
        let answer = answer.map_err(|error| failed(&partition, &error));
        let (over, open): (Vec<_>, Vec<_>) =
            some.drain(..).partition(|ask| !passing || ask.deadline <= Instant::now() + RETRY);
        for ask in over {
            // Nobody waits any more when the caller gave up.
            drop(ask.reply.send(answer.clone()));
        }
        *some = open;
        if !passing {
            settled.push(partition);
        }
    }
    asks.retain(|_, (_, open)| !open.is_empty());
    let leaders = if asks.is_empty() {
        HashMap::new()
    } else {
        thread::park_timeout(RETRY);
        // The leader, or its epoch, may be another now; librdkafka learns it from metadata, as we do.
        consumer.fetch_metadata(None, ATTEMPT).map(|metadata| leaders(&metadata, &asks)).unwrap_or_default()
    };
    let mut waiting = desk.waiting.lock();
    for partition in settled {
        waiting.suspects.remove(&partition);
    }
    for (partition, (_, open)) in asks {
        let leader = leaders.get(&partition).copied().unwrap_or(NO_LEADER);
        waiting.suspects.insert(partition, leader);
        if !waiting.closed {
            waiting.asks.extend(open);
        }
    }
    if let Some(suspicion) = suspicion {
        waiting.busy.remove(&suspicion);
    }
    drop(waiting);
    desk.bell.notify_one();
}

/// Leaders of the partitions asked about.
fn leaders(metadata: &Metadata, asks: &HashMap<Partition, (Question, Vec<Ask>)>) -> HashMap<Partition, Suspicion> {
    let topics: HashMap<_, _> =
        metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|t| (t.name(), t.partitions())).collect();
    let leader = |p: &Partition| {
        let partition = topics.get(p.topic.as_str())?.iter().find(|one| u32::try_from(one.id()) == Ok(p.index))?;
        Some((p.clone(), partition.leader().max(NO_LEADER)))
    };
    asks.keys().filter_map(leader).collect()
}

/// Sends one request for each leader concerned.
fn ask(
    consumer: &BaseConsumer<Context>,
    asks: &HashMap<Partition, (Question, Vec<Ask>)>,
) -> Vec<(Partition, KafkaResult<Option<Offset>>)> {
    let mut list = TopicPartitionList::with_capacity(asks.len());
    let mut set = Ok(());
    for (partition, (question, _)) in asks {
        let index = i32::try_from(partition.index).unwrap_or(i32::MAX);
        set = set.and(list.add_partition_offset(partition.topic.as_str(), index, question.place()));
    }
    let found = set.and_then(|()| consumer.offsets_for_times(list, ATTEMPT));
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
    use super::{
        Question::{At, End, Start},
        *,
    };
    use crate::port::TopicName;

    fn partition(topic: &str) -> Partition {
        Partition { topic: TopicName::parse(topic).unwrap(), index: 0 }
    }

    fn ask(topic: &str, question: Question) -> Ask {
        Ask { partition: partition(topic), question, reply: oneshot::channel().0, deadline: Instant::now() }
    }

    /// Topics of a round, each as often as it was asked for.
    fn topics(round: Option<Round>) -> String {
        let Some(round) = round else { return "-".into() };
        let mut names: Vec<_> =
            round.asks.values().flat_map(|(_, asks)| asks).map(|ask| ask.partition.topic.as_str().to_owned()).collect();
        names.sort_unstable();
        names.concat()
    }

    #[test]
    fn questions_of_one_kind_go_together_and_a_partition_has_one_time() {
        let asks = vec![
            ask("a", End),
            ask("b", Start),
            ask("b", End),
            ask("a", End),
            ask("a", At(TimestampMs(5))),
            ask("a", At(TimestampMs(6))),
        ];
        let mut waiting = Waiting { asks, ..Waiting::default() };
        let rounds: Vec<_> = (0..5).map(|_| topics(waiting.take())).collect();
        assert_eq!(rounds, ["aab", "b", "a", "a", "-"]);
    }

    #[test]
    fn partitions_that_failed_are_asked_about_apart_by_leader_and_one_request_at_a_time() {
        let asks = ["x", "a", "y", "z", "b"].map(|topic| ask(topic, End));
        let suspects = [("x", 1), ("y", NO_LEADER), ("z", 1)].map(|(topic, leader)| (partition(topic), leader));
        let mut waiting = Waiting { asks: asks.into(), suspects: suspects.into(), ..Waiting::default() };
        assert_eq!(topics(waiting.take()), "ab", "the sound ones first");
        assert_eq!(topics(waiting.take()), "xz");
        assert_eq!(topics(waiting.take()), "y");
        waiting.asks.extend([ask("x", End), ask("a", End)]);
        assert_eq!(topics(waiting.take()), "a");
        assert_eq!(topics(waiting.take()), "-", "broker 1 is being asked");
        waiting.busy.remove(&1);
        assert_eq!(topics(waiting.take()), "x");
    }
}

//! A lane: one librdkafka consumer and the thread that polls it, filling the ranges assigned to it.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use rdkafka::{
    ClientConfig, Message as _, Offset as Place, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};
use tracing::{debug, warn};

use super::{
    board::{Board, HOT, Leave},
    chunk::Filling,
    range::{Push, Range, Ticket},
};
use crate::{
    kafka::context::Context,
    port::{Offset, Partition},
};

/// Messages taken before orders are looked at again.
const BURST: usize = 4096;
/// Librdkafka rings when messages come; this only keeps a lost ring from stalling readers for long.
const DOZE: Duration = Duration::from_millis(100);
/// How long a reader that is slower than the lane is waited for before the lane leaves it, and how often it is looked at.
const PARK: Duration = Duration::from_secs(1);
const PARK_LOOK: Duration = Duration::from_millis(2);
/// A range that holds enough is filled further, up to this many times as much, while readers wait for others of the
/// lane: what they wait for stands behind it in librdkafka's queue, and leaving would mean to fetch all of it again.
const OVERSHOOT: usize = 2;
/// Nobody reads a range any more that nobody has read for so long while entries came for it.
const IDLE: Duration = Duration::from_millis(250);
/// How long a thread without assignments sleeps; it still serves librdkafka's log lines.
const SLEEP: Duration = Duration::from_secs(1);

/// What a lane is told.
#[derive(Debug)]
enum Order {
    Fill { range: Arc<Range>, ticket: Ticket, from: Offset },
    Leave { partition: Partition, ticket: Ticket },
    Stop,
}

/// A lane.
pub(super) struct Lane {
    consumer: Arc<BaseConsumer<Context>>,
    orders: Arc<Mutex<Vec<Order>>>,
    bell: Arc<Bell>,
}

impl Lane {
    /// Starts the lane of this number.
    pub(super) fn start(config: &ClientConfig, number: usize, board: &Arc<Board>) -> KafkaResult<Self> {
        let name = if number == HOT { "reader-hot" } else { "reader-cold" };
        let mut consumer = BaseConsumer::from_config_and_context(config, Context::new(name))?;
        let bell = Arc::new(Bell::default());
        let ring = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || ring.ring());
        let consumer = Arc::new(consumer);
        let orders = Arc::new(Mutex::new(Vec::new()));
        let mut filler = Filler {
            consumer: Arc::clone(&consumer),
            assigned: HashMap::new(),
            filling: Filling::default(),
            current: None,
            full: None,
            number,
            board: Arc::clone(board),
        };
        let (inbox, wake) = (Arc::clone(&orders), Arc::clone(&bell));
        thread::Builder::new()
            .name(format!("kafka-{name}"))
            .spawn(move || filler.run(&inbox, &wake))
            .map_err(|e| KafkaError::ClientCreation(format!("start a thread: {e}")))?;
        Ok(Self { consumer, orders, bell })
    }

    /// The consumer, for questions; it is polled here.
    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        &self.consumer
    }

    /// Fills `range` from `from` on.
    pub(super) fn fill(&self, range: Arc<Range>, ticket: Ticket, from: Offset) {
        self.order(Order::Fill { range, ticket, from });
    }

    /// Ends an assignment.
    pub(super) fn leave(&self, partition: Partition, ticket: Ticket) {
        self.order(Order::Leave { partition, ticket });
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.order(Order::Stop);
    }

    fn order(&self, order: Order) {
        self.orders.lock().push(order);
        self.bell.ring();
    }
}

/// Wakes the thread: for orders, and for librdkafka's queue becoming non-empty.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    waker: Condvar,
}

impl Bell {
    fn ring(&self) {
        let mut rung = self.rung.lock();
        if !*rung {
            *rung = true;
            self.waker.notify_one();
        }
    }

    fn wait(&self, at_most: Duration) {
        let mut rung = self.rung.lock();
        if !*rung {
            self.waker.wait_for(&mut rung, at_most);
        }
        *rung = false;
    }
}

#[derive(Clone)]
struct Assigned {
    range: Arc<Range>,
    ticket: Ticket,
    /// Next offset expected.
    next: Offset,
}

struct Current {
    topic: String,
    index: i32,
    next: Offset,
    /// Whether it is assigned at all; leftovers of partitions given up are skipped.
    wanted: bool,
}

struct Filler {
    consumer: Arc<BaseConsumer<Context>>,
    assigned: HashMap<String, HashMap<i32, Assigned>>,
    filling: Filling,
    /// Whose entries `filling` holds. Kept so that a run of messages of one partition is looked up once.
    current: Option<Current>,
    /// A range that holds enough, since when. Leaving it at once would throw away what librdkafka has read ahead for it;
    /// so nothing is polled for a while, unless somebody waits for another range.
    full: Option<(Assigned, Instant)>,
    number: usize,
    board: Arc<Board>,
}

impl Filler {
    fn run(&mut self, orders: &Mutex<Vec<Order>>, bell: &Bell) {
        loop {
            let taken = std::mem::take(&mut *orders.lock());
            if !taken.is_empty() && !self.obey(taken) {
                return;
            }
            self.sweep();
            if self.is_full() {
                bell.wait(PARK_LOOK);
                continue;
            }
            let drained = self.poll();
            self.hand_over();
            if drained {
                bell.wait(if self.assigned.is_empty() { SLEEP } else { DOZE });
            }
        }
    }

    /// Carries out orders, all assignments of one kind at once. False when told to stop.
    fn obey(&mut self, orders: Vec<Order>) -> bool {
        // The last word on a partition counts; in between, nothing was polled.
        let (mut leave, mut fill) = (TopicPartitionList::new(), HashMap::new());
        for order in orders {
            match order {
                Order::Stop => return false,
                Order::Leave { partition, ticket } => {
                    let key = (partition.topic.as_str().to_owned(), partition.index as i32);
                    if fill.get(&key).is_some_and(|(_, t, _)| *t == ticket) {
                        fill.remove(&key);
                    } else if self.remove(&key.0, key.1, ticket) {
                        leave.add_partition(&key.0, key.1);
                    }
                }
                Order::Fill { range, ticket, from } => {
                    let key = (range.partition.topic.as_str().to_owned(), range.partition.index as i32);
                    fill.insert(key, (range, ticket, from));
                }
            }
        }
        for (topic, index) in fill.keys() {
            if self.assigned.get_mut(topic).and_then(|partitions| partitions.remove(index)).is_some() {
                leave.add_partition(topic, *index);
            }
        }
        self.unassign(&leave);
        let mut list = TopicPartitionList::with_capacity(fill.len());
        for ((topic, index), (range, ticket, from)) in fill {
            let place = Place::Offset(i64::try_from(from).unwrap_or(i64::MAX));
            if let Err(error) = list.add_partition_offset(&topic, index, place) {
                warn!(%topic, index, %error, "cannot read partition");
                continue;
            }
            self.assigned.entry(topic).or_default().insert(index, Assigned { range, ticket, next: from });
        }
        if list.count() > 0
            && let Err(error) = self.consumer.incremental_assign(&list)
        {
            warn!(%error, "cannot assign partitions");
            self.doubt_all();
        }
        true
    }

    /// Forgets an assignment, if it is still that one.
    fn remove(&mut self, topic: &str, index: i32, ticket: Ticket) -> bool {
        let Some(partitions) = self.assigned.get_mut(topic) else { return false };
        if partitions.get(&index).is_none_or(|assigned| assigned.ticket != ticket) {
            return false;
        }
        partitions.remove(&index);
        if partitions.is_empty() {
            self.assigned.remove(topic);
        }
        true
    }

    fn unassign(&self, list: &TopicPartitionList) {
        if list.count() > 0
            && let Err(error) = self.consumer.incremental_unassign(list)
        {
            // What still comes is told apart by its ticket and dropped.
            warn!(%error, "cannot give partitions up");
        }
    }

    /// Takes what librdkafka has. True when it has nothing more.
    fn poll(&mut self) -> bool {
        // A clone, so that a message does not borrow what it is put into.
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..BURST {
            if self.full.is_some() {
                return false;
            }
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => self.stumble(&error),
                None if consumer.context().take_served() => {}
                None => return true,
            }
        }
        false
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, index) = (message.topic(), message.partition());
        let current = match &mut self.current {
            Some(current) if current.index == index && current.topic == topic => current,
            _ => {
                self.hand_over();
                let assigned = self.assigned.get(topic).and_then(|partitions| partitions.get(&index));
                let (next, wanted) = assigned.map_or((0, false), |assigned| (assigned.next, true));
                self.current.insert(Current { topic: topic.to_owned(), index, next, wanted })
            }
        };
        let Ok(offset) = Offset::try_from(message.offset()) else { return };
        if !current.wanted || offset < current.next {
            return;
        }
        if message.headers().is_some() && !copy_headers(message, &mut self.filling) {
            self.filling.abandon();
            self.break_off(topic, index, offset);
            return;
        }
        current.next = offset + 1;
        let timestamp = message.timestamp().to_millis().unwrap_or_default();
        self.filling.entry(offset, timestamp, message.key(), message.payload());
        if self.filling.is_full() {
            self.hand_over();
        }
    }

    /// Gives the entries read so far to their range. What comes next is looked up anew.
    fn hand_over(&mut self) {
        let Some(Current { topic, index, next, .. }) = self.current.take() else { return };
        if self.filling.is_empty() {
            return;
        }
        let chunk = self.filling.take();
        let Some(assigned) = self.assigned.get_mut(&topic).and_then(|partitions| partitions.get_mut(&index)) else {
            return;
        };
        assigned.next = next;
        match assigned.range.push(assigned.ticket, chunk, self.board.ahead()) {
            // A take-over has read what it wanted, say, and records go on coming.
            Push::More | Push::Enough if assigned.range.idle().is_some_and(|idle| idle > IDLE) => {
                self.leave(&topic, index);
            }
            Push::More => {}
            // A stale one was taken away, and the order to leave is on its way.
            Push::Stale => {}
            Push::Enough => self.full = Some((assigned.clone(), Instant::now())),
        }
        self.board.check_budget();
    }

    /// Whether a range still holds enough, so that polling has to wait for its reader. Leaves the range when others
    /// cannot wait, or its reader takes too long.
    fn is_full(&mut self) -> bool {
        let Some((full, since)) = self.full.clone() else { return false };
        let (topic, index) = (full.range.partition.topic.as_str(), full.range.partition.index as i32);
        let is_it = |other: &Assigned| other.ticket == full.ticket;
        let still_here = self.assigned.get(topic).and_then(|partitions| partitions.get(&index)).is_some_and(is_it);
        let ahead = self.board.ahead();
        if still_here && full.range.is_ahead(ahead) {
            let mut others = self.assigned.values().flat_map(HashMap::values).filter(|other| !is_it(other));
            let is_another_awaited = others.any(|other| other.range.is_awaited());
            if since.elapsed() < PARK && !is_another_awaited {
                return true;
            }
            if !is_another_awaited || full.range.is_ahead(2 * OVERSHOOT * ahead) {
                self.leave(topic, index);
            }
        }
        self.full = None;
        false
    }

    /// Leaves what nobody reads.
    fn sweep(&mut self) {
        let mut list = TopicPartitionList::new();
        for Leave { partition, ticket, .. } in self.board.sweep(self.number) {
            if self.remove(partition.topic.as_str(), partition.index as i32, ticket) {
                list.add_partition(partition.topic.as_str(), partition.index as i32);
            }
        }
        self.unassign(&list);
    }

    fn leave(&mut self, topic: &str, index: i32) {
        let Some(Assigned { range, ticket, .. }) = self.assigned.get_mut(topic).and_then(|p| p.remove(&index)) else {
            return;
        };
        if self.assigned.get(topic).is_some_and(HashMap::is_empty) {
            self.assigned.remove(topic);
        }
        range.unfeed(ticket);
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, index);
        self.unassign(&list);
        self.board.freed(&range.partition, ticket);
    }

    /// An entry only another program can have written: a header name that is not text.
    fn break_off(&mut self, topic: &str, index: i32, offset: Offset) {
        self.hand_over();
        if let Some(assigned) = self.assigned.get(topic).and_then(|partitions| partitions.get(&index)) {
            assigned.range.break_off(assigned.ticket, offset, "a header name is not UTF-8".into());
        }
        self.leave(topic, index);
    }

    /// An error came up. librdkafka knows which partition it concerns, its Rust binding does not tell; so everything
    /// this lane fills is put in doubt, given up, and looked into by whoever waits for it.
    fn stumble(&mut self, error: &KafkaError) {
        let concerns_data = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::BadCompression
                    | RDKafkaErrorCode::BadMessage
                    | RDKafkaErrorCode::InvalidMessage
                    | RDKafkaErrorCode::LogTruncation
                    | RDKafkaErrorCode::MessageSizeTooLarge
                    | RDKafkaErrorCode::NotImplemented
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::UnknownPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::Fatal
            )
        );
        if concerns_data {
            debug!(%error, "reading stumbled");
            self.hand_over();
            self.doubt_all();
        }
    }

    fn doubt_all(&mut self) {
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in std::mem::take(&mut self.assigned) {
            for (index, Assigned { range, ticket, .. }) in partitions {
                list.add_partition(&topic, index);
                range.doubt(ticket);
                self.board.freed(&range.partition, ticket);
            }
        }
        self.unassign(&list);
    }
}

/// Copies headers; false when a name is not UTF-8, where the binding panics.
fn copy_headers(message: &BorrowedMessage<'_>, filling: &mut Filling) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            filling.header(header.key, header.value.unwrap_or_default());
        }
    }))
    .is_ok()
}

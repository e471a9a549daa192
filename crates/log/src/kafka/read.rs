//! Reading: many readers, three consumers.
//!
//! A reader asks for entries from an offset on; librdkafka reads partitions ahead from a position. In between stand
//! *ranges*: stretches of a partition held in memory, filled by a *lane* (a consumer and its thread) while somebody
//! reads them. A lane fills at most one range of a partition, so three readers of one partition at three places go on
//! side by side, and further ones take turns. A range that holds enough leaves its lane until its reader has caught up.

mod board;
mod chunk;
mod lane;
mod probe;
mod range;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{ClientConfig, consumer::BaseConsumer, error::KafkaResult};
use tokio::sync::Semaphore;

use self::{
    board::{Board, LANES, Leave},
    lane::Lane,
    probe::Found,
    range::{Feed, Range, Read},
};
use super::{Config, context::Context, offsets::Offsets, produce::Line};
use crate::port::{Fetched, LogError, Offset, Partition};

/// What librdkafka may hold in each lane, KiB: 32 MiB in all.
const QUEUE_KBYTES: [usize; LANES] = [8 << 10, 12 << 10, 12 << 10];
/// How long brokers hold a lane's request while nothing comes. A partition just assigned waits for the request under
/// way, so lanes where partitions come and go keep it short; the hot one asks for hundreds of quiet partitions.
const FETCH_WAIT: [Duration; LANES] = [Duration::from_millis(50), Duration::from_millis(10), Duration::from_millis(10)];
/// How often a reader without a lane looks for one.
const QUEUE_UP: Duration = Duration::from_millis(5);
/// Entries that are there and have not come for so long may be a gap.
const PATIENCE: Duration = Duration::from_millis(500);
/// A lane that stumbles over a partition so often in one call will not read it.
const DOUBTS: u32 = 20;
/// A reader is told that it reached the end from what was learnt no longer ago than this.
const FRESH: Duration = Duration::from_millis(20);

/// The reading half of the engine.
pub(super) struct Reads {
    lanes: [Lane; LANES],
    board: Arc<Board>,
    /// For probes.
    consumer: ClientConfig,
    probes: Arc<Semaphore>,
    timeout: Duration,
    closed: AtomicBool,
}

impl Reads {
    pub(super) fn open(config: &Config, client: &ClientConfig) -> KafkaResult<Self> {
        let board = Arc::new(Board::new(config.read_buffer_bytes));
        let consumer = |lane: usize| config.consumer(client, QUEUE_KBYTES[lane], FETCH_WAIT[lane]);
        let lane = |number: usize| Lane::start(&consumer(number), number, &board);
        Ok(Self {
            lanes: [lane(0)?, lane(1)?, lane(2)?],
            consumer: consumer(1),
            board: Arc::clone(&board),
            probes: Arc::new(Semaphore::new(1)),
            timeout: config.request_timeout,
            closed: AtomicBool::new(false),
        })
    }

    /// All consumers.
    pub(super) fn consumers(&self) -> impl Iterator<Item = &Arc<BaseConsumer<Context>>> {
        self.lanes.iter().map(Lane::consumer)
    }

    /// A consumer for questions: a broker answers a connection's requests in order, and only after the fetch request
    /// that it holds back, which is not long in the last of the cold lanes.
    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        self.lanes[LANES - 1].consumer()
    }

    /// Ends the lanes. Readers are told that the log is closed.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.board.retire_all();
        self.lanes.iter().for_each(Lane::stop);
    }

    /// As [`MessageLog::fetch`](crate::MessageLog::fetch).
    pub(super) async fn fetch(
        &self,
        offsets: &Offsets,
        line: &Line,
        partition: &Partition,
        offset: Offset,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Fetched, LogError> {
        let began = Instant::now();
        let mut reader = Reader {
            reads: self,
            offsets,
            partition,
            at: offset,
            began,
            give_up: began + wait,
            due_since: None,
            fed_since: None,
            patience: PATIENCE,
            doubts: 0,
        };
        let mut range = reader.range().await?;
        let mut waited = false;
        loop {
            if self.closed.load(Ordering::Relaxed) {
                return Err(LogError::Closed);
            }
            match range.read(reader.at, max_bytes)? {
                Read::Gap { next } => reader.at = next,
                Read::Entries { entries, next, drained } => {
                    let (known, learnt) = range.end();
                    let mut end = known.max(line.end()).max(next);
                    self.fill(&range, next >= end);
                    // Entries that came during the call show the end as of then; those held before may not.
                    if drained && next == end && !waited && learnt.elapsed() > FRESH {
                        // With entries in hand, a broker that does not answer is no reason to fail.
                        if let Ok(asked) = offsets.end_of(partition).await {
                            range.note_end(asked);
                            end = end.max(asked);
                        }
                    }
                    return Ok(Fetched { entries, next, end });
                }
                Read::Elsewhere => range = reader.range().await?,
                Read::Nothing => {
                    if let Some(end) = reader.wait(&range).await? {
                        return Ok(Fetched { entries: Vec::new(), next: reader.at, end: end.max(reader.at) });
                    }
                    waited = true;
                }
            }
        }
    }

    /// Gets a range filled, if it wants that and a lane can be had.
    fn fill(&self, range: &Arc<Range>, at_end: bool) {
        if let Some((fill, leave)) = self.board.assign(range, at_end) {
            self.leave(leave);
            self.lanes[fill.lane].fill(Arc::clone(range), fill.ticket, fill.from);
        }
    }

    /// Moves a range whose reader waits at the end to the lane for that.
    fn promote(&self, range: &Arc<Range>) {
        if let Some((fill, leave)) = self.board.promote(range) {
            self.leave(Some(leave));
            self.lanes[fill.lane].fill(Arc::clone(range), fill.ticket, fill.from);
        }
    }

    fn retire(&self, range: &Arc<Range>) {
        self.leave(self.board.retire(range));
    }

    fn leave(&self, leave: Option<Leave>) {
        if let Some(Leave { lane, partition, ticket }) = leave {
            self.lanes[lane].leave(partition, ticket);
        }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.close();
    }
}

/// One call of fetch.
struct Reader<'a> {
    reads: &'a Reads,
    offsets: &'a Offsets,
    partition: &'a Partition,
    /// Where the call stands: the offset asked for, or behind a gap after it.
    at: Offset,
    began: Instant,
    /// When to return without entries.
    give_up: Instant,
    /// Since when entries are known to be there that have not come,
    due_since: Option<Instant>,
    /// and since when a lane is after them.
    fed_since: Option<Instant>,
    patience: Duration,
    /// How often a lane stumbled and nothing was found.
    doubts: u32,
}

impl Reader<'_> {
    /// A range for where the call stands.
    async fn range(&self) -> Result<Arc<Range>, LogError> {
        if let Some(range) = self.reads.board.find(self.partition, self.at) {
            return Ok(range);
        }
        let end = self.check().await?;
        Ok(self.reads.board.open(self.partition, self.at, end))
    }

    /// Asks where the partition begins and ends; gives the end when the call stands in between.
    async fn check(&self) -> Result<Offset, LogError> {
        let ends = self.offsets.watermarks(self.partition).await?;
        if self.at < ends.start || self.at > ends.end {
            let (partition, offset) = (self.partition.clone(), self.at);
            return Err(LogError::OutOfRange { partition, offset, start: ends.start, end: ends.end });
        }
        Ok(ends.end)
    }

    /// Waits for entries where none are held, one step. `Some(end)`: the time is up, and the partition ends here.
    async fn wait(&mut self, range: &Arc<Range>) -> Result<Option<Offset>, LogError> {
        let changed = range.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let _waiting = range.wait();
        let (end, learnt) = range.end();
        let due = end > self.at;
        self.reads.fill(range, !due);
        // Looked at after `changed` was armed: what comes from here on rings.
        let fed = match range.fed() {
            Feed::Doubt => {
                self.doubts += 1;
                if self.doubts > DOUBTS {
                    let detail = format!("{}: reading stumbles again and again at {}", self.partition, self.at);
                    return Err(LogError::Unavailable { detail });
                }
                return self.look_into(range).await.map(|()| None);
            }
            Feed::None => false,
            Feed::Lane(_) => true,
        };
        if !range.is_drained_at(self.at) {
            return Ok(None);
        }
        if due {
            return self.wait_for_due(range, changed, fed).await.map(|()| None);
        }
        (self.due_since, self.fed_since) = (None, None);
        let now = Instant::now();
        let ask = self.give_up.min(learnt + self.reads.timeout);
        if now < ask {
            if fed && ask - now > QUEUE_UP {
                self.reads.promote(range);
            }
            let until = if fed { ask } else { ask.min(now + QUEUE_UP) };
            // Changed or not: the loop looks.
            let _ = tokio::time::timeout_at(until.into(), changed).await;
            return Ok(None);
        }
        if self.give_up <= now && learnt >= self.began {
            return Ok(Some(end));
        }
        let asked = self.offsets.end_of(self.partition).await?;
        range.note_end(asked);
        if asked < self.at {
            self.check().await?;
        }
        let up = self.give_up <= Instant::now() && asked <= self.at && range.is_drained_at(self.at);
        Ok(up.then_some(asked))
    }

    /// Waits for entries that are known to be there.
    async fn wait_for_due(
        &mut self,
        range: &Arc<Range>,
        changed: impl Future<Output = ()>,
        fed: bool,
    ) -> Result<(), LogError> {
        let now = Instant::now();
        let due_since = *self.due_since.get_or_insert(now);
        let until = if fed {
            *self.fed_since.get_or_insert(now) + self.patience
        } else {
            // Waiting for a lane is not waiting for entries.
            self.fed_since = None;
            now + QUEUE_UP
        };
        if tokio::time::timeout_at(until.into(), changed).await.is_ok() {
            return Ok(());
        }
        if due_since.elapsed() > self.reads.timeout {
            self.check().await?;
            let detail = format!("{}: entries from {} on do not come", self.partition, self.at);
            return Err(LogError::Unavailable { detail });
        }
        if fed { self.look_into(range).await } else { Ok(()) }
    }

    /// Finds out why nothing comes: the offset is gone, the end was reached, a gap, damage, or just a slow broker.
    async fn look_into(&mut self, range: &Arc<Range>) -> Result<(), LogError> {
        let checked = self.check().await;
        if let Err(LogError::OutOfRange { .. } | LogError::UnknownPartition { .. }) = checked {
            self.reads.retire(range);
        }
        let end = checked?;
        range.note_end(end);
        if end == self.at {
            range.trust();
            return Ok(());
        }
        let probes = Arc::clone(&self.reads.probes);
        let Ok(permit) = probes.acquire_owned().await else { return Err(LogError::Closed) };
        if range.fed() != Feed::Doubt && !range.is_drained_at(self.at) {
            return Ok(());
        }
        let (config, timeout) = (self.reads.consumer.clone(), self.reads.timeout);
        let (partition, at) = (self.partition.clone(), self.at);
        let probe = tokio::task::spawn_blocking(move || {
            // Kept until the probe has ended, also when the caller goes away: one at a time.
            let _permit = permit;
            probe::probe(&config, &partition, at, timeout)
        });
        match probe.await.map_err(|_| LogError::Closed)? {
            Found::Entry => {
                range.trust();
                self.fed_since = None;
                self.patience *= 2;
                Ok(())
            }
            Found::End => {
                range.trust();
                // Nothing stood between here and the end asked for before.
                range.skip(self.at, end);
                Ok(())
            }
            Found::Altered(detail) => {
                self.reads.retire(range);
                Err(LogError::Altered { partition: self.partition.clone(), offset: self.at, detail })
            }
            Found::Silence(detail) => {
                let detail = format!("{} at {}: {detail}", self.partition, self.at);
                Err(LogError::Unavailable { detail })
            }
        }
    }
}

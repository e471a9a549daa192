//! The partitions of a dataset, each read a chunk ahead: the one buffer that a stream costs for each.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use ldop_catalog::Agreement;
use ldop_log::{Entry, Fetched, LogError, MessageLog, Offset, Partition};
use ldop_types::Reason;
use tracing::warn;

use super::turns::Turns;
use crate::{Exchange, header, header::Reign, index::Position, subscribe::Start};

/// Bytes read at once for one partition.
const CHUNK_BYTES: usize = 512 << 10;
/// How long a read waits at the end of a partition before it is made again.
const WAIT_AT_END: Duration = Duration::from_secs(30);
/// The same for a lane that has an end: what it waits for is on the log already.
const WAIT_BEFORE_END: Duration = Duration::from_secs(1);
/// Pause before a failed read is made again.
const READ_AGAIN: Duration = Duration::from_millis(500);

/// One partition.
pub(crate) struct Lane {
    pub(crate) partition: Partition,
    /// Where the next read begins.
    pub(crate) read: Offset,
    pub(super) reign: Reign,
    pub(super) buffer: VecDeque<Entry>,
    /// Where the consumer stands once the buffer is sent.
    pub(super) buffer_next: Offset,
    reading: bool,
    at_end: bool,
    /// Where it ends; nothing from there on is given.
    end: Option<Offset>,
}

impl Lane {
    /// A lane from a position on.
    pub(crate) fn at(partition: Partition, position: Position) -> Self {
        Self {
            partition,
            read: position.next,
            reign: Reign { epoch: position.epoch },
            buffer: VecDeque::new(),
            buffer_next: position.next,
            reading: false,
            at_end: false,
            end: None,
        }
    }

    /// Where its consumer stands: behind the last record sent.
    pub(crate) fn position(&self) -> Position {
        let next = self.buffer.front().map_or(self.buffer_next, |entry| entry.offset);
        Position { next, epoch: self.reign.epoch }
    }

    /// Where it ends, if it does.
    pub(crate) fn end(&self) -> Option<Offset> {
        self.end
    }

    /// Ends it there.
    pub(crate) fn end_at(&mut self, end: Offset) {
        self.end = Some(end);
        self.at_end = self.read >= end;
    }

    fn take(&mut self, Fetched { mut entries, mut next, end }: Fetched) {
        self.at_end = next >= end;
        if let Some(last) = self.end {
            entries.retain(|entry| entry.offset < last);
            self.at_end = next >= last;
            next = next.min(last);
        }
        self.read = next;
        self.buffer_next = next;
        self.buffer.extend(entries);
    }
}

type Read = BoxFuture<'static, (usize, Result<Fetched, LogError>)>;

/// What is done where the log's retention has passed what was to be read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It goes on at the first entry held.
    GoOn,
    /// It ends with a reason.
    End(Reason),
}

/// All partitions of a dataset.
pub(crate) struct Lanes {
    pub(crate) all: Vec<Lane>,
    log: Arc<dyn MessageLog>,
    turns: Turns,
    reads: FuturesUnordered<Read>,
    turn: usize,
    passed: Passed,
}

impl Lanes {
    /// Lanes over the dataset of an agreement; `known` tells where a partition resumes, `passed` what is done where retention
    /// overtakes it.
    ///
    /// # Errors
    ///
    /// [`Reason::PositionOutOfRange`], [`Reason::LogUnavailable`], [`Reason::Fenced`].
    pub(crate) async fn open(
        exchange: &Exchange,
        agreement: &Agreement,
        start: &Start,
        known: impl Fn(u32) -> Option<Position>,
        passed: Passed,
    ) -> Result<Self, Reason> {
        let partitions = Self::partitions(exchange, agreement).await?;
        let lanes = partitions.into_iter().map(|partition| {
            let resume = known(partition.index);
            async move {
                let position = exchange.start(resume, &partition, start).await?;
                Ok(Lane::at(partition, position))
            }
        });
        Ok(Self::over(exchange, futures::future::try_join_all(lanes).await?, passed))
    }

    /// Lanes that are made already.
    pub(crate) fn over(exchange: &Exchange, all: Vec<Lane>, passed: Passed) -> Self {
        Self {
            all,
            log: exchange.log(),
            turns: exchange.turns.clone(),
            reads: FuturesUnordered::new(),
            turn: 0,
            passed,
        }
    }

    /// The partitions of the agreement's dataset, which are there when this returns.
    ///
    /// # Errors
    ///
    /// [`Reason::DatasetUnknown`], [`Reason::Fenced`] and what else keeps a dataset from being used.
    pub(crate) async fn partitions(exchange: &Exchange, agreement: &Agreement) -> Result<Vec<Partition>, Reason> {
        let writer = exchange.writer(agreement.stage, &agreement.dataset)?;
        match writer.ready().await {
            // A log that takes nothing more, because it is full, may well be read; of one that is away the reads tell.
            Ok(()) | Err(Reason::LogUnavailable) => {}
            Err(reason) => return Err(reason),
        }
        let topic = header::dataset_topic(agreement.stage, &agreement.dataset);
        Ok((0..writer.partitions()).map(|index| Partition { topic: topic.clone(), index }).collect())
    }

    /// Ends each lane where its log ends now.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`].
    pub(crate) async fn end_here(&mut self) -> Result<(), Reason> {
        for lane in &mut self.all {
            let ends = self.log.watermarks(&lane.partition).await.map_err(|error| {
                warn!(partition = %lane.partition, %error, "end of partition not found");
                Reason::LogUnavailable
            })?;
            lane.end_at(ends.end);
        }
        Ok(())
    }

    /// Where the consumer stands in each partition.
    pub(crate) fn positions(&self) -> Vec<(u32, Offset)> {
        self.all.iter().map(|lane| (lane.partition.index, lane.position().next)).collect()
    }

    /// Where each partition ends, as far as they do.
    pub(crate) fn ends(&self) -> Vec<(u32, Offset)> {
        self.all.iter().filter_map(|lane| Some((lane.partition.index, lane.end?))).collect()
    }

    /// Whether everything there is has been cut.
    pub(crate) fn are_at_end(&self) -> bool {
        self.all.iter().all(|lane| lane.at_end && lane.buffer.is_empty())
    }

    /// Whether something is to be cut, and lies so far behind the end that it takes a turn.
    pub(crate) fn is_behind(&self) -> bool {
        self.all.iter().any(|lane| !lane.buffer.is_empty() && (!lane.at_end || lane.end.is_some()))
    }

    /// The next lane that has something in its buffer, each in turn.
    pub(crate) fn next_full(&mut self) -> Option<usize> {
        let count = self.all.len();
        let at = (0..count).map(|step| (self.turn + step) % count).find(|at| !self.all[*at].buffer.is_empty())?;
        self.turn = at + 1;
        Some(at)
    }

    /// Begins to read whatever is empty and may be read.
    pub(crate) fn start_reads(&mut self, may_read: impl Fn(usize) -> bool) {
        for (at, lane) in self.all.iter_mut().enumerate() {
            let is_done = lane.end.is_some() && lane.at_end;
            if lane.reading || is_done || !lane.buffer.is_empty() || !may_read(at) {
                continue;
            }
            lane.reading = true;
            let (log, partition, offset) = (Arc::clone(&self.log), lane.partition.clone(), lane.read);
            let wait = match (lane.end, lane.at_end) {
                (Some(_), _) => WAIT_BEFORE_END,
                (None, true) => WAIT_AT_END,
                (None, false) => Duration::ZERO,
            };
            // Who follows at the end waits for what is not there yet.
            let turns = (!lane.at_end).then(|| self.turns.clone());
            self.reads.push(Box::pin(async move {
                let turn = match &turns {
                    Some(turns) => Some(turns.read().await),
                    None => None,
                };
                let read = log.fetch(&partition, offset, CHUNK_BYTES, wait).await;
                drop(turn);
                if read.as_ref().is_err_and(LogError::is_retryable) {
                    tokio::time::sleep(READ_AGAIN).await;
                }
                (at, read)
            }));
        }
    }

    /// Whether reads are under way.
    pub(crate) fn is_reading(&self) -> bool {
        !self.reads.is_empty()
    }

    /// Takes the next read that is done; waits for ever where none is under way. Safe to drop.
    ///
    /// # Errors
    ///
    /// The reason a stream ends for.
    pub(crate) async fn read(&mut self) -> Result<(), Reason> {
        let Some((at, read)) = self.reads.next().await else { return std::future::pending().await };
        let lane = &mut self.all[at];
        lane.reading = false;
        match read {
            Ok(fetched) => {
                lane.take(fetched);
                Ok(())
            }
            Err(LogError::OutOfRange { start, offset, .. }) if offset < start => {
                warn!(partition = %lane.partition, offset, start, "retention has passed a reader");
                if let Passed::End(reason) = self.passed {
                    return Err(reason);
                }
                lane.read = start;
                lane.buffer_next = start;
                lane.at_end = lane.end.is_some_and(|end| start >= end);
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                warn!(partition = %lane.partition, %error, "partition cannot be read; trying again");
                if matches!(error, LogError::Closed) { Err(Reason::ShuttingDown) } else { Ok(()) }
            }
            Err(error) => {
                tracing::error!(partition = %lane.partition, %error, "partition cannot be read");
                Err(if matches!(error, LogError::Altered { .. }) { Reason::RecordAltered } else { Reason::Internal })
            }
        }
    }
}

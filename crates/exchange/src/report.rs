//! What was exchanged in a period, counted from the log: accepted records from the headers of dataset topics, everything else
//! from the events on `ldop.exchanges`.
//!
//! A [`Reporting`] reads one partition after the other, a chunk at a time, and rests after each chunk as long as it took, as
//! a count of [`codes`](crate::codes) does; the two share one turn. It holds a chunk, a row for each combination of values
//! that was asked for ([`tally::MOST_ROWS`] at most), and what it takes to count an event that stands twice once
//! ([`events`]). Its memory does not grow with the log. Dropping it ends it.
//!
//! Reading begins a day ahead of the period, so that what stands twice across its first moment is known for the second; events
//! are read to the end of the log, because the journal of look-ups may have brought them there late. No key, no payload,
//! no officer and no case is looked at.

pub mod dimension;
pub mod events;
pub mod tally;
mod window;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use ldop_log::{Entry, LogError, Offset, Partition};
use ldop_types::{DatasetName, Reason, Stage, TimestampMs};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

pub use self::{
    dimension::{Bucket, Dimension},
    tally::{Figures, Row},
};
use self::{
    events::Events,
    tally::{Fact, Tally, TooManyRows},
};
use crate::{
    Exchange, events as log_events,
    header::{self, Reign, Scope, Stamp},
};

/// Bytes read at once: less than a subscriber reads, so that nobody waits long behind it.
const CHUNK_BYTES: usize = 256 << 10;
/// Longest rest after a chunk.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// Longest wait for what has happened to reach the log.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How far clocks of nodes may stand apart, and how long a failed append is tried again.
const MARGIN_MS: i64 = 86_400_000;
/// Entries of a dataset topic that are read ahead of the period, to know whose epoch reigns there.
const AHEAD: u64 = 1_024;

/// What is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// First moment of the period.
    pub from: TimestampMs,
    /// First moment behind it; none: now.
    pub until: Option<TimestampMs>,
    /// What rows are told apart by, in this order.
    pub dimensions: Vec<Dimension>,
    /// Periods that rows are told apart by.
    pub bucket: Option<Bucket>,
}

/// Why there is no report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The question asks for more rows than the hub holds.
    #[error("more than {} rows", tally::MOST_ROWS)]
    TooManyRows,
    /// The log cannot be read.
    #[error("{}", .0.as_str())]
    Log(Reason),
}

impl From<TooManyRows> for ReportError {
    fn from(_: TooManyRows) -> Self {
        Self::TooManyRows
    }
}

impl From<Reason> for ReportError {
    fn from(reason: Reason) -> Self {
        Self::Log(reason)
    }
}

/// Where the log does not reach back to the beginning of the period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Dataset and stage; none: the events.
    pub of: Option<(DatasetName, Stage)>,
    /// When the oldest entry that is left was written.
    pub oldest: Option<TimestampMs>,
}

/// Entries of the period that are in no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassedOver {
    /// Events that stand twice.
    pub repeated: u64,
    /// Events of a newer release.
    pub newer_kind: u64,
    /// Entries that are none of the hub's, or damaged.
    pub unreadable: u64,
}

/// What a partition holds.
enum Holds {
    Events,
    Records(Box<Records>),
}

/// Records of a dataset in a stage.
struct Records {
    dataset: DatasetName,
    stage: Stage,
    owner: String,
    reign: Reign,
}

/// A partition to read, as far as it went when the report began.
struct Part {
    holds: Holds,
    partition: Partition,
    next: Offset,
    end: Offset,
}

/// A report under way.
pub struct Reporting {
    exchange: Arc<Exchange>,
    question: Question,
    /// None until its turn has come.
    turn: Option<OwnedSemaphorePermit>,
    tally: Tally,
    events: Events,
    parts: VecDeque<Part>,
    passed: u64,
    total: u64,
    passed_over: PassedOver,
    gaps: Vec<Gap>,
}

impl Reporting {
    /// Takes the question. Nothing is read yet.
    #[must_use]
    pub fn new(exchange: Arc<Exchange>, question: Question) -> Self {
        let until = question.until.unwrap_or(question.from);
        let tally = Tally::new(question.from, until, &question.dimensions, question.bucket);
        let events = Events::new(&exchange.control.state().catalog);
        Self {
            exchange,
            question,
            turn: None,
            tally,
            events,
            parts: VecDeque::new(),
            passed: 0,
            total: 0,
            passed_over: PassedOver::default(),
            gaps: Vec::new(),
        }
    }

    /// Goes on for a while; tells whether the report is complete. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`ReportError::TooManyRows`]; of reasons [`Reason::LogUnavailable`], [`Reason::RecordAltered`],
    /// [`Reason::ShuttingDown`].
    pub async fn next(&mut self) -> Result<bool, ReportError> {
        if self.turn.is_none() {
            let turns = Arc::clone(&self.exchange.counting);
            let turn = turns.acquire_owned().await.map_err(|_| Reason::ShuttingDown)?;
            self.begin().await?;
            self.turn = Some(turn);
        }
        let began = Instant::now();
        while began.elapsed() < TELL_EVERY {
            let chunk = Instant::now();
            if !self.read_on().await? {
                self.turn = None;
                return Ok(true);
            }
            tokio::time::sleep(chunk.elapsed().min(LONGEST_REST)).await;
        }
        Ok(false)
    }

    /// Entries of the log passed, and to pass in all.
    #[must_use]
    pub fn entries(&self) -> (u64, u64) {
        (self.passed, self.total)
    }

    /// The hub's random id.
    #[must_use]
    pub fn hub_id(&self) -> [u8; 16] {
        self.exchange.control.state().hub_id
    }

    /// The period: its first moment, and the first behind it.
    #[must_use]
    pub fn period(&self) -> (TimestampMs, TimestampMs) {
        self.tally.period()
    }

    /// What was found so far, by bucket and values.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.tally.rows()
    }

    /// Figures of all rows.
    #[must_use]
    pub fn totals(&self) -> Figures {
        self.tally.totals()
    }

    /// What is in no figure.
    #[must_use]
    pub fn passed_over(&self) -> PassedOver {
        let events = self.events.passed_over();
        PassedOver { unreadable: self.passed_over.unreadable + events.unreadable, ..events }
    }

    /// Where the log does not reach back to the beginning of the period.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Waits for what has happened to be on the log, and finds out what there is to read. Begins anew when it is called again.
    async fn begin(&mut self) -> Result<(), Reason> {
        self.exchange.cursors.flush().await?;
        self.exchange.look_ups.settled(LONGEST_WAIT).await;
        let until = self.question.until.unwrap_or(TimestampMs(TimestampMs::now().0.saturating_add(1)));
        self.tally = Tally::new(self.question.from, until, &self.question.dimensions, self.question.bucket);
        (self.parts, self.total, self.passed, self.gaps) = (VecDeque::new(), 0, 0, Vec::new());
        for partition in log_events::partitions() {
            self.add_part(partition, Holds::Events).await?;
        }
        let state = self.exchange.control.state();
        for (name, dataset) in &state.catalog.datasets {
            for stage in [Stage::Testing, Stage::Live] {
                let topic = header::dataset_topic(stage, name);
                for index in 0..dataset.value.definition.partitions {
                    let holds = Holds::Records(Box::new(Records {
                        dataset: name.clone(),
                        stage,
                        owner: dataset.value.owning_agency.to_string(),
                        reign: Reign::default(),
                    }));
                    if !self.add_part(Partition { topic: topic.clone(), index }, holds).await? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes a partition; tells whether it is there.
    async fn add_part(&mut self, partition: Partition, holds: Holds) -> Result<bool, Reason> {
        let log = Arc::clone(&self.exchange.log);
        let failed = |error: LogError| failed(&partition, &error);
        let ends = match log.watermarks(&partition).await {
            Ok(ends) => ends,
            // Nobody has published there yet.
            Err(LogError::UnknownPartition { .. }) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        let (from, until) = self.tally.period();
        if ends.start > 0 {
            self.note_gap(&partition, &holds, (ends.start, ends.end)).await?;
        }
        let early = TimestampMs(from.0.saturating_sub(MARGIN_MS));
        let late = TimestampMs(until.0.saturating_add(MARGIN_MS));
        let (next, end) = match &holds {
            Holds::Events => (log.offset_at(&partition, early).await.map_err(failed)?, ends.end),
            Holds::Records(_) => {
                let first = log.offset_at(&partition, from).await.map_err(failed)?;
                (first.saturating_sub(AHEAD), log.offset_at(&partition, late).await.map_err(failed)?)
            }
        };
        let (next, end) = (next.max(ends.start), end.min(ends.end));
        self.total += end.saturating_sub(next);
        self.parts.push_back(Part { holds, partition, next, end });
        Ok(true)
    }

    /// Notes what retention took of the period, once for each dataset and stage.
    async fn note_gap(
        &mut self,
        partition: &Partition,
        holds: &Holds,
        (start, end): (Offset, Offset),
    ) -> Result<(), Reason> {
        let of = match holds {
            Holds::Events => None,
            Holds::Records(records) => Some((records.dataset.clone(), records.stage)),
        };
        let oldest = if start < end {
            match self.exchange.log.fetch(partition, start, 1, Duration::ZERO).await {
                Ok(fetched) => fetched.entries.first().map(|entry| entry.timestamp),
                Err(LogError::OutOfRange { .. }) => None,
                Err(error) => return Err(failed(partition, &error)),
            }
        } else {
            None
        };
        if oldest.is_some_and(|oldest| oldest <= self.tally.period().0) {
            return Ok(());
        }
        match self.gaps.iter_mut().find(|gap| gap.of == of) {
            Some(gap) => gap.oldest = gap.oldest.max(oldest),
            None => self.gaps.push(Gap { of, oldest }),
        }
        Ok(())
    }

    /// Reads a chunk; tells whether there was any left.
    async fn read_on(&mut self) -> Result<bool, ReportError> {
        let Some(part) = self.parts.front_mut() else { return Ok(false) };
        if part.next >= part.end {
            if matches!(part.holds, Holds::Events) {
                self.events.end_partition(&mut self.tally)?;
            }
            self.parts.pop_front();
            return Ok(true);
        }
        let fetched = match self.exchange.log.fetch(&part.partition, part.next, CHUNK_BYTES, Duration::ZERO).await {
            Ok(fetched) => fetched,
            // Retention has passed the position.
            Err(LogError::OutOfRange { start, offset, .. }) if offset < start => {
                self.passed += start.min(part.end) - offset;
                part.next = start;
                return Ok(true);
            }
            Err(error) => return Err(failed(&part.partition, &error).into()),
        };
        if fetched.next <= part.next {
            warn!(partition = %part.partition, offset = part.next, "no progress while a report was made");
            return Err(Reason::LogUnavailable.into());
        }
        let end = part.end;
        for entry in fetched.entries.iter().take_while(|entry| entry.offset < end) {
            match &mut part.holds {
                Holds::Events => self.events.take(entry, &mut self.tally)?,
                Holds::Records(records) => records.take(entry, &mut self.tally, &mut self.passed_over)?,
            }
        }
        self.passed += fetched.next.min(part.end) - part.next;
        part.next = fetched.next;
        Ok(true)
    }
}

impl Records {
    fn take(&mut self, entry: &Entry, tally: &mut Tally, passed_over: &mut PassedOver) -> Result<(), TooManyRows> {
        let Ok(stamp) = header::stamp(entry) else {
            passed_over.unreadable += u64::from(tally.is_in(entry.timestamp));
            return Ok(());
        };
        // The first entries read may be of an epoch that is over: a record of a later one says so, for its marker stands before it.
        if let Stamp::Record(meta) = &stamp
            && self.reign.epoch.is_some_and(|reigning| reigning < meta.epoch)
        {
            self.reign.epoch = Some(meta.epoch);
        }
        let Some(meta) = self.reign.admits(&stamp) else { return Ok(()) };
        // What the hub itself writes is no record of a provider: an erasure, which has an event.
        if !tally.is_in(meta.accepted_time) || meta.scope == Scope::of_hub(self.stage, &self.dataset) {
            return Ok(());
        }
        let mut fact = Fact::new(meta.accepted_time, Figures { calls: 1, records: 1, refusals: 0 });
        let system = header::source(entry).unwrap_or_default();
        fact.set(Dimension::Dataset, self.dataset.as_str());
        fact.set(Dimension::Stage, self.stage.as_str());
        fact.set(Dimension::ProviderSystem, system);
        fact.set(Dimension::ProviderAgency, events::agency_of(system).unwrap_or(&self.owner));
        fact.set(Dimension::Mode, "publish");
        fact.set(Dimension::Outcome, "accepted");
        tally.take(&fact)
    }
}

fn failed(partition: &Partition, error: &LogError) -> Reason {
    warn!(%partition, %error, "report not made");
    match error {
        LogError::Altered { .. } => Reason::RecordAltered,
        LogError::Closed => Reason::ShuttingDown,
        _ => Reason::LogUnavailable,
    }
}

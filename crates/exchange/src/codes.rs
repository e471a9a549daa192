//! How often codes of a list stand in accepted records: asked before a list changes, answered from the log.
//!
//! A [`Counting`] reads one partition after the other, a chunk at a time, and rests after each chunk as long as it took:
//! it never takes more than half of a core, nor more than one read of the log. One count runs at a time. It holds a chunk
//! and one number for each place and code, so its memory does not grow with the records. Dropping it ends it.
//!
//! Values are judged by the schema version that is in use now. What comes out are counts of codes that the asker named;
//! no key, no payload, and no name that a schema does not have.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use ldop_log::{Entry, LogError, Offset, Partition};
use ldop_schema_registry::{Finder, Limits, Parser};
use ldop_types::{CodeListId, DatasetName, Reason, Stage, TimestampMs};
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::{
    Exchange,
    cipher::{Cipher, Said},
    header::{self, Reign},
};

/// How far back a count looks when nothing is said, days.
pub const DAYS: u32 = 30;
/// The furthest it may look back, days: a little over ten years.
pub const MOST_DAYS: u32 = 3_660;
/// Most codes of one count.
pub const MOST_CODES: usize = 10_000;
/// Bytes read at once: less than a subscriber reads, so that nobody waits long behind it.
const CHUNK_BYTES: usize = 256 << 10;
/// Longest rest after a chunk.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(250);
const DAY_MS: i64 = 86_400_000;

/// What is to be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeQuestion {
    /// The list.
    pub code_list: CodeListId,
    /// Codes of the list.
    pub codes: HashSet<String>,
    /// How far to look back, days by the time of acceptance.
    pub days: u32,
}

/// Records in which a code stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodeCount<'a> {
    /// Dataset.
    pub dataset: &'a DatasetName,
    /// Stage.
    pub stage: Stage,
    /// Pointer within the record, as [`Finder::find`] gives it.
    pub pointer: &'a str,
    /// The code.
    pub code: &'a str,
    /// Number of records.
    pub records: u64,
    /// When the hub accepted the last of them.
    pub last_accepted: TimestampMs,
}

/// A dataset bound to the list, in a stage.
struct Source {
    cipher: Arc<Cipher>,
    dataset: DatasetName,
    stage: Stage,
    finder: Finder,
    partitions: u32,
    records: u64,
    counts: BTreeMap<(String, String), Count>,
}

#[derive(Clone, Copy)]
struct Count {
    records: u64,
    last_accepted: TimestampMs,
    /// The record counted last: a code may stand at several items of one record.
    last: (u32, Offset),
}

/// A partition to read, as far as it went when the count began.
struct Part {
    source: usize,
    partition: Partition,
    next: Offset,
    end: Offset,
    reign: Reign,
}

/// A count under way.
pub struct Counting {
    exchange: Arc<Exchange>,
    codes: HashSet<String>,
    since: TimestampMs,
    sources: Vec<Source>,
    /// None until its turn has come.
    turn: Option<OwnedSemaphorePermit>,
    parts: VecDeque<Part>,
    passed: u64,
    total: u64,
    parser: Parser,
}

impl Counting {
    /// Finds out where the list is bound. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// [`Reason::Internal`]: a schema in use does not compile.
    pub fn new(exchange: Arc<Exchange>, question: &CodeQuestion) -> Result<Self, Reason> {
        let state = exchange.control.state();
        let mut sources = Vec::new();
        for (name, dataset) in &state.catalog.datasets {
            for stage in [Stage::Testing, Stage::Live] {
                let Some(schema) = state.schema(dataset.value.schema.as_str(), stage) else { continue };
                let finder = schema.get()?.finder(|element| element.code_list() == Some(&question.code_list));
                let cipher = exchange.shared.ciphers.of(&header::dataset_topic(stage, name));
                sources.extend(finder.map(|finder| Source {
                    cipher,
                    dataset: name.clone(),
                    stage,
                    finder,
                    partitions: dataset.value.definition.partitions,
                    records: 0,
                    counts: BTreeMap::new(),
                }));
            }
        }
        let since = TimestampMs(exchange.now().0.saturating_sub(i64::from(question.days) * DAY_MS));
        let limits = Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT };
        Ok(Self {
            codes: question.codes.clone(),
            since,
            sources,
            turn: None,
            parts: VecDeque::new(),
            passed: 0,
            total: 0,
            parser: Parser::new(limits),
            exchange,
        })
    }

    /// Goes on for a while; tells whether the count is complete. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`], [`Reason::RecordAltered`], [`Reason::ShuttingDown`].
    pub async fn next(&mut self) -> Result<bool, Reason> {
        if self.turn.is_none() {
            let turns = Arc::clone(&self.exchange.counting);
            let turn = turns.acquire_owned().await.map_err(|_| Reason::ShuttingDown)?;
            let (parts, total) = self.parts().await?;
            (self.parts, self.total, self.turn) = (parts, total, Some(turn));
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

    /// Records looked at.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.sources.iter().map(|source| source.records).sum()
    }

    /// What was found so far, by dataset, stage, pointer and code.
    pub fn counts(&self) -> impl Iterator<Item = CodeCount<'_>> {
        self.sources.iter().flat_map(|source| {
            source.counts.iter().map(|((pointer, code), count)| CodeCount {
                dataset: &source.dataset,
                stage: source.stage,
                pointer,
                code,
                records: count.records,
                last_accepted: count.last_accepted,
            })
        })
    }

    /// Datasets and stages that are bound to the list, and records of each that were looked at.
    pub fn datasets(&self) -> impl Iterator<Item = (&DatasetName, Stage, u64)> {
        self.sources.iter().map(|source| (&source.dataset, source.stage, source.records))
    }

    async fn parts(&self) -> Result<(VecDeque<Part>, u64), Reason> {
        let log = &self.exchange.log;
        let (mut parts, mut total) = (VecDeque::new(), 0);
        for (source, found) in self.sources.iter().enumerate() {
            let topic = header::dataset_topic(found.stage, &found.dataset);
            for index in 0..found.partitions {
                let partition = Partition { topic: topic.clone(), index };
                let end = match log.watermarks(&partition).await {
                    Ok(ends) => ends.end,
                    // Nobody has published there yet.
                    Err(LogError::UnknownPartition { .. }) => break,
                    Err(error) => return Err(failed(&partition, &error)),
                };
                let next = log.offset_at(&partition, self.since).await.map_err(|error| failed(&partition, &error))?;
                total += end.saturating_sub(next);
                parts.push_back(Part { source, partition, next, end, reign: Reign::default() });
            }
        }
        Ok((parts, total))
    }

    /// Reads a chunk; tells whether there was any left.
    async fn read_on(&mut self) -> Result<bool, Reason> {
        let Some(part) = self.parts.front_mut() else { return Ok(false) };
        if part.next >= part.end {
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
            Err(error) => return Err(failed(&part.partition, &error)),
        };
        if fetched.next <= part.next {
            warn!(partition = %part.partition, offset = part.next, "no progress while codes were counted");
            return Err(Reason::LogUnavailable);
        }
        let (source, end) = (&mut self.sources[part.source], part.end);
        for entry in fetched.entries.iter().take_while(|entry| entry.offset < end) {
            source.count(entry, part, &self.codes, &mut self.parser)?;
        }
        self.passed += fetched.next.min(part.end) - part.next;
        part.next = fetched.next;
        Ok(true)
    }
}

impl Source {
    fn count(
        &mut self,
        entry: &Entry,
        part: &mut Part,
        codes: &HashSet<String>,
        parser: &mut Parser,
    ) -> Result<(), Reason> {
        let Ok(stamp) = header::stamp(entry) else { return Ok(()) };
        let Some(meta) = part.reign.admits(&stamp).filter(|meta| !meta.is_deletion) else { return Ok(()) };
        let mut room = Vec::new();
        let document = match self.cipher.read(meta, entry, &mut room) {
            Said::Text(payload) => parser.parse(payload).ok(),
            Said::Erased => return Ok(()),
            Said::Altered => None,
            Said::Unknown => return Err(Reason::LogUnavailable),
        };
        let Some(document) = document else {
            tracing::error!(partition = %part.partition, offset = entry.offset, "accepted record is no JSON any more");
            return Err(Reason::RecordAltered);
        };
        self.records += 1;
        let (at, accepted) = ((part.partition.index, entry.offset), meta.accepted_time);
        let counts = &mut self.counts;
        self.finder.find(
            &document,
            |text| codes.contains(text),
            |pointer, code| {
                let count = counts.entry((pointer, code.to_owned())).or_insert(Count {
                    records: 0,
                    last_accepted: accepted,
                    last: (u32::MAX, Offset::MAX),
                });
                count.records += u64::from(count.last != at);
                count.last = at;
                count.last_accepted = count.last_accepted.max(accepted);
            },
        );
        Ok(())
    }
}

fn failed(partition: &Partition, error: &LogError) -> Reason {
    warn!(%partition, %error, "codes not counted");
    match error {
        LogError::Altered { .. } => Reason::RecordAltered,
        LogError::Closed => Reason::ShuttingDown,
        _ => Reason::LogUnavailable,
    }
}

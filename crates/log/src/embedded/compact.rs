//! Compaction: of each key the latest entry stays.
//!
//! A pass notes the latest offset of every key in the part not yet compacted, then goes through the partition from its
//! start, drops what is outdated and joins what is left into full rows. It works in small steps, each a transaction; a
//! pass that is cut off is simply done again. Tombstones go when they are old enough; by then the entries they outdate
//! are gone, because a pass goes from the oldest entry to the latest.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use ldop_types::TimestampMs;
use rusqlite::Connection;
use tracing::debug;

use super::{
    commit::ROW_TARGET,
    config::Compaction,
    frame::{self, Damage, Frame, Frames, Row},
    read::{self, altered},
    state::Topic,
    store::{self, INSERT_ROW, Kept, Queries, ReadError, RowMeta, row_id},
    upkeep::{STEP_BYTES, STEP_ROWS, Upkeep},
};
use crate::port::{Cleanup, LogError, Offset, Partition};

/// Keys noted in one pass: about 32 MiB. With more, the next pass goes on from there.
const MAX_KEYS: usize = 500_000;
/// Fewer new entries than this, or than entries kept, do not start a pass before `max_delay`.
const WORTH_A_PASS: u64 = 1_000;

/// Hashes of a key under two random seeds: 128 bits, which no sender can make collide.
type KeyHash = (u64, u64);

/// Compacts partitions, one at a time.
#[derive(Default)]
pub(super) struct Compactor {
    seeds: (RandomState, RandomState),
    /// Partitions with damage: told once, left as they are.
    damaged: HashSet<u32>,
}

/// One pass over one partition.
struct Pass<'a> {
    upkeep: &'a Upkeep,
    name: Partition,
    id: u32,
    kept: Kept,
    /// Entries from here on are left alone.
    end: Offset,
    /// Tombstones written before go.
    tombstones_before: i64,
    latest: HashMap<KeyHash, Offset>,
    survivors: u64,
    tombstone: Option<i64>,
    open: Option<Joined>,
    step: Step,
    removed: bool,
}

/// Rows being joined into one.
struct Joined {
    first: Offset,
    last: RowMeta,
    sources: usize,
    dropped: bool,
    latest: i64,
    written: i64,
    frames: Vec<u8>,
}

/// Replacements for one transaction.
#[derive(Default)]
struct Step {
    rows: usize,
    bytes: u64,
    replace: Vec<Replace>,
    next: Offset,
}

/// Rows that begin in `first..=last` give way to one, or to none.
struct Replace {
    first: Offset,
    last: Offset,
    with: Option<(RowMeta, Vec<u8>)>,
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

impl Compactor {
    /// Compacts a partition if it is time to. True when something was removed.
    pub fn compact(
        &mut self,
        upkeep: &Upkeep,
        queries: &mut Queries<'_>,
        topic: &Topic,
        index: u32,
    ) -> Result<bool, LogError> {
        let id = topic.first_partition + index;
        if self.damaged.contains(&id) {
            return Ok(false);
        }
        let result = self.pass(upkeep, queries, topic, index);
        if matches!(result, Err(LogError::Altered { .. })) {
            self.damaged.insert(id);
        }
        result
    }

    fn pass(&self, upkeep: &Upkeep, queries: &mut Queries<'_>, topic: &Topic, index: u32) -> Result<bool, LogError> {
        let (id, name) = (topic.first_partition + index, topic.partition(index));
        let now = TimestampMs::now().0;
        let failed = |e| read::read_error(e, &name, 0);
        let kept = queries.kept(id).map_err(failed)?;
        let Some(last) = queries.last(id).map_err(failed)? else { return Ok(false) };
        let config = match topic.cleanup {
            Cleanup::CompactSoon => {
                Compaction { min_age: Duration::ZERO, max_delay: Duration::ZERO, ..upkeep.compaction }
            }
            _ => upkeep.compaction,
        };
        let young = now.saturating_sub(millis(config.min_age));
        let mut oldest_new = None;
        queries.metas(id, kept.cleaned, |row, _| oldest_new.replace(row).is_some()).map_err(failed)?;
        let end = match oldest_new {
            // The common case, without a search: nothing new is old enough.
            Some(row) if row.written <= young => {
                let first_young = read::first_row(queries, id, kept.cleaned, last.next, |row| row.written > young);
                first_young.map_err(failed)?.map_or(last.next, |row| row.base)
            }
            _ => kept.cleaned,
        };

        let fresh = end - kept.cleaned;
        let worth = fresh >= WORTH_A_PASS.max(kept.survivors);
        let overdue = fresh > 0 && now.saturating_sub(kept.cleaned_at) >= millis(config.max_delay);
        let tombstones_before = now.saturating_sub(millis(config.tombstone_age));
        let tombstones = kept.tombstone.is_some_and(|oldest| oldest < tombstones_before);
        if !worth && !overdue && !tombstones {
            return Ok(false);
        }
        let mut pass = Pass {
            upkeep,
            name,
            id,
            kept,
            end,
            tombstones_before,
            latest: HashMap::new(),
            survivors: 0,
            tombstone: None,
            open: None,
            step: Step::default(),
            removed: false,
        };
        self.note_keys(&mut pass, queries)?;
        self.go_through(&mut pass, queries)?;
        let kept = Kept {
            cleaned: pass.end,
            survivors: pass.survivors,
            cleaned_at: now,
            tombstone: pass.tombstone,
            ..pass.kept
        };
        upkeep.queue.write_blocking(Box::new(move |conn| Ok(kept.save(conn, id)?)))?;
        if pass.removed {
            if let Some(state) = topic.known(index) {
                state.forget_below(pass.end);
            }
            upkeep.reads.forget(id);
            debug!(partition = %pass.name, survivors = pass.survivors, up_to = pass.end, "compacted");
        }
        Ok(pass.removed)
    }

    fn hash(&self, key: &[u8]) -> KeyHash {
        (self.seeds.0.hash_one(key), self.seeds.1.hash_one(key))
    }

    /// Notes the latest offset of each key in the part not yet compacted; cuts the pass short when there are too many.
    fn note_keys(&self, pass: &mut Pass<'_>, queries: &mut Queries<'_>) -> Result<(), LogError> {
        let mut from = pass.kept.cleaned;
        while let Some(rows) = pass.chunk(queries, from)? {
            for (meta, row) in rows {
                from = meta.next;
                for frame in Frames::of(&row, pass.id) {
                    let frame = pass.whole(frame, &row)?;
                    pass.latest.insert(self.hash(frame.key(&row.frames).unwrap_or_default()), frame.offset);
                }
                if pass.latest.len() >= MAX_KEYS {
                    pass.end = from;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Drops what is outdated and joins what is left.
    fn go_through(&self, pass: &mut Pass<'_>, queries: &mut Queries<'_>) -> Result<(), LogError> {
        let mut from = 0;
        while let Some(rows) = pass.chunk(queries, from)? {
            for (meta, row) in rows {
                from = meta.next;
                let mut keep = Vec::new();
                let mut total = 0;
                for frame in Frames::of(&row, pass.id) {
                    let frame = pass.whole(frame, &row)?;
                    total += 1;
                    let key = self.hash(frame.key(&row.frames).unwrap_or_default());
                    let outdated = pass.latest.get(&key).is_some_and(|latest| *latest > frame.offset);
                    let tombstone = frame.is_tombstone(&row.frames);
                    if outdated || (tombstone && meta.written < pass.tombstones_before) {
                        continue;
                    }
                    if tombstone {
                        pass.tombstone = Some(pass.tombstone.map_or(meta.written, |t| t.min(meta.written)));
                    }
                    keep.push(frame);
                }
                pass.survivors += keep.len() as u64;
                pass.join(meta, &row, &keep, keep.len() < total || total == 0)?;
            }
        }
        pass.close_joined()?;
        pass.send()
    }
}

impl Pass<'_> {
    /// The next rows of the pass: some megabytes, so that no read is long.
    fn chunk(&self, queries: &mut Queries<'_>, from: Offset) -> Result<Option<Vec<(RowMeta, Row)>>, LogError> {
        if from >= self.end {
            return Ok(None);
        }
        self.upkeep.go_on()?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let read = queries.rows(self.id, from, self.end, |meta, row| {
            if meta.next > from {
                bytes += row.frames.len() as u64;
                rows.push((meta, row));
            }
            Ok::<_, ReadError>(bytes < STEP_BYTES && rows.len() < STEP_ROWS)
        });
        read.map_err(|e| read::read_error(e, &self.name, from))?;
        Ok((!rows.is_empty()).then_some(rows))
    }

    fn whole(&self, frame: Result<Frame, Damage>, row: &Row) -> Result<Frame, LogError> {
        let frame = frame.and_then(|frame| frame.verify(&row.frames).map(|()| frame));
        frame.map_err(|damage| altered(&self.name, damage))
    }

    fn join(&mut self, meta: RowMeta, row: &Row, keep: &[Frame], dropped: bool) -> Result<(), LogError> {
        let size: usize = keep.iter().map(Frame::stored_len).sum();
        // Offsets in a row are kept as 32-bit distances from its base.
        let fits =
            |open: &Joined| open.frames.len() + size <= ROW_TARGET && u32::try_from(meta.next - open.first).is_ok();
        if self.open.as_ref().is_some_and(|open| !fits(open)) {
            self.close_joined()?;
        }
        let open = self.open.get_or_insert_with(|| Joined {
            first: meta.base,
            last: meta,
            sources: 0,
            dropped: false,
            latest: i64::MIN,
            written: i64::MIN,
            frames: Vec::new(),
        });
        for frame in keep {
            open.latest = open.latest.max(frame.timestamp(&row.frames));
            let copied = frame::copy(frame, &row.frames, open.first, &mut open.frames);
            debug_assert!(copied, "the distance was checked");
        }
        open.last = meta;
        open.sources += 1;
        open.dropped |= dropped;
        open.written = open.written.max(meta.written);
        self.step.rows += 1;
        Ok(())
    }

    fn close_joined(&mut self) -> Result<(), LogError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        if open.sources == 1 && !open.dropped {
            return Ok(());
        }
        self.removed |= open.dropped;
        let with = (!open.frames.is_empty()).then(|| {
            let Joined { first: base, last, latest, written, .. } = open;
            (RowMeta { base, latest, written, ..last }, open.frames)
        });
        self.step.bytes += with.as_ref().map_or(0, |(_, frames)| frames.len() as u64);
        self.step.next = open.last.next;
        self.step.replace.push(Replace { first: open.first, last: open.last.base, with });
        if self.step.bytes >= STEP_BYTES || self.step.rows >= STEP_ROWS {
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), LogError> {
        let step = std::mem::take(&mut self.step);
        if step.replace.is_empty() {
            return Ok(());
        }
        self.kept.next = self.kept.next.max(step.next);
        let (id, kept) = (self.id, self.kept);
        self.upkeep.queue.write_blocking(Box::new(move |conn| Ok(apply(conn, id, &step, &kept)?)))
    }
}

fn apply(conn: &Connection, id: u32, step: &Step, kept: &Kept) -> rusqlite::Result<()> {
    let mut remove = conn.prepare("DELETE FROM rows WHERE id BETWEEN ?1 AND ?2")?;
    let mut insert = conn.prepare(INSERT_ROW)?;
    for Replace { first, last, with } in &step.replace {
        remove.execute([row_id(id, *first), row_id(id, *last)])?;
        if let Some((meta, frames)) = with {
            store::insert_row(&mut insert, meta, frames)?;
        }
    }
    kept.save(conn, id)
}

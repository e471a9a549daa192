//! A stretch of a partition held in memory, and growing at its end while somebody reads it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::chunk::Chunk;
use crate::port::{Entry, LogError, Offset, Partition};

/// Of what may be held unread, this part is kept on top after it was read, for readers close behind,
const BEHIND: usize = 8;
/// and for this long after it came: a reader that begins anew sees what cleanup has left by then.
const KEEP_READ: Duration = Duration::from_secs(1);

/// Identifies one assignment of a range to a lane, so that leftovers of an earlier one are told apart.
pub(super) type Ticket = u64;

/// A stretch of a partition.
#[derive(Debug)]
pub(super) struct Range {
    pub partition: Partition,
    state: Mutex<State>,
    /// Rung when entries came, or nothing more will come from this lane.
    pub changed: Notify,
    /// Bytes held over all ranges.
    total: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    /// Each with the time it came.
    chunks: VecDeque<(Arc<Chunk>, Instant)>,
    /// Covers this and what follows, up to `position`.
    begin: Offset,
    /// Where reading from the broker goes on.
    position: Offset,
    /// Furthest point handed out.
    read_to: Offset,
    bytes: usize,
    /// End of the partition, and when it was learnt.
    end: (Offset, Instant),
    feed: Feed,
    used: Instant,
    waiting: usize,
    /// An entry that cannot be read stands at `position`.
    broken: Option<String>,
    /// Taken out of use; its readers look for another.
    gone: bool,
}

/// Whether a lane fills the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// Nobody does.
    None,
    /// A lane does.
    Lane(Ticket),
    /// A lane met an error that may concern this range; it must be looked into first.
    Doubt,
}

/// What a range has for a reader.
#[derive(Debug)]
pub(super) enum Read {
    /// At least one entry. `drained` when nothing more is held.
    Entries { entries: Vec<Entry>, next: Offset, drained: bool },
    /// No entry stands before `next`, where what is held ends.
    Gap { next: Offset },
    /// The reader stands at the end of what is held.
    Nothing,
    /// This is not the range for that offset.
    Elsewhere,
}

/// What a lane is to do after handing over a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// Go on.
    More,
    /// Enough is held for now.
    Enough,
    /// The range is no longer this lane's.
    Stale,
}

impl Range {
    pub(super) fn new(partition: Partition, at: Offset, end: Offset, total: Arc<AtomicUsize>) -> Arc<Self> {
        let state = State {
            chunks: VecDeque::new(),
            begin: at,
            position: at,
            read_to: at,
            bytes: 0,
            end: (end, Instant::now()),
            feed: Feed::None,
            used: Instant::now(),
            waiting: 0,
            broken: None,
            gone: false,
        };
        Arc::new(Self { partition, state: Mutex::new(state), changed: Notify::new(), total })
    }

    /// How well it serves a reader at `offset`: not at all, by waiting at its end, or at once.
    pub(super) fn serves(&self, offset: Offset) -> u8 {
        let mut state = self.state.lock();
        self.drop_old(&mut state, usize::MAX);
        match state.gone {
            false if offset >= state.begin && offset < state.position => 3,
            false if offset == state.position => 1 + u8::from(state.feed != Feed::None),
            _ => 0,
        }
    }

    /// Whether a reader at `offset` stands at the end of what is held, with nothing to be told.
    pub(super) fn is_drained_at(&self, offset: Offset) -> bool {
        let state = self.state.lock();
        !state.gone && state.position == offset && state.broken.is_none()
    }

    /// Reads what is held from `offset` on.
    pub(super) fn read(&self, offset: Offset, max_bytes: usize) -> Result<Read, LogError> {
        let (chunks, reach, drained) = {
            let mut state = self.state.lock();
            state.used = Instant::now();
            if state.gone || offset < state.begin || offset > state.position {
                return Ok(Read::Elsewhere);
            }
            if offset == state.position {
                return match &state.broken {
                    None => Ok(Read::Nothing),
                    Some(detail) => {
                        let (partition, detail) = (self.partition.clone(), detail.clone());
                        Err(LogError::Altered { partition, offset, detail })
                    }
                };
            }
            let from = state.chunks.partition_point(|(chunk, _)| chunk.next() <= offset);
            let mut bytes = 0;
            let chunks: Vec<_> = state
                .chunks
                .range(from..)
                .take_while(|(chunk, _)| {
                    let more = bytes <= max_bytes;
                    bytes += chunk.bytes();
                    more
                })
                .map(|(chunk, _)| Arc::clone(chunk))
                .collect();
            let drained = from + chunks.len() == state.chunks.len();
            let reach = if drained { state.position } else { chunks.last().map_or(offset, |chunk| chunk.next()) };
            (chunks, reach, drained)
        };
        // Outside the lock: the lane goes on filling while entries are built.
        let mut entries = Vec::new();
        let mut room = max_bytes;
        let all = chunks.iter().all(|chunk| chunk.read(offset, &mut room, &mut entries));
        let next = match entries.last() {
            Some(last) if !all => last.offset + 1,
            _ => reach,
        };
        let mut state = self.state.lock();
        state.read_to = state.read_to.max(next);
        if entries.is_empty() {
            return Ok(Read::Gap { next });
        }
        Ok(Read::Entries { entries, next, drained: drained && all })
    }

    /// Adds a chunk read by a lane under `ticket`. `ahead` is what may be held unread.
    pub(super) fn push(&self, ticket: Ticket, chunk: Chunk, ahead: usize) -> Push {
        let mut state = self.state.lock();
        if !state.is_fed(ticket) {
            return Push::Stale;
        }
        let bytes = chunk.bytes();
        state.position = chunk.next();
        state.bytes += bytes;
        state.chunks.push_back((Arc::new(chunk), Instant::now()));
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.drop_old(&mut state, ahead / BEHIND);
        let enough = state.unread() >= ahead;
        drop(state);
        self.changed.notify_waiters();
        if enough { Push::Enough } else { Push::More }
    }

    /// Whether more than half of `ahead` is still held unread.
    pub(super) fn is_ahead(&self, ahead: usize) -> bool {
        self.state.lock().unread() > ahead / 2
    }

    /// Whether a reader waits for entries that are not held yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.state.lock().waiting > 0
    }

    /// Drops chunks that were read, as far as they are old or more than `keep` bytes.
    fn drop_old(&self, state: &mut State, keep: usize) {
        let mut read = state.bytes - state.unread();
        while let Some((oldest, came)) = state.chunks.front()
            && oldest.next() <= state.read_to
            && (read > keep || came.elapsed() > KEEP_READ)
        {
            let bytes = oldest.bytes();
            state.begin = oldest.next();
            state.bytes -= bytes;
            read -= bytes;
            self.total.fetch_sub(bytes, Ordering::Relaxed);
            state.chunks.pop_front();
        }
    }

    /// Notes that the entry after what is held cannot be read.
    pub(super) fn break_off(&self, ticket: Ticket, offset: Offset, detail: String) {
        let mut state = self.state.lock();
        if state.is_fed(ticket) {
            // Whatever lies between is a gap: entries come in order.
            state.position = offset;
            state.broken = Some(detail);
            state.feed = Feed::None;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether another lane's worth of reading is wanted: somebody asked lately and little is held unread.
    pub(super) fn wants_feed(&self, ahead: usize) -> bool {
        let state = self.state.lock();
        state.feed == Feed::None && !state.gone && state.broken.is_none() && state.unread() < ahead / 2
    }

    /// Puts it on a lane; gives the position to read from. `None` when it is on one, doubted or out of use.
    pub(super) fn feed(&self, ticket: Ticket) -> Option<Offset> {
        let mut state = self.state.lock();
        if state.feed != Feed::None || state.gone {
            return None;
        }
        state.feed = Feed::Lane(ticket);
        Some(state.position)
    }

    /// Puts it from one lane on another; gives the position to read from. `None` when it is no longer on the first.
    pub(super) fn refeed(&self, old: Ticket, new: Ticket) -> Option<Offset> {
        let mut state = self.state.lock();
        if !state.is_fed(old) {
            return None;
        }
        state.feed = Feed::Lane(new);
        Some(state.position)
    }

    /// Takes it off its lane, if it is still on it.
    pub(super) fn unfeed(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if state.is_fed(ticket) {
            state.feed = Feed::None;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// A lane met an error that may concern this range.
    pub(super) fn doubt(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if state.is_fed(ticket) {
            state.feed = Feed::Doubt;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// The doubt was looked into and nothing found.
    pub(super) fn trust(&self) {
        let mut state = self.state.lock();
        if state.feed == Feed::Doubt {
            state.feed = Feed::None;
        }
    }

    /// Who fills it.
    pub(super) fn fed(&self) -> Feed {
        self.state.lock().feed
    }

    /// Moves over a gap: nothing stands between `from`, if that is still the position, and `to`.
    pub(super) fn skip(&self, from: Offset, to: Offset) {
        let mut state = self.state.lock();
        if state.position == from && to > from {
            state.position = to;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes the end of the partition as just learnt.
    pub(super) fn note_end(&self, end: Offset) {
        self.state.lock().end = (end, Instant::now());
    }

    /// End of the partition as far as known, at least what is held; and when it was asked for.
    pub(super) fn end(&self) -> (Offset, Instant) {
        let state = self.state.lock();
        (state.end.0.max(state.position), state.end.1)
    }

    /// How long ago it was read from, unless somebody waits on it.
    pub(super) fn idle(&self) -> Option<Duration> {
        let state = self.state.lock();
        (state.waiting == 0).then(|| state.used.elapsed())
    }

    /// Counts a reader as waiting while the guard lives.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        self.state.lock().waiting += 1;
        Waiting(Arc::clone(self))
    }

    /// Takes it out of use and gives its memory back.
    pub(super) fn retire(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        state.feed = Feed::None;
        state.chunks.clear();
        self.total.fetch_sub(std::mem::take(&mut state.bytes), Ordering::Relaxed);
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        self.total.fetch_sub(self.state.get_mut().bytes, Ordering::Relaxed);
    }
}

impl State {
    fn is_fed(&self, by: Ticket) -> bool {
        !self.gone && self.feed == Feed::Lane(by)
    }

    fn unread(&self) -> usize {
        let unread = self.chunks.iter().rev().take_while(|(chunk, _)| chunk.next() > self.read_to);
        unread.map(|(chunk, _)| chunk.bytes()).sum()
    }
}

/// A reader waits.
#[derive(Debug)]
pub(super) struct Waiting(Arc<Range>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.waiting -= 1;
        state.used = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::{super::chunk::Filling, *};
    use crate::port::TopicName;

    const AHEAD: usize = 1 << 20;

    fn range(at: Offset, end: Offset) -> Arc<Range> {
        let partition = Partition { topic: TopicName::parse("t").unwrap(), index: 0 };
        Range::new(partition, at, end, Arc::default())
    }

    fn chunk(offsets: impl IntoIterator<Item = Offset>) -> Chunk {
        let mut filling = Filling::default();
        for offset in offsets {
            filling.entry(offset, 1, None, Some(&[b'x'; 1000]));
        }
        filling.take()
    }

    fn read(range: &Range, offset: Offset, max_bytes: usize) -> (Vec<Offset>, Offset) {
        match range.read(offset, max_bytes).unwrap() {
            Read::Entries { entries, next, .. } => (entries.iter().map(|e| e.offset).collect(), next),
            Read::Gap { next } => (Vec::new(), next),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_read_across_chunks_as_far_as_room_goes() {
        let range = range(5, 20);
        assert_eq!(range.feed(1), Some(5));
        assert_eq!(range.push(1, chunk([5, 6]), AHEAD), Push::More);
        assert_eq!(range.push(1, chunk([9, 10]), AHEAD), Push::More);
        assert_eq!(read(&range, 5, 3_000), (vec![5, 6, 9], 10));
        assert_eq!(read(&range, 7, AHEAD), (vec![9, 10], 11), "a gap is stepped over");
        assert!(matches!(range.read(11, AHEAD).unwrap(), Read::Nothing));
        assert!(matches!(range.read(4, AHEAD).unwrap(), Read::Elsewhere));
        assert!(matches!(range.read(12, AHEAD).unwrap(), Read::Elsewhere));
        assert_eq!((range.serves(4), range.serves(5), range.serves(11), range.serves(12)), (0, 3, 2, 0));
    }

    #[test]
    fn leftovers_of_an_earlier_assignment_are_dropped() {
        let range = range(0, 10);
        range.feed(1).unwrap();
        range.unfeed(1);
        assert_eq!(range.push(1, chunk([0]), AHEAD), Push::Stale);
        assert_eq!(range.feed(2), Some(0));
        assert_eq!(range.push(1, chunk([0]), AHEAD), Push::Stale);
        assert_eq!(range.push(2, chunk([0]), AHEAD), Push::More);
        assert_eq!(range.refeed(1, 3), None);
        assert_eq!(range.refeed(2, 3), Some(1));
        range.doubt(2);
        assert_eq!(range.fed(), Feed::Lane(3));
    }

    #[test]
    fn enough_is_told_and_what_was_read_goes_first() {
        let range = range(0, 1_000);
        range.feed(1).unwrap();
        let small = 20_000;
        assert_eq!(range.push(1, chunk(0..10), small), Push::More);
        assert_eq!(range.push(1, chunk(10..20), small), Push::Enough);
        assert!(range.is_ahead(small));
        assert_eq!(read(&range, 0, 5_000_000).1, 20);
        assert!(!range.is_ahead(small));
        assert_eq!(range.push(1, chunk(20..30), small), Push::More);
        assert_eq!(range.serves(0), 0, "read, and more than is kept");
        assert_eq!(range.serves(20), 3);
        range.retire();
        assert_eq!(range.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_broken_entry_is_told_once_the_reader_gets_there() {
        let range = range(0, 10);
        range.feed(1).unwrap();
        range.push(1, chunk([0]), AHEAD);
        range.break_off(1, 3, "a header name is not UTF-8".into());
        assert_eq!(read(&range, 0, AHEAD), (vec![0], 3));
        assert!(matches!(range.read(3, AHEAD), Err(LogError::Altered { offset: 3, .. })));
        assert!(!range.wants_feed(AHEAD));
    }

    #[test]
    fn a_gap_at_the_end_is_skipped_unless_entries_came_first() {
        let range = range(0, 10);
        range.feed(1).unwrap();
        range.push(1, chunk([0]), AHEAD);
        range.skip(0, 10);
        assert_eq!(read(&range, 0, AHEAD), (vec![0], 1));
        range.skip(1, 10);
        assert_eq!(read(&range, 1, AHEAD), (vec![], 10));
    }
}

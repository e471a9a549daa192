//! Which ranges there are and which lane fills which: decisions only, the lanes are told by the caller.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::range::{Feed, Range, Ticket};
use crate::port::{Offset, Partition};

/// One lane for readers at the end, the others for those far behind.
pub(super) const LANES: usize = 3;
/// The lane for readers at the end.
pub(super) const HOT: usize = 0;

/// Read ahead of a reader, at least and at most.
const AHEAD: std::ops::RangeInclusive<usize> = 256 << 10..=8 << 20;
/// A reader may keep its lane this long while others wait for it.
const TURN: Duration = Duration::from_millis(100);
/// A range nobody reads gives its lane to whoever wants it after this,
const YIELD: Duration = Duration::from_secs(1);
/// leaves it by itself after this,
const LEAVE: Duration = Duration::from_secs(5);
/// and memory after this.
const FORGET: Duration = Duration::from_secs(30);
/// How often idle ranges are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// All ranges.
#[derive(Debug)]
pub(super) struct Board {
    places: Mutex<Places>,
    /// Bytes held over all ranges, and what may be held.
    held: Arc<AtomicUsize>,
    budget: usize,
    /// Ranges on a lane.
    fed: AtomicUsize,
}

#[derive(Debug)]
struct Places {
    partitions: HashMap<Partition, Place>,
    loads: [usize; LANES],
    tickets: Ticket,
    swept: [Instant; LANES],
}

#[derive(Debug, Default)]
struct Place {
    ranges: Vec<Arc<Range>>,
    /// What each lane fills.
    lanes: [Option<Assignment>; LANES],
}

#[derive(Debug)]
struct Assignment {
    lane: usize,
    range: Arc<Range>,
    ticket: Ticket,
    since: Instant,
}

/// A lane is to fill a range from an offset on.
#[derive(Debug)]
pub(super) struct Fill {
    pub lane: usize,
    pub ticket: Ticket,
    pub from: Offset,
}

/// A lane is to leave a partition.
#[derive(Debug)]
pub(super) struct Leave {
    pub lane: usize,
    pub partition: Partition,
    pub ticket: Ticket,
}

impl Board {
    pub(super) fn new(budget: usize) -> Self {
        let places =
            Places { partitions: HashMap::new(), loads: [0; LANES], tickets: 0, swept: [Instant::now(); LANES] };
        Self { places: Mutex::new(places), held: Arc::default(), budget, fed: AtomicUsize::new(0) }
    }

    /// What a range may hold unread: less when many are read at once.
    pub(super) fn ahead(&self) -> usize {
        let share = self.budget / 2 / self.fed.load(Ordering::Relaxed).max(1);
        share.clamp(*AHEAD.start(), *AHEAD.end())
    }

    /// The best range for a reader at `offset`.
    pub(super) fn find(&self, partition: &Partition, offset: Offset) -> Option<Arc<Range>> {
        self.places.lock().find(partition, offset)
    }

    /// The best range for a reader at `offset`, a new one if there is none. `end` is the partition's, just asked for.
    pub(super) fn open(&self, partition: &Partition, offset: Offset, end: Offset) -> Arc<Range> {
        let mut places = self.places.lock();
        if let Some(range) = places.find(partition, offset) {
            return range;
        }
        let range = Range::new(partition.clone(), offset, end, Arc::clone(&self.held));
        places.partitions.entry(partition.clone()).or_default().ranges.push(Arc::clone(&range));
        range
    }

    /// Puts a range on a lane, if one can be had and the range wants one. May take the lane from another range of the
    /// partition, which it is then to leave.
    pub(super) fn assign(&self, range: &Arc<Range>, at_end: bool) -> Option<(Fill, Option<Leave>)> {
        if !range.wants_feed(self.ahead()) {
            return None;
        }
        let mut places = self.places.lock();
        let Places { partitions, loads, tickets, .. } = &mut *places;
        let place = partitions.get_mut(&range.partition)?;
        let cold = if loads[1] <= loads[2] { [1, 2] } else { [2, 1] };
        let order = if at_end { [HOT, cold[0], cold[1]] } else { [cold[0], cold[1], HOT] };
        let free = order.into_iter().find(|lane| place.lanes[*lane].is_none());
        let now = Instant::now();
        let taken = || {
            order.into_iter().filter(|lane| place.may_yield(*lane, now)).max_by_key(|lane| place.held_for(*lane, now))
        };
        let lane = free.or_else(taken)?;
        let ticket = *tickets + 1;
        // Not when somebody was faster, or when it is in doubt.
        let from = range.feed(ticket)?;
        *tickets = ticket;
        let assignment = Assignment { lane, range: Arc::clone(range), ticket, since: now };
        let leave = place.lanes[lane].replace(assignment).map(|old| {
            old.range.unfeed(old.ticket);
            Leave { lane, partition: range.partition.clone(), ticket: old.ticket }
        });
        if leave.is_none() {
            loads[lane] += 1;
            self.fed.fetch_add(1, Ordering::Relaxed);
        }
        Some((Fill { lane, ticket, from }, leave))
    }

    /// Moves a range from another lane to the hot one, if that has no range of this partition.
    pub(super) fn promote(&self, range: &Arc<Range>) -> Option<(Fill, Leave)> {
        let mut places = self.places.lock();
        let Places { partitions, loads, tickets, .. } = &mut *places;
        let place = partitions.get_mut(&range.partition)?;
        if place.lanes[HOT].is_some() {
            return None;
        }
        let cold = place.lanes.iter().position(|slot| slot.as_ref().is_some_and(|a| Arc::ptr_eq(&a.range, range)))?;
        let old = place.lanes[cold].as_ref()?.ticket;
        let ticket = *tickets + 1;
        // Not when the lane has just left it, or put it in doubt.
        let from = range.refeed(old, ticket)?;
        *tickets = ticket;
        place.lanes[cold] = None;
        let since = Instant::now();
        place.lanes[HOT] = Some(Assignment { lane: HOT, range: Arc::clone(range), ticket, since });
        loads[cold] -= 1;
        loads[HOT] += 1;
        Some((Fill { lane: HOT, ticket, from }, Leave { lane: cold, partition: range.partition.clone(), ticket: old }))
    }

    /// A lane left a partition by itself.
    pub(super) fn freed(&self, partition: &Partition, ticket: Ticket) {
        self.free(&mut self.places.lock(), partition, |assignment| assignment.ticket == ticket);
    }

    /// Takes a range out of use, since what it holds or where it stands can no longer be trusted.
    pub(super) fn retire(&self, range: &Arc<Range>) -> Option<Leave> {
        range.retire();
        let mut places = self.places.lock();
        let leave = self.free(&mut places, &range.partition, |assignment| Arc::ptr_eq(&assignment.range, range));
        places.forget(&range.partition, |other| Arc::ptr_eq(other, range));
        leave
    }

    /// Takes all ranges out of use.
    pub(super) fn retire_all(&self) {
        for place in self.places.lock().partitions.values() {
            place.ranges.iter().for_each(|range| range.retire());
        }
    }

    /// What a lane is to leave because nobody reads it. Also forgets ranges nobody comes back to, and the ones unused
    /// for longest when more is held than may be. Does something once a second only.
    pub(super) fn sweep(&self, lane: usize) -> Vec<Leave> {
        let mut places = self.places.lock();
        if places.swept[lane].elapsed() < SWEEP {
            return Vec::new();
        }
        places.swept[lane] = Instant::now();
        let idle = |assignment: &Assignment| assignment.range.idle().is_some_and(|idle| idle > LEAVE);
        let partitions: Vec<_> = places
            .partitions
            .iter()
            .filter(|(_, place)| place.lanes[lane].as_ref().is_some_and(idle))
            .map(|(partition, _)| partition.clone())
            .collect();
        let mut leaves = Vec::new();
        for partition in partitions {
            let leave = self.free(&mut places, &partition, |assignment| assignment.lane == lane && idle(assignment));
            leaves.extend(leave);
        }
        self.shrink(&mut places);
        leaves
    }

    /// Gives memory back when more is held than may be.
    pub(super) fn check_budget(&self) {
        if self.held.load(Ordering::Relaxed) > self.budget {
            self.shrink(&mut self.places.lock());
        }
    }

    /// Forgets ranges without a lane: those nobody came back to, and while too much is held, those unused for longest.
    /// Ranges on a lane are bounded by [`ahead`](Self::ahead).
    fn shrink(&self, places: &mut Places) {
        let mut idle: Vec<_> = places
            .partitions
            .values()
            .flat_map(|place| &place.ranges)
            .filter(|range| range.fed() == Feed::None)
            .filter_map(|range| Some((range.idle()?, Arc::clone(range))))
            .collect();
        idle.sort_unstable_by_key(|(idle, _)| std::cmp::Reverse(*idle));
        for (idle, range) in idle {
            if idle < FORGET && self.held.load(Ordering::Relaxed) <= self.budget {
                break;
            }
            range.retire();
            places.forget(&range.partition, |other| Arc::ptr_eq(other, &range));
        }
    }

    /// Takes the assignment that fits off its lane.
    fn free(&self, places: &mut Places, partition: &Partition, fits: impl Fn(&Assignment) -> bool) -> Option<Leave> {
        let place = places.partitions.get_mut(partition)?;
        let slot = place.lanes.iter_mut().find(|slot| slot.as_ref().is_some_and(&fits))?;
        let Assignment { range, ticket, lane, .. } = slot.take()?;
        range.unfeed(ticket);
        places.loads[lane] -= 1;
        self.fed.fetch_sub(1, Ordering::Relaxed);
        Some(Leave { lane, partition: partition.clone(), ticket })
    }
}

impl Places {
    fn find(&self, partition: &Partition, offset: Offset) -> Option<Arc<Range>> {
        let ranges = &self.partitions.get(partition)?.ranges;
        let best = ranges.iter().map(|range| (range.serves(offset), range)).max_by_key(|(how_well, _)| *how_well)?;
        (best.0 > 0).then(|| Arc::clone(best.1))
    }

    fn forget(&mut self, partition: &Partition, which: impl Fn(&Arc<Range>) -> bool) {
        if let Some(place) = self.partitions.get_mut(partition) {
            place.ranges.retain(|range| !which(range));
            if place.ranges.is_empty() && place.lanes.iter().all(Option::is_none) {
                self.partitions.remove(partition);
            }
        }
    }
}

impl Place {
    /// Whether the range on this lane has had its turn, or nobody reads it.
    fn may_yield(&self, lane: usize, now: Instant) -> bool {
        let had_its_turn = |a: &Assignment| now - a.since > TURN || a.range.idle().is_some_and(|idle| idle > YIELD);
        self.lanes[lane].as_ref().is_some_and(had_its_turn)
    }

    fn held_for(&self, lane: usize, now: Instant) -> Duration {
        self.lanes[lane].as_ref().map(|assignment| now - assignment.since).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::TopicName;

    fn partition(topic: &str) -> Partition {
        Partition { topic: TopicName::parse(topic).unwrap(), index: 0 }
    }

    /// Lane a range was put on, if any.
    fn lane(assigned: Option<(Fill, Option<Leave>)>) -> Option<usize> {
        assigned.map(|(fill, _)| fill.lane)
    }

    #[test]
    fn readers_at_the_end_get_the_hot_lane_and_others_the_emptier_cold_one() {
        let board = Board::new(64 << 20);
        let open = |topic: &str| board.open(&partition(topic), 0, 10);
        let (a, b, c) = (open("a"), open("b"), open("c"));
        assert_eq!(lane(board.assign(&a, true)), Some(HOT));
        assert_eq!(lane(board.assign(&b, false)), Some(1));
        assert_eq!(lane(board.assign(&c, false)), Some(2));
        assert!(board.assign(&a, true).is_none(), "it is on one");
        assert!(Arc::ptr_eq(&board.find(&partition("a"), 0).unwrap(), &a));
        assert!(board.find(&partition("a"), 1).is_none());
    }

    #[test]
    fn a_partition_has_each_lane_once_and_further_readers_take_turns() {
        let board = Board::new(64 << 20);
        let ranges: Vec<_> = (0..4).map(|at| board.open(&partition("p"), at * 100, 1_000)).collect();
        let lanes: Vec<_> = ranges[..3].iter().map(|range| lane(board.assign(range, false))).collect();
        assert_eq!(lanes, [Some(1), Some(2), Some(HOT)]);
        let _reads: Vec<_> = ranges.iter().map(Range::wait).collect();
        assert!(board.assign(&ranges[3], false).is_none(), "all have just begun");
        let begun = Instant::now();
        let (fill, leave) = loop {
            match board.assign(&ranges[3], false) {
                Some(turn) => break turn,
                None => assert!(begun.elapsed() < Duration::from_secs(10)),
            }
        };
        assert!(begun.elapsed() >= TURN / 2);
        let leave = leave.expect("somebody had to leave");
        assert_eq!((leave.lane, fill.lane), (1, 1), "who was there longest");
        assert_eq!(ranges[0].fed(), Feed::None);
        // What the lane says about the old assignment no longer counts.
        board.freed(&partition("p"), leave.ticket);
        assert_eq!(ranges[3].fed(), Feed::Lane(fill.ticket));
    }

    #[test]
    fn a_reader_that_reached_the_end_moves_to_the_hot_lane_if_that_is_free() {
        let board = Board::new(64 << 20);
        let range = board.open(&partition("p"), 0, 10);
        let (cold, _) = board.assign(&range, false).unwrap();
        let (hot, leave) = board.promote(&range).unwrap();
        assert_eq!((hot.lane, leave.lane, leave.ticket), (HOT, 1, cold.ticket));
        assert!(board.promote(&range).is_none(), "it is there");
        let other = board.open(&partition("p"), 500, 1_000);
        board.assign(&other, false).unwrap();
        assert!(board.promote(&other).is_none(), "the place is taken");
        assert_eq!(board.fed.load(Ordering::Relaxed), 2);
        board.retire(&range);
        board.retire(&other);
        assert_eq!(board.fed.load(Ordering::Relaxed), 0);
        assert!(board.places.lock().partitions.is_empty());
    }

    #[test]
    fn what_may_be_read_ahead_shrinks_with_the_number_of_readers() {
        let board = Board::new(64 << 20);
        assert_eq!(board.ahead(), *AHEAD.end());
        for i in 0..1_000 {
            let range = board.open(&partition(&format!("p{i}")), 0, 10);
            board.assign(&range, false).unwrap();
        }
        assert_eq!(board.ahead(), *AHEAD.start());
    }
}

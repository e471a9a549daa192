//! What it takes to count once what stands on the log twice.

use std::collections::{HashMap, HashSet, VecDeque};

use ldop_log::Offset;

/// Ids of one kind of event that were seen last, in the order of the log.
///
/// The second of two comes when a journal is shipped again or an append is tried again, so between the two there are no more
/// events of the kind than a journal holds: 64 MiB, of events of 100 bytes and more.
#[derive(Debug)]
pub(super) struct Window {
    seen: HashSet<u128>,
    order: VecDeque<u128>,
    most: usize,
}

/// More events than a journal of 64 MiB holds.
pub(super) const MOST_SEEN: usize = 1 << 20;

impl Window {
    pub(super) fn new(most: usize) -> Self {
        Self { seen: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Takes an id; tells whether it is seen for the first time.
    pub(super) fn is_new(&mut self, id: u128) -> bool {
        if !self.seen.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }

    pub(super) fn contains(&self, id: u128) -> bool {
        self.seen.contains(&id)
    }

    pub(super) fn clear(&mut self) {
        self.seen.clear();
        self.order.clear();
    }
}

/// How far the deliveries of one partition to one subscription have been counted.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    from: Offset,
    to: Offset,
    records: u64,
    /// Up to where records were counted before the hub died, and how many of those that are told again.
    covered: Offset,
    credit: u64,
}

/// Deliveries by subscription and partition; as many as there are cursors in memory.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<Box<[u8]>, Lane>);

impl Lanes {
    /// Takes an acknowledged range; tells how many of its records have not been counted. A hub that dies between an event and
    /// the cursor that goes with it tells of the range once more, from where it began, in one or several events.
    pub(super) fn news(&mut self, lane: &[u8], from: Offset, to: Offset, records: u64) -> u64 {
        let Some(known) = self.0.get_mut(lane) else {
            self.0.insert(lane.into(), Lane { from, to, records, ..Lane::default() });
            return records;
        };
        let is_again = from < to && from == known.from && known.from < known.to;
        let goes_on = from < to && from == known.to && from < known.covered;
        if is_again {
            (known.credit, known.covered) = (known.credit + known.records, known.covered.max(known.to));
        } else if !goes_on {
            known.credit = 0;
        }
        let told = known.credit.min(records);
        known.credit -= told;
        if to >= known.covered {
            (known.credit, known.covered) = (0, 0);
        }
        (known.from, known.to, known.records) = (from, to, records);
        records - told
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once_while_it_is_remembered() {
        let mut window = Window::new(2);
        assert!(window.is_new(1) && window.is_new(2));
        assert!(!window.is_new(1) && window.contains(1));
        assert!(window.is_new(3));
        assert!(!window.contains(1), "no more than two are remembered");
        assert!(window.is_new(1));
    }

    #[test]
    fn a_delivery_that_is_told_again_counts_once() {
        let told = |events: &[(Offset, Offset, u64)]| {
            let mut lanes = Lanes::default();
            events.iter().map(|(from, to, records)| lanes.news(b"x", *from, *to, *records)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[(0, 10, 10), (10, 20, 9)]), [10, 9]);
        assert_eq!(told(&[(0, 10, 10), (0, 10, 10), (10, 20, 10)]), [10, 0, 10]);
        assert_eq!(told(&[(0, 10, 10), (0, 30, 30), (30, 31, 1)]), [10, 20, 1], "more in one go");
        assert_eq!(told(&[(0, 10, 10), (0, 4, 4), (4, 12, 8), (12, 13, 1)]), [10, 0, 2, 1], "in several");
        // Whoever reads from the beginning again receives again: his events begin where he stood.
        assert_eq!(told(&[(0, 10, 10), (10, 4, 4), (4, 10, 6)]), [10, 4, 6]);
        let mut lanes = Lanes::default();
        assert_eq!((lanes.news(b"x", 0, 5, 5), lanes.news(b"y", 0, 5, 5)), (5, 5), "each lane for itself");
    }
}

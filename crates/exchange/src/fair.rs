//! Places that systems share: look-ups in flight, questions out at a provider, bytes of records on their way. A system that floods
//! the hub is refused or waits, and whoever comes beside it finds room.
//!
//! Two rules, each for what it is good for ([`Share`]):
//! - **Half is left.** A system that holds some takes more only while it holds no more than is left free afterwards. One alone has half,
//!   two have a third each, and there is always room for one who holds nothing. For what is refused where there is no room.
//! - **Fewest first.** One alone may have all; a place that comes free goes to the one that holds the fewest, and of those to the
//!   one that came first. For what is worth waiting for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ldop_types::SystemId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How places are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// A system leaves as much free as it holds.
    HalfIsLeft,
    /// A system may take all; who holds the fewest is served first.
    FewestFirst,
}

/// Places of one kind.
#[derive(Debug)]
pub struct Places {
    total: usize,
    share: Share,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// By system; those that hold none are not there.
    held: HashMap<SystemId, usize>,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    system: SystemId,
    count: usize,
    tell: oneshot::Sender<Place>,
}

/// Places that a system holds, until this goes.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    system: SystemId,
    count: usize,
}

impl Places {
    /// So many places; at least one.
    #[must_use]
    pub fn new(total: usize, share: Share) -> Arc<Self> {
        Arc::new(Self { total: total.max(1), share, state: Mutex::default() })
    }

    /// Places now, or none. Whoever asks for more than there are asks for all.
    #[must_use]
    pub fn try_take(self: &Arc<Self>, system: &SystemId, count: usize) -> Option<Place> {
        let count = count.clamp(1, self.total);
        let mut state = self.state.lock();
        let is_ahead = |waiting: &Waiting| !waiting.tell.is_closed() && !state.held.contains_key(&waiting.system);
        if state.waiting.iter().any(is_ahead) || !self.has_room(&state, system, count) {
            return None;
        }
        Some(self.seat(&mut state, system.clone(), count))
    }

    /// Waits for places. Whoever asks for more than there are asks for all. Safe to drop.
    pub async fn take(self: &Arc<Self>, system: &SystemId, count: usize) -> Place {
        let count = count.clamp(1, self.total);
        let (tell, told) = oneshot::channel();
        self.state.lock().waiting.push_back(Waiting { system: system.clone(), count, tell });
        self.serve();
        // Nobody takes one that waits away but to serve it.
        told.await.expect("what waits is served")
    }

    /// Whether a place is free for somebody who holds none.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let state = self.state.lock();
        state.used < self.total && state.waiting.is_empty()
    }

    /// How many of those that wait come before a system that would wait now, where the fewest are first.
    #[must_use]
    pub fn ahead_of(&self, system: &SystemId) -> usize {
        let state = self.state.lock();
        let held = |system: &SystemId| state.held.get(system).copied().unwrap_or(0);
        let own = held(system);
        state.waiting.iter().filter(|waiting| !waiting.tell.is_closed() && held(&waiting.system) <= own).count()
    }

    fn has_room(&self, state: &State, system: &SystemId, count: usize) -> bool {
        let free = self.total - state.used;
        match (self.share, state.held.get(system)) {
            (Share::FewestFirst, _) | (_, None) => count <= free,
            (Share::HalfIsLeft, Some(held)) => held + count <= free.saturating_sub(count),
        }
    }

    fn seat(self: &Arc<Self>, state: &mut State, system: SystemId, count: usize) -> Place {
        state.used += count;
        *state.held.entry(system.clone()).or_default() += count;
        Place { places: Arc::clone(self), system, count }
    }

    /// Gives what is free to those that wait.
    fn serve(self: &Arc<Self>) {
        // One at a time: a place whose waiter has gone comes back with the lock free.
        while let Some((tell, place)) = self.next() {
            let _ = tell.send(place);
        }
    }

    fn next(self: &Arc<Self>) -> Option<(oneshot::Sender<Place>, Place)> {
        let mut state = self.state.lock();
        state.waiting.retain(|waiting| !waiting.tell.is_closed());
        let held = |waiting: &Waiting| state.held.get(&waiting.system).copied().unwrap_or(0);
        let at = match self.share {
            // The first of those that are the least, for `min_by_key` tells the first.
            Share::FewestFirst => {
                let least = state.waiting.iter().enumerate().min_by_key(|(_, waiting)| held(waiting));
                least.filter(|(_, waiting)| self.has_room(&state, &waiting.system, waiting.count))
            }
            // Who holds nothing comes first, and what is free is kept until it is enough for it; who holds its share waits.
            Share::HalfIsLeft => {
                let fits = |waiting: &Waiting| self.has_room(&state, &waiting.system, waiting.count);
                let mut all = state.waiting.iter().enumerate();
                let new = all.clone().find(|(_, waiting)| held(waiting) == 0);
                new.or_else(|| all.find(|(_, waiting)| fits(waiting))).filter(|(_, waiting)| fits(waiting))
            }
        };
        let at = at.map(|(at, _)| at)?;
        let Waiting { system, count, tell } = state.waiting.remove(at)?;
        Some((tell, self.seat(&mut state, system, count)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.places.state.lock();
            state.used -= self.count;
            if let Some(held) = state.held.get_mut(&self.system) {
                *held -= self.count;
                if *held == 0 {
                    state.held.remove(&self.system);
                }
            }
        }
        self.places.serve();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn system(name: &str) -> SystemId {
        SystemId::parse(&format!("so-y-te/{name}")).expect("a name")
    }

    fn flood(places: &Arc<Places>, who: &SystemId) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(who, 1)).take(1_000).collect()
    }

    #[test]
    fn whoever_floods_leaves_half_and_who_comes_beside_finds_room() {
        let places = Places::new(12, Share::HalfIsLeft);
        let names = ["a", "b", "c"].map(system);
        let first = flood(&places, &names[0]);
        assert_eq!(first.len(), 6);
        let second = flood(&places, &names[1]);
        assert_eq!(second.len(), 3, "of the half that was left, half");
        let third = places.try_take(&names[2], 1);
        assert!(third.is_some());
        // What goes is there for those that hold less.
        drop(first);
        assert_eq!(flood(&places, &names[2]).len(), 3);
        drop((second, third));
        assert_eq!(flood(&places, &names[1]).len(), 6);
        // One who holds nothing may take all, where nobody else holds anything; more than all is all.
        assert!(places.try_take(&names[0], 500).is_some());
    }

    #[test]
    fn who_waits_with_nothing_comes_before_who_holds_its_share() {
        let places = Places::new(10, Share::HalfIsLeft);
        let [hog, quiet] = ["hog", "quiet"].map(system);
        let mut held = flood(&places, &hog);
        let mut more = Box::pin(places.take(&hog, 1));
        assert!((&mut more).now_or_never().is_none());
        // It needs more than is free, and what comes free is kept for it.
        let mut large = Box::pin(places.take(&quiet, 7));
        assert!((&mut large).now_or_never().is_none());
        held.pop();
        assert!((&mut more).now_or_never().is_none());
        assert!(places.try_take(&hog, 1).is_none() && places.try_take(&system("late"), 1).is_none());
        held.pop();
        let large = (&mut large).now_or_never().expect("seven are free");
        assert!((&mut more).now_or_never().is_none());
        drop(large);
        assert!((&mut more).now_or_never().is_some());
    }

    #[test]
    fn what_comes_free_goes_to_who_holds_the_fewest() {
        let places = Places::new(4, Share::FewestFirst);
        let [hog, quiet, other] = ["hog", "quiet", "other"].map(system);
        let mut held = flood(&places, &hog);
        assert_eq!(held.len(), 4, "alone it may have all");
        let mut line: Vec<_> = (0..50).map(|_| Box::pin(places.take(&hog, 1))).collect();
        assert!(line.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        assert_eq!((places.ahead_of(&hog), places.ahead_of(&quiet)), (50, 0));
        let mut late = Box::pin(places.take(&quiet, 1));
        assert!((&mut late).now_or_never().is_none());
        // One that waited and went holds nobody up.
        let mut gone = Box::pin(places.take(&other, 1));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        held.pop();
        let late = (&mut late).now_or_never().expect("before the fifty");
        assert!(line.iter_mut().all(|waiting| waiting.now_or_never().is_none()));
        held.pop();
        assert!(line.remove(0).now_or_never().is_some(), "then in order");
        drop((late, held, line));
        assert_eq!(flood(&places, &hog).len(), 4, "nothing is lost");
    }
}

//! Turns of those that read far behind the end: changes, exports, and subscriptions that catch up. They take the next chunk and cut
//! the next message only in their turn, so that however many there are, admission and look-ups keep most of the machine. Whoever
//! follows at the end takes no turn.

use std::{num::NonZeroUsize, sync::Arc, thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Chunks read at the same time. Disks and brokers do several at once.
const READS: usize = 4;

/// The turns of a node, in the order they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    reads: Arc<Semaphore>,
    cuts: Arc<Semaphore>,
}

/// One turn, until it goes.
pub(crate) struct Turn(Option<OwnedSemaphorePermit>);

impl Turns {
    /// Messages are cut on half of the processors, and on one at least.
    pub(crate) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::of(READS, (processors / 2).max(1))
    }

    fn of(reads: usize, cuts: usize) -> Self {
        Self { reads: Arc::new(Semaphore::new(reads)), cuts: Arc::new(Semaphore::new(cuts)) }
    }

    /// Waits for a turn to read a chunk. Safe to drop.
    pub(crate) async fn read(&self) -> Turn {
        // Never closed; without a turn it would go on all the same.
        Turn(Arc::clone(&self.reads).acquire_owned().await.ok())
    }

    /// Waits for a turn to cut a message. Safe to drop.
    pub(crate) async fn cut(&self) -> Turn {
        Turn(Arc::clone(&self.cuts).acquire_owned().await.ok())
    }
}

impl Turn {
    /// Ends it.
    pub(crate) fn end(self) {
        drop(self.0);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn those_far_behind_take_turns_in_the_order_they_came() {
        let turns = Turns::of(2, 1);
        let first = turns.cut().now_or_never().expect("nobody is there");
        let (mut second, mut third) = (Box::pin(turns.cut()), Box::pin(turns.cut()));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        assert!(turns.read().now_or_never().is_some(), "reading is another turn");
        first.end();
        assert!((&mut third).now_or_never().is_none());
        let turn = (&mut second).now_or_never().expect("its turn");
        turn.end();
        assert!((&mut third).now_or_never().is_some());
        // One that goes away in the line leaves it.
        let held = turns.cut().now_or_never().expect("free");
        let (mut gone, mut last) = (Box::pin(turns.cut()), Box::pin(turns.cut()));
        assert!((&mut gone).now_or_never().is_none() && (&mut last).now_or_never().is_none());
        drop(gone);
        held.end();
        assert!((&mut last).now_or_never().is_some());
    }
}

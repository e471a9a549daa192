//! A current copy read as a whole, at one position.

use std::sync::Arc;

use ldop_log::Offset;
use ldop_types::{DatasetName, Stage};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::warn;

use super::{
    Copies, Found, Kept, NoAnswer,
    store::{Fault, Store, whole::Whole as Reading},
};

/// Which rows are wanted: by sequence, partition and offset.
pub(crate) type Wanted = dyn Fn(i64, u32, u64) -> bool + Send + Sync;

/// Consecutive records of a copy.
pub(crate) struct Page {
    /// Those that are wanted, each with its sequence.
    pub(crate) found: Vec<(i64, Found)>,
    /// Sequence of the last row looked at; rows come by sequence.
    pub(crate) through: i64,
    /// Nothing comes after it.
    pub(crate) is_last: bool,
}

type Read = JoinHandle<(Reading, Result<Page, Fault>)>;

/// A copy as it stood at one moment, read a page ahead.
pub(crate) struct Whole {
    copy: Arc<Kept>,
    store: Arc<Store>,
    /// Names the file: another one is another copy.
    pub(crate) file: [u8; 16],
    /// Where it stands: the next entry of each partition that is not in it.
    pub(crate) positions: Vec<Offset>,
    idle: Option<Reading>,
    reading: Option<Read>,
}

impl Copies {
    /// Begins to read the copy of a dataset and stage as a whole.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::NoCopy`], [`NoAnswer::NoKey`], [`NoAnswer::NotReady`], [`NoAnswer::Unavailable`].
    pub(crate) async fn whole(&self, dataset: &DatasetName, stage: Stage) -> Result<Whole, NoAnswer> {
        let key = (stage, dataset.clone());
        let Some(copy) = self.held.lock().get(&key).map(|held| Arc::clone(&held.copy)) else {
            return Err(if self.keyless.lock().contains(&key) { NoAnswer::NoKey } else { NoAnswer::NoCopy });
        };
        let store = copy.store.load_full().ok_or(NoAnswer::NotReady)?;
        let file = store.sealer.name(u8::MAX, b"file");
        let begun = Arc::clone(&store);
        let reading = match spawn_blocking(move || Reading::begin(begun)).await {
            Ok(reading) => reading.map_err(|fault| failed(&copy, &store, fault))?,
            Err(_) => return Err(NoAnswer::Unavailable),
        };
        let positions = reading.positions().to_vec();
        Ok(Whole { copy, store, file, positions, idle: Some(reading), reading: None })
    }
}

impl Whole {
    /// The next page; none after the last. `wanted` must be the same for all. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// [`NoAnswer::NotReady`] where something is wrong with the copy: what was read of it may not be all.
    /// [`NoAnswer::Unavailable`].
    pub(crate) async fn next(&mut self, wanted: &Arc<Wanted>) -> Result<Option<Page>, NoAnswer> {
        if let Some(idle) = self.idle.take() {
            self.reading = Some(read(idle, Arc::clone(wanted)));
        }
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let read_on = reading.await;
        self.reading = None;
        let Ok((whole, page)) = read_on else { return Err(NoAnswer::Unavailable) };
        let page = page.map_err(|fault| failed(&self.copy, &self.store, fault))?;
        if !page.is_last {
            self.reading = Some(read(whole, Arc::clone(wanted)));
        }
        Ok(Some(page))
    }
}

fn read(mut whole: Reading, wanted: Arc<Wanted>) -> Read {
    spawn_blocking(move || {
        let page = whole.next(&*wanted);
        let page = page.map(|page| Page { found: page.found, through: page.through, is_last: page.is_last });
        (whole, page)
    })
}

fn failed(copy: &Kept, store: &Arc<Store>, fault: Fault) -> NoAnswer {
    match fault {
        Fault::Spoilt(cause, found) => {
            copy.spoil(store, cause, found);
            NoAnswer::NotReady
        }
        Fault::Passing(error) => {
            warn!(dataset = %copy.plan.dataset, stage = %copy.plan.stage, error, "current copy not read");
            NoAnswer::Unavailable
        }
        Fault::Stopped => NoAnswer::Unavailable,
    }
}

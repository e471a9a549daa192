//! Takes the journal's events to the log.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use crate::events::Events;

/// Most events of one append.
const BATCH: usize = 1_000;
/// Events gather for so long: an append for each look-up would cost the log more than the look-up.
const GATHER: Duration = Duration::from_millis(50);
/// Pause after the log has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Ships until it is stopped, and then what is left, once.
pub async fn ship(journal: Arc<Journal>, events: Arc<Events>, stop: CancellationToken) {
    loop {
        let batch = journal.unshipped(BATCH);
        let Some(last) = batch.last().map(|event| event.sequence) else {
            tokio::select! {
                biased;
                () = journal.news() => {
                    let _ = tokio::time::timeout(GATHER, stop.cancelled()).await;
                    continue;
                }
                () = stop.cancelled() => return,
            }
        };
        // Logged where it failed. What is not shipped stays in the journal.
        match events.append_encoded(batch.into_iter().map(|event| (event.id, event.event)).collect()).await {
            Ok(_) => journal.shipped(last),
            Err(_) if stop.is_cancelled() => return,
            Err(_) => {
                let _ = tokio::time::timeout(AGAIN, stop.cancelled()).await;
            }
        }
    }
}

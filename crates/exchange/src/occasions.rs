//! What somebody has to see to about agreements - answers that are overdue, reviews, expiry - as metrics, and as events that
//! are told once for each occasion.
//!
//! Which were told stands in a file beside the log. Where it is lost they are told once more; none is ever missed.

pub mod metrics;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use ldop_catalog::life::State;
use ldop_contract::{
    catalog::v1::AgreementOccasion,
    control::v1::{AgreementNotice, exchange_event::Kind},
};
use ldop_control::agreements::deadlines::{Occasion, deadlines};
use ldop_types::{Reason, TimestampMs};
use tracing::warn;

use crate::Exchange;

/// Name of the file in the data folder.
pub const FILE: &str = "agreement-occasions";
/// How often it is looked whether something is due. Occasions are days.
const LOOK_EVERY: Duration = Duration::from_secs(600);

const OCCASIONS: [(AgreementOccasion, &str); 3] = [
    (AgreementOccasion::AnswerOverdue, "answer_overdue"),
    (AgreementOccasion::ReviewDue, "review_due"),
    (AgreementOccasion::ExpiresSoon, "expires_soon"),
];

fn word(occasion: AgreementOccasion) -> &'static str {
    OCCASIONS.iter().find(|(kind, _)| *kind == occasion).map_or("", |(_, word)| word)
}

/// One line of the file.
fn line(id: &str, occasion: &Occasion) -> String {
    format!("{id} {} {} {}", occasion.version, word(occasion.kind), occasion.day)
}

fn read(path: &Path) -> BTreeSet<String> {
    match fs::read_to_string(path) {
        Ok(text) => text.lines().map(ToOwned::to_owned).collect(),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => {
            warn!(%error, "file of occasions not read; they are told once more");
            BTreeSet::new()
        }
    }
}

fn write(path: &Path, told: &BTreeSet<String>) -> io::Result<()> {
    ldop_control::file::replace(path, |file| told.iter().try_for_each(|line| writeln!(file, "{line}"))).map(|_| ())
}

impl Exchange {
    fn occasions(&self, now: TimestampMs) -> BTreeMap<String, Vec<Occasion>> {
        let (state, rules) = (self.control.state(), self.control.agreement_rules());
        let due = |id: &str| deadlines(&state, id, rules, now).due;
        state.agreement_ids().map(|id| (id.to_string(), due(id.as_str()))).filter(|(_, due)| !due.is_empty()).collect()
    }

    /// Tells what is due at a moment and was not told before; says how many there were.
    ///
    /// # Errors
    ///
    /// [`Reason::LogUnavailable`]: told with the next try.
    pub async fn tell_occasions(&self, now: TimestampMs) -> Result<usize, Reason> {
        let path = self.config.data_dir.join(FILE);
        let (known, path) =
            tokio::task::spawn_blocking(move || (read(&path), path)).await.map_err(|_| Reason::Internal)?;
        let due = self.occasions(now);
        let (mut events, mut told) = (Vec::new(), BTreeSet::new());
        for (id, occasion) in due.iter().flat_map(|(id, due)| due.iter().map(move |occasion| (id, occasion))) {
            let line = line(id, occasion);
            if !known.contains(&line) {
                let notice = AgreementNotice {
                    agreement: id.clone(),
                    version: occasion.version,
                    occasion: occasion.kind.into(),
                    day: occasion.day.to_string(),
                };
                events.push((Bytes::from(id.clone()), Kind::AgreementNotice(notice)));
            }
            told.insert(line);
        }
        if told == known {
            return Ok(0);
        }
        let count = events.len();
        self.events.append(events).await?;
        // What is not due any more is forgotten, so the file stays small.
        match tokio::task::spawn_blocking(move || write(&path, &told)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "file of occasions not written; they will be told once more"),
            Err(error) => warn!(%error, "file of occasions not written; they will be told once more"),
        }
        Ok(count)
    }

    /// Tells occasions as they come, until the exchange ends.
    pub(crate) async fn keep_telling(self: Arc<Self>) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Nothing is written in the first moments: the node may have been taken over meanwhile.
        tick.tick().await;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {
                    if !*self.shared.fenced.borrow() && let Err(reason) = self.tell_occasions(self.now()).await {
                        warn!(reason = reason.as_str(), "occasions not told; trying again");
                    }
                }
            }
        }
    }

    pub(crate) fn refresh_agreement_metrics(&self) {
        let (state, metrics) = (self.control.state(), &self.metrics.agreements);
        let counts = state.agreement_states();
        for stands in State::ALL {
            let count = counts.get(&stands).copied().unwrap_or_default();
            metrics.states.with_label_values(&[stands.as_str()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let due = self.occasions(self.now());
        for (kind, word) in OCCASIONS {
            let count = due.values().flatten().filter(|occasion| occasion.kind == kind).count();
            metrics.due.with_label_values(&[word]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

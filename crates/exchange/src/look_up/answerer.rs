//! Who answers a look-up. The one place that chooses, and the one that tells the kinds apart.

use std::{fmt, time::Instant};

use ldop_catalog::{Dataset, definition::LookUpSource};
use ldop_types::{Reason, Stage, SystemId};

use super::{
    COME_AGAIN, Refused,
    connection::{Heard, Question},
    router::{Lesson, Permit},
};
use crate::{Exchange, fair::Place};

/// Where an answer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A department system.
    System(SystemId),
    /// The hub's current copy.
    Copy,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(system) => f.write_str(system.as_str()),
            Self::Copy => f.write_str("hub"),
        }
    }
}

/// Somebody who can answer, with room for one question.
#[derive(Debug)]
pub enum Answerer {
    /// A department system that is connected.
    Provider(Permit),
    /// The hub's current copy, and a place among those that read copies.
    Copy(Place),
}

impl Answerer {
    /// Chooses who answers a system for a dataset, in the order of its definition; waits for room up to the deadline. Safe to drop.
    ///
    /// # Errors
    ///
    /// [`Reason::LookUpNotServed`]: nobody serves, and no copy answers. [`Reason::Overloaded`].
    pub async fn choose(
        exchange: &Exchange,
        system: &SystemId,
        stage: Stage,
        dataset: &Dataset,
        deadline: Instant,
    ) -> Result<Self, Refused> {
        let mut nobody = Refused::of(Reason::LookUpNotServed);
        for source in &dataset.look_up_sources {
            match source {
                LookUpSource::Provider => {
                    match exchange.look_ups.router.reserve(system, stage, &dataset.name, deadline).await {
                        Ok(permit) => return Ok(Self::Provider(permit)),
                        // It may tell when to come again.
                        Err(refused) if refused.reason() == Reason::LookUpNotServed => nobody = refused,
                        Err(refused) => return Err(refused),
                    }
                }
                LookUpSource::CurrentCopy if exchange.copies.is_ready(&dataset.name, stage) => {
                    return Self::reading(exchange, system, deadline).await.map(Self::Copy);
                }
                LookUpSource::CurrentCopy => {}
            }
        }
        Err(nobody)
    }

    /// Waits for a place among those that read copies.
    pub(super) async fn reading(exchange: &Exchange, system: &SystemId, deadline: Instant) -> Result<Place, Refused> {
        let place = exchange.look_ups.reading.take(system, 1);
        let overloaded = Refused::Reason { reason: Reason::Overloaded, retry_after: Some(COME_AGAIN) };
        tokio::time::timeout_at(deadline.into(), place).await.map_err(|_| overloaded)
    }

    /// The current copy, with the history of the dataset: no provider is asked for what was.
    ///
    /// # Errors
    ///
    /// [`Reason::HistoryNotKept`], [`Reason::CopyNotReady`], [`Reason::Overloaded`].
    pub async fn historian(
        exchange: &Exchange,
        system: &SystemId,
        stage: Stage,
        dataset: &Dataset,
        deadline: Instant,
    ) -> Result<Self, Refused> {
        if !dataset.definition.current_copy.as_ref().is_some_and(|copy| copy.history) {
            return Err(Refused::of(Reason::HistoryNotKept));
        }
        if exchange.copies.is_ready(&dataset.name, stage) {
            Self::reading(exchange, system, deadline).await.map(Self::Copy)
        } else {
            Err(Refused::of(Reason::CopyNotReady))
        }
    }

    /// Where the answer comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Provider(permit) => Source::System(permit.source().clone()),
            Self::Copy(_) => Source::Copy,
        }
    }

    /// Asks a provider, and waits up to the question's deadline; none where the copy is to be read.
    pub async fn ask(&mut self, question: Question) -> Option<Heard> {
        match self {
            Self::Provider(permit) => Some(permit.ask(question).await),
            Self::Copy(_) => None,
        }
    }

    /// Notes what the answer was worth.
    pub fn learn(&mut self, lesson: Lesson) {
        match self {
            Self::Provider(permit) => permit.learn(lesson),
            // It looks after itself.
            Self::Copy(_) => {}
        }
    }
}

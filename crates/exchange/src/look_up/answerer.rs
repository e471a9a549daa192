//! Who answers a look-up. The one place that chooses, and the one that tells the kinds apart.

use std::time::Instant;

use ldop_types::{DatasetName, Stage, SystemId};

use super::{
    Refused,
    connection::{Heard, Question},
    router::{Lesson, Permit, Router},
};

/// Somebody who can answer, with room for one question.
#[derive(Debug)]
pub enum Answerer {
    /// A department system that is connected.
    Provider(Permit),
}

impl Answerer {
    /// Chooses who answers for a dataset; waits for room up to the deadline. Safe to drop.
    ///
    /// # Errors
    ///
    /// Those of [`Router::reserve`].
    pub async fn choose(
        router: &Router,
        stage: Stage,
        dataset: &DatasetName,
        deadline: Instant,
    ) -> Result<Self, Refused> {
        router.reserve(stage, dataset, deadline).await.map(Self::Provider)
    }

    /// The system that answers.
    #[must_use]
    pub fn source(&self) -> &SystemId {
        match self {
            Self::Provider(permit) => permit.source(),
        }
    }

    /// Asks, and waits up to the question's deadline.
    pub async fn ask(&mut self, question: Question) -> Heard {
        match self {
            Self::Provider(permit) => permit.ask(question).await,
        }
    }

    /// Notes what the answer was worth.
    pub fn learn(&mut self, lesson: Lesson) {
        match self {
            Self::Provider(permit) => permit.learn(lesson),
        }
    }
}

//! A provider's side of look-ups: it says what it serves, takes questions and answers them.

use std::sync::Arc;

use ldop_control::chain::Head;
use ldop_types::{DatasetName, Reason, Stage, SystemId};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info};

use super::{
    connection::{Answer, Connection, Fate, Question},
    router::Provider,
};
use crate::Exchange;

/// An open stream of a provider. When it goes, whoever waits for an answer of it hears so at once.
pub struct Serving {
    exchange: Arc<Exchange>,
    system: SystemId,
    dataset: DatasetName,
    stage: Stage,
    provider: Arc<Provider>,
    connection: Arc<Connection>,
    questions: mpsc::Receiver<(u64, Question)>,
    control: watch::Receiver<Head>,
    fenced: watch::Receiver<bool>,
}

/// What a provider is told at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Key fields of the dataset.
    pub key_fields: Vec<String>,
    /// Version of the schema that answers are checked against.
    pub schema_version: u32,
}

impl Serving {
    /// Registers a stream of the calling system.
    ///
    /// # Errors
    ///
    /// [`Reason::SystemUnknown`], [`Reason::SystemSuspended`], [`Reason::DatasetUnknown`], [`Reason::NotAProvider`],
    /// [`Reason::SchemaNotApproved`], [`Reason::Overloaded`] when the system has too many streams open.
    pub fn open(
        exchange: &Arc<Exchange>,
        system: SystemId,
        dataset: DatasetName,
        stage: Stage,
    ) -> Result<(Self, Terms), Reason> {
        let (control, fenced) = (exchange.control.changes(), exchange.fenced());
        let terms = terms(exchange, &system, &dataset, stage)?;
        let (connection, questions) = Connection::new();
        let provider = exchange.look_ups.router.connect(stage, &dataset, &system, Arc::clone(&connection))?;
        exchange.metrics.look_ups.serving(&dataset, stage).inc();
        info!(%system, %dataset, %stage, "a provider answers look-ups");
        let exchange = Arc::clone(exchange);
        Ok((Self { exchange, system, dataset, stage, provider, connection, questions, control, fenced }, terms))
    }

    /// What the stream answers.
    #[must_use]
    pub fn target(&self) -> (&DatasetName, Stage) {
        (&self.dataset, self.stage)
    }

    /// The next question with its id. Safe to drop and call again.
    ///
    /// # Errors
    ///
    /// The reason the stream ends for: the system may not provide the dataset any more, or the hub goes.
    pub async fn next(&mut self) -> Result<(u64, Question), Reason> {
        loop {
            if *self.fenced.borrow_and_update() {
                return Err(Reason::Fenced);
            }
            self.control.borrow_and_update();
            terms(&self.exchange, &self.system, &self.dataset, self.stage)?;
            tokio::select! {
                question = self.questions.recv() => return question.ok_or(Reason::Internal),
                // Both senders live as long as the exchange that this holds.
                _ = self.control.changed() => {}
                _ = self.fenced.changed() => {}
                () = self.exchange.stop.cancelled() => return Err(Reason::ShuttingDown),
            }
        }
    }

    /// Takes an answer. One that nobody waits for is dropped and counted.
    pub fn answer(&self, id: u64, answer: Answer) -> Fate {
        let fate = self.connection.answer(id, answer);
        if let Some(cause) = fate.cause() {
            self.exchange.metrics.look_ups.dropped(cause);
            debug!(system = %self.system, dataset = %self.dataset, cause, "answer dropped");
        }
        fate
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.provider.disconnect(&self.connection);
        self.connection.close();
        self.exchange.metrics.look_ups.serving(&self.dataset, self.stage).dec();
        info!(system = %self.system, dataset = %self.dataset, stage = %self.stage, "a provider answers look-ups no more");
    }
}

/// Whether the system may serve the dataset now, and by what its answers are checked.
fn terms(exchange: &Exchange, system: &SystemId, dataset: &DatasetName, stage: Stage) -> Result<Terms, Reason> {
    let state = exchange.control.state();
    let (found, schema) = exchange.may_provide(&state, system, dataset, stage)?;
    Ok(Terms { key_fields: found.value.definition.key_fields.clone(), schema_version: schema.version })
}

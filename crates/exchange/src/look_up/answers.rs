//! Checks what a provider answers before anybody sees it: right key, right shape, then only what is granted.

use std::sync::Arc;

use bytes::Bytes;
use ldop_schema_registry::{CompiledSchema, Limits, Outcome, Parser};
use ldop_types::{Reason, SystemId, TimestampMs};

use super::{
    Found, KeyAnswer,
    connection::{Reply, Said},
};
use crate::projection::Projection;

/// Records checked before other tasks get their turn.
const YIELD_EVERY: usize = 16;

/// Everything an answer is held against.
pub struct Check {
    /// Version of the schema in use.
    pub schema_version: u32,
    /// The schema, compiled.
    pub schema: Arc<CompiledSchema>,
    /// Key fields of the dataset.
    pub key_fields: Vec<String>,
    /// What is granted.
    pub projection: Projection,
    /// Bounds of a record.
    pub limits: Limits,
    /// Who answered.
    pub source: SystemId,
    /// The day code lists are judged at when the provider tells none.
    pub now: TimestampMs,
}

/// Answers in the order of the keys.
pub struct Checked {
    /// One for each key.
    pub answers: Vec<KeyAnswer>,
    /// Replies to keys that were not in the question.
    pub astray: usize,
}

impl Checked {
    /// Whether the provider did what it should.
    pub fn is_right(&self) -> bool {
        let invalid = KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid);
        self.astray == 0 && self.answers.iter().all(|answer| *answer != invalid)
    }
}

impl Check {
    /// Checks replies to these keys. A key without a reply, or with two, has no answer.
    pub async fn all(&self, keys: &[Vec<u8>], replies: Vec<Reply>) -> Checked {
        let mut parser = Parser::new(self.limits);
        let mut outcome = Outcome::default();
        let mut answers: Vec<Option<KeyAnswer>> = vec![None; keys.len()];
        let mut astray = 0;
        for (at, reply) in replies.into_iter().enumerate() {
            if at % YIELD_EVERY == YIELD_EVERY - 1 {
                tokio::task::yield_now().await;
            }
            let place = reply.key as usize;
            let Some(key) = keys.get(place) else {
                astray += 1;
                continue;
            };
            answers[place] = Some(match (&answers[place], reply.said) {
                (Some(_), _) | (None, Said::Nonsense) => KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid),
                (None, Said::NoRecord) => KeyAnswer::NotFound { source: self.source.clone() },
                (None, Said::Unable) => KeyAnswer::NotAnswered(Reason::LookUpNotAnswered),
                (None, Said::Record { payload, event_time }) => {
                    match self.record(key, &payload, event_time, &mut parser, &mut outcome) {
                        Some(found) => KeyAnswer::Found(found),
                        None => KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid),
                    }
                }
            });
        }
        let unanswered = KeyAnswer::NotAnswered(Reason::LookUpNotAnswered);
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(|| unanswered.clone())).collect();
        Checked { answers, astray }
    }

    fn record(
        &self,
        key: &[u8],
        payload: &Bytes,
        event_time: Option<TimestampMs>,
        parser: &mut Parser,
        outcome: &mut Outcome,
    ) -> Option<Found> {
        let document = parser.parse(payload).ok()?;
        outcome.clear();
        self.schema.check(&document, event_time.unwrap_or(self.now).date_in_vietnam(), outcome);
        if !outcome.is_accepted() {
            return None;
        }
        let mut own = Vec::with_capacity(key.len());
        document.key(&self.key_fields, &mut own).ok()?;
        if own != key {
            return None;
        }
        let mut reduced = Vec::with_capacity(payload.len());
        self.projection.apply(payload, &mut reduced).ok()?;
        Some(Found {
            payload: reduced.into(),
            schema_version: self.schema_version,
            source: self.source.clone(),
            event_time,
        })
    }
}

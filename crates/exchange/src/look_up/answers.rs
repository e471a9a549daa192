//! Checks what a provider answers before anybody sees it: right key, right shape, then only what is granted.

use std::sync::Arc;

use bytes::Bytes;
use ldop_schema_registry::{CompiledSchema, Limits, Outcome, Parser, View};
use ldop_types::{Reason, TimestampMs};

use super::{
    Found, KeyAnswer, Source,
    connection::{Reply, Said},
};
use crate::copy;

/// Records checked before other tasks get their turn.
const YIELD_EVERY: usize = 16;

/// What a view shows of records of the current copy.
pub(super) async fn shown(view: &View, limits: Limits, records: Vec<Option<copy::Found>>) -> Vec<KeyAnswer> {
    let mut parser = Parser::new(limits);
    let mut answers = Vec::with_capacity(records.len());
    for (at, record) in records.into_iter().enumerate() {
        if at % YIELD_EVERY == YIELD_EVERY - 1 {
            tokio::task::yield_now().await;
        }
        let source = Source::Copy;
        let Some(record) = record else {
            answers.push(KeyAnswer::NotFound { source });
            continue;
        };
        let mut reduced = Vec::with_capacity(record.payload.len());
        answers.push(match view.show(&mut parser, &record.payload, &mut reduced) {
            Ok(true) => KeyAnswer::Found(Found {
                payload: reduced.into(),
                schema_version: record.schema_version,
                source,
                event_time: Some(record.event_time),
            }),
            Ok(false) => KeyAnswer::NotPermitted { source },
            Err(_) => KeyAnswer::NotAnswered(Reason::LookUpNotAnswered),
        });
    }
    answers
}

/// Everything an answer is held against.
pub struct Check {
    /// Version of the schema in use.
    pub schema_version: u32,
    /// The schema, compiled.
    pub schema: Arc<CompiledSchema>,
    /// Key fields of the dataset.
    pub key_fields: Vec<String>,
    /// What is granted.
    pub view: Arc<View>,
    /// Bounds of a record.
    pub limits: Limits,
    /// Who answered.
    pub source: Source,
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
                    let answer = self.record(key, &payload, event_time, &mut parser, &mut outcome);
                    answer.unwrap_or(KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid))
                }
            });
        }
        let unanswered = KeyAnswer::NotAnswered(Reason::LookUpNotAnswered);
        let answers = answers.into_iter().map(|answer| answer.unwrap_or_else(|| unanswered.clone())).collect();
        Checked { answers, astray }
    }

    /// What is shown of records of the current copy, which were checked when they were published. A record that cannot be shown
    /// is told as not answered.
    pub async fn copied(&self, records: Vec<Option<copy::Found>>) -> Checked {
        Checked { answers: shown(&self.view, self.limits, records).await, astray: 0 }
    }

    fn record(
        &self,
        key: &[u8],
        payload: &Bytes,
        event_time: Option<TimestampMs>,
        parser: &mut Parser,
        outcome: &mut Outcome,
    ) -> Option<KeyAnswer> {
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
        if !self.view.show(parser, payload, &mut reduced).ok()? {
            return Some(KeyAnswer::NotPermitted { source: self.source.clone() });
        }
        Some(KeyAnswer::Found(Found {
            payload: reduced.into(),
            schema_version: self.schema_version,
            source: self.source.clone(),
            event_time,
        }))
    }
}

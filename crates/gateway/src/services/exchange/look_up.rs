//! Looking up, and answering look-ups.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ldop_contract::{
    convert::{stage_to_wire, timestamp_from_wire, timestamp_to_wire},
    exchange::v1 as wire,
};
use ldop_exchange::look_up::{
    self, Answered, CopyState, DEFAULT_TIME, Found, KeyAnswer, LookUp, MOST_TIME, Refused,
    connection::{Answer, Question, Reply, Said},
    router::CREDIT,
    serving::{Serving, Terms},
};
use ldop_types::{AgreementId, Reason, SystemId};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming, metadata::MetadataMap};
use tracing::debug;

use super::{Budget, Exchange, Out, bad, target};
use crate::{
    services::identity,
    status::{self, BadField},
};

mod find;

/// Longest officer's id and case number, bytes.
const TEXT_BYTES: usize = 100;
/// Most answers of one message: as many as a question has keys, and again as many.
const MOST_ANSWERS: usize = 2 * look_up::MOST_KEYS;

impl Exchange {
    pub(super) async fn look_up_one(
        &self,
        request: Request<wire::LookUpRequest>,
    ) -> Result<wire::LookUpResponse, Status> {
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let deadline = Instant::now() + time_of(request.metadata());
        let request = look_up_from_wire(request.into_inner())?;
        let answered = look_up::look_up(&self.core, &system, request, deadline).await;
        answered.map(answered_to_wire).map_err(|refused| refused_to_wire(refused, |at| format!("keys[{at}]")))
    }

    pub(super) async fn serve_one(
        &self,
        request: Request<Streaming<wire::ServeRequest>>,
    ) -> Result<Out<wire::ServeResponse>, Status> {
        let system = identity(&request)?.system().map_err(status::of_reason)?.clone();
        let mut inbound = request.into_inner();
        let (serving, terms) = self.open_serving(system.clone(), &mut inbound).await?;
        let feed = Feed {
            opened: Some(opened_to_wire(&serving, terms)),
            system,
            serving,
            inbound,
            budget: self.budget.clone(),
            stop: self.stop.clone(),
        };
        Ok(Box::pin(futures::stream::unfold(Some(feed), |feed| async {
            let mut feed = feed?;
            match feed.next().await {
                Some(Ok(response)) => Some((Ok(response), Some(feed))),
                Some(Err(status)) => Some((Err(status), None)),
                None => None,
            }
        })))
    }

    async fn open_serving(
        &self,
        system: SystemId,
        inbound: &mut Streaming<wire::ServeRequest>,
    ) -> Result<(Serving, Terms), Status> {
        use wire::serve_request::Message;
        match inbound.message().await?.and_then(|request| request.message) {
            Some(Message::Open(open)) => {
                let (dataset, stage) = target(&open.dataset, open.stage)?;
                Serving::open(&self.core, system, dataset, stage).map_err(status::of_reason)
            }
            Some(Message::Answer(_)) | None => Err(bad("message", "open as the first message")),
        }
    }
}

/// One provider's stream.
struct Feed {
    opened: Option<wire::ServeOpened>,
    system: SystemId,
    serving: Serving,
    inbound: Streaming<wire::ServeRequest>,
    budget: Budget,
    stop: CancellationToken,
}

impl Feed {
    async fn next(&mut self) -> Option<Result<wire::ServeResponse, Status>> {
        use wire::serve_response::Message;
        if let Some(opened) = self.opened.take() {
            return Some(Ok(wire::ServeResponse { message: Some(Message::Opened(opened)) }));
        }
        loop {
            // Answers come first: somebody waits for each.
            let said = tokio::select! {
                biased;
                said = self.inbound.message() => said,
                () = self.stop.cancelled() => return Some(Err(status::of_reason(Reason::ShuttingDown))),
                question = self.serving.next() => {
                    return Some(match question {
                        Ok((id, question)) => {
                            let message = Some(Message::Question(question_to_wire(id, &question)));
                            Ok(wire::ServeResponse { message })
                        }
                        Err(reason) => Err(status::of_reason(reason)),
                    });
                }
            };
            match said {
                Ok(Some(request)) => {
                    if let Err(status) = self.hear(request).await {
                        return Some(Err(status));
                    }
                }
                Ok(None) => return None,
                Err(status) => {
                    debug!(code = ?status.code(), "provider has gone");
                    return None;
                }
            }
        }
    }

    async fn hear(&mut self, request: wire::ServeRequest) -> Result<(), Status> {
        use wire::serve_request::Message;
        match request.message {
            Some(Message::Answer(answer)) if answer.answers.len() <= MOST_ANSWERS => {
                let room = self.budget.take(&self.system, bytes_of(&answer)).await;
                let replies = answer.answers.into_iter().map(reply_from_wire).collect();
                self.serving.answer(answer.ask_id, Answer { replies, hold: Some(Box::new(room)) });
                Ok(())
            }
            Some(Message::Answer(_)) => Err(bad("answer.answers", &format!("at most {MOST_ANSWERS} answers"))),
            Some(Message::Open(_)) | None => Err(bad("message", "an answer, after the first message")),
        }
    }
}

fn bytes_of(answer: &wire::ServeAnswer) -> usize {
    use wire::key_answer::Outcome;
    let records = answer.answers.iter().map(|answer| match &answer.outcome {
        Some(Outcome::Record(record)) => record.payload.len(),
        Some(Outcome::NoRecord(_) | Outcome::Unable(_)) | None => 0,
    });
    records.sum()
}

/// How long the caller waits, less what the answer needs for its way back. HTTP/2 gRPC: "grpc-timeout", at most eight
/// digits and a unit.
fn time_of(metadata: &MetadataMap) -> Duration {
    let told = metadata.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
    let time = told.map_or(DEFAULT_TIME, |told| told - (told / 10).min(Duration::from_millis(100)));
    time.min(MOST_TIME)
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u64 = (1..=8).contains(&digits.len()).then(|| digits.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

fn look_up_from_wire(request: wire::LookUpRequest) -> Result<LookUp, Status> {
    let wire::LookUpRequest { agreement, keys, officer_id, case_number, as_of } = request;
    let told = as_of.as_ref().map(timestamp_from_wire);
    let bad = || BadField { field: "as_of".into(), expected: "a time that the calendar has".into() };
    let fields = Vec::from_iter((told == Some(None)).then(bad));
    let agreement = agreement_from_wire(&agreement, &officer_id, &case_number, fields)?;
    Ok(LookUp { agreement, keys, officer_id, case_number, as_of: told.flatten() })
}

/// The agreement; or everything wrong with it, with who asks, with the case, and what was bad before.
fn agreement_from_wire(
    agreement: &str,
    officer_id: &str,
    case_number: &str,
    mut fields: Vec<BadField>,
) -> Result<AgreementId, Status> {
    let agreement = AgreementId::parse(agreement);
    if let Err(error) = &agreement {
        fields.push(BadField { field: "agreement".into(), expected: error.expected.into() });
    }
    for (field, text) in [("officer_id", officer_id), ("case_number", case_number)] {
        if text.len() > TEXT_BYTES || text.chars().any(char::is_control) {
            let expected = format!("at most {TEXT_BYTES} bytes without control characters");
            fields.push(BadField { field: field.into(), expected });
        }
    }
    match agreement {
        Ok(agreement) if fields.is_empty() => Ok(agreement),
        _ => Err(status::of_bad_fields(fields)),
    }
}

/// Why nothing was given; `key` names the key at a place of the request.
fn refused_to_wire(refused: Refused, key: impl Fn(usize) -> String) -> Status {
    match refused {
        Refused::Reason { reason, retry_after } => status::of_reason_after(reason, retry_after),
        Refused::Keys(bad) => {
            let fields = bad.into_iter().map(|bad| BadField { field: key(bad.at), expected: bad.expected });
            status::of_bad_fields(fields.collect())
        }
        Refused::Missing(fields) => {
            let expected = "a text: the agreement asks it of each look-up";
            let bad = |field: &'static str| BadField { field: field.into(), expected: expected.into() };
            status::of_bad_fields(fields.into_iter().map(bad).collect())
        }
        Refused::NotGranted(fields) => {
            let expected = "a field that the agreement shows, without a mask";
            let bad = |field: String| BadField { field: format!("{}.{field}", key(0)), expected: expected.into() };
            status::of_fields(Reason::FieldNotGranted, fields.into_iter().map(bad).collect())
        }
    }
}

fn answered_to_wire(answered: Answered) -> wire::LookUpResponse {
    wire::LookUpResponse {
        exchange_id: Bytes::copy_from_slice(answered.exchange_id.as_bytes()),
        agreement_version: answered.agreement_version,
        answers: answered.answers.into_iter().map(key_answer_to_wire).collect(),
        salt: Bytes::copy_from_slice(&answered.salt),
        copy: answered.copy.map(copy_to_wire),
    }
}

fn copy_to_wire(copy: CopyState) -> wire::CopyState {
    wire::CopyState {
        positions: super::positions_to_wire(copy.positions),
        followed_time: Some(timestamp_to_wire(copy.followed)),
    }
}

fn found_to_wire(found: Found) -> wire::FoundRecord {
    let Found { payload, schema_version, source, event_time } = found;
    wire::FoundRecord {
        payload,
        schema_version,
        source: source.to_string(),
        event_time: event_time.map(timestamp_to_wire),
    }
}

fn key_answer_to_wire(answer: KeyAnswer) -> wire::LookUpAnswer {
    use wire::look_up_answer::Outcome;
    let outcome = match answer {
        KeyAnswer::Found(found) => Outcome::Found(found_to_wire(found)),
        KeyAnswer::NotFound { source } => Outcome::NotFound(wire::NotFound { source: source.to_string() }),
        KeyAnswer::NotPermitted { source } => Outcome::NotPermitted(wire::NotPermitted { source: source.to_string() }),
        KeyAnswer::NotAnswered(reason) => {
            let (vi, en) = reason.message();
            Outcome::NotAnswered(wire::NotAnswered {
                reason: reason.as_str().to_owned(),
                message: Some(wire::LocalizedText { vi: vi.to_owned(), en: en.to_owned() }),
                retryable: reason.is_retryable(),
            })
        }
    };
    wire::LookUpAnswer { outcome: Some(outcome) }
}

fn opened_to_wire(serving: &Serving, terms: Terms) -> wire::ServeOpened {
    let (dataset, stage) = serving.target();
    wire::ServeOpened {
        dataset: dataset.to_string(),
        stage: stage_to_wire(stage).into(),
        key_fields: terms.key_fields,
        schema_version: terms.schema_version,
        credit: u32::try_from(CREDIT).unwrap_or(u32::MAX),
    }
}

fn question_to_wire(ask_id: u64, question: &Question) -> wire::Question {
    let left = question.deadline.saturating_duration_since(Instant::now());
    let agreement = &question.agreement.value;
    wire::Question {
        ask_id,
        keys: question.keys.to_vec(),
        time_left: left.try_into().ok(),
        agreement: agreement.id.to_string(),
        consumer: agreement.consumer.to_string(),
        purpose: Some(wire::LocalizedText {
            vi: agreement.definition.purpose_vi.clone(),
            en: agreement.definition.purpose_en.clone(),
        }),
    }
}

fn reply_from_wire(answer: wire::KeyAnswer) -> Reply {
    use wire::key_answer::Outcome;
    let said = match answer.outcome {
        Some(Outcome::Record(record)) => match record.event_time.as_ref().map(timestamp_from_wire) {
            // A time that no calendar has.
            Some(None) => Said::Nonsense,
            told => Said::Record { payload: record.payload, event_time: told.flatten() },
        },
        Some(Outcome::NoRecord(_)) => Said::NoRecord,
        Some(Outcome::Unable(_)) => Said::Unable,
        None => Said::Nonsense,
    };
    Reply { key: answer.key, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, time) in [
            ("10S", Some(Duration::from_secs(10))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("500m", Some(Duration::from_millis(500))),
            ("1H", Some(Duration::from_secs(3_600))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("5x", None),
            ("-1S", None),
            ("1ế", None),
        ] {
            assert_eq!(parse_timeout(text), time, "{text:?}");
        }
        let of = |value: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", value.parse().expect("ascii"));
            time_of(&metadata)
        };
        assert_eq!(of("1S"), Duration::from_millis(900));
        assert_eq!(of("5S"), Duration::from_millis(4_900));
        assert_eq!(of("5H"), MOST_TIME);
        assert_eq!(time_of(&MetadataMap::new()), DEFAULT_TIME);
    }
}

//! Finding records by a secondary key of the dataset's current copy.
//!
//! A look-up in all but two things: the copy alone answers, and what is asked for is a value rather than a record. To search is a way of
//! asking about a value, so the agreement must show each field that is searched by, and show it whole: under a mask, whoever tries values
//! would learn what the mask hides. A record that the row condition withholds is passed over where the copy is read, before records
//! are counted: neither how many are given nor whether there are more tells of it.
//!
//! One question, one state of the copy: the answer is what stood there at the positions it names.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_catalog::{Agreement, Mode, state::Versioned};
use ldop_contract::control::v1::{LookUpAsked, LookUpOutcome};
use ldop_schema_registry::{Limits, Parser, View};
use ldop_types::{AgreementId, ExchangeId, Reason, SystemId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Admitted, BadKey, CopyState, Found, KEY_TEXT_BYTES, KeyAnswer, Refused, Source, admit, answerer::Answerer, answers,
    asked_by, commit, count_refused, durable, refused_for,
};
use crate::{
    Exchange,
    copy::{self, Ask, NoAnswer, Shown},
    exit::{account_for, grant},
    fair::Place,
    header::Salt,
    quotas::Reserved,
};

/// Most records of one call.
pub const MOST_RECORDS: usize = copy::MOST_FOUND;
/// Most records of a call that tells nothing else.
pub const DEFAULT_RECORDS: usize = 100;

/// What is searched for.
#[derive(Clone)]
pub struct Find {
    /// Agreement.
    pub agreement: AgreementId,
    /// A JSON object with exactly the fields of a secondary key.
    pub key: Bytes,
    /// Most records to give, at most [`MOST_RECORDS`].
    pub most: usize,
    /// Who asks, in the calling system; may be empty.
    pub officer_id: String,
    /// For which case; may be empty.
    pub case_number: String,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// The exchange it is accounted for under.
    pub exchange_id: ExchangeId,
    /// Version of the agreement.
    pub agreement_version: u32,
    /// The records that may be shown, as they are shown.
    pub records: Vec<Found>,
    /// There are more, or may be.
    pub more: bool,
    /// What the commitment of the event is salted with.
    pub salt: Salt,
    /// Where the copy stood.
    pub copy: CopyState,
}

impl std::fmt::Debug for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Finding({}, {} records)", self.exchange_id, self.records.len())
    }
}

/// Finds records for the calling system. Dropped, it drops the answer, never the outcome.
///
/// # Errors
///
/// [`Refused`]: nothing was given. The reasons an agreement grants nothing for, a key that is none, fields that may not be
/// searched by, [`Reason::CopyNotKept`], [`Reason::CopyNotReady`], [`Reason::LookUpNotRecorded`].
pub async fn find(
    exchange: &Arc<Exchange>,
    system: &SystemId,
    request: Find,
    deadline: Instant,
) -> Result<Finding, Refused> {
    let prepared = prepare(exchange, system, &request, deadline).await;
    let call = prepared.inspect_err(|refused| count_refused(exchange, system, &request.agreement, refused.reason()))?;
    let (tell, answered) = oneshot::channel();
    exchange.tasks.spawn(call.run(tell));
    answered.await.unwrap_or(Err(Refused::of(Reason::Internal)))
}

/// A call that is about to be made.
struct Call {
    exchange: Arc<Exchange>,
    system: SystemId,
    request: Find,
    deadline: Instant,
    started: Instant,
    agreement: Arc<Versioned<Agreement>>,
    /// The secondary key: its fields, and their values as they stand in the copy.
    key: Key,
    /// How old the copy may be.
    max_age: Option<Duration>,
    view: Arc<View>,
    limits: Limits,
    /// Records of the day, as many as were asked for or are left.
    reserved: Reserved,
    /// Among look-ups in flight, and among those that read copies.
    _places: (Place, Place),
}

async fn prepare(
    exchange: &Arc<Exchange>,
    system: &SystemId,
    request: &Find,
    deadline: Instant,
) -> Result<Call, Refused> {
    let started = Instant::now();
    let Find { officer_id, case_number, .. } = request;
    let admitted = admit(exchange, system, &request.agreement, officer_id, case_number).await?;
    let Admitted { agreement, place, meter } = admitted;
    let state = exchange.control.state();
    let (dataset, stage) = (&agreement.value.dataset, agreement.value.stage);
    let found = state.dataset(dataset).ok_or(Refused::of(Reason::DatasetUnknown))?;
    let copy = found.value.definition.current_copy.as_ref().ok_or(Refused::of(Reason::CopyNotKept))?;
    let key = Key::read(&request.key, &copy.secondary_keys).map_err(|bad| Refused::Keys(vec![bad]))?;
    let strange = not_searchable(&agreement.value, &key.fields);
    if !strange.is_empty() {
        let reason = Reason::FieldNotGranted;
        let told = account_for(exchange, system, &request.agreement, Mode::LookUp, reason, 0).await;
        return Err(if told == reason { Refused::NotGranted(strange) } else { Refused::of(told) });
    }
    let view = exchange.look_ups.views.of(exchange, &state, &agreement).map_err(Refused::of)?;
    if !exchange.look_ups.journal.takes() {
        return Err(Refused::of(Reason::LookUpNotRecorded));
    }
    exchange.copies.ready(dataset, stage).map_err(|why| Refused::of(reason_of(&why)))?;
    let most = request.most as u64;
    let reserved = match meter.reserve(&agreement.value.quotas, 1, most) {
        Ok(reserved) => reserved,
        Err(met) => return Err(refused_for(exchange, &agreement.value, met).await),
    };
    let places = (place, Answerer::reading(exchange, system, deadline).await?);
    let max_age = (copy.max_age_seconds > 0).then(|| Duration::from_secs(copy.max_age_seconds.into()));
    let limits = Limits { bytes: exchange.config.record_bytes, ..Limits::DEFAULT };
    let (exchange, system, request) = (Arc::clone(exchange), system.clone(), request.clone());
    Ok(Call {
        exchange,
        system,
        request,
        deadline,
        started,
        agreement,
        key,
        max_age,
        view,
        limits,
        reserved,
        _places: places,
    })
}

/// Fields that the agreement does not show, or shows under a mask.
fn not_searchable(agreement: &Agreement, fields: &[String]) -> Vec<String> {
    let is_masked = |field: &String| agreement.masks.iter().any(|(masked, _)| masked == field);
    let is_strange = |field: &&String| !agreement.definition.granted_fields.contains(*field) || is_masked(field);
    fields.iter().filter(is_strange).cloned().collect()
}

/// A secondary key with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    fields: Vec<String>,
    bytes: Vec<u8>,
}

impl Key {
    /// Reads a key as it stands in the copy; the names of its members tell which of the secondary keys it is.
    fn read(text: &[u8], known: &[Vec<String>]) -> Result<Self, BadKey> {
        Self::parse(text, known).ok_or_else(|| {
            let known: Vec<String> = known.iter().map(|fields| fields.join(" and ")).collect();
            let expected = if known.is_empty() {
                "a dataset whose current copy has secondary keys: this one has none".to_owned()
            } else {
                let known = known.join(", or ");
                format!("a JSON object with exactly {known}, each a text that is not empty or an integer")
            };
            BadKey { at: 0, expected }
        })
    }

    fn parse(text: &[u8], known: &[Vec<String>]) -> Option<Self> {
        let mut parser = Parser::new(Limits { bytes: KEY_TEXT_BYTES, ..Limits::DEFAULT });
        let document = parser.parse(text).ok()?;
        let members = document.root().as_object()?;
        let is_it = |fields: &&Vec<String>| {
            fields.len() == members.len() && fields.iter().all(|field| members.get(field).is_some())
        };
        let fields = known.iter().find(is_it)?;
        let mut bytes = Vec::new();
        document.key(fields, &mut bytes).ok()?;
        Some(Self { fields: fields.clone(), bytes })
    }

    /// What is hashed of it: it tells the fields apart, and them from the values.
    fn told(&self) -> Vec<u8> {
        let mut told = Vec::new();
        for field in &self.fields {
            told.extend_from_slice(field.as_bytes());
            told.push(0);
        }
        told.push(0);
        told.extend_from_slice(&self.bytes);
        told
    }
}

fn reason_of(why: &NoAnswer) -> Reason {
    match why {
        NoAnswer::NoCopy | NoAnswer::NoKey => Reason::CopyNotKept,
        // The definition has changed since the key was read: its copy is being made.
        NoAnswer::NoSuchKey | NoAnswer::NotReady | NoAnswer::TooOld { .. } | NoAnswer::Unavailable => {
            Reason::CopyNotReady
        }
        NoAnswer::TooMuch { .. } | NoAnswer::NoHistory => Reason::Internal,
    }
}

/// What was read, reduced to what is shown.
struct Read {
    /// Each of them found.
    answers: Vec<KeyAnswer>,
    more: bool,
    withheld: u64,
    copy: CopyState,
}

impl Call {
    /// Asks, answers and accounts for it, to the end.
    async fn run(mut self, tell: oneshot::Sender<Result<Finding, Refused>>) {
        let id = ExchangeId::new();
        let mut asking = self.exchange.look_ups.journal.ask(id, self.exchange.now(), self.asked(id));
        let durable = durable(&self.exchange, &mut asking, self.deadline);
        let (durable, read) = futures::future::join(durable, self.read()).await;
        let (agreement, held) = (&self.request.agreement, Some(&self.agreement));
        let permitted = durable.and_then(|()| grant(&self.exchange, &self.system, agreement, Mode::LookUp, held));
        self.exchange.metrics.look_ups.took("whole", self.started.elapsed());
        let (found, withheld) =
            read.as_ref().map_or((0, 0), |read| (count(read.answers.len() as u64), count(read.withheld)));
        let outcome_of_key = match &read {
            Ok(read) if read.answers.is_empty() => "not_found",
            Ok(_) => "found",
            Err(_) => "not_answered",
        };
        let metrics = &self.exchange.metrics;
        metrics.look_ups.keys(&self.agreement.value.dataset, self.agreement.value.stage, outcome_of_key, 1);
        metrics.withheld.inc_by(withheld.into());
        let read = match permitted.and(read) {
            Ok(read) => read,
            Err(reason) => {
                self.count_call(reason.as_str());
                asking.close(|outcome| {
                    outcome.set_outcome(LookUpOutcome::Refused);
                    reason.as_str().clone_into(&mut outcome.reason);
                    (outcome.found, outcome.not_permitted) = (found, withheld);
                });
                let _ = tell.send(Err(Refused::of(reason)));
                return;
            }
        };
        let salt: Salt = rand::random();
        let commitment = (found > 0).then(|| commit(&salt, &read.answers));
        let records = read.answers.into_iter().filter_map(|answer| match answer {
            KeyAnswer::Found(found) => Some(found),
            KeyAnswer::NotFound { .. } | KeyAnswer::NotPermitted { .. } | KeyAnswer::NotAnswered(_) => None,
        });
        let finding = Finding {
            exchange_id: id,
            agreement_version: self.agreement.version,
            records: records.collect(),
            more: read.more,
            salt,
            copy: read.copy,
        };
        let is_given = tell.send(Ok(finding)).is_ok();
        if is_given {
            self.reserved.give(found as usize);
        }
        self.count_call(if is_given { "answered" } else { "caller_gone" });
        asking.close(|outcome| {
            outcome.set_outcome(if is_given { LookUpOutcome::Answered } else { LookUpOutcome::CallerGone });
            (outcome.found, outcome.not_permitted) = (found, withheld);
            outcome.not_found = u32::from(found == 0);
            if is_given && let Some(commitment) = commitment {
                outcome.commitment = commitment.to_vec();
            }
        });
    }

    async fn read(&self) -> Result<Read, Reason> {
        let started = Instant::now();
        let (dataset, stage) = (&self.agreement.value.dataset, self.agreement.value.stage);
        let ask = Ask::Secondary {
            fields: self.key.fields.clone(),
            key: self.key.bytes.clone().into(),
            most: self.request.most.min(self.reserved.records()),
        };
        let shown = self.shown();
        let reading = self.exchange.copies.look_up_shown(dataset, stage, &ask, self.max_age, shown.as_ref());
        let read = tokio::time::timeout_at(self.deadline.into(), reading).await;
        self.exchange.metrics.look_ups.took("copy", started.elapsed());
        let answer = match read {
            Ok(answer) => answer.map_err(|why| reason_of(&why))?,
            Err(_) => return Err(Reason::LookUpNotAnswered),
        };
        let answers = answers::shown(&self.view, self.limits, answer.records).await;
        if !answers.iter().all(|answer| matches!(answer, KeyAnswer::Found(_))) {
            // One that cannot be read is no reason to tell of the others as if they were all.
            return Err(Reason::LookUpNotAnswered);
        }
        let copy = CopyState { positions: answer.positions, followed: answer.followed };
        Ok(Read { answers, more: answer.more, withheld: answer.withheld, copy })
    }

    /// Which records may be shown, where not all may.
    fn shown(&self) -> Option<Arc<Shown>> {
        if !self.view.has_condition() {
            return None;
        }
        let (view, parser) = (Arc::clone(&self.view), Mutex::new(Parser::new(self.limits)));
        // What cannot be read is not passed over: the call then fails.
        Some(Arc::new(move |payload: &[u8]| view.is_shown(&mut parser.lock(), payload).unwrap_or(true)))
    }

    fn asked(&self, id: ExchangeId) -> LookUpAsked {
        let (hashes, dataset) = (&self.exchange.look_ups.hashes, self.agreement.value.dataset.as_str());
        let Find { officer_id, case_number, .. } = &self.request;
        LookUpAsked {
            key_hashes: vec![hashes.of("secondary key", dataset, &self.key.told())],
            source: Source::Copy.to_string(),
            searched_fields: self.key.fields.clone(),
            ..asked_by(hashes, id, &self.system, &self.agreement, (officer_id, case_number))
        }
    }

    fn count_call(&self, result: &str) {
        let agreement = &self.agreement.value;
        self.exchange.metrics.look_ups.call(agreement.dataset.as_str(), agreement.stage.as_str(), result);
    }
}

fn count(records: u64) -> u32 {
    u32::try_from(records).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_of_those_there_are_whatever_the_order_of_its_members() {
        let known = [vec!["owner".to_owned()], vec!["sheet".to_owned(), "owner".to_owned()]];
        let read = |text: &str| Key::read(text.as_bytes(), &known).map(|key| (key.fields.join(" "), key.bytes));
        let value = |text: &str| text.as_bytes().to_vec();
        assert_eq!(read(r#"{"owner":"an"}"#), Ok(("owner".into(), value("an"))));
        assert_eq!(read(r#"{"owner":7.0}"#), Ok(("owner".into(), value("7"))));
        let both = read(r#"{ "owner": "an", "sheet": "1" }"#);
        assert_eq!(both, read(r#"{"sheet":"1","owner":"an"}"#));
        assert_eq!(both.map(|(fields, _)| fields), Ok("sheet owner".into()));
        for bad in
            ["", "[]", "{}", r#"{"sheet":"1"}"#, r#"{"owner":""}"#, r#"{"owner":null}"#, r#"{"owner":"a","x":1}"#]
        {
            let told = read(bad).expect_err(bad).expected;
            assert!(told.contains("owner, or sheet and owner"), "{told}");
        }
        let told = Key::read(b"{}", &[]).expect_err("none").expected;
        assert!(told.contains("has none"), "{told}");
    }

    #[test]
    fn what_is_hashed_of_a_key_is_its_own() {
        let key = |fields: &[&str], bytes: &str| {
            Key { fields: fields.iter().map(|&field| field.into()).collect(), bytes: bytes.into() }.told()
        };
        let all = [key(&["a"], "b"), key(&["a", "b"], ""), key(&["ab"], ""), key(&["b"], "a"), key(&["a"], "\0b")];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }
}

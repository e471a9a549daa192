//! What look-ups show: masks, row conditions, modes, what must be told with them; and the hub's current copy as the answerer.

use ldop_contract::catalog::v1::{CurrentCopy, FieldMask, LookUpSource, MaskKind, Mode, SecondaryKey};
use ldop_exchange::{
    look_up::{CopyState, Source},
    publish::{Incoming, Publisher, Verdict},
};
use serde_json::{Map, Value};

use super::*;

impl World {
    pub(crate) async fn change_agreement(&self, change: impl FnOnce(&mut Agreement)) {
        let mut agreement = (*self.exchange.control.state().stored.agreements[AGREEMENT]).clone();
        change(&mut agreement);
        self.apply(vec![control::Change { resource: Some(Resource::Agreement(agreement)) }]).await;
    }

    pub(crate) async fn change_dataset(&self, change: impl FnOnce(&mut ldop_contract::catalog::v1::Dataset)) {
        let mut dataset = (*self.exchange.control.state().stored.datasets["civil-status"]).clone();
        change(&mut dataset);
        self.apply(vec![control::Change { resource: Some(Resource::Dataset(dataset)) }]).await;
    }

    pub(crate) async fn keep_copy(&self, sources: &[LookUpSource]) {
        self.keep_copy_with(&[], sources).await;
    }

    pub(crate) async fn keep_copy_with(&self, secondary: &[&[&str]], sources: &[LookUpSource]) {
        let key = |fields: &&[&str]| SecondaryKey { fields: fields.iter().map(|&field| field.into()).collect() };
        self.change_dataset(|dataset| {
            let secondary_keys = secondary.iter().map(key).collect();
            dataset.current_copy = Some(CurrentCopy { secondary_keys, ..Default::default() });
            dataset.look_up_sources = sources.iter().map(|source| (*source).into()).collect();
        })
        .await;
    }

    /// Asks for no copy any more, and waits until there is none.
    pub(crate) async fn drop_copy(&self) {
        self.change_dataset(|dataset| (dataset.current_copy, dataset.look_up_sources) = (None, Vec::new())).await;
        for _ in 0..3_000 {
            if !self.exchange.copies.is_ready(&births(), Stage::Live) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the copy stays");
    }

    pub(crate) async fn publish(&self, samples: &[Sample]) {
        let mut publisher =
            Publisher::open(Arc::clone(&self.exchange), system(PROVIDER), births(), Stage::Live).expect("may provide");
        let records = samples.iter().map(|sample| Incoming {
            exchange_id: Bytes::copy_from_slice(ExchangeId::new().as_bytes()),
            payload: sample.payload.clone(),
            event_time: Ok(Some(sample.event_time)),
            is_deletion: false,
        });
        let ticket = publisher.submit(records.collect()).await.expect("taken");
        let verdicts = ticket.verdicts().await.expect("told");
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Accepted(_))), "{verdicts:?}");
    }

    /// Looks up until the copy holds so many of the records: it follows each partition by itself.
    pub(crate) async fn told_by_copy(&self, keys: Vec<Bytes>, held: usize) -> Answered {
        for _ in 0..3_000 {
            if let Ok(answered) = self.call(keys.clone()).await
                && answered.copy.is_some()
                && answered.answers.iter().filter(|answer| matches!(answer, KeyAnswer::Found(_))).count() == held
            {
                return answered;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the copy does not answer");
    }
}

fn object(payload: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(payload).expect("an object")
}

#[tokio::test]
async fn a_look_up_shows_what_the_view_shows_and_tells_what_it_withholds() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(12);
    let first = object(&samples[0].payload)["registry_commune"].clone();
    let other = samples.iter().position(|sample| object(&sample.payload)["registry_commune"] != first);
    let other = &samples[other.expect("of another commune")];
    world
        .change_agreement(|agreement| {
            agreement.row_condition = format!("this.registry_commune == {first}");
            let mask = |field: &str, kind: MaskKind| FieldMask {
                field: field.into(),
                kind: kind.into(),
                ..Default::default()
            };
            agreement.masks = vec![mask("personal_id", MaskKind::KeyedHash), mask("birth_date", MaskKind::YearOnly)];
        })
        .await;
    let serving = world.answering(from_register(&samples));
    let keys = vec![keys_of(&samples[..1]).remove(0), keys_of(std::slice::from_ref(other)).remove(0), key("none")];
    let answered = world.call(keys).await.expect("answered");
    let [KeyAnswer::Found(found), KeyAnswer::NotPermitted { source }, KeyAnswer::NotFound { .. }] =
        &answered.answers[..]
    else {
        panic!("{:?}", answered.answers)
    };
    assert_eq!((source, &answered.copy), (&Source::System(system(PROVIDER)), &None));
    let (shown, whole) = (object(&found.payload), object(&samples[0].payload));
    assert_eq!(shown["birth_date"].as_str(), whole["birth_date"].as_str().and_then(|day| day.get(..4)));
    assert_eq!(shown["personal_id"].as_str().map(str::len), Some(32));
    assert_eq!(world.count("ldop_look_up_keys_total", &[("outcome", "not_permitted")]), 1);
    serving.abort();
    let events = world.events().await;
    let told = events.iter().find_map(|event| match event {
        Kind::LookUpAnswered(answered) => Some((answered.found, answered.not_permitted, answered.not_found)),
        _ => None,
    });
    assert_eq!(told, Some((1, 1, 1)));
}

#[tokio::test]
async fn a_look_up_needs_the_mode_and_what_the_agreement_asks_with_it() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let serving = world.answering(from_register(&samples));
    world
        .change_agreement(|agreement| {
            agreement.officer_required = true;
            agreement.case_number_required = true;
        })
        .await;
    let nameless = |officer: &str, case: &str| {
        let request = LookUp { officer_id: officer.into(), case_number: case.into(), ..request(keys_of(&samples)) };
        let exchange = Arc::clone(&world.exchange);
        async move { look_up::look_up(&exchange, &system(CONSUMER), request, Instant::now() + SOON).await }
    };
    assert_eq!(nameless("", " ").await, Err(Refused::Missing(vec!["officer_id", "case_number"])));
    assert_eq!(nameless(OFFICER, "").await, Err(Refused::Missing(vec!["case_number"])));
    assert!(nameless(OFFICER, CASE).await.is_ok());
    world.change_agreement(|agreement| agreement.modes = vec![Mode::Subscribe.into()]).await;
    let refused = nameless(OFFICER, CASE).await.expect_err("not granted");
    assert_eq!(refused.reason(), Reason::ModeNotGranted);
    serving.abort();
    world.exchange.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_copy_answers_where_the_dataset_says_so() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(3);
    world.change_dataset(|dataset| dataset.retention_seconds = 0).await;
    world.publish(&samples[..2]).await;
    let refused = world.call(keys_of(&samples)).await.expect_err("nobody serves, and there is no copy");
    assert_eq!(refused.reason(), Reason::LookUpNotServed);
    world.keep_copy(&[]).await;
    let answered = world.told_by_copy(keys_of(&samples), 2).await;
    let [KeyAnswer::Found(first), KeyAnswer::Found(_), KeyAnswer::NotFound { source: Source::Copy }] =
        &answered.answers[..]
    else {
        panic!("{:?}", answered.answers)
    };
    assert_eq!((&first.source, first.event_time), (&Source::Copy, Some(samples[0].event_time)));
    let granted = &world.exchange.control.state().stored.agreements[AGREEMENT].granted_fields.clone();
    let whole = object(&samples[0].payload);
    let expected: Map<_, _> = whole.into_iter().filter(|(name, _)| granted.contains(name)).collect();
    assert_eq!(object(&first.payload), expected);
    let Some(CopyState { positions, .. }) = &answered.copy else { panic!("it names where it stands") };
    assert!(positions.iter().any(|(_, next)| *next > 0), "{positions:?}");

    // A provider that is connected goes before it, unless the dataset says otherwise.
    let serving = world.answering(from_register(&samples));
    let answered = world.call(keys_of(&samples)).await.expect("answered");
    assert_eq!(answered.copy, None);
    assert!(
        matches!(&answered.answers[2], KeyAnswer::Found(found) if found.source == Source::System(system(PROVIDER)))
    );
    world.keep_copy(&[LookUpSource::CurrentCopy, LookUpSource::Provider]).await;
    let answered = world.told_by_copy(keys_of(&samples), 2).await;
    assert!(matches!(answered.answers[2], KeyAnswer::NotFound { source: Source::Copy }));

    // Masks and conditions hold for it too.
    world.change_agreement(|agreement| agreement.row_condition = "this.kind == 'no such kind'".into()).await;
    let answered = world.call(keys_of(&samples)).await.expect("answered");
    let withheld = KeyAnswer::NotPermitted { source: Source::Copy };
    assert_eq!(answered.answers[..2], [withheld.clone(), withheld]);
    serving.abort();
    let events = world.events().await;
    let sources: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Kind::LookUpAsked(asked) => Some(asked.source.as_str()),
            _ => None,
        })
        .collect();
    assert!(sources.contains(&"hub") && sources.contains(&PROVIDER), "{sources:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_as_of_a_time_come_from_the_history_of_the_copy_and_from_nobody_else() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(2);
    let serving = world.answering(|_| panic!("a provider is asked for what was"));
    let time = samples[0].event_time;
    let ask = async |as_of: Option<i64>| {
        let as_of = as_of.map(ldop_types::TimestampMs);
        let request = LookUp { as_of, ..request(keys_of(&samples[..1])) };
        look_up::look_up(&world.exchange, &system(CONSUMER), request, Instant::now() + SOON).await
    };
    assert_eq!(ask(Some(time.0)).await.expect_err("no copy").reason(), Reason::HistoryNotKept);
    world.change_dataset(|dataset| dataset.retention_seconds = 0).await;
    world.keep_copy(&[LookUpSource::CurrentCopy]).await;
    world.publish(&samples).await;
    world.told_by_copy(keys_of(&samples), 2).await;
    assert_eq!(ask(Some(time.0)).await.expect_err("no history").reason(), Reason::HistoryNotKept);
    world
        .change_dataset(|dataset| {
            dataset.current_copy = Some(CurrentCopy { history: true, ..Default::default() });
            dataset.look_up_sources = vec![LookUpSource::Provider.into()];
        })
        .await;
    let mut answered = None;
    for _ in 0..3_000 {
        match ask(Some(time.0)).await {
            Ok(told) if matches!(told.answers[0], KeyAnswer::Found(_)) => {
                answered = Some(told);
                break;
            }
            Ok(_) => {}
            Err(refused) => assert_eq!(refused.reason(), Reason::CopyNotReady),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answered = answered.expect("the copy answers");
    let KeyAnswer::Found(found) = &answered.answers[0] else { panic!("{:?}", answered.answers) };
    assert_eq!((&found.source, found.event_time), (&Source::Copy, Some(time)));
    let granted = &world.exchange.control.state().stored.agreements[AGREEMENT].granted_fields.clone();
    assert!(object(&found.payload).keys().all(|field| granted.contains(field)));
    let before = ask(Some(time.0 - 1)).await.expect("answered");
    assert_eq!(before.answers, [KeyAnswer::NotFound { source: Source::Copy }]);
    // What was is under the same agreement as what is.
    world.change_agreement(|agreement| agreement.row_condition = "this.kind == 'no such kind'".into()).await;
    let withheld = ask(Some(time.0)).await.expect("answered");
    assert_eq!(withheld.answers, [KeyAnswer::NotPermitted { source: Source::Copy }]);
    assert!(!serving.is_finished(), "the provider was asked");
    serving.abort();
    let events = world.events().await;
    let of = |id: &ExchangeId| {
        events.iter().find_map(|event| match event {
            Kind::LookUpAsked(asked) if asked.exchange_id == id.as_bytes() => asked.as_of_ms,
            _ => None,
        })
    };
    assert_eq!((of(&answered.exchange_id), of(&before.exchange_id)), (Some(time.0), Some(time.0 - 1)));
}

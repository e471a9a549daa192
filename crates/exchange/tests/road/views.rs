//! What agreements show: masks, row conditions and modes on the way out.

use std::collections::BTreeSet;

use ldop_catalog::Mode;
use ldop_contract::catalog::v1::{self as wire, FieldMask, MaskKind};
use ldop_exchange::transfer::{
    changes::{Changes, ReadChanges},
    export::Exporting,
};
use serde_json::{Map, Value};

use super::*;

const AGREEMENT: &str = "civil-status-to-social-insurance";

fn stored(exchange: &Exchange) -> Agreement {
    (*exchange.control.state().stored.agreements[AGREEMENT]).clone()
}

async fn change(exchange: &Exchange, change: impl FnOnce(&mut Agreement)) {
    let mut agreement = stored(exchange);
    change(&mut agreement);
    apply(exchange, vec![control::Change { resource: Some(Resource::Agreement(agreement)) }]).await;
}

fn mask(field: &str, kind: MaskKind, shown_first: u32, shown_last: u32) -> FieldMask {
    FieldMask { field: field.into(), kind: kind.into(), shown_first, shown_last }
}

fn object(payload: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(payload).expect("an object")
}

/// What was published, by position.
async fn publish_all(exchange: &Arc<Exchange>, samples: &[Sample]) -> Vec<((u32, u64), Map<String, Value>)> {
    let mut publisher = publisher(exchange);
    let mut sent = Vec::new();
    for chunk in samples.chunks(100) {
        let records: Vec<_> = chunk.iter().map(|sample| incoming(ExchangeId::new(), sample)).collect();
        for (sample, verdict) in chunk.iter().zip(send(&mut publisher, records).await) {
            let receipt = receipt(&verdict);
            sent.push(((receipt.partition, receipt.offset), object(&sample.payload)));
        }
    }
    sent.sort_by_key(|(at, _)| *at);
    sent
}

#[tokio::test]
async fn masks_and_a_row_condition_hold_for_every_record_of_a_stream() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let sent = publish_all(&exchange, &good(400)).await;
    let communes: BTreeSet<&str> = sent.iter().filter_map(|(_, record)| record["registry_commune"].as_str()).collect();
    let some: Vec<&str> = communes.into_iter().step_by(3).collect();
    change(&exchange, |agreement| {
        agreement.masks = vec![
            mask("personal_id", MaskKind::KeyedHash, 0, 0),
            mask("full_name", MaskKind::PartlyHidden, 1, 0),
            mask("birth_date", MaskKind::YearOnly, 0, 0),
            mask("declarant", MaskKind::Dropped, 0, 0),
        ];
        agreement.row_condition = format!("this.registry_commune in {some:?}");
    })
    .await;
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    let mut received = drain(&mut subscription).await;
    received.sort_by_key(|(partition, record)| (*partition, record.offset));
    let meant: Vec<_> = sent
        .iter()
        .filter(|(_, record)| some.contains(&record["registry_commune"].as_str().expect("a text")))
        .collect();
    assert!(meant.len() > 20 && meant.len() < sent.len() - 20, "{} of {}", meant.len(), sent.len());
    let got: Vec<(u32, u64)> = received.iter().map(|(partition, record)| (*partition, record.offset)).collect();
    assert_eq!(got, meant.iter().map(|(at, _)| *at).collect::<Vec<_>>(), "these records, and no other");
    let mut hashes = std::collections::BTreeMap::new();
    for ((_, delivered), (_, record)) in received.iter().zip(&meant) {
        let shown = object(&delivered.payload);
        let granted = &subscription.agreement().value.definition.granted_fields;
        assert!(shown.keys().all(|name| granted.contains(name)) && !shown.contains_key("declarant"));
        assert_eq!(shown["kind"], record["kind"], "what has no mask is shown as it is");
        let year = record["birth_date"].as_str().expect("a text").get(..4);
        assert_eq!(shown["birth_date"].as_str(), year);
        let (name, hidden) =
            (record["full_name"].as_str().expect("a text"), shown["full_name"].as_str().expect("a text"));
        assert_eq!((name.chars().next(), name.chars().count()), (hidden.chars().next(), hidden.chars().count()));
        assert!(hidden.chars().skip(1).all(|c| c == '*'));
        let hash = shown["personal_id"].as_str().expect("a text").to_owned();
        assert_eq!(hash.len(), 32);
        assert_eq!(
            hashes.entry(record["personal_id"].to_string()).or_insert_with(|| hash.clone()),
            &hash,
            "one value, one hash"
        );
    }
    let different: BTreeSet<&String> = hashes.values().collect();
    assert_eq!(different.len(), hashes.len());
    assert_eq!(exchange.metrics.withheld.get(), (sent.len() - meant.len()) as u64);
    // What is withheld is done with: nobody could acknowledge it.
    drop(subscription);
    exchange.drain(SOON).await;
    drop(exchange);
    let exchange = node(log(dir.path()), dir.path()).await;
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    assert_eq!(drain(&mut subscription).await.len(), 0);
    assert_eq!(exchange.metrics.withheld.get(), 0, "nothing is read again");
    // The hash is the agreement's own, and stays over restarts.
    let mut again = subscribe(&exchange, Start::Earliest).await;
    let first = drain(&mut again).await.remove(0).1;
    assert!(different.contains(&object(&first.payload)["personal_id"].as_str().expect("a text").to_owned()));
}

#[tokio::test]
async fn a_way_out_that_is_not_granted_is_shut_on_open_streams_too() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut subscription = subscribe(&exchange, Start::Resume).await;
    drain(&mut subscription).await;
    change(&exchange, |agreement| agreement.modes = vec![wire::Mode::LookUp.into(), wire::Mode::Export.into()]).await;
    let ended = tokio::time::timeout(SOON, subscription.next()).await.expect("at once");
    assert_eq!(ended, Err(Reason::ModeNotGranted));
    let agreement = AgreementId::parse(AGREEMENT).expect("id");
    let open = || OpenSubscription {
        agreement: agreement.clone(),
        name: SubscriptionName::parse("default").expect("name"),
        start: Start::Resume,
    };
    let consumer = || system("bhxh-tinh/tiep-nhan");
    let refused = Subscription::open(Arc::clone(&exchange), consumer(), open()).await.err();
    assert_eq!(refused, Some(Reason::ModeNotGranted));
    let granted = &exchange.control.state().catalog.agreements[&agreement].value.modes;
    assert_eq!(granted[..], [Mode::LookUp, Mode::Export]);
    change(&exchange, |agreement| agreement.modes = vec![wire::Mode::Subscribe.into()]).await;
    assert!(Subscription::open(Arc::clone(&exchange), consumer(), open()).await.is_ok());
}

#[tokio::test]
async fn nothing_is_transferred_that_cannot_be_accounted_for() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    change(&exchange, |agreement| agreement.modes = vec![wire::Mode::Changes.into(), wire::Mode::Export.into()]).await;
    publish_all(&exchange, &good(20)).await;
    exchange.drain(SOON).await;
    drop(exchange);
    let mut config = embedded::Config::new(dir.path().join("log"));
    config.max_bytes = 8 << 20;
    let log: Arc<dyn MessageLog> = EmbeddedLog::open(config).expect("open log");
    let exchange = node(Arc::clone(&log), dir.path()).await;
    let (agreement, consumer) = (AgreementId::parse(AGREEMENT).expect("id"), system("bhxh-tinh/tiep-nhan"));
    let changes = async || {
        let request = ReadChanges { agreement: agreement.clone(), start: Start::Earliest, most_records: None };
        Changes::open(Arc::clone(&exchange), consumer.clone(), request).await.map(|_| ())
    };
    assert_eq!(changes().await, Ok(()));
    fill(&log, &dataset_topic(Stage::Live, &births()), 4).await;
    fill(&log, &TopicName::parse("ldop.exchanges").expect("name"), 4).await;
    assert_eq!(changes().await, Err(Reason::LogUnavailable));
    let export = Exporting::open(Arc::clone(&exchange), consumer.clone(), &agreement, &[]).await.map(|_| ());
    assert_eq!(export, Err(Reason::LogUnavailable));
}

#[tokio::test]
async fn a_schema_may_not_take_away_what_an_agreement_grants() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    change(&exchange, |agreement| agreement.row_condition = "this.kind == 'birth'".into()).await;
    let state = exchange.control.state();
    let known =
        state.registry.subject("civil-status").and_then(|subject| subject.versions().last()).expect("registered");
    let mut tree: Value = serde_json::from_str(&known.text).expect("JSON");
    let properties = tree["properties"].as_object_mut().expect("properties");
    // `declarant` goes; `kind` becomes a number to the condition.
    properties.remove("declarant").expect("there");
    properties["kind"]["x-ldop-element"] = "record.revision".into();
    properties["kind"]["type"] = "integer".into();
    let schema = ldop_contract::registry::v1::Schema {
        name: "civil-status".into(),
        text: tree.to_string(),
        ..Default::default()
    };
    let settings = ldop_contract::registry::v1::SubjectSettings {
        subject: "civil-status".into(),
        compatibility: ldop_contract::registry::v1::CompatibilityMode::None.into(),
        ..Default::default()
    };
    let changes = [Resource::SubjectSettings(settings), Resource::Schema(schema)];
    let changes = changes.map(|resource| control::Change { resource: Some(resource) }).to_vec();
    let request = control::ApplyChangeSetRequest { change_id: rand_id().to_vec(), changes, ..Default::default() };
    let refused = exchange.control.apply("operator so-khcn/test", request).await.expect_err("agreements rest on it");
    let told: BTreeSet<&str> = refused.problems.iter().map(|problem| problem.field.as_str()).collect();
    let lists = |start: &str| told.iter().any(|field| field.starts_with(start));
    assert!(lists(&format!("agreement({AGREEMENT}).granted_fields[")), "{told:?}");
    assert!(told.contains(&*format!("agreement({AGREEMENT}).row_condition")), "{told:?}");
    assert!(!lists("agreement(civil-status-counts-to-ioc)"), "which grants neither: {told:?}");
}

//! Finding by secondary keys: what is found is what stands in the copy and may be shown, and what may not be searched by is refused.

use ldop_contract::catalog::v1::{FieldMask, MaskKind, Mode};
use ldop_exchange::look_up::{
    Source, commit,
    find::{self, Find, Finding},
};
use serde_json::{Map, Value, json};

use super::*;

const KEYS: [&[&str]; 4] = [&["kind"], &["kind", "registry_commune"], &["personal_id"], &["book_no"]];

fn object(payload: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(payload).expect("an object")
}

fn find(key: &Value) -> Find {
    Find {
        agreement: AgreementId::parse(AGREEMENT).expect("id"),
        key: key.to_string().into(),
        most: find::MOST_RECORDS,
        officer_id: OFFICER.into(),
        case_number: CASE.into(),
    }
}

impl World {
    pub(crate) async fn find(&self, request: Find) -> Result<Finding, Refused> {
        find::find(&self.exchange, &system(CONSUMER), request, Instant::now() + SOON).await
    }

    /// A copy with secondary keys, of these records, waited for.
    async fn keep_records(&self, samples: &[Sample]) {
        self.change_dataset(|dataset| dataset.retention_seconds = 0).await;
        self.keep_copy_with(&KEYS, &[]).await;
        self.publish(samples).await;
        self.told_by_copy(keys_of(samples), samples.len()).await;
    }
}

/// Records that have these values, as the agreement shows them, ordered.
fn expected(world: &World, samples: &[Sample], key: &Value) -> Vec<String> {
    let granted = &world.exchange.control.state().stored.agreements[AGREEMENT].granted_fields.clone();
    let records = samples.iter().map(|sample| object(&sample.payload));
    let has = |record: &Map<String, Value>| {
        key.as_object().expect("an object").iter().all(|(field, value)| record.get(field) == Some(value))
    };
    let shown = |record: Map<String, Value>| -> Value {
        record.into_iter().filter(|(name, _)| granted.contains(name)).collect::<Map<_, _>>().into()
    };
    let mut expected: Vec<String> = records.filter(has).map(|record| shown(record).to_string()).collect();
    expected.sort();
    expected
}

fn told(finding: &Finding) -> Vec<String> {
    let mut told: Vec<String> =
        finding.records.iter().map(|found| Value::Object(object(&found.payload)).to_string()).collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_found_by_their_values_reduced_to_what_is_granted_and_accounted_for() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(40);
    world.keep_records(&samples).await;
    let first = object(&samples[0].payload);
    let kind = json!({ "kind": first["kind"] });
    let all = expected(&world, &samples, &kind);
    assert!((2..samples.len()).contains(&all.len()), "{}", all.len());
    let finding = world.find(find(&kind)).await.expect("answered");
    assert_eq!((told(&finding), finding.more), (all.clone(), false));
    assert!(finding.records.iter().all(|found| found.source == Source::Copy && found.event_time.is_some()));
    assert!(finding.copy.positions.iter().any(|(_, next)| *next > 0));

    // At most as many as were asked for, and whether there are more.
    for (most, more) in [(1, true), (all.len() - 1, true), (all.len(), false)] {
        let some = world.find(Find { most, ..find(&kind) }).await.expect("answered");
        assert_eq!((some.records.len(), some.more), (most, more));
        assert!(told(&some).iter().all(|record| all.contains(record)));
    }

    // Several fields, in whatever order; and nobody.
    let both = json!({ "registry_commune": first["registry_commune"], "kind": first["kind"] });
    let narrower = world.find(find(&both)).await.expect("answered");
    assert_eq!(told(&narrower), expected(&world, &samples, &both));
    assert!(!narrower.records.is_empty());
    let nobody = world.find(find(&json!({ "kind": "no such kind" }))).await.expect("answered");
    assert!(nobody.records.is_empty() && !nobody.more);

    let count = |outcome| world.count("ldop_look_up_keys_total", &[("outcome", outcome), ("dataset", "civil-status")]);
    assert!(count("found") >= 5);
    let answers: Vec<KeyAnswer> = finding.records.iter().cloned().map(KeyAnswer::Found).collect();
    let (id, commitment) = (finding.exchange_id, commit(&finding.salt, &answers));
    let events = world.events().await;
    let asked: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Kind::LookUpAsked(asked) if !asked.searched_fields.is_empty() => Some(asked),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 6);
    let whole = asked.iter().find(|asked| asked.exchange_id == id.as_bytes()).expect("accounted for");
    assert_eq!((whole.searched_fields.clone(), whole.source.as_str()), (vec!["kind".to_owned()], "hub"));
    assert_eq!([&whole.officer_hash, &whole.case_hash, &whole.key_hashes[0]].map(Vec::len), [32; 3]);
    // The same key has the same hash, other keys have others.
    let hashes: std::collections::HashSet<_> = asked.iter().map(|asked| asked.key_hashes.clone()).collect();
    assert_eq!(hashes.len(), 3);
    assert!(!whole.purpose.is_empty());
    let answered = events.iter().find_map(|event| match event {
        Kind::LookUpAnswered(answered) if answered.exchange_id == id.as_bytes() => Some(answered),
        _ => None,
    });
    let answered = answered.expect("accounted for");
    assert_eq!((answered.outcome(), answered.found as usize), (LookUpOutcome::Answered, all.len()));
    assert_eq!(answered.commitment, commitment);
    let bytes: Vec<u8> = events.iter().flat_map(|event| format!("{event:?}").into_bytes()).collect();
    for secret in [OFFICER, CASE, first["register_no"].as_str().expect("a text")] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_condition_withholds_is_neither_told_nor_counted() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(40);
    world.keep_records(&samples).await;
    let first = object(&samples[0].payload);
    let kind = json!({ "kind": first["kind"] });
    let commune = first["registry_commune"].clone();
    world.change_agreement(|agreement| agreement.row_condition = format!("this.registry_commune == {commune}")).await;
    let both = json!({ "kind": first["kind"], "registry_commune": commune });
    let (seen, all) = (expected(&world, &samples, &both), expected(&world, &samples, &kind));
    assert!(seen.len() < all.len());
    let finding = world.find(find(&kind)).await.expect("answered");
    assert_eq!((told(&finding), finding.more), (seen.clone(), false));
    // Asked for just as many as there are: that others are withheld makes no difference.
    let finding = world.find(Find { most: seen.len(), ..find(&kind) }).await.expect("answered");
    assert_eq!((told(&finding), finding.more), (seen.clone(), false));
    assert_eq!(world.count("ldop_withheld_records_total", &[]), 2 * (all.len() - seen.len()) as u64);
    world.change_agreement(|agreement| agreement.row_condition = "this.kind == 'nothing'".into()).await;
    let finding = world.find(Find { most: 1, ..find(&kind) }).await.expect("answered");
    assert!(finding.records.is_empty() && !finding.more);
    let events = world.events().await;
    let last = events.iter().find_map(|event| match event {
        Kind::LookUpAnswered(answered) if answered.exchange_id == finding.exchange_id.as_bytes() => Some(answered),
        _ => None,
    });
    let last = last.expect("accounted for");
    assert_eq!((last.found, last.not_found, last.not_permitted as usize), (0, 1, all.len()));
    assert!(last.commitment.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_searched_by_is_refused_and_nobody_hears_of_a_value() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(4);
    let first = object(&samples[0].payload);
    let kind = json!({ "kind": first["kind"] });
    let refused = async |request: Find| world.find(request).await.expect_err("refused");
    assert_eq!(refused(find(&kind)).await.reason(), Reason::CopyNotKept);
    world.keep_records(&samples).await;

    let Refused::Keys(bad) = refused(find(&json!({ "birth_date": "2026-01-01" }))).await else { panic!("no such key") };
    assert!(bad[0].expected.contains("kind, or kind and registry_commune, or personal_id, or book_no"), "{bad:?}");
    for key in [json!({}), json!([]), json!({ "kind": "" }), json!({ "kind": null }), json!({ "kind": 1.5 })] {
        assert!(matches!(refused(find(&key)).await, Refused::Keys(_)), "{key}");
    }
    let id = json!({ "personal_id": first["personal_id"] });
    assert!(world.find(find(&id)).await.is_ok());
    let not_granted = |field: &str| Refused::NotGranted(vec![field.to_owned()]);
    assert_eq!(refused(find(&json!({ "book_no": "1" }))).await, not_granted("book_no"));
    world
        .change_agreement(|agreement| {
            let kind = MaskKind::KeyedHash.into();
            agreement.masks = vec![FieldMask { field: "personal_id".into(), kind, ..Default::default() }];
            agreement.officer_required = true;
        })
        .await;
    assert_eq!(refused(find(&id)).await, not_granted("personal_id"));
    assert_eq!(refused(Find { officer_id: " ".into(), ..find(&kind) }).await, Refused::Missing(vec!["officer_id"]));
    let police = system("cong-an-tinh/doi-soat");
    let stranger = find::find(&world.exchange, &police, find(&kind), Instant::now() + SOON);
    assert_eq!(stranger.await.expect_err("refused").reason(), Reason::NotTheConsumer);
    world.change_agreement(|agreement| agreement.modes = vec![Mode::Subscribe.into(), Mode::Export.into()]).await;
    assert_eq!(refused(find(&kind)).await.reason(), Reason::ModeNotGranted);
    world.end_agreement().await;
    assert_eq!(refused(find(&kind)).await.reason(), Reason::AgreementEnded);
    assert_eq!(world.count("ldop_look_ups_total", &[("result", "FIELD_NOT_GRANTED")]), 2);
    let events = world.events().await;
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Kind::AccessRefused(refused) if refused.mode == "look_up" => Some(refused.reason.as_str()),
            _ => None,
        })
        .collect();
    let count = |reason: &str| told.iter().filter(|told| **told == reason).count();
    assert_eq!([count("FIELD_NOT_GRANTED"), count("MODE_NOT_GRANTED"), count("NOT_THE_CONSUMER")], [2, 1, 1]);
    let asked = |event: &&Kind| matches!(event, Kind::LookUpAsked(asked) if !asked.searched_fields.is_empty());
    assert_eq!(events.iter().filter(asked).count(), 1, "only the one that was answered");
}

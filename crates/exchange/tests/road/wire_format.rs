//! Datasets of the Confluent wire format: what is taken, what stands on the log, what is delivered.

use ldop_contract::{
    catalog::v1::WireFormat,
    registry::v1::{Schema, SchemaAction, SchemaTransition},
};
use ldop_exchange::{frame, header};
use ldop_schema_registry::registry::SchemaId;

use super::*;

/// Has the births stand on their topics in a format from now on.
pub async fn set_format(exchange: &Exchange, format: WireFormat) {
    let mut dataset = (*exchange.control.state().stored.datasets["civil-status"]).clone();
    dataset.wire_format = format.into();
    apply(exchange, vec![control::Change { resource: Some(Resource::Dataset(dataset)) }]).await;
}

fn schema_in_use(exchange: &Exchange) -> (SchemaId, [u8; 16]) {
    let state = exchange.control.state();
    let id = state.schema("civil-status", Stage::Live).expect("a version in use").id();
    (id, state.registry.schema(id).expect("registered").hash.guid_bytes())
}

fn framed(id: SchemaId, sample: &Sample) -> Sample {
    let payload = [&[0], &id.0.to_be_bytes()[..], &sample.payload].concat();
    Sample { payload: payload.into(), ..sample.clone() }
}

fn framed_by_guid(guid: [u8; 16], sample: &Sample) -> Sample {
    let payload = [&[1], &guid[..], &sample.payload].concat();
    Sample { payload: payload.into(), ..sample.clone() }
}

/// The value of an accepted record as it stands on the log.
async fn stored(exchange: &Exchange, receipt: &Receipt) -> Bytes {
    let partition = Partition { topic: dataset_topic(Stage::Live, &births()), index: receipt.partition };
    let read = exchange.log().fetch(&partition, receipt.offset, 1, Duration::ZERO).await.expect("read");
    let entry = read.entries.into_iter().find(|entry| entry.offset == receipt.offset).expect("there");
    entry.value.expect("a record has a value")
}

fn proof(receipt: &Receipt) -> (u32, u64, [u8; 32], TimestampMs) {
    (receipt.partition, receipt.offset, receipt.commitment, receipt.meta.accepted_time)
}

fn rules(refusal: &Refusal) -> Vec<(&str, Rule)> {
    assert_eq!(refusal.reason, Reason::RecordInvalid);
    refusal.findings.iter().map(|finding| (finding.pointer.as_str(), finding.rule)).collect()
}

#[tokio::test]
async fn records_stand_behind_their_frame_however_they_were_sent_and_count_without_it() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = public_world(dir.path()).await;
    let samples = good(3);
    let mut publisher = publisher(&exchange);
    let plain = send(&mut publisher, vec![incoming(ExchangeId::new(), &good(4)[3])]).await;
    assert_eq!(
        stored(&exchange, receipt(&plain[0])).await.first(),
        Some(&b'{'),
        "as published, while nothing is asked for"
    );

    set_format(&exchange, WireFormat::Confluent).await;
    let (id, guid) = schema_in_use(&exchange);
    let ids = [ExchangeId::new(), ExchangeId::new(), ExchangeId::new()];
    let ways = |n: usize| [samples[n].clone(), framed(id, &samples[n]), framed_by_guid(guid, &samples[n])];
    let first = (0..3).map(|n| incoming(ids[n], &ways(n)[n])).collect();
    let verdicts = send(&mut publisher, first).await;
    for (verdict, sample) in verdicts.iter().zip(&samples) {
        let receipt = receipt(verdict);
        assert_eq!(receipt.commitment, header::commit(&receipt.meta.salt, &sample.payload), "to the payload alone");
        assert_eq!(stored(&exchange, receipt).await.to_vec(), framed(id, sample).payload.to_vec());
    }

    // Sent again in every way: the first receipt. Other content in a frame: told as ever.
    let provider = system(Dataset::CivilStatus.provider());
    for n in 0..3 {
        let again = ways(n).iter().map(|sample| incoming(ids[n], sample)).collect();
        for verdict in send(&mut publisher, again).await {
            assert!(receipt(&verdict).repeated);
            assert_eq!(proof(receipt(&verdict)), proof(receipt(&verdicts[n])));
        }
        let other = send(&mut publisher, vec![incoming(ids[n], &framed(id, &samples[(n + 1) % 3]))]).await;
        assert_eq!(refusal(&other[0]).reason, Reason::ExchangeIdReused);
        let status = publish::status(&exchange, &provider, &births(), Stage::Live, ids[n]).await.expect("known");
        let Status::Accepted(told) = status else { panic!("{status:?}") };
        assert_eq!(proof(&told), proof(receipt(&verdicts[n])));
    }

    // And once the dataset is as it was before, also for a hub that starts anew.
    set_format(&exchange, WireFormat::Unspecified).await;
    let after = send(&mut publisher, vec![incoming(ExchangeId::new(), &good(5)[4])]).await;
    assert_eq!(stored(&exchange, receipt(&after[0])).await.first(), Some(&b'{'));
    drop(publisher);
    exchange.drain(SOON).await;
    drop(exchange);
    let exchange = node(log(dir.path()), dir.path()).await;
    let mut publisher = super::publisher(&exchange);
    let again = (0..3).flat_map(|n| ways(n).map(|sample| incoming(ids[n], &sample))).collect();
    for (at, verdict) in send(&mut publisher, again).await.iter().enumerate() {
        assert_eq!(proof(receipt(verdict)), proof(receipt(&verdicts[at / 3])));
    }
    let mut subscription = subscribe(&exchange, Start::Earliest).await;
    let granted = subscription.agreement().value.definition.granted_fields.clone();
    let received = drain(&mut subscription).await;
    assert_eq!(received.len(), 5, "framed or not, each once");
    for (_, record) in received {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&record.payload).expect("JSON without a frame");
        assert!(!fields.is_empty() && fields.keys().all(|field| granted.contains(field)));
    }
}

#[tokio::test]
async fn a_frame_that_names_no_version_in_use_is_refused_with_what_else_is_wrong() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = public_world(dir.path()).await;
    let sample = &good(1)[0];
    let (id, _) = schema_in_use(&exchange);
    let mut publisher = publisher(&exchange);
    let mut send_one = async |sample: &Sample| send(&mut publisher, vec![incoming(ExchangeId::new(), sample)]).await;

    let told = send_one(&framed(id, sample)).await;
    assert_eq!(rules(refusal(&told[0])), [("", Rule::Syntax)], "no frame is taken where none is configured");
    assert!(refusal(&told[0]).findings[0].message.en.contains("wire_format"), "and it is told why");

    set_format(&exchange, WireFormat::Confluent).await;
    let other = exchange.control.state().schema("commune", Stage::Live).expect("in use").id();
    let mut record: serde_json::Value = serde_json::from_slice(&sample.payload).expect("json");
    record["registered_on"] = "2025-02-30".into();
    let wrong = Sample { payload: serde_json::to_vec(&record).expect("json").into(), ..sample.clone() };
    let cut = Sample { payload: framed(id, sample).payload.slice(..frame::BYTES - 1), ..sample.clone() };
    for (sample, expected) in [
        (framed(other, sample), &[("", Rule::Frame)][..]),
        (framed(SchemaId(u32::MAX), sample), &[("", Rule::Frame)]),
        (framed_by_guid([7; 16], sample), &[("", Rule::Frame)]),
        (cut, &[("", Rule::Frame)]),
        (framed(other, &wrong), &[("", Rule::Frame), ("/registered_on", Rule::Format)]),
        (framed(id, &wrong), &[("/registered_on", Rule::Format)]),
        // A frame behind a frame is no JSON.
        (framed(id, &framed(id, sample)), &[("", Rule::Syntax)]),
    ] {
        assert_eq!(rules(refusal(&send_one(&sample).await[0])), expected);
    }
}

#[tokio::test]
async fn frames_of_every_version_in_use_are_taken_and_the_newest_judges_and_stands_there() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = public_world(dir.path()).await;
    set_format(&exchange, WireFormat::Confluent).await;
    let (old, _) = schema_in_use(&exchange);
    let samples = good(3);
    let text = exchange.control.state().registry.schema(old).expect("registered").text.to_string();
    let text = text.replacen('{', "{\"$comment\": \"the second version\",", 1);
    let schema = Schema { name: "civil-status".into(), text, ..Default::default() };
    apply(&exchange, vec![control::Change { resource: Some(Resource::Schema(schema)) }]).await;
    let (new, _) = schema_in_use(&exchange);
    assert_ne!(new, old);

    let mut publisher = publisher(&exchange);
    let ids = [ExchangeId::new(), ExchangeId::new()];
    let verdicts =
        send(&mut publisher, vec![incoming(ids[0], &framed(old, &samples[0])), incoming(ids[1], &samples[1])]).await;
    for (verdict, sample) in verdicts.iter().zip(&samples) {
        assert_eq!(receipt(verdict).meta.schema_version, 2);
        assert_eq!(stored(&exchange, receipt(verdict)).await.to_vec(), framed(new, sample).payload.to_vec());
    }

    let retire = SchemaTransition { subject: "civil-status".into(), version: 1, action: SchemaAction::Retire.into() };
    apply(&exchange, vec![control::Change { resource: Some(Resource::SchemaTransition(retire)) }]).await;
    let late =
        vec![incoming(ExchangeId::new(), &framed(old, &samples[2])), incoming(ids[0], &framed(old, &samples[0]))];
    let told = send(&mut publisher, late).await;
    assert_eq!(rules(refusal(&told[0])), [("", Rule::Frame)], "retired");
    assert!(receipt(&told[1]).repeated, "what was accepted once stays accepted");
}

#[tokio::test]
async fn personal_data_is_encrypted_whatever_the_wire_format() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    set_format(&exchange, WireFormat::Confluent).await;
    let (id, _) = schema_in_use(&exchange);
    let samples = good(2);
    let mut publisher = publisher(&exchange);
    let ids = [ExchangeId::new(), ExchangeId::new()];
    let both = || vec![incoming(ids[0], &framed(id, &samples[0])), incoming(ids[1], &samples[1])];
    for (verdict, sample) in send(&mut publisher, both()).await.iter().zip(&samples) {
        let receipt = receipt(verdict);
        assert_eq!(receipt.commitment, header::commit(&receipt.meta.salt, &sample.payload), "to the payload alone");
        assert!(receipt.meta.is_sealed && !receipt.meta.framed);
        assert_eq!(stored(&exchange, receipt).await.len(), sample.payload.len() + 16, "and nobody's frame");
    }
    assert!(send(&mut publisher, both()).await.iter().all(|verdict| receipt(verdict).repeated));
    assert_eq!(drain(&mut subscribe(&exchange, Start::Earliest).await).await.len(), 2);
}

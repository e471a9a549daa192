//! Schemas through the control log: ids, states, settings, references, and what a replay makes of them.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use ldop_contract::{
    catalog::v1::{
        Agency, Agreement, CurrentCopy, Dataset, FieldMask, MaskKind, Mode, Provider, Quotas, SecondaryKey, System,
        WireFormat,
    },
    control::v1::{ApplyChangeSetRequest, ApplyChangeSetResponse, Change, ChangeEffect, change::Resource},
    exchange::v1::Stage as WireStage,
    registry::v1::{self as wire, Code, CodeList, SchemaAction},
};
use ldop_control::{Control, ControlError, ControlState, Level, Options, Refused, Rules, chain::LEVEL};
use ldop_log::{
    MessageLog, NewEntry, Partition, TopicName, TopicSpec,
    embedded::{self, EmbeddedLog},
};
use ldop_schema_registry::registry::{SchemaId, State};
use ldop_types::{Reason, Stage, TimestampMs};

const AN: &str = "operator so-khcn/an";
const BINH: &str = "operator so-khcn/binh";

fn log(dir: &Path) -> Arc<dyn MessageLog> {
    EmbeddedLog::open(embedded::Config::new(dir.join("log"))).expect("a log opens")
}

async fn open(dir: &Path) -> Arc<Control> {
    let options = Options {
        dir: dir.to_owned(),
        node_id: [7; 16],
        deadline: Duration::from_secs(30),
        agreements: Rules::without_approvals(),
    };
    Control::open(log(dir), options).await.expect("a control log opens")
}

async fn apply(control: &Control, by: &str, changes: Vec<Resource>) -> Result<ApplyChangeSetResponse, Refused> {
    let changes = changes.into_iter().map(|resource| Change { resource: Some(resource) }).collect();
    let request =
        ApplyChangeSetRequest { change_id: rand::random::<[u8; 16]>().to_vec(), changes, ..Default::default() };
    control.apply(by, request).await
}

fn element() -> Resource {
    Resource::Element(wire::Element {
        id: "reference.name".into(),
        name_vi: "Tên".into(),
        r#type: wire::ValueType::String.into(),
        sensitivity: wire::Sensitivity::None.into(),
        source: "test".into(),
        ..Default::default()
    })
}

/// A schema whose only property has a greatest length.
fn schema(name: &str, length: u32) -> wire::Schema {
    let text = format!(
        r#"{{"type": "object", "additionalProperties": false, "properties": {{
            "name": {{"type": "string", "maxLength": {length}, "x-ldop-element": "reference.name"}}}}}}"#
    );
    wire::Schema { name: name.into(), text, ..Default::default() }
}

fn step(subject: &str, version: u32, action: SchemaAction) -> Resource {
    Resource::SchemaTransition(wire::SchemaTransition { subject: subject.into(), version, action: action.into() })
}

fn settings(subject: &str, change: impl FnOnce(&mut wire::SubjectSettings)) -> Resource {
    let mut settings = wire::SubjectSettings { subject: subject.into(), ..Default::default() };
    change(&mut settings);
    Resource::SubjectSettings(settings)
}

fn refusal<T>(result: Result<T, Refused>) -> Reason {
    result.err().expect("refused").reason
}

fn in_use(control: &Control, name: &str) -> [Option<u32>; 2] {
    [Stage::Testing, Stage::Live].map(|stage| control.state().schema(name, stage).map(|schema| schema.version))
}

#[tokio::test]
async fn a_draft_is_approved_by_someone_else_before_it_checks_live_records() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let required = settings("", |s| s.approval = wire::ApprovalRule::Required.into());
    apply(&control, AN, vec![element(), required, Resource::Schema(schema("a", 10))]).await.expect("applied");
    assert_eq!(in_use(&control, "a"), [Some(1), None]);
    let approve = || vec![step("a", 1, SchemaAction::Approve)];
    assert_eq!(refusal(apply(&control, AN, approve()).await), Reason::ApprovedByItsAuthor);
    apply(&control, BINH, approve()).await.expect("by someone else");
    assert_eq!(in_use(&control, "a"), [Some(1), Some(1)]);
    assert_eq!(refusal(apply(&control, BINH, approve()).await), Reason::SchemaStateUnfit);
    apply(&control, AN, vec![Resource::Schema(schema("a", 20))]).await.expect("applied");
    assert_eq!(in_use(&control, "a"), [Some(2), Some(1)], "the new one in testing, the approved one live");
    let state = control.state();
    let first = state.registry.subject("a").and_then(|s| s.version(1)).expect("there").clone();
    assert_eq!((first.state, &*first.author), (State::Approved, AN));
    assert_eq!(first.decided.as_ref().map(|(who, _)| &**who), Some(BINH));
}

/// Changes of every kind, some of them refused.
async fn eventful(control: &Control) {
    let shared = wire::Schema {
        references: vec![wire::SchemaReference { name: "a.json".into(), subject: "a".into(), version: 1 }],
        text: r#"{"type": "object", "properties": {"a": {"$ref": "a.json"}}}"#.into(),
        metadata: Some(wire::SchemaMetadata {
            properties: vec![wire::MetadataProperty { key: "owner".into(), value: "Sở Tư pháp".into() }],
            ..Default::default()
        }),
        ..schema("b", 1)
    };
    // The reference is to a schema of the same change set.
    let changes = vec![element(), Resource::Schema(schema("a", 10)), Resource::Schema(shared.clone())];
    let applied = apply(control, AN, changes).await.expect("applied");
    let effects: Vec<_> = applied.results.iter().map(|r| (r.kind.as_str(), r.version, r.effect())).collect();
    let created = ChangeEffect::Created;
    assert_eq!(effects, [("element", 1, created), ("schema", 1, created), ("schema", 1, created)]);
    let again = apply(control, BINH, vec![Resource::Schema(shared)]).await.expect("applied");
    assert_eq!(again.results[0].effect(), ChangeEffect::Unchanged);
    assert_eq!(refusal(apply(control, AN, vec![step("a", 1, SchemaAction::Delete)]).await), Reason::SchemaReferenced);
    apply(control, AN, vec![step("b", 0, SchemaAction::Delete), step("a", 0, SchemaAction::Delete)])
        .await
        .expect("in order");
    apply(control, AN, vec![step("b", 1, SchemaAction::DeletePermanently)]).await.expect("was deleted softly");
    let read_only = settings("c", |s| s.mode = wire::RegistryMode::Readonly.into());
    apply(control, AN, vec![Resource::Schema(schema("c", 10)), read_only]).await.expect("applied");
    assert_eq!(refusal(apply(control, AN, vec![Resource::Schema(schema("c", 11))]).await), Reason::SubjectReadOnly);
}

/// A schema that refers to the newest version of another one.
fn referring(name: &str, to: &str) -> wire::Schema {
    wire::Schema {
        references: vec![wire::SchemaReference { name: format!("{to}.schema.json"), subject: to.into(), version: 0 }],
        text: format!(r#"{{"type": "object", "properties": {{"it": {{"$ref": "{to}.schema.json"}}}}}}"#),
        ..schema(name, 1)
    }
}

fn refers_to(control: &Control, name: &str, version: u32) -> Option<u32> {
    let state = control.state();
    let version = state.registry.subject(name)?.version(version)?.clone();
    version.references.first().map(|reference| reference.version)
}

#[tokio::test]
async fn a_reference_without_a_version_is_to_the_newest_and_is_stored_with_its_number() {
    let dir = tempfile::tempdir().expect("folder");
    let before = {
        let control = open(dir.path()).await;
        let all = |length| {
            let chain = [schema("a", length), referring("b", "a"), referring("c", "b")];
            std::iter::once(element()).chain(chain.map(Resource::Schema)).collect::<Vec<_>>()
        };
        let versions = |applied: &ApplyChangeSetResponse| applied.results.iter().map(|r| r.version).collect::<Vec<_>>();
        let effects = |applied: &ApplyChangeSetResponse| applied.results.iter().map(|r| r.effect()).collect::<Vec<_>>();
        let applied = apply(&control, AN, all(10)).await.expect("applied");
        assert_eq!(effects(&applied), [ChangeEffect::Created; 4]);
        let again = apply(&control, AN, all(10)).await.expect("applied");
        assert_eq!(effects(&again), [ChangeEffect::Unchanged; 4]);
        // The texts of the others are the same; what they refer to is not.
        let wider = apply(&control, AN, all(20)).await.expect("applied");
        assert_eq!(
            (effects(&wider)[1..].to_vec(), versions(&wider)),
            (vec![ChangeEffect::Changed; 3], vec![1, 2, 2, 2])
        );
        assert_eq!([1, 2].map(|version| refers_to(&control, "b", version)), [Some(1), Some(2)]);
        assert_eq!([1, 2].map(|version| refers_to(&control, "c", version)), [Some(1), Some(2)]);
        // What is not in the change set stands already.
        let alone = apply(&control, AN, vec![Resource::Schema(referring("b", "a"))]).await.expect("applied");
        assert_eq!((effects(&alone), versions(&alone)), (vec![ChangeEffect::Unchanged], vec![2]));
        control.state()
    };
    assert_eq!(open(dir.path()).await.state().digest(), before.digest());
}

#[tokio::test]
async fn a_reference_without_a_version_leads_to_what_stands_before_it() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, vec![element(), Resource::Schema(schema("a", 10))]).await.expect("applied");
    let head = control.state().head;
    let told = |result: Result<ApplyChangeSetResponse, Refused>| -> Vec<String> {
        result.expect_err("refused").problems.into_iter().map(|p| format!("{}: {}", p.field, p.message.en)).collect()
    };
    let behind =
        told(apply(&control, AN, vec![Resource::Schema(referring("b", "a")), Resource::Schema(schema("a", 20))]).await);
    let expected = "changes[0].schema(b).references[0].version: a stands behind in the same change set; put it first, without a circle";
    assert_eq!(behind, [expected]);
    let circle = [referring("c", "b"), referring("b", "c")].map(Resource::Schema).to_vec();
    assert_eq!(told(apply(&control, AN, circle).await).len(), 1, "the first of a circle is told");
    assert_eq!(told(apply(&control, AN, vec![Resource::Schema(referring("c", "c"))]).await).len(), 1);
    let nobody = told(apply(&control, AN, vec![Resource::Schema(referring("b", "nobody"))]).await);
    assert!(nobody[0].contains("references[0].subject: expected a schema with a version that is in use"), "{nobody:?}");
    // What is wrong with the one that is referred to is told once.
    let narrower = vec![Resource::Schema(schema("a", 5)), Resource::Schema(referring("b", "a"))];
    let narrower = told(apply(&control, AN, narrower).await);
    assert!(narrower.len() == 1 && narrower[0].contains("schema(a)"), "{narrower:?}");
    assert_eq!(control.state().head, head, "nothing was changed");
}

#[tokio::test]
async fn everything_is_the_same_after_a_replay() {
    let dir = tempfile::tempdir().expect("folder");
    let before = {
        let control = open(dir.path()).await;
        eventful(&control).await;
        control.state()
    };
    let after = open(dir.path()).await.state();
    assert_eq!(after.digest(), before.digest());
    assert_eq!(after.registry.schema(SchemaId(2)).map(|v| v.references.len()), Some(1), "read back by id for ever");
    assert_eq!(after.registry.subject("c").and_then(|s| s.version(1)).map(|v| v.id), Some(SchemaId(1)));
}

/// Everything a state holds: the digest, and what of the registry no digest shows.
fn all_of(control: &Arc<Control>) -> (String, [u8; 32], [Option<u32>; 2]) {
    let state = control.state();
    (format!("{:#?} {:#?} {:?}", state.registry, state.stored, state.dictionary), state.digest(), in_use(control, "c"))
}

#[tokio::test]
async fn a_snapshot_and_what_came_after_it_are_the_same_as_the_whole_log() {
    let dir = tempfile::tempdir().expect("folder");
    let snapshot = dir.path().join("control.snapshot");
    let change_id = vec![9; 16];
    let repeated = || ApplyChangeSetRequest {
        change_id: change_id.clone(),
        changes: vec![Change { resource: Some(Resource::Schema(schema("d", 10))) }],
        ..Default::default()
    };
    let before = {
        let control = open(dir.path()).await;
        eventful(&control).await;
        control.apply(AN, repeated()).await.expect("applied");
        control.write_snapshot().await;
        assert!(snapshot.is_file());
        apply(&control, BINH, vec![Resource::Schema(schema("d", 30)), step("d", 1, SchemaAction::Retire)])
            .await
            .expect("after the snapshot");
        all_of(&control)
    };
    let control = open(dir.path()).await;
    assert_eq!(all_of(&control), before, "with the snapshot");
    let answer = control.apply(AN, repeated()).await.expect("a repeat");
    assert_eq!(answer.results[0].effect(), ChangeEffect::Created, "as the first time");
    drop(control);
    std::fs::remove_file(&snapshot).expect("removed");
    assert_eq!(all_of(&open(dir.path()).await), before, "without it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_written_while_changes_come_spoils_nothing_the_node_remembers() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, vec![element()]).await.expect("applied");
    let writing = tokio::spawn({
        let control = Arc::clone(&control);
        async move {
            loop {
                control.write_snapshot().await;
                tokio::task::yield_now().await;
            }
        }
    });
    for number in 0..150 {
        apply(&control, AN, vec![Resource::Schema(schema(&format!("d-{number}"), 10))]).await.expect("applied");
        let memory = std::fs::read(dir.path().join("control.json")).expect("remembered");
        let memory: serde_json::Value = serde_json::from_slice(&memory).expect("what the node remembers, whole");
        assert_eq!(memory["sequence"], control.state().head.sequence);
    }
    writing.abort();
    let _ = writing.await;
    let before = control.state().head;
    drop(control);
    assert_eq!(open(dir.path()).await.state().head, before);
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_or_of_another_hub_is_passed_over() {
    let dir = tempfile::tempdir().expect("folder");
    let snapshot = dir.path().join("control.snapshot");
    let before = {
        let control = open(dir.path()).await;
        eventful(&control).await;
        control.write_snapshot().await;
        all_of(&control)
    };
    let good = std::fs::read(&snapshot).expect("written");
    let mut spoilt: Vec<Vec<u8>> = vec![Vec::new(), good[..good.len() / 2].to_vec(), good[..good.len() - 1].to_vec()];
    for at in (0..good.len()).step_by(good.len() / 40) {
        let mut flipped = good.clone();
        flipped[at] ^= 0x20;
        spoilt.push(flipped);
    }
    let other = tempfile::tempdir().expect("folder");
    let control = open(other.path()).await;
    eventful(&control).await;
    control.write_snapshot().await;
    spoilt.push(std::fs::read(other.path().join("control.snapshot")).expect("written"));
    for bytes in spoilt {
        std::fs::write(&snapshot, bytes).expect("written");
        assert_eq!(all_of(&open(dir.path()).await), before);
    }
}

#[tokio::test]
async fn a_log_that_ends_before_its_snapshot_is_not_followed() {
    let dir = tempfile::tempdir().expect("folder");
    let copy = tempfile::tempdir().expect("folder");
    {
        let control = open(dir.path()).await;
        eventful(&control).await;
        control.write_snapshot().await;
    }
    // A log made anew, as after a restore that brought nothing back.
    for name in ["control.snapshot", "control.json"] {
        std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
    }
    let options = Options {
        dir: copy.path().to_owned(),
        node_id: [7; 16],
        deadline: Duration::from_secs(30),
        agreements: Rules::without_approvals(),
    };
    let refused = Control::open(log(copy.path()), options).await.err();
    assert!(matches!(refused, Some(ControlError::Forgotten { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_imported_keeps_its_ids() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let import = settings("", |s| s.mode = wire::RegistryMode::Import.into());
    let given = |length, id, version| Resource::Schema(wire::Schema { id, version, ..schema("a", length) });
    apply(&control, AN, vec![element(), import, given(10, 70, 5)]).await.expect("applied");
    assert_eq!(in_use(&control, "a")[1], Some(5));
    assert_eq!(refusal(apply(&control, AN, vec![given(11, 70, 6)]).await), Reason::DefinitionInvalid);
    assert_eq!(refusal(apply(&control, AN, vec![given(11, 71, 5)]).await), Reason::DefinitionInvalid);
    let back = settings("", |s| s.mode = wire::RegistryMode::Readwrite.into());
    apply(&control, AN, vec![back, given(12, 9, 9)]).await.expect("ids of others count in import mode only");
    let state = control.state();
    assert_eq!(state.registry.subject("a").and_then(|s| s.version(6)).map(|v| v.id), Some(SchemaId(71)));
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once_and_nothing_is_changed() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, vec![element(), Resource::Schema(schema("a", 10))]).await.expect("applied");
    let before = control.state().digest();
    let stray = wire::Schema {
        references: vec![wire::SchemaReference { name: "x".into(), subject: "none".into(), version: 3 }],
        text: r#"{"type": "object", "properties": {"a": {"$ref": "x"}}}"#.into(),
        ..schema("b", 1)
    };
    let unbound =
        wire::Schema { text: r#"{"type":"object","properties":{"a":{"type":"string"}}}"#.into(), ..schema("c", 1) };
    let bad_name = schema(" d", 1);
    let broken = wire::Schema { text: "{".into(), ..schema("e", 1) };
    let changes = [stray, unbound, bad_name, broken].map(Resource::Schema).into_iter();
    let refused = apply(&control, AN, changes.chain([step("a", 9, SchemaAction::Retire)]).collect()).await;
    let refused = refused.expect_err("refused");
    let fields: Vec<_> = refused.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "changes[0].schema(b)#/references/x",
            "changes[1].schema(c)#/properties/a",
            "changes[2].schema( d).name",
            "changes[3].schema(e)#",
            "changes[4].schema_status(a version 9)",
        ]
    );
    assert_eq!(refused.reason, Reason::DefinitionInvalid);
    assert_eq!(control.state().digest(), before);
}

fn dataset(format: i32) -> Resource {
    Resource::Dataset(Dataset {
        id: "d".into(),
        name_vi: "Bộ dữ liệu".into(),
        owning_agency: "so-a".into(),
        schema: "a".into(),
        key_fields: vec!["name".into()],
        providers: vec![Provider { system: "so-a/x".into(), stage: WireStage::Live.into() }],
        partitions: 1,
        wire_format: format,
        ..Default::default()
    })
}

/// The dataset with a current copy.
fn copied(secondary_keys: &[&[&str]]) -> Resource {
    let key = |fields: &&[&str]| SecondaryKey { fields: fields.iter().map(|&field| field.into()).collect() };
    match dataset(WireFormat::Unspecified.into()) {
        Resource::Dataset(dataset) => Resource::Dataset(Dataset {
            current_copy: Some(CurrentCopy {
                secondary_keys: secondary_keys.iter().map(key).collect(),
                max_age_seconds: 0,
                history: false,
            }),
            ..dataset
        }),
        other => other,
    }
}

/// What a dataset rests on.
fn keyed_world() -> Vec<Resource> {
    let agency = Agency { id: "so-a".into(), name_vi: "Sở A".into(), ..Default::default() };
    let system = System { id: "so-a/x".into(), name_vi: "Hệ thống".into(), ..Default::default() };
    let keyed = schema("a", 10);
    let keyed = wire::Schema { text: keyed.text.replacen('{', r#"{"required": ["name"],"#, 1), ..keyed };
    vec![element(), Resource::Schema(keyed), Resource::Agency(agency), Resource::System(system)]
}

#[tokio::test]
async fn only_an_event_with_a_wire_format_asks_for_the_level_that_knows_it() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let (plain, framed) = (WireFormat::Unspecified.into(), WireFormat::Confluent.into());
    apply(&control, AN, keyed_world().into_iter().chain([dataset(plain)]).collect()).await.expect("applied");
    apply(&control, AN, vec![dataset(framed)]).await.expect("applied");
    apply(&control, AN, vec![dataset(framed)]).await.expect("the same again is no event");
    apply(&control, AN, vec![dataset(plain)]).await.expect("applied");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels, [2, 3, 2]);
    let unknown = apply(&control, AN, vec![dataset(7)]).await.expect_err("of a newer release");
    assert_eq!(unknown.problems[0].field, "changes[0].dataset(d).wire_format");
    let digest = control.state().digest();
    drop(control);
    assert_eq!(open(dir.path()).await.state().digest(), digest);
}

#[tokio::test]
async fn an_agreement_that_hides_something_asks_for_the_level_that_knows_how() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let plain = Agreement {
        id: "a-to-x".into(),
        provider: "so-a".into(),
        consumer: "so-a/x".into(),
        dataset: "d".into(),
        stage: WireStage::Live.into(),
        purpose_vi: "Thử".into(),
        granted_fields: vec!["name".into()],
        ..Default::default()
    };
    let mask = FieldMask { field: "name".into(), kind: MaskKind::KeyedHash.into(), ..Default::default() };
    let world = keyed_world().into_iter().chain([dataset(0), Resource::Agreement(plain.clone())]);
    apply(&control, AN, world.collect()).await.expect("applied");
    let hiding = [
        Agreement { masks: vec![mask], ..plain.clone() },
        Agreement { row_condition: "this.name != 'x'".into(), ..plain.clone() },
        Agreement { modes: vec![Mode::LookUp.into()], ..plain.clone() },
        Agreement { officer_required: true, ..plain.clone() },
        Agreement { case_number_required: true, ..plain.clone() },
        Agreement { purpose: "statistics".into(), ..plain.clone() },
        Agreement { legal_bases: vec!["decree-278-2025".into()], ..plain.clone() },
    ];
    for agreement in hiding {
        apply(&control, AN, vec![Resource::Agreement(agreement)]).await.expect("applied");
    }
    apply(&control, AN, vec![Resource::Agreement(plain.clone())]).await.expect("applied");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels, [2, 4, 4, 4, 4, 4, 6, 6, 2]);
    // Of a newer release: nothing is granted that is not known.
    let newer = Agreement { modes: vec![99], ..plain.clone() };
    let refused = apply(&control, AN, vec![Resource::Agreement(newer)]).await.expect_err("not known");
    assert_eq!(refused.problems[0].field, "changes[0].agreement(a-to-x).modes[0]");
    let newer = FieldMask { field: "name".into(), kind: 99, ..Default::default() };
    let newer = Agreement { masks: vec![newer], row_condition: "this.no_such == 1".into(), ..plain };
    let refused = apply(&control, AN, vec![Resource::Agreement(newer)]).await.expect_err("not known");
    assert_eq!(refused.problems[0].field, "changes[0].agreement(a-to-x).masks[0].kind");
    let digest = control.state().digest();
    drop(control);
    assert_eq!(open(dir.path()).await.state().digest(), digest);
}

#[tokio::test]
async fn quotas_ask_for_the_level_that_keeps_them() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let world = keyed_world().into_iter().chain([dataset(0), Resource::Agreement(limited(None))]);
    apply(&control, AN, world.collect()).await.expect("applied");
    let quotas = Quotas { records_per_day: Some(100), ..Default::default() };
    apply(&control, AN, vec![Resource::Agreement(limited(Some(quotas.clone())))]).await.expect("applied");
    apply(&control, AN, vec![Resource::Agreement(limited(None))]).await.expect("taken back");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels, [2, 6, 2]);
    let bad = Quotas { burst: Some(0), allowed_hours: vec!["always".into()], ..quotas };
    let refused = apply(&control, AN, vec![Resource::Agreement(limited(Some(bad)))]).await.expect_err("bad");
    let fields: Vec<_> = refused.problems.iter().map(|problem| problem.field.as_str()).collect();
    let field = |name| format!("changes[0].agreement(a-to-x).quotas.{name}");
    assert_eq!(fields, [field("burst"), field("allowed_hours[0]")]);
}

fn limited(quotas: Option<Quotas>) -> Agreement {
    Agreement {
        id: "a-to-x".into(),
        provider: "so-a".into(),
        consumer: "so-a/x".into(),
        dataset: "d".into(),
        stage: WireStage::Live.into(),
        purpose_vi: "Thử".into(),
        granted_fields: vec!["name".into()],
        quotas,
        ..Default::default()
    }
}

#[tokio::test]
async fn an_agreement_names_codes_of_the_lists_that_the_dictionary_has() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let agreement = |id: &str, purpose: &str, bases: &[&str]| {
        Resource::Agreement(Agreement {
            id: id.into(),
            provider: "so-a".into(),
            consumer: "so-a/x".into(),
            dataset: "d".into(),
            stage: WireStage::Live.into(),
            purpose_vi: "Thử".into(),
            granted_fields: vec!["name".into()],
            purpose: purpose.into(),
            legal_bases: bases.iter().map(|base| (*base).to_owned()).collect(),
            ..Default::default()
        })
    };
    let list = |id: &str, codes: &[(&str, &str)]| {
        let code = |(code, valid_to): &(&str, &str)| Code {
            code: (*code).into(),
            label_vi: "Nhãn".into(),
            valid_to: (*valid_to).into(),
            ..Default::default()
        };
        let codes = codes.iter().map(code).collect();
        Resource::CodeList(CodeList { id: id.into(), name_vi: "Mẫu".into(), codes, ..Default::default() })
    };
    // Without the lists free text is enough, as it was before there were any.
    let world = keyed_world().into_iter().chain([dataset(0), agreement("old", "", &[])]);
    apply(&control, AN, world.collect()).await.expect("applied");
    let lists = vec![
        list("sharing-purposes", &[("statistics", ""), ("taxes", "")]),
        list("legal-bases", &[("decree-47-2020", "2025-10-21"), ("decree-278-2025", "")]),
    ];
    apply(&control, AN, lists).await.expect("what stands goes on");
    let refused = apply(&control, AN, vec![agreement("new", "", &[])]).await.expect_err("names none");
    let fields: Vec<_> = refused.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["changes[0].agreement(new).purpose", "changes[0].agreement(new).legal_bases"]);
    assert_eq!(refused.reason, Reason::DefinitionInvalid);
    let refused =
        apply(&control, AN, vec![agreement("new", "statistic", &["decree-47-2020"])]).await.expect_err("not its codes");
    let told: Vec<_> = refused.problems.iter().map(|problem| problem.message.en.as_ref()).collect();
    assert!(told[0].contains("did you mean \"statistics\"?"), "{}", told[0]);
    assert!(told[1].contains("is not valid on"), "{}", told[1]);
    apply(&control, AN, vec![agreement("new", "taxes", &["decree-278-2025"])]).await.expect("both valid");
    // What an agreement in force names may end, but not vanish.
    let gone = vec![list("sharing-purposes", &[("statistics", "")])];
    let refused = apply(&control, AN, gone).await.expect_err("an agreement names it");
    assert_eq!(refused.problems[0].field, "agreement(new).purpose");
    let ended = vec![list("sharing-purposes", &[("statistics", ""), ("taxes", "2020-12-31")])];
    apply(&control, AN, ended).await.expect("applied");
    let digest = control.state().digest();
    drop(control);
    assert_eq!(open(dir.path()).await.state().digest(), digest);
}

#[tokio::test]
async fn a_revoked_certificate_asks_for_the_level_that_refuses_it() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, keyed_world()).await.expect("applied");
    let fingerprint = "0a".repeat(32);
    let system = |revoked: &[&String]| {
        let revoked_certificates = revoked.iter().map(|text| (*text).clone()).collect();
        let (id, name_vi) = ("so-a/x".into(), "Hệ thống".into());
        vec![Resource::System(System { id, name_vi, revoked_certificates, ..Default::default() })]
    };
    apply(&control, AN, system(&[&fingerprint])).await.expect("applied");
    apply(&control, AN, system(&[])).await.expect("taken back");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels[levels.len() - 2..], [5, 2]);
    let refused = apply(&control, AN, system(&[&fingerprint, &fingerprint])).await.expect_err("twice");
    assert_eq!(refused.problems[0].field, "changes[0].system(so-a/x).revoked_certificates[1]");
}

#[tokio::test]
async fn a_current_copy_asks_for_its_level_and_for_what_makes_it_possible() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, keyed_world().into_iter().chain([copied(&[])]).collect()).await.expect("applied");
    apply(&control, AN, vec![copied(&[&["name"]])]).await.expect("applied");
    let again = apply(&control, AN, vec![copied(&[&["name"]])]).await.expect("the same again is no event");
    assert_eq!(again.results[0].effect(), ChangeEffect::Unchanged);
    let Resource::Dataset(mut historic) = copied(&[&["name"]]) else { panic!("a dataset") };
    historic.current_copy.as_mut().expect("asked for").history = true;
    apply(&control, AN, vec![Resource::Dataset(historic)]).await.expect("applied");
    assert!(control.state().stored.datasets["d"].current_copy.as_ref().is_some_and(|copy| copy.history));
    apply(&control, AN, vec![dataset(WireFormat::Unspecified.into())]).await.expect("without it again");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels, [4, 4, 6, 2]);
    let Resource::Dataset(fleeting) = copied(&[&["name"], &["none", "name", "nowhere"]]) else { panic!("a dataset") };
    let refused = apply(&control, AN, vec![Resource::Dataset(fleeting.clone())]).await.expect_err("no such fields");
    let fields: Vec<_> = refused.problems.iter().map(|problem| problem.field.as_str()).collect();
    let key = "changes[0].dataset(d).current_copy.secondary_keys[1].fields";
    assert_eq!(fields, [format!("{key}[0]"), format!("{key}[2]")]);
    let fleeting = Dataset { retention_seconds: 1, current_copy: Some(CurrentCopy::default()), ..fleeting };
    let refused = apply(&control, AN, vec![Resource::Dataset(fleeting)]).await.expect_err("cannot be made anew");
    assert_eq!(refused.problems[0].field, "changes[0].dataset(d).retention_seconds");
    apply(&control, AN, vec![copied(&[&["name"]])]).await.expect("applied");
    control.write_snapshot().await;
    let (digest, sequence) = (control.state().digest(), control.state().head.sequence);
    drop(control);
    let state = open(dir.path()).await.state();
    assert_eq!((state.digest(), state.head.sequence), (digest, sequence));
    let kept = state.stored.datasets["d"].current_copy.clone().expect("kept");
    assert_eq!(kept.secondary_keys[0].fields, ["name"]);
}

/// A hub on a log of the release that kept it in `tests/golden`.
async fn replayed(dir: &Path, golden: &str) -> Arc<Control> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
    let golden = std::fs::read(golden).expect("kept");
    {
        let log = log(dir);
        let topic = TopicName::parse("_ldop.control").expect("a name");
        let spec = TopicSpec { name: topic.clone(), partitions: 1, cleanup: ldop_log::Cleanup::Keep };
        log.ensure_topics(vec![spec]).await.expect("a topic");
        let appender = log.appender(Partition { topic, index: 0 }).await.expect("an appender");
        let mut rest = golden.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let (event, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
            let value = Some(Bytes::copy_from_slice(event));
            let entry = NewEntry { key: None, value, headers: Vec::new(), timestamp: TimestampMs(0) };
            appender.append(vec![entry]).expect("taken").await.expect("durable");
            rest = behind;
        }
    }
    open(dir).await
}

fn hex_digest(state: &ControlState) -> String {
    state.digest().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An agreement with quotas, and with fewer.
#[tokio::test]
async fn a_log_of_level_6_replays_to_the_same_state_for_ever() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-6.events").await;
    let state = control.state();
    assert_eq!((state.head.sequence, state.level, state.epoch), (6, Level(6), 1));
    let quotas = &state.catalog.agreements["a-to-x"].value.quotas;
    assert_eq!((quotas.calls, quotas.records_per_day.map(u64::from)), (None, Some(100)));
    assert_eq!(hex_digest(&state), "2d4ea09c3f1da141f38c447d3975db1fe7c3bc79d7f213f8f0aeb4971e98ba61");
    apply(&control, AN, vec![Resource::Schema(schema("new", 1))]).await.expect("it goes on from there");
}

/// An agreement that was approved and let in, suspended, resumed and reviewed; a version that was refused; another that waits
/// for approvals while the first is suspended again.
#[tokio::test]
async fn a_log_of_level_5_replays_to_the_same_state_for_ever() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-5.events").await;
    let state = control.state();
    assert_eq!((state.head.sequence, state.level, state.epoch), (18, Level(5), 1));
    let status = &state.stored.agreement_statuses["a-to-b"];
    assert_eq!((status.history.len(), status.last_version), (14, 3));
    let versions = [&state.catalog.agreements, &state.catalog.waiting].map(|table| table["a-to-b"].version);
    assert_eq!(versions, [1, 3]);
    assert_eq!(hex_digest(&state), "815bfb5cff5047156439111292da3aa6ad568e29a405c4ddabc6433b5a16221c");
    apply(&control, AN, vec![element(), Resource::Schema(schema("new", 1))]).await.expect("it goes on from there");
}

/// As the log of level 3, and a dataset with a current copy, with and without secondary keys and a wire format beside.
#[tokio::test]
async fn a_log_of_level_4_replays_to_the_same_state_for_ever() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-4.events").await;
    let state = control.state();
    assert_eq!((state.head.sequence, state.level, state.epoch), (15, Level(4), 2));
    let copy = state.stored.datasets["d"].current_copy.clone().expect("kept");
    assert_eq!(copy.secondary_keys[0].fields, ["name"]);
    assert_eq!(hex_digest(&state), "c98d2a34e122b0c0738f193fe1405b62303e66974c5d51766d9173f5140824f6");
    apply(&control, AN, vec![Resource::Schema(schema("new", 1))]).await.expect("it goes on from there");
}

/// Events of every kind up to level 3: genesis, the level raised, an epoch, settings, versions and their steps, deletion for
/// good, references, an element twice, a dataset with a wire format.
#[tokio::test]
async fn a_log_of_level_3_replays_to_the_same_state_for_ever() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-3.events").await;
    let state = control.state();
    assert_eq!((state.head.sequence, state.level, state.epoch), (10, Level(3), 1));
    assert_eq!(state.registry.last_id(), SchemaId(3));
    assert_eq!(hex_digest(&state), "0ead161c166e981599dcffc23c5910e57b4c8277723d2cfbd9fa21e6609b6bb1");
    apply(&control, AN, vec![Resource::Schema(schema("new", 1))]).await.expect("it goes on from there");
}

/// Events as the release before ids and states wrote them.
#[tokio::test]
async fn a_log_of_level_1_replays_to_the_same_state_for_ever() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-1.events").await;
    let state = control.state();
    assert_eq!(state.head.sequence, 5);
    let ids: Vec<_> = state.registry.subjects().flat_map(|(_, s)| s.versions().map(|v| v.id.0)).collect();
    assert_eq!(ids, [1, 7, 2, 3, 4, 5, 6], "numbered in the order of events");
    assert_eq!(hex_digest(&state), "cb5d442c774518a97454b30087d03f3613255f7318e719c208de42732b1dd75c");
    // What is newer than the log has to be let in first.
    assert_eq!(state.level, Level(2));
    let world = keyed_world();
    apply(&control, AN, world).await.expect("applied");
    let framed = || vec![dataset(WireFormat::Confluent.into())];
    assert_eq!(refusal(apply(&control, AN, framed()).await), Reason::LevelNotRaised);
    assert_eq!(refusal(control.raise_level(AN).await), Reason::Fenced, "who does not write does not raise");
    control.take_epoch([7; 32]).await.expect("taken");
    assert_eq!(control.raise_level(AN).await.ok(), Some(Level(LEVEL)));
    let head = control.state().head;
    assert_eq!(control.raise_level(AN).await.ok(), Some(Level(LEVEL)));
    assert_eq!(control.state().head, head, "once");
    apply(&control, AN, framed()).await.expect("applied");
    // And it goes on from there.
    apply(&control, AN, vec![Resource::Schema(schema("new", 1))]).await.expect("applied");
    assert_eq!(control.state().registry.last_id(), SchemaId(9));
}

#[tokio::test]
async fn a_version_that_old_records_do_not_fit_is_refused_with_its_places() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, vec![element(), Resource::Schema(schema("a", 10))]).await.expect("applied");
    let refused = apply(&control, AN, vec![Resource::Schema(schema("a", 9))]).await.expect_err("shorter");
    assert_eq!(refused.reason, Reason::SchemaIncompatible);
    assert_eq!(refused.problems[0].field, "changes[0].schema(a)#/properties/name/maxLength");
    // Against another version of the same change set, too.
    let both = ["b", "b"].map(|name| Resource::Schema(schema(name, 10)));
    assert_eq!(refusal(apply(&control, AN, both.to_vec()).await), Reason::DefinitionInvalid);
    let forward = settings("a", |s| s.compatibility = wire::CompatibilityMode::Forward.into());
    apply(&control, AN, vec![forward, Resource::Schema(schema("a", 9))]).await.expect("as asked for now");
    assert_eq!(refusal(apply(&control, AN, vec![Resource::Schema(schema("a", 11))]).await), Reason::SchemaIncompatible);
}

#[tokio::test]
async fn of_two_engineers_one_wins_and_the_other_is_told_what_changed() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    apply(&control, AN, vec![element(), Resource::Schema(schema("a", 10))]).await.expect("applied");
    let seen = control.state().head.hash;
    let request = |schema: wire::Schema, based_on: &[u8]| ApplyChangeSetRequest {
        change_id: rand::random::<[u8; 16]>().to_vec(),
        based_on: based_on.to_vec(),
        changes: vec![Change { resource: Some(Resource::Schema(schema)) }],
        ..Default::default()
    };
    control.take_epoch([7; 32]).await.expect("a start of the hub changes no definition");
    let (an, binh) = tokio::join!(
        control.apply(AN, request(schema("a", 20), &seen)),
        control.apply(BINH, request(schema("a", 30), &seen)),
    );
    let (winner, loser) = if an.is_ok() { (AN, binh) } else { (BINH, an) };
    let refused = loser.expect_err("one of them wins");
    assert_eq!(refused.reason, Reason::StateMoved);
    let told: Vec<_> = refused.problems.iter().map(|p| (p.field.as_str(), p.message.en.to_string())).collect();
    assert_eq!(told, [("schema(a)", format!("is version 2 now, changed by {winner}"))]);
    assert_eq!(control.state().version_of("schema", "a"), 2);
    let stray = control.apply(AN, request(schema("a", 40), &[7; 32])).await.expect_err("no head of this hub");
    assert_eq!((stray.reason, stray.problems[0].field.as_str()), (Reason::StateMoved, "based_on"));
}

/// The element of every schema here, as one that is personal data or is none.
fn element_that_is(sensitivity: wire::Sensitivity) -> Resource {
    match element() {
        Resource::Element(element) => Resource::Element(wire::Element { sensitivity: sensitivity.into(), ..element }),
        other => other,
    }
}

#[tokio::test]
async fn whether_keys_are_hashed_is_decided_once_when_a_dataset_is_registered() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    let hashed = |control: &Control, id: &str| control.state().stored.datasets[id].hashed_keys;
    let named = |id: &str| match dataset(WireFormat::Unspecified.into()) {
        // What callers say about it does not count.
        Resource::Dataset(dataset) => {
            Resource::Dataset(Dataset { id: id.into(), hashed_keys: id == "public", ..dataset })
        }
        other => other,
    };
    let world = keyed_world().into_iter().chain([named("public")]).collect();
    apply(&control, AN, world).await.expect("applied");
    assert!(!hashed(&control, "public"));
    apply(&control, AN, vec![element_that_is(wire::Sensitivity::BasicPersonal), named("personal")])
        .await
        .expect("applied");
    assert!(hashed(&control, "personal"));
    assert!(!hashed(&control, "public"), "its records stand there with their keys");
    let again = apply(&control, AN, vec![named("public"), named("personal")]).await.expect("applied");
    assert!(again.results.iter().all(|result| result.effect() == ChangeEffect::Unchanged));
    apply(&control, AN, vec![element_that_is(wire::Sensitivity::None)]).await.expect("applied");
    let renamed = |id: &str| match named(id) {
        Resource::Dataset(dataset) => Resource::Dataset(Dataset { name_en: "Other".into(), ..dataset }),
        other => other,
    };
    apply(&control, AN, vec![renamed("public"), renamed("personal")]).await.expect("applied");
    assert_eq!((hashed(&control, "public"), hashed(&control, "personal")), (false, true), "for ever");
    let levels: Vec<_> =
        control.events(2).await.expect("events").into_iter().map(|(event, _)| event.minimum_level).collect();
    assert_eq!(levels, [2, 6, 2, 6], "only an event that holds it asks for the level that knows it");
    let digest = control.state().digest();
    drop(control);
    assert_eq!(open(dir.path()).await.state().digest(), digest);
}

#[tokio::test]
async fn a_log_that_was_not_raised_hashes_no_keys() {
    let dir = tempfile::tempdir().expect("folder");
    let control = replayed(dir.path(), "level-1.events").await;
    let world = keyed_world().into_iter().skip(1).chain([element_that_is(wire::Sensitivity::BasicPersonal)]);
    apply(&control, AN, world.chain([dataset(0)]).collect()).await.expect("applied");
    assert!(!control.state().stored.datasets["d"].hashed_keys, "an older release may still write there");
}

#[tokio::test]
async fn a_node_with_another_secret_takes_nothing_over() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path()).await;
    control.take_epoch([7; 32]).await.expect("the first tells its own");
    drop(control);
    let control = open(dir.path()).await;
    let head = control.state().head;
    assert!(matches!(control.take_epoch([8; 32]).await, Err(ControlError::OtherSecret)));
    assert_eq!(control.state().head, head);
    control.take_epoch([7; 32]).await.expect("the same");
}

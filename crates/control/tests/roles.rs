//! Who may change what: the table of roles, consulted when a change is checked.

use std::{path::Path, sync::Arc, time::Duration};

use ldop_contract::{
    catalog::v1::{Agency, Agreement, Dataset, System},
    control::v1::{ApplyChangeSetRequest, Change, ChangeEffect, change::Resource},
    exchange::v1::Stage,
    registry::v1::{self as wire, SchemaAction},
};
use ldop_control::{Approvals, Control, Options, Refused, Rules};
use ldop_log::embedded::{self, EmbeddedLog};
use ldop_types::Reason;

const OPERATOR: &str = "operator so-khcn/an";
const PROVIDER: &str = "engineer so-a/binh";
const CONSUMER: &str = "engineer so-b/chi";
const STEWARD: &str = "steward so-khcn/dung";
const AUDITOR: &str = "auditor so-khcn/em";

async fn open(dir: &Path, agreements: Rules) -> Arc<Control> {
    let log = EmbeddedLog::open(embedded::Config::new(dir.join("log"))).expect("a log opens");
    let options = Options { dir: dir.to_owned(), node_id: [7; 16], deadline: Duration::from_secs(30), agreements };
    Control::open(log, options).await.expect("a control log opens")
}

async fn apply(control: &Control, by: &str, changes: &[Resource]) -> Result<Vec<ChangeEffect>, Refused> {
    let changes = changes.iter().map(|resource| Change { resource: Some(resource.clone()) }).collect();
    let change_id = rand::random::<[u8; 16]>().to_vec();
    let request = ApplyChangeSetRequest { change_id, changes, ..Default::default() };
    Ok(control.apply(by, request).await?.results.iter().map(|result| result.effect()).collect())
}

/// Places and texts of what somebody lacks.
async fn lacks(control: &Control, by: &str, changes: &[Resource]) -> Vec<String> {
    let refused = apply(control, by, changes).await.expect_err("not permitted");
    assert_eq!(refused.reason, Reason::RoleMissing, "{:?}", refused.problems);
    refused.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message.en)).collect()
}

fn agency(id: &str) -> Resource {
    Resource::Agency(Agency { id: id.into(), name_vi: "Sở".into(), ..Default::default() })
}

fn system(id: &str) -> System {
    System { id: id.into(), name_vi: "Hệ thống".into(), ..Default::default() }
}

fn element(name: &str) -> Resource {
    Resource::Element(wire::Element {
        id: "part.name".into(),
        name_vi: name.into(),
        r#type: wire::ValueType::String.into(),
        sensitivity: wire::Sensitivity::None.into(),
        source: "test".into(),
        ..Default::default()
    })
}

fn schema(name: &str, length: u32) -> Resource {
    let text = format!(
        r#"{{"type": "object", "additionalProperties": false, "required": ["name"], "properties": {{
            "name": {{"type": "string", "minLength": 1, "maxLength": {length}, "x-ldop-element": "part.name"}}}}}}"#
    );
    Resource::Schema(wire::Schema { name: name.into(), text, ..Default::default() })
}

fn dataset(id: &str, owner: &str, schema: &str) -> Dataset {
    Dataset {
        id: id.into(),
        name_vi: "Bộ dữ liệu".into(),
        owning_agency: owner.into(),
        schema: schema.into(),
        key_fields: vec!["name".into()],
        partitions: 1,
        ..Default::default()
    }
}

fn agreement() -> Agreement {
    Agreement {
        id: "a-to-b".into(),
        provider: "so-a".into(),
        consumer: "so-b/x".into(),
        dataset: "d".into(),
        stage: Stage::Live.into(),
        purpose_vi: "Thử".into(),
        granted_fields: vec!["name".into()],
        ..Default::default()
    }
}

fn world() -> Vec<Resource> {
    let systems = ["so-a/nguon", "so-b/x"].map(|id| Resource::System(system(id)));
    let mut world: Vec<_> = ["so-a", "so-b", "so-khcn"].map(agency).into();
    world.extend(systems);
    world.extend([element("Tên"), schema("s", 10), Resource::Dataset(dataset("d", "so-a", "s"))]);
    world
}

#[tokio::test]
async fn engineers_change_what_is_of_their_agency_and_are_told_who_may_change_the_rest() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path(), Rules::without_approvals()).await;
    apply(&control, OPERATOR, &world()).await.expect("operators register everything");

    // What stands as it is may stand in anybody's folder.
    let mut own: Vec<_> = world().into_iter().filter(|resource| !matches!(resource, Resource::Schema(_))).collect();
    own.extend([Resource::System(system("so-a/khac")), schema("s", 20), schema("free", 9)]);
    let effects = apply(&control, PROVIDER, &own).await.expect("its own");
    assert_eq!(effects.iter().filter(|effect| **effect != ChangeEffect::Unchanged).count(), 3);
    apply(&control, PROVIDER, &[element("Họ tên"), Resource::Dataset(dataset("e", "so-a", "s"))])
        .await
        .expect("its own");

    let others = [
        agency("so-d"),
        Resource::System(System { suspended: true, ..system("so-a/khac") }),
        Resource::System(system("so-b/khac")),
        Resource::System(System { revoked_certificates: vec!["0a".repeat(32)], ..system("so-a/nguon") }),
        Resource::Dataset(dataset("f", "so-b", "free")),
        Resource::SubjectSettings(wire::SubjectSettings {
            subject: "s".into(),
            mode: wire::RegistryMode::Readonly.into(),
            ..Default::default()
        }),
    ];
    let told = [
        "changes[0].agency(so-d): define_agency: needs the role operator",
        "changes[1].system(so-a/khac): suspend_system: needs the role operator",
        "changes[2].system(so-b/khac): define_system: needs the role operator, or engineer of so-b",
        "changes[3].system(so-a/nguon): suspend_system: needs the role operator",
        "changes[4].dataset(f): define_dataset: needs the role operator, or engineer of so-b",
        "changes[5].subject_settings(s): set_subject: needs the role operator",
    ];
    assert_eq!(lacks(&control, PROVIDER, &others).await, told);

    // A dataset cannot be taken from another agency, nor its schema be changed under it.
    let taken = [Resource::Dataset(dataset("d", "so-b", "s"))];
    let told = ["changes[0].dataset(d): define_dataset: needs the role operator, or engineer of so-a"];
    assert_eq!(lacks(&control, CONSUMER, &taken).await, told);
    let told = ["changes[0].schema(s): define_schema: needs the role operator, or engineer of so-a"];
    assert_eq!(lacks(&control, CONSUMER, &[schema("s", 30)]).await, told);
    let retire = wire::SchemaTransition { subject: "s".into(), version: 1, action: SchemaAction::Retire.into() };
    let told = ["changes[0].schema_status(s version 1): define_schema: needs the role operator, or engineer of so-a"];
    assert_eq!(lacks(&control, CONSUMER, &[Resource::SchemaTransition(retire.clone())]).await, told);
    apply(&control, OPERATOR, &[Resource::Dataset(dataset("g", "so-b", "s"))]).await.expect("of two agencies now");
    let told = ["changes[0].schema(s): define_schema: needs the role operator"];
    assert_eq!(lacks(&control, PROVIDER, &[schema("s", 30)]).await, told);
    apply(&control, OPERATOR, &[Resource::SchemaTransition(retire)]).await.expect("operators move it");
}

#[tokio::test]
async fn a_consumer_grants_itself_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let given = [Resource::Agreement(agreement())];
    {
        let control = open(dir.path(), Rules::without_approvals()).await;
        apply(&control, OPERATOR, &world()).await.expect("registered");
        let told = ["changes[0].agreement(a-to-b): define_agreement: needs the role operator, or engineer of so-a"];
        assert_eq!(lacks(&control, CONSUMER, &given).await, told);
        for by in [STEWARD, AUDITOR, "engineer so-khcn/x", "system so-a/nguon", "test", ""] {
            assert_eq!(lacks(&control, by, &given).await, told, "{by}");
        }
        apply(&control, PROVIDER, &given).await.expect("its own dataset");
    }
    let wider = [Resource::Agreement(Agreement { purpose_vi: "Khác".into(), ..agreement() })];
    let control = open(dir.path(), Rules { approvals: Approvals::Required, ..Rules::default() }).await;
    let told = ["changes[0].agreement(a-to-b): define_agreement: needs the role operator, or engineer of so-a or so-b"];
    assert_eq!(lacks(&control, STEWARD, &wider).await, told);
    apply(&control, CONSUMER, &wider).await.expect("where the provider has to agree, it may ask");
}

#[tokio::test]
async fn stewards_care_for_the_dictionary_and_auditors_for_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path(), Rules::without_approvals()).await;
    apply(&control, OPERATOR, &world()).await.expect("registered");
    apply(&control, STEWARD, &[element("Họ tên")]).await.expect("the dictionary");
    let told = ["changes[0].schema(s): define_schema: needs the role operator, or engineer of so-a"];
    assert_eq!(lacks(&control, STEWARD, &[schema("s", 20)]).await, told);
    let told = ["changes[0].element(part.name): define_dictionary: needs the role operator, or engineer, or steward"];
    assert_eq!(lacks(&control, AUDITOR, &[element("Tên gọi")]).await, told);
    assert_eq!(apply(&control, AUDITOR, &world()[..1]).await.ok(), Some(vec![ChangeEffect::Unchanged]));
    // What is wrong besides is told beside it, and the missing role comes first.
    let bad = Resource::System(System { name_vi: String::new(), ..system("so-b/y") });
    let refused = apply(&control, AUDITOR, &[agency("so-d"), bad]).await.expect_err("both");
    assert_eq!(refused.reason, Reason::RoleMissing);
    assert_eq!(refused.problems.len(), 2);
}

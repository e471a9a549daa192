//! The life of agreements: registered, approved, let in, suspended, ended; each step by the right people only.

use std::{path::Path, sync::Arc, time::Duration};

use ldop_catalog::life::State;
use ldop_contract::{
    catalog::v1::{
        Agency, Agreement, AgreementAction, AgreementOccasion, AgreementParty, AgreementStanding, AgreementState,
        AgreementStatus, AgreementTransition, Dataset, FieldMask, MaskKind, System,
    },
    control::v1::{ApplyChangeSetRequest, Change, ChangeEffect, ChangeResult, change::Resource},
    exchange::v1::Stage,
    registry::v1 as wire,
};
use ldop_control::{Control, Options, Refused, Rules, agreements::deadlines};
use ldop_log::embedded::{self, EmbeddedLog};
use ldop_types::{Reason, TimestampMs};

const OPERATOR: &str = "operator so-khcn/an";
const PROVIDER: &str = "engineer so-a/binh";
const PROVIDER_2: &str = "engineer so-a/cuong";
const CONSUMER: &str = "engineer so-b/chi";
const STEWARD: &str = "steward so-khcn/dung";
const AUDITOR: &str = "auditor so-khcn/em";
const OTHER: &str = "engineer so-khcn/giang";
const ID: &str = "a-to-b";

async fn open(dir: &Path, agreements: Rules) -> Arc<Control> {
    let log = EmbeddedLog::open(embedded::Config::new(dir.join("log"))).expect("a log opens");
    let options = Options { dir: dir.to_owned(), node_id: [7; 16], deadline: Duration::from_secs(30), agreements };
    Control::open(log, options).await.expect("a control log opens")
}

async fn apply(control: &Control, by: &str, changes: Vec<Resource>) -> Result<Vec<ChangeResult>, Refused> {
    let changes = changes.into_iter().map(|resource| Change { resource: Some(resource) }).collect();
    let change_id = rand::random::<[u8; 16]>().to_vec();
    let request = ApplyChangeSetRequest { change_id, changes, ..Default::default() };
    Ok(control.apply(by, request).await?.results)
}

fn element(id: &str, sensitivity: wire::Sensitivity) -> Resource {
    Resource::Element(wire::Element {
        id: id.into(),
        name_vi: id.into(),
        r#type: wire::ValueType::String.into(),
        sensitivity: sensitivity.into(),
        source: "test".into(),
        ..Default::default()
    })
}

/// A schema with a key, a name that is personal, and a faith that is sensitive.
fn schema(more: &str) -> Resource {
    let text = format!(
        r#"{{"type": "object", "additionalProperties": false, "required": ["key"], "properties": {{
            "key": {{"type": "string", "minLength": 1, "maxLength": 9, "x-ldop-element": "t.key"}},
            "name": {{"type": "string", "maxLength": 9, "x-ldop-element": "t.name"}},
            "faith": {{"type": "string", "maxLength": 9, "x-ldop-element": "t.faith"}}{more}}}}}"#
    );
    Resource::Schema(wire::Schema { name: "s".into(), text, ..Default::default() })
}

fn agreement(fields: &[&str]) -> Agreement {
    Agreement {
        id: ID.into(),
        provider: "so-a".into(),
        consumer: "so-b/x".into(),
        dataset: "d".into(),
        stage: Stage::Live.into(),
        purpose_vi: "Thử".into(),
        granted_fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        ..Default::default()
    }
}

fn world() -> Vec<Resource> {
    let agency = |id: &str| Resource::Agency(Agency { id: id.into(), name_vi: id.into(), ..Default::default() });
    let system = System { id: "so-b/x".into(), name_vi: "Hệ thống".into(), ..Default::default() };
    let dataset = Dataset {
        id: "d".into(),
        name_vi: "Bộ dữ liệu".into(),
        owning_agency: "so-a".into(),
        schema: "s".into(),
        key_fields: vec!["key".into()],
        partitions: 1,
        ..Default::default()
    };
    vec![
        agency("so-a"),
        agency("so-b"),
        agency("so-khcn"),
        Resource::System(system),
        element("t.key", wire::Sensitivity::None),
        element("t.name", wire::Sensitivity::BasicPersonal),
        element("t.faith", wire::Sensitivity::SensitivePersonal),
        schema(""),
        Resource::Dataset(dataset),
    ]
}

/// A hub that asks for approvals, with an agreement that somebody has registered.
async fn drafted(dir: &Path, agreement: Agreement, by: &str) -> Arc<Control> {
    let control = open(dir, Rules::default()).await;
    apply(&control, OPERATOR, world()).await.expect("registered");
    let results = apply(&control, by, vec![Resource::Agreement(agreement)]).await.expect("registered");
    assert_eq!((results[0].version, results[0].effect(), results[0].waits), (1, ChangeEffect::Created, true));
    control
}

async fn step(control: &Control, by: &str, action: AgreementAction) -> Result<Vec<ChangeResult>, Refused> {
    let transition =
        AgreementTransition { agreement: ID.into(), action: action.into(), reason: "vì thế".into(), version: 0 };
    apply(control, by, vec![Resource::AgreementTransition(transition)]).await
}

async fn steps(control: &Control, all: &[(&str, AgreementAction)]) {
    for (by, action) in all {
        step(control, by, *action).await.unwrap_or_else(|refused| panic!("{by} {action:?}: {refused:?}"));
    }
}

async fn refused(control: &Control, by: &str, action: AgreementAction) -> (Reason, String) {
    let refused = step(control, by, action).await.expect_err("refused");
    (refused.reason, refused.problems.iter().map(|p| p.message.en.to_string()).collect::<Vec<_>>().join("; "))
}

fn status(control: &Control) -> AgreementStatus {
    control.state().stored.agreement_statuses.get(ID).map(|status| (**status).clone()).expect("a status")
}

fn stands(standing: Option<AgreementStanding>) -> Option<(u32, AgreementState)> {
    standing.map(|standing| (standing.version, standing.state()))
}

/// Version and state of what is in force and of what waits, and the version exits see.
fn told(control: &Control) -> [Option<(u32, AgreementState)>; 2] {
    let status = status(control);
    let seen = control.state().catalog.agreements.get(ID).map(|agreement| agreement.version);
    assert_eq!(seen, status.in_force.as_ref().map(|standing| standing.version), "what exits see is what is in force");
    let waits = control.state().catalog.waiting.get(ID).map(|agreement| agreement.version);
    assert_eq!(waits, status.waiting.as_ref().map(|standing| standing.version));
    [stands(status.in_force), stands(status.waiting)]
}

use AgreementAction::{Approve, End, GoLive, Refuse, Resume, Review, StartTesting, Suspend};
use AgreementState::{Draft, Ended, FieldsAgreed, Live, Refused as NotAgreed, Suspended, Testing};

#[tokio::test]
async fn a_personal_agreement_is_live_when_three_have_approved_and_it_was_let_in() {
    let dir = tempfile::tempdir().expect("folder");
    let control = drafted(dir.path(), agreement(&["key", "name"]), OPERATOR).await;
    assert_eq!(told(&control), [None, Some((1, Draft))]);
    assert_eq!(control.state().awaited_parties(ID).len(), 3);

    // Everybody who may not.
    let all = "approve_agreement: needs the role engineer of so-a; approve_agreement: needs the role engineer of so-b; \
               approve_personal: needs the role steward";
    for by in [OPERATOR, AUDITOR, OTHER, "system so-b/x"] {
        assert_eq!(refused(&control, by, Approve).await, (Reason::RoleMissing, all.to_owned()), "{by}");
    }
    for (by, action) in [(PROVIDER, StartTesting), (PROVIDER, GoLive), (OPERATOR, Suspend), (PROVIDER, Resume)] {
        assert_eq!(refused(&control, by, action).await.0, Reason::AgreementStateUnfit, "{by} {action:?}");
    }
    steps(&control, &[(PROVIDER, Approve)]).await;
    assert_eq!(refused(&control, PROVIDER, Approve).await.0, Reason::ApprovedAlready);
    assert_eq!(refused(&control, PROVIDER_2, Approve).await.0, Reason::ApprovedAlready, "the party has approved");
    steps(&control, &[(CONSUMER, Approve)]).await;
    assert_eq!(told(&control), [None, Some((1, Draft))], "personal: the steward is missing");
    assert_eq!(refused(&control, PROVIDER, StartTesting).await.0, Reason::AgreementStateUnfit);
    steps(&control, &[(STEWARD, Approve)]).await;
    assert_eq!(told(&control), [None, Some((1, FieldsAgreed))]);
    for by in [CONSUMER, STEWARD, AUDITOR, OTHER] {
        let told = "move_agreement: needs the role operator, or engineer of so-a".to_owned();
        assert_eq!(refused(&control, by, StartTesting).await, (Reason::RoleMissing, told), "{by}");
    }
    steps(&control, &[(OPERATOR, StartTesting)]).await;
    assert_eq!(told(&control), [None, Some((1, Testing))], "a live agreement that is tried out grants nothing yet");
    for by in [CONSUMER, STEWARD, AUDITOR, OTHER] {
        assert_eq!(refused(&control, by, GoLive).await.0, Reason::RoleMissing, "{by}");
    }
    steps(&control, &[(PROVIDER, GoLive)]).await;
    assert_eq!(told(&control), [Some((1, Live)), None]);

    // Suspended by its provider, who may let it go on; by an operator, and only an operator may.
    for by in [CONSUMER, STEWARD, AUDITOR, OTHER] {
        assert_eq!(refused(&control, by, Suspend).await.0, Reason::RoleMissing, "{by}");
    }
    steps(&control, &[(PROVIDER, Suspend), (PROVIDER, Resume), (OPERATOR, Suspend)]).await;
    assert_eq!(told(&control), [Some((1, Suspended)), None]);
    let told_by = "lift_suspension: needs the role operator".to_owned();
    assert_eq!(refused(&control, PROVIDER, Resume).await, (Reason::RoleMissing, told_by));
    steps(&control, &[(OPERATOR, Resume), (STEWARD, Review)]).await;
    assert_eq!(refused(&control, CONSUMER, Review).await.0, Reason::RoleMissing);
    assert_eq!(told(&control), [Some((1, Live)), None]);
    assert!(status(&control).in_force.is_some_and(|standing| standing.reviewed_time_ms > 0));
    for by in [STEWARD, AUDITOR, OTHER] {
        assert_eq!(refused(&control, by, End).await.0, Reason::RoleMissing, "{by}");
    }
    steps(&control, &[(CONSUMER, End)]).await;
    assert_eq!(told(&control), [Some((1, Ended)), None]);
    assert_eq!(refused(&control, OPERATOR, Resume).await.0, Reason::AgreementStateUnfit);

    let history: Vec<_> = status(&control).history.iter().map(|step| (step.action(), step.state())).collect();
    let register = AgreementAction::Register;
    let expected = [
        (register, Draft),
        (Approve, Draft),
        (Approve, Draft),
        (Approve, FieldsAgreed),
        (StartTesting, Testing),
        (GoLive, Live),
        (Suspend, Suspended),
        (Resume, Live),
        (Suspend, Suspended),
        (Resume, Live),
        (Review, Live),
        (End, Ended),
    ];
    assert_eq!(history, expected);
    let last = status(&control).history.last().cloned().expect("a step");
    assert_eq!((last.author.as_str(), last.reason.as_str()), (CONSUMER, "vì thế"));

    // Replayed, and restored from a snapshot, it is the same.
    control.write_snapshot().await;
    let (digest, sequence) = (control.state().digest(), control.state().head.sequence);
    drop(control);
    let restored = open(dir.path(), Rules::default()).await;
    assert_eq!((restored.state().digest(), restored.state().head.sequence), (digest, sequence));
    drop(restored);
    std::fs::remove_file(dir.path().join("control.snapshot")).expect("there was one");
    // The setting counts when a change is checked, never when it is replayed.
    let replayed = open(dir.path(), Rules::without_approvals()).await;
    assert_eq!(replayed.state().digest(), digest);
    assert_eq!(replayed.state().catalog.states.get(ID), Some(&State::Ended));
}

#[tokio::test]
async fn nobody_approves_what_they_wrote_nor_for_two_parties() {
    let dir = tempfile::tempdir().expect("folder");
    let control = drafted(dir.path(), agreement(&["key"]), PROVIDER).await;
    assert_eq!(refused(&control, PROVIDER, Approve).await.0, Reason::ApprovedByItsAuthor);
    assert_eq!(refused(&control, STEWARD, Approve).await.0, Reason::RoleMissing, "nothing in it is personal");
    steps(&control, &[(PROVIDER_2, Approve), (CONSUMER, Approve)]).await;
    assert_eq!(told(&control), [None, Some((1, FieldsAgreed))]);

    // Within one agency, both parties are the same agency and still two people; and a role is no other person.
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path(), Rules::default()).await;
    let inner = System { id: "so-a/y".into(), name_vi: "Hệ thống".into(), ..Default::default() };
    apply(&control, OPERATOR, [world(), vec![Resource::System(inner)]].concat()).await.expect("registered");
    let own = Agreement { consumer: "so-a/y".into(), ..agreement(&["key"]) };
    apply(&control, "operator so-a/binh", vec![Resource::Agreement(own)]).await.expect("registered");
    assert_eq!(refused(&control, PROVIDER, Approve).await.0, Reason::ApprovedByItsAuthor);
    steps(&control, &[(PROVIDER_2, Approve)]).await;
    assert_eq!(refused(&control, PROVIDER_2, Approve).await.0, Reason::ApprovedAlready);
    assert_eq!(told(&control), [None, Some((1, Draft))]);
    steps(&control, &[("engineer so-a/dao", Approve)]).await;
    assert_eq!(told(&control), [None, Some((1, FieldsAgreed))]);
}

#[tokio::test]
async fn a_refusal_needs_its_reason_and_a_changed_version_begins_anew() {
    let dir = tempfile::tempdir().expect("folder");
    let control = drafted(dir.path(), agreement(&["key", "name"]), CONSUMER).await;
    let mute = AgreementTransition { agreement: ID.into(), action: Refuse.into(), ..Default::default() };
    let told_by = apply(&control, PROVIDER, vec![Resource::AgreementTransition(mute)]).await.expect_err("no reason");
    assert_eq!(told_by.problems[0].field, format!("changes[0].agreement_status({ID}).reason"));
    for by in [OPERATOR, AUDITOR, OTHER] {
        assert_eq!(refused(&control, by, Refuse).await.0, Reason::RoleMissing, "{by}");
    }
    steps(&control, &[(PROVIDER, Approve), (STEWARD, Refuse)]).await;
    assert_eq!(told(&control), [None, Some((1, NotAgreed))]);
    assert_eq!(status(&control).history.last().map(|step| step.reason.clone()).as_deref(), Some("vì thế"));
    assert!(control.state().awaited_parties(ID).is_empty());
    for action in [Approve, StartTesting] {
        assert_eq!(refused(&control, PROVIDER_2, action).await.0, Reason::AgreementStateUnfit, "{action:?}");
    }
    // The same again stays refused; another one is a draft without approvals.
    let same = apply(&control, CONSUMER, vec![Resource::Agreement(agreement(&["key", "name"]))]).await.expect("same");
    assert_eq!(same[0].effect(), ChangeEffect::Unchanged);
    apply(&control, CONSUMER, vec![Resource::Agreement(agreement(&["key"]))]).await.expect("less");
    assert_eq!(told(&control), [None, Some((2, Draft))]);
    assert_eq!(control.state().awaited_parties(ID).len(), 2);
    // Who read version 1 does not approve version 2.
    let stale = AgreementTransition { agreement: ID.into(), action: Approve.into(), version: 1, ..Default::default() };
    let stale = apply(&control, PROVIDER, vec![Resource::AgreementTransition(stale)]).await.expect_err("moved on");
    assert_eq!(stale.reason, Reason::AgreementStateUnfit);
}

#[tokio::test]
async fn a_changed_version_waits_while_the_one_in_force_goes_on() {
    let dir = tempfile::tempdir().expect("folder");
    {
        // Registered before the hub asked for approvals: live as it stands, without a status.
        let control = open(dir.path(), Rules::without_approvals()).await;
        apply(&control, OPERATOR, [world(), vec![Resource::Agreement(agreement(&["key"]))]].concat())
            .await
            .expect("ok");
        assert!(control.state().stored.agreement_statuses.is_empty());
        let levels: Vec<_> = control.events(2).await.expect("events").iter().map(|(e, _)| e.minimum_level).collect();
        assert_eq!(levels, [6], "hashed keys, and nothing of agreements");
    }
    let control = open(dir.path(), Rules::default()).await;
    let wider = || vec![Resource::Agreement(agreement(&["key", "name"]))];
    let result = apply(&control, PROVIDER, wider()).await.expect("registered");
    assert_eq!((result[0].version, result[0].effect(), result[0].waits), (2, ChangeEffect::Changed, true));
    assert_eq!(told(&control), [Some((1, Live)), Some((2, Draft))]);
    assert_eq!(apply(&control, PROVIDER, wider()).await.expect("again")[0].effect(), ChangeEffect::Unchanged);

    // What is in force is what a schema must fit; what waits must fit when it is let in.
    let narrow = r#"{"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9, "x-ldop-element": "t.name"}}}"#;
    let narrow = Resource::Schema(wire::Schema { name: "s".into(), text: narrow.into(), ..Default::default() });
    let all = wire::SubjectSettings {
        subject: "s".into(),
        compatibility: wire::CompatibilityMode::None.into(),
        ..Default::default()
    };
    apply(&control, OPERATOR, vec![Resource::SubjectSettings(all)]).await.expect("any schema may follow");
    let told_by = apply(&control, OPERATOR, vec![narrow]).await.expect_err("in force");
    assert!(told_by.problems.iter().any(|p| p.field == format!("agreement({ID}).granted_fields[0]")), "{told_by:?}");

    // Taken back by registering what is in force.
    let before = apply(&control, PROVIDER, vec![Resource::Agreement(agreement(&["key"]))]).await.expect("taken back");
    assert_eq!((before[0].version, before[0].effect()), (1, ChangeEffect::Changed));
    assert_eq!(told(&control), [Some((1, Live)), None]);
    apply(&control, PROVIDER, wider()).await.expect("registered");
    assert_eq!(told(&control), [Some((1, Live)), Some((3, Draft))], "no version is given twice");

    steps(&control, &[(PROVIDER_2, Approve), (CONSUMER, Approve), (STEWARD, Approve), (OPERATOR, StartTesting)]).await;
    assert_eq!(told(&control), [Some((1, Live)), Some((3, Testing))], "live goes on while the new one is tried out");
    steps(&control, &[(PROVIDER, Suspend)]).await;
    assert_eq!(refused(&control, PROVIDER, GoLive).await.0, Reason::AgreementStateUnfit, "suspended stays suspended");
    steps(&control, &[(PROVIDER, Resume), (PROVIDER, GoLive)]).await;
    assert_eq!(told(&control), [Some((3, Live)), None]);
    let granted = control.state().catalog.agreements[ID].value.definition.granted_fields.clone();
    assert_eq!(granted, ["key", "name"]);

    // To end needs nobody else, and takes what waits along.
    apply(&control, PROVIDER, vec![Resource::Agreement(agreement(&["key"]))]).await.expect("registered");
    let ended = Agreement { ended: true, ..agreement(&["key", "name"]) };
    let result = apply(&control, PROVIDER, vec![Resource::Agreement(ended.clone())]).await.expect("ends at once");
    assert!(!result[0].waits);
    assert_eq!(told(&control), [Some((5, Ended)), None]);
    // But not what is changed besides.
    let more = Agreement { granted_fields: vec!["faith".into()], legal_basis: "Luật".into(), ..ended };
    apply(&control, PROVIDER, vec![Resource::Agreement(more)]).await.expect("registered");
    assert_eq!(told(&control), [Some((5, Ended)), Some((6, Draft))]);
    let digest = control.state().digest();
    drop(control);
    assert_eq!(open(dir.path(), Rules::default()).await.state().digest(), digest);
}

#[tokio::test]
async fn an_agreement_on_test_data_grants_as_soon_as_it_is_tried_out() {
    let dir = tempfile::tempdir().expect("folder");
    let testing = |fields: &[&str]| Agreement { stage: Stage::Testing.into(), ..agreement(fields) };
    let control = drafted(dir.path(), testing(&["key"]), OPERATOR).await;
    steps(&control, &[(PROVIDER, Approve), (CONSUMER, Approve), (PROVIDER, StartTesting)]).await;
    assert_eq!(told(&control), [Some((1, Testing)), None]);
    apply(&control, OPERATOR, vec![Resource::Agreement(testing(&["key", "name"]))]).await.expect("registered");
    steps(&control, &[(PROVIDER, GoLive), (PROVIDER, Suspend)]).await;
    assert_eq!(told(&control), [Some((1, Suspended)), Some((2, Draft))], "steps find the version they fit");
    steps(&control, &[(PROVIDER, Resume), (CONSUMER, End)]).await;
    assert_eq!(told(&control), [Some((1, Ended)), None]);
}

#[tokio::test]
async fn a_field_that_became_personal_needs_its_steward_before_anything_is_let_in() {
    let dir = tempfile::tempdir().expect("folder");
    let control = drafted(dir.path(), agreement(&["key"]), OPERATOR).await;
    steps(&control, &[(PROVIDER, Approve), (CONSUMER, Approve)]).await;
    apply(&control, OPERATOR, vec![element("t.key", wire::Sensitivity::BasicPersonal)]).await.expect("personal now");
    let (reason, told_by) = refused(&control, PROVIDER, StartTesting).await;
    assert_eq!((reason, told_by.as_str()), (Reason::AgreementStateUnfit, "approvals are missing: steward"));
    steps(&control, &[(STEWARD, Approve), (PROVIDER, StartTesting), (PROVIDER, GoLive)]).await;
    assert_eq!(told(&control), [Some((1, Live)), None]);
}

#[tokio::test]
async fn sensitive_data_goes_nowhere_without_a_legal_basis() {
    let dir = tempfile::tempdir().expect("folder");
    for rules in [Rules::default(), Rules::without_approvals()] {
        let control = open(&dir.path().join(format!("{:?}", rules.approvals)), rules).await;
        apply(&control, OPERATOR, world()).await.expect("registered");
        let bare = agreement(&["key", "faith"]);
        let told_by = apply(&control, OPERATOR, vec![Resource::Agreement(bare.clone())]).await.expect_err("no basis");
        assert_eq!(told_by.reason, Reason::DefinitionInvalid);
        assert_eq!(told_by.problems[0].field, format!("changes[0].agreement({ID}).legal_basis"));
        let dropped = FieldMask { field: "faith".into(), kind: MaskKind::Dropped.into(), ..Default::default() };
        let dropped = Agreement { masks: vec![dropped], ..bare.clone() };
        apply(&control, OPERATOR, vec![Resource::Agreement(dropped)]).await.expect("what is dropped is not shown");
        let based = Agreement { legal_basis: "Luật 91/2025/QH15".into(), ..bare };
        apply(&control, OPERATOR, vec![Resource::Agreement(based)]).await.expect("with its basis");
    }
}

#[tokio::test]
async fn without_approvals_all_is_in_force_as_it_is_registered_and_can_still_be_suspended() {
    let dir = tempfile::tempdir().expect("folder");
    let control = open(dir.path(), Rules::without_approvals()).await;
    apply(&control, OPERATOR, [world(), vec![Resource::Agreement(agreement(&["key"]))]].concat()).await.expect("ok");
    assert_eq!(refused(&control, PROVIDER, Approve).await.0, Reason::AgreementStateUnfit);
    steps(&control, &[(PROVIDER, Suspend)]).await;
    let wider = apply(&control, OPERATOR, vec![Resource::Agreement(agreement(&["key", "name"]))]).await.expect("ok");
    assert!(!wider[0].waits);
    assert_eq!(told(&control), [Some((2, Suspended)), None], "registering lifts no suspension");
    steps(&control, &[(PROVIDER, Resume), (PROVIDER, End)]).await;
    apply(&control, OPERATOR, vec![Resource::Agreement(agreement(&["key"]))]).await.expect("begins anew");
    assert_eq!(told(&control), [Some((3, Live)), None]);
    let both = vec![
        Resource::Agreement(agreement(&["name"])),
        Resource::AgreementTransition(AgreementTransition {
            agreement: ID.into(),
            action: End.into(),
            ..Default::default()
        }),
    ];
    let told_by = apply(&control, OPERATOR, both).await.expect_err("one after the other");
    assert_eq!(told_by.problems[0].field, format!("changes[1].agreement_status({ID})"));
    let nothing = AgreementTransition { agreement: "nothing".into(), action: End.into(), ..Default::default() };
    let told_by = apply(&control, OPERATOR, vec![Resource::AgreementTransition(nothing)]).await.expect_err("none");
    assert_eq!(told_by.reason, Reason::ResourceNotFound);
}

#[tokio::test]
async fn what_is_due_is_told_from_its_day_on() {
    const DAY: i64 = 86_400_000;
    let dir = tempfile::tempdir().expect("folder");
    let control = drafted(dir.path(), agreement(&["key"]), OPERATOR).await;
    let rules = Rules::default();
    let due = |now: i64| deadlines::deadlines(&control.state(), ID, &rules, TimestampMs(now));
    let asked = status(&control).waiting.expect("waits").registered_time_ms;
    let last = due(asked).answer.expect("a day to answer");
    assert!(due(asked).due.is_empty());
    let days = i64::from(last.0 - TimestampMs(asked).date_in_vietnam().0);
    assert!((5..=7).contains(&days), "five working days have one weekend or none in between: {days}");
    assert!(due(asked + days * DAY).due.is_empty(), "the last day is a day to answer");
    let late = due(asked + (days + 1) * DAY).due;
    assert_eq!((late[0].kind, late[0].version), (AgreementOccasion::AnswerOverdue, 1));

    steps(&control, &[(PROVIDER, Approve), (CONSUMER, Approve), (PROVIDER, StartTesting), (PROVIDER, GoLive)]).await;
    let review = due(asked).review.expect("a day to review");
    assert_eq!(review, deadlines::after_months(TimestampMs(asked).date_in_vietnam(), 6));
    let at = asked + i64::from(review.0 - TimestampMs(asked).date_in_vietnam().0) * DAY;
    assert!(due(at - DAY).due.is_empty());
    assert_eq!(due(at).due[0].kind, AgreementOccasion::ReviewDue);
    let overview = deadlines::overview(&control.state(), ID, &rules, TimestampMs(at)).expect("there");
    assert_eq!((overview.review_due, overview.awaited.len()), (review.to_string(), 0));
    assert!(overview.answer_due.is_empty());

    let ends = Agreement {
        valid_until: Some(ldop_contract::convert::timestamp_to_wire(TimestampMs(asked + 100 * DAY))),
        ..agreement(&["key"])
    };
    apply(&control, OPERATOR, vec![Resource::Agreement(ends)]).await.expect("registered");
    let overview = deadlines::overview(&control.state(), ID, &rules, TimestampMs(asked)).expect("there");
    assert_eq!(overview.awaited, [AgreementParty::Provider, AgreementParty::Consumer].map(i32::from));
    steps(&control, &[(PROVIDER, Approve), (CONSUMER, Approve), (PROVIDER, StartTesting), (PROVIDER, GoLive)]).await;
    assert!(due(asked + 39 * DAY).due.is_empty());
    assert_eq!(due(asked + 40 * DAY).due[0].kind, AgreementOccasion::ExpiresSoon);
    assert!(due(asked + 100 * DAY).due.is_empty(), "it has ended");
}

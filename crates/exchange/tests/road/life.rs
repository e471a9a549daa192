//! The life of agreements as their consumers see it: what is suspended, ended or not let in yet gives nothing.

use ldop_contract::catalog::v1::{AgreementAction, AgreementTransition};

use super::*;

const AGREEMENT: &str = "civil-status-to-social-insurance";

async fn applied_by(exchange: &Exchange, by: &str, resource: Resource) {
    let changes = vec![control::Change { resource: Some(resource) }];
    let request = control::ApplyChangeSetRequest { change_id: rand_id().to_vec(), changes, ..Default::default() };
    exchange.control.apply(by, request).await.unwrap_or_else(|refused| panic!("{by}: {refused:?}"));
}

async fn step(exchange: &Exchange, by: &str, agreement: &str, action: AgreementAction) {
    let transition = AgreementTransition {
        agreement: agreement.into(),
        action: action.into(),
        reason: "vì thế".into(),
        ..Default::default()
    };
    applied_by(exchange, by, Resource::AgreementTransition(transition)).await;
}

async fn let_in(exchange: &Exchange, agreement: &str) {
    use AgreementAction::{Approve, GoLive, StartTesting};
    for by in ["engineer so-tu-phap/an", "engineer bhxh-tinh/binh", "steward so-khcn/chi"] {
        step(exchange, by, agreement, Approve).await;
    }
    for action in [StartTesting, GoLive] {
        step(exchange, "engineer so-tu-phap/an", agreement, action).await;
    }
}

async fn refused(exchange: &Arc<Exchange>, consumer: &str, agreement: &str) -> Reason {
    let open = OpenSubscription {
        agreement: AgreementId::parse(agreement).expect("id"),
        name: SubscriptionName::parse("default").expect("name"),
        start: Start::Resume,
    };
    Subscription::open(Arc::clone(exchange), system(consumer), open).await.err().expect("refused")
}

async fn ends(subscription: &mut Subscription) -> Reason {
    tokio::time::timeout(SOON, subscription.next()).await.expect("at once").expect_err("ended")
}

#[tokio::test]
async fn a_stream_that_is_open_when_its_agreement_is_suspended_or_ended_ends_with_that_reason() {
    let dir = tempfile::tempdir().expect("folder");
    let exchange = sample_world(dir.path()).await;
    let mut stream = subscribe(&exchange, Start::Resume).await;
    drain(&mut stream).await;
    step(&exchange, "operator so-khcn/an", AGREEMENT, AgreementAction::Suspend).await;
    assert_eq!(ends(&mut stream).await, Reason::AgreementSuspended);
    assert_eq!(refused(&exchange, "bhxh-tinh/tiep-nhan", AGREEMENT).await, Reason::AgreementSuspended);
    step(&exchange, "operator so-khcn/an", AGREEMENT, AgreementAction::Resume).await;
    send(&mut publisher(&exchange), good(1).iter().map(|sample| incoming(ExchangeId::new(), sample)).collect()).await;
    let mut stream = subscribe(&exchange, Start::Resume).await;
    assert_eq!(drain(&mut stream).await.len(), 1, "it goes on where it was");
    step(&exchange, "engineer bhxh-tinh/binh", AGREEMENT, AgreementAction::End).await;
    assert_eq!(ends(&mut stream).await, Reason::AgreementEnded);
    assert_eq!(refused(&exchange, "bhxh-tinh/tiep-nhan", AGREEMENT).await, Reason::AgreementEnded);
}

#[tokio::test]
async fn a_version_that_waits_gives_nothing_and_takes_its_place_when_it_is_let_in() {
    let dir = tempfile::tempdir().expect("folder");
    sample_world(dir.path()).await.drain(SOON).await;
    let exchange = node_asking(log(dir.path()), dir.path(), None, Rules::default()).await;
    let stored = (*exchange.control.state().stored.agreements[AGREEMENT]).clone();
    let samples = good(2);
    let mut stream = subscribe(&exchange, Start::Resume).await;
    drain(&mut stream).await;

    let without = |name: &str| stored.granted_fields.iter().filter(|field| *field != name).cloned().collect();
    let fewer = Agreement { granted_fields: without("full_name"), ..stored.clone() };
    applied_by(&exchange, "operator so-khcn/an", Resource::Agreement(fewer)).await;
    send(&mut publisher(&exchange), vec![incoming(ExchangeId::new(), &samples[0])]).await;
    let shown = drain(&mut stream).await.remove(0).1;
    let has_name = |record: &Delivered| {
        let shown: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&record.payload).expect("JSON");
        shown.contains_key("full_name")
    };
    assert!(has_name(&shown), "the version in force goes on, on the same stream");
    assert_eq!(stream.agreement().version, 1);
    let_in(&exchange, AGREEMENT).await;
    assert_eq!(ends(&mut stream).await, Reason::AgreementChanged);
    let mut stream = subscribe(&exchange, Start::Resume).await;
    send(&mut publisher(&exchange), vec![incoming(ExchangeId::new(), &samples[1])]).await;
    assert!(!has_name(&drain(&mut stream).await.remove(0).1), "the new one has taken its place");
    assert_eq!(stream.agreement().version, 2);

    // One that never was in force.
    let new = Agreement { id: "new".into(), ..stored };
    applied_by(&exchange, "engineer bhxh-tinh/dung", Resource::Agreement(new)).await;
    assert_eq!(refused(&exchange, "bhxh-tinh/tiep-nhan", "new").await, Reason::AgreementNotLive);
    assert_eq!(refused(&exchange, "cong-an-tinh/doi-soat", "new").await, Reason::NotTheConsumer);
    step(&exchange, "steward so-khcn/chi", "new", AgreementAction::Refuse).await;
    assert_eq!(refused(&exchange, "bhxh-tinh/tiep-nhan", "new").await, Reason::AgreementNotLive);
    step(&exchange, "operator so-khcn/an", "new", AgreementAction::End).await;
    assert_eq!(refused(&exchange, "bhxh-tinh/tiep-nhan", "new").await, Reason::AgreementEnded);
}

#[tokio::test]
async fn what_is_due_is_told_once_and_again_only_when_it_is_another_occasion() {
    const DAY: i64 = 86_400_000;
    let dir = tempfile::tempdir().expect("folder");
    sample_world(dir.path()).await.drain(SOON).await;
    let exchange = node_asking(log(dir.path()), dir.path(), None, Rules::default()).await;
    let stored = (*exchange.control.state().stored.agreements[AGREEMENT]).clone();
    applied_by(&exchange, "operator so-khcn/an", Resource::Agreement(Agreement { id: "new".into(), ..stored })).await;
    let now = TimestampMs::now().0;
    // Samples are valid since long, and one of them for a short time only.
    let first = exchange.tell_occasions(TimestampMs(now)).await.expect("told");
    assert!(first > 0);
    assert_eq!(exchange.tell_occasions(TimestampMs(now)).await, Ok(0));
    assert_eq!(exchange.tell_occasions(TimestampMs(now + 8 * DAY)).await, Ok(1), "the draft is not answered");
    exchange.drain(SOON).await;
    drop(exchange);
    let exchange = node_asking(log(dir.path()), dir.path(), None, Rules::default()).await;
    assert_eq!(exchange.tell_occasions(TimestampMs(now + 8 * DAY)).await, Ok(0), "told before the restart");
    let mut told = Vec::new();
    for index in 0..4 {
        let partition = Partition { topic: TopicName::parse("ldop.exchanges").expect("name"), index };
        let fetched = exchange.log().fetch(&partition, 0, 1 << 20, Duration::ZERO).await.expect("read");
        for entry in fetched.entries {
            let event: control::ExchangeEvent =
                prost::Message::decode(entry.value.expect("a value")).expect("an event");
            if let Some(control::exchange_event::Kind::AgreementNotice(notice)) = event.kind {
                told.push((notice.agreement.clone(), notice.version, notice.occasion(), notice.day));
            }
        }
    }
    assert_eq!(told.len(), first + 1);
    let overdue = ldop_contract::catalog::v1::AgreementOccasion::AnswerOverdue;
    assert_eq!(
        told.iter().filter(|(id, version, kind, _)| (id.as_str(), *version, *kind) == ("new", 1, overdue)).count(),
        1
    );
    exchange.refresh_metrics().await;
    let states = &exchange.metrics.agreements.states;
    assert_eq!(states.with_label_values(&["draft"]).get(), 1);
    assert!(states.with_label_values(&["live"]).get() > 3);
}

//! Subscribing.

use std::time::Duration;

use ldop_client::{Event, Start, Subscriber, SubscriberConfig};
use ldop_contract::exchange::v1::subscribe_open;
use ldop_types::{AgreementId, Reason, SubscriptionName};
use tokio::time::timeout;
use tonic::Code;

use crate::hub::{Hub, Part, position, quick};

const DEADLINE: Duration = Duration::from_secs(60);

async fn subscriber(hub: &Hub, start: Start) -> Subscriber {
    let agreement = AgreementId::parse("births-to-police").expect("good id");
    let name = SubscriptionName::parse("default").expect("good name");
    let config = SubscriberConfig { start, credit_records: 16, retry: quick(), ..SubscriberConfig::default() };
    hub.client().await.subscriber(agreement, name, config)
}

async fn next(subscriber: &mut Subscriber) -> Event {
    timeout(DEADLINE, subscriber.next()).await.expect("something comes").expect("no error")
}

#[tokio::test]
async fn a_lost_subscription_goes_on_where_it_was_acknowledged() {
    let hub = Hub::start([Part::HangUp(1), Part::Serve]).await;
    let mut subscriber = subscriber(&hub, Start::Latest).await;
    assert!(matches!(next(&mut subscriber).await, Event::Opened(opened) if !opened.again));
    let Event::Batch(batch) = next(&mut subscriber).await else { panic!("a batch comes first") };
    assert_eq!((batch.partition, batch.records.len()), (0, 10));
    subscriber.ack(&batch);
    assert!(matches!(next(&mut subscriber).await, Event::Batch(batch) if batch.partition == 1));
    // The hub hangs up after the acknowledgement; the second batch was not acknowledged.
    assert!(matches!(next(&mut subscriber).await, Event::Opened(opened) if opened.again));
    let script = hub.script.lock().expect("not poisoned");
    assert!(matches!(script.opens[0].start, Some(subscribe_open::Start::Latest(_))));
    let Some(subscribe_open::Start::Positions(resumed)) = &script.opens[1].start else { panic!("no positions") };
    assert_eq!(resumed.positions, [position(0, 110), position(1, 200)]);
}

#[tokio::test]
async fn credit_goes_back_for_what_was_taken() {
    let hub = Hub::start([Part::Serve]).await;
    let mut subscriber = subscriber(&hub, Start::Acknowledged).await;
    for _ in 0..3 {
        next(&mut subscriber).await;
    }
    // Both batches are taken: more than half of the credit of 16 goes back before the next is waited for.
    let waiting = timeout(Duration::from_millis(300), subscriber.next()).await;
    assert!(waiting.is_err(), "nothing more comes");
    subscriber.ack_position(1, 205);
    subscriber.ack_position(1, 203); // a position does not go back
    timeout(DEADLINE, subscriber.close()).await.expect("ends").expect("the hub ends the stream");
    let script = hub.script.lock().expect("not poisoned");
    assert!(script.opens[0].start.is_none());
    assert_eq!(script.opens[0].credit.expect("given").records, 16);
    assert_eq!(script.credits.iter().map(|credit| credit.records).sum::<u32>(), 20);
    assert_eq!(script.acks.last().expect("acknowledged").positions, [position(1, 205)]);
}

#[tokio::test]
async fn an_agreement_that_ended_is_an_error_and_one_that_changed_is_opened_again() {
    let changed = Part::Answer(0, Reason::AgreementChanged, Code::Aborted);
    let ended = Part::Answer(0, Reason::AgreementEnded, Code::PermissionDenied);
    let hub = Hub::start([changed, ended]).await;
    let mut subscriber = subscriber(&hub, Start::Acknowledged).await;
    let error = timeout(DEADLINE, subscriber.next()).await.expect("an answer").expect_err("ended");
    assert_eq!(error.reason(), Some(Reason::AgreementEnded));
    assert_eq!(hub.script.lock().expect("not poisoned").opens.len(), 2);
    let again = subscriber.next().await.expect_err("for good");
    assert_eq!(again.reason(), Some(Reason::AgreementEnded));
}

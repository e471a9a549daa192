//! Publishing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ldop_client::{Error, NewRecord, Outcome, Outcomes, PublisherConfig};
use ldop_types::{DatasetName, ExchangeId, Reason, Stage};
use tokio::time::timeout;
use tonic::Code;

use crate::hub::{Hub, Part, RETRY_AFTER, quick};

/// Long enough for any machine; only what is stuck takes it.
const DEADLINE: Duration = Duration::from_secs(60);

fn dataset() -> DatasetName {
    DatasetName::parse("births").expect("good name")
}

fn config() -> PublisherConfig {
    PublisherConfig { batch_records: 16, retry: quick(), ..PublisherConfig::default() }
}

async fn all(mut outcomes: Outcomes) -> Result<BTreeMap<u64, Outcome>, Error> {
    let mut all = BTreeMap::new();
    while let Some(chunk) = timeout(DEADLINE, outcomes.next()).await.expect("outcomes come") {
        for outcome in chunk? {
            let ordinal = outcome.ordinal;
            assert!(all.insert(ordinal, outcome).is_none(), "one outcome for each record");
        }
    }
    Ok(all)
}

#[tokio::test]
async fn what_has_no_result_is_sent_again_in_order_with_the_same_ids() {
    let unavailable = Part::Answer(50, Reason::LogUnavailable, Code::Unavailable);
    let hub = Hub::start([unavailable, Part::HangUp(70), Part::Serve]).await;
    let client = hub.client().await;
    let (publisher, outcomes) = client.publisher(dataset(), Stage::Live, config());
    let sending = async move {
        let mut ids = Vec::new();
        for n in 0..500u32 {
            let text = if n % 100 == 3 { format!("bad {n}") } else { n.to_string() };
            let record = NewRecord::new(text.as_bytes());
            ids.push(record.exchange_id);
            assert_eq!(publisher.send(record).await.expect("open"), u64::from(n));
        }
        ids
    };
    let begun = Instant::now();
    let (ids, outcomes) = tokio::join!(sending, all(outcomes));
    let outcomes = outcomes.expect("the third stream serves");
    assert_eq!(outcomes.len(), 500);
    assert!(begun.elapsed() >= RETRY_AFTER, "the hub's wait is kept");
    for (ordinal, outcome) in &outcomes {
        assert_eq!(outcome.exchange_id, ids[usize::try_from(*ordinal).expect("small")]);
        assert_eq!(outcome.result.is_err(), ordinal % 100 == 3);
    }
    // Each later stream begins with everything the ones before left without a result, in the order of sending.
    let script = hub.script.lock().expect("not poisoned");
    assert_eq!(script.streams.len(), 3);
    let order = |stream: &[ldop_contract::exchange::v1::Record]| -> Vec<usize> {
        let position = |id: &Bytes| ids.iter().position(|sent| sent.as_bytes()[..] == id[..]).expect("one of ours");
        stream.iter().map(|record| position(&record.exchange_id)).collect()
    };
    let last = order(&script.streams[2]);
    assert!(last.is_sorted(), "{last:?}");
    assert_eq!(last.len(), 500 - 50 - 70, "nothing that had its result is sent again");
    assert!(order(&script.streams[1]).is_sorted());
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_publisher_with_its_reason() {
    let hub = Hub::start([Part::Answer(0, Reason::NotAProvider, Code::PermissionDenied)]).await;
    let (publisher, outcomes) = hub.client().await.publisher(dataset(), Stage::Live, config());
    // Taken before the hub has refused, or refused with the reason: both are right.
    let _ = publisher.send(NewRecord::new(b"{}")).await;
    let _ = publisher.flush().await;
    let error = all(outcomes).await.expect_err("refused");
    assert_eq!(error.reason(), Some(Reason::NotAProvider));
    let error = publisher.flush().await.expect_err("ended");
    assert_eq!(error.reason(), Some(Reason::NotAProvider));
}

#[tokio::test]
async fn a_full_window_makes_the_sender_wait() {
    let hub = Hub::start([Part::Silence]).await;
    let config = PublisherConfig { in_flight: 64, ..config() };
    let (publisher, outcomes) = hub.client().await.publisher(dataset(), Stage::Live, config);
    let mut taken = 0;
    while timeout(Duration::from_millis(500), publisher.send(NewRecord::new(b"{}"))).await.is_ok() {
        taken += 1;
        assert!(taken < 1_000, "the window has no bound");
    }
    // The window and one batch more, two batches in the queue, the open one.
    assert!((64..=64 + 4 * 16).contains(&taken), "{taken}");
    drop(outcomes);
    let error = timeout(DEADLINE, publisher.send(NewRecord::new(b"{}"))).await.expect("no wait without a driver");
    assert!(matches!(error, Err(Error::Closed)));
}

#[tokio::test]
async fn a_hub_that_falls_silent_counts_as_lost() {
    let hub = Hub::start([Part::Silence, Part::Serve]).await;
    let config = PublisherConfig { result_timeout: Duration::from_millis(200), ..config() };
    let (publisher, outcomes) = hub.client().await.publisher(dataset(), Stage::Live, config);
    publisher.send(NewRecord::new(b"{}")).await.expect("open");
    drop(publisher);
    assert_eq!(all(outcomes).await.expect("the second stream serves").len(), 1);
    assert_eq!(hub.script.lock().expect("not poisoned").streams.len(), 2);
}

#[tokio::test]
async fn a_batch_that_is_not_full_goes_after_the_linger() {
    let hub = Hub::start([Part::Serve]).await;
    let (publisher, mut outcomes) = hub.client().await.publisher(dataset(), Stage::Live, config());
    for round in 0..3 {
        let ordinal = publisher.send(NewRecord::new(b"{}")).await.expect("open");
        let chunk = timeout(DEADLINE, outcomes.next()).await.expect("comes by itself").expect("open").expect("serves");
        assert_eq!((ordinal, chunk[0].ordinal), (round, round));
    }
}

#[tokio::test]
async fn a_single_publish_is_tried_again_with_its_id() {
    let overloaded = Part::Answer(0, Reason::Overloaded, Code::ResourceExhausted);
    let hub = Hub::start([overloaded.clone(), overloaded, Part::Serve]).await;
    let client = hub.client().await;
    let id = ExchangeId::new();
    let receipt = client.publish_one(&dataset(), Stage::Live, id, Bytes::from_static(b"{}"), None).await;
    assert_eq!(receipt.expect("the third try").exchange_id[..], id.as_bytes()[..]);
    {
        let script = hub.script.lock().expect("not poisoned");
        assert_eq!(script.singles.len(), 3);
        assert!(script.singles.iter().all(|record| record.exchange_id[..] == id.as_bytes()[..]));
    }
    let missing = client.get_exchange(&dataset(), Stage::Live, id).await.expect_err("never there");
    assert_eq!(missing.reason(), Some(Reason::ExchangeNotFound));
}

//! One that floods the hub with look-ups, and one beside it.

use futures::{StreamExt as _, stream::FuturesUnordered};
use ldop_exchange::look_up::router::CREDIT;

use super::*;

const QUIET: &str = "cong-an-tinh/doi-soat";

#[tokio::test]
async fn a_system_that_floods_the_hub_is_refused_with_a_retry_time_and_one_beside_it_is_served_next() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let own = AgreementId::parse("civil-status-to-quiet").expect("id");
    let stored = world.exchange.control.state().stored.agreements[AGREEMENT].clone();
    let quiets = Agreement { id: own.to_string(), consumer: QUIET.into(), ..(*stored).clone() };
    world.apply(vec![control::Change { resource: Some(Resource::Agreement(quiets)) }]).await;
    let mut serving = world.serve();

    // The provider answers nothing yet, so whatever is let in stays in flight.
    let count = LOOK_UPS;
    let mut flood: FuturesUnordered<_> = (0..count).map(|_| tokio::spawn(world.call(keys_of(&samples)))).collect();
    for _ in 0..count - LOOK_UPS / 2 {
        let refused = tokio::time::timeout(SOON, flood.next()).await.expect("at once").expect("some").expect("ran");
        let Err(Refused::Reason { reason: Reason::Overloaded, retry_after: Some(after) }) = refused else {
            panic!("{refused:?}")
        };
        assert!(!after.is_zero());
    }
    assert_eq!(flood.len(), LOOK_UPS / 2, "half of what there is");
    let mut asked = Vec::new();
    for _ in 0..CREDIT {
        asked.push(tokio::time::timeout(SOON, serving.next()).await.expect("asked").expect("open").0);
    }
    assert!(serving.next().now_or_never().is_none(), "as many as are out at a time");

    // It stands in line behind all that wait, and is served before them.
    let (exchange, quiet) = (Arc::clone(&world.exchange), system(QUIET));
    let asking = LookUp { agreement: own.clone(), ..request(keys_of(&samples)) };
    let mut call = look_up::look_up(&exchange, &quiet, asking, Instant::now() + SOON).boxed();
    assert!((&mut call).now_or_never().is_none());
    let nothing = || Answer { replies: vec![Reply { key: 0, said: Said::NoRecord }], hold: None };
    serving.answer(asked.remove(0), nothing());
    let (answered, ()) = futures::join!(call, async {
        let (id, question) = tokio::time::timeout(SOON, serving.next()).await.expect("asked").expect("open");
        assert_eq!(question.agreement.value.id, own);
        serving.answer(id, Answer { replies: vec![record(0, &samples[0])], hold: None });
    });
    assert!(matches!(answered.expect("answered").answers[..], [KeyAnswer::Found(_)]));

    // The rest goes on as it came.
    for id in asked {
        serving.answer(id, nothing());
    }
    let rest = tokio::spawn(async move {
        while let Ok((id, _)) = serving.next().await {
            serving.answer(id, nothing());
        }
    });
    while let Some(answered) = tokio::time::timeout(SOON, flood.next()).await.expect("in time") {
        answered.expect("ran").expect("answered");
    }
    assert_eq!(world.count("ldop_look_ups_total", &[("result", "OVERLOADED")]), (count - LOOK_UPS / 2) as u64);
    rest.abort();
    world.exchange.drain(SOON).await;
}

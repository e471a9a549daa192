//! Everything a provider can do wrong.

use super::*;

pub(crate) fn changed(sample: &Sample, change: impl FnOnce(&mut serde_json::Value)) -> Sample {
    let mut record = serde_json::from_slice(&sample.payload).expect("json");
    change(&mut record);
    Sample { payload: serde_json::to_vec(&record).expect("json").into(), ..sample.clone() }
}

#[tokio::test]
async fn an_answer_that_is_no_good_is_kept_back_and_the_good_ones_beside_it_are_given() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(8);
    let held = samples.clone();
    let serving = world.answering(move |_| {
        vec![
            record(0, &held[0]),
            // Another person's record.
            record(1, &held[7]),
            // A field outside the schema.
            record(2, &changed(&held[2], |record| record["nobody_agreed_on_this"] = "x".into())),
            // A value that breaks the dictionary.
            record(3, &changed(&held[3], |record| record["registered_on"] = "2025-02-30".into())),
            // Two answers to one key.
            record(4, &held[4]),
            Reply { key: 4, said: Said::NoRecord },
            // No JSON at all.
            Reply { key: 5, said: Said::Record { payload: Bytes::from_static(b"{"), event_time: None } },
            Reply { key: 6, said: Said::Nonsense },
            // A key that was not asked for.
            record(100, &held[7]),
        ]
    });
    let answered = world.call(keys_of(&samples)).await.expect("answered");
    let invalid = KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid);
    assert!(matches!(answered.answers[0], KeyAnswer::Found(_)), "{:?}", answered.answers);
    assert_eq!(answered.answers[1..7], vec![invalid; 6]);
    assert_eq!(answered.answers[7], KeyAnswer::NotAnswered(Reason::LookUpNotAnswered), "left out");
    assert_eq!(world.count("ldop_look_up_keys_total", &[("outcome", "invalid")]), 6);
    serving.abort();
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_provider_that_cannot_tell_is_not_one_that_has_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let serving = world.answering(|_| vec![Reply { key: 0, said: Said::Unable }]);
    let answered = world.call(keys_of(&samples(1))).await.expect("answered");
    assert_eq!(answered.answers, [KeyAnswer::NotAnswered(Reason::LookUpNotAnswered)]);
    serving.abort();
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn an_answer_that_is_late_or_comes_again_or_was_never_asked_for_is_dropped_and_counted() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(2);
    let mut serving = world.serve();
    let answer = |sample: &Sample| Answer { replies: vec![record(0, sample)], hold: None };
    assert_eq!(serving.answer(1, answer(&samples[0])), Fate::NeverAsked);
    assert_eq!(serving.answer(0, answer(&samples[0])), Fate::NeverAsked);

    let (late, asked) = futures::join!(world.call_within(keys_of(&samples[..1]), Duration::from_millis(500)), async {
        serving.next().await.expect("asked").0
    });
    assert_eq!(late.expect("told").answers, [KeyAnswer::NotAnswered(Reason::LookUpNotAnswered)]);
    assert_eq!(serving.answer(asked, answer(&samples[0])), Fate::Late);
    assert_eq!(serving.answer(asked, answer(&samples[0])), Fate::Repeated);

    let (call, ()) = futures::join!(world.call(keys_of(&samples[1..])), async {
        let (id, _) = serving.next().await.expect("asked");
        assert_eq!(serving.answer(id + 1, answer(&samples[0])), Fate::NeverAsked);
        assert_eq!(serving.answer(id, answer(&samples[1])), Fate::Taken);
        assert_eq!(serving.answer(id, answer(&samples[0])), Fate::Repeated);
    });
    assert!(matches!(call.expect("answered").answers[..], [KeyAnswer::Found(_)]));
    for (cause, times) in [("late", 1), ("repeated", 2), ("never_asked", 3)] {
        assert_eq!(world.count("ldop_look_up_answers_dropped_total", &[("cause", cause)]), times, "{cause}");
    }
    drop(serving);
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_provider_that_goes_on_failing_is_left_alone_for_a_while() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(2);
    let other = samples[1].clone();
    let serving = world.answering(move |_| vec![record(0, &other)]);
    for _ in 0..8 {
        let answered = world.call(keys_of(&samples[..1])).await.expect("answered");
        assert_eq!(answered.answers, [KeyAnswer::NotAnswered(Reason::LookUpAnswerInvalid)]);
    }
    let refused = world.call(keys_of(&samples[..1])).await.expect_err("left alone");
    let Refused::Reason { reason: Reason::LookUpNotServed, retry_after: Some(after) } = refused else {
        panic!("{refused:?}")
    };
    assert!(after <= Duration::from_secs(1), "{after:?}");
    serving.abort();
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn an_agreement_that_ends_while_the_question_is_out_gives_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let mut serving = world.serve();
    let (call, ()) = futures::join!(world.call(keys_of(&samples)), async {
        let (id, _) = serving.next().await.expect("asked");
        world.end_agreement().await;
        serving.answer(id, Answer { replies: vec![record(0, &samples[0])], hold: None });
    });
    assert_eq!(call.expect_err("nothing is given").reason(), Reason::AgreementEnded);
    drop(serving);
    let events = world.events().await;
    let outcomes: Vec<_> =
        account::answered(&events).map(|a| (a.outcome(), a.reason.as_str(), a.commitment.len())).collect();
    assert_eq!(outcomes, [(LookUpOutcome::Refused, "AGREEMENT_ENDED", 0)]);
}

#[tokio::test]
async fn a_provider_that_loses_its_right_loses_its_stream() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let mut serving = world.serve();
    let stored = world.exchange.control.state().stored.systems[PROVIDER].clone();
    let suspended = ldop_contract::catalog::v1::System { suspended: true, ..(*stored).clone() };
    let change = control::Change { resource: Some(Resource::System(suspended)) };
    let (ended, ()) = futures::join!(serving.next(), world.apply(vec![change]));
    assert_eq!(ended.map(|_| ()), Err(Reason::SystemSuspended));
    drop(serving);
    let refused = world.call(keys_of(&samples(1))).await.expect_err("nobody serves");
    assert_eq!(refused.reason(), Reason::LookUpNotServed);
    world.exchange.drain(SOON).await;
}

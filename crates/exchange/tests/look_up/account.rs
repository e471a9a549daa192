//! What is on the log afterwards.

use ldop_contract::{
    catalog::v1 as catalog,
    control::v1::{LookUpAnswered, LookUpAsked},
};
use ldop_exchange::{
    subscribe::{OpenSubscription, Start, Subscription},
    transfer::{
        changes::{Changes, ReadChanges},
        export::Exporting,
    },
};
use ldop_types::SubscriptionName;

use super::*;

pub fn asked(events: &[Kind]) -> impl Iterator<Item = &LookUpAsked> {
    events.iter().filter_map(|kind| if let Kind::LookUpAsked(asked) = kind { Some(asked) } else { None })
}

pub fn answered(events: &[Kind]) -> impl Iterator<Item = &LookUpAnswered> {
    events.iter().filter_map(|kind| if let Kind::LookUpAnswered(answered) = kind { Some(answered) } else { None })
}

#[tokio::test]
async fn the_log_tells_who_asked_for_what_why_and_what_came_of_it_and_nothing_about_a_person() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(2);
    let serving = world.answering(from_register(&samples[..1]));
    let given = world.call(keys_of(&samples)).await.expect("answered");
    let again = world.call(keys_of(&samples[..1])).await.expect("answered");
    serving.abort();
    let metrics = format!("{:?}", world.registry.gather());
    let events = world.events().await;

    let asked: Vec<_> = asked(&events).collect();
    let first = asked.iter().find(|asked| asked.exchange_id == given.exchange_id.as_bytes()).expect("asked");
    let second = asked.iter().find(|asked| asked.exchange_id == again.exchange_id.as_bytes()).expect("asked");
    let told = (first.system.as_str(), first.agreement.as_str(), first.agreement_version, first.source.as_str());
    assert_eq!(told, (CONSUMER, AGREEMENT, 1, PROVIDER));
    assert_eq!((first.dataset.as_str(), first.stage.as_str()), ("civil-status", "live"));
    assert!(first.purpose.starts_with("Cấp thẻ bảo hiểm y tế"));
    assert_eq!((first.key_hashes.len(), first.officer_hash.len(), first.case_hash.len()), (2, 32, 32));
    assert_eq!(first.key_hashes[0], second.key_hashes[0], "the same key has the same hash");
    assert_eq!(first.officer_hash, second.officer_hash);

    let outcome = answered(&events).find(|a| a.exchange_id == given.exchange_id.as_bytes()).expect("answered");
    assert_eq!((outcome.outcome(), outcome.found, outcome.not_found), (LookUpOutcome::Answered, 1, 1));
    assert_eq!(
        outcome.commitment,
        look_up::commit(&given.salt, &given.answers),
        "the caller can show what it was given"
    );

    // Neither keys nor people nor officers nor cases, anywhere.
    let record: serde_json::Value = serde_json::from_slice(&samples[0].payload).expect("json");
    let name = record["full_name"].as_str().unwrap_or("Nguyễn");
    for canary in
        [register_no(&samples[0].payload).as_str(), register_no(&samples[1].payload).as_str(), name, OFFICER, CASE]
    {
        for event in &events {
            let bytes = ExchangeEvent { time_ms: 0, kind: Some(event.clone()) }.encode_to_vec();
            assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{canary} in {event:?}");
        }
        assert!(!metrics.contains(canary), "{canary} in metrics");
    }
}

#[tokio::test]
async fn callers_that_go_away_at_random_leave_no_asking_without_its_outcome() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(5);
    let mut random = StdRng::seed_from_u64(20_260_716);
    let provider = world.answering(from_register(&samples));
    let mut calls = Vec::new();
    let (mut answered_calls, mut left) = (0, 0);
    for _ in 0..300 {
        let from = random.random_range(0..samples.len());
        let mut call = world.call(keys_of(&samples[from..]));
        // Each gets a number of turns, and some go away with their answer still to come.
        let (turns, stays) = (random.random_range(0..6), random.random_range(0..3) == 0);
        let mut ready = None;
        for _ in 0..turns {
            ready = (&mut call).now_or_never();
            if ready.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        match ready {
            Some(answer) => {
                answer.expect("answered");
                answered_calls += 1;
            }
            None if stays => calls.push(call),
            None => {
                left += 1;
                drop(call);
            }
        }
    }
    for call in futures::future::join_all(calls).await {
        call.expect("answered");
        answered_calls += 1;
    }
    assert!(left > 50 && answered_calls > 50, "{left} left, {answered_calls} stayed");
    let refused = world.count("ldop_look_ups_total", &[("result", "OVERLOADED")]);
    assert_eq!(refused, 0);
    let events = world.events().await;
    provider.await.expect("ran");
    let mut outcomes: HashMap<&[u8], Vec<LookUpOutcome>> = HashMap::new();
    for outcome in answered(&events) {
        outcomes.entry(&outcome.exchange_id).or_default().push(outcome.outcome());
    }
    let mut gone = 0;
    for asked in asked(&events) {
        let told = outcomes.remove(asked.exchange_id.as_slice()).expect("an outcome");
        assert!(matches!(told[..], [LookUpOutcome::Answered | LookUpOutcome::CallerGone]), "{told:?}");
        gone += usize::from(told[0] == LookUpOutcome::CallerGone);
    }
    assert!(outcomes.is_empty(), "an outcome of nothing");
    assert!(gone > 0, "nobody went away in the middle");
}

#[tokio::test]
async fn a_hub_that_dies_during_a_look_up_is_told_as_disclosed_outcome_unknown() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let mut serving = world.serve();
    let call = tokio::spawn(world.call(keys_of(&samples(1))));
    serving.next().await.expect("asked");
    // The folder as a kill leaves it, once the asking is there.
    let after = dir.path().join("after");
    std::fs::create_dir_all(after.join("look-ups")).expect("folder");
    let is_on_disk = |bytes: &[u8]| bytes.windows(CONSUMER.len()).any(|part| part == CONSUMER.as_bytes());
    let deadline = Instant::now() + SOON;
    loop {
        let files = std::fs::read_dir(dir.path().join("look-ups")).expect("folder");
        let files: Vec<_> = files.map(|file| file.expect("entry").path()).collect();
        let journal = files.iter().find(|path| path.extension().is_some_and(|extension| extension == "ldj"));
        if let Some(path) = journal
            && is_on_disk(&std::fs::read(path).expect("file"))
        {
            for path in files {
                std::fs::copy(&path, after.join("look-ups").join(path.file_name().expect("name"))).expect("copied");
            }
            break;
        }
        assert!(Instant::now() < deadline, "no asking on the disk");
        tokio::task::yield_now().await;
    }
    let secret = ldop_exchange::secret::FILE;
    std::fs::copy(dir.path().join(secret), after.join(secret)).expect("copied");
    let next = node(Arc::clone(&world.log), &after).await;
    next.exchange.drain(SOON).await;
    drop(next);
    let events = events_in(&dir.path().join("log")).await;
    let unknown: Vec<_> = answered(&events).filter(|a| a.outcome() == LookUpOutcome::Unknown).collect();
    assert_eq!(unknown.len(), 1, "{events:?}");
    let asked = asked(&events).next().expect("asked");
    assert_eq!(unknown[0].exchange_id, asked.exchange_id);
    assert_eq!((unknown[0].system.as_str(), unknown[0].found), (CONSUMER, 0));
    assert_eq!(std::fs::read_dir(after.join("look-ups")).expect("folder").count(), 0, "nothing is left to ship");
    call.abort();
}

#[tokio::test]
async fn without_a_journal_look_ups_are_refused_and_nothing_is_given() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    let samples = samples(1);
    let serving = world.answering(from_register(&samples));
    std::fs::rename(dir.path().join("look-ups"), dir.path().join("elsewhere")).expect("moved");
    let refused = world.call(keys_of(&samples)).await.expect_err("nothing is recorded");
    assert_eq!(refused.reason(), Reason::LookUpNotRecorded);
    // The next does not even ask.
    let refused = world.call(keys_of(&samples)).await.expect_err("nothing is recorded");
    assert_eq!(refused.reason(), Reason::LookUpNotRecorded);
    assert_eq!(world.count("ldop_look_up_keys_total", &[("outcome", "found")]), 1, "asked once");
    serving.abort();
    let events = world.events().await;
    assert_eq!(asked(&events).count() + answered(&events).count(), 0);
}

#[tokio::test]
async fn what_nothing_grants_is_refused_at_every_exit_and_accounted_for() {
    let dir = tempfile::tempdir().expect("folder");
    let world = world(dir.path()).await;
    world.change_agreement(|agreement| agreement.modes = vec![catalog::Mode::LookUp.into()]).await;
    let exchange = || Arc::clone(&world.exchange);
    let agreement = |id: &str| AgreementId::parse(id).expect("id");
    let asking = request(vec![key("KS-21583-2026-0000142")]);
    let deadline = Instant::now() + SOON;

    let refused = look_up::look_up(&exchange(), &system("cong-an-tinh/doi-soat"), asking.clone(), deadline).await;
    assert_eq!(refused.map(|_| ()).expect_err("another's").reason(), Reason::NotTheConsumer);
    let (name, start) = (SubscriptionName::parse("any").expect("name"), Start::Earliest);
    let open = OpenSubscription { agreement: agreement(AGREEMENT), name, start };
    let refused = Subscription::open(exchange(), system(CONSUMER), open).await.map(|_| ());
    assert_eq!(refused, Err(Reason::ModeNotGranted));
    let request = ReadChanges { agreement: agreement(AGREEMENT), start: Start::Earliest, most_records: None };
    assert_eq!(Changes::open(exchange(), system(CONSUMER), request).await.map(|_| ()), Err(Reason::ModeNotGranted));
    let refused = Exporting::open(exchange(), system(CONSUMER), &agreement("no-such"), &[]).await.map(|_| ());
    assert_eq!(refused, Err(Reason::AgreementUnknown));
    world.end_agreement().await;
    let refused = look_up::look_up(&exchange(), &system(CONSUMER), asking, deadline).await.map(|_| ());
    assert_eq!(refused.expect_err("ended").reason(), Reason::AgreementEnded);

    let events = world.events().await;
    let told = |kind: &Kind| match kind {
        Kind::AccessRefused(told) => Some([&told.system, &told.agreement, &told.mode, &told.reason].map(String::clone)),
        _ => None,
    };
    let mut told: Vec<_> = events.iter().filter_map(told).collect();
    assert_eq!(told.len(), events.len(), "nothing else happened");
    let mut expected = [
        ["cong-an-tinh/doi-soat", AGREEMENT, "look_up", "NOT_THE_CONSUMER"],
        [CONSUMER, AGREEMENT, "subscribe", "MODE_NOT_GRANTED"],
        [CONSUMER, AGREEMENT, "changes", "MODE_NOT_GRANTED"],
        [CONSUMER, "no-such", "export", "AGREEMENT_UNKNOWN"],
        [CONSUMER, AGREEMENT, "look_up", "AGREEMENT_ENDED"],
    ]
    .map(|words| words.map(String::from));
    let own = |told: &[[String; 4]]| told.iter().filter(|told| told[0] == CONSUMER).cloned().collect::<Vec<_>>();
    assert_eq!(own(&told), own(&expected), "those of one system in order");
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
}

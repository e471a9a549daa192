//! Quotas at every exit, past midnight, over restarts and kills.

use std::collections::BTreeSet;

use ldop_contract::{
    catalog::v1::{LookUpSource, Mode, Quotas},
    control::v1::TransferOutcome,
};
use ldop_exchange::{
    subscribe::{Delivery, OpenSubscription, Start, Subscription},
    transfer::{
        changes::{Change, Changes, ReadChanges},
        export::{Export, Exporting},
    },
};
use ldop_types::{SubscriptionName, TimestampMs};

use super::*;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Tomorrow's midnight in Việt Nam: ids made now do not lie ahead of what comes behind it.
fn tomorrow() -> i64 {
    (i64::from(TimestampMs::now().date_in_vietnam().0) + 1) * DAY_MS - 7 * HOUR_MS
}

/// A clock that stands at noon, tomorrow; also the midnight before.
fn noon() -> (Arc<Clock>, i64) {
    let midnight = tomorrow();
    (Arc::new(Clock::standing(TimestampMs(midnight + 12 * HOUR_MS))), midnight)
}

fn records(records_per_day: u64) -> Quotas {
    Quotas { records_per_day: Some(records_per_day), ..Default::default() }
}

fn hours(text: &str) -> Quotas {
    Quotas { allowed_hours: vec![text.to_owned()], ..Default::default() }
}

impl World {
    async fn limit(&self, quotas: Quotas) {
        let modes = [Mode::Subscribe, Mode::LookUp, Mode::Changes, Mode::Export];
        self.change_agreement(|agreement| {
            agreement.modes = modes.map(Into::into).to_vec();
            agreement.quotas = Some(quotas);
        })
        .await;
    }

    async fn subscribe(&self) -> Result<Subscription, Reason> {
        let (name, start) = (SubscriptionName::parse("day").expect("name"), Start::Resume);
        let open = OpenSubscription { agreement: agreement(), name, start };
        let mut open = Subscription::open(Arc::clone(&self.exchange), system(CONSUMER), open).await?;
        open.add_credit(10_000, 1 << 30);
        Ok(open)
    }

    async fn changes_from(&self, start: Start) -> Result<Changes, Reason> {
        let request = ReadChanges { agreement: agreement(), start, most_records: None };
        Changes::open(Arc::clone(&self.exchange), system(CONSUMER), request).await
    }

    async fn exporting(&self, token: &[u8]) -> Result<Exporting, Reason> {
        Exporting::open(Arc::clone(&self.exchange), system(CONSUMER), &agreement(), token).await
    }

    /// A gauge as `/metrics` tells it.
    async fn used(&self) -> i64 {
        self.exchange.refresh_metrics().await;
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == "ldop_quota_used_records").expect("shown");
        let of_it = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == AGREEMENT;
        let metric = family.get_metric().iter().find(of_it).expect("shown");
        metric.get_gauge().get_value() as i64
    }

    fn refused(&self, quota: &str) -> u64 {
        self.count("ldop_quota_refusals_total", &[("quota", quota)])
    }
}

fn agreement() -> AgreementId {
    AgreementId::parse(AGREEMENT).expect("id")
}

fn exceeded(after: Duration) -> Refused {
    Refused::Reason { reason: Reason::QuotaExceeded, retry_after: Some(after) }
}

fn told(events: &[Kind]) -> Vec<(&str, &str, u32)> {
    let refused =
        events.iter().filter_map(|event| if let Kind::AccessRefused(told) = event { Some(told) } else { None });
    refused.map(|told| (told.mode.as_str(), told.reason.as_str(), told.more)).collect()
}

/// What a subscription gives until it ends or has caught up; acknowledged up to there.
async fn received(subscription: &mut Subscription) -> (Vec<u64>, Result<(), Reason>) {
    let mut offsets = Vec::new();
    loop {
        match tokio::time::timeout(SOON, subscription.next()).await.expect("in time") {
            Ok(Delivery::Batch { partition, records, next }) => {
                offsets.extend(records.iter().map(|record| u64::from(partition) << 32 | record.offset));
                subscription.acknowledge(partition, next).expect("was sent");
            }
            Ok(Delivery::CaughtUp(_)) => return (offsets, Ok(())),
            Err(reason) => return (offsets, Err(reason)),
        }
    }
}

#[tokio::test]
async fn a_day_gives_as_many_records_as_it_is_granted_and_the_next_begins_at_midnight() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, midnight) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    let samples = samples(4);
    // The fourth is in no register.
    let serving = world.answering(from_register(&samples[..3]));
    world.limit(records(3)).await;
    assert_eq!(world.refused("records_per_day"), 0, "shown from the start");
    assert_eq!(world.used().await, 0);
    world.call(keys_of(&samples[2..])).await.expect("one is found, and one is not");
    assert_eq!(world.used().await, 1, "counted by what was given");
    let half_a_day = Duration::from_secs(12 * 3_600);
    let refused = world.call(keys_of(&samples[..3])).await.expect_err("there is room for two");
    assert_eq!(refused, exceeded(half_a_day));
    world.call(keys_of(&samples[..2])).await.expect("two are left");
    assert_eq!(world.call(keys_of(&samples[..1])).await, Err(exceeded(half_a_day)));
    assert_eq!(world.exchange.retry_after(&agreement(), Reason::QuotaExceeded), Some(half_a_day));
    // A new version keeps the day's count, with more as with less.
    world.limit(records(4)).await;
    world.call(keys_of(&samples[..1])).await.expect("one more");
    world.limit(records(2)).await;
    assert_eq!(world.call(keys_of(&samples[..1])).await, Err(exceeded(half_a_day)));
    clock.move_to(TimestampMs(midnight + DAY_MS - 1));
    assert_eq!(world.call(keys_of(&samples[..1])).await, Err(exceeded(Duration::from_millis(1))));
    clock.move_to(TimestampMs(midnight + DAY_MS));
    world.call(keys_of(&samples[..2])).await.expect("a new day");
    assert_eq!(world.used().await, 2);
    assert_eq!(world.refused("records_per_day"), 4);
    serving.abort();
    let events = world.events().await;
    // The second within a minute is counted in the third, and so on; the clock has stood still until midnight.
    assert_eq!(told(&events), [("look_up", "QUOTA_EXCEEDED", 0), ("look_up", "QUOTA_EXCEEDED", 2)]);
}

#[tokio::test]
async fn a_burst_of_one_lets_one_call_in_at_a_time_and_a_flood_is_two_events() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, midnight) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    let samples = samples(1);
    let serving = world.answering(from_register(&samples));
    world.limit(Quotas { calls_per_second: Some(2), burst: Some(1), ..Default::default() }).await;
    let half = Duration::from_millis(500);
    assert_eq!(world.call(keys_of(&samples)).await, Err(exceeded(half)), "buckets begin empty");
    let mut now = midnight + 12 * HOUR_MS + 500;
    clock.move_to(TimestampMs(now));
    world.call(keys_of(&samples)).await.expect("one");
    for _ in 0..40 {
        assert_eq!(world.call(keys_of(&samples)).await, Err(exceeded(half)));
    }
    // Opening a stream is a call like any other.
    assert_eq!(world.subscribe().await.map(|_| ()), Err(Reason::QuotaExceeded));
    assert_eq!(world.changes_from(Start::Earliest).await.map(|_| ()), Err(Reason::QuotaExceeded));
    assert_eq!(world.exporting(&[]).await.map(|_| ()), Err(Reason::QuotaExceeded));
    assert_eq!(world.exchange.retry_after(&agreement(), Reason::QuotaExceeded), Some(half));
    now += 60_000;
    clock.move_to(TimestampMs(now));
    drop(world.subscribe().await.expect("a call has come back"));
    assert_eq!(world.call(keys_of(&samples)).await, Err(exceeded(half)), "and one only");
    assert_eq!(world.refused("calls_per_second"), 45);
    serving.abort();
    let events = world.events().await;
    let reason = "QUOTA_EXCEEDED";
    let expected = [("look_up", reason, 0), ("subscribe", reason, 0), ("changes", reason, 0), ("export", reason, 0)];
    let told: BTreeSet<_> = told(&events).into_iter().collect();
    assert_eq!(told, expected.into_iter().chain([("look_up", reason, 40)]).collect());
}

#[tokio::test]
async fn what_is_open_ends_with_the_hours_and_goes_on_when_they_begin() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, midnight) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    let samples = samples(20);
    world.publish(&samples[..10]).await;
    world.limit(hours("07:30-17:30")).await;
    let mut subscription = world.subscribe().await.expect("at noon");
    assert_eq!(received(&mut subscription).await.0.len(), 10);
    let mut changes = world.changes_from(Start::Earliest).await.expect("at noon");
    let (ended, ()) = futures::join!(subscription.next(), async {
        tokio::task::yield_now().await;
        clock.move_to(TimestampMs(midnight + 17 * HOUR_MS + HOUR_MS / 2));
    });
    assert_eq!(ended, Err(Reason::OutsideAllowedHours));
    let until_morning = Duration::from_secs(14 * 3_600);
    assert_eq!(world.exchange.retry_after(&agreement(), Reason::OutsideAllowedHours), Some(until_morning));
    assert_eq!(changes.next().await, Err(Reason::OutsideAllowedHours));
    let refused = world.call(keys_of(&samples[..1])).await.expect_err("in the evening");
    let expected = Refused::Reason { reason: Reason::OutsideAllowedHours, retry_after: Some(until_morning) };
    assert_eq!(refused, expected);
    drop((subscription, changes));
    world.publish(&samples[10..]).await;
    assert_eq!(world.subscribe().await.map(|_| ()), Err(Reason::OutsideAllowedHours));
    clock.move_to(TimestampMs(midnight + DAY_MS + 7 * HOUR_MS + HOUR_MS / 2));
    let mut subscription = world.subscribe().await.expect("in the morning");
    assert_eq!(received(&mut subscription).await.0.len(), 10, "from where it was");
    assert_eq!(world.refused("allowed_hours"), 4);
    drop(subscription);
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn a_subscription_that_meets_its_day_ends_and_its_cursor_holds() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, midnight) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    world.publish(&samples(10)).await;
    world.limit(records(4)).await;
    let mut subscription = world.subscribe().await.expect("granted");
    let (first, ended) = received(&mut subscription).await;
    assert_eq!((first.len(), ended), (4, Err(Reason::QuotaExceeded)));
    drop(subscription);
    assert_eq!(world.subscribe().await.map(|_| ()), Err(Reason::QuotaExceeded), "told when it is opened");
    clock.move_to(TimestampMs(midnight + DAY_MS));
    let mut subscription = world.subscribe().await.expect("a new day");
    let (second, ended) = received(&mut subscription).await;
    assert_eq!((second.len(), ended), (4, Err(Reason::QuotaExceeded)));
    drop(subscription);
    // More is granted, and then less under an open stream.
    world.limit(records(5)).await;
    let mut subscription = world.subscribe().await.expect("one is left");
    world.limit(records(3)).await;
    assert_eq!(subscription.next().await, Err(Reason::AgreementChanged));
    drop(subscription);
    assert_eq!(world.subscribe().await.map(|_| ()), Err(Reason::QuotaExceeded), "the count of the day holds");
    clock.move_to(TimestampMs(midnight + 2 * DAY_MS));
    let mut subscription = world.subscribe().await.expect("a new day");
    let (third, ended) = received(&mut subscription).await;
    assert_eq!((third.len(), ended), (2, Ok(())));
    let all: BTreeSet<u64> = first.into_iter().chain(second).chain(third).collect();
    assert_eq!(all.len(), 10, "each once");
    // Who has everything and no quota left stays until there is more.
    drop(subscription);
    world.exchange.drain(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_that_meet_their_day_go_on_where_they_were_on_the_next() {
    for has_copy in [true, false] {
        let dir = tempfile::tempdir().expect("folder");
        let (clock, midnight) = noon();
        let world = world_at(dir.path(), Arc::clone(&clock)).await;
        world.change_dataset(|dataset| dataset.retention_seconds = 0).await;
        let samples = samples(12);
        if has_copy {
            world.keep_copy(&[LookUpSource::CurrentCopy]).await;
        }
        world.publish(&samples).await;
        if has_copy {
            world.told_by_copy(keys_of(&samples), 12).await;
            clock.move_to(TimestampMs(midnight + DAY_MS));
        }
        world.limit(records(5)).await;
        let (mut given, mut token, mut days) = (Vec::new(), Bytes::new(), Vec::new());
        for day in 2.. {
            let mut export = world.exporting(&token).await.expect("a new day");
            let before = given.len();
            let ended = loop {
                match tokio::time::timeout(SOON, export.next()).await.expect("in time") {
                    Ok(Export::Batch { records, resume_token }) => {
                        given.extend(records.into_iter().map(|(_, record)| register_no(&record.payload)));
                        token = resume_token;
                    }
                    Ok(Export::Finished(_)) => break None,
                    Err(reason) => break Some(reason),
                }
            };
            days.push((given.len() - before, ended));
            drop(export);
            if ended.is_none() {
                break;
            }
            clock.move_to(TimestampMs(midnight + day * DAY_MS));
        }
        let met = Some(Reason::QuotaExceeded);
        assert_eq!(days, [(5, met), (5, met), (2, None)], "from a copy: {has_copy}");
        assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 12, "each once");
        // Of the last day three are left.
        let mut changes = world.changes_from(Start::Earliest).await.expect("granted");
        let mut count = 0;
        let ended = loop {
            match tokio::time::timeout(SOON, changes.next()).await.expect("in time") {
                Ok(Change::Batch { records, .. }) => count += records.len(),
                Ok(Change::Finished { .. }) => break None,
                Err(reason) => break Some(reason),
            }
        };
        assert_eq!((count, ended), (3, met));
        drop(changes);
        let events = world.events().await;
        let refused = events.iter().filter(|event| {
            matches!(event, Kind::TransferEnded(ended)
                if ended.outcome() == TransferOutcome::Refused && ended.reason == "QUOTA_EXCEEDED")
        });
        assert_eq!(refused.count(), 3);
        assert_eq!(told(&events).len(), 3, "each a minute and more apart, or of another mode");
    }
}

#[tokio::test]
async fn streams_of_one_agreement_share_its_day() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, _) = noon();
    let world = world_at(dir.path(), clock).await;
    world.publish(&samples(40)).await;
    world.limit(records(50)).await;
    let mut one = world.changes_from(Start::Earliest).await.expect("granted");
    let mut other = world.changes_from(Start::Earliest).await.expect("granted");
    let mut count = 0;
    let (mut one_ended, mut other_ended) = (None, None);
    while one_ended.is_none() || other_ended.is_none() {
        for (changes, ended) in [(&mut one, &mut one_ended), (&mut other, &mut other_ended)] {
            if ended.is_none() {
                match tokio::time::timeout(SOON, changes.next()).await.expect("in time") {
                    Ok(Change::Batch { records, .. }) => count += records.len(),
                    Ok(Change::Finished { .. }) => *ended = Some(Ok(())),
                    Err(reason) => *ended = Some(Err(reason)),
                }
            }
        }
    }
    assert_eq!(count, 50);
    assert!([one_ended, other_ended].contains(&Some(Err(Reason::QuotaExceeded))));
    drop((one, other));
    world.exchange.drain(SOON).await;
}

#[tokio::test]
async fn what_was_given_today_is_known_after_a_restart() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, midnight) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    let samples = samples(10);
    world.publish(&samples).await;
    let serving = world.answering(from_register(&samples));
    world.limit(records(100)).await;
    world.call(keys_of(&samples[..3])).await.expect("three");
    let mut subscription = world.subscribe().await.expect("granted");
    assert_eq!(received(&mut subscription).await.0.len(), 10);
    let mut changes = world.changes_from(Start::Earliest).await.expect("granted");
    while !matches!(changes.next().await.expect("granted"), Change::Finished { .. }) {}
    assert_eq!(world.used().await, 23);
    drop((subscription, changes));
    serving.abort();
    world.exchange.drain(SOON).await;
    drop(world);

    let reopen = async || {
        let log = EmbeddedLog::open(embedded::Config::new(dir.path().join("log"))).expect("open log");
        node_at(log, dir.path(), Arc::clone(&clock)).await
    };
    let world = reopen().await;
    assert_eq!(world.used().await, 23);
    world.limit(records(25)).await;
    let serving = world.answering(from_register(&samples));
    assert!(world.call(keys_of(&samples[..3])).await.is_err());
    world.call(keys_of(&samples[..2])).await.expect("two are left");
    serving.abort();
    world.exchange.drain(SOON).await;
    drop(world);
    let world = reopen().await;
    assert_eq!(world.used().await, 25);
    clock.move_to(TimestampMs(midnight + DAY_MS));
    assert_eq!(world.used().await, 0, "of yesterday nothing counts");
    world.exchange.drain(SOON).await;
    drop(world);
    assert_eq!(reopen().await.used().await, 0);
}

#[tokio::test]
async fn what_was_given_before_a_kill_is_known_as_far_as_it_has_an_event_or_stands_in_the_journal() {
    let dir = tempfile::tempdir().expect("folder");
    let (clock, _) = noon();
    let world = world_at(dir.path(), Arc::clone(&clock)).await;
    let samples = samples(10);
    world.publish(&samples).await;
    let serving = world.answering(from_register(&samples));
    world.limit(records(100)).await;
    for sample in &samples[..4] {
        world.call(keys_of(std::slice::from_ref(sample))).await.expect("found");
    }
    // Sent and not acknowledged: it will come again.
    let mut subscription = world.subscribe().await.expect("granted");
    let Ok(Delivery::Batch { .. }) = subscription.next().await else { panic!("records first") };
    // The folder as a kill leaves it: each asking that is on the disk has the outcomes before it there.
    let after = dir.path().join("after");
    std::fs::create_dir_all(after.join("look-ups")).expect("folder");
    for file in std::fs::read_dir(dir.path().join("look-ups")).expect("folder") {
        let path = file.expect("entry").path();
        std::fs::copy(&path, after.join("look-ups").join(path.file_name().expect("name"))).expect("copied");
    }
    std::fs::copy(dir.path().join("hub-secret"), after.join("hub-secret")).expect("copied");
    let next = node_at(Arc::clone(&world.log), &after, Arc::clone(&clock)).await;
    // The first node may ship meanwhile what the second has from the journal: that counts once.
    let used = next.used().await;
    assert!((3..=4).contains(&used), "{used}");
    serving.abort();
    drop(subscription);
    next.exchange.drain(SOON).await;
}

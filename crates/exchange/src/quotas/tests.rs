use ldop_catalog::quotas::QuotasDefinition;

use super::*;

const DAY_MS: i64 = 86_400_000;
/// Noon in Việt Nam.
const NOON: i64 = 1_769_965_200_000 + DAY_MS / 2;

fn meter(clock: &Arc<Clock>) -> Arc<Meter> {
    let now = clock.now();
    let state = State {
        day: now.date_in_vietnam(),
        given: 0,
        before: Some(0),
        bucket: Bucket { level: 0, at: now },
        told: HashMap::new(),
    };
    Arc::new(Meter { clock: Arc::clone(clock), state: Mutex::new(state) })
}

fn clock() -> Arc<Clock> {
    Arc::new(Clock::standing(TimestampMs(NOON)))
}

fn rate(per_second: u32, burst: u32) -> CallRate {
    let definition = QuotasDefinition { calls_per_second: Some(per_second), burst: Some(burst), ..Default::default() };
    Granted::new(&definition).expect("good").calls.expect("limited")
}

fn of_day(records: u64) -> Granted {
    Granted::new(&QuotasDefinition { records_per_day: Some(records), ..Default::default() }).expect("good")
}

#[test]
fn a_bucket_begins_empty_fills_to_its_burst_and_tells_when_the_next_call_is_there() {
    let ms = Duration::from_millis;
    let at = |ms: i64| TimestampMs(NOON + ms);
    let mut bucket = Bucket { level: 0, at: at(0) };
    let three = rate(3, 2);
    assert_eq!(bucket.take(three, at(0)), Err(ms(334)));
    assert_eq!(bucket.take(three, at(333)), Err(ms(1)), "not a moment before");
    assert_eq!(bucket.take(three, at(334)), Ok(()));
    // A long rest brings no more than the burst.
    assert_eq!([0; 3].map(|_| bucket.take(three, at(90_000))), [Ok(()), Ok(()), Err(ms(334))]);
    // A refusal costs nothing, however many there are.
    assert_eq!([0; 100].map(|_| bucket.take(three, at(90_100)))[99], Err(ms(234)));
    assert_eq!(bucket.take(three, at(90_334)), Ok(()));
    // Another version with a smaller burst takes what is over.
    bucket.fill(three, at(200_000));
    assert_eq!([0; 2].map(|_| bucket.take(rate(3, 1), at(200_000))), [Ok(()), Err(ms(334))]);
    let mut bucket = Bucket { level: 0, at: at(0) };
    let one = rate(1_000, 1);
    let taken = (0..1_000).filter(|step| bucket.take(one, at(step / 2)).is_ok()).count();
    assert_eq!(taken, 499, "one in each millisecond but the first");
}

#[test]
fn what_was_reserved_and_not_given_is_given_back_but_never_to_another_day() {
    let (clock, quotas) = (clock(), of_day(10));
    let meter = meter(&clock);
    let held = |meter: &Arc<Meter>| meter.state.lock().used();
    let mut first = meter.reserve(&quotas, 1, 8).expect("there are ten");
    let second = meter.reserve(&quotas, 1, 8).expect("two are left");
    assert_eq!((first.records(), second.records()), (8, 2));
    assert!(meter.reserve(&quotas, 1, 1).is_err());
    first.give(3);
    drop(first);
    drop(second);
    assert_eq!(held(&meter), 3);
    let too_many = meter.reserve(&quotas, 8, 8).map(|_| ()).expect_err("seven are left");
    assert_eq!((too_many.quota, too_many.retry_after), (Quota::Records, Duration::from_secs(12 * 3_600)));
    // Midnight passes while some are held.
    let over_midnight = meter.reserve(&quotas, 1, 7).expect("seven are left");
    clock.move_to(TimestampMs(NOON + DAY_MS / 2 - 1));
    assert_eq!(meter.reserve(&quotas, 1, 1).err().map(|met| met.retry_after), Some(Duration::from_millis(1)));
    clock.move_to(TimestampMs(NOON + DAY_MS / 2));
    let mut today = meter.reserve(&quotas, 1, 4).expect("a new day");
    today.give(4);
    drop(over_midnight);
    drop(today);
    assert_eq!(held(&meter), 4);
    // Counted without a quota too.
    let mut unlimited = meter.reserve(&Granted::default(), 1, 500).expect("no limit");
    unlimited.give(500);
    drop(unlimited);
    assert_eq!(held(&meter), 504);
    assert!(meter.reserve(&quotas, 1, 1).is_err());
}

#[test]
fn one_refusal_a_minute_is_told_and_the_others_are_counted_in_the_next() {
    let clock = clock();
    let meter = meter(&clock);
    let tell = |mode| meter.tell(mode, Reason::QuotaExceeded);
    assert_eq!(tell(Mode::LookUp), Some(0));
    assert_eq!([0; 3].map(|_| tell(Mode::LookUp)), [None; 3]);
    assert_eq!(tell(Mode::Export), Some(0), "each mode by itself");
    clock.move_to(TimestampMs(NOON + 59_999));
    assert_eq!(tell(Mode::LookUp), None);
    clock.move_to(TimestampMs(NOON + 60_000));
    assert_eq!(tell(Mode::LookUp), Some(4));
    // That event was not written.
    meter.not_told(Mode::LookUp, Reason::QuotaExceeded, 4);
    assert_eq!(tell(Mode::LookUp), Some(5), "the four, and the one that failed");
    assert_eq!(tell(Mode::LookUp), None);
}

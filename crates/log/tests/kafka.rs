//! The Kafka engine is held to the contract on a real broker.

#[macro_use]
mod contract;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ldop_log::{
    Cleanup, MessageLog, Partition, TopicName, TopicSpec,
    kafka::{Config, KafkaLog},
};
use ldop_testkit::kafka::Broker;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One broker for all cases.
static BROKER: OnceCell<Broker> = OnceCell::const_new();
/// Held for reading by each case, and for writing by one that takes the broker away.
static BROKER_USE: RwLock<()> = RwLock::const_new(());

enum Use {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
    Changing,
}

struct Kafka {
    broker: &'static Broker,
    prefix: u32,
    used: Mutex<Use>,
}

/// Settings for one broker, with cleanup as quick as it gets.
fn config(address: String) -> Config {
    let overrides = [("segment.ms", "100"), ("min.cleanable.dirty.ratio", "0.001"), ("delete.retention.ms", "0")];
    Config {
        replication_factor: 1,
        min_insync_replicas: 1,
        request_timeout: Duration::from_secs(5),
        compaction_lag: Duration::ZERO,
        topic_overrides: BTreeMap::from(overrides.map(|(key, value)| (key.to_owned(), value.to_owned()))),
        ..Config::new(vec![address])
    }
}

async fn open(config: Config) -> Arc<KafkaLog> {
    tokio::task::spawn_blocking(|| KafkaLog::open(config)).await.expect("opening does not panic").expect("open")
}

/// Makes a topic and gives its first partition; for brokers of a test's own.
async fn partition_of(log: &Arc<dyn MessageLog>, name: &str, cleanup: Cleanup) -> Partition {
    let spec = TopicSpec { name: TopicName::parse(name).expect("good name"), partitions: 1, cleanup };
    log.ensure_topics(vec![spec.clone()]).await.expect("make the topic");
    Partition { topic: spec.name, index: 0 }
}

impl contract::Harness for Kafka {
    async fn new() -> Self {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let used = Mutex::new(Use::Shared(BROKER_USE.read().await));
        let broker = BROKER.get_or_init(async || Broker::start().await.expect("start a broker")).await;
        Self { broker, prefix: CASES.fetch_add(1, Ordering::Relaxed), used }
    }

    fn topic(&self, name: &str) -> TopicName {
        TopicName::parse(&format!("case-{}.{name}", self.prefix)).expect("good name")
    }

    async fn open(&self) -> Arc<dyn MessageLog> {
        open(config(self.broker.address())).await
    }

    async fn reopen(&self, log: Arc<dyn MessageLog>) -> Arc<dyn MessageLog> {
        log.close(Duration::from_secs(30)).await.expect("close");
        drop(log);
        self.open().await
    }

    async fn take_away(&self) {
        let alone = matches!(*self.used.lock(), Use::Alone(_));
        if !alone {
            drop(std::mem::replace(&mut *self.used.lock(), Use::Changing));
            let alone = BROKER_USE.write().await;
            *self.used.lock() = Use::Alone(alone);
        }
        self.broker.kill();
    }

    async fn bring_back(&self) {
        self.broker.restart().await.expect("restart the broker");
    }

    fn call_bound(&self) -> Duration {
        Duration::from_secs(15)
    }
}

mod contracted {
    use super::*;
    contract_suite!(Kafka);
}

#[path = "kafka/faults.rs"]
mod faults;
#[path = "kafka/reading.rs"]
mod reading;
#[path = "kafka/security.rs"]
mod security;

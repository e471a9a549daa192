//! Topics: making them, comparing them with what is wanted, and remembering what they are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, OwnedResourceSpecifier, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::Metadata,
};

use super::{Config, context::Context};
use crate::port::{Cleanup, LogError, Partition, TopicName, TopicSpec};

/// New topics are waited for this many times longer than for an answer: brokers write each partition's folder to disk.
pub(super) const PATIENCE: u32 = 6;
/// How often a topic just made is looked for.
/// How soon what is outdated goes from topics that are compacted soon.
const SOON: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// Brokers take up to 10,000 partitions in one request.
const PARTITIONS_AT_ONCE: u32 = 2_000;

/// What is known about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Topic {
    pub partitions: u32,
    pub compacted: bool,
}

/// The topics of the cluster.
pub(super) struct Topics {
    admin: AdminClient<Context>,
    /// For metadata. Not the admin client's handle: that is a producer to librdkafka, and a producer's question makes
    /// brokers create the topic.
    consumer: Arc<BaseConsumer<Context>>,
    known: RwLock<HashMap<TopicName, Topic>>,
    config: Config,
}

/// What brokers say about a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    partitions: u32,
    /// Fewest copies of a partition.
    copies: usize,
    /// Every partition has a leader.
    led: bool,
}

impl Topics {
    pub(super) fn open(
        config: &Config,
        client: &ClientConfig,
        consumer: Arc<BaseConsumer<Context>>,
    ) -> KafkaResult<Self> {
        let admin = AdminClient::from_config_and_context(client, Context::new("admin"))?;
        Ok(Self { admin, consumer, known: RwLock::default(), config: config.clone() })
    }

    /// The topic, if there is one; asked for once, then remembered.
    pub(super) async fn find(&self, name: &TopicName) -> Result<Option<Topic>, LogError> {
        if let Some(topic) = self.known.read().get(name) {
            return Ok(Some(*topic));
        }
        let seen = self.look(Some(name.clone())).await?;
        let Some(seen) = seen.get(name.as_str()) else { return Ok(None) };
        let settings = self.describe(&[name.as_str()]).await?;
        let compacted = settings
            .get(name.as_str())
            .and_then(|s| s.get("cleanup.policy"))
            .is_some_and(|policy| policy.contains("compact"));
        let topic = Topic { partitions: seen.partitions, compacted };
        self.known.write().insert(name.clone(), topic);
        Ok(Some(topic))
    }

    /// Forgets a topic that turned out to be gone.
    pub(super) fn forget(&self, name: &TopicName) {
        self.known.write().remove(name);
    }

    /// Makes the missing ones and compares the others. Gives the partitions that are new.
    pub(super) async fn ensure(&self, specs: Vec<TopicSpec>) -> Result<Vec<Partition>, LogError> {
        if specs.is_empty() {
            return Ok(Vec::new());
        }
        let start = Instant::now();
        let before = self.look(None).await?;
        let (mut there, missing): (Vec<_>, Vec<_>) =
            specs.iter().partition(|spec| before.contains_key(spec.name.as_str()));
        there.extend(self.create(missing).await?);

        let names: HashSet<_> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let seen = loop {
            let seen = self.look(None).await?;
            let waiting = names.iter().find(|name| !seen.get(**name).is_some_and(|topic| topic.led));
            match waiting {
                None => break seen,
                Some(name) if start.elapsed() > self.config.request_timeout * PATIENCE => {
                    return Err(LogError::Unavailable {
                        detail: format!("topic {name} has partitions without a leader"),
                    });
                }
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        };
        if !there.is_empty() {
            let names: Vec<_> = there.iter().map(|spec| spec.name.as_str()).collect();
            let settings = self.describe(&names).await?;
            for spec in there {
                let name = spec.name.as_str();
                self.compare(spec, seen[name], settings.get(name))?;
            }
        }
        let new = specs
            .iter()
            .filter(|spec| !before.contains_key(spec.name.as_str()))
            .flat_map(|spec| (0..spec.partitions).map(|index| Partition { topic: spec.name.clone(), index }));
        let new = new.collect();
        let mut known = self.known.write();
        for spec in specs {
            let compacted = spec.cleanup.is_compact();
            known.insert(spec.name, Topic { partitions: spec.partitions, compacted });
        }
        Ok(new)
    }

    /// Makes topics; gives back those somebody else made meanwhile.
    async fn create<'a>(&self, specs: Vec<&'a TopicSpec>) -> Result<Vec<&'a TopicSpec>, LogError> {
        let mut distinct: HashMap<&TopicName, &TopicSpec> = HashMap::new();
        let mut there = Vec::new();
        for spec in specs {
            // Asked for twice in one call: the second is compared with the first once that is made.
            if *distinct.entry(&spec.name).or_insert(spec) != spec {
                there.push(spec);
            }
        }
        let mut rest: Vec<_> = distinct.into_values().collect();
        while !rest.is_empty() {
            let mut partitions = 0;
            let fits = rest.iter().take_while(|spec| {
                partitions += spec.partitions;
                partitions <= PARTITIONS_AT_ONCE
            });
            let some: Vec<_> = rest.drain(..fits.count().max(1)).collect();
            let settings: Vec<_> = some.iter().map(|spec| self.settings(spec)).collect();
            let topics: Vec<_> =
                some.iter().zip(&settings).map(|(spec, settings)| self.new_topic(spec, settings)).collect();
            let made = self.admin.create_topics(&topics, &self.options()).await;
            for result in made.map_err(|e| unavailable("make topics", &e))? {
                match result {
                    Ok(_) => {}
                    Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => {
                        there.extend(some.iter().filter(|spec| spec.name.as_str() == name));
                    }
                    Err((name, code)) => {
                        return Err(LogError::Unavailable { detail: format!("make topic {name}: {code}") });
                    }
                }
            }
        }
        Ok(there)
    }

    fn new_topic<'a>(&self, spec: &'a TopicSpec, settings: &'a BTreeMap<String, String>) -> NewTopic<'a> {
        let partitions = i32::try_from(spec.partitions).unwrap_or(i32::MAX);
        let copies = TopicReplication::Fixed(i32::from(self.config.replication_factor));
        let topic = NewTopic::new(spec.name.as_str(), partitions, copies);
        settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    }

    /// Settings of a topic as wanted.
    fn settings(&self, spec: &TopicSpec) -> BTreeMap<String, String> {
        let millis = |duration: Duration| duration.as_millis().min(i64::MAX as u128).to_string();
        let mut settings: BTreeMap<String, String> = [
            ("min.insync.replicas", self.config.min_insync_replicas.to_string()),
            ("max.message.bytes", self.max_message_bytes().to_string()),
            // The entry's own time, whatever it is: records tell of births long ago.
            ("message.timestamp.type", "CreateTime".into()),
            ("message.timestamp.before.max.ms", i64::MAX.to_string()),
            ("message.timestamp.after.max.ms", i64::MAX.to_string()),
            ("unclean.leader.election.enable", "false".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
        match spec.cleanup {
            Cleanup::Keep => {
                set("cleanup.policy", "delete".into());
                set("retention.ms", "-1".into());
                set("retention.bytes", "-1".into());
            }
            Cleanup::Delete { retention } => {
                set("cleanup.policy", "delete".into());
                set("retention.ms", millis(retention));
                set("retention.bytes", "-1".into());
            }
            Cleanup::Compact => {
                set("cleanup.policy", "compact".into());
                set("min.compaction.lag.ms", millis(self.config.compaction_lag));
            }
            // A segment is not compacted while it is written to: it ends with the first append behind a minute.
            Cleanup::CompactSoon => {
                set("cleanup.policy", "compact".into());
                set("min.compaction.lag.ms", "0".into());
                set("max.compaction.lag.ms", millis(SOON));
                set("segment.ms", millis(SOON));
            }
        }
        settings.extend(self.config.topic_overrides.clone());
        settings
    }

    /// A batch, and room for what a codec may add to what cannot be compressed.
    fn max_message_bytes(&self) -> usize {
        let batch = self.config.max_batch_bytes();
        batch + batch / 64 + 1024
    }

    fn compare(
        &self,
        spec: &TopicSpec,
        seen: Seen,
        settings: Option<&HashMap<String, String>>,
    ) -> Result<(), LogError> {
        let differs = |detail: String| Err(LogError::TopicDiffers { topic: spec.name.clone(), detail });
        if seen.partitions != spec.partitions {
            return differs(format!("{} partitions, wanted {}", seen.partitions, spec.partitions));
        }
        if seen.copies < usize::from(self.config.replication_factor) {
            return differs(format!("{} copies, wanted {}", seen.copies, self.config.replication_factor));
        }
        let Some(settings) = settings else {
            return Err(LogError::Unavailable { detail: format!("topic {}: settings unknown", spec.name) });
        };
        let wanted = self.settings(spec);
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        for (key, wanted) in &wanted {
            let Some(is) = settings.get(key) else { continue };
            let fits = match key.as_str() {
                // At least as safe and as roomy is good enough.
                "min.insync.replicas" | "max.message.bytes" => number(is) >= number(wanted),
                "cleanup.policy" | "message.timestamp.type" | "retention.ms" | "retention.bytes" => is == wanted,
                // How an operator tunes the rest is his affair.
                _ => true,
            };
            if !fits {
                return differs(format!("{key} is {is}, wanted {wanted}"));
            }
        }
        Ok(())
    }

    /// Topics of the cluster by name: all, or one.
    async fn look(&self, name: Option<TopicName>) -> Result<HashMap<String, Seen>, LogError> {
        let (consumer, timeout) = (Arc::clone(&self.consumer), self.config.request_timeout);
        let look = move || consumer.fetch_metadata(name.as_ref().map(TopicName::as_str), timeout).map(|m| seen(&m));
        match tokio::task::spawn_blocking(look).await {
            Ok(seen) => seen.map_err(|e| unavailable("read metadata", &e)),
            Err(_) => Err(LogError::Closed),
        }
    }

    /// Settings of topics, by topic and key.
    async fn describe(&self, names: &[&str]) -> Result<HashMap<String, HashMap<String, String>>, LogError> {
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let described = self.admin.describe_configs(&resources, &self.options()).await;
        let mut settings = HashMap::new();
        for resource in described.map_err(|e| unavailable("read topic settings", &e))? {
            let resource =
                resource.map_err(|code| LogError::Unavailable { detail: format!("read topic settings: {code}") })?;
            if let OwnedResourceSpecifier::Topic(name) = resource.specifier {
                let entries = resource.entries.into_iter().filter_map(|e| Some((e.name, e.value?))).collect();
                settings.insert(name, entries);
            }
        }
        Ok(settings)
    }

    fn options(&self) -> AdminOptions {
        let timeout = Some(self.config.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

fn seen(metadata: &Metadata) -> HashMap<String, Seen> {
    let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
    let seen = there.filter(|topic| !topic.partitions().is_empty()).map(|topic| {
        let partitions = topic.partitions();
        let seen = Seen {
            partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
            copies: partitions.iter().map(|p| p.replicas().len()).min().unwrap_or_default(),
            led: partitions.iter().all(|p| p.leader() >= 0),
        };
        (topic.name().to_owned(), seen)
    });
    seen.collect()
}

fn unavailable(what: &str, error: &KafkaError) -> LogError {
    LogError::Unavailable { detail: format!("{what}: {error}") }
}

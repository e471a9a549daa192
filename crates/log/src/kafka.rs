//! The log on an Apache Kafka cluster, through librdkafka.
//!
//! Tested with Apache Kafka 4.1. librdkafka's promises are used, not repeated: its idempotent producer
//! keeps order and retries for ever, its consumers follow leaders. Added here: batches that are taken whole and answered
//! once, appenders that stop at the first failure, many independent readers on three consumers, and errors that say what
//! the port promises.
//!
//! - `config`: [`Config`] and the properties made from it.
//! - `produce`: appending.
//! - `read`: reading.
//! - `offsets`: where partitions begin and end.
//! - `topics`: making and comparing topics.
//! - `context`: librdkafka's log lines and errors.
//!
//! Consumers need a group id (`ldop-readers`); with access control it wants `DESCRIBE` on that group. Nothing joins it.

mod config;
mod context;
mod offsets;
mod produce;
mod read;
mod topics;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ldop_types::TimestampMs;
use parking_lot::Mutex;
use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

pub use self::config::{ClientCertificate, Compression, Config, DEFAULT_LINGER, Scram, Security, Tls};
use self::{
    context::Context,
    offsets::Offsets,
    produce::{Line, Producers},
    read::Reads,
    topics::{Topic, Topics},
};
use crate::port::{
    Appender, EngineInfo, Fetched, LogError, LogFuture, MessageLog, Offset, Partition, TopicName, TopicSpec, Watermarks,
};

/// Why the engine did not open. Texts name hosts and paths, never a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting is wrong.
    #[error("kafka settings: {detail}")]
    Config {
        /// Key, value and what was expected.
        detail: String,
    },
    /// The password file cannot be read.
    #[error("read the kafka password file {}", .path.display())]
    PasswordFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No broker answered in time. Trying again may help.
    #[error("no kafka broker reached: {detail}")]
    Unreachable {
        /// What happened last.
        detail: String,
    },
    /// A broker refused us (user, password, certificate), or we refused the broker (its certificate).
    #[error("kafka connection refused: {detail}")]
    Refused {
        /// What was refused.
        detail: String,
    },
    /// The cluster cannot hold as many copies as wanted.
    #[error("the kafka cluster has {brokers} brokers; replication_factor is {wanted}")]
    TooFewBrokers {
        /// Brokers there are.
        brokers: usize,
        /// Copies wanted.
        wanted: u16,
    },
    /// librdkafka or the system refused.
    #[error("start the kafka client: {detail}")]
    Client {
        /// Why.
        detail: String,
    },
}

impl OpenError {
    /// Whether trying again can help without changing anything here.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooFewBrokers { .. } => true,
            Self::Config { .. } | Self::PasswordFile { .. } | Self::Refused { .. } | Self::Client { .. } => false,
        }
    }
}

impl From<KafkaError> for OpenError {
    fn from(error: KafkaError) -> Self {
        match error {
            // The value may be a secret; key and description are enough.
            KafkaError::ClientConfig(_, description, key, _) => {
                Self::Config { detail: format!("{key}: {description}") }
            }
            other => Self::Client { detail: other.to_string() },
        }
    }
}

/// The log on a Kafka cluster. Dropping it without [`close`](MessageLog::close) answers appends on their way with
/// [`Unknown`](LogError::Unknown).
pub struct KafkaLog {
    producers: Arc<Producers>,
    reads: Reads,
    offsets: Offsets,
    topics: Topics,
    lines: Mutex<HashMap<Partition, Arc<Line>>>,
    max_entry_bytes: usize,
    info: EngineInfo,
    closed: AtomicBool,
}

impl KafkaLog {
    /// Connects to the cluster. Blocks up to the request timeout: call it while starting, or off the async threads.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        config.check()?;
        let client = config.client()?;
        let reads = Reads::open(&config, &client)?;
        let mut brokers = 0;
        // All of them: librdkafka takes up to a second to connect a client that was never used, and the first reader of
        // each would wait for that.
        for consumer in reads.consumers() {
            brokers = connect(consumer, config.request_timeout)?;
        }
        if brokers < usize::from(config.replication_factor) {
            return Err(OpenError::TooFewBrokers { brokers, wanted: config.replication_factor });
        }
        let start = |e: io::Error| OpenError::Client { detail: format!("start a thread: {e}") };
        let offsets = Offsets::start(reads.consumer(), config.request_timeout).map_err(start)?;
        let producers = Producers::open(config.producer(&client), config.in_flight_bytes, config.max_entry_bytes)?;
        let topics = Topics::open(&config, &client, Arc::clone(reads.consumer()))?;
        let durability = format!(
            "acknowledged by all of at least {} in-sync of {} copies",
            config.min_insync_replicas, config.replication_factor
        );
        Ok(Arc::new(Self {
            producers: Arc::new(producers),
            reads,
            offsets,
            topics,
            lines: Mutex::default(),
            max_entry_bytes: config.max_entry_bytes,
            info: EngineInfo { name: "kafka", durability },
            closed: AtomicBool::new(false),
        }))
    }

    /// The topic of a partition that exists.
    async fn topic(&self, partition: &Partition) -> Result<Topic, LogError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(LogError::Closed);
        }
        match self.topics.find(&partition.topic).await? {
            Some(topic) if partition.index < topic.partitions => Ok(topic),
            _ => Err(LogError::UnknownPartition { partition: partition.clone() }),
        }
    }

    fn line(&self, partition: &Partition) -> Arc<Line> {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get(partition) {
            return Arc::clone(line);
        }
        Arc::clone(lines.entry(partition.clone()).or_default())
    }

    /// Forgets a topic once an answer says that it is gone.
    fn noting<T>(&self, topic: &TopicName, answer: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(LogError::UnknownPartition { .. }) = &answer {
            self.topics.forget(topic);
        }
        answer
    }
}

/// Waits until a broker answers; gives the number of brokers.
fn connect(consumer: &BaseConsumer<Context>, timeout: Duration) -> Result<usize, OpenError> {
    /// Short, so that a refusal is told at once rather than when the time is up.
    const TRY: Duration = Duration::from_millis(250);
    let start = Instant::now();
    loop {
        let error = match consumer.fetch_metadata(None, TRY) {
            Ok(metadata) => return Ok(metadata.brokers().len()),
            Err(error) => error,
        };
        // Errors come by the lane's thread, which polls this consumer.
        let trouble = consumer.context().trouble();
        if let Some(refused) = trouble.as_ref().filter(|trouble| trouble.refused) {
            return Err(OpenError::Refused { detail: refused.detail.clone() });
        }
        if start.elapsed() >= timeout {
            let detail = trouble.map_or_else(|| error.to_string(), |trouble| trouble.detail);
            return Err(OpenError::Unreachable { detail });
        }
    }
}

impl MessageLog for KafkaLog {
    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn max_entry_bytes(&self) -> usize {
        self.max_entry_bytes
    }

    fn ensure_topics(&self, specs: Vec<TopicSpec>) -> LogFuture<'_, ()> {
        Box::pin(async move {
            if self.closed.load(Ordering::Relaxed) {
                return Err(LogError::Closed);
            }
            let new = self.topics.ensure(specs).await?;
            // A broker tells of its new partitions before it has made them; they are made once it answers for them.
            self.offsets.wait_for(new, topics::PATIENCE).await
        })
    }

    fn appender(&self, partition: Partition) -> LogFuture<'_, Arc<dyn Appender>> {
        Box::pin(async move {
            let topic = self.topic(&partition).await?;
            let line = self.line(&partition);
            self.producers.appender(partition, topic.compacted, line)
        })
    }

    fn fetch(&self, partition: &Partition, offset: Offset, max_bytes: usize, wait: Duration) -> LogFuture<'_, Fetched> {
        let partition = partition.clone();
        Box::pin(async move {
            self.topic(&partition).await?;
            let line = self.line(&partition);
            let fetched = self.reads.fetch(&self.offsets, &line, &partition, offset, max_bytes, wait).await;
            self.noting(&partition.topic, fetched)
        })
    }

    fn watermarks(&self, partition: &Partition) -> LogFuture<'_, Watermarks> {
        let partition = partition.clone();
        Box::pin(async move {
            self.topic(&partition).await?;
            self.noting(&partition.topic, self.offsets.watermarks(&partition).await)
        })
    }

    fn offset_at(&self, partition: &Partition, time: TimestampMs) -> LogFuture<'_, Offset> {
        let partition = partition.clone();
        Box::pin(async move {
            self.topic(&partition).await?;
            let found = match self.offsets.at(&partition, time).await {
                Ok(Some(offset)) => Ok(offset),
                Ok(None) => self.offsets.end_of(&partition).await,
                Err(error) => Err(error),
            };
            self.noting(&partition.topic, found)
        })
    }

    fn close(&self, deadline: Duration) -> LogFuture<'_, ()> {
        Box::pin(async move {
            self.closed.store(true, Ordering::SeqCst);
            self.reads.close();
            self.offsets.stop();
            self.producers.close(deadline).await
        })
    }
}

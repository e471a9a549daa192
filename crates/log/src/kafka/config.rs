//! What the engine is told, and what librdkafka is told from it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use super::OpenError;

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct Config {
    /// Brokers to begin with, `host:port`, at least one.
    pub bootstrap: Vec<String>,
    /// How to speak to the brokers.
    pub security: Security,
    /// Copies of each partition of a topic the engine makes; the cluster must have as many brokers.
    pub replication_factor: u16,
    /// Copies that must hold an entry before it is acknowledged (`min.insync.replicas`), 1 to `replication_factor`.
    pub min_insync_replicas: u16,
    /// Codec of record batches.
    pub compression: Compression,
    /// How long the producer waits to fill a batch when nothing is under way to that broker.
    pub linger: Duration,
    /// Most bytes appended and not yet acknowledged; beyond it appends are refused with `Full`. A single batch larger
    /// than this is taken when nothing else is on its way.
    pub in_flight_bytes: usize,
    /// Largest entry accepted, 1 KiB to 64 MiB; topics are made to hold it.
    pub max_entry_bytes: usize,
    /// Most bytes read ahead or kept for readers that follow. Read buffers of librdkafka (32 MiB) come on top.
    pub read_buffer_bytes: usize,
    /// How long reads and topic work wait for a broker before they fail with `Unavailable`. Appends wait for ever.
    pub request_timeout: Duration,
    /// How long entries of compacted topics stay whatever comes after them (`min.compaction.lag.ms`).
    pub compaction_lag: Duration,
    /// Topic settings for experts; they go over what the engine derives, for every topic it makes or compares.
    pub topic_overrides: BTreeMap<String, String>,
    /// librdkafka properties for experts, for every client of the engine. Those the engine's promises rest on are refused.
    pub properties: BTreeMap<String, String>,
}

/// How to speak to the brokers. Without both parts anybody may listen and write.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Encrypts, and checks who the broker is.
    pub tls: Option<Tls>,
    /// Logs in.
    pub sasl: Option<Scram>,
}

/// TLS settings; all files are PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Authorities broker certificates must come from; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// Our own certificate, when brokers ask for one.
    pub client: Option<ClientCertificate>,
}

/// Our certificate and its unencrypted private key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Certificate, with its chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// Login by SCRAM-SHA-512.
#[derive(Debug, Clone)]
pub struct Scram {
    /// User name.
    pub user: String,
    /// File with the password; a line end at its end is left out.
    pub password_file: PathBuf,
}

/// Codec of record batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// LZ4: about a third of the size for JSON, for little CPU.
    Lz4,
}

impl Config {
    /// Settings for these brokers, plaintext, three copies of which two must be in sync.
    #[must_use]
    pub fn new(bootstrap: Vec<String>) -> Self {
        Self {
            bootstrap,
            security: Security::default(),
            replication_factor: 3,
            min_insync_replicas: 2,
            compression: Compression::Lz4,
            linger: DEFAULT_LINGER,
            in_flight_bytes: 64 << 20,
            max_entry_bytes: 1 << 20,
            read_buffer_bytes: 64 << 20,
            request_timeout: Duration::from_secs(10),
            compaction_lag: Duration::from_secs(7 * 24 * 3600),
            topic_overrides: BTreeMap::new(),
            properties: BTreeMap::new(),
        }
    }
}

/// A lone entry waits no longer than this; in bulk, requests under way gather batches by themselves.
pub const DEFAULT_LINGER: Duration = Duration::ZERO;

/// Properties the engine's promises rest on: order, durability, waiting, and never starting elsewhere than asked.
const FIXED: [&str; 24] = [
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "check.crcs",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
    "isolation.level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "request.required.acks",
    "retries",
    "sasl.password",
    "transactional.id",
];

/// Room a record batch needs beyond the entry: lengths, header names, the batch's own head.
const BATCH_OVERHEAD: usize = 64 << 10;
/// librdkafka's own default for a batch; smaller would cost throughput.
const MIN_BATCH: usize = 1_000_000;

impl Config {
    /// Checks what can be checked without a broker.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let refuse = |detail: String| Err(OpenError::Config { detail });
        if self.bootstrap.is_empty() {
            return refuse("bootstrap: expected at least one \"host:port\"".into());
        }
        if self.min_insync_replicas == 0 || self.min_insync_replicas > self.replication_factor {
            return refuse(format!(
                "min_insync_replicas: {} stands here; expected 1 to replication_factor ({})",
                self.min_insync_replicas, self.replication_factor
            ));
        }
        if !(1 << 10..=64 << 20).contains(&self.max_entry_bytes) {
            return refuse(format!("max_entry_bytes: {} stands here; expected 1 KiB to 64 MiB", self.max_entry_bytes));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(120)).contains(&self.request_timeout) {
            return refuse(format!(
                "request_timeout: {:?} stands here; expected 100 ms to 2 min",
                self.request_timeout
            ));
        }
        if let Some(key) = self.properties.keys().find(|key| FIXED.contains(&key.as_str())) {
            return refuse(format!("properties: {key:?} may not be set; the engine's promises rest on it"));
        }
        Ok(())
    }

    /// Largest record batch the producer makes, and so what topics must take.
    pub(super) fn max_batch_bytes(&self) -> usize {
        MIN_BATCH.max(self.max_entry_bytes + BATCH_OVERHEAD)
    }

    /// What all clients share. Reads the password file.
    pub(super) fn client(&self) -> Result<ClientConfig, OpenError> {
        let millis = |duration: Duration| duration.as_millis().to_string();
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.bootstrap.join(","))
            .set("client.id", "ldop")
            // A broker that comes back is found within a second, not within ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.keepalive.enable", "true")
            // Longer than what the broker itself may take for a request (`request.timeout.ms`).
            .set("socket.timeout.ms", millis(self.request_timeout + Duration::from_secs(5)))
            .set("message.max.bytes", self.max_batch_bytes().to_string());
        client.set_log_level(RDKafkaLogLevel::Info);

        let Security { tls, sasl } = &self.security;
        let protocol = match (tls, sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if let Some(Tls { ca, client: own }) = tls {
            // "probe" looks where Linux distributions keep theirs: our OpenSSL is linked in and knows no such place.
            client.set("ssl.ca.location", ca.as_ref().map_or("probe".into(), |ca| ca.to_string_lossy()));
            if let Some(ClientCertificate { certificate, key }) = own {
                client.set("ssl.certificate.location", certificate.to_string_lossy());
                client.set("ssl.key.location", key.to_string_lossy());
            }
        }
        if let Some(Scram { user, password_file }) = sasl {
            let password = std::fs::read_to_string(password_file)
                .map_err(|source| OpenError::PasswordFile { path: password_file.clone(), source })?;
            client.set("sasl.mechanism", "SCRAM-SHA-512").set("sasl.username", user);
            client.set("sasl.password", password.trim_end_matches(['\r', '\n']));
        }
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        Ok(client)
    }

    /// The producer's settings, from the shared ones.
    pub(super) fn producer(&self, client: &ClientConfig) -> ClientConfig {
        let mut producer = client.clone();
        let default = |producer: &mut ClientConfig, key: &str, value: String| {
            if !self.properties.contains_key(key) {
                producer.set(key, value);
            }
        };
        producer
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // For ever: a caller's deadline gives up waiting, it never drops an entry that may be on its way.
            .set("message.timeout.ms", "0")
            // Off, because the engine's own bound counts more than payloads and refuses whole batches only.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", i32::MAX.to_string());
        let codec = match self.compression {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
        };
        default(&mut producer, "compression.codec", codec.into());
        default(&mut producer, "linger.ms", (self.linger.as_micros() as f64 / 1000.0).to_string());
        default(&mut producer, "request.timeout.ms", self.request_timeout.as_millis().to_string());
        producer
    }

    /// A consumer's settings, from the shared ones. `queue_kbytes` bounds what librdkafka reads ahead.
    pub(super) fn consumer(&self, client: &ClientConfig, queue_kbytes: usize, wait: Duration) -> ClientConfig {
        let mut consumer = client.clone();
        consumer
            // librdkafka wants a group for manual assignment. Nothing ever joins or commits.
            .set("group.id", "ldop-readers")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A position that is gone is an error to tell, never a reason to start elsewhere.
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true");
        let defaults = [
            ("fetch.wait.max.ms", wait.as_millis().to_string()),
            ("fetch.queue.backoff.ms", "10".into()),
            ("fetch.error.backoff.ms", "100".into()),
            ("fetch.max.bytes", (8 << 20).max(self.max_batch_bytes()).to_string()),
            ("queued.max.messages.kbytes", queue_kbytes.to_string()),
        ];
        for (key, value) in defaults {
            if !self.properties.contains_key(key) {
                consumer.set(key, value);
            }
        }
        consumer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(vec!["127.0.0.1:9092".into()])
    }

    fn refused(config: &Config) -> String {
        config.check().expect_err("refused").to_string()
    }

    #[test]
    fn properties_the_promises_rest_on_are_refused() {
        let mut config = config();
        config.check().unwrap();
        config.properties.insert("acks".into(), "1".into());
        assert!(refused(&config).contains("\"acks\" may not be set"));
    }

    #[test]
    fn more_copies_in_sync_than_copies_are_refused() {
        let mut config = config();
        config.min_insync_replicas = 4;
        assert!(refused(&config).contains("expected 1 to replication_factor (3)"));
    }

    #[test]
    fn all_properties_are_known_to_librdkafka() {
        let mut config = config();
        config.linger = Duration::from_micros(500);
        config.properties.insert("fetch.wait.max.ms".into(), "7".into());
        let client = config.client().unwrap();
        config.producer(&client).create_native_config().unwrap();
        let consumer = config.consumer(&client, 1024, Duration::from_millis(100));
        consumer.create_native_config().unwrap();
        assert_eq!(consumer.get("fetch.wait.max.ms"), Some("7"), "an expert's value goes over the engine's");
    }

    #[test]
    fn the_password_is_read_from_its_file_and_never_printed() {
        let file = std::env::temp_dir().join(format!("ldop-password-{}", std::process::id()));
        std::fs::write(&file, "s3cret of the hub\n").unwrap();
        let mut config = config();
        config.security.sasl = Some(Scram { user: "hub".into(), password_file: file.clone() });
        let client = config.client().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(client.get("sasl.password"), Some("s3cret of the hub"));
        assert_eq!(client.get("security.protocol"), Some("sasl_plaintext"));
        assert!(!format!("{client:?}{config:?}").contains("s3cret"));
        assert!(config.client().expect_err("the file is gone").to_string().contains("password file"));
    }
}

//! The configuration file `ldop.toml`, typed.
//!
//! Parsing touches no file but the configuration itself and reads no environment; relative paths are taken from the
//! folder the file stands in. Unknown keys are errors, and every error of the file is reported at once.
//! [`files`] then looks at the certificates and secrets it names.

mod files;
mod sections;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ldop_control::Rules;
use ldop_definitions::reading::{Problem, Problems, Source, Table};

/// Name of the file where none is given.
pub const FILE_NAME: &str = "ldop.toml";

/// What `ldop serve` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`
    pub tls: Tls,
    /// `[registry]`
    pub registry: Registry,
    /// `[log]`
    pub log: LogEngine,
    /// `[current_copy]`
    pub current_copy: CurrentCopy,
    /// `[agreements]`: what the hub asks of sharing agreements.
    pub agreements: Rules,
    /// `[limits]`
    pub limits: Limits,
    /// `[drain]`
    pub drain: Drain,
    /// `[logging]`
    pub logging: Logging,
}

/// `[node]`: this node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Folder for everything the node keeps: the embedded log, the index, its lock. Made when it is not there.
    pub data_dir: PathBuf,
}

/// `[listen]`: where the hub listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// gRPC with mutual TLS. Default 127.0.0.1:7443. Port 0 takes a free one.
    pub grpc: SocketAddr,
    /// HTTP without TLS for /metrics, /livez and /readyz. Default 127.0.0.1:9443; keep it off public networks.
    pub ops: SocketAddr,
    /// The schema registry's REST interface, HTTPS. Default: off.
    pub registry: Option<SocketAddr>,
}

/// `[registry]`: the schema registry's REST interface.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// TOML file with names and secrets of clients that have no certificate; `ldop registry credential` makes entries.
    pub credentials: Option<PathBuf>,
}

/// `[current_copy]`: the latest record of each key, kept for look-ups.
#[derive(Debug, Clone, Default)]
pub struct CurrentCopy {
    /// File with 32 random bytes, hexadecimal or base64, to encrypt copies of personal data with. Default: none, and such
    /// datasets have no copy.
    pub key_file: Option<PathBuf>,
}

/// `[tls]`: who the hub is and whom it trusts.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file with the authorities that client certificates must come from.
    pub ca: PathBuf,
    /// PEM file with the hub's certificate and any intermediates.
    pub cert: PathBuf,
    /// PEM file with the hub's private key.
    pub key: PathBuf,
    /// PEM or DER file with the lists of certificates that the authorities have revoked. Default: none.
    pub crl: Option<PathBuf>,
    /// Trust domain of client identities, the host part of spiffe://<trust domain>/agency/...
    pub trust_domain: String,
}

/// `[log]`: where records are kept. `log.engine` chooses; the section of the other engine may stand and is not used.
#[derive(Debug, Clone)]
pub enum LogEngine {
    /// `engine = "embedded"`: in files under `node.data_dir`.
    Embedded(EmbeddedLog),
    /// `engine = "kafka"`: on an Apache Kafka cluster.
    Kafka(KafkaLog),
}

/// `[log.embedded]`
#[derive(Debug, Clone)]
pub struct EmbeddedLog {
    /// Most bytes the log's files may take; beyond it records are refused as if the disk were full. Default: no limit.
    pub max_bytes: Option<u64>,
}

/// `[log.kafka]`
#[derive(Debug, Clone)]
pub struct KafkaLog {
    /// Brokers to begin with, "host:port", at least one.
    pub bootstrap: Vec<String>,
    /// How to speak to the brokers.
    pub security: KafkaSecurity,
    /// PEM file with the authorities broker certificates must come from; `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// SASL/SCRAM-SHA-512 user and the file that holds the password. Present exactly when `security` is a SASL one.
    pub sasl: Option<KafkaSasl>,
    /// Copies of each partition when the hub makes a topic, 1-7. Default 3.
    pub replication_factor: u16,
    /// `min.insync.replicas` of topics the hub makes, 1 to `replication_factor`. Default: 2, or 1 with a single copy.
    pub min_insync_replicas: u16,
    /// Codec of record batches.
    pub compression: KafkaCompression,
    /// How long the producer waits to fill a batch, 0ms-1s. Default 2ms.
    pub linger: Duration,
}

/// SASL/SCRAM-SHA-512 login.
#[derive(Debug, Clone)]
pub struct KafkaSasl {
    /// User name.
    pub user: String,
    /// File with the password; a line end at its end is left out.
    pub password_file: PathBuf,
}

/// Protocol between hub and brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaSecurity {
    /// `plaintext`: neither encryption nor login; for a machine of its own only.
    Plaintext,
    /// `ssl`: TLS.
    Ssl,
    /// `sasl_plaintext`: login without encryption.
    SaslPlaintext,
    /// `sasl_ssl`: login over TLS.
    SaslSsl,
}

impl KafkaSecurity {
    /// The word in the file, and with '_' as librdkafka's `security.protocol` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether it logs in.
    #[must_use]
    pub const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// Codec of record batches on Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaCompression {
    /// `none`
    None,
    /// `lz4`
    Lz4,
}

impl KafkaCompression {
    /// The word in the file, as librdkafka's `compression.codec` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        }
    }
}

/// `[limits]`: the bounds that keep memory a matter of configuration, never of traffic.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most bytes of a record's payload, 1KiB-16MiB. Default 1MiB.
    pub record_bytes: usize,
    /// Most connections at a time, 1-100,000. Default 1,024. One more is closed at once.
    pub connections: usize,
    /// Most calls at a time on one connection, 1-10,000. Default 256. One more waits at the caller.
    pub streams: u32,
    /// Most bytes of records between reception and the log's acknowledgement, 1MiB-4GiB. Default 64MiB. Beyond it the
    /// hub stops reading from callers. One system takes half of what the others leave.
    pub in_flight_bytes: usize,
    /// Most look-ups in flight, 8-100,000. Default 256. One system takes half of what the others leave; one more is refused.
    pub look_ups: usize,
    /// How long an exchange id is remembered, 1h-30d. Default 7d.
    pub idempotency_window: Duration,
}

/// `[drain]`: shutting down.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Time for calls to end after SIGTERM, 0s-10m. Default 20s. What is still open then is cut.
    pub grace: Duration,
}

/// `[logging]`: what the hub writes to standard error.
#[derive(Debug, Clone)]
pub struct Logging {
    /// Form of each line. Default JSON.
    pub format: LogFormat,
    /// Least severe level written. Default info.
    pub level: LogLevel,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `json`: one object for each line.
    Json,
    /// `text`: for people.
    Text,
}

/// Severity of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[client]`: how the other commands reach a hub. Each may be overruled by an option or an environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientSection {
    /// Address, "https://host:port".
    pub hub: Option<String>,
    /// PEM file with the authority of the hub's certificate.
    pub ca: Option<PathBuf>,
    /// PEM file with the caller's certificate.
    pub cert: Option<PathBuf>,
    /// PEM file with the caller's private key.
    pub key: Option<PathBuf>,
    /// Name in the hub's certificate, where it is not the host of the address.
    pub server_name: Option<String>,
}

impl Config {
    /// Reads the configuration of a hub.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in the file. The files it names are not looked at; see [`check_files`](Self::check_files).
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let source = Source::read(path).map_err(|problem| vec![problem])?;
        Self::parse(&source)
    }

    /// Parses the text of a configuration.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in it.
    pub fn parse(source: &Source) -> Result<Self, Vec<Problem>> {
        let problems = Problems::default();
        let config = source.parse_toml(&problems).and_then(|document| {
            let root = Table::root(source, &document, &problems);
            let folder = source.file().parent().unwrap_or(Path::new(""));
            let config = sections::hub(&root, folder);
            let _ = sections::client(&root.table("client"), folder);
            root.finish();
            config
        });
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems.into_sorted()),
        }
    }

    /// Looks at every file the configuration names: certificates, keys, passwords, the data folder.
    #[must_use]
    pub fn check_files(&self, config: &Path) -> Vec<Problem> {
        files::check(self, config)
    }
}

pub use sections::is_hub_address;

impl ClientSection {
    /// Whether a file has a `[client]` section and nothing of a hub.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not TOML.
    pub fn is_alone(path: &Path) -> Result<bool, Vec<Problem>> {
        let source = Source::read(path).map_err(|problem| vec![problem])?;
        let problems = Problems::default();
        match source.parse_toml(&problems) {
            Some(document) => {
                let keys: Vec<&str> = document.get_ref().iter().map(|(key, _)| &**key.get_ref()).collect();
                Ok(keys == ["client"])
            }
            None => Err(problems.into_sorted()),
        }
    }

    /// Reads the `[client]` section of a configuration and nothing else of it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or the section has errors.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let source = Source::read(path).map_err(|problem| vec![problem])?;
        let problems = Problems::default();
        let section = source.parse_toml(&problems).map(|document| {
            let root = Table::root(&source, &document, &problems);
            sections::client(&root.table("client"), path.parent().unwrap_or(Path::new("")))
        });
        match section {
            Some(section) if problems.is_empty() => Ok(section),
            _ => Err(problems.into_sorted()),
        }
    }
}

#[cfg(test)]
mod tests;

//! `ldop serve`: opens the log, takes the writing over, serves, and drains.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ldop_control::{Control, ControlError, Options};
use ldop_exchange::{
    Exchange,
    copy::{CopyKey, KeyFileError},
    metrics::Metrics,
    writer::Node,
};
use ldop_gateway::{Gateway, StartError};
use ldop_log::{MessageLog, embedded, kafka};
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::{
    config::{Config, KafkaCompression, KafkaLog, LogEngine, LogFormat},
    failure::Exit,
};

/// Longest a caller waits for the log before it is told to try again.
const APPEND_DEADLINE: Duration = Duration::from_secs(10);
/// Recent entries the embedded log keeps in memory for readers at its head; the hub is to stay small under load.
const TAIL_CACHE: usize = 32 << 20;
/// Room for key and headers beside the largest payload.
const ENTRY_SLACK: usize = 64 << 10;

/// Why the hub did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process uses the data folder.
    #[error("data folder {path} is in use by another hub; stop it, or give this one a folder of its own")]
    InUse {
        /// The folder.
        path: String,
    },
    /// The data folder cannot be used.
    #[error("data folder {path}")]
    DataDir {
        /// The folder.
        path: String,
        /// Cause.
        source: io::Error,
    },
    /// The embedded log lost something, or has damage.
    #[error("{0}; put the files back from a copy, or start once with --accept-loss to go on without what is lost")]
    Damaged(embedded::OpenError),
    /// The embedded log.
    #[error("embedded log")]
    Embedded(#[source] embedded::OpenError),
    /// The Kafka log.
    #[error("kafka log")]
    Kafka(#[from] kafka::OpenError),
    /// The control log.
    #[error("control log")]
    Control(#[from] ControlError),
    /// The exchange.
    #[error("exchange")]
    Exchange(#[from] ldop_exchange::OpenError),
    /// The gateway.
    #[error("gateway")]
    Gateway(#[from] StartError),
    /// Two metrics have one name: a bug of ours.
    #[error("metrics")]
    Metrics(#[from] prometheus::Error),
    /// The key of current copies.
    #[error("current_copy.key_file {path}")]
    CopyKey {
        /// The file.
        path: String,
        /// Cause.
        source: KeyFileError,
    },
    /// The runtime or a signal handler.
    #[error("start")]
    Runtime(#[source] io::Error),
    /// The file that tells the ports.
    #[error("ready file {path}")]
    ReadyFile {
        /// The file.
        path: String,
        /// Cause.
        source: io::Error,
    },
    /// Another hub took the writing over while this one served.
    #[error("another hub has taken the writing over; this one has stopped")]
    Fenced,
}

impl From<embedded::OpenError> for ServeError {
    fn from(error: embedded::OpenError) -> Self {
        match error {
            embedded::OpenError::Damaged { .. } => Self::Damaged(error),
            other => Self::Embedded(other),
        }
    }
}

impl ServeError {
    /// Exit code, as docs/cli.md tells.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::InUse { .. } | Self::Fenced | Self::Embedded(embedded::OpenError::InUse { .. }) => Exit::Temporary,
            Self::Kafka(kafka::OpenError::Unreachable { .. } | kafka::OpenError::TooFewBrokers { .. }) => {
                Exit::LogUnreachable
            }
            Self::Gateway(StartError::Pem { .. } | StartError::Tls(_))
            | Self::Embedded(embedded::OpenError::Config { .. } | embedded::OpenError::NetworkFileSystem { .. })
            | Self::Kafka(kafka::OpenError::Config { .. } | kafka::OpenError::Refused { .. }) => Exit::Configuration,
            Self::DataDir { .. }
            | Self::CopyKey { .. }
            | Self::ReadyFile { .. }
            | Self::Damaged(_)
            | Self::Control(ControlError::Forgotten { .. } | ControlError::OtherSecret)
            | Self::Embedded(_)
            | Self::Kafka(kafka::OpenError::PasswordFile { .. }) => Exit::File,
            Self::Kafka(_)
            | Self::Control(_)
            | Self::Exchange(_)
            | Self::Gateway(_)
            | Self::Metrics(_)
            | Self::Runtime(_) => Exit::Internal,
        }
    }
}

/// Serves until SIGTERM or SIGINT. With `ready_file`, writes `{"grpc": "...", "ops": "...", "pid": n}` there once ready.
/// With `accept_loss`, opens an embedded log that lost something.
///
/// # Errors
///
/// See [`ServeError`].
pub fn run(config: &Config, ready_file: Option<&Path>, accept_loss: bool) -> Result<(), ServeError> {
    start_logging(config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let served = runtime.block_on(serve(config, ready_file, accept_loss));
    // Blocking work that outlives the drain was cut and logged there.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn serve(config: &Config, ready_file: Option<&Path>, accept_loss: bool) -> Result<(), ServeError> {
    let started = Instant::now();
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Runtime)?;
    let _lock = lock(&config.node.data_dir)?;
    let read_key = |path: &PathBuf| {
        CopyKey::read(path).map_err(|source| ServeError::CopyKey { path: path.display().to_string(), source })
    };
    let copy_key = config.current_copy.key_file.as_ref().map(read_key).transpose()?;
    let node_id: [u8; 16] = rand::random();

    let log = open_log(config, accept_loss).await?;
    let engine = log.info();
    info!(engine = engine.name, durability = engine.durability, "log open");
    let agreements = config.agreements.clone();
    let options = Options { dir: config.node.data_dir.clone(), node_id, deadline: APPEND_DEADLINE, agreements };
    let control = Control::open(Arc::clone(&log), options).await?;
    let epoch = control.take_epoch(ldop_exchange::secret_of(&config.node.data_dir)?.fingerprint()).await?;
    let following = tokio::spawn(Arc::clone(&control).follow());
    let registry = Registry::new();
    let exchange = Exchange::open(
        log,
        control,
        Node { id: node_id, epoch },
        ldop_exchange::Config {
            data_dir: config.node.data_dir.clone(),
            record_bytes: config.limits.record_bytes,
            idempotency_window: config.limits.idempotency_window,
            append_deadline: APPEND_DEADLINE,
            rebuild_index: accept_loss,
            copy_key,
            look_ups: config.limits.look_ups,
            clock: Arc::new(ldop_exchange::clock::Clock::new()),
        },
        Arc::new(Metrics::new(&registry)?),
    )
    .await?;
    let mut fenced = exchange.fenced();
    let gateway = Gateway::start(gateway_config(config), exchange, registry).await?;
    info!(epoch, after_ms = started.elapsed().as_millis(), "ready");
    if let Some(path) = ready_file {
        write_ready(path, &gateway)
            .map_err(|source| ServeError::ReadyFile { path: path.display().to_string(), source })?;
    }

    let ended = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = fenced.wait_for(|fenced| *fenced) => Err(ServeError::Fenced),
    };
    let grace = config.drain.grace;
    info!(grace_s = grace.as_secs(), "draining");
    gateway.drain(grace).await;
    following.abort();
    match &ended {
        Ok(()) => info!("stopped"),
        Err(reason) => error!(%reason, "stopped"),
    }
    ended
}

fn gateway_config(config: &Config) -> ldop_gateway::Config {
    ldop_gateway::Config {
        grpc: config.listen.grpc,
        ops: config.listen.ops,
        registry: config.listen.registry,
        registry_credentials: config.registry.credentials.clone(),
        ca: config.tls.ca.clone(),
        cert: config.tls.cert.clone(),
        key: config.tls.key.clone(),
        crl: config.tls.crl.clone(),
        trust_domain: config.tls.trust_domain.clone(),
        connections: config.limits.connections,
        streams: config.limits.streams,
        record_bytes: config.limits.record_bytes,
        in_flight_bytes: config.limits.in_flight_bytes,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// One hub for each data folder: the exchange index and the node's memory are in it whatever the engine.
fn lock(dir: &Path) -> Result<File, ServeError> {
    let error = |source| ServeError::DataDir { path: dir.display().to_string(), source };
    fs::create_dir_all(dir).map_err(error)?;
    let file = File::options().create(true).truncate(false).write(true).open(dir.join("hub.lock")).map_err(error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ServeError::InUse { path: dir.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

async fn open_log(config: &Config, accept_loss: bool) -> Result<Arc<dyn MessageLog>, ServeError> {
    let max_entry_bytes = config.limits.record_bytes + ENTRY_SLACK;
    match &config.log {
        LogEngine::Embedded(settings) => {
            let mut options = embedded::Config::new(config.node.data_dir.join("log"));
            options.max_bytes = settings.max_bytes.unwrap_or(0);
            options.max_entry_bytes = max_entry_bytes;
            options.in_flight_bytes = config.limits.in_flight_bytes;
            options.tail_cache_bytes = TAIL_CACHE;
            options.accept_loss = accept_loss;
            let open = tokio::task::spawn_blocking(move || embedded::EmbeddedLog::open(options)).await;
            let log: Arc<dyn MessageLog> = open.map_err(|e| ServeError::Runtime(io::Error::other(e)))??;
            Ok(log)
        }
        LogEngine::Kafka(settings) => {
            let options = kafka_options(settings, max_entry_bytes, config.limits.in_flight_bytes);
            let open = tokio::task::spawn_blocking(move || kafka::KafkaLog::open(options)).await;
            let log: Arc<dyn MessageLog> = open.map_err(|e| ServeError::Runtime(io::Error::other(e)))??;
            Ok(log)
        }
    }
}

fn kafka_options(settings: &KafkaLog, max_entry_bytes: usize, in_flight_bytes: usize) -> kafka::Config {
    let mut options = kafka::Config::new(settings.bootstrap.clone());
    let encrypted = settings.security.as_str().ends_with("ssl");
    options.security = kafka::Security {
        tls: encrypted.then(|| kafka::Tls { ca: settings.ca.clone(), client: None }),
        sasl: settings
            .sasl
            .as_ref()
            .map(|sasl| kafka::Scram { user: sasl.user.clone(), password_file: sasl.password_file.clone() }),
    };
    options.replication_factor = settings.replication_factor;
    options.min_insync_replicas = settings.min_insync_replicas;
    options.compression = match settings.compression {
        KafkaCompression::None => kafka::Compression::None,
        KafkaCompression::Lz4 => kafka::Compression::Lz4,
    };
    options.linger = settings.linger;
    options.max_entry_bytes = max_entry_bytes;
    options.in_flight_bytes = in_flight_bytes;
    options
}

fn write_ready(path: &Path, gateway: &Gateway) -> io::Result<()> {
    let registry = gateway.registry.map(|address| format!("\"registry\":\"{address}\",")).unwrap_or_default();
    let (grpc, ops, pid) = (gateway.grpc, gateway.ops, std::process::id());
    let text = format!("{{\"grpc\":\"{grpc}\",\"ops\":\"{ops}\",{registry}\"pid\":{pid}}}\n");
    // Renamed into place, so that whoever waits for the file never reads half of it.
    let temporary: PathBuf = path.with_extension("tmp");
    fs::write(&temporary, text)?;
    fs::rename(&temporary, path)
}

fn start_logging(config: &Config) {
    use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};
    // Libraries below us speak at warn: what they say of connections is ours to tell.
    let level = config.logging.level.as_str();
    let filter = EnvFilter::new(format!(
        "warn,ldop={level},ldop_control={level},ldop_exchange={level},ldop_gateway={level},ldop_log={level}"
    ));
    let registry = tracing_subscriber::registry().with(filter);
    let installed = match config.logging.format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true).with_writer(io::stderr)).try_init(),
        LogFormat::Text => registry.with(fmt::layer().with_writer(io::stderr)).try_init(),
    };
    if let Err(error) = installed {
        warn!(%error, "logging was set up before");
    }
}

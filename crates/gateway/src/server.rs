//! Puts the door together: TLS, services, health, reflection, the operators' endpoints; and closes it in order.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ldop_contract::{
    FILE_DESCRIPTOR_SET, catalog::v1::catalog_service_server::CatalogServiceServer,
    control::v1::control_service_server::ControlServiceServer,
    exchange::v1::exchange_service_server::ExchangeServiceServer,
    registry::v1::registry_service_server::RegistryServiceServer,
};
use ldop_exchange::Exchange;
use ldop_types::TimestampMs;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::{
    listener::{Acceptor, Peer},
    metrics::Metrics,
    ops::{self, Ops},
    rest::{self, Accepted, Rest, credentials::Credentials},
    services::{Budget, Catalog, ControlPlane, ExchangeService, RegistryService},
    trust::{Door, Trust},
};

/// What one message may weigh beyond the largest record.
const MESSAGE_SLACK: usize = 16 << 20;
/// Bytes of a folder of definitions that is judged, and of what stands around it.
const CHANGES_BYTES: usize = 17 << 20;
/// HTTP/2 windows: a bulk stream over a fast link keeps several batches on the way.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// HTTP/2 frames: fewer and larger ones for bulk.
const FRAME: u32 = 256 << 10;
/// A peer that answers no ping within interval and timeout is gone.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of the gateway.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where the operators' endpoints listen.
    pub ops: SocketAddr,
    /// Where the registry's REST interface listens; none: it is off.
    pub registry: Option<SocketAddr>,
    /// TOML file with names and secrets for the REST interface; none: certificates only.
    pub registry_credentials: Option<PathBuf>,
    /// PEM file with the authorities client certificates must come from.
    pub ca: PathBuf,
    /// PEM file with the hub's certificate chain.
    pub cert: PathBuf,
    /// PEM file with the hub's key.
    pub key: PathBuf,
    /// PEM or DER file with what the authorities have revoked; none: nothing.
    pub crl: Option<PathBuf>,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// Most connections at a time.
    pub connections: usize,
    /// Most calls at a time on one connection.
    pub streams: u32,
    /// Largest payload, bytes.
    pub record_bytes: usize,
    /// Most bytes of records between reception and the log's answer.
    pub in_flight_bytes: usize,
    /// Version of the program.
    pub version: &'static str,
}

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A PEM file cannot be read or holds nothing usable.
    #[error("{what} {path}: {detail}")]
    Pem {
        /// What it is for.
        what: &'static str,
        /// Path.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// The credentials file cannot be read.
    #[error("registry.credentials {path}: {detail}")]
    Credentials {
        /// Path.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not fit, or the authorities are unusable.
    #[error("TLS settings: {0}")]
    Tls(String),
    /// A port is taken or not allowed.
    #[error("listen on {address}")]
    Listen {
        /// Address.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// Two metrics have one name: a bug of ours.
    #[error("metrics")]
    Metrics(#[from] prometheus::Error),
    /// The reflection service does not take our descriptors: a bug of ours.
    #[error("reflection: {0}")]
    Reflection(String),
}

/// A running gateway.
pub struct Gateway {
    /// Where gRPC listens; the port taken when 0 was asked for.
    pub grpc: SocketAddr,
    /// Where the operators' endpoints listen.
    pub ops: SocketAddr,
    /// Where the registry's REST interface listens.
    pub registry: Option<SocketAddr>,
    exchange: Arc<Exchange>,
    health: tonic_health::server::HealthReporter,
    /// Stops accepting connections and ends streams.
    stop: CancellationToken,
    /// Stops the operators' endpoints, last of all.
    stop_ops: CancellationToken,
    connections: TaskTracker,
    others: TaskTracker,
}

impl Gateway {
    /// Binds the ports and serves.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running then.
    pub async fn start(config: Config, exchange: Arc<Exchange>, registry: Registry) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new(&registry, config.version, exchange.engine().name)?);
        let state = exchange.control.state();
        let (trust, look) = Trust::read(&config, &state, Arc::clone(&metrics))?;
        let credentials = match &config.registry_credentials {
            None => Credentials::default(),
            Some(path) => Credentials::read(path)
                .map_err(|detail| StartError::Credentials { path: path.display().to_string(), detail })?,
        };
        let (grpc_listener, grpc) = bind(config.grpc).await?;
        let rest_listener = match config.registry {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let (ops_listener, ops) = bind(config.ops).await?;
        let stop = CancellationToken::new();
        let stop_ops = CancellationToken::new();
        let (connections, others) = (TaskTracker::new(), TaskTracker::new());

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| StartError::Reflection(error.to_string()))?;
        let budget = Budget::new(config.in_flight_bytes);
        let message_bytes = config.record_bytes + MESSAGE_SLACK;
        let service = ExchangeService::new(
            Arc::clone(&exchange),
            Arc::clone(&metrics),
            budget,
            connections.clone(),
            stop.clone(),
        );
        let control = Arc::clone(&exchange.control);
        let router = tonic::transport::Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME)
            .max_concurrent_streams(config.streams)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(
                ExchangeServiceServer::new(service)
                    .max_decoding_message_size(message_bytes)
                    .max_encoding_message_size(usize::MAX),
            )
            .add_service(
                RegistryServiceServer::new(RegistryService {
                    control: Arc::clone(&control),
                    exchange: Arc::clone(&exchange),
                    metrics: Arc::clone(&metrics),
                    stop: stop.clone(),
                })
                .max_encoding_message_size(usize::MAX),
            )
            .add_service(
                CatalogServiceServer::new(Catalog { control, metrics: Arc::clone(&metrics) })
                    .max_encoding_message_size(usize::MAX),
            )
            .add_service(
                ControlServiceServer::new(ControlPlane {
                    exchange: Arc::clone(&exchange),
                    version: config.version,
                    started: TimestampMs::now(),
                    metrics: Arc::clone(&metrics),
                    stop: stop.clone(),
                })
                .max_decoding_message_size(CHANGES_BYTES),
            );

        let acceptor = |door| Acceptor {
            door,
            trust: Arc::clone(&trust),
            trust_domain: config.trust_domain.clone(),
            connections: config.connections,
            metrics: Arc::clone(&metrics),
        };
        let registry_address = rest_listener.as_ref().map(|(_, address)| *address);
        if let Some((listener, address)) = rest_listener {
            let accepted = acceptor(Door::Registry).run(listener, stop.clone(), &others);
            let rest = Rest {
                control: Arc::clone(&exchange.control),
                credentials: Arc::new(credentials),
                metrics: Arc::clone(&metrics),
            };
            let service = rest::router(rest).into_make_service_with_connect_info::<Peer>();
            let stopped = stop.clone();
            connections.spawn(async move {
                let served = axum::serve(Accepted(accepted), service)
                    .with_graceful_shutdown(async move { stopped.cancelled().await });
                if let Err(error) = served.await {
                    error!(%error, "registry's REST interface ended");
                }
            });
            info!(registry = %address, "registry's REST interface open");
        }
        let accepted = acceptor(Door::Grpc).run(grpc_listener, stop.clone(), &others);
        let accepted =
            futures::stream::unfold(accepted, |mut accepted| async { Some((accepted.recv().await?, accepted)) });
        let stopped = stop.clone();
        connections.spawn(async move {
            let served = router.serve_with_incoming_shutdown(accepted, async move { stopped.cancelled().await }).await;
            if let Err(error) = served {
                error!(error = &error as &dyn std::error::Error, "gRPC server ended");
            }
        });
        others.spawn(Arc::clone(&trust).keep(Arc::clone(&exchange.control), look, stop.clone()));
        let routes = ops::router(Ops { exchange: Arc::clone(&exchange), registry });
        let stopped = stop_ops.clone();
        others.spawn(async move {
            let served =
                axum::serve(ops_listener, routes).with_graceful_shutdown(async move { stopped.cancelled().await });
            if let Err(error) = served.await {
                error!(%error, "operators' endpoints ended");
            }
        });
        let gateway =
            Self { grpc, ops, registry: registry_address, exchange, health, stop, stop_ops, connections, others };
        gateway.report_health(true).await;
        info!(%grpc, %ops, "serving");
        Ok(gateway)
    }

    async fn report_health(&self, serving: bool) {
        let status =
            if serving { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
        // "" is the server as a whole.
        for service in ["", "ldop.exchange.v1.ExchangeService"] {
            self.health.set_service_status(service, status).await;
        }
    }

    /// Reports not serving, stops accepting, lets calls end, then drains the exchange; all within `grace`. What is
    /// open then is cut, and that is logged.
    pub async fn drain(self, grace: Duration) {
        let until = tokio::time::Instant::now() + grace;
        self.exchange.begin_drain();
        self.report_health(false).await;
        self.stop.cancel();
        self.connections.close();
        // The log gets the last quarter of the time at least.
        let calls = grace.mul_f64(0.75);
        if tokio::time::timeout(calls, self.connections.wait()).await.is_err() {
            warn!(open = self.connections.len(), "calls cut short");
        }
        let left = until.saturating_duration_since(tokio::time::Instant::now()).max(Duration::from_millis(100));
        self.exchange.drain(left).await;
        self.stop_ops.cancel();
        self.others.close();
        if tokio::time::timeout(Duration::from_secs(1), self.others.wait()).await.is_err() {
            warn!("operators' endpoints cut short");
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let error = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

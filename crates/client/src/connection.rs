//! Connections to the nodes of a hub.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ldop_contract::{
    catalog::v1::catalog_service_client::CatalogServiceClient,
    control::v1::control_service_client::ControlServiceClient,
    exchange::v1::exchange_service_client::ExchangeServiceClient,
    registry::v1::registry_service_client::RegistryServiceClient,
};
use rustls_pki_types::ServerName;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use crate::{
    ClientConfig, Error, Pem, RetryPolicy,
    backoff::Backoff,
    tls::{self, Alert, Connector},
};

/// What one stream may have on its way to us: a few batches of large records.
const STREAM_WINDOW: u32 = 4 << 20;
/// What all streams of a connection may have.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Longest header taken from a hub: a refusal tells everything that is wrong in one.
const HEADER_BYTES: u32 = 1 << 20;
/// Largest message taken from a hub. A delivered batch may hold several records of the hub's own limit.
pub(crate) const MESSAGE_LIMIT: usize = 64 << 20;
/// A hub that vanished without a word is noticed after interval and timeout.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A call that tells how long a header it takes.
pub(crate) fn asking<R>(message: R) -> Request<R> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("ldop-header-bytes", HEADER_BYTES.into());
    request
}

/// A connection to a hub. Cheap to clone; clones share it. It connects again by itself.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    nodes: Vec<Node>,
    current: AtomicUsize,
}

/// The node a call goes to, so that a failure can be laid at its door.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) channel: Channel,
    address: Arc<str>,
    alert: Alert,
    index: usize,
}

impl Node {
    /// What an error of a call to this node comes from, as exactly as can be told.
    pub(crate) fn refine(&self, error: Error) -> Error {
        tls::refine(error, &self.address, &self.alert)
    }
}

impl Client {
    /// Reads certificates and key, and connects to the first node that answers.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Configuration`]; [`Error::Unreachable`] when no node answers, with what the last one
    /// met. TLS 1.3 lets a server refuse the caller's certificate after this has returned; the first call then tells.
    pub async fn connect(config: ClientConfig) -> Result<Self, Error> {
        let targets = targets(&config)?;
        let mut failure = Error::Configuration("no address of a hub is given".to_owned());
        for (index, target) in targets.iter().enumerate() {
            match target.endpoint.connect_with_connector(target.connector.clone()).await {
                Ok(channel) => {
                    let mut nodes: Vec<Node> = targets.iter().enumerate().map(Target::node).collect();
                    nodes[index].channel = channel;
                    return Ok(Self::over(config, nodes, index));
                }
                Err(source) => {
                    let endpoint = target.address.to_string();
                    let error = Error::Unreachable { endpoint, source: Arc::new(source) };
                    failure = tls::refine(error, &target.address, &target.connector.alert);
                }
            }
        }
        Err(failure)
    }

    /// Connects as [`connect`](Self::connect) does, again and again while that can help.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); [`Error::GaveUp`] when the policy allows no more.
    pub async fn connect_patiently(config: ClientConfig, policy: RetryPolicy) -> Result<Self, Error> {
        let mut backoff = Backoff::new(policy);
        loop {
            match Self::connect(config.clone()).await {
                Ok(client) => return Ok(client),
                Err(error) => sleep(backoff.wait_after(error)?).await,
            }
        }
    }

    /// Reads certificates and key; the connection is made with the first call. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Configuration`]
    pub fn connect_lazy(config: ClientConfig) -> Result<Self, Error> {
        let nodes: Vec<Node> = targets(&config)?.iter().enumerate().map(Target::node).collect();
        if nodes.is_empty() {
            return Err(Error::Configuration("no address of a hub is given".to_owned()));
        }
        Ok(Self::over(config, nodes, 0))
    }

    fn over(config: ClientConfig, nodes: Vec<Node>, current: usize) -> Self {
        Self { inner: Arc::new(Inner { config, nodes, current: AtomicUsize::new(current) }) }
    }

    /// The registry: elements, code lists, schemas. The generated client; errors convert by `Error::from`.
    #[must_use]
    pub fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.node().channel).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// The catalogue: agencies, systems, datasets, agreements. The generated client; errors convert by `Error::from`.
    #[must_use]
    pub fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.node().channel).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Reports: what was exchanged in a period. The generated client; errors convert by `Error::from`.
    #[must_use]
    pub fn reports(&self) -> ControlServiceClient<Channel> {
        self.control(&self.node())
    }

    pub(crate) fn registry_at(&self, node: &Node) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(node.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn control(&self, node: &Node) -> ControlServiceClient<Channel> {
        ControlServiceClient::new(node.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn exchange(&self, node: &Node) -> ExchangeServiceClient<Channel> {
        ExchangeServiceClient::new(node.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// The node that is in use.
    pub(crate) fn node(&self) -> Node {
        self.inner.nodes[self.inner.current.load(Ordering::Relaxed)].clone()
    }

    /// Notes that a node failed; the next one is used, unless somebody has moved on already.
    pub(crate) fn failed(&self, node: &Node) {
        let next = (node.index + 1) % self.inner.nodes.len();
        // Relaxed: it is only advice on where to try next.
        let _ = self.inner.current.compare_exchange(node.index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A node to connect to.
struct Target {
    address: Arc<str>,
    endpoint: Endpoint,
    connector: Connector,
}

impl Target {
    fn node((index, target): (usize, &Self)) -> Node {
        Node {
            channel: target.endpoint.connect_with_connector_lazy(target.connector.clone()),
            address: target.address.clone(),
            alert: target.connector.alert.clone(),
            index,
        }
    }
}

fn targets(config: &ClientConfig) -> Result<Vec<Target>, Error> {
    let tls = TlsConnector::from(tls::config(&read(&config.ca)?, &read(&config.certificate)?, &read(&config.key)?)?);
    config.endpoints.iter().map(|address| target(config, address, &tls)).collect()
}

fn target(config: &ClientConfig, address: &str, tls: &TlsConnector) -> Result<Target, Error> {
    let wrong = || Error::Configuration(format!("{address:?} is not an address \"https://host:port\""));
    let origin: http::Uri = address.parse().map_err(|_| wrong())?;
    let host = origin.host().filter(|_| origin.scheme_str() == Some("https")).ok_or_else(wrong)?;
    let name = config.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
    let wrong_name = |_| Error::Configuration(format!("{name:?} is no name a certificate can have"));
    let name = ServerName::try_from(name.clone()).map_err(wrong_name)?;
    // TLS is the connector's business: tonic is to see a plain connection, and callers the address as they gave it.
    let plain = address.replacen("https://", "http://", 1);
    let endpoint = Endpoint::from_shared(plain)
        .map_err(|_| wrong())?
        .origin(origin)
        .user_agent(concat!("ldop-client/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| Error::Configuration(error.to_string()))?
        .connect_timeout(config.connect_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    let connector = Connector { tls: tls.clone(), name, alert: Alert::default() };
    Ok(Target { address: address.into(), endpoint, connector })
}

fn read(pem: &Pem) -> Result<Vec<u8>, Error> {
    match pem {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => {
            std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source: Arc::new(source) })
        }
    }
}

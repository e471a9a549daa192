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
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{ClientConfig, Error, Pem};

/// What one stream may have on its way to us: a few batches of large records.
const STREAM_WINDOW: u32 = 4 << 20;
/// What all streams of a connection may have.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest message taken from a hub. A delivered batch may hold several records of the hub's own limit.
pub(crate) const MESSAGE_LIMIT: usize = 64 << 20;
/// A hub that vanished without a word is noticed after interval and timeout.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a hub. Cheap to clone; clones share it. It connects again by itself.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    nodes: Vec<Channel>,
    current: AtomicUsize,
}

/// The node a call goes to, so that a failure can be laid at its door.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) channel: Channel,
    index: usize,
}

impl Client {
    /// Reads certificates and key, and connects to the first node that answers.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Configuration`]; [`Error::Unreachable`] when no node answers, with what the last one
    /// met. TLS 1.3 lets a server refuse the caller's certificate after this has returned; the first call then tells.
    pub async fn connect(config: ClientConfig) -> Result<Self, Error> {
        let endpoints = endpoints(&config)?;
        let mut failure = Error::Configuration("no address of a hub is given".to_owned());
        for (index, endpoint) in endpoints.iter().enumerate() {
            match endpoint.connect().await {
                Ok(channel) => {
                    let mut nodes: Vec<Channel> = endpoints.iter().map(Endpoint::connect_lazy).collect();
                    nodes[index] = channel;
                    return Ok(Self::over(config, nodes, index));
                }
                Err(source) => {
                    failure =
                        Error::Unreachable { endpoint: config.endpoints[index].clone(), source: Arc::new(source) };
                }
            }
        }
        Err(failure)
    }

    /// Reads certificates and key; the connection is made with the first call. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Configuration`]
    pub fn connect_lazy(config: ClientConfig) -> Result<Self, Error> {
        let nodes: Vec<Channel> = endpoints(&config)?.iter().map(Endpoint::connect_lazy).collect();
        if nodes.is_empty() {
            return Err(Error::Configuration("no address of a hub is given".to_owned()));
        }
        Ok(Self::over(config, nodes, 0))
    }

    fn over(config: ClientConfig, nodes: Vec<Channel>, current: usize) -> Self {
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
        let index = self.inner.current.load(Ordering::Relaxed);
        Node { channel: self.inner.nodes[index].clone(), index }
    }

    /// Notes that a node failed; the next one is used, unless somebody has moved on already.
    pub(crate) fn failed(&self, node: &Node) {
        let next = (node.index + 1) % self.inner.nodes.len();
        // Relaxed: it is only advice on where to try next.
        let _ = self.inner.current.compare_exchange(node.index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn endpoints(config: &ClientConfig) -> Result<Vec<Endpoint>, Error> {
    let mut tls = ClientTlsConfig::new()
        .timeout(config.connect_timeout)
        .ca_certificate(Certificate::from_pem(read(&config.ca)?))
        .identity(Identity::from_pem(read(&config.certificate)?, read(&config.key)?));
    if let Some(name) = &config.server_name {
        tls = tls.domain_name(name);
    }
    let endpoint = |address: &String| {
        if !address.starts_with("https://") {
            return Err(Error::Configuration(format!("{address:?} is not an address \"https://host:port\"")));
        }
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|_| Error::Configuration(format!("{address:?} is not an address \"https://host:port\"")))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        endpoint.tls_config(tls.clone()).map_err(|error| {
            Error::Configuration(format!("certificates or key cannot be used: {}", crate::error::chain(&error)))
        })
    };
    config.endpoints.iter().map(endpoint).collect()
}

fn read(pem: &Pem) -> Result<Vec<u8>, Error> {
    match pem {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => {
            std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source: Arc::new(source) })
        }
    }
}

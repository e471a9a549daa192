//! How to reach a hub, and how to be patient with it.

use std::{fmt, path::PathBuf, time::Duration};

/// PEM text, or the file that holds it. `Debug` never shows the text.
#[derive(Clone)]
pub enum Pem {
    /// A file, read once when connecting.
    File(PathBuf),
    /// The text.
    Text(Vec<u8>),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Text(_) => f.write_str("(in memory)"),
        }
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&str> for Pem {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Addresses of the hub's nodes, "https://host:port", at least one; the first that answers is used, and the next
    /// one when it fails.
    pub endpoints: Vec<String>,
    /// Authorities the hub's certificate must come from.
    pub ca: Pem,
    /// The caller's certificate, with any intermediates.
    pub certificate: Pem,
    /// The caller's private key.
    pub key: Pem,
    /// Name in the hub's certificate where it is not the host of the address.
    pub server_name: Option<String>,
    /// Longest time to make a connection, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest time for one try of a single call. Default 15 s.
    pub call_timeout: Duration,
    /// When single calls are tried again. Default: for up to 60 s.
    pub retry: RetryPolicy,
}

impl ClientConfig {
    /// One address and the three PEM files; the rest as by default.
    pub fn new(
        endpoint: impl Into<String>,
        ca: impl Into<Pem>,
        certificate: impl Into<Pem>,
        key: impl Into<Pem>,
    ) -> Self {
        Self {
            endpoints: vec![endpoint.into()],
            ca: ca.into(),
            certificate: certificate.into(),
            key: key.into(),
            server_name: None,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(15),
            retry: RetryPolicy { give_up: Some(Duration::from_secs(60)), ..RetryPolicy::default() },
        }
    }
}

/// When what failed for now is tried again. Waits double from `first` to `longest`, each with half of it random, and
/// are never shorter than the hub asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// First wait. Default 100 ms.
    pub first: Duration,
    /// Longest wait. Default 10 s.
    pub longest: Duration,
    /// Time without any success after which it is given up; `None`: never, the default.
    pub give_up: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(10), give_up: None }
    }
}

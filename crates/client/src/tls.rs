//! TCP and TLS to a node.
//!
//! tonic could do this itself, but would lose the one thing a caller with a bad certificate needs to hear. In TLS 1.3
//! the client has finished its handshake before the server looks at the client's certificate; the refusal comes as an
//! alert on the open connection, which HTTP/2 turns into "connection closed". [`Watched`] notes the alert as it passes.

use std::{
    error::Error as StdError,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{AlertDescription, ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use crate::{CertificateFault, Error};

/// What the last connection to a node said of the caller's certificate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alert(Arc<Mutex<Option<AlertDescription>>>);

impl Alert {
    /// The alert, if it is about the certificate.
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().map(|alert| format!("{alert:?}"))
    }
}

/// The settings of TLS: who is trusted, and who the caller is.
///
/// # Errors
///
/// [`Error::Configuration`] when a PEM text is not what it should be, or the key is not the certificate's.
pub(crate) fn config(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Arc<ClientConfig>, Error> {
    let wrong = |what: &str| Error::Configuration(format!("{what} is not well-formed PEM"));
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca).map_err(|()| wrong("the authority's certificate"))? {
        roots.add(authority).map_err(|error| Error::Configuration(format!("the authority's certificate: {error}")))?;
    }
    let chain = certificates(certificate).map_err(|()| wrong("the caller's certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| wrong("the caller's key"))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Configuration(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| Error::Configuration(format!("the caller's certificate and key: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ()> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| ())?;
    if all.is_empty() { Err(()) } else { Ok(all) }
}

/// The fault of a certificate, if that is what an error comes from.
pub(crate) fn hub_fault(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = error.downcast_ref::<rustls::Error>().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(tls @ rustls::Error::InvalidCertificate(_)) = tls {
            return Some(tls.to_string());
        }
        next = error.source();
    }
    None
}

/// Refines an error of a connection to whose certificate it comes from, if it comes from one.
pub(crate) fn refine(error: Error, endpoint: &str, alert: &Alert) -> Error {
    let hub = match &error {
        Error::Unreachable { source, .. } => hub_fault(&**source),
        Error::Lost { source } => hub_fault(&**source),
        _ => return error,
    };
    let (fault, text) = match (hub, alert.get()) {
        (Some(text), _) => (CertificateFault::Hub, text),
        (None, Some(text)) => (CertificateFault::Caller, text),
        (None, None) => return error,
    };
    Error::Certificate { fault, endpoint: endpoint.to_owned(), text }
}

/// Makes connections to one node.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) tls: TlsConnector,
    pub(crate) name: ServerName<'static>,
    pub(crate) alert: Alert,
}

impl Service<http::Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            *connector.alert.0.lock() = None;
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            let tcp = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
            tcp.set_nodelay(true)?;
            let stream = connector.tls.connect(connector.name, tcp).await?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(io::Error::other("what listens there does not speak HTTP/2"));
            }
            Ok(TokioIo::new(Watched { stream, alert: connector.alert }))
        })
    }
}

/// A TLS stream that notes an alert about the caller's certificate.
pub(crate) struct Watched {
    stream: TlsStream<TcpStream>,
    alert: Alert,
}

impl Watched {
    fn note(&self, error: io::Error) -> io::Error {
        use AlertDescription as A;
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        // Other alerts may pass by themselves: these do not.
        if let Some(rustls::Error::AlertReceived(
            alert @ (A::AccessDenied
            | A::BadCertificate
            | A::CertificateExpired
            | A::CertificateRequired
            | A::CertificateRevoked
            | A::CertificateUnknown
            | A::DecryptError
            | A::UnknownCA
            | A::UnsupportedCertificate),
        )) = tls
        {
            *self.alert.0.lock() = Some(*alert);
        }
        error
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        Poll::Ready(read.map_err(|error| self.note(error)))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

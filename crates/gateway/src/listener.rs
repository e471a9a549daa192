//! Accepts connections and their TLS handshakes, bounded in number and time.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ldop_types::Reason;
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_rustls::server::TlsStream;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::{
    Identity,
    metrics::Metrics,
    trust::{Door, Stay, Trust},
};

/// Longest a handshake may take. A peer that connects and says nothing holds a place no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What is known of a connection, in the extensions of each of its requests.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who it is; a certificate without identity may connect, is told so on its first call, and can do nothing.
    pub identity: Result<Identity, Reason>,
}

/// An accepted connection.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    /// Resolves when the connection is to end; none without a certificate.
    cut: Option<(Pin<Box<WaitForCancellationFutureOwned>>, Stay)>,
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> Peer {
        self.peer.clone()
    }
}

impl Connection {
    /// Whether it was cut off; wakes the task that reads when it is.
    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.cut.as_mut().is_some_and(|(cut, _)| cut.as_mut().poll(cx).is_ready())
    }

    fn was_cut(&self) -> bool {
        self.cut.as_ref().is_some_and(|(_, stay)| stay.cut().is_cancelled())
    }
}

fn cut_off<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the certificate is not trusted any more")))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return cut_off();
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.was_cut() {
            return cut_off();
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.was_cut() {
            return cut_off();
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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

/// How connections are accepted.
pub struct Acceptor {
    /// Which door; whether client certificates are required is its matter.
    pub door: Door,
    /// Whom to trust.
    pub trust: Arc<Trust>,
    /// Trust domain of identities.
    pub trust_domain: String,
    /// Most connections at a time; one more is closed at once.
    pub connections: usize,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Acceptor {
    /// Accepts until `stop`; finished handshakes come out of the channel.
    #[must_use]
    pub fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        tasks: &TaskTracker,
    ) -> mpsc::Receiver<io::Result<Connection>> {
        let (accepted, connections) = mpsc::channel(16);
        let acceptor = Arc::new(self);
        let places = Arc::new(Semaphore::new(acceptor.connections));
        let handshakes = tasks.clone();
        tasks.spawn(async move {
            loop {
                let (stream, address) = tokio::select! {
                    () = stop.cancelled() => return,
                    incoming = listener.accept() => match incoming {
                        Ok(incoming) => incoming,
                        Err(error) => {
                            // Out of file descriptors, most likely: those in use will come back.
                            warn!(%error, "connection not accepted");
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            continue;
                        }
                    },
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    acceptor.metrics.refused.with_label_values(&["limit"]).inc();
                    debug!(%address, "connection over the limit closed");
                    continue;
                };
                let (acceptor, accepted) = (Arc::clone(&acceptor), accepted.clone());
                handshakes.spawn(async move {
                    if let Some(connection) = acceptor.shake_hands(stream, address, place).await {
                        // The server has stopped when this fails.
                        let _ = accepted.send(Ok(connection)).await;
                    }
                });
            }
        });
        connections
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Option<Connection> {
        let refuse = |cause: &str, error: &dyn std::fmt::Display| {
            self.metrics.refused.with_label_values(&[cause]).inc();
            debug!(%address, cause, %error, "handshake refused");
        };
        if let Err(error) = stream.set_nodelay(true) {
            refuse("tls", &error);
            return None;
        }
        let stream = match tokio::time::timeout(HANDSHAKE, self.trust.acceptor(self.door).accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                refuse("tls", &error);
                return None;
            }
            Err(late) => {
                refuse("timeout", &late);
                return None;
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let identity = certificate
            .ok_or(Reason::CertificateWithoutIdentity)
            .and_then(|der| Identity::of_certificate(der, &self.trust_domain));
        let chain = stream.get_ref().1.peer_certificates().map(<[CertificateDer<'_>]>::to_vec);
        let cut = match chain.map(|chain| chain.into_iter().map(CertificateDer::into_owned).collect()) {
            None => None,
            Some(chain) => {
                let Some(stay) = self.trust.enter(chain) else {
                    refuse("tls", &"not trusted any more");
                    return None;
                };
                Some((Box::pin(stay.cut().clone().cancelled_owned()), stay))
            }
        };
        self.metrics.connections.inc();
        Some(Connection { stream, peer: Peer { identity }, cut, metrics: Arc::clone(&self.metrics), _place: place })
    }
}

//! What the hub shows and whom it trusts: its certificate and key, the authorities, and what they have revoked.
//!
//! **Who may connect and who may stay connected is one question**, put to one `Verifier` at each handshake, and again for
//! each open connection whenever an answer may have changed: a file is another one, definitions revoke a certificate, a
//! minute has passed in which one may have expired. Whoever is not trusted any more is cut off, in the middle of whatever
//! he does.
//!
//! Files are looked at twice a second and taken as a whole or not at all: what cannot be read, does not fit together, or is
//! a list that no authority has signed leaves things as they are, and is told.

mod files;
mod verifier;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use ldop_control::{Control, ControlState};
use parking_lot::Mutex;
use rustls::server::danger::ClientCertVerifier as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::{files::Read, verifier::Verifier};
use crate::{Config, StartError, metrics::Metrics};

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often open connections are judged though nothing has changed.
const JUDGE: Duration = Duration::from_secs(60);

/// SHA-256 of a certificate.
type Fingerprint = [u8; 32];

/// For whom a door is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// gRPC: a certificate is required.
    Grpc,
    /// The registry's REST interface: one is taken where it is shown.
    Registry,
}

/// What follows from the files as they are.
struct Terms {
    grpc: TlsAcceptor,
    registry: TlsAcceptor,
    verifier: Arc<Verifier>,
}

/// An open connection.
struct Open {
    chain: Vec<CertificateDer<'static>>,
    cut: CancellationToken,
}

/// Handshakes, and judgement over those who are connected.
pub struct Trust {
    config: Config,
    terms: ArcSwap<Terms>,
    /// Certificates that definitions revoke.
    named: Arc<ArcSwap<HashSet<Fingerprint>>>,
    open: Mutex<HashMap<u64, Open>>,
    next: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Trust {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// One of them is missing or unusable.
    pub fn read(config: &Config, state: &ControlState, metrics: Arc<Metrics>) -> Result<(Arc<Self>, Look), StartError> {
        let look = Look::at(config);
        let named = Arc::new(ArcSwap::from_pointee(named_in(state)));
        let terms = Terms::make(&Read::from(config)?, &named, &metrics)?;
        let trust = Self {
            config: config.clone(),
            terms: ArcSwap::from_pointee(terms),
            named,
            open: Mutex::default(),
            next: AtomicU64::new(0),
            metrics,
        };
        Ok((Arc::new(trust), look))
    }

    /// The handshake of a door, as things are now.
    pub fn acceptor(&self, door: Door) -> TlsAcceptor {
        let terms = self.terms.load();
        match door {
            Door::Grpc => terms.grpc.clone(),
            Door::Registry => terms.registry.clone(),
        }
    }

    /// Takes a connection with a certificate in, for as long as what is returned lives; none where it is not trusted any more.
    /// A handshake may have begun long ago, or have been spared by resuming a session.
    pub fn enter(self: &Arc<Self>, chain: Vec<CertificateDer<'static>>) -> Option<Stay> {
        let (number, cut) = (self.next.fetch_add(1, Ordering::Relaxed), CancellationToken::new());
        // First in the list, then judged: what changes in between is not missed.
        let stay = Stay { trust: Arc::clone(self), number, cut: cut.clone() };
        self.open.lock().insert(number, Open { chain: chain.clone(), cut });
        self.terms.load().judge(&chain, UnixTime::now()).is_ok().then_some(stay)
    }

    /// Judges whoever is connected, as of a moment, and cuts off whom it must. Takes time: a signature for each connection.
    fn judge_all(&self, now: UnixTime) {
        let terms = self.terms.load_full();
        let open: Vec<_> = {
            let open = self.open.lock();
            open.values().map(|open| (open.chain.clone(), open.cut.clone())).collect()
        };
        for (chain, cut) in open {
            if let Err(cause) = terms.judge(&chain, now)
                && !cut.is_cancelled()
            {
                warn!(%cause, "connection cut off: its certificate is not trusted any more");
                self.metrics.cut_off.inc();
                cut.cancel();
            }
        }
    }

    /// Looks at files and definitions until told to stop.
    pub async fn keep(self: Arc<Self>, control: Arc<Control>, mut look: Look, stop: CancellationToken) {
        let mut changes = control.changes();
        let mut judged = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
                changed = changes.changed() => if changed.is_err() { return },
            }
            changes.borrow_and_update();
            let (trust, state, is_time) = (Arc::clone(&self), control.state(), judged.elapsed() >= JUDGE);
            // Files and signatures: not for the threads that serve.
            let looking = tokio::task::spawn_blocking(move || {
                let has_judged = trust.look_again(&state, &mut look, is_time);
                (look, has_judged)
            });
            // Only a runtime that ends keeps it from running.
            let Ok((looked, has_judged)) = looking.await else { return };
            look = looked;
            if has_judged {
                judged = Instant::now();
            }
        }
    }

    /// Takes what has changed; tells whether connections were judged.
    fn look_again(&self, state: &ControlState, look: &mut Look, is_time: bool) -> bool {
        let mut is_other = self.take_named(state);
        let now = Look::at(&self.config);
        if now != *look {
            *look = now;
            is_other |= self.take_files();
        }
        if is_other || is_time {
            self.judge_all(UnixTime::now());
        }
        is_other || is_time
    }

    fn take_named(&self, state: &ControlState) -> bool {
        let named = named_in(state);
        let is_other = named != **self.named.load();
        if is_other {
            self.named.store(Arc::new(named));
        }
        is_other
    }

    fn take_files(&self) -> bool {
        let terms = Read::from(&self.config).and_then(|read| Terms::make(&read, &self.named, &self.metrics));
        self.metrics.files_taken.set(i64::from(terms.is_ok()));
        match terms {
            Ok(terms) => {
                self.terms.store(Arc::new(terms));
                info!("certificates read anew");
                true
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                error!(error, "certificates not read anew; those from before stay in force");
                false
            }
        }
    }
}

impl Terms {
    fn make(read: &Read, named: &Arc<ArcSwap<HashSet<Fingerprint>>>, metrics: &Metrics) -> Result<Self, StartError> {
        let door = |is_required, protocol: &[u8]| {
            let verifier = Arc::new(Verifier::new(read, is_required, Arc::clone(named))?);
            Ok::<_, StartError>((read.acceptor(Arc::clone(&verifier), protocol)?, verifier))
        };
        let ((grpc, verifier), (registry, _)) = (door(true, b"h2")?, door(false, b"http/1.1")?);
        read.tell(metrics);
        Ok(Self { grpc, registry, verifier })
    }

    fn judge(&self, chain: &[CertificateDer<'static>], now: UnixTime) -> Result<(), rustls::Error> {
        let Some((first, others)) = chain.split_first() else { return Ok(()) };
        self.verifier.verify_client_cert(first, others, now).map(|_| ())
    }
}

/// Whether a file holds revocation lists, each signed by an authority of the other.
///
/// # Errors
///
/// What is wrong.
pub fn check_revocation_list(crl: &Path, ca: &Path) -> Result<(), StartError> {
    files::check_lists(crl, ca)
}

/// A connection that is trusted. Leaves the list when dropped.
pub struct Stay {
    trust: Arc<Trust>,
    number: u64,
    cut: CancellationToken,
}

impl Stay {
    /// Cancelled when the connection is to end.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.trust.open.lock().remove(&self.number);
    }
}

/// What files looked like: who is replaced or written over looks different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look(Vec<Option<(u64, Option<std::time::SystemTime>, u64)>>);

impl Look {
    fn at(config: &Config) -> Self {
        #[cfg(unix)]
        let inode = |meta: &std::fs::Metadata| std::os::unix::fs::MetadataExt::ino(meta);
        #[cfg(not(unix))]
        let inode = |_: &std::fs::Metadata| 0;
        let files = [Some(&config.ca), Some(&config.cert), Some(&config.key), config.crl.as_ref()];
        let look = |path: &std::path::PathBuf| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.len(), meta.modified().ok(), inode(&meta)))
        };
        Self(files.into_iter().flatten().map(look).collect())
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Sha256::digest(certificate).into()
}

fn named_in(state: &ControlState) -> HashSet<Fingerprint> {
    let systems = state.catalog.systems.values();
    systems.flat_map(|system| system.value.revoked_certificates.iter().copied()).collect()
}

#[cfg(test)]
mod tests;

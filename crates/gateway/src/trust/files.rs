//! Reads the files, and refuses what does not fit together.

use std::{fs, path::Path, sync::Arc};

use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::TlsAcceptor;
use x509_parser::{
    certificate::X509Certificate,
    prelude::{CertificateRevocationList, FromDer as _},
};

use super::verifier::Verifier;
use crate::{Config, StartError, identity, metrics::Metrics};

/// What stands in the files.
pub(super) struct Read {
    authorities: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub(super) roots: Arc<RootCertStore>,
    /// Lists of certificates that authorities have revoked.
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
    /// When the first of the lists is due to be replaced, seconds since 1970.
    due: Option<i64>,
}

impl Read {
    pub(super) fn from(config: &Config) -> Result<Self, StartError> {
        let authorities = certificates("tls.ca", &config.ca)?;
        let chain = certificates("tls.cert", &config.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&pem("tls.key", &config.key)?)
            .map_err(|error| bad("tls.key", &config.key, error.to_string()))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| bad("tls.ca", &config.ca, error.to_string()))?;
        }
        let (lists, due) = match &config.crl {
            None => (Vec::new(), None),
            Some(path) => revocation_lists(path, &authorities)?,
        };
        Ok(Self { authorities, chain, key, roots: Arc::new(roots), lists, due })
    }

    /// Handshakes of one protocol.
    pub(super) fn acceptor(&self, verifier: Arc<Verifier>, protocol: &[u8]) -> Result<TlsAcceptor, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StartError::Tls(error.to_string()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| StartError::Tls(format!("certificate and key: {error}")))?;
        server.alpn_protocols = vec![protocol.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(server)))
    }

    /// Tells when things end.
    pub(super) fn tell(&self, metrics: &Metrics) {
        let ends = |der: Option<&CertificateDer<'_>>| der.and_then(|der| identity::not_after(der));
        let all = [("ca", ends(self.authorities.first())), ("server", ends(self.chain.first()))];
        for (label, ends) in all {
            if let Some(ends) = ends {
                metrics.certificate_not_after.with_label_values(&[label]).set(ends);
            }
        }
        if let Some(due) = self.due {
            metrics.crl_next_update.with_label_values(&[] as &[&str]).set(due);
        }
    }
}

pub(super) fn check_lists(crl: &Path, ca: &Path) -> Result<(), StartError> {
    revocation_lists(crl, &certificates("tls.ca", ca)?).map(|_| ())
}

/// Lists of PEM blocks, or one in DER; each signed by one of the authorities.
fn revocation_lists(
    path: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<(Vec<CertificateRevocationListDer<'static>>, Option<i64>), StartError> {
    let bytes = pem("tls.crl", path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = match found {
        Ok(lists) if !lists.is_empty() => lists,
        Ok(_) => vec![CertificateRevocationListDer::from(bytes)],
        Err(error) => return Err(bad("tls.crl", path, error.to_string())),
    };
    let keys: Vec<X509Certificate<'_>> =
        authorities.iter().filter_map(|der| X509Certificate::from_der(der).ok()).map(|(_, found)| found).collect();
    let mut due = None;
    for list in &lists {
        let (_, read) = CertificateRevocationList::from_der(list)
            .map_err(|_| bad("tls.crl", path, "holds no certificate revocation list".to_owned()))?;
        // The TLS library would look at the signature with each certificate, and take none if it were wrong.
        if !keys.iter().any(|authority| read.verify_signature(authority.public_key()).is_ok()) {
            return Err(bad("tls.crl", path, "holds a list that no authority of tls.ca has signed".to_owned()));
        }
        let next = read.next_update().map(|next| next.timestamp());
        due = due.into_iter().chain(next).min();
    }
    Ok((lists, due))
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let bytes = pem(what, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(bad(what, path, "holds no certificate".into())),
        Err(error) => Err(bad(what, path, error.to_string())),
    }
}

fn pem(what: &'static str, path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|error| bad(what, path, error.to_string()))
}

fn bad(what: &'static str, path: &Path, detail: String) -> StartError {
    StartError::Pem { what, path: path.display().to_string(), detail }
}

//! Judges client certificates.

use std::{collections::HashSet, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Fingerprint, files::Read, fingerprint};
use crate::StartError;

/// The TLS library's judgement by authorities, validity and revocation lists; and certificates that definitions revoke.
#[derive(Debug)]
pub(super) struct Verifier {
    library: Arc<dyn ClientCertVerifier>,
    named: Arc<ArcSwap<HashSet<Fingerprint>>>,
}

impl Verifier {
    pub(super) fn new(
        read: &Read,
        is_required: bool,
        named: Arc<ArcSwap<HashSet<Fingerprint>>>,
    ) -> Result<Self, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // An authority without a list has revoked nothing that the hub knows of.
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&read.roots), provider)
            .with_crls(read.lists.iter().cloned())
            .allow_unknown_revocation_status();
        let builder = if is_required { builder } else { builder.allow_unauthenticated() };
        let library = builder.build().map_err(|error| StartError::Tls(error.to_string()))?;
        Ok(Self { library, named })
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.library.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.library.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.library.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.named.load().contains(&fingerprint(end_entity)) {
            return Err(CertificateError::Revoked.into());
        }
        self.library.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.library.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.library.supported_verify_schemes()
    }
}

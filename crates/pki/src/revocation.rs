//! Revokes certificates: a list of those that are no good any more, signed by their authority (RFC 5280, section 5).

use std::time::{Duration, SystemTime};

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use x509_parser::{
    pem::Pem,
    prelude::{CertificateRevocationList, FromDer as _},
};

use crate::{Authority, Error};

/// A certificate that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Since when.
    pub since: SystemTime,
}

/// A list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RevocationList {
    /// Number of the list; each one is higher than the one before.
    pub number: u64,
    /// What is on it.
    pub revoked: Vec<Revoked>,
}

impl RevocationList {
    /// Reads a list from PEM. `what` names it in errors.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`]
    pub fn from_pem(pem: &[u8], what: &str) -> Result<Self, Error> {
        let broken = || Error::Pem { what: what.to_owned(), expected: "a certificate revocation list" };
        let block = Pem::iter_from_buffer(pem).flatten().find(|block| block.label == "X509 CRL").ok_or_else(broken)?;
        let (_, list) = CertificateRevocationList::from_der(&block.contents).map_err(|_| broken())?;
        let since =
            |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let revoked = list.iter_revoked_certificates().map(|revoked| Revoked {
            serial: revoked.serial().to_bytes_be(),
            since: since(revoked.revocation_date.timestamp()),
        });
        let number = list.crl_number().and_then(|number| number.to_u64_digits().first().copied());
        Ok(Self { number: number.unwrap_or_default(), revoked: revoked.collect() })
    }

    /// Puts a certificate on the list; false where it stands there already.
    pub fn revoke(&mut self, serial: Vec<u8>) -> bool {
        let is_new = self.revoked.iter().all(|revoked| revoked.serial != serial);
        if is_new {
            self.revoked.push(Revoked { serial, since: SystemTime::now() });
        }
        is_new
    }

    /// The list in PEM, signed, valid for so many days from now on.
    ///
    /// # Errors
    ///
    /// [`Error::Make`]
    pub fn sign(&self, authority: &Authority, days: u32) -> Result<String, Error> {
        let make = |source| Error::Make { what: "the revocation list", source };
        let now = SystemTime::now();
        let revoked = |revoked: &Revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&revoked.serial),
            revocation_time: revoked.since.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            // As certificates: for peers whose clock is behind.
            this_update: (now - Duration::from_secs(300)).into(),
            next_update: (now + Duration::from_secs(u64::from(days) * 86_400)).into(),
            crl_number: SerialNumber::from(self.number),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(authority.issuer()).and_then(|list| list.pem()).map_err(make)
    }
}

//! Tells what PEM files hold.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, SystemTime},
};

use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};
use x509_parser::{extensions::GeneralName, pem::Pem, prelude::X509Certificate};

use crate::Error;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// Distinguished name of the holder.
    pub subject: String,
    /// Distinguished name of the authority.
    pub issuer: String,
    /// Serial number, hexadecimal with colons.
    pub serial: String,
    /// The same, big-endian.
    pub serial_bytes: Vec<u8>,
    /// SHA-256 of the certificate in DER, lower-case hex: what definitions call a certificate by.
    pub fingerprint: String,
    /// First moment it is valid.
    pub not_before: SystemTime,
    /// Last moment it is valid.
    pub not_after: SystemTime,
    /// URI SANs; the hub wants exactly one in a client's certificate.
    pub uris: Vec<String>,
    /// DNS SANs.
    pub dns_names: Vec<String>,
    /// IP SANs.
    pub ip_addresses: Vec<IpAddr>,
    /// Whether it is an authority's.
    pub is_authority: bool,
}

/// Reads every certificate of a PEM text. `what` names it in errors.
///
/// # Errors
///
/// [`Error::Pem`] when it holds none, or a broken one.
pub fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateInfo>, Error> {
    let broken = || Error::Pem { what: what.to_owned(), expected: "certificates" };
    let mut infos = Vec::new();
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|_| broken())?;
        if block.label == "CERTIFICATE" {
            infos.push(info(&block.parse_x509().map_err(|_| broken())?, &block.contents));
        }
    }
    if infos.is_empty() { Err(broken()) } else { Ok(infos) }
}

/// Whether a private key belongs to the first certificate of a PEM text.
///
/// # Errors
///
/// [`Error::Pem`] when one of them is not well-formed. The error never holds any of the key.
pub fn key_matches(certificate_pem: &[u8], key_pem: &str) -> Result<bool, Error> {
    let broken = |what: &str, expected| Error::Pem { what: what.to_owned(), expected };
    let key = KeyPair::from_pem(key_pem).map_err(|_| broken("the key", "a private key"))?;
    let block = Pem::iter_from_buffer(certificate_pem)
        .flatten()
        .find(|block| block.label == "CERTIFICATE")
        .ok_or_else(|| broken("the certificate", "a certificate"))?;
    let certificate = block.parse_x509().map_err(|_| broken("the certificate", "a certificate"))?;
    Ok(certificate.public_key().subject_public_key.data.as_ref() == key.der_bytes())
}

fn info(certificate: &X509Certificate<'_>, der: &[u8]) -> CertificateInfo {
    let (mut uris, mut dns_names, mut ip_addresses) = (Vec::new(), Vec::new(), Vec::new());
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => ip_addresses.extend(ip(bytes)),
                _ => {}
            }
        }
    }
    let validity = certificate.validity();
    CertificateInfo {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: certificate.raw_serial_as_string(),
        serial_bytes: certificate.serial.to_bytes_be(),
        fingerprint: Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect(),
        not_before: moment(validity.not_before.timestamp()),
        not_after: moment(validity.not_after.timestamp()),
        uris,
        dns_names,
        ip_addresses,
        is_authority: certificate.is_ca(),
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|b| IpAddr::V4(Ipv4Addr::from(b)))
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b))))
        .ok()
}

fn moment(unix_seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_seconds.unsigned_abs());
    if unix_seconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}

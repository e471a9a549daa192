//! Makes keys and certificates.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};

use crate::{Error, Identity};

/// When a certificate is valid; kept to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: SystemTime,
    /// Last moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// From five minutes ago, for peers whose clock is behind, until `days` from now.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Self {
            not_before: now - Duration::from_secs(300),
            not_after: now + Duration::from_secs(u64::from(days) * 86_400),
        }
    }

    /// Over since `ago`; for tests of refusal.
    #[must_use]
    pub fn expired(ago: Duration) -> Self {
        let end = SystemTime::now() - ago;
        Self { not_before: end - Duration::from_secs(86_400), not_after: end }
    }
}

/// A name clients reach a server by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerName {
    /// A DNS name.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
}

impl ServerName {
    /// Parses an IP address or DNS name.
    ///
    /// # Errors
    ///
    /// [`Error::ServerName`]
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        // A name whose last label is digits can only be a mistyped address.
        let numeric_end = text.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if text.len() > 253 || numeric_end || !text.split('.').all(label) {
            return Err(Error::ServerName(text.to_owned()));
        }
        Ok(Self::Dns(text.to_owned()))
    }

    fn san(&self) -> Result<SanType, Error> {
        match self {
            Self::Dns(name) => {
                Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| Error::ServerName(name.clone()))?))
            }
            Self::Ip(ip) => Ok(SanType::IpAddress(*ip)),
        }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// A certificate and its private key, in PEM. `Debug` shows neither.
#[derive(Clone)]
pub struct Credentials {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// An authority that issues certificates. All keys are ECDSA P-256: known to every TLS stack a department may have.
pub struct Authority {
    credentials: Credentials,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(..)")
    }
}

impl Authority {
    /// Makes a new one with a key of its own. `name` becomes its common name.
    ///
    /// # Errors
    ///
    /// [`Error::Make`]
    pub fn create(name: &str, validity: Validity) -> Result<Self, Error> {
        let make = |source| Error::Make { what: "the authority", source };
        let key = new_key()?;
        let mut params = parameters(name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(make)?;
        let credentials = Credentials { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() };
        Ok(Self { credentials, issuer: Issuer::new(params, key) })
    }

    /// Takes up an authority made before.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`]
    pub fn from_pem(credentials: Credentials) -> Result<Self, Error> {
        let broken = |what: &str, expected| Error::Pem { what: what.to_owned(), expected };
        let key = KeyPair::from_pem(&credentials.key_pem)
            .map_err(|_| broken("the authority's key", "a private key, PKCS #8"))?;
        let issuer = Issuer::from_ca_cert_pem(&credentials.certificate_pem, key)
            .map_err(|_| broken("the authority's certificate", "a certificate"))?;
        Ok(Self { credentials, issuer })
    }

    /// The authority's own certificate and key.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Issues a server certificate for the names.
    ///
    /// # Errors
    ///
    /// [`Error::ServerName`], [`Error::Make`]
    pub fn issue_server(&self, names: &[ServerName], validity: Validity) -> Result<Credentials, Error> {
        let common_name = names.first().map_or_else(|| "ldop".to_owned(), ToString::to_string);
        let sans = names.iter().map(ServerName::san).collect::<Result<_, _>>()?;
        self.issue(&common_name, sans, ExtendedKeyUsagePurpose::ServerAuth, validity)
    }

    /// Issues a client certificate that names the identity.
    ///
    /// # Errors
    ///
    /// [`Error::Make`]
    pub fn issue_client(
        &self,
        identity: &Identity,
        trust_domain: &str,
        validity: Validity,
    ) -> Result<Credentials, Error> {
        self.issue_client_with_uris(&identity.to_string(), &[identity.uri(trust_domain)], validity)
    }

    /// Issues a client certificate with any URI SANs: none, several, or such as no hub accepts. For tests of refusal.
    ///
    /// # Errors
    ///
    /// [`Error::Make`]; [`Error::Identity`] for a URI that is not ASCII.
    pub fn issue_client_with_uris(
        &self,
        common_name: &str,
        uris: &[String],
        validity: Validity,
    ) -> Result<Credentials, Error> {
        let san = |uri: &String| {
            let ascii = uri
                .as_str()
                .try_into()
                .map_err(|_| Error::Identity { text: uri.clone(), expected: "a URI in ASCII" })?;
            Ok(SanType::URI(ascii))
        };
        let sans = uris.iter().map(san).collect::<Result<_, Error>>()?;
        self.issue(common_name, sans, ExtendedKeyUsagePurpose::ClientAuth, validity)
    }

    fn issue(
        &self,
        common_name: &str,
        sans: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        validity: Validity,
    ) -> Result<Credentials, Error> {
        let key = new_key()?;
        let mut params = parameters(common_name, validity);
        params.subject_alt_names = sans;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|source| Error::Make { what: "the certificate", source })?;
        Ok(Credentials { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| Error::Make { what: "the key", source })
}

fn parameters(common_name: &str, validity: Validity) -> CertificateParams {
    // RFC 5280 bounds a common name to 64 characters; what counts stands in the SAN.
    let common_name: String = common_name.chars().take(64).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "LDOP development");
    params.not_before = validity.not_before.into();
    params.not_after = validity.not_after.into();
    params
}

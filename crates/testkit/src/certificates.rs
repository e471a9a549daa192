//! Certificates made for the run.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A certificate authority that lives as long as the test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its private key, both PEM (the key PKCS#8).
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// Makes an authority; `name` is its common name.
    ///
    /// # Errors
    ///
    /// When the key cannot be made or the certificate not signed.
    pub fn new(name: &str) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for a server on the loopback address (127.0.0.1 and localhost).
    ///
    /// # Errors
    ///
    /// When the key cannot be made or the certificate not signed.
    pub fn server(&self) -> Result<Issued, rcgen::Error> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        self.issue(CertificateParams::new(names)?, "localhost", ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a certificate for a client with this common name.
    ///
    /// # Errors
    ///
    /// When the key cannot be made or the certificate not signed.
    pub fn client(&self, name: &str) -> Result<Issued, rcgen::Error> {
        self.issue(CertificateParams::new([])?, name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Issued, rcgen::Error> {
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

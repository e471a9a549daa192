//! Who a peer is.
//!
//! A client certificate carries exactly one URI SAN of SPIFFE form (SPIFFE ID, section 2):
//! `spiffe://<trust domain>/agency/<agency>/system/<system>` for a department system, or
//! `spiffe://<trust domain>/agency/<agency>/<role>/<name>` for a person or tool, the role one of [`Role`]'s words.

use std::fmt;

use ldop_types::{Person, Reason, Role, SystemId};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A department system.
    System(SystemId),
    /// A person or tool of an agency, in a role.
    Person(Person),
}

impl Identity {
    /// Parses a URI SAN.
    #[must_use]
    pub fn parse(uri: &str, trust_domain: &str) -> Option<Self> {
        let path = uri.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?.strip_prefix("/agency/")?;
        let mut words = path.split('/');
        let (agency, kind, name) = (words.next()?, words.next()?, words.next()?);
        if words.next().is_some() {
            return None;
        }
        let id = format!("{agency}/{name}");
        match kind {
            "system" => SystemId::parse(&id).ok().map(Self::System),
            role => Person::new(Role::parse(role)?, &id).ok().map(Self::Person),
        }
    }

    /// Reads the identity of a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`Reason::CertificateWithoutIdentity`]: no URI SAN, several, or one of another form or trust domain.
    pub fn of_certificate(der: &[u8], trust_domain: &str) -> Result<Self, Reason> {
        let none = Reason::CertificateWithoutIdentity;
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).map_err(|_| none)?;
        let names = certificate.subject_alternative_name().map_err(|_| none)?.ok_or(none)?;
        let mut uris = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        match (uris.next(), uris.next()) {
            (Some(uri), None) => Self::parse(uri, trust_domain).ok_or(none),
            _ => Err(none),
        }
    }

    /// The system, if it is one.
    ///
    /// # Errors
    ///
    /// [`Reason::SystemUnknown`]: a person is no department system.
    pub fn system(&self) -> Result<&SystemId, Reason> {
        match self {
            Self::System(system) => Ok(system),
            Self::Person(_) => Err(Reason::SystemUnknown),
        }
    }

    /// The person, if it is one.
    ///
    /// # Errors
    ///
    /// [`Reason::NotAnOperator`]: a department system holds no role.
    pub fn person(&self) -> Result<&Person, Reason> {
        match self {
            Self::Person(person) => Ok(person),
            Self::System(_) => Err(Reason::NotAnOperator),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(system) => write!(f, "system {system}"),
            Self::Person(person) => person.fmt(f),
        }
    }
}

/// When a certificate in DER ends, seconds since 1970; `None` when it cannot be read.
#[must_use]
pub fn not_after(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_one_uri_of_the_trust_domain() {
        let parse = |uri: &str| Identity::parse(uri, "ldop.example").map(|i| i.to_string());
        assert_eq!(parse("spiffe://ldop.example/agency/so-y-te/system/his"), Some("system so-y-te/his".into()));
        assert_eq!(parse("spiffe://ldop.example/agency/so-khcn/operator/an"), Some("operator so-khcn/an".into()));
        for role in Role::ALL {
            let uri = format!("spiffe://ldop.example/agency/so-khcn/{role}/an");
            assert_eq!(parse(&uri), Some(format!("{role} so-khcn/an")));
        }
        for bad in [
            "spiffe://other.example/agency/so-y-te/system/his",
            "spiffe://ldop.example.evil/agency/so-y-te/system/his",
            "https://ldop.example/agency/so-y-te/system/his",
            "spiffe://ldop.example/agency/so-y-te/system/his/more",
            "spiffe://ldop.example/agency/so-y-te/system/",
            "spiffe://ldop.example/agency//system/his",
            "spiffe://ldop.example/agency/So-Y-Te/system/his",
            "spiffe://ldop.example/agency/so-y-te/robot/his",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

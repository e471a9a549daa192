//! Who a certificate names.

use std::fmt;

use ldop_types::{AgencyId, Person, Role, SystemId};

use crate::Error;

/// Trust domain where none is configured. RFC 2606 keeps `.example` from ever being a real one.
pub const DEVELOPMENT_TRUST_DOMAIN: &str = "ldop.gialai.example";

/// Whether a text is a trust domain: 1-255 chars of a-z, 0-9, '.', '_' and '-' (SPIFFE ID 2.1).
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// Who a client certificate names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// A department system.
    System(SystemId),
    /// A person or tool of an agency, in a role.
    Person(Person),
}

impl Identity {
    /// Takes a system from `<agency>/<system>`.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`]
    pub fn system(text: &str) -> Result<Self, Error> {
        SystemId::parse(text)
            .map(Self::System)
            .map_err(|error| Error::Identity { text: text.to_owned(), expected: error.expected })
    }

    /// Takes an operator from `<agency>/<name>`.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`]
    pub fn operator(text: &str) -> Result<Self, Error> {
        Self::person(Role::Operator, text)
    }

    /// Takes a person or tool in a role from `<agency>/<name>`.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`]
    pub fn person(role: Role, text: &str) -> Result<Self, Error> {
        Person::new(role, text)
            .map(Self::Person)
            .map_err(|error| Error::Identity { text: text.to_owned(), expected: error.expected })
    }

    /// Parses a URI of the trust domain.
    ///
    /// # Errors
    ///
    /// [`Error::Identity`] for another trust domain or path.
    pub fn parse_uri(uri: &str, trust_domain: &str) -> Result<Self, Error> {
        let error = || Error::Identity {
            text: uri.to_owned(),
            expected: "spiffe://<trust domain>/agency/<agency>/system/<system> or .../<role>/<name>",
        };
        let path = uri
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(trust_domain))
            .and_then(|rest| rest.strip_prefix("/agency/"))
            .ok_or_else(error)?;
        let mut segments = path.split('/');
        let (agency, kind, name) = (segments.next(), segments.next(), segments.next());
        match (agency, kind, name, segments.next()) {
            (Some(agency), Some("system"), Some(name), None) => Self::system(&format!("{agency}/{name}")),
            (Some(agency), Some(role), Some(name), None) => {
                Self::person(Role::parse(role).ok_or_else(error)?, &format!("{agency}/{name}"))
            }
            _ => Err(error()),
        }
    }

    /// The URI that stands in the certificate.
    #[must_use]
    pub fn uri(&self, trust_domain: &str) -> String {
        let agency = self.agency();
        let kind = self.kind();
        format!("spiffe://{trust_domain}/agency/{agency}/{kind}/{}", self.name())
    }

    /// "system", or the word of the role.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::System(_) => "system",
            Self::Person(person) => person.role.as_str(),
        }
    }

    /// The agency.
    #[must_use]
    pub fn agency(&self) -> AgencyId {
        match self {
            Self::System(system) => system.agency(),
            Self::Person(person) => person.agency.clone(),
        }
    }

    /// The name within the agency.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::System(system) => system.as_str().split_once('/').map_or("", |(_, name)| name),
            Self::Person(person) => person.name(),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.agency(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_and_its_uri_are_the_same_thing() {
        let people = Role::ALL.map(|role| Identity::person(role, "so-khcn/an-nguyen"));
        for identity in people.into_iter().chain([Identity::system("so-tu-phap/ho-tich")]) {
            let identity = identity.expect("good identity");
            let uri = identity.uri(DEVELOPMENT_TRUST_DOMAIN);
            assert_eq!(Identity::parse_uri(&uri, DEVELOPMENT_TRUST_DOMAIN).expect("good uri"), identity);
        }
    }

    #[test]
    fn other_uris_name_nobody() {
        for uri in [
            "",
            "https://ldop.gialai.example/agency/a/system/b",
            "spiffe://other.example/agency/a/system/b",
            "spiffe://ldop.gialai.example.evil/agency/a/system/b",
            "spiffe://ldop.gialai.example/agency/a/system/b/c",
            "spiffe://ldop.gialai.example/agency/a/system",
            "spiffe://ldop.gialai.example/agency/a/admin/b",
            "spiffe://ldop.gialai.example/agency//system/b",
            "spiffe://ldop.gialai.example/agency/A/system/b",
            "spiffe://ldop.gialai.example/agency/a/system/b?x",
        ] {
            assert!(Identity::parse_uri(uri, DEVELOPMENT_TRUST_DOMAIN).is_err(), "{uri}");
        }
    }
}

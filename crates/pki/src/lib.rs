//! A development PKI: an authority, a server certificate for the hub, and client certificates whose one URI SAN names
//! who the caller is.
//!
//! It makes what `ldop pki`, the demo and the tests need, down to certificates that must be refused (expired, without
//! an identity, of another authority). A province in production uses its own authority; nothing in the hub asks where
//! a certificate was made. Not here: renewal, hardware keys.
//!
//! - [`identity`]: who a certificate names, as `spiffe://<trust domain>/agency/<agency>/system/<system>`.
//! - [`authority`]: makes keys and certificates in memory.
//! - [`revocation`]: lists of certificates that are no good any more.
//! - [`folder`]: keeps them as PEM files, keys readable by their owner only and never overwritten unasked.
//! - [`inspect`]: tells what a PEM file holds and whether a key belongs to a certificate.

pub mod authority;
pub mod folder;
pub mod identity;
pub mod inspect;
pub mod revocation;

pub use authority::{Authority, Credentials, ServerName, Validity};
pub use folder::{Folder, Issued, Overwrite};
pub use identity::{DEVELOPMENT_TRUST_DOMAIN, Identity, is_trust_domain};
pub use inspect::{CertificateInfo, certificates, key_matches};
pub use revocation::{RevocationList, Revoked};

/// Why something of the PKI failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An identity is not well-formed.
    #[error("identity {text:?} is not {expected}")]
    Identity {
        /// What was given.
        text: String,
        /// The expected form.
        expected: &'static str,
    },
    /// A name of a server is neither a DNS name nor an IP address.
    #[error("server name {0:?} is neither a DNS name nor an IP address")]
    ServerName(String),
    /// A key or certificate could not be made.
    #[error("make {what}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// The cause.
        source: rcgen::Error,
    },
    /// A PEM text holds no certificate or key, or a broken one.
    #[error("{what} is not well-formed PEM of {expected}")]
    Pem {
        /// Which text, such as a file's path.
        what: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A file exists and must not be overwritten.
    #[error("{} exists already", .0.display())]
    Exists(std::path::PathBuf),
    /// A certificate is not of this authority, so it cannot revoke it.
    #[error("{} is of another authority", .0.display())]
    Stranger(std::path::PathBuf),
    /// A file cannot be read or written.
    #[error("{action} {}", .path.display())]
    File {
        /// "read", "write", "make folder".
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

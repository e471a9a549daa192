//! Certificates of callers (DER, after the handshake) and PEM files of operators.

use ldop_gateway::{Identity, identity::not_after};
use ldop_types::Reason;

use crate::ids::DOMAIN;

pub(crate) fn run(data: &[u8]) {
    match Identity::of_certificate(data, DOMAIN) {
        Ok(identity) => assert!(!identity.to_string().is_empty()),
        Err(reason) => assert_eq!(reason, Reason::CertificateWithoutIdentity),
    }
    let _ = not_after(data);
    if let Ok(infos) = ldop_pki::certificates(data, "fuzz") {
        assert!(!infos.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ldop_pki::key_matches(data, text);
    }
}

/// Certificates of the development PKI, of a throw-away authority: a system, an operator, a server with names and
/// addresses, and one as PEM.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        include_bytes!("../seeds/system.der").to_vec(),
        include_bytes!("../seeds/operator.der").to_vec(),
        include_bytes!("../seeds/server.der").to_vec(),
        include_bytes!("../seeds/system.pem").to_vec(),
    ]
}

//! Names and secrets for clients that have no certificate.
//!
//! A file lists them, each with who it is in the hub and the SHA-256 of its secret. Secrets are random, 256 bits, made by
//! `ldop registry credential`; nobody chooses them, so a plain hash tells nothing about one.

use std::{collections::HashMap, path::Path};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use ldop_types::{Person, Role, SystemId};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::Identity;

/// Longest name.
const MAX_NAME: usize = 100;

/// Names, the hashes of their secrets, and who they are.
#[derive(Debug, Default)]
pub struct Credentials(HashMap<String, (Vec<u8>, Identity)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    credential: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    operator: Option<String>,
    engineer: Option<String>,
    steward: Option<String>,
    auditor: Option<String>,
    system: Option<String>,
    secret_sha256: String,
}

impl Credentials {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut known = HashMap::new();
        for (at, entry) in file.credential.into_iter().enumerate() {
            let wrong = |what: &str| format!("credential {}: {what}", at + 1);
            let fits = |c: char| !c.is_control() && c != ':';
            if entry.name.is_empty() || entry.name.len() > MAX_NAME || !entry.name.chars().all(fits) {
                return Err(wrong("name must be 1-100 bytes without ':' and control characters"));
            }
            let roles = [
                (Role::Operator, &entry.operator),
                (Role::Engineer, &entry.engineer),
                (Role::Steward, &entry.steward),
                (Role::Auditor, &entry.auditor),
            ];
            let people = roles.iter().filter_map(|(role, id)| Some((Some(*role), id.as_deref()?)));
            let mut named = people.chain(entry.system.as_deref().map(|id| (None, id)));
            let identity = match (named.next(), named.next()) {
                (Some((Some(role), id)), None) => Person::new(role, id).ok().map(Identity::Person),
                (Some((None, id)), None) => SystemId::parse(id).ok().map(Identity::System),
                _ => None,
            };
            let identity = identity.ok_or_else(|| {
                wrong(
                    "needs either a role, such as operator = \"<agency>/<name>\" (or engineer, steward, auditor), or system = \
                     \"<agency>/<system>\"",
                )
            })?;
            let digest = unhex(&entry.secret_sha256)
                .ok_or_else(|| wrong("secret_sha256 must be the SHA-256 of the secret, 64 hexadecimal digits"))?;
            if known.insert(entry.name, (digest, identity)).is_some() {
                return Err(wrong("the name stands twice"));
            }
        }
        Ok(Self(known))
    }

    /// Number of credentials.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who the headers prove to be (RFC 7617).
    pub(super) fn identify(&self, headers: &HeaderMap) -> Option<Identity> {
        let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
        let (name, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
        let (digest, identity) = self.0.get(name)?;
        // Who guesses cannot steer the hash, so the time this takes tells nothing.
        (Sha256::digest(secret.as_bytes())[..] == digest[..]).then(|| identity.clone())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().expect("a header"))])
    }

    #[test]
    fn only_the_right_secret_opens() {
        let digest: String = Sha256::digest(b"s3cret:x").iter().map(|b| format!("{b:02x}")).collect();
        let text =
            format!("[[credential]]\nname = \"connect\"\noperator = \"so-khcn/connect\"\nsecret_sha256 = \"{digest}\"");
        let credentials = Credentials::parse(&text).expect("a good file");
        let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
        let who = |value: &str| credentials.identify(&headers(value)).map(|identity| identity.to_string());
        assert_eq!(who(&basic("connect:s3cret:x")), Some("operator so-khcn/connect".into()));
        assert_eq!(who(&basic("connect:s3cret:x").replace("Basic", "basic")), Some("operator so-khcn/connect".into()));
        for bad in ["connect:s3cret", "connect:", "connect", "other:s3cret:x", ""] {
            assert_eq!(who(&basic(bad)), None, "{bad}");
        }
        for bad in ["Bearer abc", "Basic", "Basic !!!", "Basic /w=="] {
            assert_eq!(who(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bad_file_is_told() {
        let entry = |lines: &str| format!("[[credential]]\n{lines}\n");
        let hash = "0".repeat(64);
        for (lines, word) in [
            (format!("name = \"a:b\"\noperator = \"a/b\"\nsecret_sha256 = \"{hash}\""), "name"),
            (format!("name = \"a\"\nsecret_sha256 = \"{hash}\""), "operator"),
            (format!("name = \"a\"\noperator = \"a/b\"\nsystem = \"a/b\"\nsecret_sha256 = \"{hash}\""), "either"),
            ("name = \"a\"\noperator = \"a/b\"\nsecret_sha256 = \"secret\"".into(), "SHA-256"),
            (format!("name = \"a\"\nrole = \"x\"\nsecret_sha256 = \"{hash}\""), "role"),
        ] {
            let error = Credentials::parse(&entry(&lines)).expect_err("refused");
            assert!(error.contains(word), "{error}");
        }
    }
}

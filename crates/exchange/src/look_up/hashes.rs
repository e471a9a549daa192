//! Keyed hashes: what an event tells of a key, an officer or a case.
//!
//! A bare hash of a number of twelve digits is undone by trying all of them. So each is keyed with the hub's
//! [secret](crate::secret). Equal things have equal hashes for as long as it lives, and nobody without it can try numbers.

use ring::hmac;

use crate::secret::Secret;

/// Hashes with a key of the hub.
#[derive(Clone)]
pub struct Hashes(hmac::Key);

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashes(key)")
    }
}

impl Hashes {
    /// Hashes with a key of their own, of this secret.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &secret.key("look-up", "")))
    }

    /// The hash of a value within a use and a scope.
    #[must_use]
    pub fn of(&self, what: &str, scope: &str, value: &[u8]) -> Vec<u8> {
        let mut mac = hmac::Context::with_key(&self.0);
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(scope.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.sign().as_ref().to_vec()
    }

    /// The same, or nothing for an empty value.
    #[must_use]
    pub fn of_told(&self, what: &str, scope: &str, value: &str) -> Vec<u8> {
        if value.is_empty() { Vec::new() } else { self.of(what, scope, value.as_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret;

    #[test]
    fn hashes_stay_the_same_across_starts_and_differ_by_use_scope_and_secret() {
        let (one, other) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let open = |dir: &tempfile::TempDir| Hashes::new(&Secret::open(&dir.path().join(secret::FILE)).expect("made"));
        let (first, again) = (open(&one), open(&one));
        let hash = first.of("key", "births", b"052326004817");
        assert_eq!(hash, again.of("key", "births", b"052326004817"));
        assert_ne!(hash, first.of("officer", "births", b"052326004817"));
        assert_ne!(hash, first.of("key", "deaths", b"052326004817"));
        assert_ne!(hash, open(&other).of("key", "births", b"052326004817"));
        assert!(first.of_told("case", "births", "").is_empty());
    }
}

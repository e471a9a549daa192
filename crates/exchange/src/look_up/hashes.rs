//! Keyed hashes: what an event tells of a key, an officer or a case.
//!
//! A bare hash of a number of twelve digits is undone by trying all of them. So each is keyed with a secret of the hub: 32
//! random bytes in a file that only its user reads, made at the first start. Equal things have equal hashes for as long
//! as the file lives, and nobody without it can try numbers. A lost file costs that comparison and nothing else.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const SECRET_BYTES: usize = 32;
const SECRET_FILE: &str = "secret";

/// Hashes with the hub's secret.
#[derive(Clone)]
pub struct Hashes(Hmac<Sha256>);

impl std::fmt::Debug for Hashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashes(secret)")
    }
}

impl Hashes {
    /// Reads the secret in a folder, or makes it.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, is of another length, or others than its user may read it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(SECRET_FILE);
        match OpenOptions::new().read(true).open(&path) {
            Ok(mut file) => {
                if file.metadata()?.permissions().mode() & 0o077 != 0 {
                    return Err(io::Error::other("the secret may be read by others than its user: chmod 600"));
                }
                let mut secret = Vec::with_capacity(SECRET_BYTES);
                file.read_to_end(&mut secret)?;
                if secret.len() != SECRET_BYTES {
                    return Err(io::Error::other("the secret is damaged; without the file a new one is made"));
                }
                Ok(Self::new(&secret))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret: [u8; SECRET_BYTES] = rand::random();
                let temporary = dir.join("secret.tmp");
                let mut file =
                    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
                file.write_all(&secret)?;
                file.sync_all()?;
                fs::rename(&temporary, &path)?;
                fs::File::open(dir)?.sync_all()?;
                Ok(Self::new(&secret))
            }
            Err(error) => Err(error),
        }
    }

    fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The hash of a value within a use and a scope.
    #[must_use]
    pub fn of(&self, what: &str, scope: &str, value: &[u8]) -> Vec<u8> {
        let mut mac = self.0.clone();
        mac.update(what.as_bytes());
        mac.update(&[0]);
        mac.update(scope.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        mac.finalize().into_bytes().to_vec()
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

    #[test]
    fn hashes_stay_the_same_across_starts_and_differ_by_use_scope_and_secret() {
        let (one, other) = (tempfile::tempdir().expect("folder"), tempfile::tempdir().expect("folder"));
        let first = Hashes::open(one.path()).expect("made");
        let again = Hashes::open(one.path()).expect("read");
        let hash = first.of("key", "births", b"052326004817");
        assert_eq!(hash, again.of("key", "births", b"052326004817"));
        assert_ne!(hash, first.of("officer", "births", b"052326004817"));
        assert_ne!(hash, first.of("key", "deaths", b"052326004817"));
        assert_ne!(hash, Hashes::open(other.path()).expect("made").of("key", "births", b"052326004817"));
        assert!(first.of_told("case", "births", "").is_empty());
        let mode = fs::metadata(one.path().join(SECRET_FILE)).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_secret_that_others_may_read_or_that_is_cut_short_is_refused() {
        let dir = tempfile::tempdir().expect("folder");
        Hashes::open(dir.path()).expect("made");
        let path = dir.path().join(SECRET_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
        Hashes::open(dir.path()).expect_err("readable by others");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        fs::write(&path, b"short").expect("write");
        Hashes::open(dir.path()).expect_err("cut short");
    }
}

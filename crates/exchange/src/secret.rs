//! The hub's secret: keys that are the hub's own are derived from it.
//!
//! A file of 64 hex digits that only its owner may read, made at the first start. Keyed hashes stay the same only while it
//! does, so every node that may take over needs the same file.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use ring::hmac;

/// Name of the file in the data folder.
pub const FILE: &str = "hub-secret";
const BYTES: usize = 32;

/// The secret. Prints nothing of itself.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads the secret, making it where there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, holds something else, or may be read by others.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => make(path)?,
            Err(other) => return Err(other),
        };
        if is_open_to_others(path)? {
            let message = "may be read or written by others than its owner (chmod 600)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        let digits = text.trim().as_bytes();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
        match bytes.filter(|_| digits.len() == 2 * BYTES && digits.iter().all(u8::is_ascii_hexdigit)) {
            Some(bytes) => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            None => {
                let message = format!("holds something else than {} hex digits", 2 * BYTES);
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }

    /// The key for one use: different for each `label` and `name`.
    #[must_use]
    pub fn key(&self, label: &str, name: &str) -> [u8; BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(name.as_bytes());
        let mut key = [0; BYTES];
        key.copy_from_slice(context.sign().as_ref());
        key
    }

    /// What tells this secret from others, without telling it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; BYTES] {
        self.key("fingerprint", "")
    }
}

fn make(path: &Path) -> io::Result<String> {
    let mut text = rand::random::<[u8; BYTES]>().iter().fold(String::new(), |mut text, byte| {
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    });
    text.push('\n');
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Whole or not at all: a start that is cut short leaves no half of it.
    let temporary = path.with_file_name(format!("{FILE}.tmp"));
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(dir) = path.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(text)
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_gives_a_key_for_each_use() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(FILE);
        let made = Secret::open(&path).expect("made");
        let read = Secret::open(&path).expect("read");
        assert_eq!(made.key("mask", "a"), read.key("mask", "a"));
        assert_ne!(made.key("mask", "a"), made.key("mask", "b"));
        assert_ne!(made.key("mask", "a"), made.key("other", "a"));
        let other = tempfile::tempdir().expect("folder");
        let other = Secret::open(&other.path().join(FILE)).expect("made");
        assert_ne!(made.key("mask", "a"), other.key("mask", "a"));
        assert_eq!(format!("{made:?}"), "Secret");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_is_spoilt_or_open_to_others_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join(FILE);
        Secret::open(&path).expect("made");
        let good = fs::read_to_string(&path).expect("readable");
        for bad in ["", "xyz", &good[..40], &good.replace(&good[..1], "g"), &format!("{}00", good.trim())] {
            fs::write(&path, bad).expect("writable");
            assert_eq!(Secret::open(&path).expect_err("spoilt").kind(), io::ErrorKind::InvalidData);
        }
        fs::write(&path, &good).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("settable");
        assert_eq!(Secret::open(&path).expect_err("open").kind(), io::ErrorKind::PermissionDenied);
    }
}

//! How records are named and sealed in the files of current copies.
//!
//! A file never holds a record key, nor a secondary key: it holds their **names**, HMAC-SHA-256 cut to 16 bytes, under a key
//! of the file's own. So nobody can choose keys whose names meet, and what stands under a name is checked all the same.
//!
//! A row's body is sealed together with its name and its place on the log: with a CRC-32C, or, where the dataset holds
//! personal data, with AES-256-GCM under a key that is made from the key file, the file's salt and the topic. A row that was
//! altered, or stands where another should, does not open.

use std::{fmt, fs, io, path::Path};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hkdf, hmac,
};

/// Bytes of a key file's key.
const KEY_BYTES: usize = 32;
/// Bytes of the CRC behind a body that is not encrypted.
const CRC_BYTES: usize = 4;

/// What stands for a record key or a secondary key in a file.
pub(super) type Name = [u8; 16];
/// Random bytes that make the keys of a file its own.
pub(super) type Salt = [u8; 32];

/// The key of the key file. Prints nothing of itself.
#[derive(Clone)]
pub struct CopyKey([u8; KEY_BYTES]);

impl fmt::Debug for CopyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CopyKey(…)")
    }
}

/// Why a key file cannot be used. Tells nothing of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// A secret that others on the machine can read is no secret.
    #[error("is open to everybody (mode {mode:04o})")]
    OpenToEverybody {
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error("does not hold 32 bytes as 64 hexadecimal digits or 44 characters of base64")]
    Form,
}

impl CopyKey {
    /// A key of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads a key file: 32 bytes in hexadecimal or base64, white space around them left out.
    ///
    /// # Errors
    ///
    /// See [`KeyFileError`].
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => KeyFileError::Form,
            _ => KeyFileError::Unreadable(error),
        })?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o777;
            if mode & 0o007 != 0 {
                return Err(KeyFileError::OpenToEverybody { mode });
            }
        }
        Self::parse(text.trim()).ok_or(KeyFileError::Form)
    }

    fn parse(text: &str) -> Option<Self> {
        use base64::Engine as _;
        let bytes = if text.len() == 2 * KEY_BYTES {
            let digits: Option<Vec<u8>> =
                text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
            digits?.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
        } else {
            base64::engine::general_purpose::STANDARD.decode(text).ok()?
        };
        bytes.try_into().ok().map(Self)
    }

    /// What tells this key from others in a file, without telling it.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), b"ldop current copy: which key");
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// Names and seals what one file holds.
pub(super) struct Sealer {
    names: hmac::Key,
    /// None where bodies are not encrypted.
    bodies: Option<LessSafeKey>,
}

impl Sealer {
    /// The keys of a file; with a key, bodies are encrypted.
    pub(super) fn new(key: Option<&CopyKey>, salt: &Salt, topic: &str) -> Self {
        let material = key.map_or(&salt[..], |key| &key.0);
        let made = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(material);
        let expect = "one output block";
        let info = [b"ldop current copy: names", topic.as_bytes()];
        let names = made.expand(&info, hmac::HMAC_SHA256).expect(expect).into();
        let info = [b"ldop current copy: bodies".as_slice(), topic.as_bytes()];
        let bodies = key.map(|_| LessSafeKey::new(UnboundKey::from(made.expand(&info, &AES_256_GCM).expect(expect))));
        Self { names, bodies }
    }

    /// The name of a key; `of` is 0 for record keys, else one more than the number of the secondary key.
    pub(super) fn name(&self, of: u8, key: &[u8]) -> Name {
        let mut context = hmac::Context::with_key(&self.names);
        context.update(&[of]);
        context.update(key);
        context.sign().as_ref()[..size_of::<Name>()].try_into().expect("16 of 32 bytes")
    }

    /// Seals what stands behind `start`, the body of a row, where it stands.
    pub(super) fn seal(&self, name: &Name, place: i64, buffer: &mut Vec<u8>, start: usize) {
        match &self.bodies {
            None => {
                let crc = crc(name, place, &buffer[start..]);
                buffer.extend_from_slice(&crc);
            }
            Some(key) => {
                // Random: the same place may be written again after a crash, with another body if the log is another.
                let nonce: [u8; NONCE_LEN] = rand::random();
                let sealed = key.seal_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(beside(name, place)),
                    &mut buffer[start..],
                );
                let tag = sealed.expect("a body is shorter than AES-GCM allows");
                buffer.extend_from_slice(tag.as_ref());
                buffer.extend_from_slice(&nonce);
            }
        }
    }

    /// The body of a row; none where it is not what was sealed under this name and place.
    pub(super) fn open<'b>(&self, name: &Name, place: i64, sealed: &'b mut [u8]) -> Option<&'b mut [u8]> {
        match &self.bodies {
            None => {
                let (body, found) = sealed.split_at_mut_checked(sealed.len().checked_sub(CRC_BYTES)?)?;
                (crc(name, place, body) == *found).then_some(body)
            }
            Some(key) => {
                let (sealed, nonce) = sealed.split_at_mut_checked(sealed.len().checked_sub(NONCE_LEN)?)?;
                let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
                key.open_in_place(nonce, Aad::from(beside(name, place)), sealed).ok()
            }
        }
    }
}

fn beside(name: &Name, place: i64) -> [u8; 24] {
    let mut beside = [0; 24];
    beside[..16].copy_from_slice(name);
    beside[16..].copy_from_slice(&place.to_le_bytes());
    beside
}

fn crc(name: &Name, place: i64, body: &[u8]) -> [u8; CRC_BYTES] {
    crc32c::crc32c_append(crc32c::crc32c(&beside(name, place)), body).to_le_bytes()
}

/// The beginning of SHA-256 over some parts.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_opens_only_under_its_own_name_and_place_and_unaltered() {
        for key in [None, Some(CopyKey::new([3; 32]))] {
            let sealer = Sealer::new(key.as_ref(), &[1; 32], "ldop.live.d");
            let (name, other) = (sealer.name(0, b"key"), sealer.name(1, b"key"));
            assert_ne!(name, other, "a secondary key is named otherwise");
            let mut buffer = b"before".to_vec();
            buffer.extend_from_slice(b"the body");
            sealer.seal(&name, 7, &mut buffer, 6);
            let sealed = buffer.split_off(6);
            assert_eq!(buffer, b"before");
            let open =
                |name, place, mut sealed: Vec<u8>| sealer.open(name, place, &mut sealed).map(|body| body.to_vec());
            assert_eq!(open(&name, 7, sealed.clone()).as_deref(), Some(&b"the body"[..]));
            assert_eq!(open(&other, 7, sealed.clone()), None);
            assert_eq!(open(&name, 8, sealed.clone()), None);
            for at in 0..sealed.len() {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert_eq!(open(&name, 7, altered), None, "byte {at}");
                assert_eq!(open(&name, 7, sealed[..at].to_vec()), None, "cut at {at}");
            }
            let another = Sealer::new(key.as_ref(), &[2; 32], "ldop.live.d");
            assert_ne!(another.name(0, b"key"), name, "each file names for itself");
        }
    }

    #[test]
    fn a_key_file_holds_32_bytes_in_one_of_two_ways_and_is_not_open_to_everybody() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("copy.key");
        let read = |text: &str, mode| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            CopyKey::read(&path)
        };
        let hex = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
        let base64 = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
        let keys = [hex, base64, "  AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n"];
        for text in keys {
            let key = read(text, 0o640).expect("a key");
            assert_eq!(key.0[..3], [1, 2, 3]);
            assert_eq!(format!("{key:?}"), "CopyKey(…)");
        }
        for text in ["", "0102", &hex[1..], &base64[1..], &hex.replace('a', "g")] {
            assert!(matches!(read(text, 0o600), Err(KeyFileError::Form)), "{text}");
        }
        assert!(matches!(read(hex, 0o604), Err(KeyFileError::OpenToEverybody { mode: 0o604 })));
        assert!(matches!(CopyKey::read(dir.path()), Err(KeyFileError::Unreadable(_))));
    }
}

//! Exchange ids that are the same when the same file is published again.
//!
//! An id must be a UUIDv7 made within the hub's window, and must not give the record away: a bare hash of a record that
//! holds a 12-digit personal id could be found by trying all of them. So the id is SHA-256 over a random secret and the
//! record, cut to the 74 free bits of a UUIDv7, with the time of the first run as its time. Secret and time are kept in
//! a file of their own beside the input, written durably before the first record is sent.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use ldop_types::{ExchangeId, TimestampMs};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{failure::Failure, output::hex};

const SECRET_BYTES: usize = 32;

/// What the file beside the input holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// What this is, for whoever finds it.
    about: String,
    /// When the file was first published, milliseconds since 1970-01-01 UTC.
    first_published_ms: i64,
    /// Secret of the ids, hexadecimal.
    secret: String,
}

const ABOUT: &str =
    "exchange ids of `ldop publish`; keep it beside the file as long as the file may be published again";

/// Makes the ids of one input.
pub(super) struct Ids {
    first_published: TimestampMs,
    secret: Vec<u8>,
    /// How often each record has come, so that identical lines have ids of their own. About 40 bytes for each record.
    seen: HashMap<[u8; 16], u32>,
}

/// The file of an input: the one named, or `<input>.ldop-publish`.
pub(super) fn state_file(input: &Path, named: Option<&Path>) -> PathBuf {
    named.map_or_else(
        || {
            let mut name = input.as_os_str().to_owned();
            name.push(".ldop-publish");
            PathBuf::from(name)
        },
        Path::to_owned,
    )
}

impl Ids {
    /// Ids that nobody can make again.
    pub(super) fn fresh() -> Self {
        Self { first_published: TimestampMs::now(), secret: new_secret(), seen: HashMap::new() }
    }

    /// Ids of an earlier run, or new ones that a later run will find.
    pub(super) fn kept(file: &Path, again: bool) -> Result<Self, Failure> {
        if !again && let Some(ids) = Self::read(file)? {
            return Ok(ids);
        }
        let ids = Self::fresh();
        ids.write(file)?;
        Ok(ids)
    }

    /// The id of a record. Call it for the records in the order of the input.
    pub(super) fn next(&mut self, payload: &[u8], event_time: Option<TimestampMs>, is_deletion: bool) -> ExchangeId {
        let mut hash = Sha256::new();
        hash.update(&self.secret);
        match event_time {
            Some(time) => hash.update(time.0.to_be_bytes()),
            None => hash.update([0; 1]),
        }
        if is_deletion {
            // No record's payload begins so: a deletion is never taken for a record that is its key and nothing else.
            hash.update([0xff]);
        }
        hash.update(payload);
        let digest: [u8; 32] = hash.finalize().into();
        let mut content = [0; 16];
        content.copy_from_slice(&digest[..16]);
        let times = self.seen.entry(content).or_insert(0);
        let number = *times;
        *times += 1;
        let mut random = [0; 10];
        if number == 0 {
            random.copy_from_slice(&digest[16..26]);
        } else {
            let mut hash = Sha256::new();
            hash.update(digest);
            hash.update(number.to_be_bytes());
            random.copy_from_slice(&hash.finalize()[..10]);
        }
        ExchangeId::from_parts(self.first_published, random)
    }

    fn read(file: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file("read", file)(error)),
        };
        let broken = || {
            Failure::Usage(format!(
                "{} does not hold the exchange ids of an earlier run; name another file by --state, or start anew by --again",
                file.display()
            ))
        };
        let stored: Stored = serde_json::from_str(&text).map_err(|_| broken())?;
        let secret = unhex(&stored.secret).filter(|secret| secret.len() == SECRET_BYTES).ok_or_else(broken)?;
        Ok(Some(Self { first_published: TimestampMs(stored.first_published_ms), secret, seen: HashMap::new() }))
    }

    /// Durably, and as a whole or not at all: without it an interrupted run could not be repeated.
    fn write(&self, file: &Path) -> Result<(), Failure> {
        let stored =
            Stored { about: ABOUT.to_owned(), first_published_ms: self.first_published.0, secret: hex(&self.secret) };
        let text = serde_json::to_string_pretty(&stored).map_err(|error| Failure::Internal(error.to_string()))?;
        let mut temporary = file.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut handle = options.open(&temporary).map_err(Failure::file("write", &temporary))?;
        handle
            .write_all(text.as_bytes())
            .and_then(|()| handle.sync_all())
            .map_err(Failure::file("write", &temporary))?;
        fs::rename(&temporary, file).map_err(Failure::file("write", file))?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Failure::file("write", folder))
    }
}

fn new_secret() -> Vec<u8> {
    rand::random::<[u8; SECRET_BYTES]>().to_vec()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_gets_the_same_ids_and_a_changed_line_another() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = state_file(&folder.path().join("births.jsonl"), None);
        let ids = |records: &[&str], again| {
            let mut ids = Ids::kept(&file, again).expect("writable");
            records.iter().map(|record| ids.next(record.as_bytes(), None, false)).collect::<Vec<_>>()
        };
        let first = ids(&["a", "b", "a", "c"], false);
        assert_eq!(first, ids(&["a", "b", "a", "c"], false), "repeated");
        assert_ne!(first[0], first[2], "identical lines are two records");
        let second = ids(&["a", "B", "a", "c", "d"], false);
        assert_eq!((second[0], second[2], second[3]), (first[0], first[2], first[3]));
        assert_ne!(second[1], first[1]);
        let third = ids(&["x", "c", "a", "a"], false);
        assert_eq!((third[1], third[2], third[3]), (first[3], first[0], first[2]), "lines may move");
        let anew = ids(&["a"], true);
        assert_ne!(anew[0], first[0]);
        assert_eq!(anew, ids(&["a"], false), "what --again made is kept");
    }

    #[test]
    fn the_event_time_belongs_to_the_record() {
        let mut ids = Ids::fresh();
        let without = ids.next(b"a", None, false);
        let with = ids.next(b"a", Some(TimestampMs(0)), false);
        assert_ne!(without, with);
        assert_ne!(ids.next(b"b", None, false), ids.next(b"b", None, true));
        assert_eq!(without.time(), with.time());
    }

    #[test]
    fn a_file_of_something_else_is_refused_not_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("x");
        for text in ["", "{}", "{\"about\":\"\",\"first_published_ms\":1,\"secret\":\"éé\"}"] {
            fs::write(&file, text).expect("writable");
            assert!(matches!(Ids::kept(&file, false), Err(Failure::Usage(_))), "{text}");
            assert_eq!(fs::read_to_string(&file).expect("readable"), text);
        }
    }
}

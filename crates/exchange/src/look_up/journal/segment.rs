//! A file of the journal: made at full length, filled from the front, deleted whole.
//!
//! Layout, little endian: 8 bytes of magic, then records on multiples of 8 bytes: `length u32, CRC-32C u32, sequence u64,
//! kind u8, body`. The CRC covers all of the record but itself. Zeros are the end. Writing into bytes that are there
//! already leaves the file's size and blocks alone, so that fdatasync has only data to write.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"LDOPLKJ1";
const SUFFIX: &str = "ldj";
const HEADER: usize = 4 + 4 + 8 + 1;
const ALIGN: usize = 8;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asks.
    Asked,
    /// What became of it.
    Answered,
    /// Everything up to the sequence in the body is on the log.
    Shipped,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Asked => 1,
            Self::Answered => 2,
            Self::Shipped => 3,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Asked),
            2 => Some(Self::Answered),
            3 => Some(Self::Shipped),
            _ => None,
        }
    }
}

/// A record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order of all records, from 1.
    pub sequence: u64,
    /// What it is.
    pub kind: Kind,
    /// An encoded event, or a sequence.
    pub body: Vec<u8>,
}

/// Bytes a record with such a body takes.
pub const fn size_of(body: usize) -> usize {
    (HEADER + body).next_multiple_of(ALIGN)
}

/// Appends a record.
pub fn encode(sequence: u64, kind: Kind, body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let length = u32::try_from(HEADER + body.len()).expect("records are far smaller than a file");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.push(kind.byte());
    out.extend_from_slice(body);
    let crc = checksum(&out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + size_of(body.len()), 0);
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[8..])
}

/// An open file.
#[derive(Debug)]
pub struct Segment {
    pub path: PathBuf,
    file: File,
    length: usize,
    /// Where the next record goes.
    at: usize,
}

impl Segment {
    /// Makes a file and its place in the folder durable.
    pub fn create(dir: &Path, number: u64, length: usize) -> io::Result<Self> {
        let path = dir.join(format!("{number:012}.{SUFFIX}"));
        let temporary = dir.join(format!("{number:012}.tmp"));
        let made = Self::fill(&temporary, length).and_then(|file| {
            fs::rename(&temporary, &path)?;
            File::open(dir)?.sync_all()?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Self { path, file, length, at: MAGIC.len() }),
            Err(error) => {
                // What there is of it would keep taking room on a disk that has none.
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    fn fill(path: &Path, length: usize) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(MAGIC)?;
        let mut left = length - MAGIC.len();
        while left > 0 {
            let chunk = left.min(ZEROS.len());
            file.write_all(&ZEROS[..chunk])?;
            left -= chunk;
        }
        file.sync_all()?;
        Ok(file)
    }

    /// Whether so many bytes go in.
    pub const fn has_room(&self, bytes: usize) -> bool {
        self.at + bytes <= self.length
    }

    /// Whether more than half of it is taken.
    pub const fn is_half_full(&self) -> bool {
        self.at > self.length / 2
    }

    /// Writes encoded records; they are durable after [`sync`](Self::sync).
    pub fn write(&mut self, records: &[u8]) -> io::Result<()> {
        self.file.write_all_at(records, self.at as u64)?;
        self.at += records.len();
        Ok(())
    }

    /// Makes everything written durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Files of a folder, oldest first; what a creation left half done is removed.
pub fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(SUFFIX) => found.push((number, path)),
            Some("tmp") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

/// Records of a file, and how many stretches of it were no records. A write that was cut off leaves one such stretch at
/// the end; nothing in it had been acknowledged. What is whole behind one is read all the same: to tell of an asking too
/// many does no harm.
pub fn read(bytes: &[u8]) -> (Vec<Record>, usize) {
    let (mut records, mut damaged, mut in_order) = (Vec::new(), 0, true);
    let mut at = if bytes.starts_with(MAGIC) { MAGIC.len() } else { 0 };
    while at + HEADER <= bytes.len() {
        match record_at(&bytes[at..]) {
            Some(record) => {
                at += size_of(record.body.len());
                records.push(record);
                in_order = true;
            }
            None => {
                if in_order && bytes[at..at + ALIGN] != [0; ALIGN] {
                    damaged += 1;
                    in_order = false;
                }
                at += ALIGN;
            }
        }
    }
    (records, damaged)
}

fn record_at(bytes: &[u8]) -> Option<Record> {
    let length = u32::from_le_bytes(bytes[..4].try_into().expect("4 bytes")) as usize;
    let record = bytes.get(..length).filter(|record| record.len() >= HEADER)?;
    let crc = u32::from_le_bytes(record[4..8].try_into().expect("4 bytes"));
    if crc != checksum(record) {
        return None;
    }
    let sequence = u64::from_le_bytes(record[8..16].try_into().expect("8 bytes"));
    Some(Record { sequence, kind: Kind::of(record[16])?, body: record[HEADER..].to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (MAGIC.to_vec(), Vec::new());
        for (index, body) in bodies.iter().enumerate() {
            starts.push(bytes.len());
            encode(index as u64 + 1, Kind::Asked, body, &mut bytes);
        }
        (bytes, starts)
    }

    proptest! {
        #[test]
        fn a_tail_cut_anywhere_loses_the_cut_record_and_no_other(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..8),
            cut in any::<proptest::sample::Index>(),
        ) {
            let (mut bytes, starts) = file(&bodies);
            let cut = cut.index(bytes.len());
            let length = bytes.len() + 64;
            // Bytes that end in zeros may be whole although they were cut.
            bytes.truncate(cut);
            bytes.resize(length, 0);
            let (records, _) = read(&bytes);
            let whole = starts.iter().enumerate().filter(|(at, start)| **start + HEADER + bodies[*at].len() <= cut).count();
            prop_assert!(records.len() >= whole, "{} of {whole}", records.len());
            for (at, record) in records.iter().enumerate() {
                prop_assert_eq!((record.sequence, &record.body), (at as u64 + 1, &bodies[at]));
            }
        }

        #[test]
        fn a_damaged_byte_costs_its_record_alone(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 3..8),
            at in any::<proptest::sample::Index>(),
        ) {
            let (mut bytes, starts) = file(&bodies);
            let damaged = MAGIC.len() + at.index(bytes.len() - MAGIC.len());
            bytes[damaged] ^= 0x55;
            let (records, _) = read(&bytes);
            let hit = starts.iter().rposition(|start| *start <= damaged).expect("behind the magic");
            for (index, body) in bodies.iter().enumerate().filter(|(index, _)| *index != hit) {
                let found = records.iter().find(|record| record.sequence == index as u64 + 1);
                prop_assert_eq!(found.map(|record| &record.body), Some(body));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read(&bytes);
        }
    }
}

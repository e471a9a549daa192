//! The high-watermark file: what the log reached, kept apart from the log.
//!
//! SQLite drops a damaged tail of its write-ahead log without a word, and an older copy of a database looks whole. So
//! the ends of the partitions written last are kept, fsynced, in a file of their own; opening refuses when the log
//! ends below them. Commits are a total order, so one partition of the latest commit would do; more are kept because
//! they cost nothing.
//!
//! Two slots are written in turn, so a torn write leaves the other one.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::port::Offset;

/// Partitions kept: those written last.
const KEPT: usize = 256;
const HEAD: usize = 36;
const SLOT: usize = HEAD + KEPT * 12 + 4;
const MAGIC: &[u8; 8] = b"ldophwm1";

/// Identity of a store, made at random when it is created.
pub(super) type StoreId = [u8; 16];

/// What the file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Watermark {
    pub store: StoreId,
    pub sequence: u64,
    /// Partition and its end.
    pub ends: Vec<(u32, Offset)>,
}

/// Reads the newer good slot. `None` when there is no file; an error of kind `InvalidData` when no slot is good.
pub(super) fn read(path: &Path) -> io::Result<Option<Watermark>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let best = bytes.chunks(SLOT).filter_map(decode).max_by_key(|w| w.sequence);
    best.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no slot is whole"))
}

fn decode(slot: &[u8]) -> Option<Watermark> {
    let (head, rest) = slot.split_at_checked(HEAD)?;
    let count = u32::from_le_bytes(head[32..36].try_into().ok()?) as usize;
    let (ends, rest) = rest.split_at_checked(count.checked_mul(12)?)?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(head), ends);
    if &head[..8] != MAGIC || rest.get(..4)? != crc.to_le_bytes() {
        return None;
    }
    let ends = ends.chunks_exact(12).map(|e| {
        let (partition, end) = e.split_at(4);
        (le_u32(partition), le_u64(end))
    });
    Some(Watermark { store: head[8..24].try_into().ok()?, sequence: le_u64(&head[24..32]), ends: ends.collect() })
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, b| sum << 8 | u32::from(*b))
}

fn le_u64(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b))
}

/// Writes the file. Ends are noted after each commit and written about each second.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
    store: StoreId,
    sequence: u64,
    /// End, and the commit that set it.
    ends: HashMap<u32, (Offset, u64)>,
    commits: u64,
    dirty: bool,
}

impl Writer {
    /// Goes on from what was read, or begins a new file.
    pub fn open(path: &Path, store: StoreId, from: Option<Watermark>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let from = from.unwrap_or_default();
        let ends = from.ends.into_iter().map(|(partition, end)| (partition, (end, 0))).collect();
        Ok(Self { file, store, sequence: from.sequence, ends, commits: 0, dirty: true })
    }

    /// Takes note of what one commit reached. True when nothing else was waiting to be written.
    pub fn note(&mut self, ends: impl Iterator<Item = (u32, Offset)>) -> bool {
        self.commits += 1;
        for (partition, end) in ends {
            self.ends.insert(partition, (end, self.commits));
        }
        !std::mem::replace(&mut self.dirty, true)
    }

    /// What to write next, if anything changed.
    pub fn take(&mut self) -> Option<Slot> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        if self.ends.len() > KEPT {
            let mut by_age: Vec<u64> = self.ends.values().map(|(_, commit)| *commit).collect();
            by_age.sort_unstable_by(|a, b| b.cmp(a));
            let oldest = by_age[KEPT - 1];
            self.ends.retain(|_, (_, commit)| *commit >= oldest);
        }
        self.sequence += 1;
        let ends: Vec<_> = self.ends.iter().take(KEPT).map(|(p, (end, _))| (*p, *end)).collect();
        let mut bytes = Vec::with_capacity(SLOT);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.store);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(ends.len()).unwrap_or(0).to_le_bytes());
        for (partition, end) in ends {
            bytes.extend_from_slice(&partition.to_le_bytes());
            bytes.extend_from_slice(&end.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.resize(SLOT, 0);
        let file = self.file.try_clone().ok()?;
        Some(Slot { file, at: (self.sequence % 2) * SLOT as u64, bytes })
    }

    /// A write failed; it is tried again, in the same place: the other slot may be the only good one.
    pub fn failed(&mut self) {
        self.sequence -= 1;
        self.dirty = true;
    }
}

/// One slot, ready to be written outside any lock.
#[derive(Debug)]
pub(super) struct Slot {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Slot {
    pub fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&self.bytes, self.at)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(writer: &mut Writer) {
        writer.take().expect("dirty").write().expect("write");
    }

    #[test]
    fn the_newer_whole_slot_wins() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("watermarks");
        assert_eq!(read(&path).expect("absent"), None);

        let mut writer = Writer::open(&path, [7; 16], None).expect("open");
        write(&mut writer);
        assert!(writer.note([(1, 10)].into_iter()));
        assert!(!writer.note([(2, 5)].into_iter()));
        write(&mut writer);
        assert!(writer.take().is_none(), "nothing changed");
        let found = read(&path).expect("read").expect("present");
        assert_eq!((found.store, found.sequence), ([7; 16], 2));

        let mut again = Writer::open(&path, [7; 16], Some(found)).expect("open");
        again.note([(1, 11)].into_iter());
        write(&mut again);
        // A byte of the newest slot (sequence 3, second place) flips: the older one is used.
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[SLOT + 30] ^= 1;
        std::fs::write(&path, &bytes).expect("write");
        let mut ends = read(&path).expect("read").expect("present").ends;
        ends.sort_unstable();
        assert_eq!(ends, [(1, 10), (2, 5)]);
        bytes[30] ^= 1;
        std::fs::write(&path, &bytes).expect("write");
        assert_eq!(read(&path).expect_err("both broken").kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_partitions_written_last_are_kept() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("watermarks");
        let mut writer = Writer::open(&path, [0; 16], None).expect("open");
        for partition in 0..5_000 {
            writer.note([(partition, 1)].into_iter());
        }
        write(&mut writer);
        let mut kept: Vec<u32> = read(&path).expect("read").expect("present").ends.iter().map(|e| e.0).collect();
        kept.sort_unstable();
        assert_eq!(kept, (5_000 - 256..5_000).collect::<Vec<u32>>());
    }
}

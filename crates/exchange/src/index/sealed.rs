//! A sorted file of settled exchange ids. Written once, checked when opened, disposable.
//!
//! Layout, little endian: `magic, hub id, count, entries sorted by (id, scope), positions, CRC-32C of all before`.
//! An entry is 41 bytes: id 16, scope 8, accepted 1, partition 4, offset 8, and 4 spare. Only Bloom filter, range and
//! positions are held in memory; a look-up that passes them reads the file, which the page cache holds.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ldop_log::{Partition, TopicName};
use ldop_types::{ExchangeId, TimestampMs};

use super::{Key, Place, Position};
use crate::header::Scope;

const MAGIC: &[u8; 8] = b"LDOPIDX1";
const ENTRY: usize = 41;
const HEADER: usize = 8 + 16 + 8;
const SUFFIX: &str = "ldx";
/// Ten bits and seven probes for each id: about one look-up in a hundred reads the file in vain.
const BITS_PER_ID: usize = 10;
const PROBES: u64 = 7;

/// One file.
#[derive(Debug)]
pub struct Sealed {
    path: PathBuf,
    file: File,
    count: usize,
    first: Key,
    last: Key,
    bloom: Bloom,
}

#[derive(Debug)]
struct Bloom(Box<[u64]>);

impl Bloom {
    fn new(ids: usize) -> Self {
        Self(vec![0; (ids * BITS_PER_ID).div_ceil(64).max(1)].into_boxed_slice())
    }

    fn probes(&self, key: &Key) -> impl Iterator<Item = (usize, u64)> + use<> {
        let bytes = key.id.as_bytes();
        let low = u64::from_le_bytes(bytes[8..].try_into().expect("8 of 16 bytes"));
        let high = u64::from_le_bytes(bytes[..8].try_into().expect("8 of 16 bytes"));
        let a = (low ^ key.scope.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let b = (high ^ a.rotate_left(31)).wrapping_mul(0xc2b2_ae3d_27d4_eb4f) | 1;
        let bits = self.0.len() as u64 * 64;
        (0..PROBES).map(move |i| {
            let bit = a.wrapping_add(i.wrapping_mul(b)) % bits;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    fn insert(&mut self, key: &Key) {
        for (word, bit) in self.probes(key) {
            self.0[word] |= bit;
        }
    }

    fn may_hold(&self, key: &Key) -> bool {
        self.probes(key).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

impl Sealed {
    /// Writes a file of entries sorted by key, synced, under a name that sorts after all others.
    pub(super) fn write(
        dir: &Path,
        hub_id: [u8; 16],
        entries: &[(Key, Place)],
        positions: &BTreeMap<Partition, Position>,
    ) -> io::Result<Self> {
        let number = numbers(dir)?.last().map_or(1, |last| last + 1);
        let path = dir.join(format!("{number:012}.{SUFFIX}"));
        let temporary = dir.join(format!("{number:012}.tmp"));
        let mut bytes = Vec::with_capacity(HEADER + entries.len() * ENTRY + positions.len() * 64 + 16);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&hub_id);
        bytes.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        let mut bloom = Bloom::new(entries.len());
        for (key, place) in entries {
            bloom.insert(key);
            bytes.extend_from_slice(key.id.as_bytes());
            bytes.extend_from_slice(&key.scope.0.to_be_bytes());
            bytes.push(u8::from(place.accepted));
            bytes.extend_from_slice(&place.partition.to_le_bytes());
            bytes.extend_from_slice(&place.offset.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
        }
        bytes.extend_from_slice(&(positions.len() as u64).to_le_bytes());
        for (partition, position) in positions {
            let topic = partition.topic.as_str().as_bytes();
            bytes.extend_from_slice(&(topic.len() as u16).to_le_bytes());
            bytes.extend_from_slice(topic);
            bytes.extend_from_slice(&partition.index.to_le_bytes());
            bytes.extend_from_slice(&position.next.to_le_bytes());
            bytes.extend_from_slice(&position.epoch.unwrap_or(u64::MAX).to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()?;
        let nothing = Key { id: ExchangeId::from_parts(TimestampMs(0), [0; 10]), scope: Scope(0) };
        Ok(Self {
            file: File::open(&path)?,
            path,
            count: entries.len(),
            first: entries.first().map_or(nothing, |(key, _)| *key),
            last: entries.last().map_or(nothing, |(key, _)| *key),
            bloom,
        })
    }

    /// Time of the newest id.
    pub(super) fn newest(&self) -> TimestampMs {
        self.last.id.time()
    }

    /// Removes the file; open handles read on.
    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "old index file not removed");
        }
    }

    /// Where an id is.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        if self.count == 0 || *key < self.first || *key > self.last || !self.bloom.may_hold(key) {
            return None;
        }
        let (mut low, mut high) = (0, self.count);
        let mut bytes = [0; ENTRY];
        while low < high {
            let middle = low + (high - low) / 2;
            if let Err(error) = self.file.read_exact_at(&mut bytes, (HEADER + middle * ENTRY) as u64) {
                tracing::error!(%error, "index file cannot be read");
                return None;
            }
            let (found, place) = decode(&bytes)?;
            match found.cmp(key) {
                std::cmp::Ordering::Equal => return Some(place),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn open(path: PathBuf, hub_id: [u8; 16]) -> io::Result<(Self, BTreeMap<Partition, Position>)> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut file = File::open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(damaged("checksum"));
        }
        let mut rest = Cursor(body);
        if rest.take(8) != Some(MAGIC) || rest.take(16) != Some(&hub_id) {
            return Err(damaged("of another hub or format"));
        }
        let count = usize::try_from(rest.u64().ok_or_else(|| damaged("count"))?).map_err(|_| damaged("count"))?;
        let entries = count.checked_mul(ENTRY).and_then(|n| rest.take(n)).ok_or_else(|| damaged("entries"))?;
        let mut bloom = Bloom::new(count);
        let (mut first, mut last) = (None, None);
        for entry in entries.chunks_exact(ENTRY) {
            let (key, _) = decode(entry.try_into().expect("exact chunk")).ok_or_else(|| damaged("entry"))?;
            bloom.insert(&key);
            first.get_or_insert(key);
            last = Some(key);
        }
        let positions = rest.positions().ok_or_else(|| damaged("positions"))?;
        let nothing = Key { id: ExchangeId::from_parts(TimestampMs(0), [0; 10]), scope: Scope(0) };
        let sealed = Self { path, file, count, first: first.unwrap_or(nothing), last: last.unwrap_or(nothing), bloom };
        Ok((sealed, positions))
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).map(|b| u64::from_le_bytes(b.try_into().expect("8 bytes")))
    }

    fn positions(&mut self) -> Option<BTreeMap<Partition, Position>> {
        let count = self.u64()?;
        let mut positions = BTreeMap::new();
        for _ in 0..count {
            let length = u16::from_le_bytes(self.take(2)?.try_into().expect("2 bytes"));
            let topic = TopicName::parse(std::str::from_utf8(self.take(usize::from(length))?).ok()?).ok()?;
            let index = u32::from_le_bytes(self.take(4)?.try_into().expect("4 bytes"));
            let next = self.u64()?;
            let epoch = Some(self.u64()?).filter(|epoch| *epoch != u64::MAX);
            positions.insert(Partition { topic, index }, Position { next, epoch });
        }
        Some(positions)
    }
}

fn decode(bytes: &[u8; ENTRY]) -> Option<(Key, Place)> {
    let mut rest = Cursor(bytes);
    let id = ExchangeId::parse(rest.take(16)?).ok()?;
    let scope = Scope(u64::from_be_bytes(rest.take(8)?.try_into().expect("8 bytes")));
    let accepted = rest.take(1)? == [1];
    let partition = u32::from_le_bytes(rest.take(4)?.try_into().expect("4 bytes"));
    let offset = rest.u64()?;
    Some((Key { id, scope }, Place { accepted, partition, offset }))
}

fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == SUFFIX)
            && let Some(number) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Files, oldest first, and the positions of the newest.
pub(super) type Opened = (Vec<Arc<Sealed>>, BTreeMap<Partition, Position>);

/// Opens all files in order. One bad file makes all later ones and the positions useless, so all are removed then.
pub(super) fn open_all(dir: &Path, hub_id: [u8; 16]) -> io::Result<Opened> {
    let mut sealed = Vec::new();
    let mut positions = BTreeMap::new();
    for number in numbers(dir)? {
        match Sealed::open(dir.join(format!("{number:012}.{SUFFIX}")), hub_id) {
            Ok((file, its_positions)) => {
                sealed.push(Arc::new(file));
                positions = its_positions;
            }
            Err(error) => {
                tracing::warn!(%error, number, "exchange index is rebuilt from the log");
                for number in numbers(dir)? {
                    fs::remove_file(dir.join(format!("{number:012}.{SUFFIX}")))?;
                }
                return Ok((Vec::new(), BTreeMap::new()));
            }
        }
    }
    Ok((sealed, positions))
}

//! Entries as read, many in one buffer.
//!
//! The polling thread copies each message once, behind the one before; entries handed out are slices of that buffer.
//! Building them is left to the reader's own thread, and several readers share a chunk.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use ldop_types::TimestampMs;

use crate::port::{Entry, Offset};

/// A piece of a chunk's buffer. `u32` because chunks end at [`FULL`] plus one entry, far below 4 GiB.
#[derive(Debug, Clone, Copy)]
struct Piece {
    from: u32,
    len: u32,
}

impl Piece {
    /// Null, which is not empty.
    const NONE: Self = Self { from: 0, len: u32::MAX };

    fn of(self, data: &Bytes) -> Option<Bytes> {
        (self.len != u32::MAX).then(|| data.slice(self.from as usize..(self.from + self.len) as usize))
    }
}

#[derive(Debug)]
struct Record {
    offset: Offset,
    timestamp: i64,
    key: Piece,
    value: Piece,
    /// End of its headers; they begin where those of the record before end.
    headers_to: u32,
    /// As [`NewEntry::size`](crate::port::NewEntry::size) counts.
    size: u32,
}

/// Entries in order of offset.
#[derive(Debug)]
pub(super) struct Chunk {
    data: Bytes,
    records: Vec<Record>,
    headers: Vec<(Arc<str>, Piece)>,
}

impl Chunk {
    /// Offset behind the last entry.
    pub(super) fn next(&self) -> Offset {
        self.records.last().map_or(0, |record| record.offset + 1)
    }

    /// Memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + self.records.len() * size_of::<Record>() + self.headers.len() * size_of::<(Arc<str>, Piece)>()
    }

    /// Copies out entries from `offset` on, as long as `room` is not used up (the first always fits when `into` is
    /// empty). False when there was no room for all.
    pub(super) fn read(&self, offset: Offset, room: &mut usize, into: &mut Vec<Entry>) -> bool {
        let from = self.records.partition_point(|record| record.offset < offset);
        let mut header = from.checked_sub(1).map_or(0, |before| self.records[before].headers_to as usize);
        if let Some(first) = self.records.get(from) {
            // About what will fit, taking the first for typical.
            into.reserve((self.records.len() - from).min(*room / (first.size as usize).max(1) + 1));
        }
        for record in &self.records[from..] {
            let size = record.size as usize;
            if size > *room && !into.is_empty() {
                return false;
            }
            *room = room.saturating_sub(size);
            let headers = &self.headers[header..record.headers_to as usize];
            header = record.headers_to as usize;
            into.push(Entry {
                offset: record.offset,
                key: record.key.of(&self.data),
                value: record.value.of(&self.data),
                headers: headers
                    .iter()
                    .map(|(name, value)| (Arc::clone(name), value.of(&self.data).unwrap_or_default()))
                    .collect(),
                timestamp: TimestampMs(record.timestamp),
            });
        }
        true
    }
}

/// A chunk is handed over once it holds this much: readers wake for a good piece of work, and an entry kept for long
/// keeps no more than this alive.
const FULL: usize = 256 << 10;
/// Distinct header names kept for sharing; more are allocated each time.
const SHARED_NAMES: usize = 64;

/// A chunk being filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    data: Vec<u8>,
    records: Vec<Record>,
    headers: Vec<(Arc<str>, Piece)>,
    names: HashSet<Arc<str>>,
    /// Bytes of the headers of the entry to come.
    size: usize,
    /// The chunk before was full, so this one will be.
    bulk: bool,
}

impl Filling {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.data.len() >= FULL
    }

    /// Adds a header of the entry to come.
    pub(super) fn header(&mut self, name: &str, value: &[u8]) {
        let name = match self.names.get(name) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared: Arc<str> = Arc::from(name);
                if self.names.len() < SHARED_NAMES {
                    self.names.insert(Arc::clone(&shared));
                }
                shared
            }
        };
        self.size += name.len() + value.len();
        let piece = self.copy(Some(value));
        self.headers.push((name, piece));
    }

    /// Drops headers added for an entry that does not come.
    pub(super) fn abandon(&mut self) {
        self.headers.truncate(self.records.last().map_or(0, |record| record.headers_to as usize));
        self.size = 0;
    }

    /// Adds an entry, with the headers added since the one before.
    pub(super) fn entry(&mut self, offset: Offset, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let size = self.size + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        self.size = 0;
        let (key, value) = (self.copy(key), self.copy(value));
        let headers_to = self.headers.len() as u32;
        self.records.push(Record { offset, timestamp, key, value, headers_to, size: size as u32 });
    }

    fn copy(&mut self, bytes: Option<&[u8]>) -> Piece {
        let Some(bytes) = bytes else { return Piece::NONE };
        if self.bulk && self.data.capacity() == 0 {
            // Growing step by step would copy everything twice.
            self.data.reserve(FULL + FULL / 8);
        }
        let from = self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        Piece { from, len: bytes.len() as u32 }
    }

    /// Takes the chunk and begins another.
    pub(super) fn take(&mut self) -> Chunk {
        self.bulk = self.is_full();
        let (records, headers) = (self.records.len(), self.headers.len());
        let chunk = Chunk {
            data: Bytes::from(std::mem::take(&mut self.data)),
            records: std::mem::take(&mut self.records),
            headers: std::mem::take(&mut self.headers),
        };
        if self.bulk {
            self.records.reserve(records);
            self.headers.reserve(headers);
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        let mut filling = Filling::default();
        filling.header("a", b"1");
        filling.header("a", b"");
        filling.entry(3, 30, Some(b"k"), Some(b"value"));
        filling.entry(7, 70, None, None);
        filling.header("b", b"2");
        filling.entry(8, 80, Some(b""), Some(b""));
        filling.take()
    }

    #[test]
    fn entries_come_back_as_they_went_in() {
        let mut read = Vec::new();
        assert!(chunk().read(0, &mut 100, &mut read));
        assert_eq!(read.iter().map(|e| e.offset).collect::<Vec<_>>(), [3, 7, 8]);
        assert_eq!((read[0].key.as_deref(), read[0].value.as_deref()), (Some(&b"k"[..]), Some(&b"value"[..])));
        assert_eq!((read[1].key.as_deref(), read[1].value.as_deref()), (None, None), "null is not empty");
        assert_eq!((read[2].key.as_deref(), read[2].value.as_deref()), (Some(&b""[..]), Some(&b""[..])));
        let headers = |i: usize| read[i].headers.iter().map(|(n, v)| (&**n, &v[..])).collect::<Vec<_>>();
        assert_eq!(headers(0), [("a", &b"1"[..]), ("a", &b""[..])]);
        assert!(headers(1).is_empty());
        assert_eq!(headers(2), [("b", &b"2"[..])]);
        assert_eq!(chunk().next(), 9);
    }

    #[test]
    fn reading_begins_at_the_offset_and_ends_where_room_does() {
        let mut read = Vec::new();
        assert!(!chunk().read(0, &mut 1, &mut read), "the first entry fits always, one without bytes too");
        assert_eq!(read.len(), 2);
        read.clear();
        assert!(chunk().read(4, &mut 100, &mut read));
        assert_eq!(read.iter().map(|e| (e.offset, e.headers.len())).collect::<Vec<_>>(), [(7, 0), (8, 1)]);
    }
}

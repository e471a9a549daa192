//! How entries lie in a row: one frame after another, each with its own checksums.
//!
//! ```text
//! frame   = content crc u32 | place crc u32 | delta u32 | length u32 | content      (little endian)
//! content = timestamp i64 | key length u32 | value length u32 | header count u32 | key | value | header*
//! header  = name length u32 | value length u32 | name | value
//! ```
//!
//! The content checksum is made in the caller's thread, before the entry has an offset. The place checksum binds it to
//! its partition and offset, so a frame that was moved, swapped or cut is told as surely as one whose bytes changed.
//! `delta` is the offset less the row's base: merging rows rewrites deltas and nothing else.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use ldop_types::TimestampMs;

use crate::port::{Entry, NewEntry, Offset};

const HEAD: usize = 16;
const CONTENT_HEAD: usize = 20;
const HEADER_HEAD: usize = 8;
/// Length that says "there is none", for keys and values.
const ABSENT: u32 = u32::MAX;
/// Distinct header names kept for sharing while one fetch is decoded.
const SHARED_NAMES: usize = 32;

/// One row: the entries of `base..next` that are held.
#[derive(Clone)]
pub(super) struct Row {
    pub base: Offset,
    /// End of the row, gaps at its end included.
    pub next: Offset,
    pub frames: Bytes,
}

impl fmt::Debug for Row {
    /// Never the frames: they hold what agencies exchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}..{} of {} bytes", self.base, self.next, self.frames.len())
    }
}

/// What is wrong with a frame, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// The entry, or the first one that can no longer be found.
    pub offset: Offset,
    pub detail: &'static str,
}

/// Encodes a batch; the frames still need their [`place`].
pub(super) fn encode(batch: &[NewEntry]) -> Vec<u8> {
    let size = batch.iter().map(|e| HEAD + CONTENT_HEAD + HEADER_HEAD * e.headers.len() + e.size()).sum();
    let mut out = Vec::with_capacity(size);
    for entry in batch {
        let head = out.len();
        out.extend_from_slice(&[0; HEAD]);
        out.extend_from_slice(&entry.timestamp.0.to_le_bytes());
        out.extend_from_slice(&length(entry.key.as_deref()).to_le_bytes());
        out.extend_from_slice(&length(entry.value.as_deref()).to_le_bytes());
        out.extend_from_slice(&as_u32(entry.headers.len()).to_le_bytes());
        out.extend_from_slice(entry.key.as_deref().unwrap_or_default());
        out.extend_from_slice(entry.value.as_deref().unwrap_or_default());
        for (name, value) in &entry.headers {
            out.extend_from_slice(&as_u32(name.len()).to_le_bytes());
            out.extend_from_slice(&as_u32(value.len()).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value);
        }
        let content = head + HEAD;
        let crc = crc32c(&out[content..]);
        let len = as_u32(out.len() - content);
        out[head..head + 4].copy_from_slice(&crc.to_le_bytes());
        out[head + 12..head + 16].copy_from_slice(&len.to_le_bytes());
    }
    out
}

fn length(bytes: Option<&[u8]>) -> u32 {
    bytes.map_or(ABSENT, |b| as_u32(b.len()))
}

fn as_u32(len: usize) -> u32 {
    u32::try_from(len).expect("entries are far below 4 GiB: the engine's entry limit is")
}

/// Where a batch goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub partition: u32,
    /// Base of the row.
    pub base: Offset,
    /// Offset of the first frame.
    pub first: Offset,
    /// Distance between offsets, at least 1.
    pub step: u64,
}

/// Gives encoded frames their offsets, appends those to `offsets` and returns the latest timestamp.
pub(super) fn place(frames: &mut [u8], at: Place, offsets: &mut Vec<Offset>) -> i64 {
    let (mut pos, mut offset, mut latest) = (0, at.first, i64::MIN);
    while pos < frames.len() {
        let content_crc = u32_at(frames, pos);
        let len = u32_at(frames, pos + 12);
        let crc = place_crc(at.partition, offset, len, content_crc);
        let delta = as_u32(usize::try_from(offset - at.base).unwrap_or(usize::MAX));
        frames[pos + 4..pos + 8].copy_from_slice(&crc.to_le_bytes());
        frames[pos + 8..pos + 12].copy_from_slice(&delta.to_le_bytes());
        latest = latest.max(i64_at(frames, pos + HEAD));
        offsets.push(offset);
        offset += at.step;
        pos += HEAD + len as usize;
    }
    latest
}

/// Copies one frame into another row. False, and nothing copied, when it lies too far from the row's base.
pub(super) fn copy(frame: &Frame, frames: &[u8], base: Offset, into: &mut Vec<u8>) -> bool {
    let Ok(delta) = u32::try_from(frame.offset - base) else { return false };
    let start = into.len();
    into.extend_from_slice(&frames[frame.content.start - HEAD..frame.content.end]);
    into[start + 8..start + 12].copy_from_slice(&delta.to_le_bytes());
    true
}

/// Cuts encoded frames into pieces of at most `target` bytes, or of one frame.
pub(super) fn pieces(frames: &[u8], target: usize) -> Vec<Range<usize>> {
    let (mut out, mut start, mut pos) = (Vec::new(), 0, 0);
    while pos < frames.len() {
        let end = pos + HEAD + u32_at(frames, pos + 12) as usize;
        if end - start > target && pos > start {
            out.push(start..pos);
            start = pos;
        }
        pos = end;
    }
    out.push(start..frames.len());
    out
}

fn place_crc(partition: u32, offset: Offset, len: u32, content_crc: u32) -> u32 {
    let mut head = [0; 20];
    head[..4].copy_from_slice(&partition.to_le_bytes());
    head[4..12].copy_from_slice(&offset.to_le_bytes());
    head[12..16].copy_from_slice(&len.to_le_bytes());
    head[16..].copy_from_slice(&content_crc.to_le_bytes());
    crc32c_append(0, &head)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A frame whose place is verified; its content not yet.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub offset: Offset,
    content: Range<usize>,
    content_crc: u32,
}

impl Frame {
    /// Bytes of the content.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Bytes of the whole frame.
    pub fn stored_len(&self) -> usize {
        self.content.len() + HEAD
    }

    /// Verifies the content. Everything below reads verified content only.
    pub fn verify(&self, frames: &[u8]) -> Result<(), Damage> {
        if crc32c(&frames[self.content.clone()]) != self.content_crc {
            return Err(self.damage("checksum of the content differs"));
        }
        if self.content.len() < CONTENT_HEAD {
            return Err(self.damage("content is too short"));
        }
        Ok(())
    }

    pub fn timestamp(&self, frames: &[u8]) -> i64 {
        i64_at(frames, self.content.start)
    }

    pub fn is_tombstone(&self, frames: &[u8]) -> bool {
        u32_at(frames, self.content.start + 12) == ABSENT
    }

    pub fn key<'a>(&self, frames: &'a [u8]) -> Option<&'a [u8]> {
        let len = u32_at(frames, self.content.start + 8);
        let start = self.content.start + CONTENT_HEAD;
        if len == ABSENT { None } else { frames[..self.content.end].get(start..start.checked_add(len as usize)?) }
    }

    /// The entry, as slices of the row: nothing but header names is copied.
    pub fn entry(&self, frames: &Bytes, names: &mut Names) -> Result<Entry, Damage> {
        let mut cut = Cut { frames, at: self.content.start + CONTENT_HEAD, end: self.content.end };
        let at = self.content.start;
        let short = || self.damage("content is cut short");
        let mut part = |len: u32| match len {
            ABSENT => Some(None),
            len => cut.take(len as usize).map(Some),
        };
        let key = part(u32_at(frames, at + 8)).ok_or_else(short)?;
        let value = part(u32_at(frames, at + 12)).ok_or_else(short)?;
        let count = u32_at(frames, at + 16) as usize;
        if count > self.content.len() / HEADER_HEAD {
            return Err(short());
        }
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let head = cut.take(HEADER_HEAD).ok_or_else(short)?;
            let name = cut.take(u32_at(&head, 0) as usize).ok_or_else(short)?;
            let value = cut.take(u32_at(&head, 4) as usize).ok_or_else(short)?;
            let name = names.shared(&name).ok_or_else(|| self.damage("a header name is not text"))?;
            headers.push((name, value));
        }
        Ok(Entry { offset: self.offset, key, value, headers, timestamp: TimestampMs(self.timestamp(frames)) })
    }

    fn damage(&self, detail: &'static str) -> Damage {
        Damage { offset: self.offset, detail }
    }
}

struct Cut<'a> {
    frames: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cut<'_> {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.end)?;
        let out = self.frames.slice(self.at..end);
        self.at = end;
        Some(out)
    }
}

/// Header names met so far, so that a fetch of many entries holds each name once.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &[u8]) -> Option<Arc<str>> {
        if let Some(known) = self.0.iter().find(|known| known.as_bytes() == name) {
            return Some(known.clone());
        }
        let name: Arc<str> = Arc::from(std::str::from_utf8(name).ok()?);
        if self.0.len() < SHARED_NAMES {
            self.0.push(name.clone());
        }
        Some(name)
    }
}

/// The frames of a row, in order. After the first damage nothing more comes: the way to the next frame is lost.
pub(super) struct Frames<'a> {
    frames: &'a [u8],
    partition: u32,
    base: Offset,
    at: usize,
    /// Lowest offset the next frame may have.
    expected: Offset,
}

impl<'a> Frames<'a> {
    pub fn of(row: &'a Row, partition: u32) -> Self {
        Self { frames: &row.frames, partition, base: row.base, at: 0, expected: row.base }
    }

    fn parse(&self) -> Result<Frame, Damage> {
        let lost = |detail| Damage { offset: self.expected, detail };
        if self.frames.len() - self.at < HEAD {
            return Err(lost("the row is cut short"));
        }
        let content_crc = u32_at(self.frames, self.at);
        let offset = self.base + u64::from(u32_at(self.frames, self.at + 8));
        let len = u32_at(self.frames, self.at + 12);
        if place_crc(self.partition, offset, len, content_crc) != u32_at(self.frames, self.at + 4) {
            return Err(lost("checksum of the place differs"));
        }
        let start = self.at + HEAD;
        let end = start + len as usize;
        if end > self.frames.len() || offset < self.expected {
            return Err(lost("the row is cut short or out of order"));
        }
        Ok(Frame { offset, content: start..end, content_crc })
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.frames.len() {
            return None;
        }
        let frame = self.parse();
        match &frame {
            Ok(frame) => {
                self.at = frame.content.end;
                self.expected = frame.offset + 1;
            }
            Err(_) => self.at = self.frames.len(),
        }
        Some(frame)
    }
}

/// Entries gathered for one fetch.
pub(super) struct Gathered {
    pub entries: Vec<Entry>,
    names: Names,
    left: usize,
}

/// Whether a fetch goes on to the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Left,
    /// No; it is to be resumed here.
    Spent(Offset),
}

impl Gathered {
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: Vec::new(), names: Names::default(), left: max_bytes }
    }

    /// Takes what fits from a row, offsets `from..end`. Damage behind good entries ends the fetch; the next one tells.
    pub fn take(&mut self, row: &Row, partition: u32, from: Offset, end: Offset) -> Result<Room, Damage> {
        for frame in Frames::of(row, partition) {
            let entry = frame.and_then(|frame| {
                if frame.offset < from {
                    return Ok(None);
                }
                frame.verify(&row.frames)?;
                Ok(Some((frame.len(), frame.offset, frame.entry(&row.frames, &mut self.names)?)))
            });
            match entry {
                Ok(None) => {}
                Ok(Some((_, offset, _))) if offset >= end => return Ok(Room::Spent(end)),
                Ok(Some((len, offset, _))) if len > self.left && !self.entries.is_empty() => {
                    return Ok(Room::Spent(offset));
                }
                Ok(Some((len, _, entry))) => {
                    self.left = self.left.saturating_sub(len);
                    self.entries.push(entry);
                }
                Err(damage) if self.entries.is_empty() => return Err(damage),
                Err(damage) => return Ok(Room::Spent(damage.offset)),
            }
        }
        Ok(if self.left == 0 && !self.entries.is_empty() { Room::Spent(row.next.min(end)) } else { Room::Left })
    }
}

#[cfg(test)]
mod tests;

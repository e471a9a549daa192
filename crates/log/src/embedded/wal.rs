//! A look at SQLite's write-ahead log before SQLite sees it.
//!
//! At recovery SQLite takes the frames up to the first one whose checksum fails and forgets the rest: right for a torn
//! tail, silent loss for an altered one. The two can be told apart. A transaction starts only after the one before it
//! was fsynced, so a crash can tear the last transaction only: at most one commit frame can follow the first broken
//! frame. Two or more mean that something durable was altered.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// No file, or one without a frame.
    Nothing,
    /// Every frame of this round is whole.
    Whole,
    /// The last transaction is not whole: torn by a crash. (An altered last transaction looks the same; the
    /// high-watermark file tells.)
    TornTail,
    /// Not what was written: the frame from which on it cannot be used, counted from 0.
    Altered {
        /// The frame.
        frame: usize,
    },
}

/// Looks through the file. Reads it once, front to back.
pub(super) fn inspect(path: &Path) -> io::Result<Found> {
    match File::open(path) {
        Ok(file) => inspect_stream(BufReader::with_capacity(1 << 20, file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        Err(e) => Err(e),
    }
}

fn inspect_stream(mut file: impl Read) -> io::Result<Found> {
    let mut head = [0; HEAD];
    if fill(&mut file, &mut head)? < HEAD || head == [0; HEAD] {
        return Ok(Found::Nothing);
    }
    let magic = be_u32(&head, 0);
    let sums = Checksum { big_endian: magic & 1 == 1 };
    let page = be_u32(&head, 8) as usize;
    let sum = sums.over((0, 0), &head[..24]);
    if magic & !1 != 0x377f_0682 || !page.is_power_of_two() || sum != (be_u32(&head, 24), be_u32(&head, 28)) {
        // One sector, written before any frame: a crash does not tear it.
        return Ok(Found::Altered { frame: 0 });
    }
    let salts = &head[16..24];
    let mut frame = vec![0; FRAME_HEAD + page];
    let (mut chain, mut broken, mut commits_behind, mut index) = (sum, None, 0, 0);
    while fill(&mut file, &mut frame)? == frame.len() {
        let ours = &frame[8..16] == salts;
        let commit = be_u32(&frame, 4) != 0;
        if broken.is_none() {
            chain = sums.over(sums.over(chain, &frame[..8]), &frame[FRAME_HEAD..]);
            if !ours || chain != (be_u32(&frame, 16), be_u32(&frame, 20)) {
                broken = Some(index);
            }
        }
        if broken.is_some() && ours && commit {
            commits_behind += 1;
        }
        index += 1;
    }
    Ok(match (broken, commits_behind) {
        (Some(frame), 2..) => Found::Altered { frame },
        (Some(_), 1) => Found::TornTail,
        // Frames of an earlier round, or a transaction that never reached its commit.
        (Some(_) | None, _) => Found::Whole,
    })
}

fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

struct Checksum {
    big_endian: bool,
}

impl Checksum {
    fn over(&self, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
        let word = |w: &[u8]| {
            let w = w.try_into().expect("four bytes");
            if self.big_endian { u32::from_be_bytes(w) } else { u32::from_le_bytes(w) }
        };
        for pair in bytes.chunks_exact(8) {
            a = a.wrapping_add(word(&pair[..4])).wrapping_add(b);
            b = b.wrapping_add(word(&pair[4..])).wrapping_add(a);
        }
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The write-ahead log SQLite leaves after `commits` transactions of about three pages.
    fn wal(commits: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("t.sqlite");
        let conn = rusqlite::Connection::open(&path).expect("open");
        conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)").expect("schema");
        for _ in 1..commits {
            conn.execute("INSERT INTO t VALUES(zeroblob(9000))", []).expect("insert");
        }
        std::fs::read(dir.path().join("t.sqlite-wal")).expect("read")
    }

    fn found(bytes: &[u8]) -> Found {
        inspect_stream(bytes).expect("reading memory")
    }

    const FRAME: usize = FRAME_HEAD + 4096;

    #[test]
    fn a_flipped_byte_is_told_unless_it_could_be_a_crash() {
        let good = wal(6);
        assert_eq!(found(&good), Found::Whole);
        let frames = (good.len() - HEAD) / FRAME;
        let commits: Vec<usize> = (0..frames).filter(|i| be_u32(&good, HEAD + i * FRAME + 4) != 0).collect();
        assert_eq!(commits.len(), 6);
        // In the last commit frame but one a flip may hide that it was a commit; then one is left, as after a crash.
        let doubtful = HEAD + commits[4] * FRAME;
        for at in (0..good.len()).step_by(97).chain(doubtful..doubtful + FRAME_HEAD) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            match found(&bad) {
                Found::Altered { .. } => assert!(at < doubtful + FRAME, "{at}"),
                Found::TornTail | Found::Whole => assert!(at >= doubtful, "{at}"),
                Found::Nothing => panic!("{at}"),
            }
        }
    }

    #[test]
    fn every_torn_length_is_taken_for_a_crash() {
        assert_eq!(found(&[]), Found::Nothing);
        assert_eq!(found(&[0; 4000]), Found::Nothing);
        let good = wal(4);
        for len in (HEAD..good.len()).step_by(61) {
            assert_eq!(found(&good[..len]), Found::Whole, "{len}");
            let mut torn = good.clone();
            torn[len..].fill(0);
            assert!(matches!(found(&torn), Found::Whole | Found::TornTail), "{len}");
        }
    }
}

use std::sync::Arc;

use bytes::Bytes;
use ldop_types::TimestampMs;
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn some_bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn entries() -> impl Strategy<Value = Vec<NewEntry>> {
    let headers = vec((prop::sample::select(vec!["", "a", "ce_id", "ldop"]), some_bytes()), 0..4);
    let entry = (option::of(some_bytes()), option::of(some_bytes()), headers, any::<i64>());
    vec(
        entry.prop_map(|(key, value, headers, time)| NewEntry { key, value, headers, timestamp: TimestampMs(time) }),
        1..20,
    )
}

fn placed(batch: &[NewEntry], at: Place) -> (Row, Vec<Offset>) {
    let mut frames = encode(batch);
    let mut offsets = Vec::new();
    let latest = place(&mut frames, at, &mut offsets);
    assert_eq!(Some(latest), batch.iter().map(|e| e.timestamp.0).max());
    let next = offsets.last().map_or(at.base, |last| last + at.step);
    (Row { base: at.base, next, frames: Bytes::from(frames) }, offsets)
}

fn read_all(row: &Row, partition: u32) -> Result<Vec<Entry>, Damage> {
    let mut names = Names::default();
    let read = |frame: Result<Frame, Damage>| {
        let frame = frame?;
        frame.verify(&row.frames)?;
        frame.entry(&row.frames, &mut names)
    };
    Frames::of(row, partition).map(read).collect()
}

proptest! {
    #[test]
    fn decode_undoes_encode(batch in entries(), base in 0u64..1 << 40, ahead in 0u64..1000, step in 1u64..5) {
        let (row, offsets) = placed(&batch, Place { partition: 9, base, first: base + ahead, step });
        let expected: Vec<Entry> = batch.iter().zip(&offsets).map(|(e, offset)| Entry {
            offset: *offset,
            key: e.key.clone(),
            value: e.value.clone(),
            headers: e.headers.iter().map(|(n, v)| (Arc::from(*n), v.clone())).collect(),
            timestamp: e.timestamp,
        }).collect();
        prop_assert_eq!(read_all(&row, 9).expect("whole"), expected);
    }

    #[test]
    fn one_changed_byte_is_told_and_what_is_before_it_survives(batch in entries(), at: prop::sample::Index, bit in 0u8..8) {
        let (row, offsets) = placed(&batch, Place { partition: 1, base: 70, first: 70, step: 1 });
        let good = read_all(&row, 1).expect("whole");
        let mut frames = row.frames.to_vec();
        let at = at.index(frames.len());
        frames[at] ^= 1 << bit;
        let row = Row { frames: Bytes::from(frames), ..row };
        let damage = read_all(&row, 1).expect_err("told");
        let position = offsets.iter().position(|o| *o == damage.offset).expect("an offset of the batch");
        let mut gathered = Gathered::new(usize::MAX);
        let taken = gathered.take(&row, 1, 0, Offset::MAX);
        prop_assert_eq!(taken.is_err(), position == 0);
        prop_assert_eq!(&gathered.entries[..], &good[..position]);
    }

    #[test]
    fn pieces_cover_all_and_keep_to_the_target(batch in entries(), target in 1usize..600) {
        let frames = encode(&batch);
        let pieces = pieces(&frames, target);
        prop_assert_eq!(pieces[0].start, 0);
        prop_assert_eq!(pieces[pieces.len() - 1].end, frames.len());
        let mut offsets = Vec::new();
        for (piece, following) in pieces.iter().zip(pieces.iter().skip(1)) {
            prop_assert_eq!(piece.end, following.start);
        }
        for piece in pieces {
            let before = offsets.len();
            let mut piece = frames[piece].to_vec();
            place(&mut piece, Place { partition: 0, base: 0, first: 0, step: 1 }, &mut offsets);
            prop_assert!(piece.len() <= target || offsets.len() == before + 1);
        }
        prop_assert_eq!(offsets.len(), batch.len());
    }
}

#[test]
fn a_frame_elsewhere_is_damage() {
    let batch =
        [NewEntry { key: None, value: Some(Bytes::from_static(b"v")), headers: vec![], timestamp: TimestampMs(1) }];
    let (row, _) = placed(&batch, Place { partition: 3, base: 10, first: 10, step: 1 });
    assert!(read_all(&row, 3).is_ok());
    assert!(read_all(&row, 4).is_err(), "another partition");
    assert!(read_all(&Row { base: 11, ..row }, 3).is_err(), "another offset");
}

#[test]
fn a_fetch_takes_one_then_what_fits() {
    let value = Bytes::from(vec![0; 1000]);
    let entry = NewEntry { key: None, value: Some(value), headers: vec![], timestamp: TimestampMs(0) };
    let batch = vec![entry; 5];
    let (row, _) = placed(&batch, Place { partition: 0, base: 0, first: 0, step: 1 });
    for (max_bytes, from, end, count, room) in [
        (0, 0, 99, 1, Room::Spent(1)),
        (1, 2, 99, 1, Room::Spent(3)),
        (1, 4, 99, 1, Room::Spent(5)),
        (2_500, 0, 99, 2, Room::Spent(2)),
        (2_500, 4, 99, 1, Room::Left),
        (99_999, 1, 3, 2, Room::Spent(3)),
        (99_999, 0, 99, 5, Room::Left),
    ] {
        let mut gathered = Gathered::new(max_bytes);
        assert_eq!(gathered.take(&row, 0, from, end).expect("whole"), room);
        assert_eq!(gathered.entries.len(), count);
    }
}

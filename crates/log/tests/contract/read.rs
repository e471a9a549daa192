//! Reading: as written, from anywhere, each reader for itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::future::join_all;
use ldop_log::{Cleanup, LogError, NewEntry};
use ldop_types::TimestampMs;

use super::{Harness, append, appender, entry, partition, read_all, read_from, value};

pub async fn values_keys_headers_and_times_come_back_as_given<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "as-given", Cleanup::Keep).await;
    let bytes = |b: &'static [u8]| Some(Bytes::from_static(b));
    let header = |name, value: &'static [u8]| (name, Bytes::from_static(value));
    let now = TimestampMs::now();
    let plain = NewEntry { key: None, value: None, headers: Vec::new(), timestamp: now };
    let given = vec![
        NewEntry { key: bytes(b"k"), value: bytes(b"v"), ..plain.clone() },
        // A tombstone is not an empty value; no key is not an empty key.
        NewEntry { key: bytes(b"k"), value: None, ..plain.clone() },
        NewEntry { key: bytes(b"k"), value: bytes(b""), ..plain.clone() },
        NewEntry { key: None, value: bytes(b"v"), ..plain.clone() },
        NewEntry { key: bytes(b""), value: bytes(b"v"), ..plain.clone() },
        // Headers keep their order and their duplicates.
        NewEntry {
            value: bytes(b"v"),
            headers: vec![
                header("b", b"1"),
                header("a", b"2"),
                header("b", b"3"),
                header("a", b""),
                header("b", b"\0\xff"),
            ],
            ..plain.clone()
        },
        // Times come back as given, in any order.
        NewEntry { value: bytes(b"early"), timestamp: TimestampMs(1), ..plain.clone() },
        NewEntry { value: bytes(b"later"), timestamp: TimestampMs(now.0 - 86_400_000), ..plain.clone() },
        NewEntry { key: bytes(&[0, 0xff, b'\n']), value: bytes(&[0xfe, 0, 0]), ..plain },
    ];
    append(&log, &p, given.clone()).await;
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        let found = read_all(&log, &p).await;
        assert_eq!(found.len(), given.len());
        for (found, given) in found.iter().zip(&given) {
            assert_eq!((&found.key, &found.value, found.timestamp), (&given.key, &given.value, given.timestamp));
            let headers: Vec<_> = found.headers.iter().map(|(name, value)| (&**name, value.clone())).collect();
            assert_eq!(headers, given.headers);
        }
        assert_eq!(found[5].header("b"), Some(&Bytes::from_static(b"\0\xff")), "the last header of a name");
    }
}

pub async fn resume_by_offset<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "resume", Cleanup::Keep).await;
    let mut offsets = Vec::new();
    for batch in 0..10 {
        let batch = (0..20).map(|i| entry("k", (batch * 20 + i).to_string())).collect();
        offsets.extend(append(&log, &p, batch).await);
    }
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        for at in [0, 1, 19, 20, 77, 198, 199] {
            let found = read_from(&log, &p, offsets[at], 1 << 20).await;
            let expected: Vec<_> = (at..200).map(|i| i.to_string()).collect();
            assert_eq!(found.iter().map(value).collect::<Vec<_>>(), expected, "from entry {at}");
            // What a reader does after a restart: go on behind the last entry it handled.
            let found = read_from(&log, &p, offsets[at] + 1, 1 << 20).await;
            assert_eq!(found.iter().map(value).collect::<Vec<_>>(), expected[1..], "behind entry {at}");
        }
    }
}

pub async fn seek_by_time<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "time", Cleanup::Keep).await;
    let base = TimestampMs::now().0 - 1_000_000;
    let mut offsets = Vec::new();
    for batch in 0..20 {
        let at = |i: i64| NewEntry { timestamp: TimestampMs(base + (batch * 5 + i) * 10), ..entry("k", "v") };
        offsets.extend(append(&log, &p, (0..5).map(at).collect()).await);
    }
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        let seek = async |time| log.offset_at(&p, TimestampMs(time)).await.expect("seek");
        assert_eq!(seek(0).await, offsets[0], "before all");
        for i in [0, 1, 4, 5, 50, 98, 99] {
            assert_eq!(seek(base + i * 10).await, offsets[i as usize], "the very time of entry {i}");
            if i > 0 {
                assert_eq!(seek(base + i * 10 - 5).await, offsets[i as usize], "between two entries");
            }
        }
        let end = log.watermarks(&p).await.expect("watermarks").end;
        assert_eq!(seek(base + 1_000_000).await, end, "behind all");
    }
}

pub async fn a_fetch_keeps_to_its_size<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "size", Cleanup::Keep).await;
    let filling = "x".repeat(1_000);
    for _ in 0..5 {
        append(&log, &p, (0..20).map(|_| entry("k", filling.clone())).collect()).await;
    }
    append(&log, &p, vec![entry("k", "y".repeat(300_000))]).await;
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        for max_bytes in [0, 1, 1_000, 5_000, 50_000, 1 << 20] {
            let end = log.watermarks(&p).await.expect("watermarks").end;
            let (mut at, mut count, mut fetches) = (0, 0, 0);
            while at < end {
                let fetched = log.fetch(&p, at, max_bytes, Duration::from_secs(5)).await.expect("fetch");
                let size: usize = fetched.entries.iter().map(|e| value(e).len() + 1).sum();
                assert!(fetched.entries.len() == 1 || size <= max_bytes, "{} in {max_bytes}", size);
                count += fetched.entries.len();
                fetches += 1;
                at = fetched.next;
            }
            assert_eq!(count, 101, "nothing is left out with {max_bytes}");
            assert!(max_bytes < 50_000 || fetches <= 30, "{fetches} fetches with {max_bytes}");
        }
    }
}

pub async fn a_fetch_waits_at_the_end_and_wakes<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "waiting", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "first")]).await;
    let end = log.watermarks(&p).await.expect("watermarks").end;

    let started = Instant::now();
    let fetched = log.fetch(&p, end, 1 << 20, Duration::from_millis(300)).await.expect("fetch");
    assert!(fetched.entries.is_empty());
    assert_eq!(fetched.next, end);
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < h.call_bound(), "waited {waited:?}");

    // Readers that wait long are woken by the append.
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let (log, p) = (log.clone(), p.clone());
            tokio::spawn(async move { log.fetch(&p, end, 1 << 20, Duration::from_secs(250)).await })
        })
        .collect();
    append(&log, &p, vec![entry("k", "second")]).await;
    let started = Instant::now();
    for fetched in join_all(readers).await {
        let fetched = fetched.expect("reader").expect("fetch");
        assert_eq!(fetched.entries.iter().map(value).collect::<Vec<_>>(), ["second"]);
    }
    assert!(started.elapsed() < h.call_bound(), "woken after {:?}", started.elapsed());
}

pub async fn out_of_range_is_told<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "range", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "v")]).await;
    let marks = log.watermarks(&p).await.expect("watermarks");
    for beyond in [1, 1_000_000] {
        match log.fetch(&p, marks.end + beyond, 1, Duration::from_secs(1)).await {
            Err(LogError::OutOfRange { partition, offset, start, end }) => {
                assert_eq!((&partition, offset, start, end), (&p, marks.end + beyond, marks.start, marks.end));
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(log.fetch(&p, marks.end, 1, Duration::ZERO).await.expect("the end is within").entries.is_empty());
}

pub async fn readers_are_independent<H: Harness>(h: &H) {
    const ENTRIES: usize = 2_000;
    let log = h.open().await;
    let p = partition(h, &log, "readers", Cleanup::Keep).await;
    // Some read while it is written, in helpings of their own; one never takes more than a byte at a time.
    let readers: Vec<_> = (0..16)
        .map(|reader| {
            let (log, p) = (log.clone(), p.clone());
            let max_bytes = [1, 100, 10_000, 1 << 20][reader % 4];
            let wanted = if max_bytes == 1 { 50 } else { ENTRIES };
            tokio::spawn(async move {
                let (mut at, mut values) = (0, Vec::new());
                while values.len() < wanted {
                    let fetched = log.fetch(&p, at, max_bytes, Duration::from_secs(5)).await.expect("fetch");
                    values.extend(fetched.entries.iter().map(value));
                    at = fetched.next;
                }
                (wanted, values)
            })
        })
        .collect();
    let writer = appender(&log, &p).await;
    let mut on_their_way = Vec::new();
    for batch in 0..ENTRIES / 10 {
        let entries = (0..10).map(|i| entry("k", (batch * 10 + i).to_string())).collect();
        on_their_way.push(writer.append(entries).expect("taken"));
    }
    for append in on_their_way {
        append.await.expect("acknowledged");
    }
    for reader in join_all(readers).await {
        let (wanted, values) = reader.expect("reader");
        assert_eq!(values[..wanted], (0..wanted).map(|i| i.to_string()).collect::<Vec<_>>()[..]);
    }
}

pub async fn a_vanished_reader_costs_nothing<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "vanished", Cleanup::Keep).await;
    append(&log, &p, vec![entry("k", "first")]).await;
    let end = log.watermarks(&p).await.expect("watermarks").end;
    // A thousand readers that begin to wait or to read, and go away.
    for reader in 0..1_000 {
        let at = if reader % 2 == 0 { end } else { 0 };
        let (log, p) = (Arc::clone(&log), p.clone());
        let task = tokio::spawn(async move { log.fetch(&p, at, 1 << 20, Duration::from_secs(250)).await });
        tokio::task::yield_now().await;
        task.abort();
    }
    let started = Instant::now();
    append(&log, &p, vec![entry("k", "second")]).await;
    assert_eq!(read_all(&log, &p).await.iter().map(value).collect::<Vec<_>>(), ["first", "second"]);
    assert!(started.elapsed() < h.call_bound(), "{:?}", started.elapsed());
}

//! Retention and compaction.

use std::{collections::HashMap, time::Duration};

use ldop_log::{Cleanup, LogError, NewEntry, Offset};
use ldop_types::TimestampMs;

use super::{Harness, append, entry, eventually, key, partition, read_all, value};

pub async fn retention_moves_the_start<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let hour = Duration::from_secs(3_600);
    let p = partition(h, &log, "retention", Cleanup::Delete { retention: hour }).await;
    let long_ago = TimestampMs(TimestampMs::now().0 - 48 * 3_600_000);
    let mut old = Vec::new();
    for _ in 0..10 {
        let batch = (0..10).map(|_| NewEntry { timestamp: long_ago, ..entry("k", "old") }).collect();
        old.extend(append(&log, &p, batch).await);
    }
    let young = append(&log, &p, vec![entry("k", "young"), entry("k", "young")]).await;
    let start = {
        let (log, p, last_old) = (&log, &p, old[99]);
        eventually(h.patience(), || async move {
            // An engine that deletes by segments needs appends to begin a new one.
            append(log, p, vec![entry("k", "filling")]).await;
            let marks = log.watermarks(p).await.expect("watermarks");
            if marks.start > last_old { Ok(marks.start) } else { Err(format!("{marks:?}")) }
        })
        .await
    };
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        let found = read_all(&log, &p).await;
        assert!(found.iter().all(|e| value(e) != "old"));
        assert!(young.iter().all(|offset| found.iter().any(|e| e.offset == *offset)), "the young ones stay");
        match log.fetch(&p, old[0], 1 << 20, Duration::ZERO).await {
            Err(LogError::OutOfRange { start: told, .. }) => assert!(told >= start),
            other => panic!("{other:?}"),
        }
        let sought = log.offset_at(&p, long_ago).await.expect("seek");
        assert_eq!(sought, found[0].offset, "a seek finds what is left");
    }
    let offsets = append(&log, &p, vec![entry("k", "next")]).await;
    assert!(offsets[0] > young[1], "offsets go on growing");
}

pub async fn compaction_keeps_the_latest_of_each_key<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "compaction", Cleanup::Compact).await;
    let mut latest: HashMap<String, (Offset, String)> = HashMap::new();
    for round in 0..20 {
        let batch: Vec<_> = (0..10)
            .filter(|i| round % (i + 1) == 0)
            .map(|i| match (i, round) {
                // One key ends with a tombstone.
                (0, 19) => NewEntry { value: None, ..entry("key-0", "") },
                _ => entry(format!("key-{i}"), format!("{round}")),
            })
            .collect();
        let written: Vec<_> = batch.iter().map(|e| e.key.clone().expect("keyed")).collect();
        let values: Vec<_> = batch.iter().map(|e| e.value.clone()).collect();
        for ((k, v), offset) in written.iter().zip(values).zip(append(&log, &p, batch).await) {
            let v = v.map_or_else(|| "-".to_owned(), |v| String::from_utf8_lossy(&v).into_owned());
            latest.insert(String::from_utf8_lossy(k).into_owned(), (offset, v));
        }
    }
    {
        let (log, p, latest) = (&log, &p, &latest);
        let mut filling = 0;
        eventually(h.patience(), || {
            filling += 1;
            async move {
                append(log, p, vec![entry(format!("filling-{filling}"), "")]).await;
                let found = read_all(log, p).await;
                for (k, (offset, v)) in latest {
                    let kept = found.iter().find(|e| e.offset == *offset);
                    // A tombstone may go too, in the end.
                    assert!(
                        v == "-" || kept.is_some_and(|e| key(e) == *k && value(e) == *v),
                        "the latest of {k} stays"
                    );
                }
                let outdated = found.iter().filter(|e| latest.get(&key(e)).is_some_and(|(o, _)| e.offset < *o)).count();
                if outdated == 0 { Ok(()) } else { Err(format!("{outdated} outdated entries")) }
            }
        })
        .await;
    }
    // A reader that stood at an entry now gone goes on from there.
    let start = log.watermarks(&p).await.expect("watermarks").start;
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        let all = read_all(&log, &p).await;
        let first_kept = all[0].offset;
        for at in [start, first_kept.saturating_sub(1).max(start), first_kept + 1] {
            let fetched = log.fetch(&p, at, 1 << 20, Duration::from_secs(5)).await.expect("fetch in a hole");
            let expected = all.iter().find(|e| e.offset >= at).expect("more behind it");
            assert_eq!(fetched.entries[0].offset, expected.offset);
        }
        for (offset, v) in latest.values().filter(|(_, v)| v != "-") {
            let fetched = log.fetch(&p, *offset, 1, Duration::from_secs(5)).await.expect("fetch");
            assert_eq!((fetched.entries[0].offset, &value(&fetched.entries[0])), (*offset, v));
        }
    }
}

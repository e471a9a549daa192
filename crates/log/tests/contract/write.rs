//! Appending: durable, in order, whole.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use futures::future::join_all;
use ldop_log::{Cleanup, LogError, NewEntry};

use super::{Harness, append, appender, entry, eventually, key, partition, read_all, value};

pub async fn acknowledged_is_durable<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "durable", Cleanup::Keep).await;
    let mut written = Vec::new();
    for round in 0..3 {
        let batch: Vec<_> = (0..50).map(|i| entry(format!("k{i}"), format!("{round}/{i}"))).collect();
        let offsets = append(&log, &p, batch).await;
        written.extend(offsets.into_iter().enumerate().map(|(i, offset)| (offset, format!("{round}/{i}"))));
        log = h.reopen(log).await;
        let found: Vec<_> = read_all(&log, &p).await.iter().map(|e| (e.offset, value(e))).collect();
        assert_eq!(found, written);
        let end = log.watermarks(&p).await.expect("watermarks").end;
        assert!(written.last().is_some_and(|(last, _)| end > *last), "the end lies behind the last entry");
    }
}

pub async fn order_holds_between_concurrent_appenders<H: Harness>(h: &H) {
    const WRITERS: usize = 8;
    const BATCHES: usize = 40;
    let log = h.open().await;
    let p = partition(h, &log, "order", Cleanup::Keep).await;
    let writers = (0..WRITERS).map(|writer| {
        let (log, p) = (log.clone(), p.clone());
        tokio::spawn(async move {
            let appender = appender(&log, &p).await;
            let mut on_their_way = Vec::new();
            for batch in 0..BATCHES {
                // Batches of one to five entries.
                let entries = (0..=batch % 5).map(|i| entry(format!("w{writer}"), format!("{:05}", batch * 10 + i)));
                on_their_way.push(appender.append(entries.collect()).expect("taken"));
            }
            let mut offsets = Vec::new();
            for append in on_their_way {
                offsets.extend(append.await.expect("acknowledged").offsets);
            }
            (format!("w{writer}"), offsets)
        })
    });
    let acknowledged: HashMap<_, _> = join_all(writers).await.into_iter().map(|w| w.expect("writer")).collect();

    let mut found: HashMap<String, (Vec<u64>, Vec<String>)> = HashMap::new();
    let all = read_all(&log, &p).await;
    for e in &all {
        let (offsets, values) = found.entry(key(e)).or_default();
        offsets.push(e.offset);
        values.push(value(e));
    }
    for (writer, offsets) in acknowledged {
        let (found, values) = &found[&writer];
        assert_eq!(found, &offsets, "{writer}: read in the order of acknowledgement");
        assert!(values.is_sorted(), "{writer}: read in the order of the calls");
    }
    // A batch is never torn apart by another writer's entries.
    for (one, next) in all.iter().zip(all.iter().skip(1)) {
        let same_batch = |a: &str, b: &str| a[..4] == b[..4];
        if key(one) != key(next) {
            assert!(
                !all.iter().any(|e| e.offset > next.offset && key(e) == key(one) && same_batch(&value(e), &value(one)))
            );
        }
    }
}

pub async fn pipelined_batches_keep_their_order<H: Harness>(h: &H) {
    const BATCHES: usize = 500;
    let log = h.open().await;
    let p = partition(h, &log, "pipelined", Cleanup::Keep).await;
    let appender = appender(&log, &p).await;
    let on_their_way: Vec<_> =
        (0..BATCHES).map(|i| appender.append(vec![entry("k", i.to_string())]).expect("taken")).collect();
    let mut last = None;
    for append in on_their_way {
        let offset = append.await.expect("acknowledged").offsets[0];
        assert!(last.is_none_or(|last| last < offset), "offsets grow in the order of the calls");
        last = Some(offset);
    }
    let values: Vec<_> = read_all(&log, &p).await.iter().map(value).collect();
    assert_eq!(values, (0..BATCHES).map(|i| i.to_string()).collect::<Vec<_>>());
}

/// An entry of exactly this size.
fn sized(size: usize) -> NewEntry {
    let mut e = entry("key", "");
    e.headers = vec![("name", Bytes::from_static(b"value"))];
    e.value = Some(Bytes::from(vec![b'x'; size - e.size()]));
    assert_eq!(e.size(), size);
    e
}

pub async fn a_batch_with_one_too_large_entry_is_refused_whole<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "limit", Cleanup::Keep).await;
    let limit = log.max_entry_bytes();
    assert!(limit >= 1 << 20, "an entry of 1 MiB is allowed");
    let appender = appender(&log, &p).await;
    let batch = vec![entry("k", "before"), sized(limit + 1), entry("k", "behind")];
    match appender.append(batch).err().expect("refused at once") {
        LogError::TooLarge { size, limit: told } => assert_eq!((size, told), (limit + 1, limit)),
        other => panic!("{other:?}"),
    }
    // Nothing was taken, so nothing failed: the appender goes on.
    appender.append(vec![sized(limit)]).expect("taken").await.expect("an entry at the limit passes");
    let found = read_all(&log, &p).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].value.as_ref().map(Bytes::len), sized(limit).value.map(|v| v.len()));
}

pub async fn a_batch_without_a_key_on_a_compacted_topic_is_refused_whole<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "keyed", Cleanup::Compact).await;
    let appender = appender(&log, &p).await;
    let batch = vec![entry("k", "with"), NewEntry { key: None, ..entry("", "without") }];
    assert!(matches!(appender.append(batch), Err(LogError::KeyRequired)));
    // An empty key is a key.
    appender.append(vec![entry("", "empty key")]).expect("taken").await.expect("acknowledged");
    let found = read_all(&log, &p).await;
    assert_eq!(found.iter().map(value).collect::<Vec<_>>(), ["empty key"]);
}

pub async fn an_empty_batch_is_acknowledged<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "nothing", Cleanup::Keep).await;
    assert_eq!(append(&log, &p, Vec::new()).await, Vec::<u64>::new());
    assert!(read_all(&log, &p).await.is_empty());
}

pub async fn a_dropped_append_is_not_lost<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "dropped", Cleanup::Keep).await;
    let appender = appender(&log, &p).await;
    for i in 0..100 {
        drop(appender.append(vec![entry("k", i.to_string())]).expect("taken"));
    }
    drop(appender);
    let (log, p) = (&log, &p);
    let values = eventually(h.patience(), || async move {
        let found: Vec<_> = read_all(log, p).await.iter().map(value).collect();
        if found.len() == 100 { Ok(found) } else { Err(format!("{} of 100", found.len())) }
    });
    assert_eq!(values.await, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
}

pub async fn a_large_batch_is_one_batch<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "large", Cleanup::Keep).await;
    let filling = Arc::new("x".repeat(4_000));
    let batch: Vec<_> = (0..600).map(|i| entry(format!("k{i}"), format!("{i:03}{filling}"))).collect();
    let offsets = append(&log, &p, batch).await;
    log = h.reopen(log).await;
    let found = read_all(&log, &p).await;
    assert_eq!(found.iter().map(|e| e.offset).collect::<Vec<_>>(), offsets);
    assert!(found.iter().enumerate().all(|(i, e)| value(e).starts_with(&format!("{i:03}x"))));
}

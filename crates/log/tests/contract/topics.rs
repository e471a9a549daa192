//! Topics and partitions.

use std::time::Duration;

use futures::future::join_all;
use ldop_log::{Cleanup, LogError, Partition, TopicSpec, Watermarks};
use ldop_types::TimestampMs;

use super::{Harness, append, entry, partition, read_all, value};

pub async fn unknown_partitions_are_told<H: Harness>(h: &H) {
    let log = h.open().await;
    let known = partition(h, &log, "known", Cleanup::Keep).await;
    let unknown = [
        Partition { topic: h.topic("unknown"), index: 0 },
        Partition { index: 1, ..known.clone() },
        Partition { index: u32::MAX, ..known },
    ];
    for p in unknown {
        let told = |error: LogError| match error {
            LogError::UnknownPartition { partition } => assert_eq!(partition, p),
            other => panic!("{other:?}"),
        };
        told(log.appender(p.clone()).await.err().expect("no appender"));
        told(log.fetch(&p, 0, 1, Duration::ZERO).await.expect_err("no fetch"));
        told(log.watermarks(&p).await.expect_err("no watermarks"));
        told(log.offset_at(&p, TimestampMs(0)).await.expect_err("no seek"));
    }
}

pub async fn ensuring_topics_is_idempotent<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let cleanups = [Cleanup::Keep, Cleanup::Compact, Cleanup::Delete { retention: Duration::from_secs(3_600) }];
    let specs: Vec<_> = (0..30)
        .map(|i| TopicSpec {
            name: h.topic(&format!("many-{i}")),
            partitions: 1 + i % 3,
            cleanup: cleanups[i as usize % 3],
        })
        .collect();
    // Several at once, then again, then after a restart, with one more.
    for result in join_all((0..4).map(|_| log.ensure_topics(specs.clone()))).await {
        result.expect("make topics");
    }
    let first = Partition { topic: specs[0].name.clone(), index: 0 };
    append(&log, &first, vec![entry("k", "kept")]).await;
    log.ensure_topics(specs.clone()).await.expect("make topics again");
    log.ensure_topics(Vec::new()).await.expect("no topics");
    log = h.reopen(log).await;
    let one_more = TopicSpec { name: h.topic("one-more"), partitions: 2, cleanup: Cleanup::Keep };
    log.ensure_topics([specs.clone(), vec![one_more.clone(), one_more.clone()]].concat()).await.expect("one more");
    assert_eq!(read_all(&log, &first).await.iter().map(value).collect::<Vec<_>>(), ["kept"]);
    for spec in specs.iter().chain([&one_more]) {
        let last = Partition { topic: spec.name.clone(), index: spec.partitions - 1 };
        append(&log, &last, vec![entry("k", spec.name.as_str())]).await;
        let found = read_all(&log, &last).await;
        assert_eq!(found.last().map(value).as_deref(), Some(spec.name.as_str()));
    }
}

pub async fn a_topic_that_differs_is_told<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let retention = Duration::from_secs(3_600);
    let spec = TopicSpec { name: h.topic("differs"), partitions: 2, cleanup: Cleanup::Delete { retention } };
    log.ensure_topics(vec![spec.clone()]).await.expect("make the topic");
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        for other in [
            TopicSpec { partitions: 1, ..spec.clone() },
            TopicSpec { partitions: 3, ..spec.clone() },
            TopicSpec { cleanup: Cleanup::Keep, ..spec.clone() },
            TopicSpec { cleanup: Cleanup::Compact, ..spec.clone() },
            TopicSpec { cleanup: Cleanup::Delete { retention: retention * 2 }, ..spec.clone() },
        ] {
            match log.ensure_topics(vec![other.clone()]).await {
                Err(LogError::TopicDiffers { topic, .. }) => assert_eq!(topic, spec.name),
                result => panic!("{other:?}: {result:?}"),
            }
        }
        log.ensure_topics(vec![spec.clone()]).await.expect("the topic is as it was");
    }
}

pub async fn an_empty_partition<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "empty", Cleanup::Keep).await;
    let Watermarks { start, end } = log.watermarks(&p).await.expect("watermarks");
    assert_eq!(start, end);
    let fetched = log.fetch(&p, end, 1 << 20, Duration::ZERO).await.expect("fetch at the end");
    assert_eq!((fetched.entries.len(), fetched.next, fetched.end), (0, end, end));
    assert_eq!(log.offset_at(&p, TimestampMs(0)).await.expect("seek"), end);
}

pub async fn topics_and_positions_survive<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let name = h.topic("positions");
    let partitions: Vec<_> = (0..4).map(|index| Partition { topic: name.clone(), index }).collect();
    let spec = TopicSpec { name, partitions: 4, cleanup: Cleanup::Keep };
    log.ensure_topics(vec![spec]).await.expect("make the topic");
    for (i, p) in partitions.iter().enumerate().skip(1) {
        append(&log, p, (0..i * 10).map(|n| entry("k", format!("{i}/{n}"))).collect()).await;
    }
    let mut before = Vec::new();
    for p in &partitions {
        before.push(log.watermarks(p).await.expect("watermarks"));
    }
    // No topic is made again: what was there is there.
    log = h.reopen(log).await;
    for ((i, p), before) in partitions.iter().enumerate().zip(before) {
        assert_eq!(log.watermarks(p).await.expect("watermarks"), before);
        let found = read_all(&log, p).await;
        assert_eq!(found.len(), i * 10, "{p}");
        assert!(found.iter().enumerate().all(|(n, e)| value(e) == format!("{i}/{n}")));
        let offsets = append(&log, p, vec![entry("k", "next")]).await;
        assert!(offsets[0] >= before.end, "offsets go on growing");
    }
}

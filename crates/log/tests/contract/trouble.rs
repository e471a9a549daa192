//! The log away, the log closed.

use std::time::{Duration, Instant};

use ldop_log::{Cleanup, LogError};
use ldop_types::TimestampMs;

use super::{Harness, append, appender, entry, eventually, is_trouble, partition, read_all, value};

/// Nothing acknowledged is lost, callers are told or wait, no call goes beyond its bound.
pub async fn away_and_back<H: Harness>(h: &H) {
    let mut log = h.open().await;
    let p = partition(h, &log, "away", Cleanup::Keep).await;
    let mut acknowledged: Vec<String> = Vec::new();
    let mut refused: Vec<String> = Vec::new();
    for round in 0..2 {
        let name = |text: &str| format!("{round} {text}");
        append(&log, &p, vec![entry("k", name("before"))]).await;
        acknowledged.push(name("before"));
        let fetch_end = log.watermarks(&p).await.expect("watermarks").end;

        let failing = appender(&log, &p).await;
        h.take_away().await;
        // An append is told that the log is away, or waits.
        let mut first = failing.append(vec![entry("k", name("first"))]).expect("taken");
        let outcome = tokio::time::timeout(h.call_bound(), &mut first).await;
        match &outcome {
            Ok(Ok(_)) => panic!("acknowledged while the log is away"),
            Ok(Err(error)) => {
                assert!(is_trouble(error), "{error:?}");
                if matches!(error, LogError::Unavailable { .. }) {
                    refused.push(name("first"));
                }
                // Fail-stop: nothing overtakes what failed.
                assert!(matches!(failing.append(vec![entry("k", name("later"))]), Err(LogError::AppenderFailed)));
                refused.push(name("later"));
            }
            Err(_) => {}
        }
        // Reads answer within their bound, whatever they answer.
        let bounded = async |what: &str, call: &mut (dyn Future<Output = Result<(), LogError>> + Unpin + Send)| {
            let started = Instant::now();
            match tokio::time::timeout(h.call_bound() * 2, call).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => assert!(is_trouble(&error), "{what}: {error:?}"),
                Err(_) => panic!("{what} took longer than {:?}", started.elapsed()),
            }
        };
        let wait = Duration::from_millis(100);
        bounded("fetch", &mut Box::pin(async { log.fetch(&p, 0, 1, wait).await.map(drop) })).await;
        bounded("fetch at the end", &mut Box::pin(async { log.fetch(&p, fetch_end, 1, wait).await.map(drop) })).await;
        bounded("watermarks", &mut Box::pin(async { log.watermarks(&p).await.map(drop) })).await;
        bounded("seek", &mut Box::pin(async { log.offset_at(&p, TimestampMs(0)).await.map(drop) })).await;

        h.bring_back().await;
        if outcome.is_err() {
            // It waited; now it is settled.
            match tokio::time::timeout(h.patience(), first).await.expect("settled once the log is back") {
                Ok(_) => acknowledged.push(name("first")),
                Err(error) => assert!(is_trouble(&error), "{error:?}"),
            }
        } else {
            assert!(matches!(failing.append(vec![entry("k", name("again"))]), Err(LogError::AppenderFailed)));
            refused.push(name("again"));
        }
        // A new appender goes on; at first the log may need a moment.
        let (log, p, text) = (&log, &p, name("after"));
        eventually(h.patience(), || {
            let text = text.clone();
            async move {
                let appender = log.appender(p.clone()).await.map_err(|e| e.to_string())?;
                let append = appender.append(vec![entry("k", text)]).map_err(|e| e.to_string())?;
                append.await.map_err(|e| e.to_string())
            }
        })
        .await;
        acknowledged.push(text);
    }
    for reopened in [false, true] {
        if reopened {
            log = h.reopen(log).await;
        }
        let found: Vec<_> = read_all(&log, &p).await.iter().map(value).collect();
        for text in &acknowledged {
            assert!(found.contains(text), "{text} was acknowledged; found {found:?}");
        }
        for text in &refused {
            assert!(!found.contains(text), "{text} was refused; found {found:?}");
        }
    }
}

/// Closing finishes what is on its way; then everything says `Closed`.
pub async fn closing<H: Harness>(h: &H) {
    let log = h.open().await;
    let p = partition(h, &log, "closing", Cleanup::Keep).await;
    let writer = appender(&log, &p).await;
    let end = log.watermarks(&p).await.expect("watermarks").end;
    let reader = {
        let (log, topic) = (log.clone(), p.clone());
        let idle = partition(h, &log, "idle", Cleanup::Keep).await;
        let _ = topic;
        tokio::spawn(async move { log.fetch(&idle, 0, 1, Duration::from_secs(250)).await })
    };
    let on_their_way: Vec<_> =
        (0..100).map(|i| writer.append(vec![entry("k", i.to_string())]).expect("taken")).collect();
    log.close(h.patience()).await.expect("close");
    let mut offsets = Vec::new();
    for append in on_their_way {
        offsets.extend(append.await.expect("acknowledged before the close ended").offsets);
    }
    assert!(offsets.iter().all(|offset| *offset >= end));

    let closed = |error: LogError| assert!(matches!(error, LogError::Closed), "{error:?}");
    closed(writer.append(vec![entry("k", "late")]).err().expect("refused"));
    closed(log.appender(p.clone()).await.err().expect("refused"));
    closed(log.fetch(&p, 0, 1, Duration::ZERO).await.expect_err("refused"));
    closed(log.watermarks(&p).await.expect_err("refused"));
    closed(log.offset_at(&p, TimestampMs(0)).await.expect_err("refused"));
    closed(log.ensure_topics(vec![]).await.expect_err("refused"));
    let waited = tokio::time::timeout(h.call_bound(), reader).await.expect("a reader that waits is woken");
    closed(waited.expect("reader").expect_err("refused"));
    log.close(Duration::ZERO).await.expect("closing again is nothing");

    let log = h.reopen(log).await;
    let found = read_all(&log, &p).await;
    assert_eq!(found.iter().map(|e| e.offset).collect::<Vec<_>>(), offsets);
}

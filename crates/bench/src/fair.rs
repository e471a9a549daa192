//! Look-ups of a quiet caller, alone and beside a system that floods the hub with them. The load runs on the same machine, so what
//! the quiet one loses is what the hub lets be taken from it and what the machine has not; the ratio tells both together.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;
use ldop_client::{Client, look_up_answer::Outcome};
use ldop_contract::control::v1::{Change, change::Resource};
use ldop_sample_data::Dataset;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    look_up::{self, AGREEMENT},
    settings::Settings,
    table::{Row, median},
    world::{Hub, READER, World},
};

const QUIETS: &str = "notes-to-quiet";
/// Callers of the system that floods, over two connections: far more than it is let in with.
const FLOOD: usize = 400;

/// What the quiet caller had.
struct Quiet {
    rate: f64,
    p99_ms: f64,
}

/// Rounds alone and beside the flood by turns.
///
/// # Errors
///
/// The hub or a call fails for anything but overload.
pub async fn measure(
    settings: &Settings,
    dir: &Path,
    program: PathBuf,
    definitions: &[Change],
) -> anyhow::Result<Vec<Row>> {
    let world = World::make(&program, dir, None)?;
    let hub = Hub::start(&world)?;
    world.apply(definitions.to_vec()).await?;
    // A system that has a certificate, and is none of those that take part.
    let system = Dataset::Businesses.provider();
    let mut changes = look_up::notes();
    let agreement = changes.iter().find_map(|change| match &change.resource {
        Some(Resource::Agreement(agreement)) => Some(agreement.clone()),
        _ => None,
    });
    let mut quiets = agreement.context("an agreement")?;
    (quiets.id, quiets.consumer) = (QUIETS.to_owned(), system.to_owned());
    changes.push(Change { resource: Some(Resource::Agreement(quiets)) });
    world.apply(changes).await?;
    look_up::publish(&world.client(Dataset::CivilStatus.provider(), None).await?).await?;
    let noisy = [world.client(READER, None).await?, world.client(READER, None).await?];
    let quiet = world.client(system, None).await?;
    look_up::until_it_answers(&noisy[0]).await?;

    let time = Duration::from_secs(if settings.long { 8 } else { 3 });
    let (mut rates, mut alone_rates, mut p99, mut alone_p99) = (vec![], vec![], vec![], vec![]);
    let (served, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for round in 0..=settings.rounds() {
        let alone = ask_alone(&quiet, time).await?;
        let stop = CancellationToken::new();
        let mut flood = JoinSet::new();
        for caller in 0..FLOOD {
            let client = noisy[caller % noisy.len()].clone();
            flood.spawn(ask_without_end(client, caller, stop.clone(), Arc::clone(&served), Arc::clone(&refused)));
        }
        let beside = ask_alone(&quiet, time).await;
        stop.cancel();
        while let Some(ended) = flood.join_next().await {
            ended??;
        }
        let beside = beside?;
        eprintln!(
            "round {round}: alone {:.0}/s p99 {:.2} ms, beside {:.0}/s p99 {:.2} ms, ratio {:.2}",
            alone.rate,
            alone.p99_ms,
            beside.rate,
            beside.p99_ms,
            beside.rate / alone.rate
        );
        // The first warms up.
        if round > 0 {
            rates.push(beside.rate);
            alone_rates.push(alone.rate);
            p99.push(beside.p99_ms);
            alone_p99.push(alone.p99_ms);
        }
    }
    hub.stop()?;
    let (served, refused) = (served.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    eprintln!("of the flood {served} were answered and {refused} refused with a retry time");
    ensure!(refused > 0, "the flood was none: nobody was refused");
    let ratio = median(rates.iter().zip(&alone_rates).map(|(beside, alone)| beside / alone));
    let (beside, alone) = (median(rates), median(alone_rates));
    let (late, usual) = (median(p99), median(alone_p99));
    Ok(vec![
        Row::new(format!("look-ups of one quiet caller beside {FLOOD} of another system"), format!("{beside:.0}/s"))
            .against(format!("alone {alone:.0}/s"))
            .at_least(ratio, 0.9),
        Row::new("p99 of that", format!("{late:.2} ms"))
            .against(format!("alone {usual:.2} ms"))
            .figure(format!("{:.2}", late / usual)),
    ])
}

/// One caller that waits for each answer.
async fn ask_alone(client: &Client, time: Duration) -> anyhow::Result<Quiet> {
    let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < time {
        let asked = Instant::now();
        let response = client.look_up(look_up::question_under(QUIETS, count)?).await?;
        ensure!(matches!(response.answers[0].outcome, Some(Outcome::Found(_))), "not found");
        count += 1;
        latencies.saturating_record(u64::try_from(asked.elapsed().as_micros())?);
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    Ok(Quiet { rate, p99_ms: latencies.value_at_quantile(0.99) as f64 / 1_000.0 })
}

/// One of the flood: asks again at once, and after the retry time where it is refused.
async fn ask_without_end(
    client: Client,
    caller: usize,
    stop: CancellationToken,
    served: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    for nth in 0.. {
        if stop.is_cancelled() {
            break;
        }
        match client.look_up(look_up::question_under(AGREEMENT, nth * FLOOD + caller)?).await {
            Ok(_) => {
                served.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let wait = error.retry_after().with_context(|| format!("refused without a retry time: {error}"))?;
                refused.fetch_add(1, Ordering::Relaxed);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }
    Ok(())
}

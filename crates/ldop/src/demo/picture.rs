//! The demo's picture in the terminal, and the same as JSON.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde_json::json;

use super::{
    audit::Audit,
    worker::{AGREEMENTS, Given, Taken},
};

/// Width of the bars.
const BAR: usize = 24;

/// What is known of the run as a whole.
pub struct Run {
    /// Records asked for.
    pub records: u64,
    /// Engine.
    pub engine: &'static str,
    /// Time to ready at the first start.
    pub hub_ready: Duration,
    /// Answers given when the hub was killed, and how long it was away.
    pub killed: Option<(u64, Duration)>,
    /// The whole demo.
    pub took: Duration,
    /// Memory of the hub at the end.
    pub memory_mib: Option<u64>,
}

/// Quantiles of many values, in milliseconds.
struct Latency {
    p50: f64,
    p99: f64,
    most: f64,
}

fn latency(values: impl Iterator<Item = u32>) -> Latency {
    let mut all: Vec<u32> = values.collect();
    all.sort_unstable();
    let at = |q: f64| all.get(((all.len().max(1) - 1) as f64 * q) as usize).map_or(0.0, |us| f64::from(*us) / 1e3);
    Latency { p50: at(0.5), p99: at(0.99), most: at(1.0) }
}

fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('.');
        }
        out.push(digit);
    }
    out
}

fn refusals(given: &[Given]) -> Vec<(String, String, u64)> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (rule, count) in given.iter().flat_map(|g| &g.refusals) {
        *all.entry(rule).or_default() += count;
    }
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(rule, count)| {
            let (word, vi) = rule.split_once('\t').unwrap_or((rule, ""));
            (word.to_owned(), vi.to_owned(), count)
        })
        .collect();
    all.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    all
}

/// The picture.
pub fn draw(run: &Run, given: &[Given], taken: &[Taken], audit: &Audit) -> String {
    let mut out = String::new();
    let _ = draw_into(&mut out, run, given, taken, audit);
    out
}

fn draw_into(
    out: &mut String,
    run: &Run,
    given: &[Given],
    taken: &[Taken],
    audit: &Audit,
) -> Result<(), std::fmt::Error> {
    writeln!(out, "\n  AI GỬI GÌ CHO AI · who sent what to whom")?;
    for report in given {
        for (dataset, figures) in &report.datasets {
            writeln!(
                out,
                "\n  {:<20} ──▶ {:<16} gửi {:>9}   nhận {:>9}   từ chối {:>7}",
                report.system,
                dataset,
                number(figures.sent),
                number(figures.accepted),
                number(figures.refused)
            )?;
            let entitled: Vec<_> = AGREEMENTS.iter().filter(|(_, _, of)| of == dataset).collect();
            for (at, (consumer, agreement, _)) in entitled.iter().enumerate() {
                let figures = taken.iter().find_map(|t| t.agreements.get(*agreement));
                let received = figures.map_or(0, |f| f.received);
                let again = figures.map_or(0, |f| f.again);
                let again = if again > 0 { format!("   (gửi lại {})", number(again)) } else { String::new() };
                let corner = if at + 1 == entitled.len() { '└' } else { '├' };
                writeln!(
                    out,
                    "    {corner}─▶ {consumer:<23} đã giao {:>9}{again}   theo {agreement}",
                    number(received)
                )?;
            }
        }
    }

    let refusals = refusals(given);
    writeln!(out, "\n  TỪ CHỐI VÀ LÝ DO · refused, and why")?;
    let most = refusals.first().map_or(1, |(_, _, count)| *count).max(1);
    for (rule, vi, count) in &refusals {
        let bar = "█".repeat(((*count as usize * BAR).div_ceil(most as usize)).max(1));
        writeln!(out, "    {:>7}  {bar:<BAR$}  {vi} · {rule}", number(*count))?;
    }
    if refusals.is_empty() {
        writeln!(out, "    không có · none")?;
    }

    let publish = latency(given.iter().flat_map(|g| g.latency_us.iter().copied()));
    let deliver = latency(taken.iter().flat_map(|t| t.latency_us.iter().copied()));
    writeln!(out, "\n  ĐỘ TRỄ · latency, milliseconds{:>22}{:>10}{:>10}", "p50", "p99", "max")?;
    for (name, l) in [("gửi → biên nhận · sent to receipt", publish), ("nhận → đến nơi · accepted to arrived", deliver)]
    {
        writeln!(out, "    {name:<46}{:>6.1}{:>10.1}{:>10.1}", l.p50, l.p99, l.most)?;
    }

    writeln!(out, "\n  KIỂM TRA · audit")?;
    for check in &audit.checks {
        let mark = if check.wrong == 0 { "✓" } else { "✗" };
        let wrong = if check.wrong == 0 { String::new() } else { format!("  SAI {}", number(check.wrong)) };
        writeln!(out, "    {mark} {} · {}  [{}]{wrong}", check.vi, check.en, number(check.looked_at))?;
    }
    let repeated: u64 = given.iter().map(|g| g.repeated).sum();
    let killed = match run.killed {
        Some((at, away)) => {
            format!(
                "hub killed after {} answers, back in {} ms, {} receipts given again",
                number(at),
                away.as_millis(),
                number(repeated)
            )
        }
        None => "hub was not killed: the flows were too short".to_owned(),
    };
    let memory = run.memory_mib.map(|mib| format!(" · hub memory {mib} MiB")).unwrap_or_default();
    writeln!(out, "\n  {killed}")?;
    writeln!(
        out,
        "  {} log · {} records asked for · {:.1} s{memory}\n  {}\n",
        run.engine,
        number(run.records),
        run.took.as_secs_f64(),
        if audit.passed() { "ĐẠT · the audit passed" } else { "KHÔNG ĐẠT · the audit FAILED" }
    )
}

/// The same as JSON.
///
/// # Errors
///
/// None but for a bug of ours in the figures' form.
pub fn json(run: &Run, given: &[Given], taken: &[Taken], audit: &Audit) -> serde_json::Result<String> {
    let publish = latency(given.iter().flat_map(|g| g.latency_us.iter().copied()));
    let deliver = latency(taken.iter().flat_map(|t| t.latency_us.iter().copied()));
    let quantiles = |l: &Latency| json!({"p50": l.p50, "p99": l.p99, "max": l.most});
    let providers: BTreeMap<_, _> = given.iter().map(|g| (&g.system, &g.datasets)).collect();
    let consumers: BTreeMap<_, _> = taken.iter().map(|t| (&t.system, &t.agreements)).collect();
    let refusals: BTreeMap<_, _> = refusals(given).into_iter().map(|(rule, _, count)| (rule, count)).collect();
    serde_json::to_string_pretty(&json!({
        "passed": audit.passed(),
        "engine": run.engine,
        "seconds": run.took.as_secs_f64(),
        "hub_ready_ms": run.hub_ready.as_millis(),
        "hub_killed_after_answers": run.killed.map(|(at, _)| at),
        "hub_away_ms": run.killed.map(|(_, away)| away.as_millis()),
        "hub_memory_mib": run.memory_mib,
        "providers": providers,
        "consumers": consumers,
        "refusals": refusals,
        "publish_latency_ms": quantiles(&publish),
        "delivery_latency_ms": quantiles(&deliver),
        "audit": audit.checks,
    }))
}

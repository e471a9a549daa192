//! Measures how fast sample records are made, or prints some:
//!
//! ```text
//! cargo run --release -p ldop-sample-data --example rate
//! cargo run --release -p ldop-sample-data --example rate -- civil-status 5
//! ```

use std::{io::Write as _, time::Instant};

use ldop_sample_data::{Dataset, records};

const SEED: u64 = 1;
const COUNT: u64 = 500_000;
const ERROR_SHARE: f64 = 0.05;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut out = std::io::stdout().lock();
    if let Some(dataset) = arguments.next().and_then(|id| Dataset::parse(&id)) {
        let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(1);
        for sample in records(dataset, SEED, count, 0.0) {
            out.write_all(&sample.payload)?;
            writeln!(out)?;
        }
        return Ok(());
    }
    for dataset in Dataset::ALL {
        let start = Instant::now();
        let bytes: usize = records(dataset, SEED, COUNT, ERROR_SHARE).map(|sample| sample.payload.len()).sum();
        let rate = COUNT as f64 / start.elapsed().as_secs_f64();
        writeln!(
            out,
            "{:<14} {rate:>10.0} records/s on one thread, {} bytes each",
            dataset.id(),
            bytes as u64 / COUNT
        )?;
    }
    Ok(())
}

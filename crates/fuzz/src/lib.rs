//! One function for each parser that meets bytes from outside: callers, operators' files, certificates, and the log
//! itself, which others may have written to.
//!
//! A target takes any bytes, must not panic, and checks what has to hold besides: what our parser accepts `serde_json`
//! accepts and reads alike, a projection gives granted fields only, a finding never tells a value. [`TARGETS`] lists
//! them with their seeds. Two things run them:
//!
//! - `tests/short.rs`, on every test run: seeds changed by a generator with a fixed seed, some seconds in all.
//! - `fuzz/`, a folder outside of the workspace: the same functions under libFuzzer, for as long as one likes.
//!
//! The engines of the log have tests of their own for damaged files (`crates/log/tests`).

mod certificate;
mod compatibility;
mod control;
mod definitions;
mod envelope;
mod ids;
mod index;
mod projection;
mod record;
mod requests;
mod rest;
mod schema;
mod sheets;
pub mod world;

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name; also the name of the program and of the corpus folder in `fuzz/`.
    pub name: &'static str,
    /// Feeds it. Panics when something does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs of the short run: fewer where one costs more.
    pub short: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "record", run: record::run, seeds: record::seeds, short: 20_000 },
    Target { name: "projection", run: projection::run, seeds: record::seeds, short: 20_000 },
    Target { name: "header", run: envelope::run, seeds: envelope::seeds, short: 20_000 },
    Target { name: "chain", run: control::chain, seeds: control::chain_seeds, short: 20_000 },
    Target { name: "change_set", run: control::change_set, seeds: control::change_set_seeds, short: 2_000 },
    Target { name: "ids", run: ids::run, seeds: ids::seeds, short: 20_000 },
    Target { name: "definitions", run: definitions::run, seeds: definitions::seeds, short: 2_000 },
    Target { name: "sheets", run: sheets::run, seeds: sheets::seeds, short: 2_000 },
    Target { name: "schema", run: schema::run, seeds: schema::seeds, short: 2_000 },
    Target { name: "compatibility", run: compatibility::run, seeds: compatibility::seeds, short: 2_000 },
    Target { name: "requests", run: requests::run, seeds: requests::seeds, short: 20_000 },
    Target { name: "rest", run: rest::run, seeds: rest::seeds, short: 2_000 },
    Target { name: "certificate", run: certificate::run, seeds: certificate::seeds, short: 20_000 },
    Target { name: "index", run: index::run, seeds: index::seeds, short: 2_000 },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

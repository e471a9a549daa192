//! The hub and its tools in one binary. Each command is a module of [`commands`]; this page only leads there.

#![allow(
    rustdoc::invalid_html_tags,
    rustdoc::broken_intra_doc_links,
    reason = "doc comments of arguments are help texts, written for a terminal"
)]

mod cli;
mod commands;
mod config;
mod connect;
mod demo;
mod failure;
mod output;
mod sample;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let output = cli.output;
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report(output);
            failure.exit().into()
        }
    }
}

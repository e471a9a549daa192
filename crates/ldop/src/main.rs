//! The hub and its tools in one binary.
#![allow(dead_code, reason = "commands follow")]

mod config;

fn main() {}

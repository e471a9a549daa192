#!/usr/bin/env bash
# Sets up what the tests need, real servers included, and runs every check. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

section() { printf '\n== %s\n' "$1"; }

section "set up: Kafka, promtool, buf, grpcurl"
tests/setup.sh

section "format"
cargo fmt --all --check

section "contract: buf"
target/tools/buf lint

section "lints"
cargo clippy --workspace --all-targets --all-features -- -D warnings

section "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

section "tests"
cargo build --quiet -p ldop
cargo test --workspace --features ldop-log/kafka-tests,ldop-tests/kafka-tests

section "the main job"
target/debug/ldop demo

#!/usr/bin/env bash
# Measures the hub against bare libraries and prints a Markdown table: ./bench.sh [--long] [measure...]; see
# docs/benchmarks.md, and ./bench.sh --help. Builds what it needs and fetches a Kafka broker. Leave the machine alone
# while it runs.
set -euo pipefail

cd "$(dirname "$0")"
tests/setup.sh
cargo build --quiet --release -p ldop -p ldop-bench
exec "${CARGO_TARGET_DIR:-target}/release/ldop-bench" "$@"

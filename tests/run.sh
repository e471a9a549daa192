#!/usr/bin/env bash
# Sets up what the tests need, real servers included, and runs every check. Stops at the first that fails and says which.
# tests/soak.sh is the long version of the faults.
set -euo pipefail
cd "$(dirname "$0")/.."

section=start
section() {
    section=$1
    printf '\n== %s\n' "$section"
}
trap 'printf "\ntests/run.sh: failed at: %s\n" "$section" >&2' ERR

section "set up: Kafka, promtool, buf, grpcurl"
tests/setup.sh

# A cold build takes minutes less without OpenSSL, where the system has it, and without what only the next build would gain
# from. What was built already is kept.
built() { compgen -G "${CARGO_TARGET_DIR:-target}/debug/$1" >/dev/null; }
if ! built 'build/openssl-sys-*/out/openssl-build' && pkg-config --exists 'openssl >= 3' 2>/dev/null; then
    export OPENSSL_NO_VENDOR=1
fi
built incremental || export CARGO_INCREMENTAL=0

section "format"
cargo fmt --all --check

section "contract: buf"
target/tools/buf lint

section "lints"
cargo clippy --workspace --all-targets --all-features -- -D warnings

section "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

section "licences, bans and sources of dependencies: cargo deny"
if command -v cargo-deny >/dev/null; then
    cargo deny --all-features check
else
    # Building it takes longer than all the rest.
    echo "not checked: cargo-deny is not installed (cargo install cargo-deny)"
fi

# Builds target/debug/ldop too, which the scenarios, the demo and the check of deploy/ run.
section "tests, with brokers"
cargo test --workspace --features ldop-log/kafka-tests,ldop-tests/kafka-tests

section "what an operator runs"
deploy/check.sh

section "the main job"
target/debug/ldop demo

printf '\nEverything passed.\n'

#!/usr/bin/env bash
# The faults for long: the hub killed 500 times on each engine (or as often as the first argument says), then every
# other scenario again and again (the second argument, 5 times by default). About an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-500}
rounds=${2:-5}
tests/setup.sh
# The same features as in tests/run.sh, so that nothing is built twice.
scenarios() {
    cargo test --workspace --features ldop-log/kafka-tests,ldop-tests/kafka-tests --test scenarios -- --test-threads=2 "$@"
}
cargo test --workspace --features ldop-log/kafka-tests,ldop-tests/kafka-tests --no-run --quiet

echo "== $kills kills on each engine"
LDOP_KILLS=$kills scenarios kills:: --nocapture --skip control_kills::
echo "== $kills kills in the middle of changes of the registry"
LDOP_CONTROL_KILLS=$kills scenarios control_kills:: --nocapture
for round in $(seq "$rounds"); do
    echo "== every other scenario, round $round of $rounds"
    scenarios --skip kills
done

#!/usr/bin/env bash
# Fetches what the tests need beyond cargo: the Kafka broker's jars into target/kafka-libs (or $LDOP_KAFKA_LIBS), and
# promtool, buf, grpcurl and Python's Kafka client into target/tools. Says nothing when all is there. Needs no questions answered; as root it
# installs Java and Maven where apt-get can.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/target/tools
libs=${LDOP_KAFKA_LIBS:-$root/target/kafka-libs}
log=$tools/setup.log

BUF=1.75.0
GRPCURL=1.9.3
# promtool as a Go module: Prometheus 3.5, the long-term release.
PROMTOOL=0.305.0

mkdir -p "$tools"
exec 9>"$tools/.lock"
flock 9 # one at a time: several test runs may begin together
: >"$log"
export DEBIAN_FRONTEND=noninteractive GOBIN=$tools GOFLAGS=-buildvcs=false

have() { type -P "$1" >/dev/null; }

fail() {
    echo "tests/setup.sh: $1" >&2
    # What was tried, without the addresses it was tried at.
    tail -n 15 "$log" | sed -E 's#[a-z]+://[^ "]*#<address>#g; s/^/  /' >&2
    exit 1
}

# Runs a command quietly.
quiet() { "$@" >>"$log" 2>&1 </dev/null; }

apt_updated=
apt_get() {
    have apt-get || return 1
    if [ -z "$apt_updated" ]; then
        quiet apt-get update || true
        apt_updated=yes
    fi
    quiet apt-get "$@"
}

apt_install() {
    [ "$(id -u)" = 0 ] && apt_get install -y --no-install-recommends "$@"
}

java_major() { java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1; }

fetch_kafka() {
    local pom=$root/tests/kafka/pom.xml stamp=$libs/.pom.xml
    if ! have java || [ "$(java_major)" -lt 17 ]; then
        apt_install openjdk-17-jre-headless || fail "the Kafka broker needs Java 17 or later"
    fi
    have setpriv || apt_install util-linux || fail "starting brokers needs setpriv (util-linux)"
    cmp -s "$pom" "$stamp" && return
    have mvn || apt_install maven || fail "fetching the Kafka broker needs Maven (mvn)"
    rm -rf "$libs"
    quiet mvn -B -ntp -f "$pom" dependency:copy-dependencies "-DoutputDirectory=$libs" \
        || fail "Maven could not fetch the Kafka broker"
    cp "$pom" "$stamp"
}

# Takes promtool out of the Debian package; installing that would start a server.
promtool_from_apt() {
    local unpacked
    unpacked=$(mktemp -d)
    (cd "$unpacked" && apt_get download prometheus && quiet dpkg-deb -x prometheus_*.deb .) \
        && install -m 755 "$unpacked/usr/bin/promtool" "$tools/promtool"
    local result=$?
    rm -rf "$unpacked"
    return $result
}

fetch_promtool() {
    [ -x "$tools/promtool" ] && return
    if have promtool; then
        ln -sf "$(type -P promtool)" "$tools/promtool"
    else
        promtool_from_apt \
            || { have go && quiet go install "github.com/prometheus/prometheus/cmd/promtool@v$PROMTOOL"; } \
            || fail "promtool: neither apt-get (package prometheus) nor go could fetch it"
    fi
}

fetch_buf() {
    [ -x "$tools/buf" ] && return
    if have npm && quiet npm install --prefix "$tools/npm" --no-audit --no-fund "@bufbuild/buf@$BUF"; then
        ln -sf "npm/node_modules/.bin/buf" "$tools/buf"
        quiet "$tools/buf" --version && return
    fi
    { have go && quiet go install "github.com/bufbuild/buf/cmd/buf@v$BUF"; } \
        || fail "buf: neither npm (@bufbuild/buf) nor go could fetch it"
}

fetch_grpcurl() {
    [ -x "$tools/grpcurl" ] && return
    { have go && quiet go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$GRPCURL"; } \
        || { [ "$(id -u)" = 0 ] && have apt-get && ! have go && apt_install golang-go \
            && quiet go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$GRPCURL"; } \
        || fail "grpcurl: needs Go 1.21 or later to fetch it"
}

# Python's Kafka client with its serializers, in an environment of its own.
fetch_python() {
    local wanted=$root/tests/registry/requirements.txt python=$tools/python
    cmp -s "$wanted" "$python/.requirements.txt" && return
    have python3 || apt_install python3 || fail "the registry's tests need Python 3"
    rm -rf "$python"
    quiet python3 -m venv "$python" \
        || { apt_install python3-venv && rm -rf "$python" && quiet python3 -m venv "$python"; } \
        || fail "the registry's tests need Python's venv module"
    quiet "$python/bin/pip" install --disable-pip-version-check -r "$wanted" || fail "pip could not fetch confluent-kafka"
    cp "$wanted" "$python/.requirements.txt"
}

fetch_kafka
fetch_python
fetch_promtool
fetch_buf
fetch_grpcurl

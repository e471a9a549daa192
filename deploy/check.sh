#!/usr/bin/env bash
# Checks what is in this folder as far as the tools at hand can. Says at the end what could not be checked, and for want
# of which tool. Tools: python3 with PyYAML, promtool (tests/setup.sh brings it), ldop (target/), systemd-analyze, helm,
# docker compose. A tool elsewhere: PROMTOOL=, HELM=, LDOP=.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)

left=()
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
have() { type -P "$1" >/dev/null; }
first() { for tool in "$@"; do [ -n "$tool" ] && have "$tool" && type -P "$tool" && return; done; true; }

echo "== forms, and metrics that exist and are documented"
python3 - "$root" "$scratch/dashboard.yml" <<'PY'
import json, pathlib, re, sys, tomllib

root, rules = pathlib.Path(sys.argv[1]), sys.argv[2]
deploy = root / "deploy"
try:
    import yaml
except ImportError:
    yaml = None
    print("PyYAML is not here: YAML not parsed")

for path in [*deploy.glob("*.toml"), *deploy.glob("container/*.toml")]:
    tomllib.loads(path.read_text())
dashboard = json.loads((deploy / "grafana/ldop.json").read_text())
plain = [p for p in deploy.rglob("*.y*ml") if "templates" not in p.parts]
if yaml:
    for path in plain:
        list(yaml.safe_load_all(path.read_text()))
    tomllib.loads(yaml.safe_load((deploy / "helm/ldop/values.yaml").read_text())["config"])

metric = re.compile(r"ldop_[a-z_]+")
source = set()
for path in [*root.glob("crates/exchange/src/**/metrics.rs"), root / "crates/gateway/src/metrics.rs"]:
    source |= set(re.findall(r'"(ldop_[a-z_]+)"', path.read_text()))
assert len(source) > 10, "metrics not found in the source"
base = lambda name: re.sub(r"_(bucket|sum|count)$", "", name) if name not in source else name
documented = set(re.findall(r"^\| `(ldop_[a-z_]+)`", (root / "docs/metrics.md").read_text(), re.M))
assert documented == source, f"docs/metrics.md differs from the source: {sorted(documented ^ source)}"

queries = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
used = set()
alerts = (deploy / "prometheus/alerts.yml").read_text()
for text in [*queries, *re.findall(r"expr:(.*?)\n\s+(?:for|labels):", alerts, re.S)]:
    used |= {base(name) for name in metric.findall(text)}
assert used <= source, f"unknown metrics in alerts or dashboard: {sorted(used - source)}"
ids = [p["id"] for p in dashboard["panels"]]
assert len(ids) == len(set(ids))

# The dashboard's queries as rules, for promtool to parse.
def filled(query):
    for name, value in {"$__rate_interval": "5m", "$job": "ldop", "$instance": ".+", "$dataset": ".+"}.items():
        query = query.replace(name, value)
    return query

rules_of = [{"record": f"panel:{n}", "expr": filled(query)} for n, query in enumerate(queries)]
pathlib.Path(rules).write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules_of}]}))
print(f"{len(source)} metrics, {len(queries)} queries of the dashboard")
PY
python3 -c "import yaml" 2>/dev/null || left+=("YAML files: python3 has no PyYAML")

echo "== alerts and queries"
promtool=$(first "${PROMTOOL:-}" "$root/target/tools/promtool" promtool)
if [ -n "$promtool" ]; then
    "$promtool" check rules prometheus/alerts.yml
    "$promtool" check rules "$scratch/dashboard.yml"
    "$promtool" test rules prometheus/alerts_test.yml
else
    left+=("alerts and queries of the dashboard: no promtool")
fi

echo "== configurations"
ldop=$(first "${LDOP:-}" "$root/target/release/ldop" "$root/target/debug/ldop" ldop)
if [ -n "$ldop" ]; then
    # Certificates and a password made for the occasion, at the places the samples name.
    "$ldop" init "$scratch/province" >/dev/null
    pki=$scratch/province/pki
    (umask 077 && echo secret >"$scratch/password")
    python3 -c 'import sys, yaml; print(yaml.safe_load(open("helm/ldop/values.yaml"))["config"])' >"$scratch/helm.toml"
    for sample in ldop-embedded.toml ldop-kafka.toml container/ldop.toml "$scratch/helm.toml"; do
        sed -E -e "s#\"/etc/ldop/[a-z/-]*(server|hub|tls)\.crt\"#\"$pki/server.crt\"#" \
            -e "s#\"/etc/ldop/[a-z/-]*(server|hub|tls)\.key\"#\"$pki/server.key\"#" \
            -e "s#\"/etc/ldop/[a-z/-]*ca\.crt\"#\"$pki/ca.crt\"#" \
            -e "s#\"/etc/ldop/[a-z/.]*password\"#\"$scratch/password\"#" \
            -e "s#\"/var/lib/ldop\"#\"$scratch/data\"#" "$sample" >"$scratch/ldop.toml"
        "$ldop" check --config "$scratch/ldop.toml" | sed "s#^.*ldop.toml#$(basename "$sample")#"
    done
else
    left+=("configurations: no ldop (cargo build -p ldop)")
fi

echo "== systemd unit"
if have systemd-analyze; then
    sed -e 's#/usr/bin/ldop#/bin/true#' systemd/ldop.service >"$scratch/ldop.service"
    if said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$scratch/ldop.service" 2>&1); then
        # Complaints about this unit only: the machine's own units are not ours.
        ! grep -F "ldop.service" <<<"$said" || exit 1
        echo "verified"
    elif grep -qF "ldop.service:" <<<"$said"; then
        echo "$said"
        exit 1
    else
        left+=("systemd unit: systemd-analyze verify does not run here")
    fi
    systemd-analyze security --offline=true --threshold=20 "$scratch/ldop.service" 2>&1 | tail -n 1 \
        || left+=("exposure of the systemd unit: systemd-analyze security does not run here")
else
    left+=("systemd unit: no systemd-analyze")
fi

echo "== chart"
helm=$(first "${HELM:-}" helm)
if [ -n "$helm" ]; then
    "$helm" lint --strict helm/ldop
    for options in "" "--set serviceMonitor.enabled=true --set kafka.secretName=k --set podDisruptionBudget.maxUnavailable=0" \
        "--set networkPolicy.enabled=false --set podDisruptionBudget.enabled=false"; do
        # shellcheck disable=SC2086 # several words
        "$helm" template hub helm/ldop --kube-version 1.30.0 $options >"$scratch/chart.yml"
        python3 - "$scratch/chart.yml" <<'PY'
import sys, tomllib, yaml
made = [d for d in yaml.safe_load_all(open(sys.argv[1])) if d]
assert len({(d["kind"], d["metadata"]["name"]) for d in made}) == len(made)
kinds = sorted(d["kind"] for d in made)
config = next(d for d in made if d["kind"] == "ConfigMap")["data"]["ldop.toml"]
tomllib.loads(config)
pod = next(d for d in made if d["kind"] == "StatefulSet")["spec"]["template"]["spec"]
volumes = {v["name"] for v in pod["volumes"]} | {"data"}
for c in pod["containers"] + pod["initContainers"]:
    assert {m["name"] for m in c["volumeMounts"]} <= volumes
print("rendered:", ", ".join(kinds))
PY
    done
else
    left+=("chart: no helm (go install helm.sh/helm/v3/cmd/helm@latest)")
fi

echo "== compose"
if have docker && docker compose version >/dev/null 2>&1; then
    docker compose -f container/compose.yaml config --quiet
else
    left+=("compose.yaml beyond its YAML: no docker compose")
fi

if [ ${#left[@]} -gt 0 ]; then
    echo
    echo "not checked:"
    printf '  %s\n' "${left[@]}"
fi

#!/usr/bin/env bash
# Measures the wheel that setup.sh built, and writes bindings/python/benches/REPORT.md and what README.md shows of it.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
venv=$target/python/bench
report=bindings/python/benches/REPORT.md

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --requirement bindings/python/benches/requirements.txt
"$venv/bin/pip" install --quiet --no-index --no-deps --force-reinstall "$target"/wheels/mdns_registry-*.whl
tests/lab/sandbox "$venv/bin/python" bindings/python/benches/overhead.py >"$report.new"
mv "$report.new" "$report"
awk -F' [|] ' 'NR == FNR { new[$1] = $0; next } /^[|] / && $1 in new { print new[$1]; next } { print }' \
    "$report" README.md >README.md.new
mv README.md.new README.md
cat "$report"

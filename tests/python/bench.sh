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
over=0
tests/lab/sandbox "$venv/bin/python" bindings/python/benches/overhead.py >"$report.new" || over=$?
# A figure over its bound is reported as well; where measuring failed there is none.
[ -s "$report.new" ] || exit "$over"
mv "$report.new" "$report"
awk -F' [|] ' 'NR == FNR { new[$1] = $0; next } /^[|] / && $1 in new { print new[$1]; next } { print }' \
    "$report" README.md >README.md.new
mv README.md.new README.md
cat "$report"
exit "$over"

#!/usr/bin/env bash
# Runs every test and sums what cargo counts. A test that is ignored counts as failed: none is left out quietly.
set -eu -o pipefail
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

ended=0
"${CARGO:-cargo}" test --no-fail-fast 2>&1 | tee "$log" || ended=$?
read -r passed failed < <(awk '/^test result:/ { passed += $4; failed += $6 + $8 } END { print passed + 0, failed + 0 }' "$log")
# A test program that did not live to count, or did not compile, is one failure.
if [ "$ended" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# faults.sh [SCENARIO]
#
# Plays one scenario of tests/faults, or all of them and writes docs/faults.md, also when some do not hold.
set -u
cd "$(dirname "$0")/.."
faults() { "${CARGO:-cargo}" test --profile simulate --test faults -- "$@"; }

if [ $# -gt 0 ]; then
    grep -q "^        [a-z]*::$1, " tests/faults/main.rs || { echo "no scenario $1 in tests/faults/main.rs" >&2; exit 1; }
    faults "::$1" --nocapture
    exit
fi
export MDNSREG_FAULTS=$(realpath -m "${CARGO_TARGET_DIR:-target}/faults")
rm -rf "$MDNSREG_FAULTS"
held=0
faults short:: long:: --test-threads 12 || held=1
faults alone:: --test-threads 1 || held=1
BLESS=1 faults report:: || held=1
exit "$held"

#!/bin/sh
# faults.sh [SCENARIO]
#
# Plays one scenario of tests/faults, or all of them and writes docs/faults.md, also when some do not hold.
set -u
cd "$(dirname "$0")/.."
faults() { "${CARGO:-cargo}" test --profile simulate --test faults -- "$@"; }

if [ $# -gt 0 ]; then
    grep -q "^        [a-z]*::$1, " tests/faults/main.rs || { echo "no scenario $1 in tests/faults/main.rs" >&2; exit 1; }
    # shellcheck disable=SC2046
    faults --exact --nocapture $(for class in short long alone; do echo "$class::native::$1" "$class::mdns_sd::$1"; done)
    exit
fi
export MDNSREG_FAULTS=$(realpath -m "${CARGO_TARGET_DIR:-target}/faults")
rm -rf "$MDNSREG_FAULTS"
faults --list >/dev/null || exit 1
held=0
soak=churn_and_loss
# Hours of which hardly any is work go on beside the others.
faults "::$soak" --nocapture >"${MDNSREG_FAULTS}.soak" 2>&1 &
faults short:: long:: --skip "::$soak" --test-threads 12 || held=1
faults alone:: --test-threads 1 || held=1
wait $! || held=1
cat "${MDNSREG_FAULTS}.soak"
BLESS=1 faults report:: || held=1
exit "$held"

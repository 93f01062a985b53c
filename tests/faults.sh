#!/bin/sh
# faults.sh [SCENARIO]
#
# Plays one scenario of tests/faults, or all of them and writes docs/faults.md, also when some do not hold, but only of a
# commit without changes.
set -u
cd "$(dirname "$0")/.."
build() { "${CARGO:-cargo}" test --profile simulate --test faults "$@"; }

if [ $# -gt 0 ]; then
    grep -q "^        [a-z]*::$1, " tests/faults/main.rs || { echo "no scenario $1 in tests/faults/main.rs" >&2; exit 1; }
    # shellcheck disable=SC2046
    build -- --exact --nocapture $(for class in short long alone; do echo "$class::native::$1" "$class::mdns_sd::$1"; done)
    exit
fi
export MDNSREG_FAULTS=$(realpath -m "${CARGO_TARGET_DIR:-target}/faults")
rm -rf "$MDNSREG_FAULTS"
mkdir -p "$MDNSREG_FAULTS"
git describe --always --dirty --abbrev=12 --exclude '*' >"$MDNSREG_FAULTS/commit"
grep -q dirty "$MDNSREG_FAULTS/commit" && echo "there are changes that are not committed: docs/faults.md will not be written" >&2
# One program plays all, whatever becomes of the sources and of what is built of them meanwhile.
built=$(build --no-run --message-format=json | sed -n 's/.*"name":"faults".*"executable":"\([^"]*\)".*/\1/p')
[ -n "$built" ] && cp "$built" "$MDNSREG_FAULTS/play" || exit 1
faults() { tests/lab/sandbox "$MDNSREG_FAULTS/play" "$@"; }

held=0
soak=churn_and_loss
began=$(date +%s)
# Hours of which hardly any is work go on beside the others.
faults "::$soak" --nocapture >"${MDNSREG_FAULTS}.soak" 2>&1 &
faults short:: long:: --skip "::$soak" --test-threads 12 || held=1
faults alone:: --test-threads 1 || held=1
echo $((($(date +%s) - began + 59) / 60)) >"$MDNSREG_FAULTS/minutes"
wait $! || held=1
cat "${MDNSREG_FAULTS}.soak"
BLESS=1 faults report:: || held=1
exit "$held"

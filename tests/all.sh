#!/usr/bin/env bash
# Runs every test and sums what cargo and pytest count. A test that is ignored counts as failed: none is left out quietly.
# `make test` has built and downloaded what they need.
set -eu -o pipefail
cd "$(dirname "$0")/.."
log=$(mktemp) aside_log=$(mktemp)
trap 'rm -f "$log" "$aside_log"' EXIT
passed=0 failed=0

# add STATUS PASSED FAILED: what a runner counted. One that ended badly without counting a failure is one.
add() {
    if [ "$1" != 0 ] && [ "$3" = 0 ]; then set -- "$1" "$2" 1; fi
    passed=$((passed + $2)) failed=$((failed + $3))
}

# add_results STATUS LOG: what cargo counted.
add_results() {
    local good bad
    read -r good bad < <(awk '/^test result:/ { good += $4; bad += $6 + $8 } END { print good + 0, bad + 0 }' "$2")
    add "$1" "$good" "$bad"
}

# cargo_test [ARGUMENT...]
cargo_test() {
    local ended=0
    "${CARGO:-cargo}" test --no-fail-fast "$@" 2>&1 | tee "$log" || ended=$?
    add_results "$ended" "$log"
}

# What waits more than it works runs twelve at a time, on however few cores.
patient=(conformance lab_gomicro lab_gomicro_storms lab_links lab_registry)
others=()
for file in tests/*.rs tests/*/main.rs; do
    name=$(basename "${file%/main.rs}" .rs)
    case " ${patient[*]} faults " in *" $name "*) ;; *) others+=(--test "$name") ;; esac
done

cargo_test --lib --bins --examples "${others[@]}"
cargo_test --doc
# What does nothing most of the time does it beside the others: three minutes, of which hardly any is work.
aside() {
    local ended=0
    "${CARGO:-cargo}" test --test lab_gomicro killed_go_micro_node || ended=$?
    # The long ones, and the other link, are for `make faults`.
    RUST_TEST_THREADS=12 "${CARGO:-cargo}" test --test faults -- \
        --skip long:: --skip alone:: --skip short::mdns_sd || ended=$?
    return "$ended"
}
aside >"$aside_log" 2>&1 &
aside=$!
RUST_TEST_THREADS=12 cargo_test "${patient[@]/#/--test=}" -- --skip killed_go_micro_node
# What a registry promises, on the other link as well.
MDNS_REGISTRY_OPTIONS='{"link":"mdns-sd"}' cargo_test --test registry --test cli \
    --test lab_scale --test lab_wire --test lab_avahi
MDNS_REGISTRY_OPTIONS='{"link":"mdns-sd"}' RUST_TEST_THREADS=12 cargo_test --test lab_registry
ended=0
wait "$aside" || ended=$?
cat "$aside_log"
add_results "$ended" "$aside_log"

ended=0
python=$(realpath "${CARGO_TARGET_DIR:-target}")/python/main/bin/python
(cd bindings/python && ../../tests/lab/sandbox "$python" -m pytest -p no:cacheprovider --durations=5 --maxfail=10) 2>&1 |
    tee "$log" || ended=$?
# The last line, as in "== 3 failed, 104 passed, 1 skipped in 8.52s ==".
read -r good bad < <(tail -n 1 "$log" | tr -d =, | awk '{
    for (i = 2; i <= NF; i++) {
        if ($i == "passed") good = $(i - 1)
        if ($i ~ /^(failed|errors?|skipped|xfailed|xpassed|deselected)$/) bad += $(i - 1)
    }
    print good + 0, bad + 0
}')
add "$ended" "$good" "$bad"

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

#!/bin/sh
# As cargo's wrapper of rustc: coverage is counted where our bytes are read. All else has the address sanitizer alone,
# or libFuzzer spends its time on the branches of the deflater and the runtime; and what runs while building has no
# target named, and nothing that would count.
case "${CARGO_PKG_NAME-} $* " in
"mdns-registry "*' --target '* | "domain "*' --target '* | "serde_json "*' --target '*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac

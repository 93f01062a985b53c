#!/usr/bin/env bash
# run.sh [TARGET...]: fuzzes each target, or all, for FUZZ_SECONDS (60), behind the sandbox.
# run.sh corpus: keeps of what was found new the least that covers as much, in fuzz/corpus.
#
# libFuzzer and the address sanitizer on the stable compiler. What a target grows lands in target/fuzz/corpus, what breaks
# it in fuzz/found/TARGET: a finding is committed with its fix, and from then on is a test (tests/fuzz_corpus.rs).
set -eu -o pipefail
cd "$(dirname "$0")/.."
TARGETS=(descriptors handles packets parser sequences txt)
# Of one target, files; a file that is larger is not kept.
MOST=300 LARGEST=6000
# With a target named, build scripts and macros are not instrumented.
triple=$(rustc -vV | sed -n 's/host: //p')
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
programs=$built/$triple/release
# Bytes of an input, at most: packets go up to 9,000, and a step of a sequence takes a dozen.
declare -A longest=([handles]=600 [sequences]=2000)
# Seconds that an input may take: one that is a datagram or less, a second.
declare -A slowest=([packets]=1 [parser]=1 [txt]=1)

build() {
    # libFuzzer itself has no need of the sanitizer.
    CARGO_TARGET_DIR=$built RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER=$PWD/fuzz/rustc.sh CXXFLAGS='-fno-sanitize=all -O2' \
        RUSTFLAGS='-Zsanitizer=address --cfg fuzzing' \
        "${CARGO:-cargo}" build --quiet --locked --release --target "$triple" --manifest-path fuzz/Cargo.toml
    rm -rf "$built/seeds"
    "$programs/seeds" "$built/seeds"
}

# libfuzzer TARGET ARGUMENT...: threads of the runtime allocate between two looks, so leaks of handles are not to be told.
libfuzzer() {
    local target=$1
    shift
    tests/lab/sandbox env ASAN_OPTIONS=malloc_context_size=2 "$programs/$target" -timeout="${slowest[$target]-10}" -rss_limit_mb=2048 \
        -malloc_limit_mb=16 -entropic=0 -max_len="${longest[$target]-9001}" -print_final_stats=1 \
        -detect_leaks="$([ "$target" = handles ] && echo 0 || echo 1)" -artifact_prefix="fuzz/found/$target/" "$@"
}

fuzz() {
    local target=$1 log=$built/$1.log ended=0
    mkdir -p "$built/corpus/$target" "fuzz/found/$target" "fuzz/corpus/$target"
    libfuzzer "$target" -max_total_time="${FUZZ_SECONDS:-60}" \
        "$built/corpus/$target" "$built/seeds/$target" "fuzz/corpus/$target" >"$log" 2>&1 || ended=$?
    rmdir --ignore-fail-on-non-empty "fuzz/found/$target"
    printf '%-12s %s executions\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    [ "$ended" = 0 ] || tail -n 40 "$log" >&2
    return "$ended"
}

keep() {
    local target=$1 kept=$built/kept/$1
    rm -rf "$kept"
    mkdir -p "$kept" "$built/corpus/$target" "fuzz/corpus/$target" "fuzz/found/$target"
    libfuzzer "$target" -set_cover_merge=1 -use_counters=0 "$kept" "fuzz/corpus/$target" "$built/corpus/$target" >"$built/$target.log" 2>&1
    rmdir --ignore-fail-on-non-empty "fuzz/found/$target"
    rm -rf "fuzz/corpus/$target"
    mkdir -p "fuzz/corpus/$target"
    # They are named by their hashes: where there are too many, any are left out.
    find "$kept" -type f -size "-${LARGEST}c" | sort | head -n "$MOST" | xargs -r cp -t "fuzz/corpus/$target"
    printf '%-12s %s files\n' "$target" "$(find "fuzz/corpus/$target" -type f | wc -l)"
}

build
if [ "${1-}" = corpus ]; then
    for target in "${TARGETS[@]}"; do keep "$target"; done
    du -sh fuzz/corpus
    exit
fi
failed=0
for target in "${@:-${TARGETS[@]}}"; do fuzz "$target" || failed=1; done
exit "$failed"

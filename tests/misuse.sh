#!/bin/sh
# misuse.sh CALLS SEED
#
# Every program of tests/c against the library under AddressSanitizer, the programs under UndefinedBehaviorSanitizer as
# well; misuse_at_random last, with CALLS and SEED. The runtime is rustc's own: what it instruments with is newer than
# the compilers of a distribution know.
set -eu
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/misuse
triple=$(rustc -vV | sed -n 's/^host: //p')
out=$target/$triple/debug
runtime=$(find "$(rustc --print sysroot)/lib/rustlib/$triple/lib" -name 'librustc-*_rt.asan.a')
[ -n "$runtime" ] || { echo "rustc has no AddressSanitizer for $triple" >&2; exit 1; }
soname=libmdns_registry.so.$(sed -n 's/#define MDNSREG_ABI_VERSION //p' include/mdns_registry.h)

# With a target named, what runs while building is not instrumented.
RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address "${CARGO:-cargo}" rustc --lib --crate-type cdylib \
    --no-default-features --features capi --target "$triple" --target-dir "$target" -- -C "link-arg=-Wl,-soname,$soname"
ln -sf libmdns_registry.so "$out/$soname"
# An error aborts, so that misuse_at_random names its seed.
export LD_LIBRARY_PATH="$out" ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1

run() {
    name=$1
    shift
    gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Iinclude \
        -c -o "$out/$name.o" "tests/c/$name.c"
    gcc -o "$out/$name" "$out/$name.o" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -Wl,--export-dynamic \
        -L"$out" -lmdns_registry -lpthread -ldl -lm -lrt
    tests/lab/sandbox "$out/$name" "$@"
}

programs=0
for source in tests/c/*.c; do
    name=$(basename "$source" .c)
    case $name in
    misuse_at_random) continue ;;
    # What they leave is left on purpose: the one at its end, the other in its children.
    leave_main | fork) ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run "$name" ;;
    # The address space and the threads are the sanitizer's own.
    limits) run "$name" 0 ;;
    *) run "$name" ;;
    esac || { echo "$name fails" >&2; exit 1; }
    programs=$((programs + 1))
done
echo "$programs programs without a finding"
run misuse_at_random "$1" "$2" report

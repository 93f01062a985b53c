#!/bin/sh
# misuse.sh CALLS SEED
#
# tests/c/misuse_at_random.c against the library, both under AddressSanitizer. The runtime is rustc's own: what it
# instruments with is newer than the compilers of a distribution know.
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
gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -g -O1 -fsanitize=address -Iinclude -c -o "$out/misuse_at_random.o" \
    tests/c/misuse_at_random.c
gcc -o "$out/misuse_at_random" "$out/misuse_at_random.o" -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive \
    -Wl,--export-dynamic -L"$out" -lmdns_registry -lpthread -ldl -lm -lrt
# An error aborts, so that the program names the seed.
LD_LIBRARY_PATH=$out ASAN_OPTIONS=abort_on_error=1 exec tests/lab/sandbox "$out/misuse_at_random" "$1" "$2" report

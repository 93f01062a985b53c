#!/bin/sh
# misuse.sh CALLS [SEED]
#
# Builds the library with AddressSanitizer and with the checks of a debug build, and lets tests/c/misuse_at_random.c
# make so many calls of it. Prints the seed, the seconds, and how often each status was seen; leaks are looked for too.
set -eu
cd "$(dirname "$0")/.."
calls=$1
seed=${2:-$(date +%s)}
TARGET=$(rustc -vV | sed -n "s/^host: //p")
out=$PWD/target/address/$TARGET/simulate

# The sanitizer is not yet stable; the compiler that has it is.
RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/address \
    RUSTFLAGS='-Zsanitizer=address -Cforce-frame-pointers -Cdebug-assertions -Coverflow-checks' \
    "${CARGO:-cargo}" rustc --profile simulate --target $TARGET --lib --crate-type cdylib --no-default-features --features capi \
    -- -Clink-arg=-Wl,-soname,libmdns_registry.so
gcc -std=c11 -g -O1 -fsanitize=address -fno-omit-frame-pointer -Wall -Wextra -Wpedantic -Werror -Iinclude \
    tests/c/misuse_at_random.c -o "$out/misuse_at_random" -L"$out" -lmdns_registry -lpthread -Wl,-rpath,"$out"
echo "seed $seed"
began=$(date +%s)
ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:detect_stack_use_after_return=1 \
    tests/lab/sandbox "$out/misuse_at_random" "$calls" "$seed"
echo "seconds $(($(date +%s) - began))"

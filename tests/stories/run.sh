#!/bin/sh
# run.sh prepare                          sees to the tools of every language and prepares each; needs the package registries
# run.sh LANGUAGE story [ARG...]          tells the story that was prepared, with the library of target/installed
# run.sh LANGUAGE program NAME            runs the program on standard input, kept under that name
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TARGET=$(cd "$ROOT" && realpath -m "${CARGO_TARGET_DIR:-target}")
. "$ROOT/tests/go.sh"
LD_LIBRARY_PATH=$TARGET/installed/lib
PKG_CONFIG_PATH=$TARGET/installed/lib/pkgconfig
export ROOT TARGET LD_LIBRARY_PATH PKG_CONFIG_PATH

rows() { sed -e '/^#/d' -e 's/ *| */|/g' "$ROOT/tests/stories/languages"; }

if [ "$*" = prepare ]; then
    # shellcheck disable=SC2046 # the tools are words
    "$ROOT/tests/need.sh" $(rows | cut -d '|' -f 3)
    [ -e "$LD_LIBRARY_PATH/libmdns_registry.so" ] || {
        echo "no library under $TARGET/installed: make install PREFIX=$TARGET/installed" >&2
        exit 1
    }
    # All beside each other, as most wait for their registry; then each is asked how it ended.
    rows | {
        preparing=
        while IFS='|' read -r language folder _ prepare _; do
            mkdir -p "$TARGET/languages/$language"
            cp -R "$ROOT/examples/$folder/." "$TARGET/languages/$language"
            (cd "$TARGET/languages/$language" && exec sh -euc "$prepare") </dev/null >&2 &
            preparing="$preparing $language:$!"
        done
        status=0
        for one in $preparing; do
            wait "${one#*:}" || {
                echo "${one%:*}: could not be prepared" >&2
                status=1
            }
        done
        exit "$status"
    }
    exit
fi

language=$1 step=$2
shift 2
rows | grep "^$language|" >/dev/null || { echo "no language $language in tests/stories/languages" >&2; exit 2; }
case $step in story) field=5 ;; program) field=6 ;; *) echo "no step $step" >&2; exit 2 ;; esac
command=$(rows | grep "^$language|" | cut -d '|' -f "$field")
cd "$TARGET/languages/$language"
exec sh -euc "$command"' "$@"' "$language" "$@"

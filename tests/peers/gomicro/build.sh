#!/bin/sh
# build.sh        builds target/peers/gomicro-today and gomicro-january2019; fetches what go.sum pins, so not in the sandbox
# build.sh lint   formatting and vet, every finding an error
set -eu
ROOT=$(cd "$(dirname "$0")/../../.." && pwd)
TARGET=$(cd "$ROOT" && realpath -m "${CARGO_TARGET_DIR:-target}")
. "$ROOT/tests/go.sh"

cd "$ROOT/tests/peers/gomicro"
for module in protocol today january2019; do
    case ${1-}:$module in
    lint:*)
        unformatted=$(gofmt -l "$module")
        [ -z "$unformatted" ] || { echo "not as gofmt has it: $unformatted" >&2; exit 1; }
        (cd "$module" && go vet ./...)
        ;;
    :protocol) ;;
    *) (cd "$module" && go build -o "$TARGET/peers/gomicro-$module" .) ;;
    esac
done

#!/usr/bin/env bash
# Builds the wheel of bindings/python once, and installs it for each Python from 3.10 on that is here: with the tools of
# requirements.txt in target/python/main, for the others in target/python/3.X. Downloads, so it runs before the tests.
# `setup.sh optimized`, for benchmarks, optimizes as `pip install` does.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
main=$target/python/main
export PIP_DISABLE_PIP_VERSION_CHECK=1
quickly=(CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1)
[ "${1-}" = optimized ] || export "${quickly[@]}"

# venv PATH PYTHON [REQUIREMENTS]: made anew only where it is missing or its requirements changed.
venv() {
    [ -x "$1/bin/python" ] && cmp -s "${3-/dev/null}" "$1/requirements.txt" && return
    rm -rf "$1"
    "$2" -m venv "$1"
    [ -z "${3-}" ] || "$1/bin/pip" install --quiet --requirement "$3"
    cp "${3-/dev/null}" "$1/requirements.txt"
}

install() { "$1/bin/pip" install --quiet --no-index --no-deps --force-reinstall "$wheel"; }

# Pythons on the path and pyenv's, one a version, which can make a virtual environment.
pythons() {
    local version python
    for version in 3.10 3.11 3.12 3.13 3.14 3.15; do
        for python in "python$version" "${PYENV_ROOT:-${HOME-}/.pyenv}/versions/$version".*/bin/python; do
            if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
                echo "$version $python"
                break
            fi
        done
    done
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
    echo 'python3 must be 3.10 or later' >&2
    exit 1
}
venv "$main" python3 tests/python/requirements.txt
rm -f "$target"/wheels/mdns_registry-*.whl
CARGO_TARGET_DIR=$target/python/build "$main/bin/maturin" build --quiet --release --locked --manifest-path bindings/python/Cargo.toml --out "$target/wheels"
wheel=$(echo "$target"/wheels/mdns_registry-*.whl)
install "$main"
pythons | while read -r version python; do
    venv "$target/python/$version" "$python"
    install "$target/python/$version"
done

# What docs/python.md says of installing, but for what its last line starts, which is a test.
page=$(realpath "$target")/python/page
mkdir -p "$page" && rm -rf "$page/v"
ln -sfn "$PWD/bindings" "$page/bindings"
awk '/^```sh$/ { shown = 1; next } /^```$/ { shown = 0 } shown && !/greeter/' docs/python.md >"$page/install.sh"
(
    export CARGO_TARGET_DIR=$page/../build "${quickly[@]}"
    cd "$page" && sh -eu install.sh >install.log 2>&1
) || {
    cat "$page/install.log" >&2
    exit 1
}

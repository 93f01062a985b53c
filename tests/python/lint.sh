#!/usr/bin/env bash
# Format, style and types of all Python here, every finding an error.
set -eu -o pipefail
cd "$(dirname "$0")/../.."
bin=${CARGO_TARGET_DIR:-target}/python/main/bin
config=bindings/python/pyproject.toml
places=(bindings/python examples/python tests/lab)

"$bin/ruff" format --config "$config" --check --quiet "${places[@]}"
"$bin/ruff" check --config "$config" --quiet "${places[@]}"
export MYPY_CONFIG_FILE_DIR=bindings/python MYPYPATH=bindings/python/python
"$bin/mypy" --no-error-summary --config-file "$config" --package mdns_registry
for script in examples/python/*.py tests/lab/*.py; do
    "$bin/mypy" --no-error-summary --config-file "$config" "$script"
done
"$bin/mypy" --no-error-summary --config-file "$config" bindings/python/tests
"$bin/python" -m mypy.stubtest --mypy-config-file "$config" mdns_registry._mdns_registry >/dev/null || {
    "$bin/python" -m mypy.stubtest --mypy-config-file "$config" mdns_registry._mdns_registry
}

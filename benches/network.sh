#!/usr/bin/env bash
# network.sh [--long] [--row NAME]...
#
# Compares this library with mdns-sd, python-zeroconf, Avahi and go-micro on hosts of the lab, and writes
# benches/NETWORK.md, and, once all is measured, the short of it in README.md. Results are kept by row in
# target/network-bench/results: a row that was measured with these sources is not measured again, so an interrupted run
# goes on where it was. --row measures that row in any case, and only such. --long watches the steady state for 10
# minutes instead of one.
set -eu -o pipefail
cd "$(dirname "$0")/.."
usage() {
    sed -n '2s/^# /usage: /p' "$0" >&2
    exit 2
}
long=()
rows=()
while [ $# -gt 0 ]; do
    case $1 in
    --long) long=(--long) ;;
    --row) [ $# -gt 1 ] || usage; rows+=("$2"); shift ;;
    *) usage ;;
    esac
    shift
done

tests/need.sh cargo cc ip unshare mount nsenter nft avahi-daemon avahi-browse dbus-daemon python3 python3-venv go
out=${CARGO_TARGET_DIR:-target}/network-bench
results=$out/results
mkdir -p "$results"
requirements=benches/network/requirements.txt
cmp -s "$requirements" "$out/venv/requirements.txt" || {
    rm -rf "$out/venv"
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install -q --disable-pip-version-check --no-deps -r "$requirements"
    cp "$requirements" "$out/venv/"
}
binary=$(realpath "$out")/gomicro
(cd benches/network/gomicro && go build -buildvcs=false -o "$binary" .)
bench=$("${CARGO:-cargo}" bench --bench network --no-run --message-format=json |
    sed -n 's/.*"name":"network".*"executable":"\([^"]*\)".*/\1/p')

sources=(src benches/network tests/lab Cargo.toml Cargo.lock)
commit=$(git rev-parse --short=12 HEAD)
git diff --quiet HEAD -- "${sources[@]}" || commit="$commit with changes"
state=$({ git ls-files -s -- "${sources[@]}"; git diff HEAD -- "${sources[@]}"; } | sha256sum | cut -c1-12)

is_measured() { [ "$(cat "$results/$1.state" 2>/dev/null)" = "$state" ]; }
mapfile -t known < <("$bench" rows)
[ ${#rows[@]} -gt 0 ] || for row in "${known[@]}"; do
    is_measured "$row" || rows+=("$row")
done
for row in "${rows[@]}"; do
    echo "== $row" >&2
    began=$SECONDS
    rm -f "$results/$row.state"
    RUST_BACKTRACE=0 tests/lab/sandbox "$bench" row "$row" "$results/$row.json" "${long[@]}" || continue
    echo "$state" >"$results/$row.state"
    echo "$commit, $(date -u +%Y-%m-%d), $((SECONDS - began)) s" >"$results/$row.when"
done

missing=()
files=()
for row in "${known[@]}"; do
    if is_measured "$row"; then files+=("$results/$row.json"); else missing+=("$row"); fi
done
version() { sed -n "s|^$1[^0-9]*\([0-9][0-9.]*\).*|\1|p" "$2" | head -n 1; }
head="# This library and others on one network

\`make bench-network\`: $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r), $(rustc --version | cut -d' ' -f1,2), net.core.rmem_default $(cat /proc/sys/net/core/rmem_default), rmem_max $(cat /proc/sys/net/core/rmem_max).
Native and mdns-sd are this library with its two links (mdns-sd $(version mdns-sd Cargo.toml), without probing); python-zeroconf $(version zeroconf "$requirements") on Python $("$out/venv/bin/python" -c 'import platform; print(platform.python_version())'), without probing; avahi $(avahi-daemon --version | cut -d' ' -f2), a daemon on each host; go-micro $(version 'require go-micro.dev/v5 v' benches/network/gomicro/go.mod), its mDNS registry.
Hosts are network namespaces on one bridge, each program a process of its own; a node has id, version and three keys of metadata. Times begin with the call, when the program is up. Each cell: median (least–most, number of runs).
Default receive buffers: SO_RCVBUF and SO_RCVBUFFORCE have no effect for both sides, as where net.core.rmem_max is no larger than the default ([buffers.rs](network/buffers.rs)).
A dash has its reason below the table; a lookup that is not whole by its first call is timed until the view holds all.

| row | commit, date, time taken |
|---|---|"
for row in "${known[@]}"; do
    if is_measured "$row"; then head+="
| $row | $(cat "$results/$row.when") |"; fi
done
[ ${#missing[@]} = 0 ] || head+="

Not measured at this state of the sources: ${missing[*]}."
"$bench" table "$head" "${files[@]}" >benches/NETWORK.md
summary=$("$bench" summary "${files[@]}")
if [ -n "$summary" ] && [ ${#missing[@]} = 0 ]; then
    awk -v summary="$summary" '
        /^<!-- benches\/network.sh -->$/ { print; print summary; skipping = 1; next }
        /^<!-- end -->$/ { skipping = 0 }
        !skipping' README.md >README.md.new
    mv README.md.new README.md
fi
cat benches/NETWORK.md
[ ${#missing[@]} = 0 ]

#!/usr/bin/env bash
# Runs the benchmarks and writes their medians to benches/REPORT.md, and to README.md those that it shows.
set -eu -o pipefail
cd "$(dirname "$0")/.."
results=${CARGO_TARGET_DIR:-target}/criterion
rm -rf "$results"
"${CARGO:-cargo}" bench --bench '*'

# Criterion keeps nanoseconds in JSON of one line.
median() { sed -E 's/.*"median":\{[^}]*\}?[^}]*"point_estimate":([0-9.eE+-]+).*/\1/' "$1"; }
readable() {
    awk -v ns="$1" 'BEGIN {
        split("ns µs ms s", unit); i = 1
        while (ns >= 1000 && i < 4) { ns /= 1000; i++ }
        printf "%.3g %s", ns, unit[i]
    }'
}

{
    echo '# Benchmarks'
    echo
    echo "\`make bench\` on $(date -u +%Y-%m-%d), $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(rustc --version | cut -d' ' -f1,2)."
    echo
    echo '| benchmark | median |'
    echo '|---|---|'
    find "$results" -path '*/new/estimates.json' | LC_ALL=C sort | while read -r file; do
        name=${file#"$results"/}
        echo "| ${name%/new/estimates.json} | $(readable "$(median "$file")") |"
    done
} >benches/REPORT.md
awk -F' [|] ' 'NR == FNR { new[$1] = $0; next } /^[|] / && $1 in new { print new[$1]; next } { print }' \
    benches/REPORT.md README.md >README.md.new
mv README.md.new README.md
cat benches/REPORT.md

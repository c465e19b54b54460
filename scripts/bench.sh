#!/usr/bin/env bash
# Builds and runs the benchmarks, prints their table and draws their plots.
#
#   scripts/bench.sh
#
# Takes about five minutes and 6 GiB of memory; run nothing else meanwhile.
# Writes the figures to build/bench/ as JSON and the table to
# build/bench/table.md, and updates the table in bench/README.md and the plots
# in bench/plots/.  REPETITIONS (9) sets how often each figure of the library is
# measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh

out=build/bench
bin=build/release/bin

require_packages python3-matplotlib
scripts/setup.sh release simvisord benchmarks
mkdir -p "$out"

echo "bench: the library"
"$bin/library_bench" \
  --benchmark_enable_random_interleaving=true \
  --benchmark_repetitions="${REPETITIONS:-9}" \
  --benchmark_min_time=0.05 \
  --benchmark_out="$out/library.json" --benchmark_out_format=json \
  >"$out/library.txt"

echo "bench: the daemon"
"$bin/simvisor-bench" --json "$out/rpc.json"

# Debian's matplotlib belongs to Debian's interpreter.
/usr/bin/python3 bench/report.py --table "$out/table.md" \
  --readme bench/README.md --plots bench/plots "$out/library.json" "$out/rpc.json"

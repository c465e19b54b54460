#!/usr/bin/env bash
# Fuzzes the p2m list against the plain model of it, from the stored corpus on.
#
#   scripts/fuzz.sh [SECONDS]     60 if not given
#   scripts/fuzz.sh --merge       keeps what is new: the corpus again becomes
#                                 the fewest inputs that reach what all reach
#
# New inputs stay in build/fuzz/found and serve the next run.  An input that
# fails is written to build/fuzz/failed-*; store it in tests/fuzz/corpus/p2m
# with the mend, and p2m_fuzz_replay_test runs it in every build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

corpus=tests/fuzz/corpus/p2m
found=build/fuzz/found

scripts/setup.sh fuzz p2m_fuzz
mkdir -p "$found"
if [[ ${1:-} == --merge ]]; then
  merged=$(mktemp -d)
  trap 'rm -rf "$merged"' EXIT
  build/fuzz/bin/p2m_fuzz -set_cover_merge=1 -use_counters=0 -max_len=512 \
    "$merged" "$corpus" "$found"
  find "$corpus" -type f -delete
  cp "$merged"/* "$corpus"
  exit
fi
build/fuzz/bin/p2m_fuzz -max_total_time="${1:-60}" -max_len=512 -timeout=30 \
  -artifact_prefix=build/fuzz/failed- -print_final_stats=1 -verbosity=0 \
  "$found" "$corpus"

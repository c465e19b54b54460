#!/usr/bin/env bash
# Runs three fuzzers, starting from the stored corpus: the p2m list against a
# plain model, the restore of save images against a plain reader, and the
# restore of guests whose kernel notes have changed fields.
#
#   scripts/fuzz.sh [SECONDS]     60 if not given, a third of them for each
#   scripts/fuzz.sh --merge       keeps what is new for the list: the corpus
#                                 again becomes the fewest inputs that reach
#                                 what all reach
#
# New inputs stay in build/fuzz/found* and are used by the next run.  An input
# that fails is written to build/fuzz/failed-*; store it in
# tests/fuzz/corpus/p2m, image or notes together with the fix, and a replay test
# runs it in every build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

corpus=tests/fuzz/corpus/p2m
found=build/fuzz/found

scripts/setup.sh fuzz p2m_fuzz image_fuzz notes_fuzz
mkdir -p "$found" "$found-images" "$found-notes"
if [[ ${1:-} == --merge ]]; then
  merged=$(mktemp -d)
  trap 'rm -rf "$merged"' EXIT
  build/fuzz/bin/p2m_fuzz -set_cover_merge=1 -use_counters=0 -max_len=512 \
    "$merged" "$corpus" "$found"
  find "$corpus" -type f -delete
  cp "$merged"/* "$corpus"
  exit
fi
seconds=$((${1:-60} / 3))
options=(-max_total_time="$seconds" -timeout=30 -print_final_stats=1
  -artifact_prefix=build/fuzz/failed- -verbosity=0)
build/fuzz/bin/p2m_fuzz "${options[@]}" -max_len=512 "$found" "$corpus"
build/fuzz/bin/image_fuzz "${options[@]}" -max_len=300000 \
  "$found-images" tests/testdata/streams tests/fuzz/corpus/image
build/fuzz/bin/notes_fuzz "${options[@]}" -max_len=64 \
  "$found-notes" tests/fuzz/corpus/notes

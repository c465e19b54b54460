#!/usr/bin/env bash
# Runs clang-tidy over the sources of base/, domain/, server/, client/ and pages/.
#
#   scripts/tidy.sh [FILE...]
#
# Uses the compile commands of the asan build, because that one uses clang; run
# scripts/setup.sh asan first.  It looks at that build's units of several
# sources, as most of its time goes into headers; a FILE is checked with the
# unit that it is in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t units < <(
  sed -n 's/^  "file": "\(.*\)"$/\1/p' build/asan/compile_commands.json |
    grep -E "^$PWD/(build/asan/)?(base|domain|server|client|pages)/")
if (($# > 0)); then
  chosen=$(for file in "$@"; do
    printf '%s\n' "${units[@]}" | grep -Fx "$PWD/$file" ||
      grep -lF "\"$PWD/$file\"" "${units[@]}" ||
      { echo "clang-tidy: no unit includes $file" >&2 && exit 1; }
  done)
  mapfile -t units < <(sort -u <<<"$chosen")
fi
printf '%s\0' "${units[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 --quiet -p build/asan 2>&1 |
  { grep -vE '^[0-9]+ warnings? generated' || true; }
echo "clang-tidy: ${#units[@]} units are clean"

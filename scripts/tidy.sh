#!/usr/bin/env bash
# Runs clang-tidy over the sources of base/, domain/, server/ and client/.
#
#   scripts/tidy.sh [FILE...]
#
# Uses the compile commands of the asan build, because that one uses clang; run
# scripts/setup.sh asan first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

files=("$@")
if ((${#files[@]} == 0)); then
  mapfile -t files < <(git ls-files --cached --others --exclude-standard \
    -- 'base/*.cc' 'domain/*.cc' 'server/*.cc' 'client/*.cc')
fi
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 --quiet -p build/asan 2>&1 |
  { grep -vE '^[0-9]+ warnings? generated' || true; }
echo "clang-tidy: ${#files[@]} files are clean"

#!/usr/bin/env bash
# Checks the form of the code: clang-format, include direction, sizes, words,
# proto style, shell scripts.
#
# Needs the packages that scripts/setup.sh installs; changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t sources < <(git ls-files --cached --others --exclude-standard \
  -- '*.cc' '*.h')
clang-format-14 --dry-run -Werror "${sources[@]}"
echo "clang-format: ${#sources[@]} files are in form"

/usr/bin/python3 scripts/check_includes.py
/usr/bin/python3 scripts/check_style.py

(cd proto && ../node_modules/.bin/buf lint)
echo "buf lint: proto/ is clean"

shellcheck scripts/*.sh examples/tested-with/*.sh tests/testdata/xl/*.sh .ci/run
echo "shellcheck: scripts are clean"

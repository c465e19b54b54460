#!/usr/bin/env bash
# Sets up, builds and runs all tests of the release build.
#
#   scripts/test.sh [CTEST-OPTION...]     such as -R balloon or -L domain
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh release
scripts/fetch_verifier.sh build/xen-utils
ctest --preset release -j "$(nproc)" --no-label-summary "$@"

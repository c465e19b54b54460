#!/usr/bin/env bash
# Sets up, builds and runs all tests of the release build.
#
#   scripts/test.sh [CTEST-OPTION...]     such as -R balloon or -L domain
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh release
scripts/fetch_verifier.sh build/xen-utils
# One more than there are processors, as many tests wait most of their time.
ctest --preset release -j "$(($(nproc) + 1))" --no-label-summary "$@"

#!/usr/bin/env bash
# Installs what Simvisor needs on Debian 12 and builds it.
#
#   scripts/setup.sh [PRESET [TARGET...]]
#   scripts/setup.sh --programs
#
# PRESET is one of CMakePresets.json, release if not given; the build goes to
# build/PRESET.  With --programs it makes the release build of only the daemon
# and the CLI, with only the packages that these two need.  Installs only
# missing packages, as root or through sudo; if nothing is missing and nothing
# changed, this takes a second or two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh

for_programs=(
  cmake g++ ninja-build pkg-config
  grpc-proto
  libabsl-dev libcli11-dev libfmt-dev libgrpc++-dev libgrpc-dev
  libprotobuf-dev libspdlog-dev libxen-dev nlohmann-json3-dev uuid-dev
  protobuf-compiler protobuf-compiler-grpc
)
for_tests=(
  jq libbenchmark-dev libgmock-dev libgtest-dev
  python3 python3-grpcio python3-protobuf
  protoc-gen-go protoc-gen-go-grpc
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev git shellcheck
  man-db zsh
)

install_node_modules() {
  # Any installed Node.js will do.
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    require_packages nodejs npm
  fi
  # No lock file: npm's would name only the packages of the system it was made
  # on; package.json names the exact version.
  cmp -s package.json node_modules/.installed.json && return 0
  echo "setup: installing what package.json names"
  npm install --no-package-lock --ignore-scripts --loglevel=error
  cp package.json node_modules/.installed.json
}

# configured PRESET ON|OFF: true if build/PRESET is made with tests, or without,
# by the presets as they are.  A configure that failed leaves no build.ninja.
configured() {
  [[ -f build/$1/build.ninja &&
    ! CMakePresets.json -nt build/$1/CMakeCache.txt ]] &&
    grep -qs "^SIMVISOR_TESTS:BOOL=$2\$" "build/$1/CMakeCache.txt"
}

if [[ ${1:-} == --programs ]]; then
  require_packages "${for_programs[@]}"
  configured release ON || configured release OFF ||
    cmake --preset release -DSIMVISOR_TESTS=OFF
  cmake --build --preset release --target simvisord simvisor pages
else
  preset=${1:-release}
  require_packages "${for_programs[@]}" "${for_tests[@]}"
  install_node_modules
  configured "$preset" ON || cmake --preset "$preset" -DSIMVISOR_TESTS=ON
  cmake --build --preset "$preset" ${2:+--target "${@:2}"}
fi

#!/usr/bin/env bash
# Installs what Simvisor needs on Debian 12 and builds it.
#
#   scripts/setup.sh [PRESET [TARGET...]]
#
# PRESET is one of CMakePresets.json, release if not given; the build lands in
# build/PRESET.  Packages are installed as root or through sudo, and only those
# that are missing; where nothing is missing and nothing changed, this takes a
# second or two.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh

# For building.
packages=(
  cmake g++ ninja-build
  grpc-proto golang-github-gogo-googleapis-dev
  libabsl-dev libbenchmark-dev libcli11-dev libfmt-dev libgrpc++-dev libgrpc-dev
  libprotobuf-dev libspdlog-dev libxen-dev uuid-dev
  protobuf-compiler protobuf-compiler-grpc
)
# For testing and for .ci/run.
packages+=(
  libgmock-dev libgtest-dev nlohmann-json3-dev
  python3 python3-grpc-tools python3-grpcio python3-protobuf
  clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev git shellcheck
)

install_packages() {
  # npm only installs buf; any Node.js that is there already will do.
  if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
    packages+=(nodejs npm)
  fi
  require_packages "${packages[@]}"
}

install_buf() {
  # No lock file: npm's own would name only the packages of the system it was
  # made on; package.json names the one version there is.
  cmp -s package.json node_modules/.installed.json && return 0
  echo "setup: installing buf"
  npm install --no-package-lock --ignore-scripts --loglevel=error
  cp package.json node_modules/.installed.json
}

build() {
  local preset=$1
  shift
  if [[ ! -f build/$preset/build.ninja ]]; then
    cmake --preset "$preset"
  fi
  cmake --build --preset "$preset" ${1:+--target "$@"}
}

install_packages
install_buf
build "${1:-release}" "${@:2}"

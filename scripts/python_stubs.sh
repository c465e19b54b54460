#!/usr/bin/env bash
# Makes Python modules of the API, and of the details that errors carry.
#
#   scripts/python_stubs.sh [OUTDIR [PROTO...]]
#
# The modules go to OUTDIR, build/python if not given; programs find them if it
# is on PYTHONPATH:
#
#   simvisor.v1.domain_service_pb2        messages, one module for each .proto
#   simvisor.v1.domain_service_pb2_grpc   stubs
#   google.rpc.status_pb2, google.rpc.error_details_pb2
#
# A PROTO is one more file of Debian's grpc-proto, such as
# grpc/health/v1/health.proto.
#
# Installs only missing packages, as root or through sudo; if OUTDIR is up to
# date, this takes no time.  Several may run at once.
set -euo pipefail
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
# shellcheck source=scripts/packages.sh
source "$root/scripts/packages.sh"

[[ ${1:-} != -* ]] || die "usage: scripts/python_stubs.sh [OUTDIR [PROTO...]]"
out=$(realpath -m -- "${1:-$root/build/python}")
more=("${@:2}")
cd "$root"

mkdir -p "$out"
exec {lock}>"$out/.lock"
flock "$lock"
# Names what OUTDIR has modules of, and is as old as the reading of that.
made=$out/.made_of
if [[ $(cat "$made" 2>/dev/null) == "protos ${more[*]}" &&
  -z $(find proto scripts/python_stubs.sh -newer "$made" -print -quit) ]]; then
  exit 0
fi

# The protoc of Debian 12's python3-grpc-tools is too old for the label
# `optional`; protobuf-compiler's is not.
require_packages protobuf-compiler protobuf-compiler-grpc \
  python3-grpcio python3-protobuf ${more[0]:+grpc-proto}
printf 'protos %s\n' "${more[*]}" >"$made.new"
protoc --plugin=protoc-gen-grpc_python="$(command -v grpc_python_plugin)" \
  -Iproto -Iproto/third_party ${more[0]:+-I/usr/share/grpc-proto} \
  --python_out="$out" --grpc_python_out="$out" \
  proto/simvisor/v1/*.proto google/rpc/status.proto \
  google/rpc/error_details.proto "${more[@]}"
mv "$made.new" "$made"
echo "python_stubs: the modules are in $out"

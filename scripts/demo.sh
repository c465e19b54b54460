#!/usr/bin/env bash
# Sets up, builds, and shows a tour of Simvisor against its own daemon: a dom0
# booted from a real machine's E820 map, the life of a domain, a walk of the
# frame-list tree by mfn, and an audit of every frame.
#
# Exits 0 only if every result is right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh --programs

export PATH="$PWD/build/release/bin:$PATH"
dir=$(mktemp -d)
touch "$dir/log"
export SIMVISOR_ADDRESS="unix:$dir/simvisor.sock"
daemon=
target=
target_address="unix:$dir/target.sock"

cleanup() {
  local status=$?
  if [[ -n $target ]] && kill "$target" 2>/dev/null; then
    wait "$target" || true
  fi
  if [[ -n $daemon ]] && kill "$daemon" 2>/dev/null; then
    wait "$daemon" || true
  fi
  if ((status != 0)); then
    echo "demo: FAILED; what the daemon logged:" >&2
    cat "$dir/log" >&2
  fi
  rm -rf "$dir"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() {
  printf '\n# %s\n' "$*"
}

# Shows a command and runs it.
show() {
  printf '$ %s\n' "$*"
  "$@"
}

# The real machine's dom0 could grow to all of its memory; so can this one.
start_daemon() {
  local ready command=(
    simvisord --listen "$SIMVISOR_ADDRESS"
    --host-e820 tests/testdata/e820/msi-h61m-8g-dom0.dmesg
    --dom0-memory 7024020K
  )
  mkfifo "$dir/stdout"
  printf '$ %s &\n' "${command[*]}"
  "${command[@]}" >"$dir/stdout" 2>"$dir/log" &
  daemon=$!
  exec 3<"$dir/stdout"
  read -r -t 60 ready <&3
  printf '%s\n' "$ready"
}

stop_daemon() {
  printf '$ kill -TERM %s\n' "$daemon"
  kill -TERM "$daemon"
  wait "$daemon"
  daemon=
  echo "the daemon has drained and exited 0"
}

start_target() {
  local ready command=(simvisord --listen "$target_address")
  mkfifo "$dir/target-stdout"
  printf '$ %s &\n' "${command[*]}"
  "${command[@]}" >"$dir/target-stdout" 2>>"$dir/log" &
  target=$!
  exec 4<"$dir/target-stdout"
  read -r -t 60 ready <&4
  printf '%s\n' "$ready"
}

stop_target() {
  kill -TERM "$target"
  wait "$target"
  target=
}

say "An 8 GiB board, described by the boot log of a real Xen dom0"
start_daemon
show simvisor info
show simvisor list

say "Its dom0 of 0x1acb65 pages: identity stretches, and the frames under them moved"
show simvisor p2m stat Domain-0
show simvisor p2m dump Domain-0
show simvisor run scripts/demo_dom0.textproto

say "The life of a domain, as a script of requests and expected replies"
show simvisor run examples/lifecycle.textproto

say "dom0's frame-list tree, read by mfn with the checks of Xen's own saver"
show simvisor p2m walk Domain-0

say "A 32-bit PAE guest, its list through page tables, and what its processes take"
show simvisor create examples/pae.cfg 'tools_view="linear"'
show simvisor p2m map pae
show simvisor p2m walk pae
show simvisor address-space create pae 3
show simvisor destroy pae

say "A guest saved to a file in Xen's format, and restored from it"
image=$dir/small.xl
show simvisor create examples/small.cfg
show simvisor save small "$image"
show simvisor restore "$image"
show simvisor p2m walk small
show simvisor destroy small

say "A guest that writes, moved to a second daemon while it does"
start_target
show simvisor create examples/small.cfg
show simvisor guest load small --pages-per-second 20000 --working-set 16m
show simvisor migrate small "$target_address"
show simvisor list
show simvisor --address "$target_address" list
show simvisor --address "$target_address" guest load small --check
show simvisor --address "$target_address" audit
stop_target

say "Every frame accounted for"
show simvisor audit

stop_daemon

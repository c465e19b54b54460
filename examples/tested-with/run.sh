#!/bin/bash
# Runs the scenarios that the kernel's linear p2m list was tested with: 64-bit
# dom0, 32-bit and 64-bit domU, odd sizes, ballooning, devices.
#
#   examples/tested-with/run.sh [SCENARIO...]
#
# A SCENARIO is the name of a script in this folder, without .textproto, or the
# path of a script; by default all run.  Each runs against its own daemon,
# started with the flags in the script's comment, once for each way in which
# tools can find the list: the tree of its frames, and page tables.  The script
# compares every figure; then a walk reads the list by mfn as Xen's saver does,
# and a domU is saved, restored and compared again.  Prints a line for each run,
# and exits with 1 if a run failed.
#
# SIMVISORD and SIMVISOR name the programs, build/release/bin/ by default.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$root/examples/tested-with
simvisord=${SIMVISORD:-$root/build/release/bin/simvisord}
simvisor=${SIMVISOR:-$root/build/release/bin/simvisor}
work=$(mktemp -d)
export SIMVISOR_ADDRESS=unix:$work/socket
daemon=

stop_daemon() {
  [[ -n $daemon ]] || return 0
  local pid=$daemon
  daemon=
  kill "$pid" 2>/dev/null || true
  wait "$pid"
}
trap 'stop_daemon || true; rm -rf "$work"' EXIT

# Starts a daemon with these flags, and waits until it is ready or has exited.
start_daemon() {
  rm -f "$work/ready"
  mkfifo "$work/ready"
  (cd "$root" && exec "$simvisord" --listen "$SIMVISOR_ADDRESS" \
    --log-level warn "$@") >"$work/ready" &
  daemon=$!
  read -r _ <"$work/ready"
}

# The flags after "#   simvisord" in the comment of script $1; joins lines that
# end in a backslash.
flags_of() {
  sed -n -e ':join' -e '/\\$/{N;s/\\\n#//;b join' -e '}' \
    -e 's/^# *simvisord *//p' "$1"
}

# Script $1 for a guest that shows its list by $2.  Scripts are written for the
# tree.  Without a tree there are no top pages, no mid_missing and no pages of
# mids.
script_for() {
  if [[ $2 == tree ]]; then
    cat "$1"
  else
    sed -e 's/TOOLS_VIEW_TREE/TOOLS_VIEW_LINEAR/' \
      -e 's/\bfixed_frames: 7\b/fixed_frames: 4/' \
      -e 's/\btree_mid_frames: [0-9]*/tree_mid_frames: 0/' "$1"
  fi
}

# The figures of domain $1 in one line.
figures() {
  "$simvisor" p2m stat "$1" | awk -F' *: ' '
    { v[$1] = $2 }
    END {
      printf "ram %d identity %d missing %d area %d leaves %d/%d mids %d/%d" \
             " pte %d mid pages %d metadata %d\n",
             v["ram_pfns"], v["identity_pfns"], v["missing_pfns"],
             v["p2m_size"], v["private_leaves"], v["identity_leaves"],
             v["private_mids"], v["identity_mids"], v["pte_frames"],
             v["tree_mid_frames"],
             v["fixed_frames"] + v["pte_frames"] + v["tree_mid_frames"]
    }'
}

# Walks the list of domain $1; the walk must find its $2 pages of RAM.
walk() {
  "$simvisor" p2m walk "$1" | tee "$work/walk" || return
  grep -q "^words  *ram $2," "$work/walk"
}

# Runs script $1 for a list shown by $2.  Leaves the figures in $work/figures,
# and what went wrong in $work/log.
run_once() {
  local domain=Domain-0 flags ram
  read -ra flags < <(flags_of "$1") || true
  if grep -q create_domain "$1"; then
    domain=tested-with
  else
    flags+=(--dom0-tools-view "$2")
  fi
  start_daemon "${flags[@]}" || return
  script_for "$1" "$2" | "$simvisor" run - || return
  figures "$domain" >"$work/figures" || return
  read -r _ ram _ <"$work/figures"
  walk "$domain" "$ram" || return
  # After a save and a restore the domain must have the same figures; a domain
  # with a device cannot be saved.
  if [[ $domain != Domain-0 ]] && ! grep -q pci_devices "$1"; then
    "$simvisor" save "$domain" "$work/image" || return
    "$simvisor" restore "$work/image" || return
    figures "$domain" | cmp - "$work/figures" || return
    walk "$domain" "$ram" || return
    rm "$work/image"
  fi
  if [[ $domain != Domain-0 ]]; then
    "$simvisor" destroy "$domain" || return
  fi
  "$simvisor" audit || return
  stop_daemon
}

scripts=()
for scenario in "$@"; do
  if [[ $scenario == *.textproto ]]; then
    scripts+=("$(realpath "$scenario")")
  else
    scripts+=("$folder/$scenario.textproto")
  fi
done
[[ $# -gt 0 ]] || scripts=("$folder"/*.textproto)

failed=0
for script in "${scripts[@]}"; do
  name=$(basename "$script" .textproto)
  for view in tree linear; do
    : >"$work/figures"
    outcome=PASS
    if ! run_once "$script" "$view" >"$work/log" 2>&1; then
      outcome=FAIL
      failed=$((failed + 1))
      stop_daemon || true
    fi
    printf '%s %-29s %-6s %s\n' "$outcome" "$name" "$view" \
      "$(cat "$work/figures")"
    [[ $outcome == PASS ]] || sed 's/^/     /' "$work/log"
  done
done
if [[ $failed -gt 0 ]]; then
  echo "$failed failed"
  exit 1
fi

#!/usr/bin/env bash
# Fetches Xen's own stream verifier, which tests run on images.
#
#   scripts/fetch_verifier.sh DIR
#
# Unpacks Debian's xen-utils-4.17 below DIR; nothing is installed, and nothing is
# fetched again if it is there.
set -euo pipefail

dir=${1:?name the folder to unpack into}
verifier=$dir/usr/lib/xen-4.17/bin/verify-stream-v2
[[ -e $verifier ]] && exit 0

mkdir -p "$dir"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
# apt's own user must be able to write there.
chmod 755 "$fetched"
download() {
  (cd "$fetched" && apt-get download -qq xen-utils-4.17 2>/dev/null)
}
echo "fetch_verifier: fetching xen-utils-4.17"
# A fresh machine may have no lists yet.
download || { apt-get update -qq && download; } || {
  echo "fetch_verifier: cannot download xen-utils-4.17; as root, run" \
    "apt-get update, and see that the archive of Debian 12 can be reached" >&2
  exit 1
}
dpkg -x "$fetched"/xen-utils-4.17_*.deb "$dir"
[[ -e $verifier ]] || {
  echo "fetch_verifier: the package has no $verifier" >&2
  exit 1
}

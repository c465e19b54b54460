#!/usr/bin/env bash
# Fetches Xen's own stream verifier; the tests run it on images.
#
#   scripts/fetch_verifier.sh DIR
#
# Unpacks Debian's xen-utils-4.17 below DIR, unless it is already there;
# installs nothing.
set -euo pipefail

dir=${1:?name the folder to unpack into}
verifier=$dir/usr/lib/xen-4.17/bin/verify-stream-v2
[[ -e $verifier ]] && exit 0

mkdir -p "$dir"
fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
# apt downloads as its own user, who must be able to write there.
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

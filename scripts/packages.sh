# shellcheck shell=bash
# Installs Debian packages for the scripts in this folder, which source it.
#
# Installs only missing packages, as root or through sudo.

die() {
  printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit 1
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then "$@"; else sudo "$@"; fi
}

installed() {
  dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
    awk '$2 == "installed" { print $1 }' | sort -u
}

# require_packages PACKAGE...
require_packages() {
  local missing
  mapfile -t missing < <(
    comm -23 <(printf '%s\n' "$@" | sort -u) <(installed "$@")
  )
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "this is not a Debian system; the packages needed are: ${missing[*]}"
  [[ $(id -u) -eq 0 ]] || command -v sudo >/dev/null ||
    die "cannot install packages: not root and there is no sudo; run once as" \
      "root: apt-get install ${missing[*]}"
  echo "$(basename "$0" .sh): installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
    --no-install-recommends "${missing[@]}" </dev/null >/dev/null
}

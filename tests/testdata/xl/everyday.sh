#!/bin/sh
# Lines of xl as administrators and their scripts type them, on a host with dom0
# and the configurations of this folder.
#
# Usage: everyday.sh CONFIGURATIONS TARGET, where TARGET is a host to migrate to.
# Writes to the working directory.
set -eu
configs=$1
target=$2

is() {
  if [ "$1" != "$2" ]; then
    echo "'$1' instead of '$2'" >&2
    exit 1
  fi
}

# A first look.
xl help > /dev/null
xl help create > /dev/null
xl -h > /dev/null
xl --version > /dev/null
xl list --help > /dev/null
xl info
xl info -n > /dev/null
free=$(xl info | awk '/^free_memory/ { print $3 }')
xl list

# Creating.
xl create -n "$configs/web.cfg" > plan.json
is "$(jq -r '.c_info.name' < plan.json)" web
xl -N create "$configs/web.cfg" 'memory=192' > plan.json
is "$(jq -r '.b_info.target_memkb' < plan.json)" 196608
xl create -c "$configs/web.cfg"
xl -v create -p -e -q "$configs/db.cfg" 'memory=96' "name='mail'"
xl unpause mail
xl create -F -d -q --defconfig="$configs/db.cfg"
xl create -V -qf "$configs/db.cfg" 'name="spare"' vcpus=2

# Looking.
xl list web mail
xl list -v
xl list -n db
xl list -c
xl list -Z > /dev/null
is "$(xl list | awk 'NR > 2 { print $1 }' | sort | tr '\n' ' ')" "db mail spare web "
id=$(xl domid web)
is "$(xl domname "$id")" web
xl list -l web > web.json
is "$(jq -r '.[0].domid' < web.json)" "$id"
is "$(jq -r '.[0].config.c_info.name' < web.json)" web
is "$(jq -r '.[0].config.c_info.uuid' < web.json)" \
   5c9f8e2a-0f6b-4a44-9f3e-6d1f2b3c4d5e
is "$(jq -r '.[0].config.b_info.max_memkb' < web.json)" 262144
is "$(jq -r '.[0].config.b_info.max_vcpus' < web.json)" 2
is "$(xl list -l | jq -r '.[].config.c_info.name' | head -n 1)" Domain-0
is "$(xl list -l | jq '[.[].config.b_info.target_memkb] | length')" 5
is "$(xl list -l | jq -r '.[] | select(.config.c_info.name == "db") | .domid')" \
   "$(xl domid db)"

# Memory.
xl mem-set web 200
is "$(xl list -l web | jq -r '.[0].config.b_info.target_memkb')" 204800
is "$(xl list web | awk 'NR == 2 { print $3 }')" 200
xl mem-set "$id" 128m
xl mem-max web 512
is "$(xl list -l web | jq -r '.[0].config.b_info.max_memkb')" 524288
xl mem-max web 256m

# CPUs.
xl vcpu-list
xl vcpu-list web
xl vcpu-pin web 0 1
xl vcpu-pin web 1 2-3 all
xl vcpu-pin -f web 1 2
xl vcpu-pin db 0 - 0-1
xl vcpu-pin spare all all
xl -N vcpu-pin web all 0-3
is "$(xl vcpu-list web | awk '$3 == 0 { print $7 }')" 1

# Pausing and renaming.
xl pause web
is "$(xl list web | awk 'NR == 2 { print $5 }')" --p---
xl unpause web
xl rename mail post
xl domid post

# Saving and restoring.
xl save web web.save
xl restore web.save
xl save -c web web.save
xl destroy web
xl restore -p -e web.save
xl unpause web
xl save db db.save
xl restore -d "$configs/db.cfg" db.save
xl save -p spare spare.save
xl unpause spare

# Migrating to this host and to another.
id=$(xl domid web)
xl migrate web localhost
if [ "$(xl domid web)" -le "$id" ]; then
  echo "web is still domain $id" >&2
  exit 1
fi
xl migrate --live --debug -e -s 'ssh -o BatchMode=yes' web "$target"
xl migrate post "$target"

# Clearing up.
xl destroy db
xl destroy -f "$(xl domid spare)"
is "$(xl list | awk 'NR > 2' | wc -l)" 0
is "$(xl info | awk '/^free_memory/ { print $3 }')" "$free"

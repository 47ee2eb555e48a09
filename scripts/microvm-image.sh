#!/usr/bin/env bash
# Makes an image for the microVM runtime: a squashfs file of a directory, or of what Docker has under a
# tag. Everything in it belongs to root; it is read-only in the guest.
#
#   scripts/microvm-image.sh DIRECTORY image.squashfs
#   scripts/microvm-image.sh docker:TAG image.squashfs
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
source=$1
image=$2

if [ -d "$source" ]; then
  mksquashfs "$source" "$image" -noappend -all-root -quiet -no-progress
elif [ "${source#docker:}" != "$source" ]; then
  container=$(docker create "${source#docker:}" /nothing)
  trap 'docker rm "$container" >/dev/null' EXIT
  rm -f "$image"
  docker export "$container" | sqfstar -all-root -quiet -no-progress "$image"
else
  echo "$source is no directory and does not begin with docker:" >&2
  exit 2
fi

#!/usr/bin/env bash
# What the tests of the microVM runtime need on Debian: QEMU, mksquashfs, and a kernel, which is unpacked
# below out/ and not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v mksquashfs >/dev/null || missing+=(squashfs-tools)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
[ -x /bin/busybox ] || missing+=(busybox-static)
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

target=out/microvm-kernel
if ! compgen -G "$target/boot/vmlinuz-*" >/dev/null; then
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | grep -oE 'linux-image-[0-9][^ ]*' | head -n 1 || true)
  if [ -z "$package" ]; then
    apt-get update -qq
    package=$(apt-cache depends linux-image-cloud-amd64 | grep -oE 'linux-image-[0-9][^ ]*' | head -n 1)
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  (cd "$work" && apt-get download "$package" >/dev/null && dpkg-deb -x ./*.deb unpacked)
  rm -rf "$target"
  mkdir -p out
  mv "$work/unpacked" "$target"
fi
ls "$target"/boot/vmlinuz-*

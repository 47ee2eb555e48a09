#!/bin/sh
# Builds the first process of containers for both architectures, always to the same bytes with the same
# compiler: build-init.sh DIRECTORY writes manyhands-init-amd64 and manyhands-init-arm64 there.
# Needs gcc and Debian's gcc-aarch64-linux-gnu; scripts/embed-init.ts puts the result into the package.
set -eu
out=$1
cd "$(dirname "$0")/../packages/docker-runtime/init"
build() {
  "$1" -std=gnu11 -Os -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-pie -no-pie \
    -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-ident \
    -fno-tree-loop-distribute-patterns -ffile-prefix-map="$PWD"=. \
    -static -nostdlib -nostartfiles -s -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro \
    $3 -o "$out/manyhands-init-$2" manyhands-init.c
}
for target in ${TARGETS:-amd64 arm64}; do
  case $target in
    amd64) build "${CC_AMD64:-x86_64-linux-gnu-gcc}" amd64 '-fcf-protection=none -fno-stack-clash-protection' ;;
    arm64) build "${CC_ARM64:-aarch64-linux-gnu-gcc}" arm64 '-mno-outline-atomics -mbranch-protection=none' ;;
  esac
done

import type { CompliancePrograms } from '@manyhands/testing/runtime-compliance'
import { BUSYBOX_IMAGE } from '../../../scripts/docker-images.ts'

/** A shell script with its own positional arguments. */
export function sh(script: string, ...args: string[]) {
  return { image: BUSYBOX_IMAGE, command: ['/bin/sh', '-c', script, 'sh', ...args] }
}

export const BUSYBOX_PROGRAMS: Required<CompliancePrograms> = {
  echo: (args) => ({ image: BUSYBOX_IMAGE, command: ['/bin/printf', '%s\\n', ...args] }),
  print: (stdout, stderr) => sh('printf %s "$1"; printf %s "$2" >&2', stdout, stderr),
  env: (name) => sh(`echo "$${name}"`),
  exit: (code, afterMs = 0) => sh('sleep "$2"; exit "$1"', `${code}`, `${afterMs / 1000}`),
  spin: () => sh('while :; do :; done'),
  sleep: (ms) => ({ image: BUSYBOX_IMAGE, command: ['/bin/sleep', `${ms / 1000}`] }),
  ignoreTerm: () => sh('trap "" TERM; echo ready; while :; do sleep 1; done'),
  write: (path, text) =>
    sh('mkdir -p "$(dirname "/out/$1")"; printf %s "$2" >"/out/$1"', path, text),
  read: (path) => ({ image: BUSYBOX_IMAGE, command: ['/bin/cat', `/in/${path}`] }),
  overwrite: (path) => sh('chmod 777 /in "/in/$1" 2>/dev/null; echo evil >"/in/$1"', path),
  // tail keeps what it reads from a stream without lines in memory.
  allocate: (bytes) => sh('head -c "$1" /dev/zero | tail -c "$1" >/dev/null', `${bytes}`),
  hold: (bytes) => sh('(head -c "$1" /dev/zero; sleep 1000) | tail -c "$1" >/dev/null', `${bytes}`),
  flood: (bytes) => sh('yes 0123456789abcde | head -c "$1"; echo; echo END', `${bytes}`),
  fill: (bytes) =>
    sh(
      'i=0; while [ $i -lt 8 ]; do head -c $(($1 / 8)) /dev/zero >/out/$i; i=$((i + 1)); done; sleep 1000',
      `${bytes}`,
    ),
  litter: (count) =>
    sh('i=0; while [ $i -lt "$1" ]; do : >/out/$i; i=$((i + 1)); done; sleep 1000', `${count}`),
  tick: () => sh('while :; do printf x >>/out/ticks; sleep 0.1; done'),
  raw: (hex) => ({ image: BUSYBOX_IMAGE, command: ['/bin/printf', hex.replace(/../g, '\\x$&')] }),
  uid: () => ({ image: BUSYBOX_IMAGE, command: ['/bin/id', '-u'] }),
  interfaces: () => ({ image: BUSYBOX_IMAGE, command: ['/bin/ls', '/sys/class/net'] }),
  secret: (name) =>
    sh('cd /run/secrets && echo "$(stat -c "%a %u" "$1") $(stat -f -c %T "$1")" && cat "$1"', name),
  fetch: (url) => ({ image: BUSYBOX_IMAGE, command: ['/bin/wget', '-q', '-O', '-', url] }),
  serve: (port) => ({
    image: BUSYBOX_IMAGE,
    command: ['/bin/nc', '-ll', '-p', `${port}`, '-e', '/bin/cat'],
  }),
  keep: (text) => sh('printf %s "$1" >/tmp/kept', text),
  kept: () => sh('cat /tmp/kept'),
  leave: () => sh('(trap "" TERM; while :; do echo late >/out/late; sleep 0.02; done) & exit 0'),
  badImage: () => ({ image: 'manyhands-test/no-such-image:1', command: ['/bin/true'] }),
  badCommand: () => ({ image: BUSYBOX_IMAGE, command: ['/no/such/program'] }),
}

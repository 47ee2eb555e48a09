import type { CompliancePrograms } from '@manyhands/testing/runtime-compliance'

/** The suite's programs in an image of busybox. */
export function busyboxPrograms(image: string): Required<CompliancePrograms> {
  const sh = (script: string, ...args: string[]) => ({
    image,
    command: ['/bin/sh', '-c', script, 'sh', ...args],
  })
  return {
    echo: (args) => ({ image, command: ['/bin/printf', '%s\\n', ...args] }),
    print: (stdout, stderr) => sh('printf %s "$1"; printf %s "$2" >&2', stdout, stderr),
    env: (name) => sh(`echo "$${name}"`),
    exit: (code, afterMs = 0) => sh('sleep "$2"; exit "$1"', `${code}`, `${afterMs / 1000}`),
    spin: () => sh('while :; do :; done'),
    sleep: (ms) => ({ image, command: ['/bin/sleep', `${ms / 1000}`] }),
    ignoreTerm: () => sh('trap "" TERM; echo ready; while :; do sleep 1; done'),
    write: (path, text) =>
      sh('mkdir -p "$(dirname "/out/$1")"; printf %s "$2" >"/out/$1"', path, text),
    read: (path) => ({ image, command: ['/bin/cat', `/in/${path}`] }),
    overwrite: (path) => sh('chmod 777 /in "/in/$1" 2>/dev/null; echo evil >"/in/$1"', path),
    // tail keeps what it reads from a stream without lines in memory.
    allocate: (bytes) => sh('head -c "$1" /dev/zero | tail -c "$1" >/dev/null', `${bytes}`),
    hold: (bytes) =>
      sh('(head -c "$1" /dev/zero; sleep 1000) | tail -c "$1" >/dev/null', `${bytes}`),
    flood: (bytes) => sh('yes 0123456789abcde | head -c "$1"; echo; echo END', `${bytes}`),
    fill: (bytes) =>
      sh(
        'i=0; while [ $i -lt 8 ]; do head -c $(($1 / 8)) /dev/zero >/out/$i; i=$((i + 1)); done; sleep 1000',
        `${bytes}`,
      ),
    litter: (count) =>
      sh('i=0; while [ $i -lt "$1" ]; do : >/out/$i; i=$((i + 1)); done; sleep 1000', `${count}`),
    tick: () => sh('while :; do printf x >>/out/ticks; sleep 0.1; done'),
    raw: (hex) => ({ image, command: ['/bin/printf', hex.replace(/../g, '\\x$&')] }),
    uid: () => ({ image, command: ['/bin/id', '-u'] }),
    interfaces: () => ({ image, command: ['/bin/ls', '/sys/class/net'] }),
    secret: (name) =>
      sh(
        'cd /run/secrets && echo "$(stat -c "%a %u" "$1") $(stat -f -c %T "$1")" && cat "$1"',
        name,
      ),
    fetch: (url) => ({ image, command: ['/bin/wget', '-q', '-O', '-', url] }),
    serve: (port) => ({ image, command: ['/bin/nc', '-ll', '-p', `${port}`, '-e', '/bin/cat'] }),
    keep: (text) => sh('printf %s "$1" >/tmp/kept', text),
    kept: () => sh('cat /tmp/kept'),
    leave: () => sh('sleep 1000 & exit 0'),
    badImage: () => ({ image: '/nowhere/root.squashfs', command: ['/bin/true'] }),
    badCommand: () => ({ image, command: ['/no/such/program'] }),
  }
}

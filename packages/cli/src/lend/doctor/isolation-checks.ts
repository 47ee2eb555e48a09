import { type Check, type Examiner, ok, warn } from './check.ts'

const NOT_KNOWN = 'unknown: nothing tells what separates tasks from this computer'
const STRONGER =
  'For the work of strangers install gVisor and lend with --isolation runsc, use a rootless engine, or lend a machine of its own.'

/** What each level means, in words that promise nothing. */
const LEVELS: Record<string, (name: string) => Check> = {
  runc: (name) =>
    warn(
      name,
      'runc: containers share the kernel of this computer, and root in one would be root here; a hole in the kernel opens all of it',
      STRONGER,
    ),
  userns: (name) =>
    ok(name, 'userns: root in a container is nobody here; the kernel is shared all the same'),
  rootless: (name) =>
    ok(name, 'rootless: the engine has the rights of one user alone; the kernel is shared'),
  gvisor: (name) => ok(name, 'gvisor: a kernel of its own in user space stands between'),
  kata: (name) => ok(name, 'kata: every container is a small virtual machine'),
  microvm: (name) => ok(name, 'microvm: every task has a virtual machine of its own'),
  wasm: (name) =>
    ok(name, 'wasm: no system calls but ours; the wall is the JavaScript engine of this process'),
}

/** What really separates tasks from this computer. Never "safe"; `unknown` where it cannot be read. */
export const isolationChecks: Examiner = ({ runtimes }) =>
  runtimes
    .filter(({ fingerprint }) => fingerprint.available)
    .map(({ name, fingerprint, capabilities }) => {
      const level =
        fingerprint.isolation ?? (name === 'docker' ? undefined : capabilities?.isolation)
      const tell = level === undefined || !Object.hasOwn(LEVELS, level) ? undefined : LEVELS[level]
      const check = `isolation of ${name}`
      return tell?.(check) ?? warn(check, NOT_KNOWN, STRONGER)
    })

import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { programName } from './program-name.ts'

/** Processes looked at; a desktop has some hundred. */
const PROCESSES = 65_536
/** Files read at once. */
const AT_ONCE = 32
/** What is known of a process is read again after this many looks: it may have become another program. */
const LOOKS = 5

/** Parents of containers, as their engines call them. */
const ENGINE_PARENTS = /^(containerd-shim|conmon|runc|crun|runsc)/
/** The cgroup of a container carries the id that its engine gave to it. */
const CONTAINER_ID = /[0-9a-f]{64}/

interface Process {
  comm: string
  parent: number
  names: string[]
  /** Process ids from our namespace inwards; more than one: it is in a namespace inside of ours. */
  depth: number
  cgroup: string
}

/**
 * Names of the programs that run on this computer, from `/proc`: the command name, the executable and the
 * first argument of each process, in lower case and without `.exe`.
 *
 * Processes in containers and children of this process are left out, whatever they call themselves: a
 * client that names its program like one of the owner's must not stop everybody's work. A container is
 * told by its own process namespace together with its engine's parent process or cgroup; a sandboxed
 * desktop program (Flatpak, Snap) has no engine and counts.
 */
export class RunningPrograms {
  readonly #proc: string
  readonly #self: number
  #known = new Map<number, Process>()
  #look = 0

  /** @param self - process id of this program in that tree */
  constructor(proc: string, self: number) {
    this.#proc = proc
    this.#self = self
  }

  /** Undefined when processes of others are hidden from us. */
  async names(): Promise<ReadonlySet<string> | undefined> {
    const entries = await readdir(this.#proc).catch(() => [])
    const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number)
    if (pids.length > PROCESSES) return undefined
    this.#look += 1
    const known = new Map<number, Process>()
    const present = new Set(pids)
    for (let from = 0; from < pids.length; from += AT_ONCE) {
      await Promise.all(
        pids.slice(from, from + AT_ONCE).map(async (pid) => {
          const before = this.#known.get(pid)
          // One whose parent is gone has got another, by which a container may be known.
          const orphan = before !== undefined && before.parent > 0 && !present.has(before.parent)
          const again = orphan || (pid + this.#look) % LOOKS === 0
          const process = before === undefined || again ? await this.#read(pid, before) : before
          if (process !== undefined) known.set(pid, process)
        }),
      )
    }
    this.#known = known
    if (!known.has(1)) return undefined
    const names = new Set<string>()
    for (const [pid, process] of known) {
      if (this.#sandboxed(pid)) continue
      for (const name of process.names) names.add(name)
    }
    return names
  }

  async #read(pid: number, before: Process | undefined): Promise<Process | undefined> {
    const path = (file: string) => join(this.#proc, String(pid), file)
    const text = (file: string) => readFile(path(file), 'utf8').catch(() => '')
    const status = await text('status')
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? ''
    const comm = field('Name')
    if (comm === '') return undefined
    const [parent, depth] = [Number(field('PPid')), field('NSpid').split(/\s+/).length]
    // Whatever becomes another program gets its name, so the rest is as it was.
    if (before?.comm === comm && before.depth === depth) return { ...before, parent }
    const [cgroup, command, executable] = await Promise.all([
      text('cgroup'),
      text('cmdline'),
      readlink(path('exe')).catch(() => ''),
    ])
    const names = [comm, executable.replace(/ \(deleted\)$/, ''), command.split('\0')[0] ?? '']
    return {
      comm,
      parent,
      names: [...new Set(names.map(programName).filter((name) => name !== ''))],
      depth,
      cgroup,
    }
  }

  #sandboxed(pid: number): boolean {
    const process = this.#known.get(pid)
    if (process === undefined || pid === this.#self) return false
    const inside = process.depth > (this.#known.get(this.#self)?.depth ?? 1)
    if (inside && CONTAINER_ID.test(process.cgroup)) return true
    // Bounded, since processes that come and go while they are read may look like a circle.
    let at: number = process.parent
    for (let steps = 0; steps < 64; steps += 1) {
      if (at === this.#self) return true
      const parent = this.#known.get(at)
      if (parent === undefined) return false
      if (inside && ENGINE_PARENTS.test(parent.comm)) return true
      at = parent.parent
    }
    return false
  }
}

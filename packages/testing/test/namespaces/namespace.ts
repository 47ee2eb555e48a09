import {
  type ChildProcess,
  execFile,
  execFileSync,
  type SpawnOptions,
  spawn,
} from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'

const PREFIX = 'manyhands'
const DIRECTORY = '/run/netns'
const MOST_OUTPUT = 16 * 1024 * 1024

const execute = promisify(execFile)

let made = 0
const living = new Set<Namespace>()

/**
 * A network namespace of this process: a computer, a router, or a piece of the internet. Whatever runs in
 * it ends with it. What a process that died left behind is removed when the next one makes its first.
 */
export class Namespace implements AsyncDisposable {
  /** As iproute2 knows it; says whose it is. */
  readonly name: string
  readonly label: string
  readonly #children = new Set<ChildProcess>()
  #removed = false

  private constructor(label: string) {
    made += 1
    this.label = label
    this.name = `${PREFIX}-${process.pid}-${startOf(process.pid)}-${made}-${label}`
  }

  static async create(label: string): Promise<Namespace> {
    if (made === 0) {
      await removeStale()
      // Only when the tests are torn off: they remove what they made.
      process.once('exit', () => {
        for (const { name } of living) removeNow(name)
      })
    }
    const namespace = new Namespace(label)
    await execute('ip', ['netns', 'add', namespace.name])
    living.add(namespace)
    await namespace.ip('link set lo up')
    return namespace
  }

  /** Commands of `ip`, one a line, inside. */
  async ip(...lines: string[]): Promise<void> {
    await piped('ip', ['-n', this.name, '-batch', '-'], lines.join('\n'))
  }

  /** Rules of nftables, added to those that are there. */
  async nft(rules: string): Promise<void> {
    await piped('ip', ['netns', 'exec', this.name, 'nft', '-f', '-'], rules)
  }

  /** Runs a command to its end; what it printed. @throws when it fails, with what it said */
  async run(command: string, ...args: string[]): Promise<string> {
    const options = { maxBuffer: MOST_OUTPUT }
    const inside = ['netns', 'exec', this.name, command, ...args]
    return (await execute('ip', inside, options)).stdout
  }

  /** Starts a process, which is killed when the namespace is removed. Its pid is its own. */
  spawn(command: string, args: string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...args], options)
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Starts a program of this repository, its sources as they are. */
  node(script: string | URL, args: string[] = [], options: SpawnOptions = {}): ChildProcess {
    const path = script instanceof URL ? script.pathname : script
    const node = ['--conditions=@manyhands/source', path, ...args]
    return this.spawn(process.execPath, node, options)
  }

  async remove(): Promise<void> {
    if (this.#removed) return
    this.#removed = true
    const ends = [...this.#children].map((child) => once(child, 'exit'))
    for (const child of this.#children) child.kill('SIGKILL')
    await Promise.all(ends)
    removeNow(this.name)
    living.delete(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }
}

/**
 * Connects two namespaces by a virtual cable.
 *
 * @param one - a namespace and the name of the interface there, at most 15 letters
 */
export async function cable(one: [Namespace, string], other: [Namespace, string]): Promise<void> {
  const [[here, near], [there, far]] = [one, other]
  const peer = ['type', 'veth', 'peer', 'name', far, 'netns', there.name]
  await execute('ip', ['link', 'add', near, 'netns', here.name, ...peer])
  await Promise.all([here.ip(`link set ${near} up`), there.ip(`link set ${far} up`)])
}

/** Lets at most so much leave by an interface; undefined: as much as it can. @param rate - `'20mbit'` */
export async function shape(
  at: Namespace,
  device: string,
  rate: string | undefined,
): Promise<void> {
  if (rate === undefined) {
    await at.run('tc', 'qdisc', 'del', 'dev', device, 'root').catch(() => {})
    return
  }
  const filter = ['tbf', 'rate', rate, 'burst', '128kb', 'latency', '50ms']
  await at.run('tc', 'qdisc', 'replace', 'dev', device, 'root', ...filter)
}

/** Why no test bed can be made here; undefined: it can. */
export function noNamespaces(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const tool of ['ip', 'nft', 'tc']) {
    const package_ = tool === 'nft' ? 'nftables' : 'iproute2'
    if (!hasTool(tool, '-V')) return `${tool} is missing (Debian: ${package_})`
  }
  const probe = `${PREFIX}-${process.pid}-${startOf(process.pid)}-0-probe`
  try {
    execFileSync('ip', ['netns', 'add', probe], { stdio: 'pipe' })
    execFileSync('ip', ['netns', 'del', probe], { stdio: 'pipe' })
  } catch (error) {
    return `network namespaces cannot be made here: ${(error as Error).message}`
  }
  return undefined
}

/** Whether a program is installed: it can be started, whatever it answers. */
export function hasTool(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', timeout: 10_000 })
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT'
  }
}

function piped(command: string, args: string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, (error, _, said) => {
      if (error === null) resolve()
      else reject(new Error(`${command} ${args.join(' ')}: ${said}\n${input}`, { cause: error }))
    })
    // A child that is gone already says why by its exit.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
  })
}

/** When a process started, in ticks since the boot: with it a pid is used once. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

async function removeStale(): Promise<void> {
  let names: string[]
  try {
    names = readdirSync(DIRECTORY)
  } catch {
    return
  }
  for (const name of names) {
    const [, pid, start] = new RegExp(`^${PREFIX}-(\\d+)-(\\d+)-`).exec(name) ?? []
    if (pid !== undefined && startOf(Number(pid)) !== start) removeNow(name)
  }
}

function removeNow(name: string): void {
  try {
    const pids = execFileSync('ip', ['netns', 'pids', name], { stdio: 'pipe' }).toString()
    for (const pid of pids.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL')
  } catch {
    // It is gone, or what ran in it is.
  }
  try {
    execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' })
  } catch {
    // Another process removed it.
  }
}

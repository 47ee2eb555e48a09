/** Engines that belong to one test file: started, stopped, frozen and killed by it, and by nobody else. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import Docker from 'dockerode'
import { ensureBusybox } from '../../../scripts/docker-images.ts'
import { until } from './sandbox-for-tests.ts'

const run = promisify(execFile)

/**
 * Whether tests can start engines made of these programs. On CI a missing one is a failure; elsewhere
 * the reason is printed.
 */
export function canStart(...programs: string[]): boolean {
  const missing = programs.filter((program) => !isInstalled(program))
  const reason =
    missing.length > 0
      ? `${missing.join(', ')} is not installed`
      : process.getuid?.() === 0
        ? undefined
        : 'only root can start an engine of its own'
  if (reason === undefined) return true
  if (process.env['CI']) throw new Error(`an engine of the test's own is needed: ${reason}`)
  process.stderr.write(`tests with an engine of their own skipped: ${reason}\n`)
  return false
}

function isInstalled(program: string): boolean {
  const directories = `${process.env['PATH']}:/usr/sbin:/sbin`.split(':')
  return directories.some((directory) => existsSync(join(directory, program)))
}

export abstract class OwnEngine implements AsyncDisposable {
  readonly root: string
  readonly socketPath: string
  readonly docker: Docker
  protected child: ChildProcess | undefined

  protected constructor(root: string) {
    this.root = root
    this.socketPath = join(root, 'docker.sock')
    this.docker = new Docker({ socketPath: this.socketPath })
  }

  protected abstract command(): string[]

  /** Starts the engine's process and waits until it answers. */
  async start(): Promise<void> {
    const [program, ...args] = this.command()
    const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    this.child = child
    let said = ''
    child.stderr.on('data', (bytes: Buffer) => {
      said = `${said}${bytes}`.slice(-4000)
    })
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`)
      return this.answers()
    }, `${program} answers`)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child?.kill(signal)
  }

  /** Ends the engine's process, and resolves when it is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await gone
  }

  /** Containers with this host instance's label. */
  async leftovers(hostInstance: string): Promise<string[]> {
    const label = [`manyhands.host=${hostInstance}`]
    const found = await this.docker.listContainers({ all: true, filters: { label } })
    return found.map((container) => `container ${container.Names.join(' ')}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!(await this.answers())) {
        await this.end('SIGKILL')
        await this.start()
      }
      for (const { Id } of await this.docker.listContainers({ all: true })) {
        await this.docker.getContainer(Id).remove({ force: true, v: true })
      }
    } finally {
      await this.end('SIGTERM')
      await this.cleanUp()
    }
  }

  protected async cleanUp(): Promise<void> {
    // What an engine that was killed left mounted keeps its directory from being removed.
    const mounts = (await readFile('/proc/mounts', 'utf8'))
      .split('\n')
      .map((line) => line.split(' '))
    for (const [, target = ''] of mounts.reverse()) {
      if (target.startsWith(`${this.root}/`)) await run('umount', ['-l', target]).catch(() => {})
    }
    await rm(this.root, { recursive: true, force: true, maxRetries: 5 })
  }

  private answers(): Promise<boolean> {
    const options = { abortSignal: AbortSignal.timeout(2000) }
    const pinged = this.docker.ping(options as never) as unknown as Promise<unknown>
    return pinged.then(
      () => true,
      () => false,
    )
  }
}

/** Whether the installed Docker engine can keep its images with containerd, as newer ones do. */
export async function hasContainerdStore(): Promise<boolean> {
  const said = await run('dockerd', ['--version']).catch(() => ({ stdout: '' }))
  const major = Number(/version (\d+)\./.exec(said.stdout)?.[1] ?? 0)
  if (major >= 23) return true
  process.stderr.write(
    `tests with containerd's image store skipped: Docker ${major || 'missing'} is older than 23\n`,
  )
  return false
}

export interface OwnDockerOptions {
  /** Images are kept by containerd, and named by their manifests. */
  containerdStore?: boolean
  liveRestore?: boolean
  runtimes?: Record<string, { path: string; runtimeArgs?: string[] }>
}

/** A Docker engine beside the computer's own: other directories, another bridge, no firewall rules. */
export class OwnDocker extends OwnEngine {
  readonly #bridge = `mh${randomBytes(4).toString('hex')}`

  static async start(options: OwnDockerOptions = {}): Promise<OwnDocker> {
    const engine = new OwnDocker(await mkdtemp(join(tmpdir(), 'manyhands-dockerd-')))
    try {
      const config = {
        'live-restore': options.liveRestore ?? false,
        runtimes: options.runtimes ?? {},
        ...(options.containerdStore ? { features: { 'containerd-snapshotter': true } } : {}),
      }
      await writeFile(join(engine.root, 'daemon.json'), JSON.stringify(config))
      await run('ip', ['link', 'add', engine.#bridge, 'type', 'bridge'])
      const net = `10.${100 + (randomBytes(1)[0]! % 100)}.${randomBytes(1)[0]}.1/28`
      await run('ip', ['addr', 'add', net, 'dev', engine.#bridge])
      await engine.start()
      await ensureBusybox(engine.docker)
      return engine
    } catch (error) {
      await engine.end('SIGKILL')
      await engine.cleanUp()
      throw error
    }
  }

  protected command(): string[] {
    const { root } = this
    return [
      'dockerd',
      ...['--config-file', join(root, 'daemon.json'), '--data-root', join(root, 'data')],
      ...['--exec-root', join(root, 'exec'), '--pidfile', join(root, 'docker.pid')],
      ...['-H', `unix://${this.socketPath}`, '--bridge', this.#bridge],
      ...['--iptables=false', '--ip-masq=false', '--log-level=error'],
    ]
  }

  override async end(signal: NodeJS.Signals): Promise<void> {
    await super.end(signal)
    if (signal !== 'SIGKILL') return
    // A killed dockerd leaves its containerd, whose pid file keeps the next one from starting.
    await this.#endThose((command) => command[0]?.endsWith('containerd') === true)
    await rm(join(this.root, 'exec/containerd/containerd.pid'), { force: true })
  }

  /** Ends processes of this engine: those that name its directory, which no other process does. */
  async #endThose(which: (command: string[]) => boolean): Promise<void> {
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
      const ours = command.some((word) => word.includes(`${this.root}/exec/`))
      if (!ours || !which(command)) continue
      try {
        process.kill(Number(pid), 'SIGKILL')
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  protected override async cleanUp(): Promise<void> {
    // What watched over a container stays when its containerd was killed.
    await this.#endThose(() => true)
    await run('ip', ['link', 'del', this.#bridge]).catch(() => {})
    await super.cleanUp()
  }
}

/** Podman's Docker-compatible service with a storage of its own. */
export class OwnPodman extends OwnEngine {
  static async start(): Promise<OwnPodman> {
    const engine = new OwnPodman(await mkdtemp(join(tmpdir(), 'manyhands-podman-')))
    try {
      for (const name of ['tmp', 'root', 'run']) await mkdir(join(engine.root, name))
      await engine.start()
      await ensureBusybox(engine.docker)
      return engine
    } catch (error) {
      await engine.end('SIGKILL')
      await engine.cleanUp()
      throw error
    }
  }

  protected command(): string[] {
    const { root } = this
    return [
      'podman',
      ...[
        '--root',
        join(root, 'root'),
        '--runroot',
        join(root, 'run'),
        '--tmpdir',
        join(root, 'tmp'),
      ],
      ...['--storage-driver=overlay', '--cgroup-manager=cgroupfs', '--events-backend=file'],
      ...['system', 'service', '--time=0', `unix://${this.socketPath}`],
    ]
  }
}

import { hash } from 'node:crypto'
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, posix } from 'node:path'
import {
  LIMITS,
  parseByteSize,
  parseDuration,
  type Resources,
  type RuntimeExit,
  type RuntimeHandle,
  type RuntimeOutput,
  type RuntimeSpec,
  type RuntimeTask,
  type Usage,
  type Workspace,
} from '@manyhands/core'
import type { Script } from './scripted-script.ts'

const TIMER_MAX_MS = 2 ** 31 - 1

/** One scripted attempt: no process, no file and no timer unless its script asks for them. */
export class ScriptedTask implements RuntimeTask {
  readonly handle: RuntimeHandle
  readonly image: string
  readonly #script: Script
  readonly #workspace: Workspace
  readonly #onRemove: () => void
  readonly #chunks: RuntimeOutput[] = []
  readonly #done = Promise.withResolvers<RuntimeExit>()
  readonly #startedAt = performance.now()
  readonly #maxRuntimeMs: number
  #limits: Resources
  #exit: RuntimeExit | undefined
  #endedAt = 0
  #timer: NodeJS.Timeout | undefined
  #remainingMs: number
  #ranUntilNowMs = 0
  #resumedAt: number | undefined
  #diskBytes = 0

  constructor(
    runtime: string,
    id: string,
    script: Script,
    spec: RuntimeSpec,
    workspace: Workspace,
    onRemove: () => void,
  ) {
    this.handle = { v: 1, runtime, id }
    // Any name is an image here, so that it is what it is called.
    this.image = `sha256:${hash('sha256', spec.image)}`
    this.#script = script
    this.#workspace = workspace
    this.#onRemove = onRemove
    this.#limits = spec.resources
    this.#maxRuntimeMs = spec.maxRuntimeMs
    const open = script.hang || script.until !== undefined
    this.#remainingMs = open
      ? Number.POSITIVE_INFINITY
      : script.for === undefined
        ? 0
        : parseDuration(script.for)
    this.#print('stdout', script.stdout)
    this.#print('stderr', script.stderr)
    for (const name of script.env ?? []) this.#print('stdout', `${spec.env[name] ?? ''}\n`)
    if (script.flood !== undefined) this.#flood(parseByteSize(script.flood))
    if (script.write ?? script.copy ?? script.link ?? script.cat) void this.#files()
    else this.#run()
  }

  wait(): Promise<RuntimeExit> {
    return this.#done.promise
  }

  async *output(): AsyncIterable<RuntimeOutput> {
    while (this.#chunks.length > 0) yield this.#chunks.shift()!
    await this.#done.promise
    while (this.#chunks.length > 0) yield this.#chunks.shift()!
  }

  stats(): Promise<Usage> {
    const ended = this.#exit !== undefined
    const elapsedMs = (ended ? this.#endedAt : performance.now()) - this.#startedAt
    const cpu = this.#script.cpu ?? 0
    const memory = this.#script.memory === undefined ? 0 : parseByteSize(this.#script.memory)
    return Promise.resolve({
      elapsedMs,
      cpu: this.#resumedAt === undefined ? 0 : cpu,
      cpuMs: cpu * this.#ranMs(),
      memory: ended ? 0 : memory,
      memoryPeak: memory,
      pids: ended ? 0 : 1,
      disk: this.#diskBytes + parseByteSize(this.#script.disk ?? 0),
      netIn: 0,
      netOut: 0,
    })
  }

  pause(): Promise<void> {
    if (this.#resumedAt !== undefined) {
      const ran = performance.now() - this.#resumedAt
      this.#ranUntilNowMs += ran
      this.#remainingMs -= ran
      this.#resumedAt = undefined
      clearTimeout(this.#timer)
    }
    return Promise.resolve()
  }

  resume(): Promise<void> {
    if (this.#exit === undefined && this.#resumedAt === undefined) this.#run()
    return Promise.resolve()
  }

  limit(change: Partial<Pick<Resources, 'cpus' | 'memoryBytes' | 'pids'>>): Promise<void> {
    this.#limits = {
      ...this.#limits,
      cpus: change.cpus ?? this.#limits.cpus,
      memoryBytes: change.memoryBytes ?? this.#limits.memoryBytes,
      pids: change.pids ?? this.#limits.pids,
    }
    if (this.#overMemory()) this.#endOutOfMemory()
    return Promise.resolve()
  }

  async stop(options: { graceMs: number }): Promise<void> {
    if (this.#script.onTerm !== undefined) {
      this.#end({ exitCode: this.#script.onTerm, reason: 'stopped' })
    } else if (this.#script.ignoreTerm) {
      const grace = Promise.withResolvers<void>()
      const timer = setTimeout(grace.resolve, options.graceMs)
      timer.unref()
      await Promise.race([grace.promise, this.#done.promise])
      clearTimeout(timer)
      await this.kill()
    } else {
      this.#end({ exitCode: 143, signal: 'SIGTERM', reason: 'stopped' })
    }
  }

  kill(): Promise<void> {
    this.#end({ exitCode: 137, signal: 'SIGKILL', reason: 'stopped' })
    return Promise.resolve()
  }

  async remove(): Promise<void> {
    await this.kill()
    this.#onRemove()
  }

  #run(): void {
    if (this.#exit !== undefined) return
    this.#resumedAt = performance.now()
    if (this.#overMemory()) this.#endOutOfMemory()
    else if (this.#script.until !== undefined) {
      const over = () => this.#endByItself()
      this.#script.until.then(over, over)
      this.#schedule(this.#remainingMs)
    } else if (this.#remainingMs <= 0) this.#endByItself()
    else this.#schedule(this.#remainingMs)
  }

  #schedule(remainingMs: number): void {
    const leftMs = this.#maxRuntimeMs - this.#ranMs()
    const outOfTime = leftMs < remainingMs
    const delayMs = Math.min(leftMs, remainingMs)
    if (delayMs > TIMER_MAX_MS) return
    this.#timer = setTimeout(() => {
      if (outOfTime) this.#end({ exitCode: 137, signal: 'SIGKILL', reason: 'max-runtime' })
      else this.#endByItself()
    }, delayMs)
    this.#timer.unref()
  }

  #endByItself(): void {
    if (this.#script.oom) this.#endOutOfMemory()
    else if (this.#script.engineLost)
      this.#end({ exitCode: undefined, reason: 'engine-lost', detail: 'the script says so' })
    else this.#end({ exitCode: this.#script.exit ?? 0, reason: 'exited' })
  }

  #endOutOfMemory(): void {
    this.#end({ exitCode: 137, signal: 'SIGKILL', oom: true, reason: 'exited' })
  }

  #end(exit: Partial<RuntimeExit> & Pick<RuntimeExit, 'exitCode' | 'reason'>): void {
    if (this.#exit !== undefined) return
    clearTimeout(this.#timer)
    this.#ranUntilNowMs = this.#ranMs()
    this.#resumedAt = undefined
    this.#endedAt = performance.now()
    this.#exit = { signal: undefined, oom: false, ...exit }
    this.#done.resolve(this.#exit)
  }

  #ranMs(): number {
    const now = this.#resumedAt === undefined ? 0 : performance.now() - this.#resumedAt
    return this.#ranUntilNowMs + now
  }

  #overMemory(): boolean {
    const memory = this.#script.memory
    return memory !== undefined && parseByteSize(memory) > this.#limits.memoryBytes
  }

  #print(stream: RuntimeOutput['stream'], content: string | Uint8Array | undefined): void {
    if (content === undefined || content.length === 0) return
    this.#chunks.push({ stream, bytes: Buffer.from(content).subarray(-LIMITS.logBytes) })
  }

  #flood(bytes: number): void {
    this.#print('stdout', 'x'.repeat(Math.min(bytes, LIMITS.logBytes - 8)))
    this.#print('stdout', '\nEND\n')
  }

  async #files(): Promise<void> {
    const { write = {}, copy = {}, link = {}, cat = [] } = this.#script
    try {
      for (const [path, content] of Object.entries(write)) {
        await writeFile(await this.#out(path), content)
        this.#diskBytes += Buffer.byteLength(content)
      }
      for (const [from, to] of Object.entries(copy)) {
        await copyFile(this.#in(from), await this.#out(to))
      }
      for (const [path, target] of Object.entries(link)) {
        await symlink(target, await this.#out(path))
      }
      for (const path of cat) this.#print('stdout', await readFile(this.#in(path)))
      this.#run()
    } catch (error) {
      this.#print('stderr', `${(error as Error).message}\n`)
      this.#end({ exitCode: 1, reason: 'exited' })
    }
  }

  #in(path: string): string {
    return join(this.#workspace.inDir ?? '/nonexistent', below('in', path))
  }

  async #out(path: string): Promise<string> {
    const full = join(this.#workspace.outDir, below('out', path))
    await mkdir(dirname(full), { recursive: true })
    return full
  }
}

// Normalised against a root, so that no script reaches beyond the workspace.
function below(root: 'in' | 'out', path: string): string {
  const normal = posix.normalize(`/${path}`)
  return normal.startsWith(`/${root}/`) ? normal.slice(root.length + 1) : normal
}

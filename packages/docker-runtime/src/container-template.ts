import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { ManyhandsError, type RuntimeSpec, type Workspace } from '@manyhands/core'
import type Docker from 'dockerode'
import { type ConnectionGrant, connectionGrant } from './attempt-sockets.ts'
import { cpuLimit } from './cpu-limit.ts'
import type { GpuDriver } from './gpu-query.ts'
import type { EngineImage } from './image.ts'
import { INIT_DIRECTORY, initArgv } from './init/init-program.ts'
import { checkRuntimeSpec } from './spec-check.ts'

const MIB = 1024 ** 2
/** The engine refuses less than 6 MiB, and no program starts in that. */
const MEMORY_MIN = 8 * MIB
const TMP_MIN = 4 * MIB
const OPEN_FILES = 1024
/** Where the first process of a container takes what is meant for the host's proxy. */
const EGRESS_URL = 'http://127.0.0.1:3128'
/** Set for graphics as well as computing: renderers and games find no GPU otherwise. */
const GPU_CAPABILITIES = 'compute,utility,graphics,video,display'

const CDI_GPU = 'nvidia.com/gpu='

/** What the host decides about a container; nothing of it comes from a job. */
export interface TemplateContext {
  hostInstance: string
  /** Its volumes are covered by bounded tmpfs, its user and health check are not kept. */
  image: EngineImage
  /** The host's directory that is the container's `/.manyhands`, with the file for its end. */
  directory: { path: string; endFile: string; secretsPath: string }
  /** Threads of the OCI runtime itself that count into the container's processes; default none. */
  runtimeThreads?: number
  /** `uid:gid`, never root. */
  user: string
  /** The OCI runtime by the engine's name for it; undefined for the engine's default. */
  ociRuntime?: string | undefined
  /** How the engine is asked for GPUs. */
  gpuDriver?: GpuDriver | undefined
  /** Numbers of the cores that it is bound to, as `2,3`; undefined for any. */
  cores?: string | undefined
  /** Processes of the sandbox's user over all containers; undefined: as the engine has it. */
  userProcesses?: number | undefined
  /** For one program after another; what the spec says of a program is not used. */
  warm?: boolean
}

/** Labels by which containers are found again; `docker ps --filter label=manyhands.host` shows them. */
export const LABELS = {
  host: 'manyhands.host',
  client: 'manyhands.client',
  job: 'manyhands.job',
  attempt: 'manyhands.attempt',
  maxRuntimeMs: 'manyhands.max-runtime-ms',
  diskBytes: 'manyhands.disk-bytes',
  egress: 'manyhands.egress',
  ports: 'manyhands.ports',
  warm: 'manyhands.warm',
} as const

/** The same attempt on the same host always gets the same name: creating it twice is impossible. */
export function containerName(hostInstance: string, attemptId: string): string {
  const hash = createHash('sha256').update(`${hostInstance}\0${attemptId}`).digest('hex')
  const readable = attemptId.replace(/[^A-Za-z0-9_.-]/g, '-').slice(0, 48)
  return `manyhands-${hash.slice(0, 24)}-${readable}`
}

/**
 * Whether a container is an attempt of this host. Labels alone do not tell: an image brings labels of
 * its own, and whoever runs it by hand must not lose that container to us.
 */
export function isAttemptOf(
  hostInstance: string,
  name: string,
  labels: Record<string, string>,
): boolean {
  const attemptId = labels[LABELS.attempt]
  if (labels[LABELS.host] !== hostInstance || attemptId === undefined) return false
  return name.replace(/^\//, '') === containerName(hostInstance, attemptId)
}

/**
 * The closed template: the engine's options for one attempt, every field named here. A job fills in
 * its argv, environment and sizes; no other word of it reaches the engine.
 *
 * @throws COMMAND_INVALID, SPEC_INVALID for texts that no process can be given and for what is no size
 */
export function containerTemplate(
  spec: RuntimeSpec,
  workspace: Workspace,
  context: TemplateContext,
): Docker.ContainerCreateOptions {
  checkRuntimeSpec(spec)
  const memory = Math.max(MEMORY_MIN, Math.floor(spec.resources.memoryBytes))
  const disk = Math.max(0, Math.floor(spec.resources.diskBytes))
  const tmp = Math.max(TMP_MIN, Math.min(disk, Math.floor(memory / 2)))
  const command = context.warm ? ['-'] : programArgv(spec, context.image)
  const grant = connectionGrant(spec)
  const order = {
    maxRuntimeMs: spec.maxRuntimeMs,
    directory: context.image.workingDir,
    egress: grant.egress !== undefined,
    dial: grant.ports.length > 0,
    ...(context.warm ? { warm: true } : {}),
  }
  return {
    Image: context.image.id,
    User: context.user,
    // The first process enters the image's directory: an engine that did could be led astray there.
    WorkingDir: '/',
    Entrypoint: initArgv(order),
    Cmd: command,
    Env: programEnvironment(spec, grant),
    Labels: {
      [LABELS.host]: context.hostInstance,
      [LABELS.client]: spec.labels.client,
      [LABELS.job]: spec.labels.job,
      [LABELS.attempt]: spec.labels.attempt,
      [LABELS.maxRuntimeMs]: String(spec.maxRuntimeMs),
      [LABELS.diskBytes]: String(disk),
      // Always there: an image's own labels of these names must not count.
      [LABELS.egress]: grant.egress === undefined ? '' : JSON.stringify(grant.egress),
      [LABELS.ports]: grant.ports.join(','),
      [LABELS.warm]: context.warm ? '1' : '',
    },
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    StdinOnce: false,
    Tty: false,
    StopSignal: 'SIGTERM',
    Healthcheck: { Test: ['NONE'] },
    HostConfig: hostConfig({
      ...(context.ociRuntime === undefined ? {} : { Runtime: context.ociRuntime }),
      ReadonlyRootfs: true,
      CapAdd: [],
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      NetworkMode: 'none',
      PublishAllPorts: false,
      PidMode: '',
      UTSMode: '',
      UsernsMode: '',
      IpcMode: 'private',
      CgroupnsMode: 'private',
      PidsLimit: Math.max(2, Math.floor(spec.resources.pids)) + (context.runtimeThreads ?? 0),
      Memory: memory,
      MemorySwap: memory,
      ...cpuLimit(spec.resources.cpus),
      CpusetCpus: context.cores ?? '',
      OomKillDisable: false,
      OomScoreAdj: 500,
      // Ours is the entry point, and the engine's own would hide it.
      Init: false,
      ShmSize: Math.min(64 * MIB, Math.floor(memory / 4)),
      Tmpfs: { '/tmp': `rw,nosuid,nodev,noexec,mode=1777,size=${tmp}` },
      Mounts: mounts(spec, workspace, context, tmp),
      Binds: [],
      Devices: [],
      DeviceRequests: spec.gpuIds.length === 0 ? [] : [gpuRequest(spec.gpuIds, context.gpuDriver)],
      Ulimits: [
        { Name: 'nofile', Soft: OPEN_FILES, Hard: OPEN_FILES },
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'fsize', Soft: disk, Hard: disk },
        ...userProcesses(context),
      ],
      LogConfig: { Type: 'none', Config: {} },
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
    }),
  }
}

function userProcesses({ userProcesses: count }: TemplateContext): Docker.Ulimit[] {
  return count === undefined ? [] : [{ Name: 'nproc', Soft: count, Hard: count }]
}

/** The client library's types lack a field that the engine has. */
function hostConfig(config: Docker.HostConfig & { CgroupnsMode: 'private' }): Docker.HostConfig {
  return config
}

/** What the first process is to start. @throws COMMAND_INVALID */
export function programArgv(
  spec: Pick<RuntimeSpec, 'command' | 'args'>,
  image: EngineImage,
): string[] {
  if (spec.command !== undefined) return [...spec.command]
  // Nothing appended leaves the image's own Cmd, as engines have it.
  const args = spec.args === undefined || spec.args.length === 0 ? image.cmd : spec.args
  const whole = [...image.entrypoint, ...args]
  if (whole.length === 0 || whole[0] === '') {
    throw new ManyhandsError('COMMAND_INVALID', 'neither the job nor its image names a program')
  }
  return whole
}

/** `NAME=value` for a program, beside what its image has. */
export function programEnvironment(
  spec: Pick<RuntimeSpec, 'env' | 'gpuIds'>,
  grant: ConnectionGrant,
): string[] {
  // A uid without a passwd entry gets HOME=/, which is read-only.
  const variables = new Map<string, string>([['HOME', '/tmp']])
  if (spec.gpuIds.length > 0) variables.set('NVIDIA_DRIVER_CAPABILITIES', GPU_CAPABILITIES)
  for (const [name, value] of Object.entries(spec.env)) variables.set(name, value)
  // Where NVIDIA's runtime is the engine's default, this variable alone gives GPUs, and an image or a
  // job could ask for all of them by it. The engine sets it itself for those that were given.
  if (spec.gpuIds.length === 0) variables.set('NVIDIA_VISIBLE_DEVICES', 'void')
  else variables.set('NVIDIA_VISIBLE_DEVICES', spec.gpuIds.join(','))
  if (grant.egress !== undefined) {
    // Last, because a job's own values would lead nowhere.
    for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) {
      variables.set(name, EGRESS_URL)
    }
    for (const name of ['NO_PROXY', 'no_proxy']) variables.set(name, 'localhost,127.0.0.1,::1')
  }
  return [...variables].map(([name, value]) => `${name}=${value}`)
}

function mounts(
  spec: RuntimeSpec,
  workspace: Workspace,
  { image, directory }: TemplateContext,
  tmpBytes: number,
): Docker.MountConfig {
  const list: Docker.MountSettings[] = [
    bind(directory.path, INIT_DIRECTORY, true),
    bind(directory.endFile, `${INIT_DIRECTORY}/end`, false),
    bind(workspace.outDir, '/out', false),
  ]
  if (workspace.inDir !== undefined) list.push(bind(workspace.inDir, '/in', true))
  if (hasSecrets(spec)) list.push(bind(directory.secretsPath, '/run/secrets', true))
  const taken = new Set(['/in', '/out', '/tmp'])
  for (const volume of image.volumes) {
    const path = posix.resolve('/', volume)
    if (taken.has(path)) continue
    taken.add(path)
    // An anonymous volume would be disk that no quota sees.
    list.push({
      Type: 'tmpfs',
      Target: path,
      Source: '',
      TmpfsOptions: { SizeBytes: tmpBytes, Mode: 0o1777 },
    })
  }
  return list
}

export function hasSecrets({ secrets }: RuntimeSpec): boolean {
  return Object.keys(secrets ?? {}).length > 0
}

function bind(source: string, target: string, readOnly: boolean): Docker.MountSettings {
  return {
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: readOnly,
    BindOptions: { Propagation: 'rprivate' },
  }
}

function gpuRequest(ids: string[], driver: GpuDriver | undefined): Docker.DeviceRequest {
  const [Driver, DeviceIDs] =
    driver === 'cdi' ? ['cdi', ids.map((id) => `${CDI_GPU}${id}`)] : ['', [...ids]]
  return { Driver, DeviceIDs, Capabilities: [['gpu']], Count: 0, Options: {} }
}

/** The GPUs that a container was given. */
export function gpuIdsOf(requests: Docker.DeviceRequest[] | undefined): string[] {
  const named = (requests ?? []).flatMap((request) => request.DeviceIDs ?? [])
  return named.map((id) => (id.startsWith(CDI_GPU) ? id.slice(CDI_GPU.length) : id))
}

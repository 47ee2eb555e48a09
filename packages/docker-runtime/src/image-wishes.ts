import { posix } from 'node:path'
import { LIMITS, ManyhandsError } from '@manyhands/core'
import type Docker from 'dockerode'

/** More declared volumes than this in an image is no honest image; each becomes a mount. */
const VOLUMES_MAX = 32
/** Places whose contents are the kernel's or ours: no image puts a volume or its work there. */
const KERNEL = ['/proc', '/sys', '/dev']
const OURS = ['/in', '/out', '/run/secrets', '/.manyhands']

/** What an image asks for and gets. */
export interface ImageWishes {
  /** Paths that the image declares as volumes. */
  volumes: string[]
  entrypoint: string[]
  cmd: string[]
  /** Absolute. */
  workingDir: string
}

type ImageConfig = Partial<Docker.ImageInspectInfo['Config']> | undefined

/**
 * What an image wants of its containers, as far as it is kept. Its user, health check, labels of ours
 * and stop signal are replaced by the template in any case.
 *
 * @throws IMAGE_INVALID
 */
export function wishesOf(config: ImageConfig, reference: string): ImageWishes {
  const refuse = (why: string) => new ManyhandsError('IMAGE_INVALID', `image ${reference} ${why}`)
  const volumes = Object.keys(config?.Volumes ?? {})
  if (volumes.length > VOLUMES_MAX) {
    throw refuse(`declares ${volumes.length} volumes, at most ${VOLUMES_MAX} are taken`)
  }
  for (const volume of volumes) {
    const path = posix.resolve('/', volume)
    const hides = path === '/' || within(path, KERNEL) || (within(path, OURS) && !plain(path))
    if (hides) throw refuse(`declares the volume ${JSON.stringify(volume.slice(0, 80))}`)
  }
  const workingDir = posix.resolve('/', config?.WorkingDir ?? '')
  if (workingDir.length > LIMITS.pathBytes || within(workingDir, KERNEL)) {
    throw refuse(`works in ${JSON.stringify(workingDir.slice(0, 80))}`)
  }
  const env = config?.Env ?? []
  const argv = [...words(config?.Entrypoint), ...words(config?.Cmd)]
  if (env.length > LIMITS.envEntries || bytesOf(env) > LIMITS.argvBytes) {
    throw refuse(`sets ${env.length} variables of ${bytesOf(env)} bytes`)
  }
  if (argv.length > LIMITS.argvEntries || bytesOf(argv) > LIMITS.argvBytes) {
    throw refuse(`has a command of ${bytesOf(argv)} bytes`)
  }
  const entrypoint = words(config?.Entrypoint)
  return { volumes, workingDir, entrypoint, cmd: words(config?.Cmd) }
}

/** Our own mounts cover these whole, so a volume there does no harm and many images have one. */
function plain(path: string): boolean {
  return path === '/in' || path === '/out'
}

function within(path: string, places: string[]): boolean {
  return places.some((place) => path === place || path.startsWith(`${place}/`))
}

function words(value: string | string[] | null | undefined): string[] {
  return typeof value === 'string' ? [value] : [...(value ?? [])]
}

function bytesOf(texts: string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0)
}

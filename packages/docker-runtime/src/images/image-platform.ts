import { type ImageDocument, ManyhandsError, readImageConfig } from '@manyhands/core'
import { type EngineInfo, engineArchitecture } from '../engine-info.ts'

/** Processors that run programs of another one as well. */
const ALSO_RUNS: Record<string, string[]> = { amd64: ['386'], arm64: ['arm'] }

/** @throws UNSUPPORTED when the engine's computer cannot run the image's programs */
export function checkPlatform(image: ImageDocument, info: EngineInfo): void {
  const { os = 'linux', architecture } = readImageConfig(image.config, image.id)
  const engine = engineArchitecture(info)
  const fits =
    architecture === undefined ||
    engine === undefined ||
    architecture === engine ||
    ALSO_RUNS[engine]?.includes(architecture)
  const engineOs = info.OSType ?? 'linux'
  if (fits && os === engineOs) return
  throw new ManyhandsError(
    'UNSUPPORTED',
    `image ${image.id} is for ${os}/${architecture}, the engine is ${engineOs}/${engine}`,
    { hint: 'Choose hosts with this platform, or build the image for theirs.' },
  )
}

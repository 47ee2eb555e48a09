import type { HostAttempt } from '@manyhands/host'

const ID_DIGITS = 12

/**
 * An attempt's image for its owner: the name that his own engine has for it, else the start of its
 * digest with what the client calls it in quotes, since that may be anything.
 */
export function imageText({ image, imageName }: Pick<HostAttempt, 'image' | 'imageName'>): string {
  const digest = /^(?:artifact:)?sha256:([0-9a-f]{64})$/.exec(image)?.[1]
  if (digest === undefined) return image
  const short = digest.slice(0, ID_DIGITS)
  return imageName === undefined ? short : `${short} “${imageName}”`
}

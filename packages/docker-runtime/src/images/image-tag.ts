const DOMAIN = 'manyhands.local/'
/** 128 bits of the id: enough that nobody makes two images of one name. */
const ID_DIGITS = 32

/** The name that a host gives to an image of a client while it keeps it. */
export function ownTag(id: string, hostInstance: string): string {
  const digits = id.slice('sha256:'.length, 'sha256:'.length + ID_DIGITS)
  return `${DOMAIN}${digits}${instanceTag(hostInstance)}`
}

/** Whether a name was given by a host, ours or another one that shares the engine. */
export function isHostTag(name: string): boolean {
  return name.startsWith(DOMAIN)
}

export function isOwnTag(name: string, hostInstance: string): boolean {
  return isHostTag(name) && name.slice(name.lastIndexOf(':')) === instanceTag(hostInstance)
}

/** What finds all images that one host keeps. */
export function ownTags(hostInstance: string): string {
  return `${DOMAIN}*${instanceTag(hostInstance)}`
}

function instanceTag(hostInstance: string): string {
  return `:${hostInstance.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64)}`
}

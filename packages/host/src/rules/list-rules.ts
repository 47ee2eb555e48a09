import { formatDuration } from '@manyhands/core'
import type { AdmissionRequest } from '../admission-request.ts'
import type { Rule } from './rule.ts'

const OF = (list: readonly string[] | undefined) =>
  list === undefined ? 'anyone may' : `on the list of ${list.length}`

/** Who may use this host, and for what. */
export const LIST_RULES: Rule[] = [
  {
    name: 'draining',
    temporary: false,
    refuse: (_, state) => (state.draining() ? 'this host is draining' : undefined),
    allow: () => 'not draining',
  },
  {
    name: 'blocked',
    temporary: false,
    standing: true,
    refuse: ({ client }, { blocked }) =>
      blocked.has(client) ? 'this client is blocked' : undefined,
    allow: (_, { blocked }) => `not one of ${blocked.size} that are blocked`,
  },
  {
    name: 'clients',
    temporary: false,
    standing: true,
    refuse: ({ client }, { policy: { rules } }) =>
      rules.clients === undefined || rules.clients.includes(client)
        ? undefined
        : 'this client is not on the list of clients',
    allow: (_, { policy }) => OF(policy.rules.clients),
  },
  {
    name: 'images',
    temporary: false,
    standing: true,
    refuse: (request, { policy: { rules } }) =>
      rules.images === undefined || listedImage(rules.images, request) !== undefined
        ? undefined
        : unlisted(request),
    allow: (request, { policy: { rules } }) => {
      const listed = rules.images && listedImage(rules.images, request)
      if (listed === undefined) return 'any image may run'
      const { pattern, name } = listed
      return name === undefined ? `as ${pattern}` : `as ${pattern}: this host calls it ${name}`
    },
  },
  {
    name: 'networkProfiles',
    temporary: false,
    standing: true,
    refuse: ({ networkProfile }, { policy: { rules } }) =>
      networkProfile === 'none' || rules.networkProfiles?.includes('egress')
        ? undefined
        : 'tasks with network access are not taken',
    allow: ({ networkProfile }) =>
      networkProfile === 'none'
        ? 'asks for no network'
        : `${networkProfile.egress.length} destinations, and egress is allowed`,
  },
  {
    name: 'maxRuntime',
    temporary: false,
    standing: true,
    refuse: ({ timeoutMs }, { policy: { maxRuntimeMs } }) =>
      timeoutMs > maxRuntimeMs
        ? `asks for ${formatDuration(timeoutMs)}, at most ${formatDuration(maxRuntimeMs)} are given`
        : undefined,
    allow: ({ timeoutMs }, { policy: { maxRuntimeMs } }) =>
      `asks for ${timeoutMs === 0 ? 'all' : formatDuration(timeoutMs)} of at most ${formatDuration(maxRuntimeMs)}`,
  },
]

/**
 * What of the list an image is. One that is named by its digest is that digest and whatever this host's
 * own engine calls it: the name that a client has for it may be anything.
 */
function listedImage(
  patterns: readonly string[],
  { image, imageNames = [] }: AdmissionRequest,
): { pattern: string; name?: string } | undefined {
  const digest = /^(?:artifact:)?(sha256:[0-9a-f]{64})$/.exec(image)?.[1]
  for (const pattern of patterns) {
    if (digest === undefined) {
      if (matches(pattern, image)) return { pattern }
    } else if (pattern === '*' || pattern.startsWith('sha256:')) {
      if (matches(pattern, digest)) return { pattern }
    } else {
      const name = imageNames.find((known) => matches(pattern, known))
      if (name !== undefined) return { pattern, name }
    }
  }
  return undefined
}

function unlisted({ image, offeredImage, imageNames = [] }: AdmissionRequest): string {
  const [own] = imageNames
  if (own !== undefined) return `image ${own} (${image}) is not on the list of images`
  if (offeredImage === undefined) return `image ${image} is not on the list of images`
  return `image ${image} (the client calls it ${offeredImage.name}) is not on the list of images; a name counts only when this host's own engine gives it`
}

function matches(pattern: string, name: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}

import { formatDuration } from '@manyhands/core'
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
    refuse: ({ image }, { policy: { rules } }) =>
      rules.images === undefined || rules.images.some((pattern) => matches(pattern, image))
        ? undefined
        : `image ${image} is not on the list of images`,
    allow: ({ image }, { policy: { rules } }) => {
      const pattern = rules.images?.find((known) => matches(known, image))
      return pattern === undefined ? 'any image may run' : `as ${pattern}`
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

function matches(pattern: string, image: string): boolean {
  // An image that travels is named by its digest alone in lists.
  const name = image.startsWith('artifact:') ? image.slice('artifact:'.length) : image
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}

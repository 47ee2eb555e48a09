import { firstShortage, formatByteSize, formatDuration, type Resources } from '@manyhands/core'
import { type AdmissionRequest, carriedBytes } from '../admission-request.ts'
import { imageRoomVerdict } from '../image-room.ts'
import type { AdmissionState, Rule } from './rule.ts'

const AMOUNTS: Record<keyof Resources, (value: number) => string> = {
  cpus: (value) => `${value} cpus`,
  memoryBytes: (value) => `${formatByteSize(value)} memory`,
  diskBytes: (value) => `${formatByteSize(value)} disk`,
  gpus: (value) => `${value} gpus`,
  pids: (value) => `${value} pids`,
}

/** Whether there is room for it. */
export const ROOM_RULES: Rule[] = [
  {
    name: 'share',
    temporary: false,
    standing: true,
    refuse: ({ resources }, { ledger }) => shortage(resources, ledger.share, 'the whole share is'),
    allow: ({ resources }, { ledger }) => `${all(resources)} of ${all(ledger.share)}`,
  },
  {
    name: 'free',
    temporary: true,
    refuse: ({ resources }, { ledger }) => shortage(resources, ledger.free, 'free now is'),
    allow: (_, { ledger }) => `free now is ${all(ledger.free)}`,
  },
  {
    name: 'disk',
    temporary: true,
    refuse: (_, { diskShort }) => diskShort(),
    allow: () => 'the disk has room',
  },
  {
    name: 'imageCache',
    temporary: false,
    refuse: (request, state) => imageVerdict(request, state, false),
    allow: (request, { policy: { imageCacheBytes } }) =>
      `${formatByteSize(carriedBytes(request))} of at most ${formatByteSize(imageCacheBytes)} for images of clients`,
  },
  {
    name: 'imageCache',
    temporary: true,
    refuse: (request, state) => imageVerdict(request, state, true),
    allow: (request, state) =>
      `${formatByteSize(state.imagesInUse(request.image))} are in use by other images`,
  },
  {
    name: 'maxAttempts',
    temporary: true,
    refuse: (_, { live, policy: { maxAttempts } }) =>
      live() >= maxAttempts ? `no free slot: ${live()} of ${maxAttempts} attempts run` : undefined,
    allow: (_, { live, policy }) => `${live()} of ${policy.maxAttempts} attempts run`,
  },
  {
    name: 'backoff',
    temporary: true,
    refuse: ({ client }, { brokeLimits }) => {
      const { count, waitMs } = brokeLimits(client)
      if (waitMs === 0) return undefined
      return `${count} attempts of this client in a row broke a limit as soon as they ran: the next in ${formatDuration(Math.ceil(waitMs))}`
    },
    allow: ({ client }, { brokeLimits }) =>
      `${brokeLimits(client).count} attempts of this client in a row broke a limit at once`,
  },
]

function imageVerdict(
  request: AdmissionRequest,
  state: AdmissionState,
  temporary: boolean,
): string | undefined {
  const bytes = carriedBytes(request)
  if (bytes === 0) return undefined
  const { imageCacheBytes } = state.policy
  const verdict = imageRoomVerdict(bytes, state.imagesInUse(request.image), imageCacheBytes)
  return verdict?.temporary === temporary ? verdict.detail : undefined
}

function shortage(wanted: Resources, available: Resources, of: string): string | undefined {
  const short = firstShortage(wanted, available)
  if (short === undefined) return undefined
  return `asks for ${AMOUNTS[short](wanted[short])}, ${of} ${AMOUNTS[short](available[short])}`
}

function all(resources: Resources): string {
  return Object.entries(AMOUNTS)
    .map(([key, show]) => show(resources[key as keyof Resources]))
    .join(', ')
}

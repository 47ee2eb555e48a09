import { formatByteSize } from '../byte-size.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { FrameStream } from '../network/network.ts'

/**
 * Refuses early what a relay would cut half-way: where it allows no artifacts, what is as small as an
 * event may pass, and nothing else.
 *
 * @throws RELAY_LIMITED naming the relay
 */
export function checkRelay(stream: Pick<FrameStream, 'peer' | 'route'>, bytes: number): void {
  const { peer, route } = stream
  if (route?.limited !== true || bytes <= LIMITS.relayedArtifactBytes) return
  const relay = route.relay ?? 'unknown'
  throw new ManyhandsError(
    'RELAY_LIMITED',
    `${formatByteSize(bytes)} cannot come from ${peer}: the only way to it is over the relay ${relay}, which allows no artifacts of more than ${formatByteSize(LIMITS.relayedArtifactBytes)}`,
    { details: { peer, relay, bytes } },
  )
}

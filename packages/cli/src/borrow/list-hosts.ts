import { createClient } from '@manyhands/client'
import { EXIT, formatByteSize, type Offer, parseDuration } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { Interrupted, orInterrupted } from '../interruption.ts'
import { formatTable } from '../table.ts'
import { placesToLook } from './host-search.ts'
import { checkWatch, hostDocument, watchHosts } from './watch-hosts.ts'

export interface HostsFlags {
  bootstrap?: string[]
  mdns?: boolean
  network?: string
  wait: number
  timeout: string
  watch?: boolean
}

/** Prints the offers seen. Fewer than asked for are printed too, with exit code 4. */
export async function listHosts(flags: HostsFlags, context: CommandContext): Promise<number> {
  const { output, interruption } = context
  const { signal } = interruption
  const timeout = parseDuration(flags.timeout, '--timeout')
  const network = await placesToLook(
    { bootstrap: flags.bootstrap ?? [], mdns: flags.mdns === true, network: flags.network },
    context,
  )
  if (flags.watch === true) checkWatch(output)
  await using client = await orInterrupted(createClient({ network }), signal)
  if (flags.watch === true) return await watchHosts(client, context)
  let enough = true
  try {
    await client.waitForHosts({ min: flags.wait, timeout, signal })
  } catch (error) {
    if (signal.aborted) throw new Interrupted()
    if ((error as { code?: string }).code !== 'NO_HOSTS') throw error
    enough = false
  }
  const offers = client.hosts()
  if (!enough && offers.length === 0 && output.format === 'text') {
    output.say(`no host was seen in ${flags.timeout}`)
  } else if (!enough) {
    output.say(`only ${offers.length} of ${flags.wait} hosts were seen in ${flags.timeout}`)
  }
  const states = client.hostStates().map(hostDocument)
  output.document(states)
  for (const state of states) output.event('host', state)
  output.data(hostTable(offers))
  return enough ? EXIT.ok : EXIT.noHosts
}

function hostTable(offers: Offer[]): string {
  return formatTable(
    ['PEER', 'NAME', 'CPUS', 'MEMORY', 'DISK', 'GPUS', 'ATTEMPTS', 'RUNTIMES', 'ADDRESS'],
    offers.map((offer) => [
      offer.peerId,
      offer.labels['name'] ?? '',
      `${offer.free.cpus}/${offer.cpus}`,
      `${formatByteSize(offer.free.memoryBytes)}/${formatByteSize(offer.memory)}`,
      `${formatByteSize(offer.free.diskBytes)}/${formatByteSize(offer.disk)}`,
      offer.gpus,
      offer.attempts,
      offer.runtimes.map(({ name }) => name).join(',') + (offer.draining ? ' (draining)' : ''),
      offer.addresses[0] ?? '',
    ]),
  )
}

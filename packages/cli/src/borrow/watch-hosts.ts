import type { Client, HostState } from '@manyhands/client'
import { ManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { Interrupted } from '../interruption.ts'
import type { Output } from '../output.ts'
import { redraw } from '../owner/stats/redraw.ts'
import { hostsText } from './host-view.ts'

/** How often connections are told, ms. */
const SAMPLE_MS = 1_000

/** @throws USAGE where nobody could follow: one document, or a pipe that expects a table */
export function checkWatch(output: Output): void {
  if (output.format === 'jsonl' || (output.format === 'text' && output.watched)) return
  throw new ManyhandsError('USAGE', 'hosts: --watch follows hosts on a terminal, or as lines', {
    hint: 'Add --jsonl for a program, or leave out --watch for the hosts as they are now.',
  })
}

/**
 * Shows the hosts until it is interrupted: a table that is drawn anew on a terminal; as lines, `host` for
 * every host and every change of one, `gone`, and `connection` for what goes over the connections.
 *
 * @throws Interrupted at the end
 */
export async function watchHosts(client: Client, context: CommandContext): Promise<never> {
  const { output, interruption } = context
  const { signal } = interruption
  if (output.format === 'jsonl') await tellHosts(client, output, signal)
  else await redraw(output, signal, async () => hostsText(client.hostStates(), output))
  throw new Interrupted()
}

async function tellHosts(client: Client, output: Output, signal: AbortSignal): Promise<void> {
  const told = new Map<string, string>()
  const sampling = setInterval(() => {
    for (const { offer, ...state } of client.hostStates()) {
      if (state.connection === undefined) continue
      const { ageMs: _, ...carried } = state
      const text = JSON.stringify(carried)
      if (told.get(offer.peerId) === text) continue
      told.set(offer.peerId, text)
      output.event('connection', { peerId: offer.peerId, ...state })
    }
  }, SAMPLE_MS)
  try {
    for await (const change of client.watchHosts({ signal })) {
      if (change.kind !== 'gone') output.event('host', { change: change.kind, ...change.offer })
      else if (change.peerId !== '') {
        told.delete(change.peerId)
        output.event('gone', { peerId: change.peerId })
      }
    }
  } finally {
    clearInterval(sampling)
  }
}

/** A host as one document: its offer, and beside that how this client stands to it. */
export function hostDocument({ offer, ...state }: HostState) {
  return { ...offer, ...state }
}

import type { HostJournal } from './host-journal.ts'

const done = () => Promise.resolve()

/**
 * The journal of a host without a state directory. What it would keep goes with the process, and nobody reads
 * it before: so it keeps nothing, and nothing waits for it.
 */
export function temporaryJournal(instance: string): HostJournal {
  return {
    instance,
    usage: {
      since: new Date().toISOString(),
      accounts: () => [],
      measured: () => [],
      count: async (changes) => void changes(),
    },
    blocks: { blocked: () => [], block: done, unblock: done },
    transfers: { record: () => undefined, keep: async (record) => void record() },
    owners: { owners: () => [], claims: () => [], noted: done, forget: done, claimed: done },
    attempts: () => [],
    reserve: done,
    started: done,
    changed: done,
    checkpointed: done,
    sealed: done,
    forget: done,
    close: done,
  }
}

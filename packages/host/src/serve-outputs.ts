import type { ArtifactStore, Network } from '@manyhands/core'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { JobOwners } from './job-owners.ts'
import type { SharedOutputs } from './shared-outputs.ts'
import type { UsageLedger } from './usage-ledger.ts'

export interface ServedOutputs {
  store: ArtifactStore
  network: Network
  attempts: AttemptRegistry
  shared: SharedOutputs
  owners: JobOwners
  usage: UsageLedger
}

/** Outputs go to the client whose attempt wrote them, and to hosts that it names. */
export async function serveOutputs(served: ServedOutputs): Promise<void> {
  const { store, network, attempts, shared, owners, usage } = served
  const writerOf = (peer: string, root: string) =>
    attempts
      .all()
      .filter((attempt) => attempt.client === peer)
      .find(
        ({ end, streamed, checkpoints }) =>
          end?.outputs?.root === root || streamed.has(root) || checkpoints.has(root),
      )
  await store.serve(
    network,
    (peer, root) =>
      writerOf(peer, root) !== undefined ||
      shared.allows(peer, root) ||
      owners.mayFetch(peer, root),
    (root, bytes, peer) => {
      const attempt = writerOf(peer, root)
      attempt?.handedOver(bytes)
      usage.sent(peer, attempt, bytes)
    },
  )
}

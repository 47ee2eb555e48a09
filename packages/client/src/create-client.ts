import { join } from 'node:path'
import {
  createArtifactStore,
  createNetwork,
  createTransferGovernor,
  type Logger,
  openStateDirectory,
  parseByteSize,
  parseDuration,
  parseTransferCaps,
} from '@manyhands/core'
import { answerAttempts } from './attempt-answers.ts'
import { BorrowingClient } from './borrowing-client.ts'
import type { Client, ClientOptions, HostChange } from './client.ts'
import { openClientJournal } from './client-journal.ts'
import { reasonOf } from './held-artifacts.ts'
import { HostDirectory } from './host-directory.ts'
import { defaultImages } from './images/default-images.ts'
import { ImageDesk } from './images/image-desk.ts'
import { LayerShelf } from './images/layer-shelf.ts'
import { Scheduler } from './scheduler.ts'
import { Settlement } from './settlement.ts'

const DEFAULT_KEEP = '10GiB'
const DEFAULT_IMAGE_CACHE = '20GiB'

const SILENT: Logger = { debug: () => {}, warn: () => {} }

/**
 * Joins the network as a borrower of computers.
 *
 * @throws SPEC_INVALID naming the option, CONFIG_INVALID, STATE_LOCKED, STATE_CORRUPT, ADDRESS_INVALID, CONNECT_FAILED when none of the
 * bootstrap addresses answers
 */
export async function createClient(options: ClientOptions = {}): Promise<Client> {
  const logger = options.logger ?? SILENT
  const heartbeatMs = parseDuration(options.lease?.heartbeat ?? '5s', 'lease.heartbeat')
  const governor = createTransferGovernor({ rules: parseTransferCaps(options.transfer) })
  await using opening = new AsyncDisposableStack()
  const state = await openStateDirectory(options.state)
  opening.defer(() => state.close())
  const journal = openClientJournal(state.persistent ? join(state.dir, 'client.db') : undefined)
  opening.defer(() => journal.close())
  const keepBytes = parseByteSize(options.keep ?? DEFAULT_KEEP, 'keep')
  const store = await createArtifactStore({
    dir: join(state.dir, 'store'),
    logger,
    governor,
    keepBytes: () => keepBytes,
  })
  opening.defer(() => store.close())
  for (const { job, root } of journal.outputs()) store.retain(root, job)
  // What an earlier process held for attempts that are gone with it; nobody need wait for that.
  store.gc().catch((error) => {
    logger.warn('the store could not be tidied up', { error: String(error) })
  })
  const { images } = options
  const shelf = new LayerShelf(join(state.dir, 'images'), {
    maxBytes: parseByteSize(options.imageCache ?? DEFAULT_IMAGE_CACHE, 'imageCache'),
    logger,
  })
  await shelf.open()
  const network = await createNetwork({
    privateKey: state.identitySeed,
    listen: options.network?.listen,
    bootstrap: options.network?.bootstrap,
    mdns: options.network?.mdns,
    gossip: options.network?.gossip,
    logger,
  })
  opening.defer(() => network.close())

  const directory: HostDirectory = new HostDirectory({
    network,
    heartbeatMs,
    logger,
    events: {
      event: (host, job, event) => scheduler.event(host, job, event),
      inventory: (host, ids, askedAt) => scheduler.inventory(host, ids, askedAt),
    },
  })
  const settlement = new Settlement({ network, store, directory, logger })
  const scheduler: Scheduler = new Scheduler({
    network,
    journal,
    directory,
    settlement,
    maxInFlight: options.maxInFlight ?? 4096,
    logger,
  })
  directory.addEventListener('change', (event) => {
    const change = (event as CustomEvent<HostChange>).detail
    // A host that comes back may have what it lacked before.
    if (change.kind === 'found') scheduler.forgive(change.offer.peerId)
    scheduler.poke()
  })
  network.handle('lease.renew', async ({ ids, offer }, { peer }) => {
    if (directory.record(peer) !== undefined && offer.peerId === peer) directory.offered(offer)
    return { unwanted: scheduler.renewed(peer, ids) }
  })
  answerAttempts(network, (host, attempt) => scheduler.jobOf(host, attempt))
  // Inputs of running jobs go to hosts that this client knows, and to nobody else.
  await store.serve(
    network,
    (peer, root) =>
      directory.record(peer) === undefined
        ? false
        : [...scheduler.jobs.values()].some((job) => job.prepared.roots.has(root)),
    (root, bytes) => {
      const job = scheduler.jobs.values().find(({ prepared }) => prepared.roots.has(root))
      job?.meter.sent(bytes)
      job?.progressed()
    },
  )

  const resources = opening.move()
  return new BorrowingClient({
    network,
    journal,
    store,
    directory,
    scheduler,
    logger,
    rooms: () => [
      { room: 'artifacts', collectGarbage: (asked) => store.gc({ ...asked, reasonOf }) },
      ...(shelf.isEmpty ? [] : [shelf]),
    ],
    forgetJob: (id) => settlement.forgetJob(id),
    images: new ImageDesk({
      sources: images === undefined ? defaultImages() : async () => images,
      shelf,
      store,
    }),
    close: async () => {
      scheduler.close()
      await settlement.close()
      await directory.close()
      await resources.disposeAsync()
    },
  })
}

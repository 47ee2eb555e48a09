import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import {
  createArtifactStore,
  createNetwork,
  createTransferGovernor,
  type Logger,
  ManyhandsError,
  openStateDirectory,
  parseByteSize,
  parseDuration,
  parseTransferCaps,
  resolveMembership,
  systemClock,
} from '@manyhands/core'
import { answerAttempts } from './attempt-answers.ts'
import { AttemptReceipts } from './attempt-receipts.ts'
import { BorrowingClient } from './borrowing-client.ts'
import { Checkpoints } from './checkpoints/checkpoints.ts'
import type { Client, ClientOptions, HostChange } from './client.ts'
import { drawnBytes } from './drawn-bytes.ts'
import { giveUpExpelled } from './expelled-hosts.ts'
import { checkpointHolder, reasonOf } from './held-artifacts.ts'
import { HeldResults } from './held-results.ts'
import { HostDirectory } from './host-directory.ts'
import { HostOrigins } from './host-origins.ts'
import { HostStates } from './host-states.ts'
import { defaultImages } from './images/default-images.ts'
import { ImageDesk } from './images/image-desk.ts'
import { LayerShelf } from './images/layer-shelf.ts'
import { JobClaims } from './job-claims.ts'
import { JobKeys } from './job-keys.ts'
import { newJobId, openClientJournal } from './journal/client-journal.ts'
import { KeptEnds } from './kept-ends.ts'
import { OpenJobs } from './open-jobs.ts'
import { Scheduler } from './scheduler.ts'
import { Settlement } from './settlement.ts'
import { DEFAULT_IMAGE_CACHE, DEFAULT_KEEP } from './store-defaults.ts'
import { HostStandings } from './verify/host-standing.ts'

const SILENT: Logger = { debug: () => {}, warn: () => {} }

/**
 * Joins the network as a borrower of computers.
 *
 * @throws SPEC_INVALID naming the option, CONFIG_INVALID, STATE_LOCKED, STATE_CORRUPT, ADDRESS_INVALID, CONNECT_FAILED when none of the
 * bootstrap addresses answers
 */
export async function createClient(options: ClientOptions = {}): Promise<Client> {
  const logger = options.logger ?? SILENT
  const { clock = systemClock, random } = options
  const heartbeatMs = parseDuration(options.lease?.heartbeat ?? '5s', 'lease.heartbeat')
  const governor = createTransferGovernor({ rules: parseTransferCaps(options.transfer) })
  await using opening = new AsyncDisposableStack()
  const state = await openStateDirectory(options.state)
  opening.defer(() => state.close())
  const durable = state.persistent
  const journal = openClientJournal(join(state.dir, 'client.db'), { durable })
  opening.defer(() => journal.close())
  const keepBytes = parseByteSize(options.keep ?? DEFAULT_KEEP, 'keep')
  const store = await createArtifactStore({
    dir: join(state.dir, 'store'),
    logger,
    governor,
    keepBytes: () => keepBytes,
  })
  opening.defer(() => store.close())
  for (const { job, root } of journal.results.outputs()) store.retain(root, job)
  for (const { job, key, root } of journal.checkpoints.open()) {
    if (root !== undefined) store.retain(root, checkpointHolder(job, key))
  }
  const { images } = options
  const shelf = new LayerShelf(join(state.dir, 'images'), {
    maxBytes: parseByteSize(options.imageCache ?? DEFAULT_IMAGE_CACHE, 'imageCache'),
    logger,
  })
  await shelf.open()
  const desk = new ImageDesk({
    sources: images === undefined ? defaultImages() : async () => images,
    shelf,
    store,
  })
  const standings = new HostStandings(journal.checks.standings(), (host, run) => {
    journal.checks.keepStanding(host, run).catch(() => {})
  })
  const checking = { standings, originOf: (peer: string) => origins.of(peer), random }
  const identitySeed = random === undefined || durable ? state.identitySeed : drawnBytes(random, 32)
  const gossip = options.network?.gossip ?? false
  const membership = await resolveMembership(options.network ?? {}, state)
  const network = await (options.transport ?? createNetwork)({
    privateKey: identitySeed,
    listen: options.network?.listen,
    bootstrap: options.network?.bootstrap,
    mdns: options.network?.mdns,
    transports: options.network?.transports,
    gossip,
    ...(membership === undefined ? {} : { membership }),
    logger,
  })
  opening.defer(() => network.close())

  const keys = new JobKeys(network.peerId, identitySeed, journal)
  const jobs = new OpenJobs({ journal, store, images: desk, clock, logger, keys, checking })
  const restored = journal.jobs.open().map((row) => jobs.restored(row))
  const receipts = new AttemptReceipts(keys)
  const directory: HostDirectory = new HostDirectory({
    network,
    asks: !gossip,
    heartbeatMs,
    clock,
    random: random ?? Math.random,
    logger,
    known: (peer) => journal.hosts.get(peer)?.experience,
    events: {
      event: (host, job, event) => {
        scheduler.event(host, job, receipts.checked(host, scheduler.jobs.get(job), event))
      },
      inventory: (host, attempts, askedAt) => scheduler.inventory(host, attempts, askedAt),
      nonceOf: (job, host, attempt) => keys.nonce(job, host, attempt),
      ownerOf: (job) => keys.publicKey(job),
    },
  })
  const origins = new HostOrigins({ network, directory, journal, clock })
  const closing = new AbortController()
  const kept = new KeptEnds({
    isShared: (job) => keys.of(job).shared && scheduler.jobs.get(job)?.over === false,
    acknowledge: (host, attempt) => directory.link(host).acknowledge(attempt),
  })
  const held = new HeldResults({
    kept,
    network,
    store,
    directory,
    journal,
    clock,
    logger,
    closing: closing.signal,
    runOf: (id) => scheduler.jobs.get(id),
  })
  const remember = (peer: string) => {
    const { offer, experience } = directory.record(peer) ?? {}
    if (offer === undefined || experience === undefined) return
    experience.seenAt(network.remoteAddresses(peer))
    const { addresses } = offer
    journal.hosts.remember({ peer, addresses, experience: experience.document() }).catch(() => {})
  }
  const checkpoints = new Checkpoints({
    network,
    store,
    directory,
    rows: journal.checkpoints,
    clock,
    logger,
    closing: closing.signal,
  })
  const settlement = new Settlement({
    ...{ held, kept, checkpoints, network, store, directory, clock, logger },
    taken: (job, host, claim) => claims.taken(job, host, claim),
  })
  const scheduler: Scheduler = new Scheduler({
    network,
    journal,
    directory,
    settlement,
    held,
    kept,
    checkpoints,
    maxInFlight: options.maxInFlight ?? 4096,
    over: (hosts) => {
      for (const host of hosts) remember(host)
    },
    clock,
    logger,
  })
  const claims: JobClaims = new JobClaims({
    ...{ network, journal, directory, keys, held, kept, scheduler, clock, logger },
  })
  directory.addEventListener('change', (event) => {
    const change = (event as CustomEvent<HostChange>).detail
    if (change.kind === 'changed' && change.offer.draining) {
      held.evacuate(change.offer.peerId, scheduler.jobs)
    }
    scheduler.poke()
  })
  directory.addEventListener('met', (event) => {
    const peer = (event as CustomEvent<string>).detail
    remember(peer)
    // It may have what it lacked before.
    scheduler.found(peer)
    claims.met(peer)
  })
  giveUpExpelled(network, directory, scheduler.leases)
  // Before any host can ask whether their attempts are still wanted.
  for (const run of restored) scheduler.add(run)
  // What an earlier process held for attempts that are gone with it; nobody need wait for that.
  store.gc().catch((error) => {
    logger.warn('the store could not be tidied up', { error: String(error) })
  })
  network.handle('lease.renew', async ({ ids, offer }, { peer }) => {
    if (directory.record(peer) !== undefined && offer.peerId === peer) directory.offered(offer, ids)
    return { unwanted: scheduler.leases.renewed(peer, ids) }
  })
  answerAttempts(network, (host, attempt) => scheduler.leases.jobOf(host, attempt))
  // Inputs of running jobs go to hosts that this client knows, and to nobody else.
  await store.serve(
    network,
    (peer, root) =>
      directory.record(peer) === undefined
        ? false
        : checkpoints.jobOf(root) !== undefined ||
          [...scheduler.jobs.values()].some((job) => job.inputs.has(root)),
    (root, bytes) => {
      const saved = checkpoints.jobOf(root)
      const job =
        saved === undefined
          ? scheduler.jobs.values().find(({ inputs }) => inputs.has(root))
          : scheduler.jobs.get(saved)
      job?.meter.sent(bytes)
      job?.progressed()
    },
  )

  const resources = opening.move()
  return new BorrowingClient({
    network,
    hostStates: new HostStates({ network, directory, governor, clock }),
    journal,
    store,
    directory,
    scheduler,
    clock,
    jobs,
    held,
    keys,
    claims,
    newJobId: () => newJobId(clock, random),
    salt: () => (random === undefined ? randomBytes(16) : drawnBytes(random, 16)).toString('hex'),
    persistent: state.persistent,
    bootstrap: options.network?.bootstrap ?? [],
    rooms: () => [
      { room: 'artifacts', collectGarbage: (asked) => store.gc({ ...asked, reasonOf }) },
      ...(shelf.isEmpty ? [] : [shelf]),
    ],
    forgetJob: (id) => settlement.forgetJob(id),
    images: desk,
    close: async () => {
      scheduler.close()
      for (const { peerId, met } of directory.records()) if (met) remember(peerId)
      closing.abort(new ManyhandsError('CLOSED', 'this client is closed'))
      await settlement.close()
      await checkpoints.close()
      await directory.close()
      await resources.disposeAsync()
    },
  })
}

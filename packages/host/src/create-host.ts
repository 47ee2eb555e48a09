import { randomBytes } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createArtifactStore,
  createNetwork,
  type Logger,
  openStateDirectory,
  parseDuration,
  resolveMembership,
  throwUnlessLender,
} from '@manyhands/core'
import { AdmissionLedger } from './admission-ledger.ts'
import { admissionState } from './admission-state.ts'
import { AttemptControl } from './attempt-control.ts'
import { AttemptDesk } from './attempt-desk.ts'
import { AttemptRegistry } from './attempt-registry.ts'
import { AttemptRunner } from './attempt-runner.ts'
import { AttemptSealer } from './attempt-sealer.ts'
import { AttemptStaging } from './attempt-staging.ts'
import { BlockList } from './block-list.ts'
import { answerCheckpoints, endAfterLast } from './checkpoints/checkpoint-desk.ts'
import { CheckpointKeeper } from './checkpoints/checkpoint-keeper.ts'
import { CheckpointRestore } from './checkpoints/checkpoint-restore.ts'
import { ClientRelations } from './client-relations.ts'
import { DiskFloor } from './disk-floor.ts'
import { endExpelled } from './expelled-clients.ts'
import { reasonOf } from './held-artifacts.ts'
import type { Host, HostOptions } from './host.ts'
import { openHostJournal } from './host-journal.ts'
import { checkHostOptions } from './host-options.ts'
import { HouseKeeper } from './house-keeper.ts'
import { ImageNames } from './image-names.ts'
import { ImageRoom } from './image-room.ts'
import { ImageStage } from './image-stage.ts'
import { InputStage } from './input-stage.ts'
import { JobOwners } from './job-owners.ts'
import { lendingOf } from './lending.ts'
import { LimitBackoff } from './limit-backoff.ts'
import { OfferBoard } from './offer-board.ts'
import { openRuntimes } from './open-runtimes.ts'
import { OutputWatcher, releaseStreamed } from './output-watch.ts'
import { PolicyBook } from './policy-book.ts'
import { PolicyEnforcer } from './policy-enforcer.ts'
import { ReceiptDesk } from './receipt-desk.ts'
import { recoverAttempts } from './recover-attempts.ts'
import { watchRules } from './rule-watch.ts'
import { SandboxEnder } from './sandbox-ender.ts'
import { ScheduleKeeper } from './schedule-keeper.ts'
import { thisComputer } from './sensors/this-computer.ts'
import { serveOutputs } from './serve-outputs.ts'
import { SharedOutputs } from './shared-outputs.ts'
import { SovereignHost } from './sovereign-host.ts'
import { StagingNews } from './staging-news.ts'
import { temporaryJournal } from './temporary-journal.ts'
import { TransferAccount } from './transfer-account.ts'
import { UsageLedger } from './usage-ledger.ts'
import { UsageMeter } from './usage-meter.ts'
import { applyUsageRule } from './usage-rule.ts'
import { WarmPool } from './warm/warm-pool.ts'
import { WarmRunner } from './warm/warm-runner.ts'

const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

const SILENT: Logger = { debug: () => {}, warn: () => {} }

/**
 * Lends this computer: joins the network, offers the share, runs what the policy admits.
 *
 * @throws CONFIG_INVALID, STATE_LOCKED, STATE_CORRUPT, ADDRESS_INVALID, CONNECT_FAILED; INVITE_INVALID,
 *   NOT_A_MEMBER, ROLE_DENIED when it may not lend in the private network
 */
export async function createHost(options: HostOptions): Promise<Host> {
  checkHostOptions(options)
  const logger = options.logger ?? SILENT
  const { share, schedule, transfer } = options
  const policy = new PolicyBook({ share, policy: options.policy, schedule, transfer })
  await using opening = new AsyncDisposableStack()
  const state = await openStateDirectory(options.state)
  opening.defer(() => state.close())
  const workDir = join(state.dir, 'attempts')
  const inputsDir = join(state.dir, 'inputs')
  await mkdir(workDir, { recursive: true, mode: 0o700 })

  const newInstance = () => randomBytes(8).toString('hex')
  const journal = state.persistent
    ? openHostJournal(join(state.dir, 'host.db'), newInstance)
    : temporaryJournal(newInstance())
  opening.defer(() => journal.close())
  const { transfers: transferJournal } = journal
  const transfers = new TransferAccount({
    journal: transferJournal,
    rules: policy.transfer,
    logger,
  })
  opening.defer(() => transfers.close())
  const { governor } = transfers
  const events = new EventTarget()
  const store = await createArtifactStore({
    dir: join(state.dir, 'store'),
    logger,
    governor,
    shares: () => policy.givesToHosts,
    onSource: (root, source) => {
      events.dispatchEvent(new CustomEvent('transfer', { detail: { root, ...source } }))
    },
    keepBytes: () => policy.keepBytes(ledger.share.diskBytes),
  })
  opening.defer(() => store.close())

  const runtimes = await openRuntimes(options.runtimes, {
    instance: journal.instance,
    stateDir: join(state.dir, 'runtimes'),
    opening,
  })
  const membership = await resolveMembership(options.network ?? {}, state)
  throwUnlessLender(membership)
  const network = await createNetwork({
    privateKey: state.identitySeed,
    listen: options.network?.listen ?? DEFAULT_LISTEN,
    bootstrap: options.network?.bootstrap,
    mdns: options.network?.mdns,
    gossip: options.network?.gossip,
    ...(membership === undefined ? {} : { membership }),
    upnp: options.network?.upnp,
    relay: options.network?.relay,
    relays: options.network?.relays,
    transports: options.network?.transports,
    tls: options.network?.tls,
    logger,
  })
  opening.defer(() => network.close())

  const attempts = new AttemptRegistry()
  const lending = lendingOf(share, runtimes)
  const ledger = new AdmissionLedger(lending.share, lending.gpus)
  const disk = new DiskFloor(state.dir)
  const usage = new UsageLedger(journal.usage, logger)
  opening.defer(() => usage.close())
  const blocks = new BlockList(network, journal.blocks)
  await blocks.restore()
  const backoff = new LimitBackoff()
  let draining = false
  const imageNames = new ImageNames(runtimes, logger)
  const imageRoom = new ImageRoom({ attempts, policy, runtimes, logger })
  const admission = admissionState({
    ledger,
    policy,
    blocked: blocks.clients,
    runtimes,
    attempts,
    draining: () => draining,
    lastDayOf: (client) => usage.lastDay(client),
    imagesInUse: (without) => imageRoom.inUse(without),
    brokeLimits: (client) => backoff.of(client),
    diskShort: () => disk.short(),
    schedule: () => keeper.verdicts,
    transfer: governor,
    holds: (root) => store.has(root),
  })
  const warm: WarmPool = new WarmPool({
    ledger,
    lending: () => !draining && keeper.closed === undefined,
    changed: () => board.changed(),
    logger,
  })
  opening.defer(() => warm.close())
  const board = new OfferBoard({
    reclaimable: () => warm.held,
    network,
    ledger,
    instance: journal.instance,
    labels: options.labels ?? {},
    runtimes,
    draining: () => draining,
    closed: () => keeper.closed !== undefined,
  })
  opening.defer(async () => board.close())

  const inputs = new InputStage(inputsDir, store, network)
  const changed = (attempt: { describe(): unknown }) => {
    if (getEventListeners(events, 'attempt').length === 0) return
    events.dispatchEvent(new CustomEvent('attempt', { detail: attempt.describe() }))
  }
  const relations = new ClientRelations({
    network,
    attempts,
    orphanMs: parseDuration(options.orphanTime ?? '10m', 'orphanTime'),
    offer: () => board.current(),
    jobForgotten: (client, job) => {
      owners.forget(client, job)
      void warm.endAll({ client, job })
    },
  })
  const owners: JobOwners = new JobOwners({
    network,
    attempts,
    relations,
    journal: journal.owners,
    admission,
    images: imageNames,
    logger,
    changed,
  })
  const shared = new SharedOutputs(store, (attempt) => attempts.get(attempt.id) === attempt)
  const desk: AttemptDesk = new AttemptDesk({
    network,
    attempts,
    relations,
    ledger,
    journal,
    board,
    admission,
    images: imageNames,
    warm,
    usage,
    owners,
    shared,
    logger,
    backoff,
    runner: () => runner,
    changed,
    acknowledged: async (attempt) => {
      const root = attempt.end?.outputs?.root
      if (root !== undefined) await store.release(root, attempt.id)
      await releaseStreamed(attempt, store)
      await checkpoints.forget(attempt)
      await shared.forget(attempt)
    },
  })
  const control = new AttemptControl({
    ledger,
    journal,
    changed: (attempt) => {
      board.changed()
      desk.progressed(attempt)
      if (attempt.phase === 'paused') checkpoints.soon(attempt)
    },
  })
  const checkpoints: CheckpointKeeper = new CheckpointKeeper({
    store,
    control,
    journal,
    listening: (attempt) => relations.listening(attempt.client, attempt.job),
    diskShort: () => disk.short() !== undefined,
    taken: (attempt) => desk.measured(attempt),
    logger,
  })
  const live = () => attempts.live()
  const end = endAfterLast(checkpoints, (unwanted, intent) => desk.end(unwanted, intent))
  const enforcer = new PolicyEnforcer({ state: admission, live, images: imageNames, end })
  const keeper: ScheduleKeeper = new ScheduleKeeper({
    schedule: () => policy.schedule,
    sensors: options.sensors ?? opening.use(thisComputer()),
    control,
    live,
    end,
    changed: () => {
      board.changed({ now: true })
      if (keeper.closed !== undefined) void warm.endAll()
    },
    logger,
  })
  const meter = new UsageMeter(
    () => attempts.all(),
    (attempt, sample) => {
      usage.measured(attempt)
      void checkpoints.measured(attempt)
      desk.measured(attempt)
      applyUsageRule({ policy: policy.rules, control, logger }, attempt, sample)
    },
  )
  const sandboxes = new SandboxEnder(logger)
  const staging = new AttemptStaging({
    workDir,
    maxInputBytes: () => ledger.share.diskBytes,
    inputs,
    restore: new CheckpointRestore(store, network),
    images: new ImageStage({
      network,
      store,
      inputs,
      makeRoom: (images, id, bytes) => imageRoom.make(images, id, bytes),
    }),
    news: new StagingNews((attempt) => desk.measured(attempt)),
    received: (attempt, bytes) => usage.received(attempt, bytes),
  })
  const runner = new AttemptRunner({
    network,
    instance: journal.instance,
    maxRuntimeMs: () => policy.maxRuntimeMs,
    runtimes,
    store,
    staging,
    warm: new WarmRunner({ network, instance: journal.instance, workDir, staging, logger }),
    sealer: new AttemptSealer({
      journal,
      usage,
      receipts: new ReceiptDesk(network.peerId, state.identitySeed),
      logger,
    }),
    sandboxes,
    outputs: new OutputWatcher({
      store,
      listening: (attempt) => relations.listening(attempt.client, attempt.job),
      diskShort: () => disk.short() !== undefined,
      streamed: (attempt, file) => desk.streamed(attempt, file),
      logger,
    }),
    checkpoints,
    journal,
    meter,
    usage,
    control,
    logger,
    changed: (attempt, output) => {
      desk.progressed(attempt, output)
      if (attempt.phase === 'running' && output === undefined) keeper.started(attempt)
    },
    sealed: (attempt) => desk.sealed(attempt),
  })

  await serveOutputs({ store, network, attempts, shared, owners, usage })
  const heldFor = (holder: string) => reasonOf(holder, (id) => attempts.get(id))
  const house = new HouseKeeper({
    makeRoom: async () => {
      if (disk.short() !== undefined) await store.makeRoom(disk.missing())
    },
    desk,
    sandboxes,
    runtimes,
    ledger,
    policy,
    board,
    images: imageRoom,
    holdMs: parseDuration(options.holdResults ?? '24h', 'holdResults'),
    logger,
  })
  opening.defer(async () => house.close())
  const closing = new AbortController()
  await keeper.apply()
  await recoverAttempts({
    journal,
    runtimes,
    store,
    attempts,
    desk,
    runner,
    workDir,
    inputsDir,
    engineLostMs: parseDuration(options.engineLost ?? '2m', 'engineLost'),
    logger,
    closing: closing.signal,
    recovered: () => house.runtimeChanged(),
  })
  owners.open()
  answerCheckpoints(network, attempts, checkpoints)
  await desk.open()
  network.addEventListener('addresses', () => board.changed({ now: true }))
  network.addEventListener('peer:disconnect', (event) => {
    relations.forgetClient((event as CustomEvent<string>).detail)
  })
  endExpelled({ network, attempts, desk, relations, warm, logger })
  board.changed({ now: true })
  const unwatch = watchRules(keeper, enforcer, logger)

  const resources = opening.move()
  return new SovereignHost({
    network,
    instance: journal.instance,
    events,
    board,
    attempts,
    relations,
    desk,
    end,
    meter,
    control,
    usage,
    admission,
    images: imageNames,
    tidyImages: () => imageRoom.tidy(),
    policy,
    enforcer,
    keeper,
    blocks,
    transfers: governor,
    rooms: () => [
      { room: 'artifacts', collectGarbage: (asked) => store.gc({ ...asked, reasonOf: heldFor }) },
      ...(options.runtimes.some(({ images }) => images !== undefined) ? [imageRoom] : []),
      ...options.runtimes.flatMap(({ rooms = [] }) => rooms),
    ],
    settle: () => store.settle(),
    endWarm: (client) => warm.endAll(client === undefined ? {} : { client }),
    setDraining: () => {
      draining = true
      board.changed({ now: true })
      void warm.endAll()
    },
    close: async () => {
      closing.abort()
      unwatch()
      meter.close()
      relations.close()
      await resources.disposeAsync()
    },
  })
}

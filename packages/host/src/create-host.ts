import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  createArtifactStore,
  createNetwork,
  type Logger,
  openStateDirectory,
  parseDuration,
} from '@manyhands/core'
import { AdmissionLedger } from './admission-ledger.ts'
import { admissionState } from './admission-state.ts'
import type { Attempt, EndIntent } from './attempt.ts'
import { AttemptControl } from './attempt-control.ts'
import { AttemptDesk } from './attempt-desk.ts'
import { AttemptRegistry } from './attempt-registry.ts'
import { AttemptRunner } from './attempt-runner.ts'
import { AttemptSealer } from './attempt-sealer.ts'
import { AttemptStaging } from './attempt-staging.ts'
import { BlockList } from './block-list.ts'
import { ClientRelations } from './client-relations.ts'
import { DiskFloor } from './disk-floor.ts'
import { reasonOf } from './held-artifacts.ts'
import type { Host, HostOptions } from './host.ts'
import { openHostJournal } from './host-journal.ts'
import { checkHostOptions } from './host-options.ts'
import { HouseKeeper } from './house-keeper.ts'
import { ImageNames } from './image-names.ts'
import { ImageRoom } from './image-room.ts'
import { ImageStage } from './image-stage.ts'
import { InputStage } from './input-stage.ts'
import { lendingOf } from './lending.ts'
import { LimitBackoff } from './limit-backoff.ts'
import { OfferBoard } from './offer-board.ts'
import { OutputWatcher, releaseStreamed } from './output-watch.ts'
import { PolicyBook } from './policy-book.ts'
import { PolicyEnforcer } from './policy-enforcer.ts'
import { recoverAttempts } from './recover-attempts.ts'
import { watchRules } from './rule-watch.ts'
import type { HostRuntime } from './runtime-recovery.ts'
import { SandboxEnder } from './sandbox-ender.ts'
import { ScheduleKeeper } from './schedule-keeper.ts'
import { thisComputer } from './sensors/this-computer.ts'
import { SovereignHost } from './sovereign-host.ts'
import { StagingNews } from './staging-news.ts'
import { TransferAccount } from './transfer-account.ts'
import { UsageLedger } from './usage-ledger.ts'
import { UsageMeter } from './usage-meter.ts'
import { applyUsageRule } from './usage-rule.ts'

const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

const SILENT: Logger = { debug: () => {}, warn: () => {} }

/**
 * Lends this computer: joins the network, offers the share, runs what the policy admits.
 *
 * @throws CONFIG_INVALID, STATE_LOCKED, STATE_CORRUPT, ADDRESS_INVALID, CONNECT_FAILED
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

  const journal = openHostJournal(state.persistent ? join(state.dir, 'host.db') : undefined, () =>
    randomBytes(8).toString('hex'),
  )
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

  const runtimes = new Map<string, HostRuntime>()
  for (const runtime of options.runtimes) {
    await runtime.open({
      hostInstance: journal.instance,
      stateDir: join(state.dir, 'runtimes', runtime.name),
    })
    opening.defer(() => runtime.close())
    runtimes.set(runtime.name, { runtime, fingerprint: await runtime.fingerprint() })
  }

  const network = await createNetwork({
    privateKey: state.identitySeed,
    listen: options.network?.listen ?? DEFAULT_LISTEN,
    bootstrap: options.network?.bootstrap,
    mdns: options.network?.mdns,
    gossip: options.network?.gossip,
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
  const board = new OfferBoard({
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
    events.dispatchEvent(new CustomEvent('attempt', { detail: attempt.describe() }))
  }
  const relations = new ClientRelations({
    network,
    attempts,
    orphanMs: parseDuration(options.orphanTime ?? '10m', 'orphanTime'),
    offer: () => board.current(),
  })
  const desk: AttemptDesk = new AttemptDesk({
    network,
    attempts,
    relations,
    ledger,
    journal,
    board,
    admission,
    images: imageNames,
    usage,
    logger,
    backoff,
    runner: () => runner,
    changed,
    acknowledged: async (attempt) => {
      const root = attempt.end?.outputs?.root
      if (root !== undefined) await store.release(root, attempt.id)
      await releaseStreamed(attempt, store)
    },
  })
  const control = new AttemptControl({
    ledger,
    journal,
    changed: (attempt) => {
      board.changed()
      desk.progressed(attempt)
    },
  })
  const live = () => attempts.live()
  const end = (unwanted: Attempt[], intent: EndIntent) => desk.end(unwanted, intent)
  const enforcer = new PolicyEnforcer({ state: admission, live, images: imageNames, end })
  const keeper: ScheduleKeeper = new ScheduleKeeper({
    schedule: () => policy.schedule,
    sensors: options.sensors ?? opening.use(thisComputer()),
    control,
    live,
    end,
    changed: () => board.changed({ now: true }),
    logger,
  })
  const meter = new UsageMeter(
    () => attempts.all(),
    (attempt, sample) => {
      usage.measured(attempt)
      desk.measured(attempt)
      applyUsageRule({ policy: policy.rules, control, logger }, attempt, sample)
    },
  )
  const sandboxes = new SandboxEnder(logger)
  const runner = new AttemptRunner({
    network,
    instance: journal.instance,
    maxRuntimeMs: () => policy.maxRuntimeMs,
    runtimes,
    store,
    staging: new AttemptStaging({
      workDir,
      maxInputBytes: () => ledger.share.diskBytes,
      inputs,
      images: new ImageStage({
        network,
        store,
        inputs,
        makeRoom: (images, id, bytes) => imageRoom.make(images, id, bytes),
      }),
      news: new StagingNews((attempt) => desk.measured(attempt)),
      received: (attempt, bytes) => usage.received(attempt, bytes),
    }),
    sealer: new AttemptSealer({ journal, usage, logger }),
    sandboxes,
    outputs: new OutputWatcher({
      store,
      listening: (attempt) => relations.listening(attempt.client, attempt.job),
      diskShort: () => disk.short() !== undefined,
      streamed: (attempt, file) => desk.streamed(attempt, file),
      logger,
    }),
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

  // Outputs go to the client whose attempt wrote them, and to nobody else.
  const ownerOf = (peer: string, root: string) =>
    attempts
      .all()
      .filter((attempt) => attempt.client === peer)
      .find(({ end, streamed }) => end?.outputs?.root === root || streamed.has(root))
  await store.serve(
    network,
    (peer, root) => ownerOf(peer, root) !== undefined,
    (root, bytes, peer) => {
      const attempt = ownerOf(peer, root)
      attempt?.handedOver(bytes)
      usage.sent(peer, attempt, bytes)
    },
  )
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
  await desk.open()
  network.addEventListener('peer:disconnect', (event) => {
    relations.forgetClient((event as CustomEvent<string>).detail)
  })
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
    setDraining: () => {
      draining = true
      board.changed({ now: true })
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

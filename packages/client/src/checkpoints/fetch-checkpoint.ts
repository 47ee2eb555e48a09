import {
  type AnnouncedCheckpoint,
  type Artifact,
  type ArtifactStore,
  createGlobs,
  LIMITS,
  ManyhandsError,
  type Network,
  TransferCounts,
} from '@manyhands/core'
import type { JobRun } from '../job-run.ts'

/** Brings checkpoints home. They are a host's word: what does not fit what was asked for is refused. */
export class CheckpointFetcher {
  readonly #network: Network
  readonly #store: ArtifactStore
  readonly #counts = new TransferCounts()

  constructor(network: Network, store: ArtifactStore) {
    this.#network = network
    this.#store = store
  }

  /**
   * The caller holds it already.
   *
   * @throws as ArtifactStore.fetch; PROTOCOL for files that no path of the job's takes, or another size than
   *   was announced
   */
  async fetch(
    job: JobRun,
    peer: string,
    { root, bytes }: AnnouncedCheckpoint,
    signal: AbortSignal,
  ): Promise<Artifact> {
    const { resources, checkpoint } = job.document.base
    const transfer = this.#counts.follow(root)
    try {
      const artifact = await this.#store.fetch(
        root,
        { network: this.#network, peer },
        {
          signal,
          // A host that was given so much disk cannot have made a larger one.
          maxBytes: Math.min(bytes, resources.diskBytes, LIMITS.checkpointBytes),
          onProgress: (received) => {
            job.meter.received(transfer.fresh(received))
            job.progressed()
          },
        },
      )
      refuseUnless(artifact, bytes, checkpoint?.paths ?? [])
      return artifact
    } finally {
      transfer.end()
    }
  }
}

function refuseUnless({ root, size, manifest }: Artifact, bytes: number, paths: string[]): void {
  const refuse = (why: string) => new ManyhandsError('PROTOCOL', `checkpoint ${root}: ${why}`)
  const { kind, files, directories } = manifest
  if (kind !== 'tree' || size !== bytes) throw refuse('it is not what was announced')
  if (files.length === 0 || files.length + directories.length > LIMITS.checkpointFiles) {
    throw refuse(`it has ${files.length} files`)
  }
  const globs = createGlobs(paths.map((path) => path.slice('/out/'.length) || '**'))
  const stray = [...files.map(({ path }) => path), ...directories].find(
    (path) => !globs.takes(path),
  )
  if (stray !== undefined) throw refuse(`/out/${stray} is no path of the job's checkpoints`)
}

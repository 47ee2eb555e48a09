import { ManyhandsError, type Network } from '@manyhands/core'
import { answerImage } from './images/image-answer.ts'
import type { JobImage } from './images/image-desk.ts'
import type { JobRun } from './job-run.ts'

/**
 * Answers what hosts ask for attempts that they stage: secrets, and images that they lack. Only the
 * host that holds an attempt is answered, and only while it is not over; the words of a refusal are the
 * same whatever the reason.
 */
export function answerAttempts(
  network: Network,
  jobOf: (host: string, attempt: string) => JobRun | undefined,
): void {
  network.handle('attempt.secrets', async ({ id }, { peer }) => {
    const job = jobOf(peer, id)
    if (job !== undefined) return { secrets: secretsOf(job) }
    throw new ManyhandsError('NOT_FOUND', `there are no secrets for attempt ${id} here`, {
      hint: 'Secrets live in the memory of the process that submitted the job; submit it again.',
    })
  })
  network.handle('attempt.image', async ({ id }, { peer }) => {
    const job = jobOf(peer, id)
    const image = job?.image
    if (job === undefined || image === undefined) {
      throw new ManyhandsError('NOT_FOUND', `there is no image for attempt ${id} here`)
    }
    if (!image.begun) tellOfImage(job, image)
    return answerImage(image, (ready) => {
      for (const root of ready) job.inputs.add(root)
    })
  })
}

/** An export may take a minute in which nothing else is seen of the job. */
function tellOfImage(job: JobRun, image: JobImage): void {
  const about = { kind: 'image', image: image.name } as const
  job.tell({ ...about, phase: 'exporting', bytes: 0 })
  const ready = () => {
    if (!job.over) job.tell({ ...about, phase: 'ready', bytes: image.exportedBytes })
  }
  // A failure is told by the attempts that need it.
  image.roots().then(ready, () => {})
}

function secretsOf(job: JobRun): Record<string, Uint8Array<ArrayBuffer>> {
  const given = Object.entries(job.hooks.secrets ?? {})
  return Object.fromEntries(
    given.map(([name, secret]) => [name, new Uint8Array(Buffer.from(secret))]),
  )
}

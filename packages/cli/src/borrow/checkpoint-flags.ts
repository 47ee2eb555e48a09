import { type JobSpec, ManyhandsError, resolveCheckpoint } from '@manyhands/core'

/** How often files leave the host when nobody says. */
const USUAL_EVERY = '1m'

/** What `--checkpoint` and `--checkpoint-every` make of a spec's `checkpoint`. @throws USAGE, SPEC_INVALID */
export function checkpointFromFlags(
  flags: { checkpoint?: string[]; checkpointEvery?: string },
  written: Partial<JobSpec>,
): Pick<JobSpec, 'checkpoint'> {
  const { checkpoint, checkpointEvery } = flags
  if (checkpoint === undefined && checkpointEvery === undefined) return {}
  const paths = checkpoint ?? written.checkpoint?.paths
  if (paths === undefined) {
    throw new ManyhandsError('USAGE', '--checkpoint-every: give a --checkpoint PATH as well')
  }
  const every = checkpointEvery ?? written.checkpoint?.every ?? USUAL_EVERY
  // Now: nobody waits for hosts to be told that an option is wrong.
  if (checkpointEvery !== undefined) resolveCheckpoint({ paths, every }, '--checkpoint-every')
  return { checkpoint: { ...written.checkpoint, paths, every } }
}

import { getActiveResourcesInfo } from 'node:process'

/**
 * Whether this process has begun something that will be over by itself: a turn of its event loop, an
 * operation on files. Asked where no promise is left to be continued: what neither
 * waits for such a thing nor for a timer, a thread or the network then waits for the clock.
 */
export function realWorkPending(): boolean {
  // Names of Node's: FSReqPromise, FSReqCallback, CloseReq; handles, such as sockets, have none of these.
  return getActiveResourcesInfo().some((name) => name === 'Immediate' || name.includes('Req'))
}

/** Turns without an operation on files after which what threads and ports had to tell of one has come. */
const QUIET_TURNS = 16

/** Resolves when nothing is done with files any more, and nothing that was done is still being told. */
export async function filesQuiet(): Promise<void> {
  for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
    await new Promise<void>((turned) => setImmediate(turned))
    if (getActiveResourcesInfo().some((name) => name.includes('Req'))) quiet = 0
  }
}

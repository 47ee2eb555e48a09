import { type Client, type ClientOptions, clientHasJob, createClient } from '@manyhands/client'
import { ManyhandsError } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { clientStateDirectories } from '../state-home.ts'

/**
 * A client with the state that is named, else with the first state of this user that no other command
 * has open.
 *
 * @throws as createClient
 */
export async function openClient(
  options: ClientOptions,
  { env }: Pick<CommandContext, 'env'>,
): Promise<Client> {
  if (options.state !== undefined) return await createClient(options)
  return await firstFree(clientStateDirectories(env), (state) =>
    createClient({ ...options, state }),
  )
}

/**
 * The client of this user that has a job.
 *
 * @throws NOT_FOUND; STATE_LOCKED when the state that is named is open
 */
export async function openClientOf(
  job: string,
  options: ClientOptions,
  { env }: Pick<CommandContext, 'env'>,
): Promise<Client> {
  const states = options.state === undefined ? clientStateDirectories(env) : [options.state]
  let locked: string | undefined
  for (const state of states) {
    try {
      if (await clientHasJob(state, job)) return await createClient({ ...options, state })
    } catch (error) {
      if (!(error instanceof ManyhandsError)) throw error
      // What cannot be read is not what is looked for; the others may be.
      if (error.code !== 'STATE_LOCKED' && error.code !== 'STATE_CORRUPT') throw error
      if (options.state !== undefined) throw error
      locked = error.message
    }
  }
  throw new ManyhandsError('NOT_FOUND', `there is no job ${job} here`, {
    hint:
      locked === undefined
        ? 'Name the directory of its state with --state.'
        : `Name the directory of its state with --state, or look whether another command follows it: ${locked}.`,
  })
}

async function firstFree<Value>(
  states: string[],
  open: (state: string) => Promise<Value>,
): Promise<Value> {
  for (const [n, state] of states.entries()) {
    try {
      return await open(state)
    } catch (error) {
      const locked = (error as Partial<ManyhandsError>).code === 'STATE_LOCKED'
      if (!locked || n === states.length - 1) throw error
    }
  }
  throw new ManyhandsError('STATE_LOCKED', 'too many commands run at once')
}

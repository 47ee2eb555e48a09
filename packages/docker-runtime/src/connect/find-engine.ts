import { ManyhandsError } from '@manyhands/core'
import { createEngine, type Engine } from '../engine.ts'
import { engineMessage, unreachableReason } from '../engine-error.ts'
import type { ConnectStrategy } from './connect-strategy.ts'
import type { EngineAddress } from './engine-address.ts'
import { namedByEnvironment } from './named-by-environment.ts'
import { namedByOption } from './named-by-option.ts'
import { podmanSocket } from './podman-socket.ts'
import { rootlessSocket } from './rootless-socket.ts'
import { standardSocket } from './standard-socket.ts'
import { windowsPipe } from './windows-pipe.ts'

const PING_TIMEOUT_MS = 3000
/** What the owner named is the only thing tried: another engine would be a surprise. */
const NAMED: ConnectStrategy[] = [namedByOption, namedByEnvironment]
const USUAL: ConnectStrategy[] = [standardSocket, rootlessSocket, podmanSocket, windowsPipe]

/** Looks for the engine that the owner named, or the first in the usual places that answers. */
export interface EngineFinder {
  /**
   * The engine that answered first; asked again only while none has. One that answered once stays: an
   * engine that goes away is waited for, never replaced by another.
   *
   * @throws RUNTIME_UNAVAILABLE naming everything that was tried, and why not
   */
  find(): Promise<Engine>
}

/** @throws CONFIG_INVALID when the owner named what is no address */
export function engineFinder(address: EngineAddress, usual = USUAL): EngineFinder {
  const named = namedEngine(address)
  // Not asked first: whoever uses it is told what is the matter with this very address.
  if (named !== undefined) return { find: () => Promise.resolve(named) }
  const engines = usual.flatMap((strategy) => strategy.targets(address)).map(createEngine)
  let found: Promise<Engine> | undefined
  return {
    find() {
      found ??= firstThatAnswers(engines).catch((error: unknown) => {
        found = undefined
        throw error
      })
      return found
    },
  }
}

/** Where {@link engineFinder} looks, in its order. @throws CONFIG_INVALID */
export function enginesToTry(address: EngineAddress): Engine[] {
  const named = namedEngine(address)
  if (named !== undefined) return [named]
  return USUAL.flatMap((strategy) => strategy.targets(address)).map(createEngine)
}

function namedEngine(address: EngineAddress): Engine | undefined {
  const targets = NAMED.map((strategy) => strategy.targets(address))
  const first = targets.find(({ length }) => length > 0)?.[0]
  return first === undefined ? undefined : createEngine(first)
}

async function firstThatAnswers(engines: Engine[]): Promise<Engine> {
  const tried: string[] = []
  for (const engine of engines) {
    try {
      // The declared type has no signal, the client library does take one.
      await engine.docker.ping({ abortSignal: engine.deadline(PING_TIMEOUT_MS) } as never)
      return engine
    } catch (error) {
      tried.push(`${engine.where}: ${unreachableReason(error) ?? engineMessage(error)}`)
    }
  }
  throw new ManyhandsError('RUNTIME_UNAVAILABLE', `no Docker engine answers: ${tried.join('; ')}`, {
    details: { tried },
  })
}

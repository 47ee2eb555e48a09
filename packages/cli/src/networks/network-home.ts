import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyhandsError, type Membership, openMembership } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { stateHome } from '../state-home.ts'

type Env = CommandContext['env']

/** The network of whoever has joined none. */
export const PUBLIC = 'public'
const NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]*$/u

/** Where the membership in a network is kept. @throws USAGE for what cannot be a name */
export function networkDirectory(env: Env, name: string): string {
  if (name !== PUBLIC && NAME.test(name) && name.length <= 64) return join(networksHome(env), name)
  throw new ManyhandsError(
    'USAGE',
    `${JSON.stringify(name)} cannot be the name of a network here`,
    {
      hint: `Use letters, digits, dots and dashes; '${PUBLIC}' is the network of all others.`,
    },
  )
}

/** Names of the networks that this computer has joined. */
export async function joinedNetworks(env: Env): Promise<string[]> {
  const entries = await readdir(networksHome(env)).catch(() => [])
  return entries.filter((name) => NAME.test(name)).sort()
}

/**
 * The network that is meant: the one that is named, else the only one that was joined. Undefined for the
 * public one.
 *
 * @throws CONFIG_INVALID when there is no such network, or several to choose from
 */
export async function chosenNetwork(
  name: string | undefined,
  env: Env,
): Promise<Membership | undefined> {
  if (name === PUBLIC) return undefined
  const names = await joinedNetworks(env)
  if (name === undefined) return await onlyNetwork(names, env)
  if (names.includes(name)) return await openMembership(networkDirectory(env, name))
  throw new ManyhandsError('CONFIG_INVALID', `--network ${name}: this computer has not joined it`, {
    hint:
      names.length === 0
        ? 'Join one with `manyhands network join INVITE`, or create one with `manyhands network create`.'
        : `It has joined ${names.join(', ')}; \`manyhands network join INVITE\` joins another one.`,
  })
}

async function onlyNetwork(names: string[], env: Env): Promise<Membership | undefined> {
  const all = await Promise.all(names.map((name) => openMembership(networkDirectory(env, name))))
  // Whoever was not let in yet has not joined.
  const joined = all.filter(({ state }) => state !== 'joining')
  if (joined.length <= 1) return joined[0]
  throw new ManyhandsError(
    'CONFIG_INVALID',
    `this computer has joined several networks: ${names.join(', ')}`,
    { hint: `Choose one with --network, or --network ${PUBLIC} for none of them.` },
  )
}

/** The same, for commands that make no sense without one. @throws CONFIG_INVALID */
export async function privateNetwork(name: string | undefined, env: Env): Promise<Membership> {
  const membership = await chosenNetwork(name, env)
  if (membership !== undefined) return membership
  throw new ManyhandsError('CONFIG_INVALID', 'this computer has joined no private network', {
    hint: 'Create one with `manyhands network create NAME`, or join one with an invite.',
  })
}

const networksHome = (env: Env): string => join(stateHome(env), 'networks')

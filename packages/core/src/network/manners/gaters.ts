import type { ConnectionGater } from '@libp2p/interface'

type Question = keyof ConnectionGater
type Answer = boolean | Promise<boolean>

/** One gater of several: whoever one of them denies is denied. They are asked in their order. */
export function joinedGaters(...gaters: ConnectionGater[]): ConnectionGater {
  const questions = new Set(gaters.flatMap((gater) => Object.keys(gater) as Question[]))
  const joined: Record<string, (...args: unknown[]) => Promise<boolean>> = {}
  for (const question of questions) {
    if (question === 'filterMultiaddrForPeer') continue
    joined[question] = async (...args) => {
      for (const gater of gaters) {
        const ask = gater[question] as ((...args: unknown[]) => Answer) | undefined
        if (ask !== undefined && (await ask.apply(gater, args))) return true
      }
      return false
    }
  }
  return joined as ConnectionGater
}

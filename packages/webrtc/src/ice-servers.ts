import { ManyhandsError } from '@manyhands/core'
import type { WebRtcOptions } from './webrtc-options.ts'

export interface IceServer {
  urls: string
  username?: string
  credential?: string
}

const STUN = /^stun:(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i
const TURN = /^turns?:(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?$/i
/** More are of no use, and each of them costs a look. */
const MOST_SERVERS = 4

/** @throws CONFIG_INVALID */
export function checkServers({ stun = [], turn = [] }: WebRtcOptions): void {
  for (const url of stun) {
    if (!STUN.test(url)) throw invalid(`stun: ${JSON.stringify(url)} is not stun:HOST:PORT`)
  }
  for (const { url, username, credential } of turn) {
    if (!TURN.test(url)) throw invalid(`turn: ${JSON.stringify(url)} is not turn:HOST:PORT`)
    if (!username || !credential) throw invalid(`turn: ${url} needs a username and a credential`)
  }
  if (stun.length + turn.length > MOST_SERVERS) {
    throw invalid(`at most ${MOST_SERVERS} STUN and TURN servers are asked`)
  }
}

/** Never undefined: the library would ask servers of its own choice. */
export function iceServers({ stun = [], turn = [] }: WebRtcOptions): IceServer[] {
  return [
    ...stun.map((urls) => ({ urls })),
    ...turn.map(({ url, username, credential }) => ({ urls: url, username, credential })),
  ]
}

const invalid = (message: string): ManyhandsError => new ManyhandsError('CONFIG_INVALID', message)

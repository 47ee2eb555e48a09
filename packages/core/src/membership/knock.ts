import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import type { AbortOptions, ConnectionProtector, MessageStream } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

const NONCE_BYTES = 32
const TAG_BYTES = 32
/** What may come before it was looked at; a knock is smaller, and what follows it waits for our answer. */
const AHEAD_BYTES = 64 * 1024

/**
 * Before anything else is said on a connection, both sides show that they know the network's secret, without
 * saying it: to everybody else this is an open port that says nothing. Nothing of it can be played again,
 * since each side answers a number that the other one has just made up.
 */
export class Knock implements ConnectionProtector {
  readonly #key: Uint8Array
  readonly #name: string

  /** @param name - of the network, for errors */
  constructor(secret: Uint8Array, name: string) {
    this.#key = derivedKey(secret, 'knock')
    this.#name = name
  }

  async protect(connection: MessageStream, options: AbortOptions = {}): Promise<MessageStream> {
    const late = AbortSignal.timeout(LIMITS.knockMs)
    const signal = options.signal === undefined ? late : AbortSignal.any([options.signal, late])
    const bytes = byteStream(connection, { maxBufferSize: AHEAD_BYTES })
    const read = async (length: number) =>
      (await bytes.read({ bytes: length, signal })).subarray().slice()
    try {
      if (connection.direction === 'outbound') await this.#knock(connection, read)
      else await this.#open(connection, read)
    } catch (cause) {
      options.signal?.throwIfAborted()
      const error = this.#refused(cause)
      connection.abort(error)
      throw error
    }
    return bytes.unwrap()
  }

  async #knock(connection: MessageStream, read: Read): Promise<void> {
    const mine = randomBytes(NONCE_BYTES)
    connection.send(Buffer.concat([mine, this.#tag('knock', mine)]))
    const theirs = await this.#checked(read, 'open', mine)
    connection.send(this.#tag('enter', mine, theirs))
  }

  async #open(connection: MessageStream, read: Read): Promise<void> {
    const theirs = await this.#checked(read, 'knock')
    const mine = randomBytes(NONCE_BYTES)
    connection.send(Buffer.concat([mine, this.#tag('open', mine, theirs)]))
    const tag = await read(TAG_BYTES)
    if (!timingSafeEqual(tag, this.#tag('enter', theirs, mine))) throw new Stranger()
  }

  /** The other side's number, when its tag fits. */
  async #checked(read: Read, what: string, ...known: Uint8Array[]): Promise<Uint8Array> {
    const message = await read(NONCE_BYTES + TAG_BYTES)
    const nonce = message.subarray(0, NONCE_BYTES)
    const tag = message.subarray(NONCE_BYTES)
    if (timingSafeEqual(tag, this.#tag(what, nonce, ...known))) return nonce
    throw new Stranger()
  }

  #tag(what: string, ...nonces: Uint8Array[]): Buffer {
    return knockTag(this.#key, what, ...nonces)
  }

  #refused(cause: unknown): ManyhandsError {
    return new ManyhandsError(
      'CONNECT_FAILED',
      `whoever is there does not answer as a member of network ${this.#name}`,
      { cause, hint: 'Check the address, and that the peer runs with this network.' },
    )
  }
}

/** Shows that its writer knows the key, for these numbers alone. */
export function knockTag(key: Uint8Array, what: string, ...nonces: Uint8Array[]): Buffer {
  const hmac = createHmac('sha256', key).update(what)
  for (const nonce of nonces) hmac.update(nonce)
  return hmac.digest()
}

/** A key of its own for each use of the network's secret. */
export function derivedKey(secret: Uint8Array, use: string, bytes = 32): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', `manyhands/${use}/1`, bytes))
}

type Read = (length: number) => Promise<Uint8Array>

class Stranger extends ManyhandsError {
  constructor() {
    super('PROTOCOL', 'it does not know the secret of the network')
  }
}

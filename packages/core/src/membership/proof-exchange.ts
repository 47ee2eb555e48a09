import type { MessageStream } from '@libp2p/interface'
import { byteStream } from '@libp2p/utils'
import type { z } from 'zod'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import type { LocalMembership } from './local-membership.ts'
import { isBound, type PeerBinding } from './peer-binding.ts'
import {
  type Proof,
  type ProofAnswer,
  proofAnswerSchema,
  proofOpeningSchema,
} from './proof-message.ts'
import { standingFault } from './refusal.ts'
import { fileDocument } from './roster-document.ts'
import type { Signed } from './signed-document.ts'

/** What comes behind a proof may come with it, once the other side knows that it is let in. */
const AHEAD_BYTES = 1024 * 1024
const LENGTH_BYTES = 4

export interface ProofExchangeOptions {
  membership: LocalMembership
  /** Of this peer. */
  binding: Signed<PeerBinding>
}

/**
 * Both sides of a connection show that they are members, the dialer first. Who has an invite only is admitted
 * by the other one. Three messages, of which the last needs no waiting for.
 */
export class ProofExchange {
  readonly #membership: LocalMembership
  readonly #binding: Signed<PeerBinding>

  constructor({ membership, binding }: ProofExchangeOptions) {
    this.#membership = membership
    this.#binding = binding
  }

  /**
   * @param peer - as encryption has shown it
   * @returns the member that it is
   * @throws INVITE_INVALID, NOT_A_MEMBER: why it is refused, or refuses us; PROTOCOL, PEER_GONE
   */
  async run(
    stream: MessageStream,
    peer: string,
    dialed: boolean,
    given: AbortSignal | undefined,
  ): Promise<string> {
    const late = AbortSignal.timeout(LIMITS.proofMs)
    const signal = given === undefined ? late : AbortSignal.any([given, late])
    const frames = new ProofFrames(stream, signal)
    const binding = await (dialed ? this.#asDialer(frames, peer) : this.#asListener(frames, peer))
    frames.end()
    this.#membership.met.saw(binding)
    return binding.member
  }

  async #asDialer(frames: ProofFrames, peer: string): Promise<Signed<PeerBinding>> {
    this.#membership.throwIfEnded()
    frames.write({ v: 1, ...this.#proof() })
    const answer = await frames.read(proofAnswerSchema)
    if (!answer.ok) return await this.#refused(answer, peer)
    const { proof, admitted } = answer
    if (proof === undefined) throw new ManyhandsError('PROTOCOL', `peer ${peer} shows nothing`)
    return await this.#judged(frames, proof, peer, async (own) => {
      if (admitted !== undefined) await this.#membership.take([admitted], peer)
      this.#throwIfOutside(peer)
      frames.write({ v: 1, ok: true, ...own })
    })
  }

  async #asListener(frames: ProofFrames, peer: string): Promise<Signed<PeerBinding>> {
    const proof = await frames.read(proofOpeningSchema)
    return await this.#judged(frames, proof, peer, async (admitted) => {
      frames.write({ v: 1, ok: true, proof: this.#proof(), ...admitted })
      const verdict = await frames.read(proofAnswerSchema)
      if (!verdict.ok) return void (await this.#refused(verdict, peer))
      if (verdict.admitted !== undefined) await this.#membership.take([verdict.admitted], peer)
      this.#throwIfOutside(peer)
    })
  }

  /** Judges the other one; what becomes of it is told to it, if it may hear that. */
  async #judged(
    frames: ProofFrames,
    proof: Proof,
    peer: string,
    goOn: (admitted: { admitted?: Uint8Array }) => Promise<void>,
  ): Promise<Signed<PeerBinding>> {
    const { binding } = proof
    if (!isBound(binding, this.#membership.network, peer)) {
      throw new ManyhandsError('NOT_A_MEMBER', `peer ${peer} shows nothing of this network`)
    }
    let admitted: Uint8Array | undefined
    try {
      admitted = await this.#admit(proof)
    } catch (error) {
      if (this.#hasShown(proof)) await this.#refuse(frames, binding.member, error)
      throw error
    }
    await goOn(admitted === undefined ? {} : { admitted })
    return binding
  }

  /** @returns its document, when it was admitted just now @throws why it is no member */
  async #admit({ binding, chain, request }: Proof): Promise<Uint8Array | undefined> {
    const membership = this.#membership
    const { network } = membership
    membership.throwIfEnded()
    await membership.take(chain)
    const standing = membership.standing(binding.member)
    if (standing.state === 'member') return undefined
    const fault = standingFault(standing, network)!
    const asked = request ?? membership.requestOf(binding.member)
    if (asked === undefined || asked.claim.member !== binding.member) throw fault
    if (standing.state === 'revoked' || standing.state === 'displaced') throw fault
    if (membership.state !== 'member') {
      throw new ManyhandsError('NOT_A_MEMBER', 'the peer is not a member itself yet', {
        hint: 'Connect to one that is.',
      })
    }
    return fileDocument(await membership.admit(asked)).bytes
  }

  /** Whether somebody has shown a document of this network that is about itself. */
  #hasShown({ binding, chain, request }: Proof): boolean {
    return this.#membership.hasShown(binding.member, chain, request)
  }

  async #refuse(frames: ProofFrames, member: string, thrown: unknown): Promise<void> {
    const error = toManyhandsError(thrown).toJSON()
    let room = LIMITS.proofBytes / 2
    const documents = this.#membership.roster
      .evidenceAgainst(member)
      .map(({ bytes }) => bytes)
      .filter(({ length }) => {
        room -= length
        return room > 0
      })
    frames.write({ v: 1, ok: false, error, documents: documents.slice(0, LIMITS.proofChain) })
    await frames.close()
  }

  /** What it says of us is believed when it is signed; its words are passed on in any case. */
  async #refused(answer: ProofAnswer & { ok: false }, peer: string): Promise<never> {
    await this.#membership.take(answer.documents, peer).catch(() => {})
    const { code, message, hint, details } = ManyhandsError.fromJSON(answer.error)
    throw new ManyhandsError(code, `refused by peer ${peer}: ${message}`, { hint, details })
  }

  #throwIfOutside(peer: string): void {
    if (this.#membership.state === 'member') return
    throw new ManyhandsError('NOT_A_MEMBER', `peer ${peer} did not admit this computer`)
  }

  #proof(): Proof {
    const membership = this.#membership
    const chain = membership.roster
      .chainOf(membership.member)
      .slice(-LIMITS.proofChain)
      .map(({ bytes }) => bytes)
    const joining = membership.document === undefined
    return { binding: this.#binding, chain, ...(joining ? { request: membership.request } : {}) }
  }
}

/** Frames of a 4-byte length over a stream that is somebody else's before and after. */
class ProofFrames {
  readonly #stream: MessageStream
  readonly #bytes: ReturnType<typeof byteStream>
  readonly #signal: AbortSignal

  constructor(stream: MessageStream, signal: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
    this.#bytes = byteStream(stream, { maxBufferSize: AHEAD_BYTES })
  }

  write(document: object): void {
    const body = encodeDocument(document)
    const header = Buffer.alloc(LENGTH_BYTES)
    header.writeUInt32BE(body.length)
    this.#stream.send(Buffer.concat([header, body]))
  }

  async read<Shape>(schema: z.ZodType<Shape>): Promise<Shape> {
    const header = await this.#read(LENGTH_BYTES)
    const length = new DataView(header.buffer, header.byteOffset).getUint32(0)
    if (length > LIMITS.proofBytes) {
      throw new ManyhandsError('PROTOCOL', `a proof of ${length} bytes is too large`)
    }
    return decodeDocument(schema, await this.#read(length), 'a proof of membership')
  }

  /** Gives the stream back, with what came behind. */
  end(): void {
    this.#bytes.unwrap()
  }

  async close(): Promise<void> {
    await this.#stream.close({ signal: this.#signal }).catch(() => {})
  }

  async #read(bytes: number): Promise<Uint8Array> {
    return (await this.#bytes.read({ bytes, signal: this.#signal })).subarray().slice()
  }
}

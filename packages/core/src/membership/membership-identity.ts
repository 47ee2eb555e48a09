import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { createIdentity } from '../network/identity.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { networkNameSchema, secretSchema } from './invite.ts'
import { type JoinRequest, joinRequestSchema } from './member-document.ts'
import { writeDurably } from './roster-shelf.ts'

/** What makes a computer a member, or will: it never changes. */
export interface MembershipIdentity {
  v: 1
  name: string
  secret: Uint8Array
  /** Of the member's private key. */
  seed: Uint8Array
  request: JoinRequest
  /** Addresses of the invite. */
  addresses: string[]
}

const identitySchema: z.ZodType<MembershipIdentity> = z.strictObject({
  v: z.literal(1),
  name: networkNameSchema,
  secret: secretSchema,
  seed: secretSchema,
  request: joinRequestSchema,
  addresses: z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.inviteAddresses),
})

const IDENTITY_FILE = 'membership'
/** Hexadecimal, so that it can be copied by hand. */
export const OWNER_KEY_FILE = 'owner.key'

export async function writeIdentity(
  directory: string,
  identity: MembershipIdentity,
): Promise<void> {
  await writeDurably(join(directory, IDENTITY_FILE), encodeDocument(identity))
}

/** @throws STATE_CORRUPT, CONFIG_INVALID when it cannot be read */
export async function readIdentity(directory: string): Promise<MembershipIdentity | undefined> {
  const path = join(directory, IDENTITY_FILE)
  const bytes = await contentsOf(path)
  if (bytes === undefined) return undefined
  try {
    return decodeDocument(identitySchema, new Uint8Array(bytes), 'membership')
  } catch (cause) {
    throw new ManyhandsError('STATE_CORRUPT', `${path} does not hold a membership`, {
      cause,
      hint: 'Move the directory away and join again with a new invite.',
    })
  }
}

export async function writeOwnerKey(directory: string, seed: Uint8Array): Promise<void> {
  await writeDurably(join(directory, OWNER_KEY_FILE), `${Buffer.from(seed).toString('hex')}\n`)
}

/** @throws STATE_CORRUPT when the file holds another key than that of the network */
export async function readOwnerKey(
  directory: string,
  network: string,
): Promise<Uint8Array | undefined> {
  const path = join(directory, OWNER_KEY_FILE)
  const text = await contentsOf(path)
  if (text === undefined) return undefined
  const seed = new Uint8Array(Buffer.from(text.toString('utf8').trim(), 'hex'))
  if (seed.length === 32 && createIdentity(seed).peerId === network) return seed
  throw new ManyhandsError('STATE_CORRUPT', `${path} is not the owner key of this network`, {
    hint: 'Put the copy back that was made when the network was created, or move the file away.',
  })
}

async function contentsOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new ManyhandsError('CONFIG_INVALID', `cannot read ${path}: ${message}`, { cause: error })
  }
}

import type { Artifact } from '../artifacts/artifact-store.ts'
import { manifestSize, readManifest, rootOf } from '../artifacts/manifest.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { inTurns } from '../artifacts/turns.ts'
import { ManyhandsError } from '../errors.ts'
import type { GuardedStream } from './guarded-stream.ts'
import { FRAME } from './transfer-frames.ts'
import { body, type Found, readFound } from './transfer-messages.ts'

/**
 * Receives the manifest that a peer sends first, and looks whether it is the one that was asked for.
 *
 * @param onFound - told how long the manifest is, before it is received; what it throws ends this
 * @throws ARTIFACT_MISSING, ARTIFACT_CORRUPT, PROTOCOL, LIMIT
 */
export async function receiveManifest(
  root: string,
  guarded: GuardedStream,
  signal: AbortSignal,
  onFound?: (bytes: number) => void,
): Promise<{ found: Found; encoded: Uint8Array; artifact: Artifact }> {
  const found = readFound(await guarded.expect())
  onFound?.(found.bytes)
  // Grows with what comes, not with what is announced, nor with the number of pieces.
  let encoded = Buffer.allocUnsafeSlow(Math.min(found.bytes, TRANSFER.frameBytes))
  let received = 0
  while (received < found.bytes) {
    const piece = body(await guarded.expect(), FRAME.manifest)
    const end = received + piece.length
    if (piece.length === 0 || end > found.bytes) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent another manifest than it announced')
    }
    if (end > encoded.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(found.bytes, Math.max(end, 2 * received)))
      encoded.copy(grown, 0, 0, received)
      encoded = grown
    }
    encoded.set(piece, received)
    received = end
  }
  if (rootOf(encoded) !== root) {
    throw new ManyhandsError('ARTIFACT_CORRUPT', `the peer sent another manifest than ${root}`)
  }
  const manifest = await inTurns(readManifest(encoded), signal)
  return { found, encoded, artifact: { root, manifest, size: manifestSize(manifest) } }
}

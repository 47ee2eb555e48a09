import type { SignedReceipt, TaskResult } from '@manyhands/core'

/**
 * A receipt as the journal keeps it in its result: without what the result says as well, and without what
 * follows from something else. It is half as long then, and there is one for every task.
 */
export type StoredReceipt = Partial<Omit<SignedReceipt, 'batch'>> & {
  /** Place, size and path of its batch; the path in base64. */
  batch?: [at: number, size: number, path: string]
}

/** Of nothing; SHA-256 of no bytes, and of the DAG-CBOR of no inputs. */
const NO_BYTES = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const NO_INPUTS = 'sha256:76be8b528d0075f7aae98d6fa57a6d3c83ae480a8469e668d7b0af968995ac71'

type Document = Pick<
  TaskResult,
  'job' | 'key' | 'host' | 'phase' | 'exitCode' | 'signal' | 'durationMs' | 'usage' | 'error'
>

/** What a receipt says when it does not say otherwise. */
function presumed(result: Document, attempt: string): Partial<SignedReceipt> {
  const { job, key, host, phase, exitCode, signal, durationMs, usage, error } = result
  return {
    v: 1,
    job,
    host,
    task: key,
    epoch: Number(attempt.slice(attempt.lastIndexOf('.') + 1)),
    phase: phase as SignedReceipt['phase'],
    exitCode: exitCode ?? undefined,
    signal: signal ?? undefined,
    durationMs,
    usage,
    error: error?.code,
    inputs: NO_INPUTS,
    limits: [],
    stdout: NO_BYTES,
    stderr: NO_BYTES,
  }
}

export function storedReceipt(result: Document, receipt: SignedReceipt): StoredReceipt {
  const usual = presumed(result, receipt.attempt) as Record<string, unknown>
  const { batch, ...said } = receipt as SignedReceipt & Record<string, unknown>
  // Made of what is left: to delete what is not takes longer than everything else.
  const stored: Record<string, unknown> = {}
  for (const field in said) {
    if (!isSame(said[field], usual[field])) stored[field] = said[field]
  }
  for (const field in usual) {
    // Null says that it is not there where the result has it.
    if (usual[field] !== undefined && said[field] === undefined) stored[field] = null
  }
  if (batch === undefined) return stored
  const path = Buffer.from(batch.path, 'hex').toString('base64')
  stored['batch'] = [batch.at, batch.size, path]
  return stored
}

/** The receipt that was stored; also one of an earlier version, which is whole. */
export function wholeReceipt(
  result: Document,
  stored: StoredReceipt | SignedReceipt,
): SignedReceipt {
  const { batch, ...said } = stored
  if (stored.v !== undefined) return stored as SignedReceipt
  const receipt = { ...presumed(result, said.attempt ?? ''), ...said } as SignedReceipt
  for (const field of Object.keys(receipt) as (keyof SignedReceipt)[]) {
    if (receipt[field] === undefined || receipt[field] === null) delete receipt[field]
  }
  if (batch === undefined) return receipt
  const [at, size, path] = batch as [number, number, string]
  return { ...receipt, batch: { at, size, path: Buffer.from(path, 'base64').toString('hex') } }
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const [one, other] = [a as Record<string, unknown>, b as Record<string, unknown>]
  const fields = Object.keys(one)
  if (fields.length !== Object.keys(other).length) return false
  return fields.every((field) => one[field] === other[field])
}

import type { TaskOutputs, TaskResult } from '@manyhands/core'
import type { ResultRow } from './journal/result-rows.ts'
import { wholeReceipt } from './stored-receipt.ts'

/** A result as the journal has it, with its outputs. */
export function storedResult<Item = unknown>(
  job: string,
  row: ResultRow,
  outputs: TaskOutputs,
): TaskResult<Item> {
  const document = { ...JSON.parse(row.document), job, key: row.key }
  const { receipt } = document
  return {
    ...document,
    ...(receipt === undefined ? {} : { receipt: wholeReceipt(document, receipt) }),
    index: row.index,
    item: JSON.parse(row.item) as Item,
    exitCode: document.exitCode ?? undefined,
    signal: document.signal ?? undefined,
    host: document.host ?? undefined,
    outputs,
  }
}

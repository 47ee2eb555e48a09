import type { ManyhandsError, TaskResult } from '@manyhands/core'
import type { ClientJournal } from '../journal/client-journal.ts'
import type { Revised } from '../journal/revision-rows.ts'
import { documentOf } from '../result-document.ts'
import type { Task } from '../task.ts'
import type { UndoneResults } from '../undone-results.ts'

/** What a check comes to, for results that were accepted already. */
export interface Decision {
  /** Another host's result counts; `again`: it is given to those who have read on, too. */
  replace?: { key: string; result: TaskResult; again: boolean }
  /** Tasks that run again, with all that took something of them. */
  undo?: readonly string[]
  /** Tasks of which something was taken that was not right. */
  undoTakers?: readonly string[]
  /** A task that has failed, whatever it had. */
  fail?: { key: string; error: ManyhandsError }
}

export interface ResultRevisionParts {
  job: string
  journal: Pick<ClientJournal, 'revisions' | 'transact'>
  undone: UndoneResults
}

/** Changes results that were accepted, and takes back what was made of them: all of it in one step, or nothing. */
export class ResultRevision {
  readonly #parts: ResultRevisionParts

  constructor(parts: ResultRevisionParts) {
    this.#parts = parts
  }

  /**
   * Resolves with what has changed when that is durable and known to everybody. `replaced` is false when the
   * task has no result any more.
   */
  async apply({ replace, undo = [], undoTakers, fail }: Decision): Promise<Revised> {
    const { job, journal, undone } = this.#parts
    const failed = fail && { ...fail, result: undone.failureOf(fail.key, fail.error) }
    let revised: Revised = { replaced: false, failed: false, undone: [] }
    let stale: Task[] = []
    try {
      await journal.transact(() => {
        revised = journal.revisions.revise(job, {
          ...(replace === undefined ? {} : { replace: rowOf(replace) }),
          undo: failed === undefined ? undo : [...undo, failed.key],
          ...(undoTakers === undefined ? {} : { undoTakers }),
          ...(failed === undefined
            ? {}
            : { fail: { key: failed.key, document: documentOf(failed.result) } }),
        })
        // What these are about to say is not taken any more, in the same commit or later.
        stale = undone.revoke(revised.undone)
      })
    } catch (cause) {
      undone.reinstate(revised.undone, stale)
      throw cause
    }
    await undone.runAgain(revised.undone, stale, revised.failed ? failed?.result : undefined)
    return revised
  }
}

function rowOf({ key, result, again }: NonNullable<Decision['replace']>) {
  const { artifact } = result.outputs
  const outputs = artifact === '' ? undefined : artifact
  return { key, document: documentOf(result), outputs, again }
}

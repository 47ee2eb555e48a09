import { createHash } from 'node:crypto'
import { ManyhandsError, NO_USAGE, type TaskResult } from '@manyhands/core'

/** A result with these files, in memory; `reads` counts what of them was read. */
export function resultWith(
  files: Record<string, string | Uint8Array>,
  own: Partial<TaskResult> & { reads?: string[]; sizes?: Record<string, number> } = {},
): TaskResult {
  const contents = new Map(
    Object.entries(files).map(([path, content]) => [path, Buffer.from(content as string)]),
  )
  const hash = createHash('sha256')
  for (const [path, content] of contents)
    hash.update(`${path}\0${content.length}\0`).update(content)
  const { reads = [], sizes = {}, ...fields } = own
  return {
    job: 'job',
    key: '17',
    index: 16,
    item: 17,
    ok: true,
    phase: 'completed',
    exitCode: 0,
    signal: undefined,
    timedOut: false,
    canceled: false,
    oom: false,
    host: 'host',
    attempts: 1,
    durationMs: 1,
    usage: NO_USAGE,
    stdoutTail: '',
    stderrTail: '',
    outputs: {
      files: [...contents].map(([path, { length }]) => ({ path, size: sizes[path] ?? length })),
      artifact: contents.size === 0 ? '' : `sha256:${hash.digest('hex')}`,
      saveTo: () => Promise.reject(new ManyhandsError('INTERNAL', 'nobody saves this')),
      read: async (path) => {
        reads.push(path)
        const content = contents.get(path)
        if (content === undefined) throw new ManyhandsError('NOT_FOUND', path)
        return content
      },
    },
    ...fields,
  }
}

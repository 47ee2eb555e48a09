import { formatByteSize, type GcAmount, type GcReport } from '@manyhands/core'
import { clean } from '../table.ts'

/** What tidying up came to, a line for what went from each room and one for each reason why something stays. */
export function gcText({ dryRun, sections, kind }: GcReport & { kind: string }): string {
  const lines = sections.flatMap(({ room, removed, kept }) => {
    const none = removed.artifacts + removed.files === 0
    const went = none
      ? 'nothing to remove'
      : `${dryRun ? 'would remove' : 'removed'} ${amount(removed)}`
    return [
      [`${kind} ${room}`, went],
      ...kept.map((stays) => ['', `keeps ${amount(stays)}: ${stays.reason}`]),
    ]
  })
  const width = Math.max(...lines.map(([name]) => name!.length))
  return lines.map(([name, text]) => `${clean(name!).padEnd(width)}  ${clean(text!)}`).join('\n')
}

function amount({ artifacts, files, bytes }: GcAmount): string {
  const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`
  return [
    ...(artifacts === 0 ? [] : [counted(artifacts, 'artifact')]),
    counted(files, 'file'),
    formatByteSize(bytes),
  ].join(', ')
}

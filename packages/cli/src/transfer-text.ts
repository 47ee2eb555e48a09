import { formatByteSize, formatDuration, type TransferProgress } from '@manyhands/core'

/** How far a transfer is: `inputs 42 % of 64.0 MiB, 9.5 MiB/s, 3s left`; what is not known is left out. */
export function transferText({ phase, bytes, total, rate, etaMs }: TransferProgress): string {
  const far =
    total === undefined
      ? formatByteSize(bytes)
      : `${percent(bytes, total)} of ${formatByteSize(total)}`
  return [
    `${phase} ${far}`,
    ...(rate === 0 ? [] : [rateText(rate)]),
    ...(etaMs === undefined || etaMs === 0
      ? []
      : [`${formatDuration(Math.max(1000, etaMs))} left`]),
  ].join(', ')
}

/** A share in whole percent: 100 only when it is all. */
export function percent(part: number, whole: number): string {
  return `${whole === 0 ? 100 : Math.floor((100 * Math.min(part, whole)) / whole)} %`
}

export const rateText = (bytesPerSecond: number) => `${formatByteSize(bytesPerSecond)}/s`

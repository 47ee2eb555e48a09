const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const works = new Set<() => void>()

/** Without a listener for the signal a process ends before its exit listeners run. */
const onSignal = () => process.exit(130)
const onExit = () => {
  for (const work of [...works].reverse()) work()
}

/**
 * Does something at once when the process ends before {@link AtExit.cancel}, also by a signal; what was
 * asked for last comes first.
 */
export interface AtExit {
  cancel(): void
}

export function atExit(work: () => void): AtExit {
  if (works.size === 0) {
    process.on('exit', onExit)
    for (const signal of SIGNALS) process.on(signal, onSignal)
  }
  works.add(work)
  return {
    cancel() {
      works.delete(work)
      if (works.size > 0) return
      process.off('exit', onExit)
      for (const signal of SIGNALS) process.off(signal, onSignal)
    },
  }
}

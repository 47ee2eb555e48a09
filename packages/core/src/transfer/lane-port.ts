import type { MessagePort } from 'node:worker_threads'

/** One end of a lane's port: messages in order, one reader. */
export interface LanePort<In, Out> {
  post(message: Out): void
  /** The next message; undefined when the other end is closed. */
  next(): Promise<In | undefined>
  /** Hears every message instead of {@link next}; what came before is told first. */
  listen(onMessage: (message: In) => void, onClose: () => void): void
  close(): void
}

/** @param holds - whether the port keeps the process alive */
export function lanePort<In, Out>(port: MessagePort): LanePort<In, Out> {
  const waiting: In[] = []
  let reader: ((message: In | undefined) => void) | undefined
  let listener: { onMessage: (message: In) => void; onClose: () => void } | undefined
  let closed = false
  port.on('message', (message: In) => {
    if (listener !== undefined) listener.onMessage(message)
    else if (reader === undefined) waiting.push(message)
    else {
      const resolve = reader
      reader = undefined
      resolve(message)
    }
  })
  port.on('close', () => {
    closed = true
    reader?.(undefined)
    listener?.onClose()
  })
  port.unref()
  return {
    post: (message) => {
      if (!closed) port.postMessage(message)
    },
    next: () =>
      new Promise((resolve) => {
        if (waiting.length > 0) resolve(waiting.shift())
        else if (closed) resolve(undefined)
        else reader = resolve
      }),
    listen: (onMessage, onClose) => {
      listener = { onMessage, onClose }
      for (const message of waiting.splice(0)) onMessage(message)
      if (closed) onClose()
    },
    close: () => port.close(),
  }
}

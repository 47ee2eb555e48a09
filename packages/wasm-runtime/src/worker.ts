/**
 * The thread of one task. It imports nothing of the project but what lies beside it: a thread has to
 * start in milliseconds, and the less there is in it, the less a module could reach.
 */
import { parentPort } from 'node:worker_threads'
import { runModule } from './module-run.ts'
import { RingWriter } from './output-ring.ts'
import type { WorkerMessage, WorkerTask } from './worker-protocol.ts'

const port = parentPort!
const post = (message: WorkerMessage) => port.postMessage(message)

port.once('message', (task: WorkerTask) => {
  const tell = () => post({ kind: 'output' })
  post(runModule(task, new RingWriter(task.stdout, tell), new RingWriter(task.stderr, tell)))
})

/**
 * The thread of one task, or of one warm sandbox. It imports nothing of the project but what lies beside it: a thread has to
 * start in milliseconds, and the less there is in it, the less a module could reach.
 */
import { parentPort } from 'node:worker_threads'
import { leftGarbage } from './collect-garbage.ts'
import { runModule } from './module-run.ts'
import { RingWriter } from './output-ring.ts'
import { DirectoryNode } from './wasi/file-tree.ts'
import { Quota } from './wasi/quota.ts'
import { WorkerControl, type WorkerMessage, type WorkerTask } from './worker-protocol.ts'

const port = parentPort!
const post = (message: WorkerMessage) => port.postMessage(message)

let module: WebAssembly.Module | undefined
let tmp: DirectoryNode | undefined

port.on('message', (task: WorkerTask) => {
  const { warmTmpBytes } = task
  const tell = () => post({ kind: 'output' })
  if (warmTmpBytes !== undefined) tmp ??= new DirectoryNode(new Quota(warmTmpBytes, () => {}))
  module = task.module ?? module!
  const output = [new RingWriter(task.stdout, tell), new RingWriter(task.stderr, tell)] as const
  post(runModule(task, module, tmp, ...output))
  if (warmTmpBytes === undefined) port.close()
  else leftGarbage(new WorkerControl(task.control).memoryBytes)
})

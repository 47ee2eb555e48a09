/** A BullMQ worker of bench/dispatch.ts: jobs that do nothing, so many at once. */
import { Worker } from 'bullmq'
import { answerCalls } from '../shared/answer-calls.ts'

const { port, concurrency } = JSON.parse(process.argv[2])
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
const worker = new Worker('noop', async () => undefined, { connection, concurrency })
await worker.waitUntilReady()
answerCalls({}, 'ready')

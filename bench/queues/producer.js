/** The BullMQ producer of bench/dispatch.ts. */
import { Queue, QueueEvents } from 'bullmq'
import { answerCalls } from '../shared/answer-calls.ts'

/** Jobs that are added in one pipeline. */
const BULK = 1000

const { port } = JSON.parse(process.argv[2])
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null }
const queue = new Queue('noop', { connection })
const events = new QueueEvents('noop', { connection })
await events.waitUntilReady()

answerCalls(
  {
    /** Adds so many jobs and waits until all have completed; counting is the cheapest way to know. */
    async many({ tasks }) {
      const before = await queue.getCompletedCount()
      const began = performance.now()
      for (let at = 0; at < tasks; at += BULK) {
        const bulk = Array.from({ length: Math.min(BULK, tasks - at) }, (_, n) => ({
          name: 'task',
          data: { n: at + n },
        }))
        await queue.addBulk(bulk)
      }
      while ((await queue.getCompletedCount()) < before + tasks) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const ms = performance.now() - began
      await queue.obliterate({ force: true })
      return { ms }
    },
    /** One job after another, each awaited. */
    async single({ tasks }) {
      const times = []
      for (let n = 0; n < tasks; n += 1) {
        const began = performance.now()
        const job = await queue.add('task', { n })
        await job.waitUntilFinished(events)
        times.push(performance.now() - began)
      }
      return { times }
    },
  },
  'ready',
)

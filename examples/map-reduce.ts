/**
 * A graph: tasks that need others and take what these wrote. The data goes from host to host; the client
 * gets the last result, and whatever it asks for.
 */
import assert from 'node:assert/strict'
import type { TaskSpec } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 3 })
const { client } = network
const chapters = ['one', 'two', 'three', 'four', 'five', 'six']

// Map: a task for each chapter. Reduce: two that take three chapters each. Then one that takes both.
const halves = { left: chapters.slice(0, 3), right: chapters.slice(3) }
const graph: Record<string, TaskSpec> = {}
for (const chapter of chapters)
  graph[chapter] = { command: ['run', '--write', `text=<${chapter}>`] }
for (const [half, some] of Object.entries(halves)) {
  graph[half] = {
    // A real one would join, sort or add up what it takes.
    command: ['run', ...some.flatMap((chapter) => ['--copy', `${chapter}/text=${chapter}`])],
    inputs: Object.fromEntries(
      some.map((chapter) => [`/in/${chapter}`, { task: chapter, path: '/out' }]),
    ),
  }
}
graph['book'] = {
  command: [
    'run',
    ...Object.entries(halves).flatMap(([half, some]) =>
      some.flatMap((chapter) => ['--cat', `${half}/${chapter}`]),
    ),
  ],
  inputs: Object.fromEntries(
    Object.keys(halves).map((half) => [`/in/${half}`, { task: half, path: '/out' }]),
  ),
}

const job = await client.submit({
  name: 'book',
  runtime: 'scripted',
  image: 'any',
  tasks: Object.keys(graph),
  task: (key) => ({ ...graph[key]!, key }),
})
const order: string[] = []
for await (const result of job.results()) {
  order.push(result.key)
  if (result.key !== 'book') continue
  console.log(`the book: ${result.stdoutTail}`)
  assert.equal(result.stdoutTail, chapters.map((chapter) => `<${chapter}>`).join(''))
}
console.log(`in this order: ${order.join(', ')}`)
assert.equal(job.phase, 'completed')
assert.equal(order.at(-1), 'book')
assert(order.indexOf('left') > order.indexOf('three'))

// A circle is found before anything runs.
await assert.rejects(
  client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run'],
    tasks: ['hen', 'egg'],
    task: (key) => ({ key, needs: [key === 'hen' ? 'egg' : 'hen'] }),
  }),
  /in a circle/,
)

/** When something goes wrong: one result shape, whose fault it was, and what to do about it. */
import assert from 'node:assert/strict'
import { ManyhandsError } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const { client } = network
const spec = { runtime: 'scripted', image: 'any', tasks: ['a'] }

// A task that fails is a result, tried three times, with its last words.
const job = await client.submit({
  ...spec,
  command: ['run', '--exit', '3', '--stderr', 'no such scene'],
})
for await (const result of job.results()) {
  console.log(`task ${result.key}: exit ${result.exitCode} after ${result.attempts} attempts`)
  console.log(`  ${result.error?.code} (${result.error?.blame}): ${result.stderrTail}`)
  assert.equal(result.attempts, 3)
}

// run() rejects instead.
try {
  await client.run({
    ...spec,
    command: ['run', '--hang'],
    timeout: '100ms',
    retry: { attempts: 1 },
  })
} catch (error) {
  assert(error instanceof ManyhandsError)
  console.log(`run: ${error.code}: ${error.message}`)
}

// A wrong spec is refused before anything leaves this computer, naming the field.
try {
  await client.submit({ ...spec, resources: { cpus: -1 } })
} catch (error) {
  assert(error instanceof ManyhandsError && error.code === 'SPEC_INVALID')
  console.log(`submit: ${error.message}`)
}

// A task that no host may take says why.
const waiting = await client.submit({ ...spec, command: ['run'], resources: { cpus: 64 } })
while (waiting.counts.queued === 0) await new Promise((resolve) => setTimeout(resolve, 10))
for (const { host, reason } of await waiting.why('a'))
  console.log(`why not ${host.slice(-6)}: ${reason}`)
await waiting.cancel()

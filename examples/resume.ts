/** A job outlives its client: hosts go on, and the next client with the same state takes it up. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const state = await mkdtemp(join(tmpdir(), 'resume-'))
try {
  const first = await network.addClient({ state })
  await first.waitForHosts({ min: 2 })
  const { id } = await first.submit({
    key: 'nightly',
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--for', '100ms'],
    tasks: '1-40',
  })
  await first.close()

  // Another process, another day.
  const second = await network.addClient({ state })
  for (const { name, phase, counts } of second.jobs()) console.log(name, phase, counts)
  const job = await second.job(id)
  const { phase, counts } = await job.wait()
  console.log(`${phase}: ${counts.completed} tasks`)
  assert.equal(counts.completed, 40)
  const results = await Array.fromAsync(job.results())
  // Whatever ran meanwhile was kept by its host, and nothing was done twice.
  assert(results.every(({ attempts }) => attempts === 1))
} finally {
  await rm(state, { recursive: true, force: true })
}

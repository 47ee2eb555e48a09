/**
 * A process with a store that is killed at any moment. `gc`: it tidies up a store, and kills
 * itself when so many files as `seed` says are gone.
 * `work`: it receives, holds, lets go and tidies up without an end. What it says on stdout is true from then on: `held ROOT` was received and will never be let go by it.
 */
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createArtifactStore } from '@manyhands/core'
import { memoryNetwork } from './memory-network.ts'

const [task, dir, seedText, durable] = process.argv.slice(2) as [string, string, string, string]
let seed = Number(seedText)
const random = (below: number) => {
  // xorshift, so that a failure can be repeated.
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  return (seed >>> 0) % below
}

/** The same bytes for the same number; larger ones begin as smaller ones do. */
function content(size: number, number: number): Uint8Array {
  const bytes = Buffer.alloc(size)
  let state = number + 1
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes.writeInt32LE(state, at)
  }
  return bytes
}

const store = await createArtifactStore({ dir: join(dir, 'store') })
for (const root of JSON.parse(durable) as string[]) store.retain(root, 'durable')
if (task === 'gc') {
  const files = () =>
    ['manifests', 'cas']
      .flatMap((name) =>
        readdirSync(join(dir, 'store', name), { recursive: true, encoding: 'utf8' }),
      )
      .filter((path) => basename(path).length === 64).length
  const enough = files() - seed
  const look = () => {
    if (files() <= enough) process.kill(process.pid, 'SIGKILL')
    setImmediate(look)
  }
  look()
  await store.gc({ keepBytes: 0 })
  await new Promise(() => {})
}
const source = await createArtifactStore({ dir: join(dir, `source-${seedText}`) })
const network = memoryNetwork()
await source.serve(network, () => true)
const from = { network, peer: 'sender' }

const receive = async () => {
  for (;;) {
    const size = [100, 5000, 700_000, 3_000_000][random(4)]!
    // Some contents come again and again, others share chunks with them.
    const { root } = await source.addBytes(content(size, random(12)))
    const holder = `${random(1e9)}`
    store.retain(root, holder)
    await store.fetch(root, from)
    if (random(3) === 0) store.keep(root)
    if (random(6) === 0) {
      store.retain(root, 'durable')
      process.stdout.write(`held ${root}\n`)
    }
    await store.release(root, holder)
  }
}
const tidy = async () => {
  for (;;) {
    await store.gc(random(2) === 0 ? {} : { keepBytes: random(4_000_000) })
    await store.makeRoom(random(2_000_000))
  }
}
process.stdout.write('ready\n')
await Promise.all([receive(), receive(), receive(), tidy()])

/** A network for members alone: an invite is all that a new one needs, and a revocation ends its work. */
import assert from 'node:assert/strict'
import { createClient } from '@manyhands/client'
import { createPrivateNetwork } from '@manyhands/core'
import { createHost } from '@manyhands/host'
import { scripted } from '@manyhands/testing'

const lab = await createPrivateNetwork({ name: 'lab', label: 'the owner' })
await using host = await createHost({
  runtimes: [scripted()],
  share: { cpus: 2, memory: '2GiB', disk: '2GiB' },
  network: { membership: lab, listen: ['/ip4/127.0.0.1/tcp/0'] },
})

const invite = await lab.invite({ role: 'client', expires: '1h', addresses: host.addresses })
console.log(`the invite: ${invite.slice(0, 20)}… (${invite.length} letters)`)

await using client = await createClient({ network: { invite } })
const hello = { runtime: 'scripted', image: 'any', command: ['run', '--stdout', 'hello'] }
const summary = await client.run({ ...hello, tasks: '1-3' })
console.log(`${summary.counts.completed} tasks ran for a member`)

// Whoever has the address and no invite gets no answer.
await assert.rejects(createClient({ network: { bootstrap: host.addresses } }), {
  code: 'CONNECT_FAILED',
})
// One invite, one member.
await assert.rejects(createClient({ network: { invite } }), { code: 'INVITE_INVALID' })

await lab.revoke(client.peerId, { reason: 'the term is over' })
while (client.hosts().length > 0) await new Promise((resolve) => setTimeout(resolve, 20))
await assert.rejects(client.submit({ ...hello, tasks: '1' }), /the term is over/)
for (const { label, state } of lab.members()) console.log(`${label}: ${state}`)

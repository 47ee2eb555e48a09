import { createClient } from '@manyhands/client'
declare const host: import('@manyhands/host').Host
declare const spec: import('@manyhands/core').JobSpec<any>
declare const job: import('@manyhands/client').Job
declare const id: string
declare const peerId: string
declare const address: string
declare const signal: AbortSignal
declare const network: {bootstrap: string[]}
declare const retryLater: () => Promise<void>
declare const mine: () => import('@manyhands/core').Runtime
declare const programs: import('@manyhands/testing/runtime-compliance').CompliancePrograms
declare const models: {name:string,path:string}[]
declare const readJobsFromSomewhere: () => AsyncIterable<string>
export {}

await using client = await createClient({
  network: { bootstrap: ['/ip4/192.168.1.20/tcp/4001/p2p/12D3KooW…'] },
  state: './client-state',
})
const summary = await client.run({
  image: 'blender:3.4',
  command: ['blender', '-b', '/in/scene.blend', '-o', '/out/####', '-f', '{{item}}'],
  env: { HOME: '/tmp' },
  inputs: { '/in/scene.blend': './scene.blend' },
  tasks: '1-250',
  unit: 'frame',
})
console.log(summary.counts)

import { createClient } from '@manyhands/client'
declare const host: import('@manyhands/host').Host
declare const spec: import('@manyhands/core').JobSpec<any>
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

await using client = await createClient({ network: { bootstrap: [address] } })
const job = await client.submit({
  image: 'blender:3.4',
  command: ['blender', '-b', '/in/scene.blend', '-o', '/out/####', '-f', '{{item}}'],
  inputs: { '/in/scene.blend': './scene.blend' },
  tasks: '1-250',
})
for await (const result of job.results()) await result.outputs.saveTo('./frames')

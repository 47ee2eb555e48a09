import { createLocalNetwork, scripted } from '@manyhands/testing'
declare const client: import('@manyhands/client').Client
declare const host: import('@manyhands/host').Host
declare const spec: import('@manyhands/core').JobSpec<any>
declare const job: import('@manyhands/client').Job
declare const id: string
declare const peerId: string
declare const address: string
declare const signal: AbortSignal
declare const retryLater: () => Promise<void>
declare const mine: () => import('@manyhands/core').Runtime
declare const programs: import('@manyhands/testing/runtime-compliance').CompliancePrograms
declare const models: {name:string,path:string}[]
declare const readJobsFromSomewhere: () => AsyncIterable<string>
export {}

await using network = await createLocalNetwork({ hosts: 3, runtimes: () => [scripted()] })
const summary = await network.client.run({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '20ms', '--write', 'answer.txt={{item}}'],
  tasks: '1-100',
})

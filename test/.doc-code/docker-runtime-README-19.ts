import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
declare const client: import('@manyhands/client').Client
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

await using host = await createHost({
  runtimes: [docker({ ociRuntime: 'runsc' })], // or docker(), for the engine's default
})

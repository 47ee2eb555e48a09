import { ManyhandsError, range, sweep, validateJobSpec } from '@manyhands/core'
declare const client: import('@manyhands/client').Client
declare const host: import('@manyhands/host').Host
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

const spec = validateJobSpec({
  image: 'blender:3.4',
  tasks: sweep({ scene: ['day', 'night'], frame: range(1, 24) }),
  command: ['render', '{{item.scene}}', '{{item.frame}}'],
})

try {
  await client.run(spec)
} catch (error) {
  if (error instanceof ManyhandsError && error.retryable) console.error(error.hint)
}

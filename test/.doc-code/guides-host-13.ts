
declare const client: import('@manyhands/client').Client
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
for (const attempt of host.attempts()) {
  console.log(attempt.id, attempt.client, attempt.image, attempt.phase, attempt.usage)
}
for await (const sample of host.usage({ signal })) console.log(sample.attempt, sample)
host.addEventListener('attempt', (event) => console.log(event))

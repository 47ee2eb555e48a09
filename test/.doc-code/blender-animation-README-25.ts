
declare const client: import('@manyhands/client').Client
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
const job = await client.submit({
  image: 'manyhands-example/blender:1',
  command: [
    'blender',
    '-b',
    '--factory-startup',
    '-P',
    '/in/scene.py',
    '--',
    '--frame',
    '{{item}}',
    '--frames',
    '24',
    '--out',
    '/out/',
  ],
  env: { HOME: '/tmp' },
  inputs: { '/in/scene.py': './scene.py' },
  outputs: ['/out/*.png'],
  tasks: '1-24',
  unit: 'frame',
})
for await (const result of job.results()) await result.outputs.saveTo('out/blender/frames')

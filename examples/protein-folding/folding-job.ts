import { fileURLToPath } from 'node:url'
import type { JobSpec, TaskSpec } from '@manyhands/core'
import { GROMACS_IMAGE } from './build-image.ts'
import { alanineChain } from './peptide.ts'

const RESIDUES = 12

/** A task of the graph: one prepares for all, each segment takes what the one before it wrote. */
export type FoldingTask =
  | { kind: 'prepare' }
  | { kind: 'segment'; replica: number; segment: number }
  | { kind: 'analyse'; replica: number }

/** @param of.ps - of one segment */
export function foldingJob(of: {
  replicas: number
  segments: number
  ps: number
}): JobSpec<FoldingTask> {
  const { replicas, segments, ps } = of
  const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
  const tasks: FoldingTask[] = [
    { kind: 'prepare' },
    ...numbers(replicas).flatMap((replica) =>
      numbers(segments).map((segment) => ({ kind: 'segment', replica, segment }) as const),
    ),
    ...numbers(replicas).map((replica) => ({ kind: 'analyse', replica }) as const),
  ]
  const script = fileURLToPath(new URL('fold.sh', import.meta.url))
  const sh = (...args: (string | number)[]) => ['/bin/sh', '/in/fold.sh', ...args.map(String)]
  const task = (item: FoldingTask): TaskSpec => {
    switch (item.kind) {
      case 'prepare':
        return {
          key: 'prepare',
          command: sh('prepare'),
          inputs: { '/in/fold.sh': script, '/in/chain.pdb': { text: alanineChain(RESIDUES) } },
          outputs: ['/out/system/*'],
        }
      case 'segment': {
        const { replica, segment } = item
        return {
          key: `r${replica}-s${segment}`,
          command: sh('segment', replica, segment * ps),
          inputs: {
            '/in/fold.sh': script,
            ...(segment === 1
              ? { '/in/system': { task: 'prepare', path: '/out/system' } }
              : { '/in/before': { task: `r${replica}-s${segment - 1}`, path: '/out/run' } }),
          },
          outputs: ['/out/run/*'],
        }
      }
      case 'analyse':
        return {
          key: `r${item.replica}`,
          command: sh('analyse'),
          inputs: {
            '/in/fold.sh': script,
            '/in/run': { task: `r${item.replica}-s${segments}`, path: '/out/run' },
          },
          outputs: ['/out/*'],
        }
    }
  }
  return {
    name: 'protein-folding',
    image: GROMACS_IMAGE,
    tasks,
    task,
    // What runs goes on from its last second, wherever it is sent next.
    checkpoint: { paths: ['/out/run/**'], every: '1s' },
    // A segment that is done is not lost with the host that did it.
    fetchOutputs: true,
    resources: { cpus: 0.5, memory: '256MiB', disk: '256MiB', pids: 64 },
    timeout: '5m',
    unit: 'segment',
  }
}

import { packageConfig } from '../../tsup.base.ts'

// The worker is a file of its own: threads are started from it.
export default packageConfig({
  entry: { index: 'src/index.ts', 'hash-worker': 'src/hashing/hash-worker.ts' },
})

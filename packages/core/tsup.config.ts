import { packageConfig } from '../../tsup.base.ts'

// Programs of threads are files of their own: threads are started from them.
export default packageConfig({
  entry: {
    index: 'src/index.ts',
    'hash-worker': 'src/hashing/hash-worker.ts',
    'lane-thread': 'src/transfer/lane-thread.ts',
  },
})

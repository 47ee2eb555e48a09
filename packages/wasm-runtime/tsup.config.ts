import { packageConfig } from '../../tsup.base.ts'

// The worker is a file of its own: threads are started from it.
export default packageConfig({ entry: ['src/index.ts', 'src/worker.ts'] })

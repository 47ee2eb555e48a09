import { packageConfig } from '../../tsup.base.ts'

export default packageConfig({
  // The reaper is a program: a process of its own.
  entry: ['src/index.ts', 'src/reaper/reaper-program.ts'],
})

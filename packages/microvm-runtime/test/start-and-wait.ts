/** A host that starts a machine, says where its directory is, and then waits to be killed. */
import { microvm } from '../src/index.ts'
import { startForTests } from './task-for-tests.ts'

const [kernel = '', modules, image = '', state] = process.argv.slice(2)
const started = await startForTests(microvm({ kernel, modules, accel: 'tcg' }), image, [
  '/bin/sh',
  '-c',
  'trap "" TERM HUP; while :; do :; done',
])
if (state === 'paused') await started.task.pause?.()
console.log(started.root)
setInterval(() => {}, 1000)

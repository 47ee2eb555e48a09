import { runtimeCompliance } from '@manyhands/testing/runtime-compliance'
import { describe, expect, it } from 'vitest'
import { wasm } from '../src/index.ts'
import { testProgram } from './programs.ts'

const image = await testProgram()
const run = (...command: (string | number)[]) => ({
  image,
  command: ['program', ...command.map(String)],
})

runtimeCompliance(
  {
    name: 'wasm',
    create: () => wasm(),
    programs: {
      echo: (args) => run('echo', ...args),
      print: (stdout, stderr) => run('print', stdout, stderr),
      env: (name) => run('env', name),
      exit: (code, afterMs = 0) => run('exit', code, afterMs),
      spin: () => run('spin'),
      sleep: (ms) => run('sleep', ms),
      ignoreTerm: () => run('spin'),
      write: (path, text) => run('write', path, text),
      read: (path) => run('read', path),
      overwrite: (path) => run('overwrite', path),
      allocate: (bytes) => run('allocate', bytes),
      hold: (bytes) => run('hold', bytes),
      flood: (bytes) => run('flood', bytes),
      fill: (bytes) => run('fill', bytes),
      litter: (count) => run('litter', count),
      raw: (hex) => run('raw', hex),
      keep: (text) => run('keep', text),
      kept: () => run('kept'),
      badImage: () => ({ image: '/nowhere/program.wasm', command: ['program'] }),
      badCommand: () => run('echo', 'a\0b'),
    },
    skip: {
      'what a task of a warm sandbox leaves behind does not reach the next':
        'WASI has no processes; an instance is gone with its task',
      'a task is not root': 'WASI has no users',
      'without a network there is none':
        'WASI has no interfaces; sandbox.test.ts tries its sockets',
    },
  },
  { describe, it, expect },
)

import { defineConfig } from 'vitest/config'

/** Files that run two at a time. The others run alone: containers, hosts that die of them, attacks, virtual machines. */
const BESIDE = [
  'packages/{core,client,host}/test/**/*.test.ts',
  'packages/testing/test/!(*docker*|host-death*).test.ts',
  'test/**/*.test.ts',
]

export default defineConfig({
  resolve: { conditions: ['@manyhands/source'] },
  ssr: { resolve: { conditions: ['@manyhands/source'] } },
  test: {
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Whole jobs are waited for so.
    expect: { poll: { timeout: 20_000 } },
    pool: 'forks',
    execArgv: ['--conditions=@manyhands/source'],
    projects: [
      {
        extends: true,
        test: { name: 'beside', include: BESIDE, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...BESIDE],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})

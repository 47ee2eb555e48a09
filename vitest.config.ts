import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['@manyhands/source'] },
  ssr: { resolve: { conditions: ['@manyhands/source'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    execArgv: ['--conditions=@manyhands/source'],
  },
})

import { defineConfig, type Options } from 'tsup'

/** One shape for every package: ESM for Node 22.18 and newer, sources mapped, no bundled dependencies. */
export function packageConfig(overrides: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'node22',
    platform: 'node',
    splitting: true,
    sourcemap: true,
    clean: true,
    dts: false,
    silent: true,
    // node:sqlite exists under this name alone.
    removeNodeProtocol: false,
    esbuildOptions(options) {
      options.conditions = []
    },
    ...overrides,
  })
}
